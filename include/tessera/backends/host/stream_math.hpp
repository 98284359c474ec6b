#pragma once

// tanh and sigmoid for single samples: the least latency, because each step of a recurrence waits
// for the one before.
//
//   tanh      of |x|: the segment of |x| + 5/8, four for each power of two up to 10, looked up in
//             registers, and in it a polynomial of degree 6 about a centre whose tanh is a float
//             but for 1/5000 of a unit of the last place (Gal)
//   exp(-2 a) = 2^(n / 16) (1 + p(r)), the power from a table of 16 and what its rounding lacks
//             from another, p of degree 3
//   sigmoid   with a = |x| / 2, e = exp(-2 a): 1 / (1 + e) above 0, e / (1 + e) below
//   mixed     gates of both kinds in one vector: tanh as (1 - e) / (1 + e) beside them
//
// What a sigmoid is of comes in halved: kernels halve the weights. On Zen 4 a vector of 16 takes,
// in cycles one after another (overlapped): tanh 38 (16), sigmoid 50 (20), mixed 50 (27);
// host::tanh takes 68 (23), host::sigmoid 79 (30).
// Look-ups and multiply-adds share a pipe there, one of either a cycle.
//
// Largest errors over all floats (tests/backends/host_math.cpp states and checks them): tanh 1.55,
// sigmoid 1.81 units of the last place; quick_math: 1.55 and 4.5, tanh in mixed 6.7.
// Sigmoids below -86.6 stay at 2.4e-38. Without AVX-512 there are no tables in registers, and these
// are host::tanh and host::sigmoid.
// Source: Gal 1986 (accurate tables); coefficients by least squares at Chebyshev's nodes.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/simd_table.hpp>
#include <tessera/backends/host/stream_tables.hpp>

namespace tessera::host {

/// tanh(a) for a >= 0.
inline simd::vec tanh_of_magnitude(simd::vec a) {
  using simd::fma;
  using table = tanh_segments;
  const simd::vec bounded = simd::smaller(simd::set(table::end), a);  // NaN stays
  const simd::entry_numbers n = simd::bits_from<21>(bounded + simd::set(table::shift));
  const simd::vec r = bounded - simd::look_up_16(table::center, n);
  // One look-up a cycle: those that are wanted first come first.
  const simd::vec square = r * r;
  const simd::vec c5 = simd::look_up_16(table::c5, n);
  const simd::vec high = fma(c5, r, simd::look_up_16(table::c4, n));
  const simd::vec highest = fma(simd::look_up_16(table::c6, n), square, high);
  const simd::vec c3 = simd::look_up_16(table::c3, n);
  const simd::vec middle = fma(c3, r, simd::look_up_16(table::c2, n));
  const simd::vec c1 = simd::look_up_16(table::c1, n);
  const simd::vec low = fma(c1, r, simd::look_up_16(table::c0, n));
  return fma(fma(highest, square, middle), square, low);
}

/// exp(-2 a) = power (1 + p).
struct falling_exp {
  simd::vec power;
  simd::vec p;
};

/// For a >= 0; stays at 2.4e-38 from a = 43.3 on.
///
/// a = r - n ln 2 / 32 with |r| <= ln 2 / 64; not `Exact`: without what the table lacks.
template <bool Exact>
inline falling_exp exp_of_minus_twice(simd::vec a) {
  using simd::fma;
  using simd::set;
  const simd::vec bounded = simd::smaller(set(43.3f), a);
  const simd::vec shift = set(simd::whole_number_shift);
  const simd::vec shifted = fma(bounded, set(-46.1662413f), shift);
  const simd::vec n = shifted - shift;
  const simd::vec r = fma(n, set(0.0216608495f), bounded);  // ln 2 / 32 in two parts
  const simd::vec power = simd::power_of_sixteenths(sixteenth_roots::nearest, shifted);
  const simd::vec square = r * r;
  const simd::vec q = fma(set(-4.0f / 3), r, set(2.0f + 3.9e-5f));
  if constexpr (Exact) {
    const simd::vec lack =
        simd::fnma(n, set(-1.19040894e-10f), simd::look_up_16(sixteenth_roots::lack, shifted));
    return {power, fma(q, square, fma(set(-2.0f), r, lack))};
  } else {
    return {power, fma(q, square, set(-2.0f) * r)};
  }
}

/// Functions of a stream. What is a sigmoid's comes in times `before_sigmoid`; `mixed` takes
/// sigmoids where `gates` is true and tanh elsewhere.
template <bool Exact>
struct stream_math {
  static constexpr float before_sigmoid = simd::tables_are_registers ? 0.5f : 1.0f;

