#pragma once

// Uniform numbers from many blocks of Philox at a time (core/random_words.hpp): the bits of
// uniform(), word by word.

#include <tessera/backends/host/simd_vector.hpp>
#include <tessera/core/random_words.hpp>

namespace tessera::host::simd {

#if defined(TESSERA_SIMD_AVX512)

inline constexpr i32 philox_blocks = 16;

/// Upper and lower halves of the products of 16 words with `factor`.
inline void multiply_words(__m512i words, u32 factor, __m512i& high, __m512i& low) {
  const __m512i f = _mm512_set1_epi64(factor);
  const __m512i even = _mm512_maskz_mul_epu32(0xff, words, f);
  const __m512i odd = _mm512_maskz_mul_epu32(0xff, _mm512_maskz_srli_epi64(0xff, words, 32), f);
  low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_maskz_slli_epi64(0xff, odd, 32));
  high = _mm512_mask_blend_epi32(0xaaaa, _mm512_maskz_srli_epi64(0xff, even, 32), odd);
}

/// uniform() of the words of blocks first to first + 15, in order; the low half of `first` must not
/// overflow within them.
inline void philox_uniform(const philox& generator, u64 first, float* to) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto all = [](u64 word) { return _mm512_set1_epi32(static_cast<i32>(word)); };
  __m512i c0 = _mm512_add_epi32(all(first), lane);
  __m512i c1 = all(first >> 32);
  __m512i c2 = all(generator.stream);
  __m512i c3 = all(generator.stream >> 32);
  u32 k0 = static_cast<u32>(generator.seed);
  u32 k1 = static_cast<u32>(generator.seed >> 32);
  for (i32 round = 0; round < 10; ++round) {
    __m512i high0, low0, high1, low1;
    multiply_words(c0, 0xd2511f53, high0, low0);
    multiply_words(c2, 0xcd9e8d57, high1, low1);
    c0 = _mm512_xor_si512(_mm512_xor_si512(high1, c1), all(k0));
    c1 = low1;
    c2 = _mm512_xor_si512(_mm512_xor_si512(high0, c3), all(k1));
    c3 = low0;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  const __m512i* const c[4] = {&c0, &c1, &c2, &c3};
  __m512 words[4];  // lane: block
  for (i32 word = 0; word < 4; ++word) {
    const __m512i bits = _mm512_maskz_srli_epi32(0xffff, *c[word], 8);
    const __m512 number = _mm512_maskz_cvtepi32_ps(0xffff, bits);
    words[word] = _mm512_mul_ps(number, _mm512_set1_ps(0x1p-24f));
  }
  // Blocks one after the other: pairs of words, then fours of a block, then fours in order.
  const auto pairs = [](__m512 x, __m512 y, bool high) {
    return _mm512_castps_pd(high ? _mm512_maskz_unpackhi_ps(0xffff, x, y)
                                 : _mm512_maskz_unpacklo_ps(0xffff, x, y));
  };
  __m512 four[4];  // quarter q: block 4 q + number
  for (i32 k = 0; k < 2; ++k) {
    const __m512d first_pair = pairs(words[0], words[1], k == 1);
    const __m512d last_pair = pairs(words[2], words[3], k == 1);
    four[2 * k] = _mm512_castpd_ps(_mm512_maskz_unpacklo_pd(0xff, first_pair, last_pair));
    four[2 * k + 1] = _mm512_castpd_ps(_mm512_maskz_unpackhi_pd(0xff, first_pair, last_pair));
  }
  const __m512 even[2] = {_mm512_maskz_shuffle_f32x4(0xffff, four[0], four[1], 0x88),
                          _mm512_maskz_shuffle_f32x4(0xffff, four[2], four[3], 0x88)};
  const __m512 odd[2] = {_mm512_maskz_shuffle_f32x4(0xffff, four[0], four[1], 0xdd),
                         _mm512_maskz_shuffle_f32x4(0xffff, four[2], four[3], 0xdd)};
  _mm512_storeu_ps(to, _mm512_maskz_shuffle_f32x4(0xffff, even[0], even[1], 0x88));
  _mm512_storeu_ps(to + 16, _mm512_maskz_shuffle_f32x4(0xffff, odd[0], odd[1], 0x88));
  _mm512_storeu_ps(to + 32, _mm512_maskz_shuffle_f32x4(0xffff, even[0], even[1], 0xdd));
  _mm512_storeu_ps(to + 48, _mm512_maskz_shuffle_f32x4(0xffff, odd[0], odd[1], 0xdd));
}

#elif defined(TESSERA_SIMD_AVX2)

inline constexpr i32 philox_blocks = 8;

/// uniform() of the words of blocks first to first + 7, in order; the low half of `first` must not
/// overflow within them.
inline void philox_uniform(const philox& generator, u64 first, float* to) {
  alignas(32) u32 words[32];
  tessera::detail::philox_words(generator, first, words);
  for (i32 i = 0; i < 32; i += 8) {
    const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(words + i));
    const __m256 number = _mm256_cvtepi32_ps(_mm256_srli_epi32(bits, 8));
    _mm256_storeu_ps(to + i, _mm256_mul_ps(number, _mm256_set1_ps(0x1p-24f)));
  }
}

#else

inline constexpr i32 philox_blocks = 1;

/// uniform() of the words of block `first`, in order.
inline void philox_uniform(const philox& generator, u64 first, float* to) {
  const random_block block = generator(first);
  for (i32 word = 0; word < 4; ++word) to[word] = uniform(block[word]);
}

#endif

}  // namespace tessera::host::simd
