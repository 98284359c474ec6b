#pragma once

// Lanes: how the model computes many outputs at once on the host.
//
// A `lanes` is as wide as the host's registers. No result depends on that width: every lane is an
// output of its own, nothing is ever summed across lanes, and each step of a lane is one IEEE
// operation in a stated order. A product that feeds a sum is always an explicit fused multiply-add,
// so that no compiler flag decides about its rounding; plain products feed no sum.

#include <tessera/core/convert.hpp>
#include <tessera/core/convert_by_chance.hpp>
#include <tessera/machine/machine.hpp>
#include <bit>
#include <cmath>
#include <cstring>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace tessera::accelerator {

#if defined(__AVX512F__)
inline constexpr i32 lane_count = 16;
#elif defined(__AVX__)
inline constexpr i32 lane_count = 8;
#else
inline constexpr i32 lane_count = 4;
#endif

/// Rows that are worked on for `n` of them: whole lanes, the rest zeros that nobody reads.
constexpr i64 padded(i64 n) { return (n + lane_count - 1) / lane_count * lane_count; }

using lanes = float __attribute__((vector_size(4 * lane_count)));
using whole_lanes = i32 __attribute__((vector_size(4 * lane_count)));

inline lanes load(const float* p) {
  lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, lanes v) { std::memcpy(p, &v, sizeof v); }
inline lanes set(float x) { return x - lanes{}; }  // adding to 0 would lose the sign of -0

/// a b + c with one rounding.
inline lanes fma(lanes a, lanes b, lanes c) {
#if defined(__AVX512F__)
  return (lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (lanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  lanes r;
  for (i32 i = 0; i < lane_count; ++i) r[i] = std::fma(a[i], b[i], c[i]);
  return r;
#endif
}

inline lanes square_root(lanes a) {
#if defined(__AVX__) && !defined(__AVX512F__)
  return (lanes)_mm256_sqrt_ps((__m256)a);
#else
  lanes r;
  for (i32 i = 0; i < lane_count; ++i) r[i] = std::sqrt(a[i]);
  return r;
#endif
}

inline lanes select(whole_lanes mask, lanes yes, lanes no) { return mask ? yes : no; }

inline void store_floats(const float* from, float* to, i64 n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

// Bulk conversions under one name for all storage types.
inline void fetch(const half* from, float* to, i64 n) { widen(from, to, n); }
inline void fetch(const bfloat16* from, float* to, i64 n) { widen(from, to, n); }
inline void fetch(const float* from, float* to, i64 n) { store_floats(from, to, n); }
inline float fetch(half x) { return to_float(x); }
inline float fetch(bfloat16 x) { return to_float(x); }
inline float fetch(float x) { return x; }

/// fetch() for the short runs of which panels are made: usually 16 or 32 values.
inline void fetch_run(const half* from, float* to, i64 n) {
#if defined(__F16C__) && defined(__AVX__)
  if (n % 8 == 0) {
    for (i64 i = 0; i < n; i += 8) {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
      _mm256_storeu_ps(to + i, _mm256_cvtph_ps(x));
    }
    return;
  }
#endif
  for (i64 i = 0; i < n; ++i) to[i] = to_float(from[i]);
}
inline void fetch_run(const float* from, float* to, i64 n) {
  for (i64 i = 0; i < n; ++i) to[i] = from[i];
}

/// Stores f32 results: one rounding for halves, as the machine rounds.
inline void put(rounding round, const float* from, half* to, i64 n) {
  if (round == rounding::nearest_even) return narrow(from, to, n);
  for (i64 i = 0; i < n; ++i) to[i] = to_half_toward_zero(from[i]);
}
inline void put(rounding, const float* from, float* to, i64 n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

template <class T>
inline constexpr element element_of = element::f32;
template <>
inline constexpr element element_of<half> = element::f16;

/// The product of `n` pairs of halves summed in the machine's order: what the matrix unit computes
/// for one output, in the plainest form. Sums in f32 from +0; the result is not rounded to half.
inline float dot(accumulation order, const half* a, const half* b, i64 n) {
  float acc = 0;
  if (order == accumulation::chain) {
    for (i64 i = 0; i < n; ++i) acc = std::fma(to_float(a[i]), to_float(b[i]), acc);
    return acc;
  }
  for (i64 i = 0; i < n; i += 4) {
    // Products of halves are exact in f32, so multiplying first rounds nothing.
    float p[4] = {};
    for (i64 j = 0; j < 4 && i + j < n; ++j) p[j] = to_float(a[i + j]) * to_float(b[i + j]);
    const float low = p[0] + p[1];
    const float high = p[2] + p[3];
    acc += low + high;
  }
  return acc;
}

/// The sum of products where `count` accumulators take turns, element i going to i mod count, and
/// are folded in halves at the end: the order of the vector unit's reductions. `count` is a power
/// of two up to 64.
inline float dot_in_lanes(i32 count, const half* a, const half* b, i64 n) {
  float acc[64] = {};
  for (i64 i = 0; i < n; ++i) {
    float& sum = acc[i % count];
    sum = std::fma(to_float(a[i]), to_float(b[i]), sum);
  }
  for (i32 width = count / 2; width > 0; width /= 2) {
    for (i32 i = 0; i < width; ++i) acc[i] += acc[i + width];
  }
  return acc[0];
}

}  // namespace tessera::accelerator
