#pragma once

// Across lanes: sums and the largest lane of a vector, eight sums at once, an 8 x 8 transposition.
//
// Vectors of 16 lanes are folded to 8 first: a sum of them is one of two vectors of 8, added up.

#include <tessera/backends/host/simd_memory.hpp>

namespace tessera::host::simd {

/// The sum of all lanes: halves folded onto each other, so 16 lanes sum as two vectors of 8 would
/// whose sum is taken first.
inline float sum(vec x) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
#if defined(TESSERA_SIMD_AVX512)
  const __m256 low = _mm512_maskz_extractf32x8_ps(0xff, x, 0);
  const __m256 eight = _mm256_add_ps(low, _mm512_maskz_extractf32x8_ps(0xff, x, 1));
#else
  const __m256 eight = x;
#endif
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  float all[lanes];
  store(all, x);
  for (i32 fold = lanes / 2; fold > 0; fold /= 2) {
    for (i32 i = 0; i < fold; ++i) all[i] += all[i + fold];
  }
  return all[0];
#endif
}

/// The largest lane, NaN lanes left out unless all are.
inline float largest_lane(vec x) {
  float all[lanes];
  store(all, x);
  float best = all[0];
  for (i32 i = 1; i < lanes; ++i) {
    if (all[i] > best || best != best) best = all[i];
  }
  return best;
}

#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
/// Lane j of the result: the sum of the lanes of x[j], added up as `sum` does.
inline __m256 sums_of_eight(const __m256 (&x)[8]) {
  __m256 four[4];  // of x[i] and x[i + 4]
  TESSERA_UNROLL
  for (i32 i = 0; i < 4; ++i) {
    four[i] = _mm256_add_ps(_mm256_permute2f128_ps(x[i], x[i + 4], 0x20),
                            _mm256_permute2f128_ps(x[i], x[i + 4], 0x31));
  }
  __m256 two[2];  // of four[2 i] and four[2 i + 1]
  TESSERA_UNROLL
  for (i32 i = 0; i < 2; ++i) {
    two[i] = _mm256_add_ps(_mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
                           _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0xee));
  }
  return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88),
                       _mm256_shuffle_ps(two[0], two[1], 0xdd));
}
#endif

/// Eight sums at once: to[j] = the sum of the lanes of x[j], the same bits as sum(x[j]).
inline void sums(const vec (&x)[8], float* to) {
#if defined(TESSERA_SIMD_AVX512)
  __m256 folded[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) {
    folded[i] = _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, x[i], 0),
                              _mm512_maskz_extractf32x8_ps(0xff, x[i], 1));
  }
  _mm256_storeu_ps(to, sums_of_eight(folded));
#elif defined(TESSERA_SIMD_AVX2)
  __m256 all[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) all[i] = x[i];
  _mm256_storeu_ps(to, sums_of_eight(all));
#else
  for (i32 i = 0; i < 8; ++i) to[i] = sum(x[i]);
#endif
}

/// As many sums as a vector has lanes: lane j is the sum of the lanes of x[j]. Halves are added
/// first, then quarters, down to neighbours, whatever j.
inline vec sums_of_lanes(const vec (&x)[lanes]) {
#if defined(TESSERA_SIMD_AVX512)
  __m512 quarters[4];  // j: 4 lanes of each of x[j], x[j + 4], x[j + 8], x[j + 12]
  TESSERA_UNROLL
  for (i32 j = 0; j < 4; ++j) {
    const __m512 a = x[j], b = x[j + 4], c = x[j + 8], d = x[j + 12];
    const __m512 low = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(0xffff, a, b, 0x44),
                                     _mm512_maskz_shuffle_f32x4(0xffff, a, b, 0xee));
    const __m512 high = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(0xffff, c, d, 0x44),
                                      _mm512_maskz_shuffle_f32x4(0xffff, c, d, 0xee));
    quarters[j] = _mm512_add_ps(_mm512_maskz_shuffle_f32x4(0xffff, low, high, 0x88),
                                _mm512_maskz_shuffle_f32x4(0xffff, low, high, 0xdd));
  }
  const auto pairs = [](__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_maskz_shuffle_ps(0xffff, a, b, 0x44),
                         _mm512_maskz_shuffle_ps(0xffff, a, b, 0xee));
  };
  const __m512 first = pairs(quarters[0], quarters[1]);
  const __m512 second = pairs(quarters[2], quarters[3]);
  return _mm512_add_ps(_mm512_maskz_shuffle_ps(0xffff, first, second, 0x88),
                       _mm512_maskz_shuffle_ps(0xffff, first, second, 0xdd));
#elif defined(TESSERA_SIMD_AVX2)
  __m256 all[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) all[i] = x[i];
  return sums_of_eight(all);
