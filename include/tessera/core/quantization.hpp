#pragma once

// Whole numbers for real ones: how values become 8 bits, and how sums of their products become 8
// bits again. All of it exact, all of it constexpr.
//
//   affine                real = scale (q - zero_point), q in -128..127
//   q31 multiplier        real factor = multiplier 2^(shift - 31), multiplier in [2^30, 2^31)
//   dynamic fixed point   real = q 2^-fractional_length, one length for a whole tensor
//
// Rounding is half away from zero. A sum of products is rescaled in two roundings, as TensorFlow
// Lite does: once to the upper half of a product of 32 bits each, once by the shift to the right.
// Results beyond a range become its end; NaN becomes the zero point.
// Sources: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
// Integer-Arithmetic-Only Inference; Courbariaux, Bengio, David 2015 (dynamic fixed point).

#include <tessera/core/types.hpp>

namespace tessera {

/// The smallest and the largest of a signed 8-bit number.
inline constexpr i32 least_i8 = -128;
inline constexpr i32 most_i8 = 127;

/// real = scale (q - zero_point).
struct affine {
  float scale = 1;
  i32 zero_point = 0;

  friend constexpr bool operator==(const affine&, const affine&) = default;
};

/// real factor = multiplier 2^(shift - 31).
struct fixed_multiplier {
  i32 multiplier = 0;
  i32 shift = 0;