  static simd::vec tanh(simd::vec x) {
    if constexpr (simd::tables_are_registers) {
      return simd::copy_sign(tanh_of_magnitude(simd::absolute(x)), x);
    } else if constexpr (Exact) {
      return host::tanh(x);
    } else {
      const simd::vec bounded = simd::smaller(simd::set(10.0f), simd::absolute(x));
      const exp_parts parts = split_exp(bounded + bounded);
      const simd::vec scale = simd::power_of_shifted(parts.shifted);
      const simd::vec e = simd::fma(parts.minus_1, scale, scale - simd::set(1.0f));
      return simd::copy_sign(e / (e + simd::set(2.0f)), x);
    }
  }

  static simd::vec sigmoid(simd::vec x) {
    const simd::vec one = simd::set(1.0f);
    if constexpr (simd::tables_are_registers) {
      const falling_exp parts = exp_of_minus_twice<Exact>(simd::absolute(x));
      const simd::vec e = simd::fma(parts.power, parts.p, parts.power);
      const simd::vec sum = one + e;
      const simd::vec y = simd::select(x < simd::zero(), e, one) / sum;
      if constexpr (!Exact) return y;
      return simd::fnma(y, e - (sum - one), y);  // what rounding the sum lost
    } else if constexpr (Exact) {
      return host::sigmoid(x);
    } else {
      const simd::vec bounded =
          simd::larger(simd::set(-87.0f), simd::smaller(simd::set(87.0f), simd::zero() - x));
      const exp_parts parts = split_exp(bounded);
      const simd::vec scale = simd::power_of_shifted(parts.shifted);
      return one / (one + simd::fma(parts.minus_1, scale, scale));
    }
  }

  static simd::vec mixed(simd::vec x, simd::mask gates) {
    if constexpr (simd::tables_are_registers) {
      const simd::vec one = simd::set(1.0f);
      const simd::vec a = simd::absolute(x);
      const falling_exp parts = exp_of_minus_twice<Exact>(a);
      const simd::vec e = simd::fma(parts.power, parts.p, parts.power);
      if constexpr (Exact) {  // both are factor T + rest: 1 - e below loses digits
        const simd::mask below = gates & (x < simd::zero());
        const simd::vec half = simd::set(0.5f);
        const simd::vec half_e = e * half;
        const simd::vec factor = simd::select(gates, half, simd::copy_sign(one, x));
        const simd::vec rest = simd::select(gates, half, simd::zero());
        return simd::fma(simd::select(below, half_e, factor), tanh_of_magnitude(a),
                         simd::select(below, half_e, rest));
      }
      const simd::vec rest = simd::fnma(parts.power, parts.p, one - parts.power);  // 1 - e
      const simd::vec gate = simd::select(x < simd::zero(), e, one);
      return simd::select(gates, gate, simd::copy_sign(rest, x)) / (one + e);
    } else {
      return simd::select(gates, sigmoid(x), tanh(x));
    }
  }
};

/// At most 2 units of the last place.
using accurate_math = stream_math<true>;
/// Fewer instructions, some units of the last place.
using quick_math = stream_math<false>;

}  // namespace tessera::host
