#pragma once

// A batch of samples, written into a program's input in its layout and element type.

#include <tessera/core/half.hpp>
#include <tessera/runtime/element_access.hpp>
#include <algorithm>
#include <vector>

namespace tessera {

/// Collects rows, one per sample, and writes them as one batch. A row holds a sample's values in
/// row-major order: f32, or i32 where the tensor is of i32. Rows that are not filled become
/// zeros. Owns room for one batch; using it allocates nothing.
class batch_writer {
 public:
  batch_writer() = default;
  explicit batch_writer(const tensor& to) : to_(to) {
    const batch_blocks b(to);
    features_ = b.blocks * b.values;
    const auto count = static_cast<std::size_t>(to.dims.count());
    if (to.type == element::int32) {
      integers_.resize(count);
    } else {
      rows_.resize(count);
    }
  }

  /// The row of sample `n`: `features` values, of a tensor that is not of i32.
  float* row(i32 n) { return rows_.data() + n * features_; }

  /// The same of a tensor of i32.
  i32* integers(i32 n) { return integers_.data() + n * features_; }

  i64 features() const { return features_; }

  /// Writes the batch to `data`. Rows from `used` on are padding: zeros.
  void write(i32 used, std::byte* data) {
    if (to_.type == element::int32) {
      std::fill(integers_.begin() + used * features_, integers_.end(), 0);
      return place(integers_, reinterpret_cast<i32*>(data), [](i32 v) { return v; });
    }
    std::fill(rows_.begin() + used * features_, rows_.end(), 0.0f);
    switch (to_.type) {
      case element::f32:
        return place(rows_, reinterpret_cast<float*>(data), [](float v) { return v; });
      case element::f16:
        return place(rows_, reinterpret_cast<half*>(data), [](float v) { return to_half(v); });
      case element::bf16:
        return place(rows_, reinterpret_cast<bfloat16*>(data),
                     [](float v) { return to_bfloat16(v); });
      default:
        return place(rows_, reinterpret_cast<double*>(data), [](float v) { return double{v}; });
    }
  }

 private:
  template <class From, class To, class Convert>
  void place(const std::vector<From>& rows, To* out, Convert convert) const {
    const batch_blocks b(to_);
    for (i64 block = 0; block < b.blocks; ++block) {
      const From* const from = rows.data() + block * b.values;  // of sample 0
      if (b.batch_last) {
        for (i64 v = 0; v < b.values; ++v) {
          for (i64 n = 0; n < b.batch; ++n) *out++ = convert(from[n * features_ + v]);
        }
      } else {
        for (i64 n = 0; n < b.batch; ++n) {
          for (i64 v = 0; v < b.values; ++v) *out++ = convert(from[n * features_ + v]);
        }
      }
    }
  }

  tensor to_;
  i64 features_ = 0;
  std::vector<float> rows_;
  std::vector<i32> integers_;
};

}  // namespace tessera
