#pragma once

// bfloat16 as a storage type: the upper half of a float, 8 exponent bits and 7 mantissa bits.
//
//   float     s eeeeeeee mmmmmmm mmmmmmmmmmmmmmmm
//   bfloat16  s eeeeeeee mmmmmmm                    the same range, 2 to 3 decimal digits
//
// Rounding adds to the 16 bits that fall away and keeps what carries; subnormals are numbers like
// any others. (The processor's own instruction flushes them to zero, so it is not used.)
// Everything is integer arithmetic and the same in constant expressions and at run time.
// Source: IEEE 754 rounding on the truncated format that Google's TPU introduced.

#include <tessera/core/types.hpp>

#include <bit>
#include <type_traits>

namespace tessera {

/// One bfloat16 number, by its bits.
struct bfloat16 {
  u16 bits = 0;

  /// The same bits: NaN equals itself, and -0 differs from +0.
  friend constexpr bool operator==(bfloat16, bfloat16) = default;
};

static_assert(sizeof(bfloat16) == 2 && std::is_trivially_copyable_v<bfloat16>);

constexpr bool is_nan(bfloat16 x) { return (x.bits & 0x7fff) > 0x7f80; }
constexpr bool is_infinite(bfloat16 x) { return (x.bits & 0x7fff) == 0x7f80; }
/// Neither infinite nor NaN.
constexpr bool is_finite(bfloat16 x) { return (x.bits & 0x7f80) != 0x7f80; }
constexpr bool is_subnormal(bfloat16 x) { return (x.bits & 0x7f80) == 0 && (x.bits & 0x7f) != 0; }

/// Infinities become the largest finite numbers of their sign; others, NaN too, stay.
constexpr bfloat16 saturated(bfloat16 x) {
  return is_infinite(x) ? bfloat16{static_cast<u16>(x.bits - 1)} : x;
}
/// Subnormal numbers become zeros of their sign.
constexpr bfloat16 flushed(bfloat16 x) {
  return is_subnormal(x) ? bfloat16{static_cast<u16>(x.bits & 0x8000)} : x;
}

namespace detail {

/// Adds `below` under the last place and cuts. NaN comes out quiet: adding could make it infinite.
constexpr bfloat16 cut_to_bfloat16(u32 float_bits, u32 below) {
  if ((float_bits & 0x7fffffff) > 0x7f800000)
    return bfloat16{static_cast<u16>((float_bits >> 16) | 0x40)};
  return bfloat16{static_cast<u16>((float_bits + below) >> 16)};
}

}  // namespace detail

/// The same number; exact, NaN included.
constexpr float to_float(bfloat16 x) { return std::bit_cast<float>(u32{x.bits} << 16); }

/// The nearest bfloat16, ties to even; beyond the largest, infinite. NaN comes out quiet with its
/// sign and the top of its payload.
constexpr bfloat16 to_bfloat16(float x) {
  const u32 bits = std::bit_cast<u32>(x);
  return detail::cut_to_bfloat16(bits, 0x7fff + ((bits >> 16) & 1));
}

/// The nearest bfloat16 not larger in magnitude.
constexpr bfloat16 to_bfloat16_toward_zero(float x) {
  return detail::cut_to_bfloat16(std::bit_cast<u32>(x), 0);
}

/// Stochastic rounding: the low 16 bits of `random` are added below the last place, so the expected
/// result is x. The largest finite number rounds up to infinity.
constexpr bfloat16 to_bfloat16_stochastic(float x, u32 random) {
  return detail::cut_to_bfloat16(std::bit_cast<u32>(x), random & 0xffff);
}

}  // namespace tessera
