#pragma once

// bernoulli, gaussian_noise and weigh_samples (ops/sampling.hpp states what they mean).
//
// Draws are made 64 at a time in a small array, then one loop over vectors does the rest. Sine and
// cosine of an angle in turns: the nearest quarter goes off, which is exact, polynomials take what
// is left, at most an eighth of a turn to either side.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/random.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ops/sampling.hpp>

namespace tessera::host {

/// Calls f(place, count, draws) for pieces of up to 64 elements. `fill(first, count, to)` makes the
/// draws where they are no operand.
template <class T, class Fill, class Function>
void with_draws(const call& c, const Fill& fill, const Function& f) {
  const T* const given = c.sizes->has_input(1) ? c.input<T>(1) : nullptr;
  const i64 count = elementwise_sizes::of(*c.sizes).count;
  parallel_ranges(c.step->threads, count, [&](i64 first, i64 last) {
    float u[64] = {};
    for (i64 i = first; i < last; i += 64) {
      const i32 here = static_cast<i32>(last - i < 64 ? last - i : 64);
      if (given == nullptr) {
        fill(i, here, u);
      } else {
        for (i32 k = 0; k < here; k += simd::lanes) {
          const i32 rest = here - k < simd::lanes ? here - k : simd::lanes;
          simd::store(u + k, simd::load_partial(given + i + k, rest));
        }
      }
      f(i, here, u);
    }
  });
}

/// y[i] = f(x[i], draw of i), a vector at a time.
template <class T, class Fill, class Function>
void map_draws(const call& c, const Fill& fill, const Function& f) {
  using namespace simd;
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  with_draws<T>(c, fill, [&](i64 i, i32 count, const float* u) {
    for (i32 k = 0; k < count; k += lanes) {
      if (count - k >= lanes) {
        store(y + i + k, f(load(x + i + k), load(u + k)));
      } else {
        const i32 rest = count - k;
        store_partial(y + i + k, f(load_partial(x + i + k, rest), load(u + k)), rest);
      }
    }
  });
}

template <class T>
void bernoulli(const call& c) {
  const ops::dropout_words words(c);
  map_draws<T>(
      c, [&](i64 first, i32 count, float* u) { fill_uniform(words, first, count, u); },
      [](simd::vec p, simd::vec u) { return simd::select(u < p, simd::set(1.0f), simd::zero()); });
}

/// Normal numbers of pairs of uniform ones, in place: u[2 j], u[2 j + 1] for j below 32.
inline void make_normal(float* u) {
  using namespace simd;
  float radius[32];
  float angle[32];
  for (i32 j = 0; j < 32; ++j) {
    radius[j] = u[2 * j] + 0x1p-24f;  // exact, above 0
    angle[j] = u[2 * j + 1];
  }
  for (i32 j = 0; j < 32; j += lanes) {
    const vec r = root(set(-2.0f) * host::log(load(radius + j)));
    const vec turns = load(angle + j) * set(4.0f);
    const vec quarter = round_nearest(turns);
    const vec x = (turns - quarter) * set(1.57079632679489662f);
    const vec square = x * x;
    vec sine = fma(set(2.75573192e-6f), square, set(-1.98412698e-4f));
    sine = fma(fma(sine, square, set(8.33333333e-3f)), square, set(-1.66666667e-1f));
    sine = fma(sine * square, x, x);
    vec cosine = fma(set(-2.75573192e-7f), square, set(2.48015873e-5f));
    cosine = fma(fma(cosine, square, set(-1.38888889e-3f)), square, set(4.16666667e-2f));
    cosine = fma(fma(cosine, square, set(-0.5f)), square, set(1.0f));
    // Quarters 0 to 4: (cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos), as 0.
    const mask odd = absolute(quarter - set(2.0f)) == set(1.0f);
    const vec first = select(odd, sine, cosine);
    const vec second = select(odd, cosine, sine);
    const vec one = set(1.0f);
    const vec first_sign = select(absolute(quarter - set(1.5f)) < one, set(-1.0f), one);
    const vec second_sign = select(absolute(quarter - set(2.5f)) < one, set(-1.0f), one);
    store(radius + j, r * first * first_sign);
    store(angle + j, r * second * second_sign);
  }
  for (i32 j = 0; j < 32; ++j) {
    u[2 * j] = radius[j];
    u[2 * j + 1] = angle[j];
  }
}

template <class T>
void gaussian_noise(const call& c) {
  const ops::dropout_words words(c);
  const simd::vec deviation = simd::set(c.attr->rate);
  map_draws<T>(
      c,
      [&](i64 first, i32, float* u) {
        fill_uniform(words, first, 64, u);
        make_normal(u);
      },
      [&](simd::vec x, simd::vec z) { return simd::fma(deviation, z, x); });
}

template <class T, bool Last>
void weigh_samples(const call& c) {
  using namespace simd;
  const auto n = weighing_sizes::of(*c.sizes);
  const ops::sample_weights weights(c, c.sizes->has_input(1) ? c.input<float>(1) : nullptr);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  // Runs of whole samples that count, then of padding: all of them where samples are outermost, a
  // row of samples where they are innermost.
  const i64 one = Last ? 1 : n.inner;
  const i64 counting = one * weights.counting;
  const i64 row = one * n.batch;
  const vec factor = set(weights.factor);
  parallel_ranges(c.step->threads, n.count, [&](i64 i, i64 last) {
    while (i < last) {
      const i64 at = i % row;
      const i64 end = at < counting ? i - at + counting : i - at + row;
      const i64 stop = end < last ? end : last;
      const bool counts = at < counting;
      for (; i < stop; i += lanes) {
        const i32 here = static_cast<i32>(stop - i < lanes ? stop - i : lanes);
        store_partial(y + i, counts ? factor * load_partial(x + i, here) : zero(), here);
      }
      i = stop;
    }
  });
}

}  // namespace tessera::host
