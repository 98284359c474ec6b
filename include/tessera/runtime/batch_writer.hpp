#pragma once

// A batch of samples, written into a program's input in its layout and element type.

#include <tessera/core/half.hpp>
#include <tessera/ir/graph.hpp>
#include <vector>

namespace tessera {

/// Collects rows of f32, one per sample, and writes them as one batch. Rows that are not filled are
/// zeros. Owns room for one batch; using it allocates nothing.
class batch_writer {
 public:
  batch_writer() = default;
  explicit batch_writer(const tensor& input)
      : input_(input),
        features_(input.dims.sample().count()),
        rows_(static_cast<std::size_t>(input.dims.count())) {}

  /// The row of sample `n`: `features` values.
  float* row(i32 n) { return rows_.data() + n * features_; }

  i64 features() const { return features_; }

  /// Zeroes the rows from `used` on and writes the batch to `data`.
  void write(i32 used, std::byte* data) {
    std::fill(rows_.begin() + used * features_, rows_.end(), 0.0f);
    switch (input_.type) {
      case element::f32: return place(reinterpret_cast<float*>(data), [](float v) { return v; });
      case element::f16:
        return place(reinterpret_cast<half*>(data), [](float v) { return to_half(v); });
      default: return place(reinterpret_cast<double*>(data), [](float v) { return double{v}; });
    }
  }

 private:
  template <class T, class Convert>
  void place(T* out, Convert convert) {
    const i64 batch = input_.dims[0];
    if (!input_.batch_last) {
      for (i64 i = 0; i < batch * features_; ++i)
        out[i] = convert(rows_[static_cast<std::size_t>(i)]);
      return;
    }
    for (i64 f = 0; f < features_; ++f) {
      const float* const column = rows_.data() + f;
      for (i64 n = 0; n < batch; ++n) out[f * batch + n] = convert(column[n * features_]);
    }
  }

  tensor input_;
  i64 features_ = 0;
  std::vector<float> rows_;
};

}  // namespace tessera
