#pragma once

// Vectors of floats from memory that is read with a step: every second number and every n-th.
//
// Nothing behind the last number that is asked for is touched.

#include <tessera/backends/host/simd_memory.hpp>

namespace tessera::host::simd {

/// p[0], p[2], ... p[2 lanes - 2].
template <class T>
vec load_every_second(const T* p) {
#if defined(TESSERA_SIMD_AVX512)
  // The second half starts at an odd place: it ends with the last number asked for.
  const __m512i pick = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_permutex2var_ps(load(p), pick, load(p + lanes - 1));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256 picked = _mm256_shuffle_ps(load(p), load(p + lanes - 1), _MM_SHUFFLE(3, 1, 2, 0));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(picked), _MM_SHUFFLE(3, 1, 2, 0)));
#else
  float all[lanes];
  for (i32 i = 0; i < lanes; ++i) all[i] = as_float(p[2 * i]);
  return load(all);
#endif
}

/// Two numbers after each other of n pairs, 0 < n <= lanes: lane i < n of `even` is p[2 i], of
/// `odd` p[2 i + 1].
template <class T>
[[gnu::always_inline]] inline void load_pairs(const T* p, i32 n, vec& even, vec& odd) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
  const i32 numbers = 2 * n;
  const vec low = numbers >= lanes ? load(p) : load_partial(p, numbers);
  vec high = zero();
  if (n == lanes) {
    high = load(p + lanes);
  } else if (numbers > lanes) {
    high = load_partial(p + lanes, numbers - lanes);
  }
#if defined(TESSERA_SIMD_AVX512)
  const __m512i pick = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even = _mm512_permutex2var_ps(low, pick, high);
  odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(pick, _mm512_set1_epi32(1)), high);
#else
  const auto in_order = [](__m256 x) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), _MM_SHUFFLE(3, 1, 2, 0)));
  };
  even = in_order(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
  odd = in_order(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
#endif
#else
  float first[lanes] = {};
  float second[lanes] = {};
  for (i32 i = 0; i < n; ++i) {
    first[i] = as_float(p[2 * i]);
    second[i] = as_float(p[2 * i + 1]);
  }
  even = load(first);
  odd = load(second);
#endif
}

/// Lane i is p[i step] for i < n, 0 < n <= lanes, and 0 from there on. Step: 1 or 2 where that is
/// known while compiling, 0 for any.
template <i32 Step, class T>
[[gnu::always_inline]] inline vec load_apart(const T* p, i64 step, i32 n) {
  if constexpr (Step == 1) return n == lanes ? load(p) : load_partial(p, n);
  if constexpr (Step == 2) {
    if (n == lanes) return load_every_second(p);
#if defined(TESSERA_SIMD_AVX512)
    const i32 numbers = 2 * n - 1;
    const __m512i pick =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    if (numbers <= lanes) return _mm512_permutex2var_ps(load_partial(p, numbers), pick, zero());
    return _mm512_permutex2var_ps(load(p), pick, load_partial(p + lanes, numbers - lanes));
#else
    step = 2;
#endif
  }
  float all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = as_float(p[i * step]);
  return load(all);
}

}  // namespace tessera::host::simd
