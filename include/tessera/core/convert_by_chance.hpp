#pragma once

// Arrays of float rounded to 16 bits by chance: up or down, so that the expected result is exact.
//
//   element   0 1 2 3 | 4 5 6 7 | ...      words of element_words: a philox block for four
//   word      0 1 2 3 | 0 1 2 3 |
//
// Element i takes the word that belongs to its number, whatever array it stands in and in which
// pieces the array is worked on: results depend neither on threads nor on the vector width, and a
// seed gives the same bits again. Each is what to_half_stochastic_add or to_bfloat16_stochastic
// gives for that word.
//
// Cost, nanoseconds an element (g++ 12 -O2, Zen 3): with AVX2 2.7 to half, 1.8 to bfloat16, most of
// it the random words; 12 and 10 without.

#include <tessera/core/bfloat16.hpp>
#include <tessera/core/half.hpp>
#include <tessera/core/random_words.hpp>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace tessera {

#if defined(__AVX2__)
namespace detail {

/// The low 16 bits of eight words each, side by side.
inline void put_words(__m256i words, u16* to) {
  const __m256i packed = _mm256_packus_epi32(words, words);
  const __m256i joined = _mm256_permute4x64_epi64(packed, 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(joined));
}

/// Eight floats to half, each as to_half_stochastic_add makes it.
inline void add_and_cut(const float* from, const u32* random, half* to) {
  const auto all = [](u32 word) { return _mm256_set1_epi32(static_cast<i32>(word)); };
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const __m256i r = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(random));
  const __m256i magnitude = _mm256_and_si256(x, all(0x7fffffff));
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(x, 16), all(0x8000));
  // Normal halves: the exponents' difference away, then 13 bits below the last place.
  const __m256i low13 = _mm256_and_si256(r, all(0x1fff));
  const __m256i near = _mm256_sub_epi32(magnitude, all(u32{127 - 15} << 23));
  const __m256i normal = _mm256_srli_epi32(_mm256_add_epi32(near, low13), 13);
  // Subnormal ones: the significand, shift bits of which are below 2^-24. Where shift is above 31
  // the instructions shift to 0, and the sum is 0 then.
  const __m256i exponent = _mm256_srli_epi32(magnitude, 23);
  const __m256i shift = _mm256_sub_epi32(all(126), exponent);
  const __m256i significand =
      _mm256_or_si256(_mm256_and_si256(magnitude, all(0x7fffff)), all(0x800000));
  const __m256i below = _mm256_sub_epi32(_mm256_sllv_epi32(all(1), shift), all(1));
  const __m256i tiny =
      _mm256_srlv_epi32(_mm256_add_epi32(significand, _mm256_and_si256(r, below)), shift);
  const auto choose = [](__m256i no, __m256i yes, __m256i where) {
    return _mm256_blendv_epi8(no, yes, where);
  };
  __m256i y = choose(normal, tiny, _mm256_cmpgt_epi32(all(0x38800000), magnitude));
  y = choose(y, all(0x7c00), _mm256_cmpgt_epi32(magnitude, all(float_65536 - 1)));
  const __m256i payload = _mm256_and_si256(_mm256_srli_epi32(magnitude, 13), all(0x3ff));
  const __m256i nan = _mm256_cmpgt_epi32(magnitude, all(float_infinity));
  y = choose(y, _mm256_or_si256(payload, all(0x7e00)), nan);
  put_words(_mm256_or_si256(y, sign), reinterpret_cast<u16*>(to));
}

/// Eight floats to bfloat16, each as to_bfloat16_stochastic makes it.
inline void add_and_cut(const float* from, const u32* random, bfloat16* to) {
  const auto all = [](u32 word) { return _mm256_set1_epi32(static_cast<i32>(word)); };
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const __m256i r = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(random));
  const __m256i sum = _mm256_add_epi32(x, _mm256_and_si256(r, all(0xffff)));
  const __m256i magnitude = _mm256_and_si256(x, all(0x7fffffff));
  const __m256i nan = _mm256_cmpgt_epi32(magnitude, all(0x7f800000));
  const __m256i quiet = _mm256_or_si256(x, all(0x400000));
  put_words(_mm256_srli_epi32(_mm256_blendv_epi8(sum, quiet, nan), 16), reinterpret_cast<u16*>(to));
}

}  // namespace detail
#endif

inline half by_chance(float x, u32 random, half) { return to_half_stochastic_add(x, random); }
inline bfloat16 by_chance(float x, u32 random, bfloat16) {
  return to_bfloat16_stochastic(x, random);
}

/// to[i] = from[i] rounded by the word of element `element` + i, for i < n. T is half or bfloat16.
/// The arrays must not overlap.
template <class T>
void narrow_by_chance(const float* from, T* to, i64 n, const element_words& words, i64 element) {
  constexpr i64 piece = 64;
  u32 random[piece + 8];
  for (i64 done = 0; done < n; done += piece) {
    const i64 count = n - done < piece ? n - done : piece;
    const i64 at = element + done;
    random_words(words.generator, words.first + static_cast<u64>(at / 4),
                 (at + count - 1) / 4 - at / 4 + 1, random);
    const u32* const own = random + at % 4;
    i64 i = 0;
#if defined(__AVX2__)
    for (; i + 8 <= count; i += 8) detail::add_and_cut(from + done + i, own + i, to + done + i);
#endif
    for (; i < count; ++i) to[done + i] = by_chance(from[done + i], own[i], T{});
  }
}

}  // namespace tessera
