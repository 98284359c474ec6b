#pragma once

// exp, tanh and sigmoid of vectors of floats.
//
//   exp      x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by a polynomial of degree 6; times 2^n in
//            two steps, so that subnormal results come out rounded and not as 0
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

#include <limits>

#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// exp(r) - 1 = r + r^2 q(r), |r| <= ln 2 / 2; and n of the reduction x = n ln 2 + r.
struct exp_parts {
  simd::vec power;    // n
  simd::vec minus_1;  // exp(r) - 1
};

inline exp_parts split_exp(simd::vec x) {
  using simd::set;
  const simd::vec n = simd::round_nearest(x * set(1.44269504088896341f));
  // ln 2 in two parts; the first has 15 bits, so n times it is exact.
  simd::vec r = simd::fnma(n, set(0.693145751953125f), x);
  r = simd::fnma(n, set(1.42860682030941723212e-6f), r);
  simd::vec q = set(1.0f / 5040);
  q = simd::fma(q, r, set(1.0f / 720));
  q = simd::fma(q, r, set(1.0f / 120));
  q = simd::fma(q, r, set(1.0f / 24));
  q = simd::fma(q, r, set(1.0f / 6));
  q = simd::fma(q, r, set(0.5f));
  return {n, simd::fma(q, r * r, r)};
}

/// a / (b + c) with |b| >= |c|: what the sum's rounding loses is put back into the quotient.
inline simd::vec quotient_of_sum(simd::vec a, simd::vec b, simd::vec c) {
  const simd::vec whole = b + c;
  const simd::vec lost = c - (whole - b);
  const simd::vec inverse = simd::set(1.0f) / whole;
  const simd::vec first = a * inverse;
  const simd::vec rest = simd::fnma(first, lost, simd::fnma(first, whole, a));
  return simd::fma(rest, inverse, first);
}

/// e^x; at least 0, infinite from 88.7229 on.
inline simd::vec exp(simd::vec x) {
  using simd::set;
  // Beyond these bounds the result is infinite or 0; NaN passes the selections.
  simd::vec bounded = simd::select(x > set(89.0f), set(89.0f), x);
  bounded = simd::select(bounded < set(-104.0f), set(-104.0f), bounded);
  const exp_parts parts = split_exp(bounded);
  const simd::vec half_power = simd::round_nearest(parts.power * set(0.5f));
  const simd::vec first = simd::power_of_two(half_power);
  const simd::vec second = simd::power_of_two(parts.power - half_power);
  const simd::vec y = (parts.minus_1 + set(1.0f)) * first * second;
  return simd::select(simd::is_nan(x), x, y);
}

inline simd::vec tanh(simd::vec x) {
  using simd::set;
  const simd::vec size = simd::absolute(x);
  // From 9.02 on the nearest float is 1.
  const simd::vec bounded = simd::select(size > set(10.0f), set(10.0f), size);
  const exp_parts parts = split_exp(bounded + bounded);
  const simd::vec scale = simd::power_of_two(parts.power);
  const simd::vec e = simd::fma(parts.minus_1, scale, scale - set(1.0f));
  // For e > 2 the sum's rounding is below a quarter of what matters: tanh is near 1.
  const simd::vec y = simd::copy_sign(quotient_of_sum(e, set(2.0f), e), x);
  return simd::select(simd::is_nan(x), x, y);
}

inline simd::vec sigmoid(simd::vec x) {
  using simd::set;
  const simd::vec one = set(1.0f);
  const simd::vec e = exp(simd::zero() - simd::absolute(x));
  return quotient_of_sum(simd::select(x < simd::zero(), e, one), one, e);
}

}  // namespace tessera::host
