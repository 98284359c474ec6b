#pragma once

// bernoulli, gaussian_noise and weigh_samples on the model: every tile draws for the elements that
// lie on it. ops/sampling.hpp has the meanings; arithmetic is f32 with one rounding when stored.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/ops/sampling.hpp>

namespace tessera::accelerator {

/// Normal numbers of 32 pairs: radius in `a`, an angle in turns in `b`; cosines go to `a`, sines to
/// `b`.
inline void make_normal(float* a, float* b) {
  for (i32 j = 0; j < 32; j += lane_count) {
    const lanes r = square_root(set(-2.0f) * log(load(a + j)));
    const lanes turns = load(b + j) * set(4.0f);
    const lanes quarter = (turns + set(12582912.0f)) - set(12582912.0f);
    const lanes x = (turns - quarter) * set(1.57079632679489662f);
    const lanes square = x * x;
    lanes sine = fma(set(2.75573192e-6f), square, set(-1.98412698e-4f));
    sine = fma(fma(sine, square, set(8.33333333e-3f)), square, set(-1.66666667e-1f));
    sine = fma(sine * square, x, x);
    lanes cosine = fma(set(-2.75573192e-7f), square, set(2.48015873e-5f));
    cosine = fma(fma(cosine, square, set(-1.38888889e-3f)), square, set(4.16666667e-2f));
    cosine = fma(fma(cosine, square, set(-0.5f)), square, set(1.0f));
    const whole_lanes odd = (quarter == set(1.0f)) | (quarter == set(3.0f));
    const lanes first = select(odd, sine, cosine);
    const lanes second = select(odd, cosine, sine);
    const whole_lanes first_minus = (quarter == set(1.0f)) | (quarter == set(2.0f));
    const whole_lanes second_minus = (quarter == set(2.0f)) | (quarter == set(3.0f));
    store(a + j, r * select(first_minus, -first, first));
    store(b + j, r * select(second_minus, -second, second));
  }
}

/// Calls f(x, draw) for each element, with draws from `draw(element)` or the second operand.
template <class T, class Draw, class F>
void run_draws(const machine& m, const call& c, const Draw& draw, const F& f) {
  const T* x = c.input<T>(0);
  const T* given = c.sizes->has_input(1) ? c.input<T>(1) : nullptr;
  T* y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip];
    alignas(64) float u[strip];
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, n);
      if (given != nullptr) {
        fetch(given + i, u, n);
      } else {
        draw(i, n, u);
      }
      for (i64 j = 0; j < n; ++j) a[j] = f(a[j], u[j]);
      put(storing(m, c), a, y + i, n);
    }
  });
}

template <class T>
void run_bernoulli(const machine& m, const call& c) {
  const ops::dropout_words random(c);
  const auto draw = [&](i64 first, i64 n, float* u) {
    random_block words;
    for (i64 j = 0; j < n; ++j) {
      const i64 e = first + j;
      if (j == 0 || e % 4 == 0) words = random(e / 4);
      u[j] = uniform(words[static_cast<i32>(e % 4)]);
    }
  };
  run_draws<T>(m, c, draw, [](float p, float u) { return u < p ? 1.0f : 0.0f; });
}

template <class T>
void run_gaussian_noise(const machine& m, const call& c) {
  const ops::dropout_words random(c);
  // Blocks of 64 from a multiple of 4 on: whole pairs, though the first and last may lie outside.
  const auto draw = [&](i64 first, i64 n, float* u) {
    for (i64 e = first - first % 4; e < first + n; e += 64) {
      alignas(64) float a[32];
      alignas(64) float b[32];
      for (i64 k = 0; k < 16; ++k) {
        const random_block words = random(e / 4 + k);
        for (i32 pair = 0; pair < 2; ++pair) {
          a[2 * k + pair] = uniform(words[2 * pair]) + 0x1p-24f;
          b[2 * k + pair] = uniform(words[2 * pair + 1]);
        }
      }
      make_normal(a, b);
      for (i64 k = 0; k < 64; ++k) {
        const i64 j = e + k - first;
        if (j >= 0 && j < n) u[j] = k % 2 == 0 ? a[k / 2] : b[k / 2];
      }
    }
  };
  const float deviation = c.attr->rate;
  run_draws<T>(m, c, draw, [&](float x, float z) { return std::fma(deviation, z, x); });
}

template <class T>
void run_weigh_samples(const machine& m, const call& c) {
  const auto n = weighing_sizes::of(*c.sizes);
  const ops::sample_weights weights(c, c.sizes->has_input(1) ? c.input<float>(1) : nullptr);
  const bool last = c.sizes->batch_last;
  const T* x = c.input<T>(0);
  T* y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip];
    for (i64 i = first; i < first + count; i += strip) {
      const i64 size = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, size);
      for (i64 j = 0; j < size; ++j) {
        a[j] = n.sample(last, i + j) < weights.counting ? weights.factor * a[j] : 0.0f;
      }
      put(storing(m, c), a, y + i, size);
    }
  });
}

}  // namespace tessera::accelerator
