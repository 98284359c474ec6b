#pragma once

// Lanes: how the model computes many outputs at once on the host.
//
// A `lanes` is as wide as the host's registers. No result depends on that width: every lane is an
// output of its own, nothing is ever summed across lanes, and each step of a lane is one IEEE
// operation in a stated order. A product that feeds a sum is always an explicit fused multiply-add,
// so that no compiler flag decides about its rounding; plain products feed no sum.

#include <tessera/core/convert.hpp>
#include <tessera/core/convert_by_chance.hpp>
#include <tessera/ir/call.hpp>
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
inline half cut_to(float x, half) { return to_half_toward_zero(x); }
inline bfloat16 cut_to(float x, bfloat16) { return to_bfloat16_toward_zero(x); }

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
inline void fetch_run(const bfloat16* from, float* to, i64 n) { widen(from, to, n); }
inline void fetch_run(const float* from, float* to, i64 n) {
  for (i64 i = 0; i < n; ++i) to[i] = from[i];
}

/// How the results of one call are stored: as the machine rounds, flushes and saturates. Stochastic
/// rounding takes a word for each element by its number in its output, by step, operation and
/// slice.
struct storing {
  const machine& on;
  const call& of;

  storing(const machine& m, const call& c) : on(m), of(c) {}

  /// Does every value go to the nearest number, ties to even, and nothing else happen?
  bool plainly() const {
    const matrix_unit& u = on.matrix;
    return u.round == rounding::nearest_even && !u.numbers.flush_outputs && !u.numbers.saturate;
  }
  /// The words of output `slot`, or of a value (`own_value`) that no tensor holds.
  element_words words(i32 slot) const {
    const u64 seed = of.step->seed + u64{on.matrix.numbers.seed} * 0x9e3779b97f4a7c15u;
    const u64 stream = (u64{1} << 62) | static_cast<u64>(slot) << 58 |
                       static_cast<u64>(of.number & 0x3ffffff) << 32 | static_cast<u32>(of.trip);
    return {{seed, stream}, of.step->step << 32};
  }
  /// The output that `to` lies in: the last one that begins at or before it.
  i32 slot_of(const std::byte* to) const {
    i32 found = own_value;
    for (i32 slot = 0; slot < own_value; ++slot) {
      if (!of.sizes->has_output(slot)) continue;
      const std::byte* const begin = of.out[slot];
      if (begin == nullptr || begin > to) continue;
      if (found == own_value || begin > of.out[found]) found = slot;
    }
    return found;
  }

  static constexpr i32 own_value = 8;  // after the slots of outputs
};

inline float saturated(float x) {
  constexpr float most = 0x1.fffffep127f;
  return x > most ? most : x < -most ? -most : x;
}
inline float flushed(float x) {
  const u32 bits = std::bit_cast<u32>(x);
  return (bits & 0x7f800000) == 0 ? std::bit_cast<float>(bits & 0x80000000) : x;
}

template <class T>
void put_plainly(const float* from, T* to, i64 n) {
  if constexpr (sizeof(T) == 2) {
    narrow(from, to, n);
  } else {
    store_floats(from, to, n);
  }
}

/// Stores f32 results as elements `element` to `element` + n - 1 of output `slot`: one rounding
/// where T has 16 bits, then saturation, then flushing.
template <class T>
[[gnu::noinline]] void put_by_rule(const storing& how, const float* from, T* to, i64 n, i64 element,
                                   i32 slot) {
  const matrix_unit& u = how.on.matrix;
  if constexpr (sizeof(T) == 2) {
    if (u.round == rounding::stochastic) {
      narrow_by_chance(from, to, n, how.words(slot), element);
    } else if (u.round == rounding::toward_zero) {
      for (i64 i = 0; i < n; ++i) to[i] = cut_to(from[i], T{});
    } else {
      narrow(from, to, n);
    }
  } else {
    store_floats(from, to, n);
  }
  if (u.numbers.saturate) {
    for (i64 i = 0; i < n; ++i) to[i] = saturated(to[i]);
  }
  if (u.numbers.flush_outputs) {
    for (i64 i = 0; i < n; ++i) to[i] = flushed(to[i]);
  }
}

/// Stores f32 results into an output of the call, as the machine does.
template <class T>
void put(const storing& how, const float* from, T* to, i64 n) {
  if (how.plainly()) return put_plainly(from, to, n);
  const auto* const at = reinterpret_cast<const std::byte*>(to);
  const i32 slot = how.slot_of(at);
  const i64 element =
      slot == storing::own_value ? 0 : (at - how.of.out[slot]) / static_cast<i64>(sizeof(T));
  put_by_rule(how, from, to, n, element, slot);
}

/// The same where it is known which elements of which output they are: of gradients of fused
/// updates, too, which no tensor holds.
template <class T>
void put_at(const storing& how, const float* from, T* to, i64 n, i64 element, i32 slot = 0) {
  if (how.plainly()) return put_plainly(from, to, n);
  put_by_rule(how, from, to, n, element, slot);
}
template <class T>
void put_own(const storing& how, const float* from, T* to, i64 n, i64 element) {
  put_at(how, from, to, n, element, storing::own_value);
}

/// Products of a fold: of an array whose rows add up in turn.
constexpr i32 fold_length(const matrix_unit& u) { return u.rows > 0 ? u.rows : 1; }
/// Products of a tree: the power of two at or below the unit's depth, 1 to 256.
constexpr i32 tree_length(const matrix_unit& u) {
  i32 length = 1;
  while (length < 256 && 2 * length <= u.depth) length *= 2;
  return length;
}

/// The smallest magnitude of a type that is not subnormal, as the bits of a float.
template <class T>
inline constexpr i32 smallest_normal = 0x00800000;
template <>
inline constexpr i32 smallest_normal<half> = 0x38800000;  // 2^-14

/// Numbers that are subnormal as T become zeros of their sign: operands of a unit that knows none.
template <class T>
void flush_operands(float* x, i64 n) {
  for (i64 i = 0; i < n; ++i) {
    const i32 bits = std::bit_cast<i32>(x[i]);
    const i32 kept = (bits & 0x7fffffff) < smallest_normal<T> ? bits & ~0x7fffffff : bits;
    x[i] = std::bit_cast<float>(kept);
  }
}

/// The product of `n` pairs of halves summed in the machine's order: what the matrix unit computes
/// for one output, in the plainest form. Sums in f32 from +0; the result is not rounded to half.
inline float dot(const matrix_unit& unit, const half* a, const half* b, i64 n) {
  float acc = 0;
  const bool folds = unit.order == accumulation::folds;
  if (folds || unit.order == accumulation::chain) {
    const i64 length = folds ? fold_length(unit) : n;
    for (i64 i = 0; i < n; i += length) {
      float sum = 0;
      for (i64 j = i; j < i + length && j < n; ++j) {
        sum = std::fma(to_float(a[j]), to_float(b[j]), sum);
      }
      acc += sum;
    }
    return acc;
  }
  const i32 length = unit.order == accumulation::block4 ? 4 : tree_length(unit);
  for (i64 i = 0; i < n; i += length) {
    // Products of halves are exact in f32, so multiplying first rounds nothing.
    float p[256] = {};
    for (i64 j = 0; j < length && i + j < n; ++j) p[j] = to_float(a[i + j]) * to_float(b[i + j]);
    for (i32 width = length / 2; width > 0; width /= 2) {
      for (i32 j = 0; j < width; ++j) p[j] = p[2 * j] + p[2 * j + 1];
    }
    acc += p[0];
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
