#pragma once

// Vectors of floats, lane by lane: arithmetic, selection, powers of two. The door to SIMD: the only
// header that includes xsimd.
//
// `lanes` is 4, 8 or 16, whatever the compiler was told about the processor. Products that feed a
// sum are written as fma: g++ contracts a * b + c to one instruction and clang does not, and xsimd
// 8.1 has no fused multiply-add of its own for AVX-512.

#include <bit>
#include <cstring>

#include <tessera/core/types.hpp>

#include <xsimd/xsimd.hpp>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define TESSERA_SIMD_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#define TESSERA_SIMD_AVX2 1
#elif defined(__aarch64__)
#define TESSERA_SIMD_NEON 1
#endif

// Loops over the registers of a block: without it g++ -O2 keeps them in memory.
#if defined(__clang__)
#define TESSERA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TESSERA_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(TESSERA_SIMD_NEON) && XSIMD_VERSION_MAJOR < 9
// Its quotients of floats are those of 32-bit ARM, which has no division: off by units of the last
// place.
template <>
inline xsimd::batch<float, xsimd::neon64> xsimd::kernel::div<xsimd::neon64>(
    const xsimd::batch<float, xsimd::neon64>& a, const xsimd::batch<float, xsimd::neon64>& b,
    xsimd::kernel::requires_arch<xsimd::neon>) noexcept {
  return vdivq_f32(a, b);
}
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
#elif defined(TESSERA_SIMD_NEON)
static_assert(lanes == 4);
#endif

inline vec set(float x) { return vec(x); }
inline vec zero() { return vec(0.0f); }

inline vec load(const float* p) { return vec::load_unaligned(p); }
inline void store(float* p, vec x) { x.store_unaligned(p); }

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

/// a b + c, rounded once where the processor can.
inline vec fma(vec a, vec b, vec c) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(TESSERA_SIMD_AVX2)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(TESSERA_SIMD_NEON)  // xsimd's rounds twice
  return vfmaq_f32(c, a, b);
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
#elif defined(TESSERA_SIMD_NEON)
  return vfmsq_f32(c, a, b);
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
#elif defined(TESSERA_SIMD_NEON) && defined(__GNUC__)
  float32x4_t held = x;
  asm("" : "+w"(held));
  return held;
#else
  return x;
#endif
}

inline vec absolute(vec x) { return xsimd::abs(x); }
inline vec root(vec x) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_sqrt_ps(0xffff, x);  // the plain form warns in g++ 12
#elif defined(TESSERA_SIMD_NEON)
  return vsqrtq_f32(x);
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
#elif defined(TESSERA_SIMD_NEON)
  return vrndnq_f32(x);
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
#elif defined(TESSERA_SIMD_NEON)
  const int32x4_t biased = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
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

/// 2^n for shifted = whole_number_shift + n, n from -126 to 127; 0 for n = -127.
inline vec power_of_shifted(vec shifted) {
#if defined(TESSERA_SIMD_AVX512)
  const __m512i exponent = _mm512_maskz_slli_epi32(0xffff, _mm512_castps_si512(shifted), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(127 << 23)));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(127 << 23)));
#elif defined(TESSERA_SIMD_NEON)
  const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23);
  return vreinterpretq_f32_s32(vaddq_s32(exponent, vdupq_n_s32(127 << 23)));
#else
  float all[lanes];
  store(all, shifted);
  for (float& one : all) {
    one = std::bit_cast<float>((std::bit_cast<u32>(one) << 23) + (u32{127} << 23));
  }
  return load(all);
#endif
}

/// x 2^n for whole numbers n from -252 to 254, rounded once, where x 2^(n / 2) is a normal number.
inline vec times_power(vec x, vec n) {
#if defined(TESSERA_SIMD_AVX512)
  return _mm512_maskz_scalef_ps(0xffff, x, n);
#else
  const vec half = round_nearest(n * set(0.5f));
  return x * power_of_two(half) * power_of_two(n - half);
#endif
}

/// x = 2^power m with m in [sqrt(1/2), sqrt(2)), for normal x above 0; returns m.
inline vec split_power(vec x, vec& power) {
  constexpr i32 root_half = 0x3f3504f3;  // sqrt(1/2) in bits
#if defined(TESSERA_SIMD_AVX512)
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i n =
      _mm512_maskz_srai_epi32(0xffff, _mm512_sub_epi32(bits, _mm512_set1_epi32(root_half)), 23);
  power = _mm512_maskz_cvtepi32_ps(0xffff, n);
  return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_maskz_slli_epi32(0xffff, n, 23)));
#elif defined(TESSERA_SIMD_AVX2)
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i n = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(root_half)), 23);
  power = _mm256_cvtepi32_ps(n);
  return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(n, 23)));
#elif defined(TESSERA_SIMD_NEON)
  const int32x4_t bits = vreinterpretq_s32_f32(x);
  const int32x4_t n = vshrq_n_s32(vsubq_s32(bits, vdupq_n_s32(root_half)), 23);
  power = vcvtq_f32_s32(n);
  return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(n, 23)));
#else
  float all[lanes];
  float powers[lanes];
  store(all, x);
  for (i32 i = 0; i < lanes; ++i) {
    const i32 bits = std::bit_cast<i32>(all[i]);
    const i32 n = (bits - root_half) >> 23;
    powers[i] = static_cast<float>(n);
    all[i] = std::bit_cast<float>(bits - n * (1 << 23));
  }
  power = load(powers);
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
#elif defined(TESSERA_SIMD_NEON)
  return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude);
#else
  const vec bit(-0.0f);
  return (bit & sign) | xsimd::abs(magnitude);
#endif
}

/// True where a lane of m is.
inline bool any(mask m) { return xsimd::any(m); }

}  // namespace tessera::host::simd
