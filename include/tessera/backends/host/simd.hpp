#pragma once

// The door to SIMD: about 30 operations on vectors of floats, the only header that includes xsimd.
//
//   memory      load, store (float and half), load_partial, store_partial, load_u8, store_u8, ...
//   arithmetic  + - * / and comparisons of xsimd, fma, fnma, larger, smaller, root, absolute
//   selection   select, copy_sign, round_nearest, power_of_two
//   across      sum, sums (lanes vectors to one), largest_lane, transpose_8x8
//
// `lanes` is 4, 8 or 16, whatever the compiler was told about the processor. Products that feed a
// sum are written as fma: g++ contracts a * b + c to one instruction and clang does not, and xsimd
// 8.1 has no fused multiply-add of its own for AVX-512.
// Half vectors are converted by the machine's instructions where it has them.

#include <bit>
#include <cstring>

#include <tessera/core/half.hpp>
#include <tessera/core/types.hpp>

#include <xsimd/xsimd.hpp>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define TESSERA_SIMD_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define TESSERA_SIMD_AVX2 1
#endif

// Loops over the registers of a block: without it g++ -O2 keeps them in memory.
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TESSERA_UNROLL _Pragma("GCC unroll 16")
#endif

namespace tessera::host::simd {

using vec = xsimd::batch<float>;
using mask = xsimd::batch_bool<float>;
using int_vec = xsimd::batch<std::int32_t>;

inline constexpr i32 lanes = static_cast<i32>(vec::size);
/// Vector registers of the processor: what a block of sums has to fit into.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr i32 registers = 32;
#else
inline constexpr i32 registers = 16;
#endif
static_assert(lanes == 4 || lanes == 8 || lanes == 16, "host kernels expect 4, 8 or 16 lanes");

// The intrinsics below serve vectors of exactly this width.
#if defined(TESSERA_SIMD_AVX512)
static_assert(lanes == 16);
#elif defined(TESSERA_SIMD_AVX2)
static_assert(lanes == 8);
#endif

// --- memory --------------------------------------------------------------------------------------

inline vec set(float x) { return vec(x); }
inline vec zero() { return vec(0.0f); }

inline vec load(const float* p) { return vec::load_unaligned(p); }
inline void store(float* p, vec x) { x.store_unaligned(p); }

inline vec load(const half* p) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(TESSERA_SIMD_AVX2) && defined(__F16C__)
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
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

/// Whole numbers below 2^24 in magnitude; larger ones are rounded.
inline vec load_i32(const i32* p) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtepi32_ps(0xffff, _mm512_loadu_si512(p));
#else
  return xsimd::to_float(int_vec::load_unaligned(p));
#endif
}
inline void store_i32(i32* p, vec x) {
#if defined(TESSERA_SIMD_AVX512)
  _mm512_storeu_si512(p, _mm512_maskz_cvttps_epi32(0xffff, x));
#else
  xsimd::to_int(x).store_unaligned(p);
#endif
}

// --- arithmetic ----------------------------------------------------------------------------------

/// a b + c, rounded once where the processor can.
inline vec fma(vec a, vec b, vec c) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_fmadd_ps(a, b, c);
#else
  return xsimd::fma(a, b, c);
#endif
}

/// c - a b, rounded once where the processor can.
inline vec fnma(vec a, vec b, vec c) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_fnmadd_ps(a, b, c);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_fnmadd_ps(a, b, c);
#else
  return c - a * b;
#endif
}

inline vec select(mask m, vec yes, vec no) { return xsimd::select(m, yes, no); }

/// a > b ? a : b and a < b ? a : b: b where either is NaN. What maxps and minps do.
inline vec larger(vec a, vec b) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_max_ps(0xffff, a, b);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_max_ps(a, b);
#else
  return select(a > b, a, b);
#endif
}
inline vec smaller(vec a, vec b) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_min_ps(0xffff, a, b);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_min_ps(a, b);
#else
  return select(a < b, a, b);
#endif
}

