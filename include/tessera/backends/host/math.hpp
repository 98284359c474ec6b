#pragma once

// exp, log, tanh and sigmoid of vectors of floats.
//
//   exp      x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by a polynomial of degree 6; times 2^n in
//            two steps, so that subnormal results come out rounded and not as 0
//   log      x = 2^n m with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1);
//            log m = 2 s + s^3 q(s^2)
//   tanh     e = exp(2 |x|) - 1, tanh = e / (e + 2) with x's sign; e from exp(r) - 1 before it is
//            scaled, so nothing cancels near 0
//   sigmoid  e = exp(-|x|); 1 / (1 + e) for x >= 0, e / (1 + e) below: no overflow, and small
//            results keep all their digits
//
// Every product that feeds a sum is an explicit fma, so the bits depend neither on the compiler
// nor on the vector width. Largest errors, found by comparing every 97th float with double
// precision: see tests/backends/host_math.cpp, which states and checks them. Infinities give the
// limits, NaN gives NaN.
// Source: Cody, Waite 1980, Software Manual for the Elementary Functions (range reduction).

#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// x = n ln 2 + r.
struct exp_parts {
  simd::vec scale;    // 2^n, n from -126 to 127; 0 for n = -127
  simd::vec power;    // n
  simd::vec minus_1;  // exp(r) - 1 = r + r^2 q(r)
};

inline exp_parts split_exp(simd::vec x) {
  using simd::fma;
  using simd::set;
  const simd::vec shift = set(simd::whole_number_shift);
  const simd::vec shifted = fma(x, set(1.44269504088896341f), shift);
  const simd::vec n = shifted - shift;
  // ln 2 in two parts; the first has 15 bits, so n times it is exact.
  simd::vec r = simd::fnma(n, set(0.693145751953125f), x);
  r = simd::fnma(n, set(1.42860682030941723212e-6f), r);
  // exp(r) - 1 to 1.4e-8 of itself (Remez). In pairs (Estrin): three steps in a row, not four.
  const simd::vec square = r * r;
  const simd::vec low = fma(set(0x1.5554b6p-3f), r, set(0.5f));
  const simd::vec middle = fma(set(0x1.122414p-7f), r, set(0x1.5555b0p-5f));
  const simd::vec high = fma(set(0x1.6c610ap-10f), square, middle);
  const simd::vec q = fma(high, square, low);
  return {simd::power_of_shifted(shifted), n, fma(q, square, r)};
}

/// e^x; at least 0, infinite from 88.7229 on.
inline simd::vec exp(simd::vec x) {
  using simd::set;
  // Beyond these bounds the result is infinite or 0. NaN, as the second operand, stays.
  const simd::vec bounded = simd::larger(set(-104.0f), simd::smaller(set(89.0f), x));
  const exp_parts parts = split_exp(bounded);
  return simd::times_power(parts.minus_1 + set(1.0f), parts.power);
}

/// Natural logarithm of normal numbers above 0.
inline simd::vec log(simd::vec x) {
  using simd::fma;
  using simd::set;
  simd::vec n;
  const simd::vec m = simd::split_power(x, n);
  const simd::vec s = (m - set(1.0f)) / (m + set(1.0f));
  const simd::vec u = s * s;
  // 2 / 3 + 2 / 5 u + ..., bent to the interval (Chebyshev nodes)
  const simd::vec q = fma(fma(set(0.29581486f), u, set(0.3998874668f)), u, set(0.6666668512f));
  // n ln 2 in two parts, the small one first.
  const simd::vec tail = fma(n, set(1.42860682030941723212e-6f), u * s * q);
  return fma(n, set(0.693145751953125f), fma(set(2.0f), s, tail));
}

inline simd::vec tanh(simd::vec x) {
  using simd::set;
  // From 9.02 on the nearest float is 1. NaN, as the second operand, stays.
  const simd::vec bounded = simd::smaller(set(10.0f), simd::absolute(x));
  const exp_parts parts = split_exp(bounded + bounded);
  const simd::vec e = simd::fma(parts.minus_1, parts.scale, parts.scale - set(1.0f));
  const simd::vec sum = e + set(2.0f);
  const simd::vec y = e / sum;
  // What rounding the sum lost goes back into the quotient: y lost / sum, with 1 / sum = (1 - y)
  // / 2.
  const simd::vec rest = simd::smaller(e, set(2.0f)) - (sum - simd::larger(e, set(2.0f)));
  const simd::vec lost = rest * set(0.5f);
  return simd::copy_sign(simd::fnma(lost, simd::fnma(y, y, y), y), x);
}

/// 1 / (1 + e^-x)
inline simd::vec sigmoid(simd::vec x) {
  using simd::set;
  const simd::vec one = set(1.0f);
  const simd::vec e = exp(simd::zero() - simd::absolute(x));
  const simd::vec above = simd::select(x < simd::zero(), e, one);
  // As in tanh, with the quotient's own rounding put right on the way.
  const simd::vec sum = one + e;
  const simd::vec lost = e - (sum - one);
  const simd::vec inverse = one / sum;
  const simd::vec first = above * inverse;
  const simd::vec rest = simd::fnma(first, lost, simd::fnma(first, sum, above));
  return simd::fma(rest, inverse, first);
}

}  // namespace tessera::host
