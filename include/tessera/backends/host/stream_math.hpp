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
// Look-ups and multiply-adds share a pipe there, one of either a cycle. Several vectors go in step
// (vec_group), so that what waits stands beside what need not: a scheduler holds 64 instructions.
//
// Largest errors over all floats (tests/backends/host_math.cpp states and checks them): tanh 1.55,
// sigmoid 1.81 units of the last place; quick_math: 1.55 and 4.5, tanh in mixed 6.7.
// Sigmoids below -86.6 stay at 2.4e-38. Without AVX-512 there are no tables in registers, and these
// are host::tanh and host::sigmoid.
// Source: Gal 1986 (accurate tables); coefficients by least squares at Chebyshev's nodes.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/simd_table.hpp>
#include <tessera/backends/host/stream_tables.hpp>
#include <type_traits>

namespace tessera::host {

/// `N` vectors on which the same is done.
template <i32 N>
struct vec_group {
  simd::vec of[N];
};

/// f of the first vectors of all, f of the second, ...
template <i32 N, class Function, class... Groups>
[[gnu::always_inline]] inline vec_group<N> in_step(const Function& f, const vec_group<N>& first,
                                                   const Groups&... more) {
  vec_group<N> y;
  TESSERA_UNROLL
  for (i32 i = 0; i < N; ++i) y.of[i] = f(first.of[i], more.of[i]...);
  return y;
}

template <i32 N>
[[gnu::always_inline]] inline vec_group<N> magnitudes(const vec_group<N>& x) {
  return in_step([](simd::vec v) { return simd::absolute(v); }, x);
}

/// tanh(a) for a >= 0.
template <i32 N>
[[gnu::always_inline]] inline vec_group<N> tanh_of_magnitude(const vec_group<N>& a) {
  using simd::fma;
  using simd::vec;
  using table = tanh_segments;
  // NaN stays.
  const auto bounded = in_step([](vec v) { return simd::smaller(simd::set(table::end), v); }, a);
  simd::entry_numbers n[N];
  TESSERA_UNROLL
  for (i32 i = 0; i < N; ++i) {
    n[i] = simd::bits_from<21>(bounded.of[i] + simd::set(table::shift));
  }
  const auto look_up = [&](const float* entries) {
    vec_group<N> found;
    TESSERA_UNROLL
    for (i32 i = 0; i < N; ++i) found.of[i] = simd::look_up_16(entries, n[i]);
    return found;
  };
  const auto multiply_add = [](vec x, vec y, vec z) { return fma(x, y, z); };
  const auto r =
      in_step([](vec v, vec center) { return v - center; }, bounded, look_up(table::center));
  const auto square = in_step([](vec v) { return v * v; }, r);
  // One look-up a cycle: those that are wanted first come first.
  const auto c5 = look_up(table::c5);
  const auto high = in_step(multiply_add, c5, r, look_up(table::c4));
  const auto highest = in_step(multiply_add, look_up(table::c6), square, high);
  const auto c3 = look_up(table::c3);
  const auto middle = in_step(multiply_add, c3, r, look_up(table::c2));
  const auto c1 = look_up(table::c1);
  const auto low = in_step(multiply_add, c1, r, look_up(table::c0));
  return in_step(multiply_add, in_step(multiply_add, highest, square, middle), square, low);
}

/// exp(-2 a) = power (1 + p).
template <i32 N>
struct falling_exp {
  vec_group<N> power;
  vec_group<N> p;

  /// exp(-2 a)
  vec_group<N> value() const {
    return in_step([](simd::vec w, simd::vec v) { return simd::fma(w, v, w); }, power, p);
  }
};

/// For a >= 0; stays at 2.4e-38 from a = 43.3 on.
///
/// a = r - n ln 2 / 32 with |r| <= ln 2 / 64; not `Exact`: without what the table lacks.
template <bool Exact, i32 N>
[[gnu::always_inline]] inline falling_exp<N> exp_of_minus_twice(const vec_group<N>& a) {
  using simd::fma;
  using simd::set;
  using simd::vec;
  const vec shift = set(simd::whole_number_shift);
  const auto bounded = in_step([](vec v) { return simd::smaller(set(43.3f), v); }, a);
  const auto shifted = in_step([&](vec v) { return fma(v, set(-46.1662413f), shift); }, bounded);
  const auto n = in_step([&](vec v) { return v - shift; }, shifted);
  // ln 2 / 32 in two parts
  const auto r = in_step([](vec m, vec v) { return fma(m, set(0.0216608495f), v); }, n, bounded);
  const auto power = in_step(
      [](vec v) { return simd::power_of_sixteenths(sixteenth_roots::nearest, v); }, shifted);
  const auto square = in_step([](vec v) { return v * v; }, r);
  const auto q = in_step([](vec v) { return fma(set(-4.0f / 3), v, set(2.0f + 3.9e-5f)); }, r);
  const auto first = in_step(
      [](vec v, vec m, vec s) {
        if constexpr (!Exact) return set(-2.0f) * v;
        const vec lack = simd::look_up_16(sixteenth_roots::lack, s);
        return fma(set(-2.0f), v, simd::fnma(m, set(-1.19040894e-10f), lack));
      },
      r, n, shifted);
  return {power, in_step([](vec x, vec y, vec z) { return fma(x, y, z); }, q, square, first)};
}

/// Functions of a stream, of one vector or of several in step. What is a sigmoid's comes in times
/// `before_sigmoid`; `mixed` takes sigmoids where `gates` is true and tanh elsewhere.
template <bool Exact>
struct stream_math {
  static constexpr float before_sigmoid = simd::tables_are_registers ? 0.5f : 1.0f;

