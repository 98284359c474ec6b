#pragma once

// IEEE 754 binary16 as a storage type: 1 sign bit, 5 exponent bits, 10 mantissa bits.
//
//   bits   15   14 ... 10   9 ... 0         largest finite   65504   (0x7bff)
//          sign exponent    mantissa        smallest normal  2^-14   (0x0400)
//                                           smallest         2^-24   (0x0001)
//
// Arithmetic is done in float; a half is only what memory holds. The conversions work on integers,
// so their bits depend neither on compiler flags nor on the processor's rounding mode, and are the
// same in a constant expression and at run time.
//
// All four ways of rounding start from one split of the float's magnitude: `kept`, the half toward
// zero from it, and `dropped`, what is left over in units of 2^-shift of a half's last place.
// Rounding up is then `kept + 1`: a full mantissa carries into the exponent, and 65504 carries
// into infinity.
//
// With F16C one instruction converts a value; it is reached through the compiler's builtin, since
// <immintrin.h> takes 0.5 s to include. Arrays: core/convert.hpp.
// Cost: one of many narrowings takes 0.3 ns by the instruction, 1.4 ns by integers (g++ 12 -O2,
// Zen 3).
// Source: IEEE 754-2008; stochastic rounding: Gupta et al. 2015, Deep Learning with Limited
// Numerical Precision.

#include <tessera/core/types.hpp>

#include <bit>
#include <type_traits>

#if defined(__F16C__) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_vcvtps2ph) && __has_builtin(__builtin_ia32_vcvtph2ps)
#define TESSERA_HALF_INSTRUCTIONS 1
#endif
#endif

namespace tessera {

/// One binary16 number, by its bits.
struct half {
  u16 bits = 0;

