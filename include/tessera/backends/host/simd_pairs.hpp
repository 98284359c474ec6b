#pragma once

// Pairs of bfloat16 in vectors of 32-bit lanes: sums of their products at twice the rate of floats.
//
//   lane       31 ........ 16 15 ......... 0
//              term 2 k + 1   term 2 k          as two neighbours lie in memory
//
//   dot_pairs  sum + odd x odd, rounded; then + even x even, rounded
//
// With AVX512-BF16 that is one instruction, of the rate of one multiply-add of floats: both
// products are exact and each addition rounds to nearest even, as two fused multiply-adds in that
// order, but subnormal operands and results count as zeros (on Zen 4 equal to the multiply-adds in
// 320,000 random cases). Without, kernels widen to floats instead: the order of a sum, and with it
// its last bits, is another one there. Panels of pairs are arrays of floats by their size only:
// nothing computes with them as such.

#include <tessera/backends/host/simd_across.hpp>

namespace tessera::host {

#if defined(TESSERA_SIMD_AVX512) && defined(__AVX512BF16__)
#define TESSERA_SIMD_PAIRS 1
#endif

/// True where sums of products of T are made of pairs.
template <class T>
inline constexpr bool in_pairs = false;
#if defined(TESSERA_SIMD_PAIRS)
template <>
inline constexpr bool in_pairs<bfloat16> = true;
#endif

/// Numbers of T that lie in 32 bits of a panel: terms of a sum that one step of a kernel takes.
template <class T>
inline constexpr i32 terms_of_step = in_pairs<T> ? 2 : 1;

/// Steps that `terms` terms take.
template <class T>
constexpr i32 steps_of(i32 terms) {
  return (terms + terms_of_step<T> - 1) / terms_of_step<T>;
}

namespace simd {

inline vec dot_pairs(vec sum, vec a, vec b) {
#if defined(TESSERA_SIMD_PAIRS) && defined(__clang__) && __clang_major__ < 18
  // clang 16 crashes on vectors of bfloat16 that come from memory as floats.
  __m512 all = sum;
  asm("vdpbf16ps %2, %1, %0"
      : "+v"(all)
      : "v"(static_cast<__m512>(a)), "v"(static_cast<__m512>(b)));
  return all;
#elif defined(TESSERA_SIMD_PAIRS)
  return _mm512_dpbf16_ps(sum, std::bit_cast<__m512bh>(static_cast<__m512>(a)),
                          std::bit_cast<__m512bh>(static_cast<__m512>(b)));
#else
  bfloat16 x[2 * lanes];
  bfloat16 y[2 * lanes];
  float all[lanes];
  store(reinterpret_cast<float*>(x), a);
  store(reinterpret_cast<float*>(y), b);
  store(all, sum);
  for (i32 i = 0; i < lanes; ++i) {
    for (i32 k = 1; k >= 0; --k) all[i] += as_float(x[2 * i + k]) * as_float(y[2 * i + k]);
  }
  return load(all);
#endif
}

/// A step of a sum: one product of floats, or two of pairs.
template <bool Pairs>
vec add_product(vec a, vec b, vec sum) {
  if constexpr (Pairs) {
    return dot_pairs(sum, a, b);
  } else {
    return fma(a, b, sum);
  }
}

/// Lane i: even[i] and odd[i]; zeros where `odd` is null.
inline vec load_pairs(const bfloat16* even, const bfloat16* odd, i32 n = lanes) {
#if defined(TESSERA_SIMD_AVX512)
  const __mmask16 some = words::first(n);
  const __m512i low = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(some, even));
  if (odd == nullptr) return _mm512_castsi512_ps(low);
  const __m512i high = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_maskz_loadu_epi16(some, odd));
  return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_maskz_slli_epi32(0xffff, high, 16)));
#else
  bfloat16 both[2 * lanes] = {};
  for (i32 i = 0; i < n; ++i) {
    both[2 * i] = even[i];
    if (odd != nullptr) both[2 * i + 1] = odd[i];
  }
  return load(reinterpret_cast<const float*>(both));
#endif
}

/// The first n of 2 lanes neighbours as pairs, zeros behind them.
inline vec load_neighbours(const bfloat16* p, i32 n = 2 * lanes) {
#if defined(TESSERA_SIMD_AVX512)
  if (n >= 2 * lanes) return _mm512_loadu_ps(p);
  return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16((1u << n) - 1, p));
#else
  bfloat16 all[2 * lanes] = {};
  for (i32 i = 0; i < n && i < 2 * lanes; ++i) all[i] = p[i];
  return load(reinterpret_cast<const float*>(all));
#endif
}

}  // namespace simd

/// One pair.
inline float pair_of(bfloat16 even, bfloat16 odd) {
  return std::bit_cast<float>(u32{even.bits} | u32{odd.bits} << 16);
}

/// to[i] = the terms 2 i and 2 i + 1 of `from`, of which there are `terms`.
inline void copy_pairs(const bfloat16* from, i32 terms, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(terms / 2) * sizeof(float));
  if (terms % 2 != 0) to[terms / 2] = pair_of(from[terms - 1], bfloat16{});
}

/// to[k * to_step + i] = terms 2 k and 2 k + 1 of column i: from[term * term_step + i * step], for
/// i < columns; what is behind up to `filled` is zeros.
inline void pack_pairs(const bfloat16* from, i32 terms, i64 term_step, i32 columns, i64 step,
                       float* to, i64 to_step, i32 filled) {
  using namespace simd;
  i32 k = 0;
  if (step == 1) {
    for (; k < terms; k += 2) {
      const bfloat16* const even = from + k * term_step;
      const bfloat16* const odd = k + 1 < terms ? even + term_step : nullptr;
      float* const row = to + k / 2 * to_step;
      i32 i = 0;
      for (; i + lanes <= columns; i += lanes) {
        store(row + i, load_pairs(even + i, odd == nullptr ? nullptr : odd + i));
      }
      if (i < columns) {
        const i32 rest = columns - i;
        store_partial(row + i, load_pairs(even + i, odd == nullptr ? nullptr : odd + i, rest),
                      rest);
      }
      for (i = columns; i < filled; ++i) row[i] = 0;
    }
    return;
  }
  if (term_step == 1) {  // squares of 8 pairs of 8 columns
    for (; k + 16 <= terms; k += 16) {
      float* const rows = to + k / 2 * to_step;
      i32 i = 0;
      for (; i + 8 <= columns; i += 8) {
        transpose_words_8x8(from + k + i * step, step, rows + i, to_step);
      }
      for (; i < columns; ++i) {
        float pairs[8];
        copy_pairs(from + k + i * step, 16, pairs);
        for (i32 j = 0; j < 8; ++j) rows[j * to_step + i] = pairs[j];
      }
      for (i32 j = 0; j < 8; ++j) {
        for (i = columns; i < filled; ++i) rows[j * to_step + i] = 0;
      }
    }
  }
  for (; k < terms; k += 2) {
    float* const row = to + k / 2 * to_step;
    for (i32 i = 0; i < columns; ++i) {
      const bfloat16* const even = from + k * term_step + i * step;
      row[i] = pair_of(*even, k + 1 < terms ? even[term_step] : bfloat16{});
    }
    for (i32 i = columns; i < filled; ++i) row[i] = 0;
  }
}

}  // namespace tessera::host
