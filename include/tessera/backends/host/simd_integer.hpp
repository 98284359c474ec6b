#pragma once

// Bytes times bytes into 32-bit sums, and what follows such sums, on vectors.
//
//   panel    16 rows of bytes, four neighbours along the sum side by side: (k / 4, row, k mod 4)
//   sum_block    sums[o][row] += sum over k of panel[row][k] weight[o][k]      lanes are rows
//   dot_bytes    16 dot products of rows that lie along the sum             lanes are along it
//   rescale_16   16 sums to 16 quantized numbers
//
// AVX-512 VNNI multiplies unsigned by signed bytes, 64 to an instruction, four to a sum: x is read
// as x + 128, and 128 times the sum of the weights is taken off again. AVX2 multiplies widened
// pairs, 16 to an instruction. All sums are exact (they wrap alike), so every path has the same
// bits.

#include <tessera/backends/host/simd_vector.hpp>
#include <tessera/core/quantization.hpp>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define TESSERA_SIMD_VNNI 1
#endif

namespace tessera::host::simd {

inline constexpr i32 panel_rows = 16;

/// Four bytes of `weight`, of which only `count` may be read: the rest is 0.
inline i32 four_bytes(const i8* weight, i64 count) {
  i32 word = 0;
  std::memcpy(&word, weight, static_cast<std::size_t>(count < 4 ? count : 4));
  return word;
}
inline i32 four_bytes(const i8* weight) {
  i32 word;
  std::memcpy(&word, weight, 4);
  return word;
}

/// Four lines of 16 bytes, the rows at k, k + 1, k + 2, k + 3, as a group of a panel (64 bytes).
inline void interleave(const i8* const (&line)[4], i8* to) {
#if defined(__SSE2__)
  const auto load = [](const i8* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  };
  const __m128i a = load(line[0]), b = load(line[1]), c = load(line[2]), d = load(line[3]);
  const __m128i ab_low = _mm_unpacklo_epi8(a, b), ab_high = _mm_unpackhi_epi8(a, b);
  const __m128i cd_low = _mm_unpacklo_epi8(c, d), cd_high = _mm_unpackhi_epi8(c, d);
  auto* const out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, _mm_unpacklo_epi16(ab_low, cd_low));
  _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(ab_low, cd_low));
  _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(ab_high, cd_high));
  _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(ab_high, cd_high));
#else
  for (i32 row = 0; row < panel_rows; ++row) {
    for (i32 k = 0; k < 4; ++k) to[4 * row + k] = line[k][row];
  }
#endif
}

/// How many outputs sum_block takes at a time: chains that hide the multiplier's latency within
/// the registers there are.
#if defined(TESSERA_SIMD_VNNI)
inline constexpr i32 block_outs = 8;
#else
inline constexpr i32 block_outs = 3;
#endif

/// What is added to a sum because x is read as x + 128, where it is: for weights that add up to
/// `weights`.
inline i32 offset_of_reading(i32 weights) {
#if defined(TESSERA_SIMD_VNNI)
  return -128 * weights;
#else
  static_cast<void>(weights);
  return 0;
#endif
}

/// sums[o][row] = offset[o] + products of `count` bytes of the panel with those of weight row o,
/// `step` bytes apart, o < Outs; with `add` onto what sums hold. An offset contains that of
/// reading.
template <i32 Outs>
void sum_block(const i8* panel, i64 count, const i8* weight, i64 step, const i32* offset, bool add,
               i32 (*sums)[panel_rows]) {
  const i64 whole = count / 4;
  const i64 rest = count % 4;
  if (!add) {
    for (i32 o = 0; o < Outs; ++o) std::memset(sums[o], 0, sizeof sums[o]);
  }
#if defined(TESSERA_SIMD_VNNI)
  __m512i sum[Outs];
  TESSERA_UNROLL
  for (i32 o = 0; o < Outs; ++o) {
    sum[o] = _mm512_add_epi32(_mm512_loadu_si512(sums[o]), _mm512_set1_epi32(offset[o]));
  }
  const __m512i flip = _mm512_set1_epi8(-128);
  const i8* at = panel;
  for (i64 k = 0; k < 4 * whole; k += 4, at += 64) {
    const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(at), flip);
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      sum[o] = _mm512_dpbusd_epi32(sum[o], x, _mm512_set1_epi32(four_bytes(weight + o * step + k)));
    }
  }
  if (rest > 0) {
    const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(at), flip);
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const i32 last = four_bytes(weight + o * step + 4 * whole, rest);
      sum[o] = _mm512_dpbusd_epi32(sum[o], x, _mm512_set1_epi32(last));
    }
  }
  TESSERA_UNROLL
  for (i32 o = 0; o < Outs; ++o) _mm512_storeu_si512(sums[o], sum[o]);