  /// The same bits: NaN equals itself, and -0 differs from +0.
  friend constexpr bool operator==(half, half) = default;
};

static_assert(sizeof(half) == 2 && std::is_trivially_copyable_v<half>);

constexpr bool is_nan(half x) { return (x.bits & 0x7fff) > 0x7c00; }
constexpr bool is_infinite(half x) { return (x.bits & 0x7fff) == 0x7c00; }
/// Neither infinite nor NaN.
constexpr bool is_finite(half x) { return (x.bits & 0x7c00) != 0x7c00; }
constexpr bool is_subnormal(half x) { return (x.bits & 0x7c00) == 0 && (x.bits & 0x3ff) != 0; }

/// Infinities become the largest finite numbers of their sign; others, NaN too, stay.
constexpr half saturated(half x) { return is_infinite(x) ? half{static_cast<u16>(x.bits - 1)} : x; }
/// Subnormal numbers become zeros of their sign.
constexpr half flushed(half x) {
  return is_subnormal(x) ? half{static_cast<u16>(x.bits & 0x8000)} : x;
}

namespace detail {

/// A finite magnitude below 65536 = (kept + dropped / 2^shift) in units of a half's last place.
struct half_split {
  u32 kept;
  u32 dropped;  // below 2^24
  i32 shift;    // 13 from 2^-14 on; 14 to 125 below, where halves are subnormal
};

constexpr u32 float_infinity = 0x7f800000;
constexpr u32 float_65536 = 0x47800000;

/// `magnitude`: a float's bits without sign, below those of 65536.
constexpr half_split split_for_half(u32 magnitude) {
  constexpr u32 smallest_normal_half = 0x38800000;  // 2^-14
  constexpr u32 bias_difference = u32{127 - 15} << 23;
  if (magnitude >= smallest_normal_half)
    return {(magnitude - bias_difference) >> 13, magnitude & 0x1fff, 13};

  const u32 exponent = magnitude >> 23;
  const u32 significand = exponent == 0 ? magnitude : (magnitude & 0x7fffff) | 0x800000;
  // The float's last place is 2^(exponent - 150), the half's 2^-24.
  const i32 shift = 126 - static_cast<i32>(exponent == 0 ? 1 : exponent);
  if (shift > 24) return {0, significand, shift};
  return {significand >> shift, significand & ((u32{1} << shift) - 1), shift};
}

constexpr u32 sign_for_half(u32 float_bits) { return (float_bits >> 16) & 0x8000; }

constexpr half make_half(u32 sign, u32 magnitude) {
  return half{static_cast<u16>(sign | magnitude)};
}

/// Quiet, with the sign and the top ten bits of the payload.
constexpr half nan_to_half(u32 float_bits) {
  return make_half(sign_for_half(float_bits), 0x7e00 | ((float_bits >> 13) & 0x3ff));
}

/// Rounds as `goes_up(half_split)` decides; `beyond` is the answer for finite values of 65536 and
/// more.
template <class Rule>
constexpr half round_to_half(float x, u32 beyond, Rule goes_up) {
  const u32 bits = std::bit_cast<u32>(x);
  const u32 sign = sign_for_half(bits);
  const u32 magnitude = bits & 0x7fffffff;
  if (magnitude > float_infinity) return nan_to_half(bits);
  if (magnitude == float_infinity) return make_half(sign, 0x7c00);
  if (magnitude >= float_65536) return make_half(sign, beyond);
  const half_split split = split_for_half(magnitude);
  return make_half(sign, split.kept + (goes_up(split) ? 1u : 0u));
}

}  // namespace detail

/// The conversions without the processor's help: what constant expressions use everywhere, and
/// run-time code where there are no instructions for it.
namespace portable {

constexpr float to_float(half x) {
  const u32 sign = u32{x.bits & 0x8000u} << 16;
  const u32 exponent = (x.bits >> 10) & 0x1fu;
  const u32 mantissa = x.bits & 0x3ffu;
  u32 magnitude = 0;
  if (exponent == 0x1f) {
    magnitude = detail::float_infinity | (mantissa << 13);
    if (mantissa != 0) magnitude |= 0x400000;  // quiet, as the instruction makes it
  } else if (exponent != 0) {
    magnitude = ((exponent + (127 - 15)) << 23) | (mantissa << 13);
  } else if (mantissa != 0) {
    // mantissa * 2^-24: its highest set bit becomes the implicit one.
    const i32 highest = static_cast<i32>(std::bit_width(mantissa)) - 1;
    magnitude =
        (static_cast<u32>(highest + 127 - 24) << 23) | ((mantissa << (23 - highest)) & 0x7fffff);
  }
  return std::bit_cast<float>(sign | magnitude);
}

constexpr half to_half(float x) {
  return detail::round_to_half(x, 0x7c00, [](detail::half_split split) {
    if (split.shift > 24) return false;  // below 2^-25
    const u32 tie = u32{1} << (split.shift - 1);
    return split.dropped > tie || (split.dropped == tie && (split.kept & 1) != 0);
  });
}

constexpr half to_half_toward_zero(float x) {
  return detail::round_to_half(x, 0x7bff, [](detail::half_split) { return false; });
}

}  // namespace portable

#if defined(TESSERA_HALF_INSTRUCTIONS)
namespace detail {

using four_floats = float __attribute__((vector_size(16)));
using eight_shorts = short __attribute__((vector_size(16)));

// The rounding is part of the instruction (0 nearest even, 3 toward zero), not the thread's mode.
template <int Rounding>
inline half to_half_by_instruction(float x) {
  const auto y = __builtin_ia32_vcvtps2ph(four_floats{x, 0.0f, 0.0f, 0.0f}, Rounding);
  return half{static_cast<u16>(y[0])};
}

inline float to_float_by_instruction(half x) {
  const four_floats y =
      __builtin_ia32_vcvtph2ps(eight_shorts{static_cast<short>(x.bits), 0, 0, 0, 0, 0, 0, 0});
  return y[0];
}

}  // namespace detail
#endif

/// The same number; exact. NaN comes out quiet, with its sign and payload.
constexpr float to_float(half x) {
#if defined(TESSERA_HALF_INSTRUCTIONS)
  if (!std::is_constant_evaluated()) return detail::to_float_by_instruction(x);
#endif
  return portable::to_float(x);
}

/// The nearest half, ties to even. Magnitudes of 65520 and more become infinite, subnormals are
/// kept, NaN comes out quiet with its sign and the top of its payload.
constexpr half to_half(float x) {
#if defined(TESSERA_HALF_INSTRUCTIONS)
  if (!std::is_constant_evaluated()) return detail::to_half_by_instruction<0>(x);
#endif
  return portable::to_half(x);
}

/// The nearest half not larger in magnitude: finite values end at 65504, infinity stays.
constexpr half to_half_toward_zero(float x) {
#if defined(TESSERA_HALF_INSTRUCTIONS)
  if (!std::is_constant_evaluated()) return detail::to_half_by_instruction<3>(x);
#endif
  return portable::to_half_toward_zero(x);
}

/// Stochastic rounding as hardware does it: the low bits of `random` are added below the half's
/// last place, and the carry decides. Of the 2^shift equally likely low parts exactly `dropped`
/// round up, so the expected result is x. Magnitudes below 2^-32, whose shift exceeds 31, go to
/// zero; those of 65536 and more are infinite, and so is 65504 rounded up.
constexpr half to_half_stochastic_add(float x, u32 random) {
  return detail::round_to_half(x, 0x7c00, [random](detail::half_split split) {
    if (split.shift > 31) return false;
    const u32 unit = u32{1} << split.shift;
    return split.dropped + (random & (unit - 1)) >= unit;
  });
}

/// Stochastic rounding by comparison: up when the dropped fraction exceeds random / 2^32. It uses
/// all 32 bits of `random`, so the expectation stays within 2^-32 of a unit down to the smallest
/// floats; overflow as in `to_half_stochastic_add`.
constexpr half to_half_stochastic_compare(float x, u32 random) {
  return detail::round_to_half(x, 0x7c00, [random](detail::half_split split) {
    // dropped / 2^shift > random / 2^32, in integers.
    const u64 dropped = split.dropped;
    if (split.shift <= 32) return (dropped << (32 - split.shift)) > random;
    // dropped < 2^24: past a shift of 24 more, any random other than 0 is larger.
    const i32 excess = split.shift - 32 < 24 ? split.shift - 32 : 24;
    return dropped > (u64{random} << excess);
  });
}

}  // namespace tessera
