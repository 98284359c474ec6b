#pragma once

// Functions of vectors that the host and the accelerator model have in common.
//
// Written once over a `Math`, which supplies the vector type and about a dozen operations on it
// (host/vector_math.hpp, accelerator/lanes_math.hpp). Every product that feeds a sum is an explicit
// fused multiply-add, so a backend whose basic operations are exactly defined has exactly defined
// functions too.
//
//   expm1_below   e^x - 1 for x <= 0       x = n ln 2 + r; (exp(r) - 1) 2^n + (2^n - 1)
//   log1p_of_exp  log(1 + e), 0 <= e <= 1  s = e / (2 + e); 2 atanh(s) = 2 s + s^3 q(s^2)
//   normal        Phi(-u), u >= 0          exp(-u^2 / 2) P(t) / (u + 4), t = (u - 4) / (u + 4);
//                                          what rounding u^2 and u + 4 has lost is put back in
//
// Errors in units of the last place, against double precision over every 997th float: expm1 0.85,
// log1p 1.87, Phi 4.5, exp(-x^2 / 2) 1.46 (tests/backends/host_activations.cpp states and checks
// them, and those of the activations). Polynomials interpolate at Chebyshev nodes. NaN gives NaN.

#include <tessera/core/types.hpp>

namespace tessera::formulas {

/// e^x - 1 for x <= 0, without cancellation near 0.
template <class Math>
typename Math::vec expm1_below(typename Math::vec x) {
  using vec = typename Math::vec;
  constexpr auto set = Math::set;
  constexpr auto fma = Math::fma;
  // Below -87 the nearest float is -1. NaN, as the second operand, stays.
  const vec bounded = Math::larger(set(-87.0f), x);
  const vec shifted = fma(bounded, set(1.44269504f), set(12582912.0f));
  const vec n = shifted - set(12582912.0f);
  vec r = fma(n, set(-0x1.62e4p-1f), bounded);  // ln 2 in two parts; n times the first is exact
  r = fma(n, set(-1.42860682e-6f), r);
  vec q = fma(set(1.0f / 5040), r, set(1.0f / 720));
  q = fma(q, r, set(1.0f / 120));
  q = fma(q, r, set(1.0f / 24));
  q = fma(q, r, set(1.0f / 6));
  q = fma(q, r, set(0.5f));
  const vec minus_1 = fma(q, r * r, r);
  const vec power = Math::power_of_shifted(shifted);
  return fma(minus_1, power, power - set(1.0f));
}

/// log(1 + e) for e from 0 to 1.
template <class Math>
typename Math::vec log1p_of_exp(typename Math::vec e) {
  using vec = typename Math::vec;
  constexpr auto set = Math::set;
  constexpr auto fma = Math::fma;
  const vec s = e / (e + set(2.0f));
  const vec u = s * s;
  vec q = fma(set(0.268514980229f), u, set(0.282366198053f));
  q = fma(q, u, set(0.400075606449f));
  q = fma(q, u, set(0.666666403367f));
  return fma(u * s, q, s + s);
}

/// sigmoid(x) and 1 - sigmoid(x), for derivatives: to 3 units of the last place while both are
/// normal, at x below -88 what belongs to -88.
template <class Math>
struct sigmoid_pair {
  using vec = typename Math::vec;
  vec value;
  vec rest;

  explicit sigmoid_pair(vec x) {
    const vec e = Math::exp(Math::smaller(Math::set(88.0f), -x));
    value = Math::set(1.0f) / (e + Math::set(1.0f));
    rest = e * value;
  }
};

/// The normal distribution at x: what lies below, and the density's exponential exp(-x^2 / 2).
template <class Math>
struct normal {
  using vec = typename Math::vec;
  vec below;        // Phi(x)
  vec exponential;  // sqrt(2 pi) phi(x)

  explicit normal(vec x) {
    constexpr auto set = Math::set;
    constexpr auto fma = Math::fma;
    // Beyond 15 the tail is 0. NaN, as the second operand, stays.
    const vec u = Math::smaller(set(15.0f), Math::absolute(x));
    const vec square = u * u;
    const vec lost = fma(u, u, -square);
    const vec e = Math::exp(square * set(-0.5f));
    exponential = fma(e * set(-0.5f), lost, e);
    const vec d = u + set(4.0f);
    const vec w = set(1.0f) / d;
    const vec t = fma(w, set(-8.0f), set(1.0f));
    vec p = fma(set(-0.000125558385602f), t, set(0.00018899651942f));
    p = fma(p, t, set(0.00156688168778f));
    p = fma(p, t, set(-0.00352097282399f));
    p = fma(p, t, set(-0.00752540241821f));
    p = fma(p, t, set(0.0604061855143f));
    p = fma(p, t, set(-0.186523306758f));
    p = fma(p, t, set(0.38713668307f));
    p = fma(p, t, set(-0.607896594145f));
    p = fma(p, t, set(0.755285138596f));
    vec r = p * w;
    // r belongs to 1 / w - 4, which differs from u by what rounding d and w has lost; its
    // derivative is u r - 1 / sqrt(2 pi).
    const vec off = fma(-d, fma(-w, d, set(1.0f)), u - (d - set(4.0f)));
    r = fma(off, fma(u, r, set(-0.398942280f)), r);
    const vec tail = exponential * r;
    below = Math::select(x > set(0.0f), set(1.0f) - tail, tail);
  }
};

}  // namespace tessera::formulas
