#pragma once

// The vector unit's functions: exp, log, tanh, sigmoid.
//
// Own polynomials with explicit fused multiply-adds: the same bits on every host and compiler,
// which no mathematical library promises. Errors are below 2 units in the last place of an f32, far
// below the half that most results are stored in.
//
//   exp      x = n ln2 + r, |r| <= ln2 / 2; 1 + r + r^2 P4(r); times 2^n in two exact steps
//   log      x = 2^n m, m in [sqrt(1/2), sqrt(2)); s = (m - 1) / (m + 1); 2 s + s^3 P2(s^2)
//   tanh     |x| < 0.625: x + x^3 P4(x^2); else 1 - 2 / (exp(2 |x|) + 1)
//   sigmoid  1 / (1 + exp(-x))
//
// Source of the reductions: Cody, Waite 1980. Polynomials interpolate at Chebyshev nodes.

#include <tessera/backends/accelerator/vector.hpp>

namespace tessera::accelerator {

inline whole_lanes bits_of(lanes x) { return std::bit_cast<whole_lanes>(x); }
inline lanes from_bits(whole_lanes x) { return std::bit_cast<lanes>(x); }

/// e^x; infinite above 88.7, 0 below -104, NaN for NaN.
inline lanes exp(lanes x) {
  x = select(x > set(89.0f), set(89.0f), x);
  x = select(x < set(-104.0f), set(-104.0f), x);
  // Adding 1.5 2^23 leaves the nearest whole number in the low bits.
  const lanes shifted = fma(x, set(1.44269504f), set(12582912.0f));
  const lanes n = shifted - set(12582912.0f);
  const whole_lanes power = bits_of(shifted) - 0x4b400000;
  // ln2 in two parts; n times the first is exact.
  lanes r = fma(n, set(-0x1.62e4p-1f), x);
  r = fma(n, set(-1.42860682e-6f), r);
  lanes p = set(0.001392692661f);
  p = fma(p, r, set(0.008363773874f));
  p = fma(p, r, set(0.04166655011f));
  p = fma(p, r, set(0.1666657338f));
  p = fma(p, r, set(0.5f));
  p = fma(p, r, set(1.0f));
  p = fma(p, r, set(1.0f));
  // Two factors, so that results beyond the normal range round once, at the second.
  const whole_lanes first = power >> 1;
  const lanes scaled = p * from_bits((first + 127) << 23);
  return scaled * from_bits((power - first + 127) << 23);
}

/// Natural logarithm; -infinity for 0, NaN below.
inline lanes log(lanes x) {
  const whole_lanes tiny = x < set(0x1p-126f);
  const lanes normal = select(tiny, x * set(0x1p23f), x);
  const whole_lanes offset = bits_of(normal) - 0x3f3504f3;  // sqrt(1/2)
  const whole_lanes power = offset >> 23;
  const lanes m = from_bits(bits_of(normal) - (power << 23));
  const lanes n = __builtin_convertvector(power, lanes) + select(tiny, set(-23.0f), set(0.0f));
  const lanes s = (m - set(1.0f)) / (m + set(1.0f));
  const lanes u = s * s;
  lanes p = set(0.29581486f);
  p = fma(p, u, set(0.3998874668f));
  p = fma(p, u, set(0.6666668512f));
  const lanes cube = u * s;
  // n ln2 in two parts, the small one first.
  const lanes tail = fma(n, set(1.42860682e-6f), cube * p);
  lanes y = fma(n, set(0x1.62e4p-1f), fma(set(2.0f), s, tail));
  const float infinity = __builtin_inff();
  y = select(x == set(infinity), x, y);
  y = select(x == set(0.0f), set(-infinity), y);
  return select((x < set(0.0f)) | (x != x), set(__builtin_nanf("")), y);
}

inline lanes tanh(lanes x) {
  const lanes magnitude = from_bits(bits_of(x) & 0x7fffffff);
  const lanes u = x * x;
  lanes p = set(-0.006096714166f);
  p = fma(p, u, set(0.020997179f));
  p = fma(p, u, set(-0.05385090958f));
  p = fma(p, u, set(0.1333276974f));
  p = fma(p, u, set(-0.3333332894f));
  const lanes small = fma(x * u, p, x);
  const lanes e = exp(magnitude + magnitude);
  const lanes large = set(1.0f) - set(2.0f) / (e + set(1.0f));
  const whole_lanes sign = bits_of(x) & static_cast<i32>(0x80000000u);
  const lanes y = select(magnitude < set(0.625f), small, large);
  return from_bits(bits_of(y) | sign);  // small ones have it, but for -0
}

inline lanes sigmoid(lanes x) { return set(1.0f) / (set(1.0f) + exp(-x)); }

/// The same for one number: a lane of the vector form.
inline float exp_of(float x) { return exp(set(x))[0]; }
inline float log_of(float x) { return log(set(x))[0]; }

}  // namespace tessera::accelerator