/// The same value, in a register: keeps g++ from reading it from memory in each of its uses.
inline vec keep(vec x) {
#if defined(TESSERA_SIMD_AVX512) && defined(__GNUC__)
  __m512 held = x;
  asm("" : "+v"(held));
  return held;
#elif defined(TESSERA_SIMD_AVX2) && defined(__GNUC__)
  __m256 held = x;
  asm("" : "+x"(held));
  return held;
#else
  return x;
#endif
}

/// Rounded to nearest half, ties to even, and widened again.
inline vec round_to_half(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_cvtph_ps(0xffff, _mm512_maskz_cvtps_ph(0xffff, x, _MM_FROUND_TO_NEAREST_INT));
#elif defined(TESSERA_SIMD_AVX2) && defined(__F16C__)
  return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
#else
  half stored[lanes];
  store(stored, x);
  return load(stored);
#endif
}

inline vec absolute(vec x) { return xsimd::abs(x); }
inline vec root(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_sqrt_ps(0xffff, x);  // the plain form warns in g++ 12
#else
  return xsimd::sqrt(x);
#endif
}

/// Not x != x: xsimd 8.1 compares NaN as equal with AVX.
inline mask is_nan(vec x) { return xsimd::isnan(x); }

/// The nearest whole number, ties to even; |x| < 2^22.
inline vec round_nearest(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_roundscale_ps(0xffff, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  float all[lanes];
  store(all, x);
  // Adding 1.5 2^23 moves the fraction out of the mantissa.
  for (float& one : all) {
    volatile float shifted = one + 12582912.0f;
    one = shifted - 12582912.0f;
  }
  return load(all);
#endif
}

/// 2^n for whole numbers n from -126 to 127.
inline vec power_of_two(vec n) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512i biased =
      _mm512_add_epi32(_mm512_maskz_cvtps_epi32(0xffff, n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, biased, 23));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
#else
  float all[lanes];
  store(all, n);
  for (float& one : all) {
    one = std::bit_cast<float>(static_cast<u32>(static_cast<i32>(one) + 127) << 23);
  }
  return load(all);
#endif
}

/// 1.5 2^23: a small number added to it is rounded to a whole one, which the low bits then hold.
inline constexpr float whole_number_shift = 12582912.0f;

/// 2^n for shifted = whole_number_shift + n, n from -126 to 127.
inline vec power_of_shifted(vec shifted) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512i exponent = _mm512_maskz_slli_epi32(0xffff, _mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(127 << 23)));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23)));
#else
  float all[lanes];
  store(all, shifted);
  for (float& one : all) {
    one = std::bit_cast<float>((std::bit_cast<u32>(one) << 23) + (u32{127} << 23));
  }
  return load(all);
#endif
}

/// The magnitude of the first with the sign of the second.
inline vec copy_sign(vec magnitude, vec sign) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512 bit = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_and_ps(bit, sign), _mm512_andnot_ps(bit, magnitude));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_and_ps(bit, sign), _mm256_andnot_ps(bit, magnitude));
#else
  const vec bit(-0.0f);
  return (bit & sign) | xsimd::abs(magnitude);
#endif
}

// --- across lanes --------------------------------------------------------------------------------

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

/// True where a lane of m is.
inline bool any(mask m) { return xsimd::any(m); }

#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
/// Lane j of the result: the sum of the lanes of x[j].
inline __m256 sums_of_eight(const __m256 (&x)[8]) {
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x21), _mm256_blend_ps(a, b, 0xf0));
}
#endif

/// Eight sums at once: to[j] = the sum of the lanes of x[j].
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
#endif

inline float as_float(float x) { return x; }
inline float as_float(half x) { return to_float(x); }

/// to[j * to_step + i] = from[i * from_step + j] for i, j < 8.
template <class T>
void transpose_8x8(const T* from, i64 from_step, float* to, i64 to_step) {
#if defined(TESSERA_SIMD_AVX512) || defined(TESSERA_SIMD_AVX2)
  __m256 row[8];
  __m256 pair[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) row[i] = load_eight(from + i * from_step);
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
#else
  for (i32 i = 0; i < 8; ++i) {
    for (i32 j = 0; j < 8; ++j) to[j * to_step + i] = as_float(from[i * from_step + j]);
  }
#endif
}

}  // namespace tessera::host::simd