#elif defined(__AVX2__)
  __m256i sum[Outs][4];  // of rows 4 v to 4 v + 3, two halves of each side by side
  TESSERA_UNROLL
  for (i32 o = 0; o < Outs; ++o) {
    TESSERA_UNROLL
    for (i32 v = 0; v < 4; ++v) sum[o][v] = _mm256_setzero_si256();
  }
  const auto step_of = [&](i64 k, i64 left) {
    __m256i x[4];
    TESSERA_UNROLL
    for (i32 v = 0; v < 4; ++v) {
      x[v] = _mm256_cvtepi8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(panel + 16 * k + 16 * v)));
    }
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const __m128i w =
          _mm_cvtepi8_epi16(_mm_cvtsi32_si128(four_bytes(weight + o * step + k, left)));
      const __m256i all = _mm256_broadcastq_epi64(w);
      TESSERA_UNROLL
      for (i32 v = 0; v < 4; ++v) {
        sum[o][v] = _mm256_add_epi32(sum[o][v], _mm256_madd_epi16(x[v], all));
      }
    }
  };
  for (i64 k = 0; k < 4 * whole; k += 4) step_of(k, 4);
  if (rest > 0) step_of(4 * whole, rest);
  for (i32 o = 0; o < Outs; ++o) {
    for (i32 v = 0; v < 4; ++v) {
      i32 halves[8];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(halves), sum[o][v]);
      for (i32 r = 0; r < 4; ++r) {
        const u32 both = static_cast<u32>(halves[2 * r]) + static_cast<u32>(halves[2 * r + 1]);
        sums[o][4 * v + r] = static_cast<i32>(static_cast<u32>(sums[o][4 * v + r]) + both +
                                              static_cast<u32>(offset[o]));
      }
    }
  }
#else
  static_cast<void>(rest);
  static_cast<void>(whole);
  for (i32 o = 0; o < Outs; ++o) {
    for (i32 row = 0; row < panel_rows; ++row) {
      u32 sum = static_cast<u32>(sums[o][row]) + static_cast<u32>(offset[o]);
      for (i64 k = 0; k < count; ++k) {
        sum += static_cast<u32>(panel[k / 4 * 64 + 4 * row + k % 4] * weight[o * step + k]);
      }
      sums[o][row] = static_cast<i32>(sum);
    }
  }
#endif
}

#if defined(TESSERA_SIMD_VNNI)
/// Loads and halves with masked forms: the plain ones warn of uninitialised values in g++ 12.
inline __m512i load_bytes(const i8* p, i64 left) {
  const __mmask64 there = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
  return _mm512_maskz_loadu_epi8(there, p);
}
inline __m128i sum_of_quarters(__m512i all) {
  const __m256i half = _mm256_add_epi32(_mm512_maskz_extracti64x4_epi64(0xf, all, 0),
                                        _mm512_maskz_extracti64x4_epi64(0xf, all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}
/// The sums of the lanes of a, b, c and d.
inline __m128i sums_of(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(0xffff, a, b),
                                      _mm512_maskz_unpackhi_epi32(0xffff, a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_maskz_unpacklo_epi32(0xffff, c, d),
                                      _mm512_maskz_unpackhi_epi32(0xffff, c, d));
  return sum_of_quarters(_mm512_add_epi32(_mm512_maskz_unpacklo_epi64(0xff, ab, cd),
                                          _mm512_maskz_unpackhi_epi64(0xff, ab, cd)));
}
#endif

/// The sum of `count` bytes.
inline i32 sum_bytes(const i8* p, i64 count) {
#if defined(TESSERA_SIMD_VNNI)
  __m512i all = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  for (i64 i = 0; i < count; i += 64) {
    all = _mm512_dpbusd_epi32(all, ones, load_bytes(p + i, count - i));
  }
  const __m128i four = sum_of_quarters(all);
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
#else
  i32 sum = 0;
  for (i64 i = 0; i < count; ++i) sum += p[i];
  return sum;
#endif
}

/// dots[s][o] = offset[o] + products of row s of x with row o of the weights, `count` bytes each,
/// all along the sum; Samples x Outs = 16.
template <i32 Samples, i32 Outs>
void dot_bytes(const i8* const (&x)[Samples], const i8* const (&weight)[Outs], i64 count,
               const i32* offset, i32 (&dots)[16]) {
  static_assert(Samples * Outs == 16 && Outs % 4 == 0);
#if defined(TESSERA_SIMD_VNNI)
  __m512i sum[Samples][Outs];
  TESSERA_UNROLL
  for (i32 s = 0; s < Samples; ++s) {
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) sum[s][o] = _mm512_setzero_si512();
  }
  const __m512i flip = _mm512_set1_epi8(-128);
  for (i64 k = 0; k < count; k += 64) {
    __m512i xs[Samples];
    TESSERA_UNROLL
    for (i32 s = 0; s < Samples; ++s) {
      xs[s] = _mm512_xor_si512(load_bytes(x[s] + k, count - k), flip);
    }
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const __m512i w = load_bytes(weight[o] + k, count - k);
      TESSERA_UNROLL
      for (i32 s = 0; s < Samples; ++s) sum[s][o] = _mm512_dpbusd_epi32(sum[s][o], xs[s], w);
    }
  }
  TESSERA_UNROLL
  for (i32 s = 0; s < Samples; ++s) {
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; o += 4) {
      const __m128i four = sums_of(sum[s][o], sum[s][o + 1], sum[s][o + 2], sum[s][o + 3]);
      const __m128i more = _mm_loadu_si128(reinterpret_cast<const __m128i*>(offset + o));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(dots + Outs * s + o), _mm_add_epi32(four, more));
    }
  }