  friend constexpr bool operator==(const fixed_multiplier&, const fixed_multiplier&) = default;
};

/// x at least `low`, at most `high`.
constexpr i64 bounded(i64 x, i64 low, i64 high) { return x < low ? low : x > high ? high : x; }

/// x as an i32, the nearest that there is.
constexpr i32 saturate_i32(i64 x) {
  return static_cast<i32>(bounded(x, -2147483648LL, 2147483647));
}

/// The nearest whole number, half away from zero; beyond +-2^53 and for NaN the ends and 0.
constexpr i64 round_half_away(double x) {
  constexpr double most = 0x1p53;
  if (x != x) return 0;
  if (x >= most) return i64{1} << 53;
  if (x <= -most) return -(i64{1} << 53);
  const i64 whole = static_cast<i64>(x);               // towards zero
  const double rest = x - static_cast<double>(whole);  // exact
  return whole + (rest >= 0.5 ? 1 : rest <= -0.5 ? -1 : 0);
}

/// q of x, in low..high: the quotient is one f32 division.
constexpr i32 quantize_value(float x, float scale, i32 zero_point, i32 low = least_i8,
                             i32 high = most_i8) {
  const double q = static_cast<double>(x / scale);
  return static_cast<i32>(bounded(round_half_away(q) + zero_point, low, high));
}

/// The 32-bit whole number for x in units of `scale`, with the quotient in double: biases, in units
/// of the products that they are added to.
constexpr i32 quantize_wide(double x, double scale, i32 zero_point = 0) {
  return saturate_i32(round_half_away(x / scale) + zero_point);
}

/// scale (q - zero_point).
constexpr float dequantize_value(i32 q, float scale, i32 zero_point) {
  return static_cast<float>(i64{q} - zero_point) * scale;
}

/// The affine rule whose 256 numbers span low..high, widened to hold 0, so that 0 is exact:
/// scale = (high - low) / 255 as f32, zero_point = round(-128 - low / scale). A range without
/// extent, or of NaN, gives scale 1 and zero point 0.
constexpr affine choose_affine(double low, double high) {
  if (!(low < 0)) low = 0;
  if (!(high > 0)) high = 0;
  const float scale = static_cast<float>((high - low) / 255);
  if (!(scale > 0)) return {};
  const i64 zero = round_half_away(least_i8 - low / static_cast<double>(scale));
  return {scale, static_cast<i32>(bounded(zero, least_i8, most_i8))};
}

/// The scale of the symmetric rule (zero point 0) whose -127..127 span +-largest; 1 where that is
/// 0 or NaN.
constexpr float choose_symmetric(double largest) {
  const float scale = static_cast<float>((largest < 0 ? -largest : largest) / 127);
  return scale > 0 ? scale : 1.0f;
}

/// `real`, not negative, as multiplier and shift, the multiplier rounded half away from zero. 0,
/// NaN and what is below 2^-32 give 0; what is beyond 2^30 gives the largest.
constexpr fixed_multiplier choose_multiplier(double real) {
  if (!(real > 0)) return {};
  i32 shift = 0;
  for (; real >= 1 && shift < 64; ++shift) real /= 2;
  for (; real < 0.5 && shift > -64; --shift) real *= 2;
  i64 multiplier = round_half_away(real * 0x1p31);
  if (multiplier == i64{1} << 31) {
    multiplier /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  if (shift > 30) return {2147483647, 30};
  return {static_cast<i32>(multiplier), shift};
}

/// The upper half of the doubled product of two 32-bit numbers, rounded: a b / 2^31, half up. Only
/// (-2^31)^2 does not fit and becomes 2^31 - 1.
constexpr i32 rounding_doubling_high_mul(i32 a, i32 b) {
  return saturate_i32((i64{a} * b + (i64{1} << 30)) >> 31);
}

/// x / 2^exponent, half away from zero; 0 <= exponent <= 31.
constexpr i32 rounding_divide_by_power(i32 x, i32 exponent) {
  const i64 mask = (i64{1} << exponent) - 1;
  const i64 rest = x & mask;
  const i64 threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return static_cast<i32>((i64{x} >> exponent) + (rest > threshold ? 1 : 0));
}

/// sum times the factor: the shift to the left first (a sum that leaves 32 bits becomes their end),
/// then the two roundings.
constexpr i32 rescale(i32 sum, fixed_multiplier by) {
  const i32 left = by.shift > 0 ? by.shift : 0;
  const i32 right = by.shift > 0 ? 0 : -by.shift;
  const i32 shifted = saturate_i32(i64{sum} * (i64{1} << (left < 31 ? left : 31)));
  return rounding_divide_by_power(rounding_doubling_high_mul(shifted, by.multiplier),
                                  right < 31 ? right : 31);
}

/// sum 2^shift in one rounding, half away from zero: dynamic fixed point.
constexpr i32 rescale_by_power(i32 sum, i32 shift) {
  if (shift >= 0) return saturate_i32(i64{sum} * (i64{1} << (shift < 31 ? shift : 31)));
  const i32 right = -shift < 62 ? -shift : 62;
  const i64 half = i64{1} << (right - 1);
  const i64 magnitude = sum < 0 ? -i64{sum} : i64{sum};
  const i64 rounded = (magnitude + half) >> right;
  return static_cast<i32>(sum < 0 ? -rounded : rounded);
}

/// The fractional length of a tensor whose largest magnitude is `largest`: 8 bits, of which
/// ceil(log2 largest) + 1 are before the point, sign included. A largest of exactly 2^n has the
/// length of what is just below it and saturates. 0 and NaN count as 1; lengths end at +-64.
constexpr i32 choose_fractional_length(double largest) {
  if (largest < 0) largest = -largest;
  if (!(largest > 0)) largest = 1;
  i32 log = 0;  // ceil(log2 largest)
  double power = 1;
  for (; power < largest && log < 71; ++log) power *= 2;
  for (; power / 2 >= largest && log > -57; --log) power /= 2;
  return 8 - (log + 1);
}

/// 2^-fractional_length: the scale of a tensor in dynamic fixed point.
constexpr float fixed_point_scale(i32 fractional_length) {
  double scale = 1;
  for (i32 i = 0; i < fractional_length; ++i) scale /= 2;
  for (i32 i = 0; i > fractional_length; --i) scale *= 2;
  return static_cast<float>(scale);
}

}  // namespace tessera