  template <i32 N>
  [[gnu::always_inline]] static vec_group<N> tanh(const vec_group<N>& x) {
    if constexpr (simd::tables_are_registers) {
      return in_step([](simd::vec y, simd::vec v) { return simd::copy_sign(y, v); },
                     tanh_of_magnitude(magnitudes(x)), x);
    } else {
      return in_step([](simd::vec v) { return Exact ? host::tanh(v) : quick_tanh(v); }, x);
    }
  }

  template <i32 N>
  [[gnu::always_inline]] static vec_group<N> sigmoid(const vec_group<N>& x) {
    if constexpr (simd::tables_are_registers) {
      return sigmoid_of_exp(x, exp_of_minus_twice<Exact>(magnitudes(x)).value());
    } else {
      return in_step([](simd::vec v) { return Exact ? host::sigmoid(v) : quick_sigmoid(v); }, x);
    }
  }

  [[gnu::always_inline]] static simd::vec tanh(simd::vec x) {
    return tanh(vec_group<1>{{x}}).of[0];
  }
  [[gnu::always_inline]] static simd::vec sigmoid(simd::vec x) {
    return sigmoid(vec_group<1>{{x}}).of[0];
  }

  [[gnu::always_inline]] static simd::vec mixed(simd::vec x, simd::mask gates) {
    return mixed_first(vec_group<1>{{x}}, gates).of[0];
  }

  /// `mixed` of the first vector, sigmoids of the others.
  template <i32 N>
  [[gnu::always_inline]] static vec_group<N> mixed_first(const vec_group<N>& x, simd::mask gates) {
    using simd::vec;
    vec_group<N> y;
    if constexpr (simd::tables_are_registers) {
      const vec one = simd::set(1.0f);
      const auto a = magnitudes(x);
      const falling_exp<N> parts = exp_of_minus_twice<Exact>(a);
      const auto e = parts.value();
      y = sigmoid_of_exp(x, e);
      if constexpr (Exact) {  // both are factor T + rest: 1 - e below loses digits
        const simd::mask below = gates & (x.of[0] < simd::zero());
        const vec half = simd::set(0.5f);
        const vec half_e = e.of[0] * half;
        const vec factor =
            simd::select(below, half_e, simd::select(gates, half, simd::copy_sign(one, x.of[0])));
        const vec rest = simd::select(below, half_e, simd::select(gates, half, simd::zero()));
        y.of[0] = simd::fma(factor, tanh_of_magnitude(vec_group<1>{{a.of[0]}}).of[0], rest);
      } else {
        const vec power = parts.power.of[0];
        const vec rest = simd::fnma(power, parts.p.of[0], one - power);  // 1 - e
        const vec tangent = simd::copy_sign(rest, x.of[0]) / (one + e.of[0]);
        y.of[0] = simd::select(gates, y.of[0], tangent);
      }
    } else {
      y = sigmoid(x);
      y.of[0] = simd::select(gates, y.of[0], tanh(x.of[0]));
    }
    return y;
  }

 private:
  /// Sigmoids of 2 x with e = exp(-2 |x|).
  template <i32 N>
  [[gnu::always_inline]] static vec_group<N> sigmoid_of_exp(const vec_group<N>& x,
                                                            const vec_group<N>& e) {
    using simd::vec;
    const vec one = simd::set(1.0f);
    const auto sum = in_step([&](vec v) { return one + v; }, e);
    const auto above =
        in_step([&](vec v, vec ev) { return simd::select(v < simd::zero(), ev, one); }, x, e);
    const auto y = in_step([](vec v, vec s) { return v / s; }, above, sum);
    if constexpr (!Exact) return y;
    const auto lost =
        in_step([&](vec ev, vec s) { return ev - (s - one); }, e, sum);  // by rounding
    return in_step([](vec v, vec l) { return simd::fnma(v, l, v); }, y, lost);
  }

  static simd::vec quick_tanh(simd::vec x) {
    const simd::vec bounded = simd::smaller(simd::set(10.0f), simd::absolute(x));
    const exp_parts parts = split_exp(bounded + bounded);
    const simd::vec scale = parts.scale;
    const simd::vec e = simd::fma(parts.minus_1, scale, scale - simd::set(1.0f));
    return simd::copy_sign(e / (e + simd::set(2.0f)), x);
  }

  static simd::vec quick_sigmoid(simd::vec x) {
    const simd::vec one = simd::set(1.0f);
    const simd::vec bounded =
        simd::larger(simd::set(-87.0f), simd::smaller(simd::set(87.0f), simd::zero() - x));
    const exp_parts parts = split_exp(bounded);
    const simd::vec scale = parts.scale;
    return one / (one + simd::fma(parts.minus_1, scale, scale));
  }
};

/// At most 2 units of the last place.
using accurate_math = stream_math<true>;
/// Fewer instructions, some units of the last place.
using quick_math = stream_math<false>;

}  // namespace tessera::host