#else
  for (i32 s = 0; s < Samples; ++s) {
    for (i32 o = 0; o < Outs; ++o) {
      i64 k = 0;
      u32 dot = static_cast<u32>(offset[o]);
#if defined(__AVX2__)
      __m256i sum = _mm256_setzero_si256();
      for (; k + 16 <= count; k += 16) {
        const auto wide = [&](const i8* p) {
          return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + k)));
        };
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(wide(x[s]), wide(weight[o])));
      }
      u32 lane[8];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(lane), sum);
      for (const u32 one : lane) dot += one;
#endif
      for (; k < count; ++k) dot += static_cast<u32>(x[s][k] * weight[o][k]);
      dots[Outs * s + o] = static_cast<i32>(dot);
    }
  }
#endif
}

/// As many 64-bit numbers as fit a register, and as many of 32 bits.
#if defined(__AVX512F__)
inline constexpr i32 wide_lanes = 8;
#elif defined(__AVX2__)
inline constexpr i32 wide_lanes = 4;
#else
inline constexpr i32 wide_lanes = 2;
#endif
using wide_ints = i64 __attribute__((vector_size(8 * wide_lanes)));
using few_ints = i32 __attribute__((vector_size(4 * wide_lanes)));
using few_bytes = i8 __attribute__((vector_size(wide_lanes)));

/// What follows sums: core's rescale (Fixed) or rescale_by_power, then zero point and bounds.
struct rescale_bounds {
  i32 zero = 0;
  i32 low = least_i8;
  i32 high = most_i8;
};

/// `multiplier` and `shift`: 16 numbers each, or one for all lanes (Same).
template <bool Fixed, bool Same, class Out>
void rescale_16(const i32* multiplier, const i32* shifts, const rescale_bounds& by, const i32* sums,
                Out* to) {
  TESSERA_UNROLL
  for (i32 first = 0; first < 16; first += wide_lanes) {
    const auto load = [&](const i32* p) {
      few_ints few;
      std::memcpy(&few, p + first, sizeof few);
      return __builtin_convertvector(few, wide_ints);
    };
    const auto load_number = [&](const i32* p) { return Same ? wide_ints{} + p[0] : load(p); };
    const wide_ints none{};
    const wide_ints sum = load(sums);
    const wide_ints shift = load_number(shifts);
    const wide_ints most_left = none + 31;
    wide_ints left = shift > none ? shift : none;
    left = left > most_left ? most_left : left;
    wide_ints right = shift > none ? none : -shift;
    const wide_ints most = none + 2147483647LL;
    const wide_ints least = none - 2147483648LL;
    wide_ints q = sum << left;
    q = q > most ? most : q;
    q = q < least ? least : q;
    if constexpr (Fixed) {
      right = right > most_left ? most_left : right;
      q = (q * load_number(multiplier) + (i64{1} << 30)) >> 31;
      q = q > most ? most : q;
      const wide_ints bits = ((none + 1) << right) - 1;
      const wide_ints threshold = (bits >> 1) - (wide_ints)(q < none);
      q = (q >> right) - (wide_ints)((q & bits) > threshold);
    } else {
      const wide_ints most_right = none + 62;
      right = right > most_right ? most_right : right;
      const wide_ints half = ((none + 1) << right) >> 1;  // 0 where nothing is shifted out
      const wide_ints magnitude = q < none ? -q : q;
      const wide_ints rounded = (magnitude + half) >> right;
      q = q < none ? -rounded : rounded;
    }
    q += by.zero;
    q = q < none + by.low ? none + by.low : q;
    q = q > none + by.high ? none + by.high : q;
    using outs = std::conditional_t<sizeof(Out) == 1, few_bytes, few_ints>;
    const outs narrow = __builtin_convertvector(q, outs);
    std::memcpy(to + first, &narrow, sizeof narrow);
  }
}

}  // namespace tessera::host::simd
