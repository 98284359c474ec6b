#pragma once

// Sums, means and squares of numbers in memory, for normalization.
//
// What one statistic is over lies either along vectors (`number_runs`: runs of neighbours, as often
// as need be) or in one lane each (`lane_moments`: a column of vectors).
//
// Sums along: element k of a run goes to running sum k mod 64 (k mod 32 where two sums are made at
// once), and those are folded in halves; so the order does not depend on the vector width. Moments:
// blocks of up to 4096 numbers, about as much as a first-level cache keeps; each has its mean, then
// the sum of squares about it, and the blocks are merged in order (Chan, Golub, LeVeque 1979).
// Memory is read once, and neither a large mean nor many numbers cost digits.

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

/// Running sums in registers: enough vectors to hide the latency of an addition (4 cycles, 2 a
/// cycle), few enough for 16 registers of 8 lanes.
template <i32 Sums>
inline constexpr i32 running_sums = Sums == 1 ? 64 : 32;

/// `Sums` sums over runs: add(sums, numbers...) adds the terms of a vector of numbers from each of
/// the arrays, all laid out alike.
template <i32 Sums, class Add, class... T>
void sum_runs(const number_runs& r, float (&total)[Sums], const Add& add, const T*... from) {
  using namespace simd;
  constexpr i32 running = running_sums<Sums>;
  constexpr i32 vectors = running / lanes;
  vec all[vectors][Sums];
  TESSERA_UNROLL
  for (i32 v = 0; v < vectors; ++v) {
    TESSERA_UNROLL
    for (i32 k = 0; k < Sums; ++k) all[v][k] = zero();
  }
  for (i64 run = 0; run < r.runs; ++run) {
    const i64 end = run * r.step + r.length;
    i64 i = run * r.step;
    for (; i + running <= end; i += running) {
      TESSERA_UNROLL
      for (i32 v = 0; v < vectors; ++v) add(all[v], load(from + i + v * lanes)...);
    }
    if (i == end) continue;
    float rest[Sums][running] = {};
    for (i32 at = 0; i < end; i += lanes, at += lanes) {
      const i32 n = end - i < lanes ? static_cast<i32>(end - i) : lanes;
      vec term[Sums];
      TESSERA_UNROLL
      for (i32 k = 0; k < Sums; ++k) term[k] = zero();
      add(term, load_first(from + i, n)...);
      TESSERA_UNROLL
      for (i32 k = 0; k < Sums; ++k) store_first(rest[k] + at, term[k], n);
    }
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) {
      TESSERA_UNROLL
      for (i32 k = 0; k < Sums; ++k) all[v][k] = all[v][k] + load(rest[k] + v * lanes);
    }
  }
  TESSERA_UNROLL
  for (i32 k = 0; k < Sums; ++k) {
    TESSERA_UNROLL
    for (i32 fold = vectors / 2; fold > 0; fold /= 2) {
      TESSERA_UNROLL
      for (i32 v = 0; v < fold; ++v) all[v][k] = all[v][k] + all[v + fold][k];
    }
    total[k] = sum(all[0][k]);
  }
}

/// y = f(numbers...) over runs; y may be one of the arrays. From the last run on: of numbers that
/// were just summed those are the ones still in cache.
template <class Function, class Y, class... T>
void map_runs(const number_runs& r, Y* y, const Function& f, const T*... from) {
  using namespace simd;
  for (i64 run = r.runs - 1; run >= 0; --run) {
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
    if (count == 0) {  // the same without divisions
      *this = b;
      return;
    }
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
      const auto plain = [](simd::vec(&t)[1], simd::vec x) { t[0] = t[0] + x; };
      sum_runs(part, total, plain, first);
      block.mean = total[0] / block.count;
    }
    const simd::vec mean = simd::set(block.mean);
    const auto squares = [mean](simd::vec(&t)[1], simd::vec x) {
      const simd::vec off = x - mean;
      t[0] = simd::fma(off, off, t[0]);
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

/// The sum of what `add` adds for each vector of a column: vector k goes to running sum k mod 4,
/// since one alone would wait for every addition.
template <class T, class Add>
simd::vec sum_down(const T* p, i64 step, i64 count, i32 n, const Add& add) {
  using namespace simd;
  vec sum[4] = {zero(), zero(), zero(), zero()};
  i64 i = 0;
  for (; i + 4 <= count; i += 4) {
    TESSERA_UNROLL
    for (i32 k = 0; k < 4; ++k) sum[k] = add(sum[k], load_first(p + (i + k) * step, n));
  }
  TESSERA_UNROLL
  for (i32 k = 0; k < 3; ++k) {
    if (i + k < count) sum[k] = add(sum[k], load_first(p + (i + k) * step, n));
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// Moments of the first n lanes of a column of `count` vectors; in blocks of 256, each summed as
/// sum_down does. The other lanes are those of zeros.
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
      mean =
          sum_down(p + first * step, step, last - first, n, [](vec sum, vec x) { return sum + x; });
      mean = mean / set(here);
    }
    const vec squares = sum_down(p + first * step, step, last - first, n, [mean](vec sum, vec x) {
      const vec off = x - mean;
      return fma(off, off, sum);
    });
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
