#pragma once

// What the model's losses read and write: f32 or 16 bits, as the call says. Lanes hold elements or
// rows, each a loss of its own, so no result depends on the number of lanes.

#include <tessera/backends/accelerator/loss.hpp>
#include <tessera/ops/loss_kinds.hpp>

namespace tessera::accelerator {

/// An input of f32, f16 or bf16; false where it is absent.
class model_operand {
 public:
  model_operand(const call& c, i32 slot)
      : bytes_(c.sizes->has_input(slot) ? c.in[slot] : nullptr),
        type_(bytes_ != nullptr ? c.sizes->input_type(slot) : element::f32) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  float operator[](i64 i) const {
    if (type_ == element::f16) return fetch(reinterpret_cast<const half*>(bytes_)[i]);
    if (type_ == element::bf16) return fetch(reinterpret_cast<const bfloat16*>(bytes_)[i]);
    return reinterpret_cast<const float*>(bytes_)[i];
  }
  /// `count` elements from i on, `step` apart; the other lanes are 0.
  lanes load(i64 i, i64 count, i64 step = 1) const {
    lanes x{};
    for (i64 j = 0; j < count; ++j) x[j] = (*this)[i + j * step];
    return x;
  }

 private:
  const std::byte* bytes_;
  element type_;
};

/// An output of f32, f16 or bf16, rounded as the machine rounds; false where it is absent.
class model_output {
 public:
  model_output(const machine& m, const call& c, i32 slot)
      : how_(m, c),
        bytes_(c.sizes->has_output(slot) ? c.out[slot] : nullptr),
        type_(bytes_ != nullptr ? c.sizes->output_type(slot) : element::f32) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  void set(i64 i, float x) const {
    if (type_ == element::f16) {
      put(how_, &x, reinterpret_cast<half*>(bytes_) + i, 1);
    } else if (type_ == element::bf16) {
      put(how_, &x, reinterpret_cast<bfloat16*>(bytes_) + i, 1);
    } else {
      reinterpret_cast<float*>(bytes_)[i] = x;
    }
  }

 private:
  storing how_;
  std::byte* bytes_;
  element type_;
};

/// Adds up the losses of rows (elements), or stores them: `value(first, count, to)` writes those of
/// so many rows from `first` on, 0 for rows that do not count.
template <class Value>
void run_model_loss(const machine& m, const call& c, float divisor, i64 all, const Value& value) {
  alignas(64) float values[lane_count] = {};
  i64 known = -1;  // the first of the rows in `values`
  run_loss(m, c, 1, c.attr->loss.weight / divisor, [&](i64 row, float sum) {
    const i64 first = row / lane_count * lane_count;
    if (known != first) {
      known = first;
      value(first, all - first < lane_count ? all - first : i64{lane_count}, values);
    }
    return sum + values[row - first];
  });
}

/// Calls `gradient(first, count, factors)` for lanes of rows (elements) of every vertex; `factors`
/// are what their slopes are multiplied with.
template <class Gradient>
void run_model_gradient(const machine& m, const call& c, float divisor, const Gradient& gradient) {
  const float common = loss_scale_of(c, 2) * c.attr->loss.weight / divisor;
  const model_operand above(c, 4);
  const bool each = c.attr->loss.reduce == reduction::none;
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 begin, i64 end, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = begin; i < end; ++i) {
      v.place(map, axis_b, static_cast<i32>(i));
      r.add(v, true);
      const i64 last = i64{v.begin[axis_b]} + v.size[axis_b];
      for (i64 first = v.begin[axis_b]; first < last; first += lane_count) {
        const i64 count = last - first < lane_count ? last - first : i64{lane_count};
        lanes factors{};
        for (i64 j = 0; j < count; ++j) {
          factors[j] = above ? common * above[each ? first + j : 0] : common;
        }
        gradient(first, count, factors);
      }
    }
  });
}

inline lanes magnitude_of(lanes x) { return from_bits(bits_of(x) & 0x7fffffff); }

/// The larger of x and 0; NaN stays.
inline lanes above_zero(lanes x) { return select(x < set(0.0f), set(0.0f), x); }

/// 1, -1 or 0 as x is above, below or 0; NaN stays.
inline lanes slope_sign(lanes x) {
  return select(x > set(0.0f), set(1.0f), select(x < set(0.0f), set(-1.0f), x));
}

/// log(1 + e^-|x|) + max(-x, 0).
inline lanes softplus_of_minus(lanes x) {
  const lanes e = exp(-magnitude_of(x));
  const lanes sum = set(1.0f) + e;
  const lanes lost = e - (sum - set(1.0f));  // what rounding the sum lost
  return log(sum) + lost / sum + select(x < set(0.0f), -x, set(0.0f));
}

}  // namespace tessera::accelerator
