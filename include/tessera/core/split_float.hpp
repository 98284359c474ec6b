#pragma once

// A float in two parts of 16 bits: a half or bfloat16 that stands for it, rounded to nearest even,
// and the bits below, with which it is whole again.
//
//   magnitude   as a number whose upper half is the short number's magnitude cut off:
//               half       above 2^-14 the float's bits, exponent shifted, with 3 zeros behind
//               them;
//                          below in units of 2^-40
//               bfloat16   the float's bits
//   rest        its lower 16 bits
//   short       its upper 16 bits, one more where `rest` is in the upper half: so joining knows
//
// A tie that rounds down has the rest of a tie that rounds up; it is stored one unit lower. Joined,
// a half gives every float of at least 2^-14 in magnitude back exactly, and smaller ones to within
// 2^-40, which is exact down to 2^-17 but for ties; a bfloat16 gives all back exactly but for ties,
// which lose one unit in the last place. From 65536 on a half is infinite, and stays so; between
// the largest half and that the short number is infinite and the whole is not. NaN stays NaN.
//
// Cost, cycles an element of an array (g++ 12 -O2 -march=native, AMD with AVX2): a half 0.9 to
// split, 0.65 to join. Source of the idea: 16 + 16 bits of a master weight, e.g. Zamirai et al.
// 2020, Revisiting BFloat16 Training (Kahan summation keeps as many); here the sum of both is the
// master itself.

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
#include <tessera/core/types.hpp>

#include <bit>
#include <cstring>
#include <type_traits>

namespace tessera {

namespace detail {

// One number, or four side by side: the functions below are written once for both.
using four_words = u32 __attribute__((vector_size(16)));
using four_integers = i32 __attribute__((vector_size(16)));
using four_floats = float __attribute__((vector_size(16)));

constexpr i32 to_integers(float x) { return static_cast<i32>(x); }
constexpr float to_floats(i32 x) { return static_cast<float>(x); }
inline four_integers to_integers(four_floats x) {
  return __builtin_convertvector(x, four_integers);
}
inline four_floats to_floats(four_integers x) { return __builtin_convertvector(x, four_floats); }

inline constexpr u32 exponent_shift = u32{127 - 15} << 23;  // from that of a float to a half's
inline constexpr u32 float_inf = 0x7f800000;

/// The magnitude of float bits `x` (sign cleared) on the scale of its short number's bits. Words:
/// u32 and float, or four of each.
template <class Floats, class Words>
constexpr Words long_magnitude(Words x, half) {
  constexpr u32 smallest_normal = u32{127 - 14} << 23;
  constexpr u32 too_large = u32{127 + 16} << 23;
  const Words none = x ^ x;
  const Words small = x < smallest_normal ? x : none;
  const Floats units = std::bit_cast<Floats>(small) * 1099511627776.0f;  // 2^40
  const auto whole = to_integers(units);
  const Words cut = to_floats(whole) < units ? none + 1u : none;
  const Words normal = (x - exponent_shift) << 3;
  Words m = x < smallest_normal ? std::bit_cast<Words>(whole) | cut : normal;
  m = x >= too_large ? none + 0x7c000000u : m;
  return x > float_inf ? none + 0x7e000000u : m;
}
template <class Floats, class Words>
constexpr Words long_magnitude(Words x, bfloat16) {
  return x > float_inf ? (x ^ x) + 0x7fc00000u : x;
}

/// And back.
template <class Words>
constexpr Words float_magnitude(Words m, half) {
  const Words none = m ^ m;
  const Words small = m < (u32{1} << 26) ? m : none;
  using integers = std::conditional_t<std::is_same_v<Words, u32>, i32, four_integers>;
  const auto tiny = to_floats(std::bit_cast<integers>(small)) * 9.094947017729282e-13f;  // 2^-40
  const Words normal = ((m + 1u) >> 3) + exponent_shift;
  const Words finite = m < (u32{1} << 26) ? std::bit_cast<Words>(tiny) : normal;
  return m >= 0x7c000000u ? float_inf | ((m & 0x03ffffffu) >> 3) : finite;
}
template <class Words>
constexpr Words float_magnitude(Words m, bfloat16) {
  return m;
}

/// The short number's bits and, in the lower 16, the rest.
template <class T, class Floats, class Words>
constexpr void split_words(Words bits, Words& top, Words& rest) {
  const Words m = long_magnitude<Floats>(bits & 0x7fffffffu, T{});
  const Words rounded = (m + 0x7fffu + ((m >> 16) & 1u)) >> 16;
  const auto tie_down = ((m & 0xffffu) == 0x8000u) & (rounded == m >> 16);
  top = rounded | (bits >> 31 << 15);
  rest = tie_down ? m - 1u : m;
}
template <class T, class Words>
constexpr Words join_words(Words top, Words rest) {
  const Words magnitude = top & 0x7fffu;
  const Words none = top ^ top;
  const Words upper = magnitude - (magnitude > 0u ? rest >> 15 : none);
  return float_magnitude(upper << 16 | rest, T{}) | (top >> 15 << 31);
}

}  // namespace detail

/// Splits `x`. T is half or bfloat16.
template <class T>
constexpr void split_float(float x, T& top, u16& rest) {
  u32 upper = 0;
  u32 lower = 0;
  detail::split_words<T, float>(std::bit_cast<u32>(x), upper, lower);
  top.bits = static_cast<u16>(upper);
  rest = static_cast<u16>(lower);
}

/// The float that was split.
template <class T>
constexpr float join_float(T top, u16 rest) {
  return std::bit_cast<float>(detail::join_words<T>(u32{top.bits}, u32{rest}));
}

/// The same for arrays, which must not overlap.
template <class T>
void split_floats(const float* from, T* top, u16* rest, i64 n) {
  using namespace detail;
  i64 i = 0;
  for (; i + 4 <= n; i += 4) {
    four_words bits, upper, lower;
    std::memcpy(&bits, from + i, sizeof bits);
    split_words<T, four_floats>(bits, upper, lower);
    using shorts = u16 __attribute__((vector_size(8)));
    const shorts tops = __builtin_convertvector(upper, shorts);
    const shorts rests = __builtin_convertvector(lower, shorts);
    std::memcpy(static_cast<void*>(top + i), &tops, sizeof tops);
    std::memcpy(rest + i, &rests, sizeof rests);
  }
  for (; i < n; ++i) split_float(from[i], top[i], rest[i]);
}
template <class T>
void join_floats(const T* top, const u16* rest, float* to, i64 n) {
  using namespace detail;
  i64 i = 0;
  for (; i + 4 <= n; i += 4) {
    using shorts = u16 __attribute__((vector_size(8)));
    shorts tops, rests;
    std::memcpy(&tops, top + i, sizeof tops);
    std::memcpy(&rests, rest + i, sizeof rests);
    const four_words bits = join_words<T>(__builtin_convertvector(tops, four_words),
                                          __builtin_convertvector(rests, four_words));
    std::memcpy(to + i, &bits, sizeof bits);
  }
  for (; i < n; ++i) to[i] = join_float(top[i], rest[i]);
}

}  // namespace tessera
