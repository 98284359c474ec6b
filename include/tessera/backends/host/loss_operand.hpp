#pragma once

// What kernels of losses read and write: f32, f16 or bf16, as the call says. A loss does enough for
// each element that a branch a vector costs nothing, and one kernel serves all types.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/loss_kinds.hpp>
#include <tessera/ops/sizes.hpp>
#include <tessera/ops/update.hpp>  // scaler_scale
#include <algorithm>
#include <cstring>
#include <limits>

namespace tessera::host {

/// One number of an operand of any storage type.
inline float number_at(const std::byte* p, element type, i64 i) {
  switch (type) {
    case element::f16: return to_float(reinterpret_cast<const half*>(p)[i]);
    case element::bf16: return to_float(reinterpret_cast<const bfloat16*>(p)[i]);
    default: return reinterpret_cast<const float*>(p)[i];
  }
}

/// An input of f32, f16 or bf16; false where it is absent.
class loss_operand {
 public:
  loss_operand(const call& c, i32 slot)
      : bytes_(c.sizes->has_input(slot) ? c.in[slot] : nullptr),
        type_(c.sizes->has_input(slot) ? c.sizes->input_type(slot) : element::f32) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  float operator[](i64 i) const { return number_at(bytes_, type_, i); }

  simd::vec load(i64 i) const {
    if (type_ == element::f16) return simd::load(as<half>() + i);
    if (type_ == element::bf16) return simd::load(as<bfloat16>() + i);
    return simd::load(as<float>() + i);
  }
  /// The first n lanes, the others 0.
  simd::vec load(i64 i, i32 n) const {
    if (n == simd::lanes) return load(i);
    if (type_ == element::f16) return simd::load_partial(as<half>() + i, n);
    if (type_ == element::bf16) return simd::load_partial(as<bfloat16>() + i, n);
    return simd::load_partial(as<float>() + i, n);
  }
  /// n elements that lie `step` apart.
  simd::vec load(i64 i, i32 n, i64 step) const {
    if (step == 1) return load(i, n);
    float all[simd::lanes] = {};
    for (i32 j = 0; j < n; ++j) all[j] = (*this)[i + j * step];
    return simd::load(all);
  }

 private:
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes_);
  }

  const std::byte* bytes_;
  element type_;
};

/// An output of f32, f16 or bf16; false where it is absent.
class loss_output {
 public:
  loss_output(const call& c, i32 slot)
      : bytes_(c.sizes->has_output(slot) ? c.out[slot] : nullptr),
        type_(c.sizes->has_output(slot) ? c.sizes->output_type(slot) : element::f32) {}

  explicit operator bool() const { return bytes_ != nullptr; }

  void set(i64 i, float x) const {
    if (type_ == element::f16) return simd::store_number(as<half>() + i, x);
    if (type_ == element::bf16) return simd::store_number(as<bfloat16>() + i, x);
    as<float>()[i] = x;
  }
  void store(i64 i, simd::vec x, i32 n) const {
    if (type_ == element::f16) return simd::store_partial(as<half>() + i, x, n);
    if (type_ == element::bf16) return simd::store_partial(as<bfloat16>() + i, x, n);
    if (n == simd::lanes) {
      simd::store(as<float>() + i, x);
    } else {
      simd::store_partial(as<float>() + i, x, n);
    }
  }
  void store(i64 i, simd::vec x, i32 n, i64 step) const {
    if (step == 1) return store(i, x, n);
    float all[simd::lanes];
    simd::store(all, x);
    for (i32 j = 0; j < n; ++j) set(i + j * step, all[j]);
  }
  /// Zeros of all types are zero bytes.
  void clear(i64 first, i64 last) const {
    const i64 size = bytes_of(type_);
    std::memset(bytes_ + first * size, 0, static_cast<std::size_t>((last - first) * size));
  }

 private:
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(bytes_);
  }

  std::byte* bytes_;
  element type_;
};

/// Loss scale and weight over the divisor: what every slope is multiplied with.
inline float loss_factor(const call& c, double divisor) {
  const float scale = c.sizes->has_input(2) ? c.input<float>(2)[ops::scaler_scale] : 1.0f;
  return static_cast<float>(static_cast<double>(scale) * static_cast<double>(c.attr->loss.weight) /
                            divisor);
}

/// Natural logarithm of any number: -infinity for 0, NaN below and for NaN.
inline simd::vec log_of_any(simd::vec x) {
  using simd::set;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const simd::mask tiny = x < set(std::numeric_limits<float>::min());
  const simd::vec scaled = simd::select(tiny, x * set(0x1p24f), x);
  simd::vec y = host::log(scaled) - simd::select(tiny, set(16.6355323334f), simd::zero());
  y = simd::select(x == simd::zero(), set(-infinity), y);
  y = simd::select(x == set(infinity), x, y);
  const simd::mask below = x < simd::zero();
  y = simd::select(below, set(std::numeric_limits<float>::quiet_NaN()), y);
  return simd::select(simd::is_nan(x), x, y);
}

/// log(1 + e^-|x|) + max(-x, 0) = -log sigmoid(x).
inline simd::vec softplus_of_minus(simd::vec x) {
  using simd::set;
  const simd::vec e = host::exp(simd::zero() - simd::absolute(x));
  const simd::vec sum = set(1.0f) + e;
  // What rounding the sum lost, so that small results keep their digits.
  const simd::vec lost = e - (sum - set(1.0f));
  const simd::vec y = host::log(sum) + lost / sum;
  const simd::vec all = y + simd::select(x < simd::zero(), simd::zero() - x, simd::zero());
  return simd::select(simd::is_nan(x), x, all);
}

/// The larger of x and 0; NaN stays.
inline simd::vec above_zero(simd::vec x) { return simd::select(x < simd::zero(), simd::zero(), x); }

/// 1, -1 or 0 as x is above, below or 0; NaN stays.
inline simd::vec slope_sign(simd::vec x) {
  const simd::vec one = simd::set(1.0f);
  return simd::select(x > simd::zero(), one, simd::select(x < simd::zero(), simd::zero() - one, x));
}

}  // namespace tessera::host
