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

/// Lane i is p[i step] for i < n, 0 < n <= lanes, and 0 from there on. Step: 1 or 2 where that is
/// known while compiling, 0 for any.
template <i32 Step, class T>
[[gnu::always_inline]] inline vec load_apart(const T* p, i64 step, i32 n) {
  if constexpr (Step == 1) return n == lanes ? load(p) : load_partial(p, n);
  if constexpr (Step == 2) {
    if (n == lanes) return load_every_second(p);
#if defined(TESSERA_SIMD_AVX512)
    if constexpr (sizeof(T) == 4) {
      const u32 numbers = (u32{1} << (2 * n - 1)) - 1;
      const __m512i pick =
          _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      return _mm512_permutex2var_ps(
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(numbers), p), pick,
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(numbers >> lanes), p + lanes));
    }
#endif
    step = 2;
  }
  float all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = as_float(p[i * step]);
  return load(all);
}

}  // namespace tessera::host::simd
