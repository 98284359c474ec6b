#pragma once

// Vectors to and from memory that is not a vector of floats: halves, bytes, the rest of a row.
//
// Half vectors are converted by the machine's instructions where it has them. Memory past the
// n elements of a partial load or store is not touched.

#include <tessera/backends/host/simd_vector.hpp>
#include <tessera/core/half.hpp>

namespace tessera::host::simd {

inline vec load(const half* p) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(TESSERA_SIMD_AVX2) && defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(TESSERA_SIMD_NEON)
  return vcvt_f32_f16(vld1_f16(reinterpret_cast<const __fp16*>(p)));
#else
  float wide[lanes];
  for (i32 i = 0; i < lanes; ++i) wide[i] = to_float(p[i]);
  return load(wide);
#endif
}

/// Rounds to nearest even, once.
inline void store(half* p, vec x) {
#if defined(TESSERA_SIMD_AVX512)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(TESSERA_SIMD_AVX2) && defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(TESSERA_SIMD_NEON)
  vst1_f16(reinterpret_cast<__fp16*>(p), vcvt_f16_f32(x));
#else
  float wide[lanes];
  store(wide, x);
  for (i32 i = 0; i < lanes; ++i) p[i] = to_half(wide[i]);
#endif
}

#if defined(TESSERA_SIMD_AVX2)
/// All bits of lane i set where i < n.
inline __m256i first_lanes(i32 n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

/// The first n elements, 0 < n <= lanes; the other lanes are 0 and their memory is not touched.
inline vec load_partial(const float* p, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_maskload_ps(p, first_lanes(n));
#else
  if (n == lanes) return load(p);
  float all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
#endif
}

inline void store_partial(float* p, vec x, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x);
#elif defined(TESSERA_SIMD_AVX2)
  _mm256_maskstore_ps(p, first_lanes(n), x);
#else
  float all[lanes];
  store(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
#endif
}

inline vec load_partial(const half* p, i32 n) {
  if (n == lanes) return load(p);
  half all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
}

inline void store_partial(half* p, vec x, i32 n) {
  if (n == lanes) return store(p, x);
  half all[lanes];
  store(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
}

/// Bytes as floats.
inline vec load_u8(const u8* p) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtepi32_ps(
      0xffff,
      _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  float wide[lanes];
  for (i32 i = 0; i < lanes; ++i) wide[i] = static_cast<float>(p[i]);
  return load(wide);
#endif
}

/// Whole numbers from 0 to 255 as bytes.
inline void store_u8(u8* p, vec x) {
#if defined(TESSERA_SIMD_AVX512)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm512_maskz_cvtepi32_epi8(0xffff, _mm512_maskz_cvtps_epi32(0xffff, x)));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i wide = _mm256_cvtps_epi32(x);
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
#else
  float wide[lanes];
  store(wide, x);
  for (i32 i = 0; i < lanes; ++i) p[i] = static_cast<u8>(wide[i]);
#endif
}

/// Rounded to nearest half, ties to even, and widened again.
inline vec round_to_half(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtph_ps(0xffff, _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(TESSERA_SIMD_AVX2) && defined(__F16C__)
  return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(TESSERA_SIMD_NEON)
  return vcvt_f32_f16(vcvt_f16_f32(x));
#else
  half stored[lanes];
  store(stored, x);
  return load(stored);
#endif
}

inline float as_float(float x) { return x; }
inline float as_float(half x) { return to_float(x); }

}  // namespace tessera::host::simd
