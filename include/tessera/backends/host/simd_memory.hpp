#pragma once

// Vectors to and from memory that is not a vector of floats: 16-bit types, bytes, the rest of a
// row.
//
// Halves are converted by the machine's instructions where it has them. A bfloat16 is the upper
// half of a float: shifted on the way in, rounded by integer adds on the way out, because the
// processor's own instruction flushes subnormals, which are numbers here; six instructions with
// AVX-512. Both give the bits of to_half and to_bfloat16. Memory past the n elements of a partial
// load or store is not touched.

#include <tessera/backends/host/simd_vector.hpp>
#include <tessera/core/bfloat16.hpp>
#include <tessera/core/element.hpp>
#include <tessera/core/half.hpp>

namespace tessera::host::simd {

/// Asks for the line of *p, which may be no memory at all.
inline void prefetch(const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#else
  static_cast<void>(p);
#endif
}

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

namespace words {

// Vectors of float bits whose upper halves are bfloat16: rounded to nearest even, NaN made quiet.
#if defined(TESSERA_SIMD_AVX512)
inline __m512i round_bits(__m512i x) {
  const __m512i below = _mm512_add_epi32(x, _mm512_set1_epi32(0x7fff));
  const __mmask16 odd = _mm512_test_epi32_mask(x, _mm512_set1_epi32(0x10000));
  const __m512i rounded = _mm512_mask_add_epi32(below, odd, below, _mm512_set1_epi32(1));
  const __m512 value = _mm512_castsi512_ps(x);
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, x, _mm512_set1_epi32(0x400000));
}
inline __m256i upper_words(__m512i x) {
  const __m512i odd = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 31, 29, 27,
                                       25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const __m512i together = _mm512_maskz_permutexvar_epi16(0xffffffff, odd, x);
  return __builtin_shufflevector(together, together, 0, 1, 2, 3);  // the cast warns in g++ 12
}
/// Bfloat16s nearest to floats. The processor's own conversion takes half the instructions, and
/// subnormals, which it flushes, are rare enough to be looked for.
inline __m256i rounded_words(__m512 x) {
#if defined(__AVX512BF16__)
  if (_mm512_fpclass_ps_mask(x, 0x20) == 0) [[likely]] {
    return std::bit_cast<__m256i>(_mm512_cvtneps_pbh(x));
  }
#endif
  return upper_words(round_bits(_mm512_castps_si512(x)));
}
inline vec widen_words(__m256i x) {
  return _mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, x), 16));
}
/// The first n of 16 lanes.
inline __mmask16 first(i32 n) { return static_cast<__mmask16>((1u << n) - 1); }
#elif defined(TESSERA_SIMD_AVX2)
inline __m256i round_bits(__m256i x) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));
  const __m256i below = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  const __m256 value = _mm256_castsi256_ps(x);
  const __m256 nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  const __m256i quiet = _mm256_or_si256(x, _mm256_set1_epi32(0x400000));
  return _mm256_blendv_epi8(_mm256_add_epi32(x, below), quiet, _mm256_castps_si256(nan));
}
#elif defined(__SSE2__)
inline __m128i round_bits(__m128i x) {
  const __m128i odd = _mm_and_si128(_mm_srli_epi32(x, 16), _mm_set1_epi32(1));
  const __m128i below = _mm_add_epi32(odd, _mm_set1_epi32(0x7fff));
  const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(_mm_castsi128_ps(x), _mm_castsi128_ps(x)));
  const __m128i quiet = _mm_or_si128(x, _mm_set1_epi32(0x400000));
  return _mm_or_si128(_mm_and_si128(nan, quiet), _mm_andnot_si128(nan, _mm_add_epi32(x, below)));
}
#endif

}  // namespace words

inline vec load(const bfloat16* p) {
#if defined(TESSERA_SIMD_AVX512)
  return words::widen_words(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(TESSERA_SIMD_AVX2)
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
#elif defined(__SSE2__)
  const __m128i words = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), words));