#else
  float all[lanes];
  for (i32 j = 0; j < lanes; ++j) all[j] = sum(x[j]);
  return load(all);
#endif
}

#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
inline __m256 load_eight(const float* p) { return _mm256_loadu_ps(p); }
inline __m256 load_eight(const half* p) {
#if defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  float wide[8];
  for (i32 i = 0; i < 8; ++i) wide[i] = to_float(p[i]);
  return _mm256_loadu_ps(wide);
#endif
}
inline __m256 load_eight(const bfloat16* p) {
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}
#endif

#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
/// to[j * to_step + i] = row[i][j].
inline void store_transposed(__m256 (&row)[8], float* to, i64 to_step) {
  __m256 pair[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 4; ++i) {
    pair[2 * i] = _mm256_unpacklo_ps(row[2 * i], row[2 * i + 1]);
    pair[2 * i + 1] = _mm256_unpackhi_ps(row[2 * i], row[2 * i + 1]);
  }
  TESSERA_UNROLL
  for (i32 i = 0; i < 2; ++i) {  // row[4 i + k]: columns k and k + 4 of rows 4 i to 4 i + 3
    row[4 * i] = _mm256_shuffle_ps(pair[4 * i], pair[4 * i + 2], 0x44);
    row[4 * i + 1] = _mm256_shuffle_ps(pair[4 * i], pair[4 * i + 2], 0xee);
    row[4 * i + 2] = _mm256_shuffle_ps(pair[4 * i + 1], pair[4 * i + 3], 0x44);
    row[4 * i + 3] = _mm256_shuffle_ps(pair[4 * i + 1], pair[4 * i + 3], 0xee);
  }
  TESSERA_UNROLL
  for (i32 i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + i * to_step, _mm256_permute2f128_ps(row[i], row[4 + i], 0x20));
    _mm256_storeu_ps(to + (4 + i) * to_step, _mm256_permute2f128_ps(row[i], row[4 + i], 0x31));
  }
}
#endif

/// to[j * to_step + i] = from[i * from_step + j] for i, j < 8; the two lie apart.
template <class T>
void transpose_8x8(const T* from, i64 from_step, float* to, i64 to_step) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
  if constexpr (sizeof(T) == sizeof(float)) {
    // Rows i and i + 4 meet as they are loaded: 16 shuffles instead of 24.
    TESSERA_UNROLL
    for (i32 half = 0; half < 8; half += 4) {
      __m256 row[4];
      TESSERA_UNROLL
      for (i32 i = 0; i < 4; ++i) {
        const float* const p = from + i * from_step + half;
        row[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)),
                                      _mm_loadu_ps(p + 4 * from_step), 1);
      }
      const __m256 pair[4] = {
          _mm256_unpacklo_ps(row[0], row[1]), _mm256_unpackhi_ps(row[0], row[1]),
          _mm256_unpacklo_ps(row[2], row[3]), _mm256_unpackhi_ps(row[2], row[3])};
      TESSERA_UNROLL
      for (i32 i = 0; i < 2; ++i) {
        float* const p = to + (half + 2 * i) * to_step;
        _mm256_storeu_ps(p, _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44));
        _mm256_storeu_ps(p + to_step, _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee));
      }
    }
  } else {
    __m256 row[8];
    TESSERA_UNROLL
    for (i32 i = 0; i < 8; ++i) row[i] = load_eight(from + i * from_step);
    store_transposed(row, to, to_step);
  }
#else
  for (i32 i = 0; i < 8; ++i) {
    for (i32 j = 0; j < 8; ++j) to[j * to_step + i] = as_float(from[i * from_step + j]);
  }
#endif
}

/// to[j * to_step + i] = row[i][at + j] for i, j < 8.
template <class T>
void transpose_rows_8x8(const T* const (&row)[8], i64 at, float* to, i64 to_step) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
  __m256 values[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) values[i] = load_eight(row[i] + at);
  store_transposed(values, to, to_step);
#else
  for (i32 i = 0; i < 8; ++i) {
    for (i32 j = 0; j < 8; ++j) to[j * to_step + i] = as_float(row[i][at + j]);
  }
#endif
}

/// The same of words of 32 bits: to[j * to_step + i] holds from[i * from_step + 2 j] and its
/// neighbour.
inline void transpose_words_8x8(const bfloat16* from, i64 from_step, float* to, i64 to_step) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
  __m256 row[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) {
    row[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(from + i * from_step));
  }
  store_transposed(row, to, to_step);
#else
  for (i32 i = 0; i < 8; ++i) {
    for (i32 j = 0; j < 8; ++j) {
      std::memcpy(to + j * to_step + i, from + i * from_step + 2 * j, sizeof(float));
    }
  }
#endif
}

}  // namespace tessera::host::simd
