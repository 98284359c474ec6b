#pragma once

// Vectors of floats from memory that is read, or written, with a step: every second number and
// every n-th.
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

/// Lanes [first, last) of a vector, 0 <= first <= last <= lanes, that are read from memory as one
/// number after the other or every second one: the other lanes are 0 and their memory is not
/// touched.
class lane_range {
 public:
  lane_range() = default;
  lane_range(i32 first, i32 last) : first_(first), last_(last) {}

  /// Lane i is p[i].
  template <class T>
  [[gnu::always_inline]] vec load(const T* p) const {
#if defined(TESSERA_SIMD_AVX512)
    return masked(bits(first_, last_), p);
#else
    return apart(p, 1);
#endif
  }
  /// Lane i is p[2 i].
  template <class T>
  [[gnu::always_inline]] vec load_every_second(const T* p) const {
#if defined(TESSERA_SIMD_AVX512)
    if (first_ == last_) return zero();
    const u64 numbers = bits(2 * first_, 2 * last_ - 1);
    const __m512i pick =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return _mm512_permutex2var_ps(masked(numbers, p), pick, masked(numbers >> lanes, p + lanes));
#else
    return apart(p, 2);
#endif
  }

 private:
#if defined(TESSERA_SIMD_AVX512)
  static u64 bits(i32 first, i32 last) { return (u64{1} << last) - (u64{1} << first); }
  static vec masked(u64 which, const float* p) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>(which), p);
  }
  static vec masked(u64 which, const half* p) {
    return _mm512_maskz_cvtph_ps(0xffff,
                                 _mm256_maskz_loadu_epi16(static_cast<__mmask16>(which), p));
  }
  static vec masked(u64 which, const bfloat16* p) {
    return words::widen_words(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(which), p));
  }
#else
  template <class T>
  vec apart(const T* p, i32 step) const {
    if (first_ == 0 && last_ == lanes) {
      return step == 1 ? simd::load(p) : simd::load_every_second(p);
    }
    float all[lanes] = {};
    for (i32 i = first_; i < last_; ++i) all[i] = as_float(p[i * step]);
    return simd::load(all);
  }
#endif

  i32 first_ = 0;
  i32 last_ = 0;
};

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

/// p[i step] = lane i for i < n, 0 < n <= lanes; what lies between keeps its value, but may be
/// written with it.
template <class T>
void store_apart(T* p, i64 step, vec x, i32 n) {
#if defined(TESSERA_SIMD_AVX512)
  if constexpr (sizeof(T) == 4) {
    if (step == 2 && n == lanes) {  // masked stores take several times as long
      const __m512i low = _mm512_setr_epi32(0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0);
      const __m512i high = _mm512_setr_epi32(0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15);
      const vec before = load(p);
      const vec behind = load(p + lanes - 1);  // ends with the last number
      store(p, vec(_mm512_mask_permutexvar_ps(before, 0x5555, low, x)));
      store(p + lanes - 1, vec(_mm512_mask_permutexvar_ps(behind, 0xaaaa, high, x)));
      return;
    }
  }
#endif
  T all[lanes];
  store(all, x);
  for (i32 i = 0; i < n; ++i) p[i * step] = all[i];
}

}  // namespace tessera::host::simd