#else
  float wide[lanes];
  for (i32 i = 0; i < lanes; ++i) wide[i] = to_float(p[i]);
  return load(wide);
#endif
}

/// Rounds to nearest even, once.
inline void store(bfloat16* p, vec x) {
#if defined(TESSERA_SIMD_AVX512)
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), words::rounded_words(x));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i y = _mm256_srli_epi32(words::round_bits(_mm256_castps_si256(x)), 16);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1)));
#elif defined(__SSE2__)
  // Signed, so that packing with signed saturation keeps the bits.
  const __m128i y = _mm_srai_epi32(words::round_bits(_mm_castps_si128(x)), 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(y, y));
#else
  float wide[lanes];
  store(wide, x);
  for (i32 i = 0; i < lanes; ++i) p[i] = to_bfloat16(wide[i]);
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
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_maskz_loadu_epi16(words::first(n), p));
#else
  if (n == lanes) return load(p);
  half all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
#endif
}
inline vec load_partial(const bfloat16* p, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  return words::widen_words(_mm256_maskz_loadu_epi16(words::first(n), p));
#else
  if (n == lanes) return load(p);
  bfloat16 all[lanes] = {};
  for (i32 i = 0; i < n; ++i) all[i] = p[i];
  return load(all);
#endif
}

inline void store_partial(half* p, vec x, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  _mm256_mask_storeu_epi16(p, words::first(n),
                           _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
#else
  if (n == lanes) return store(p, x);
  half all[lanes];
  store(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
#endif
}
inline void store_partial(bfloat16* p, vec x, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  _mm256_mask_storeu_epi16(p, words::first(n), words::rounded_words(x));
#else
  if (n == lanes) return store(p, x);
  bfloat16 all[lanes];
  store(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
#endif
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

/// The same for the first n lanes, 0 < n <= lanes.
inline void store_u8_partial(u8* p, vec x, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  _mm_mask_storeu_epi8(p, words::first(n),
                       _mm512_maskz_cvtepi32_epi8(0xffff, _mm512_maskz_cvtps_epi32(0xffff, x)));
#else
  u8 all[lanes];
  store_u8(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
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

/// Rounded to nearest bfloat16, ties to even, and widened again.
inline vec round_to_bfloat16(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512i rounded = words::round_bits(_mm512_castps_si512(x));
  return _mm512_castsi512_ps(
      _mm512_and_si512(rounded, _mm512_set1_epi32(static_cast<i32>(0xffff0000))));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i rounded = words::round_bits(_mm256_castps_si256(x));
  return _mm256_castsi256_ps(
      _mm256_and_si256(rounded, _mm256_set1_epi32(static_cast<i32>(0xffff0000))));
#else
  bfloat16 stored[lanes];
  store(stored, x);
  return load(stored);
#endif
}

inline float as_float(float x) { return x; }
inline float as_float(half x) { return to_float(x); }
inline float as_float(bfloat16 x) { return to_float(x); }

/// One number of any storage type.
inline void store_number(float* p, float x) { *p = x; }
inline void store_number(half* p, float x) { *p = to_half(x); }
inline void store_number(bfloat16* p, float x) { *p = to_bfloat16(x); }

/// What `T` stores of x: rounded and widened again, or x itself.
inline vec rounded_to(vec x, float) { return x; }
inline vec rounded_to(vec x, half) { return round_to_half(x); }
inline vec rounded_to(vec x, bfloat16) { return round_to_bfloat16(x); }
template <class T>
vec rounded(vec x) {
  return rounded_to(x, T{});
}

}  // namespace tessera::host::simd

namespace tessera::host {

/// The element type of T: float, half or bfloat16.
template <class T>
inline constexpr element stored_as = element::f32;
template <>
inline constexpr element stored_as<half> = element::f16;
template <>
inline constexpr element stored_as<bfloat16> = element::bf16;

/// True for what kernels of the host are templates over.
constexpr bool is_storage(element type) {
  return type == element::f32 || type == element::f16 || type == element::bf16;
}

}  // namespace tessera::host
