#pragma once

// Sums, means and squares of numbers in memory, for normalization.
//
// What one statistic is over lies either along vectors (`number_runs`: runs of neighbours, as often
// as need be) or in one lane each (`lane_moments`: a column of vectors).
//
// Sums along: element k of a run goes to running sum k mod 32, and the 32 are folded in halves; so
// the order does not depend on the vector width. Moments: blocks of up to 4096 numbers, about as
// much as a first-level cache keeps; each has its mean, then the sum of squares about it, and the
// blocks are merged in order (Chan, Golub, LeVeque 1979). Memory is read once, and neither a large
// mean nor many numbers cost digits.

#include <cmath>

#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// `runs` runs of `length` neighbours, `step` apart.
struct number_runs {
  i64 runs;
  i64 length;
  i64 step;

  i64 count() const { return runs * length; }
};

/// The first n lanes, 0 < n <= lanes; the others are 0.
template <class T>
simd::vec load_first(const T* p, i32 n) {
  return n == simd::lanes ? simd::load(p) : simd::load_partial(p, n);
}
template <class T>
void store_first(T* p, simd::vec x, i32 n) {
  n == simd::lanes ? simd::store(p, x) : simd::store_partial(p, x, n);
}

/// x with the lanes from n on set to 0.
inline simd::vec first_only(simd::vec x, i32 n) {
  float all[simd::lanes] = {};
  simd::store_partial(all, x, n);
  return simd::load(all);
}

/// `Sums` sums over runs: terms(out, numbers...) makes the terms of a vector of numbers from each
/// of the arrays, all laid out alike.
template <i32 Sums, class Terms, class... T>
void sum_runs(const number_runs& r, float (&total)[Sums], const Terms& terms, const T*... from) {
  using namespace simd;
  constexpr i32 vectors = 32 / lanes;
  vec all[Sums][vectors];
  for (i32 k = 0; k < Sums; ++k) {
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) all[k][v] = zero();
  }
  vec term[Sums];
  for (i64 run = 0; run < r.runs; ++run) {
    const i64 end = run * r.step + r.length;
    i64 i = run * r.step;
    for (; i + 32 <= end; i += 32) {
      TESSERA_UNROLL
      for (i32 v = 0; v < vectors; ++v) {
        terms(term, load(from + i + v * lanes)...);
        for (i32 k = 0; k < Sums; ++k) all[k][v] = all[k][v] + term[k];
      }
    }
    for (i32 v = 0; i < end; i += lanes, ++v) {
      const i32 n = end - i < lanes ? static_cast<i32>(end - i) : lanes;
      terms(term, load_first(from + i, n)...);
      for (i32 k = 0; k < Sums; ++k) {
        all[k][v] = all[k][v] + (n == lanes ? term[k] : first_only(term[k], n));
      }
    }
  }
  for (i32 k = 0; k < Sums; ++k) {
    TESSERA_UNROLL
    for (i32 fold = vectors / 2; fold > 0; fold /= 2) {
      TESSERA_UNROLL
      for (i32 v = 0; v < fold; ++v) all[k][v] = all[k][v] + all[k][v + fold];
    }
    total[k] = sum(all[k][0]);
  }
}

/// y = f(numbers...) over runs; y may be one of the arrays.
template <class Function, class Y, class... T>
void map_runs(const number_runs& r, Y* y, const Function& f, const T*... from) {
  using namespace simd;
  for (i64 run = 0; run < r.runs; ++run) {
    const i64 end = run * r.step + r.length;
    i64 i = run * r.step;
    for (; i + lanes <= end; i += lanes) store(y + i, f(load(from + i)...));
    if (i < end) {
      const i32 n = static_cast<i32>(end - i);
      store_partial(y + i, f(load_partial(from + i, n)...), n);
    }
  }
}

/// Count, mean, and the sum of squares about the mean.
struct moments {
  float count = 0;
  float mean = 0;
  float squares = 0;

  void merge(const moments& b) {
    const float all = count + b.count;
    const float share = b.count / all;
    const float apart = b.mean - mean;
    squares += b.squares + apart * apart * (count * share);
    mean += apart * share;
    count = all;
  }
  float inverse_deviation(float epsilon) const {
    return 1.0f / std::sqrt(squares / count + epsilon);
  }
};

/// Numbers in a block of moments.
inline constexpr i64 moment_block = 4096;

/// Moments over runs. With `Centred` false the mean is taken to be 0.
template <bool Centred, class T>
moments moments_along(const T* p, const number_runs& r) {
  moments all;
  const auto add_block = [&](const T* first, const number_runs& part) {
    moments block;
    block.count = static_cast<float>(part.count());
    float total[1];
    if constexpr (Centred) {
      sum_runs(
          part, total, [](simd::vec(&t)[1], simd::vec x) { t[0] = x; }, first);
      block.mean = total[0] / block.count;
    }
    const simd::vec mean = simd::set(block.mean);
    const auto squares = [mean](simd::vec(&t)[1], simd::vec x) {
      const simd::vec off = x - mean;
      t[0] = off * off;
    };
    sum_runs(part, total, squares, first);
    block.squares = total[0];
    all.merge(block);
  };
  const i64 runs_a_block = r.length >= moment_block ? 1 : moment_block / r.length;
  for (i64 run = 0; run < r.runs; run += runs_a_block) {
    const i64 runs = r.runs - run < runs_a_block ? r.runs - run : runs_a_block;
    for (i64 i = 0; i < r.length; i += moment_block) {
      const i64 length = r.length - i < moment_block ? r.length - i : moment_block;
      add_block(p + run * r.step + i, {runs, length, r.step});
    }
  }
  return all;
}

/// The moments of up to a vector of columns: lane l has p[l], p[step + l], ...
struct lane_moments {
  simd::vec mean;
  simd::vec squares;
  float count;

  simd::vec inverse_deviation(float epsilon) const {
    const simd::vec variance = squares / simd::set(count);
    return simd::set(1.0f) / simd::root(variance + simd::set(epsilon));
  }
};

/// Moments of the first n lanes of a column of `count` vectors; in blocks of 256, each summed in
/// order. The other lanes are those of zeros.
template <bool Centred, class T>
lane_moments moments_down(const T* p, i64 step, i64 count, i32 n) {
  using namespace simd;
  constexpr i64 block = 256;
  lane_moments all{zero(), zero(), 0};
  for (i64 first = 0; first < count; first += block) {
    const i64 last = count - first < block ? count : first + block;
    const float here = static_cast<float>(last - first);
    vec mean = zero();
    if constexpr (Centred) {
      for (i64 i = first; i < last; ++i) mean = mean + load_first(p + i * step, n);
      mean = mean / set(here);
    }
    vec squares = zero();
    for (i64 i = first; i < last; ++i) {
      const vec off = load_first(p + i * step, n) - mean;
      squares = fma(off, off, squares);
    }
    const float both = all.count + here;
    const vec share = set(here / both);
    const vec apart = mean - all.mean;
    all.squares = all.squares + fma(apart * apart, set(all.count) * share, squares);
    all.mean = fma(apart, share, all.mean);
    all.count = both;
  }
  return all;
}

}  // namespace tessera::host
