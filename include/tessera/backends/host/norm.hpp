#pragma once

// Batch normalization and its gradient (ops/norm.hpp states what they mean).
//
// Channels are independent, and threads share them. A channel is a set of runs in either layout:
//
//   batch last    one run of positions x samples; of the samples that count alone, one a position
//   batch first   one run of positions for every sample
//
// Without positions and with the batch first, (batch, channels), lanes are channels instead. Sums
// have the order of moments.hpp; lanes that are channels sum over samples in order. An addition and
// an activation that follow are done before y is stored (epilogue.hpp).
// Cost: the traffic of memory. Forward reads x twice and writes y, 1.5 times the traffic of a copy;
// backward reads x and dy twice and writes dx, 1.67 times that of an addition. Measured for 32 x 16
// x 32 x 32 floats in third-level cache, AVX2, one thread of an AMD EPYC: forward 80 us batch last
// and 82 us batch first (1.9 times a copy, 43 us), backward 104 and 112 us (1.6 and 1.8 times an
// addition, 63 us); halves 75 and 78, 79 and 91 us, bound by conversion. From memory forward takes
// 1.5 times a copy batch last and 2.3 times batch first, where the samples' runs lie a power of two
// apart and evict one another from the second-level cache.

#include <algorithm>

#include <tessera/backends/host/epilogue.hpp>
#include <tessera/backends/host/moments.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// scales[i], or `otherwise` for all where there are none.
inline float scale_at(const float* scales, i64 i, float otherwise) {
  return scales != nullptr ? scales[i] : otherwise;
}
inline simd::vec scales_at(const float* scales, i64 i, i32 n, float otherwise) {
  return scales != nullptr ? load_first(scales + i, n) : simd::set(otherwise);
}

/// Where the numbers of a channel lie.
template <bool BatchLast>
struct channel_runs {
  norm_sizes n;
  i32 valid;

  explicit channel_runs(const call& c, bool all)
      : n(norm_sizes::of(*c.sizes)), valid(all ? n.batch : c.step->valid) {}

  bool in_lanes() const { return !BatchLast && n.inner == 1; }
  i64 first(i64 channel) const { return channel * n.inner * (BatchLast ? n.batch : 1); }
  /// Samples from `begin` to `end`.
  number_runs of(i32 begin, i32 end) const {
    if (!BatchLast) return {end - begin, n.inner, i64{n.features} * n.inner};
    if (end - begin == n.batch) return {1, i64{n.inner} * n.batch, 0};
    return {n.inner, end - begin, n.batch};
  }
  number_runs counted() const { return of(0, valid); }
  number_runs whole() const { return of(0, n.batch); }

  /// body(first channel, channels) for vectors of channels, or body(channel, 1) one by one.
  template <class Body>
  void for_channels(threads workers, const Body& body) const {
    const i32 width = in_lanes() ? simd::lanes : 1;
    parallel_for(workers, (n.features + width - 1) / width, [&](i32 item) {
      const i32 rest = n.features - item * width;
      body(i64{item} * width, rest < width ? rest : width);
    });
  }

  /// Zeroes what the padded samples of a channel have in `to`.
  template <class T>
  void zero_padding(T* to) const {
    if (valid == n.batch) return;
    const number_runs padding = of(valid, n.batch);
    const i64 skip = BatchLast ? valid : i64{valid} * padding.step;
    for (i64 run = 0; run < padding.runs; ++run) {
      std::fill_n(to + skip + run * padding.step, padding.length, T{});
    }
  }
};

/// What is kept of a channel's statistics; any of them may be absent.
struct kept_statistics {
  float* running_mean;
  float* running_variance;
  float* mean;
  float* inverse;
  float momentum;

  explicit kept_statistics(const call& c)
      : running_mean(c.output<float>(1)),
        running_variance(c.output<float>(2)),
        mean(c.output<float>(3)),
        inverse(c.output<float>(4)),
        momentum(c.attr->norm.momentum) {}

  void keep(i64 channel, const moments& m, float deviation) const {
    const float unbiased = m.squares / (m.count > 1 ? m.count - 1 : 1);
    const auto mix = [&](float* running, float batch) {
      if (running != nullptr) {
        running[channel] = (1 - momentum) * running[channel] + momentum * batch;
      }
    };
    mix(running_mean, m.mean);
    mix(running_variance, unbiased);
    if (mean != nullptr) mean[channel] = m.mean;
    if (inverse != nullptr) inverse[channel] = deviation;
  }
};

/// y = (x - mean) scale + shift, and what follows, for a column of `count` vectors from `first` on.
template <class T, kind After>
void normalize_down(const T* x, const epilogue<T, After>& after, i64 first, i64 step, i64 count,
                    i32 n, simd::vec mean, simd::vec scale, simd::vec shift) {
  after.apply([&](const auto& f, const auto*... other) {
    for (i64 i = first; i < first + count * step; i += step) {
      const simd::vec off = load_first(x + i, n) - mean;
      store_first(after.y + i, f(simd::fma(off, scale, shift), load_first(other + i, n)...), n);
    }
  });
}

template <class T, kind After>
void normalize_along(const T* x, const epilogue<T, After>& after, i64 first, const number_runs& r,
                     float mean, float scale, float shift) {
  const simd::vec m = simd::set(mean);
  const simd::vec a = simd::set(scale);
  const simd::vec b = simd::set(shift);
  after.apply([&](const auto& f, const auto*... other) {
    map_runs(
        r, after.y + first, [=](simd::vec v, auto... z) { return f(simd::fma(v - m, a, b), z...); },
        x + first, (other + first)...);
  });
}

template <class T, bool BatchLast, kind After = kind::none>
void batch_norm(const call& c) {
  const channel_runs<BatchLast> at(c, false);
  const T* const x = c.input<T>(0);
  const float* const gamma = c.input<float>(1);
  const float* const beta = c.input<float>(2);
  const epilogue<T, After> after(c);
  const kept_statistics keep(c);
  const float epsilon = c.attr->norm.epsilon;
  at.for_channels(c.step->threads, [&](i64 channel, i32 count) {
    const i64 first = at.first(channel);
    if (at.in_lanes()) {
      const i64 step = at.n.features;
      const lane_moments m = moments_down<true>(x + first, step, at.valid, count);
      const simd::vec deviation = m.inverse_deviation(epsilon);
      float mean[simd::lanes], squares[simd::lanes], inverse[simd::lanes];
      simd::store(mean, m.mean);
      simd::store(squares, m.squares);
      simd::store(inverse, deviation);
      for (i32 k = 0; k < count; ++k) {
        keep.keep(channel + k, {m.count, mean[k], squares[k]}, inverse[k]);
      }
      const simd::vec scale = deviation * scales_at(gamma, channel, count, 1);
      return normalize_down(x, after, first, step, at.n.batch, count, m.mean, scale,
                            scales_at(beta, channel, count, 0));
    }
    const moments m = moments_along<true>(x + first, at.counted());
    const float inverse = m.inverse_deviation(epsilon);
    keep.keep(channel, m, inverse);
    normalize_along(x, after, first, at.whole(), m.mean, inverse * scale_at(gamma, channel, 1),
                    scale_at(beta, channel, 0));
  });
}

template <class T, bool BatchLast, kind After = kind::none>
void batch_norm_inference(const call& c) {
  const channel_runs<BatchLast> at(c, true);
  const T* const x = c.input<T>(0);
  const float* const gamma = c.input<float>(1);
  const float* const beta = c.input<float>(2);
  const float* const mean = c.input<float>(3);
  const float* const variance = c.input<float>(4);
  const epilogue<T, After> after(c);
  const float epsilon = c.attr->norm.epsilon;
  at.for_channels(c.step->threads, [&](i64 channel, i32 count) {
    const i64 first = at.first(channel);
    if (at.in_lanes()) {
      const simd::vec spread = scales_at(variance, channel, count, 1) + simd::set(epsilon);
      const simd::vec scale = scales_at(gamma, channel, count, 1) / simd::root(spread);
      return normalize_down(x, after, first, at.n.features, at.n.batch, count,
                            scales_at(mean, channel, count, 0), scale,
                            scales_at(beta, channel, count, 0));
    }
    const float spread = scale_at(variance, channel, 1) + epsilon;
    normalize_along(x, after, first, at.whole(), scale_at(mean, channel, 0),
                    scale_at(gamma, channel, 1) / std::sqrt(spread), scale_at(beta, channel, 0));
  });
}

/// Both gradients. `Running`: the statistics are given, so dx does not go through them.
template <class T, bool BatchLast, bool Running>
void batch_norm_gradients(const call& c) {
  const channel_runs<BatchLast> at(c, Running);
  const T* const x = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  const float* const gamma = c.input<float>(2);
  const float* const means = c.input<float>(3);
  const float* const spreads = c.input<float>(4);
  T* const dx = c.output<T>(0);
  float* const dgamma = c.output<float>(1);
  float* const dbeta = c.output<float>(2);
  const bool sums = !Running || dgamma != nullptr || dbeta != nullptr;
  const float epsilon = c.attr->norm.epsilon;
  at.for_channels(c.step->threads, [&](i64 channel, i32 count) {
    using simd::vec;
    const i64 first = at.first(channel);
    if (at.in_lanes()) {
      const i64 step = at.n.features;
      const vec mean = scales_at(means, channel, count, 0);
      vec inverse = scales_at(spreads, channel, count, 1);
      if constexpr (Running) inverse = simd::set(1.0f) / simd::root(inverse + simd::set(epsilon));
      vec sum = simd::zero();
      vec sum_h = simd::zero();
      for (i64 i = first; sums && i < first + at.valid * step; i += step) {
        const vec g = load_first(dy + i, count);
        sum = sum + g;
        sum_h = simd::fma(g, (load_first(x + i, count) - mean) * inverse, sum_h);
      }
      if (dgamma != nullptr) store_first(dgamma + channel, sum_h, count);
      if (dbeta != nullptr) store_first(dbeta + channel, sum, count);
      if (dx == nullptr) return;
      const vec a = inverse * scales_at(gamma, channel, count, 1);
      const vec share = Running ? simd::zero() : a / simd::set(static_cast<float>(at.valid));
      const vec b = simd::zero() - share * sum_h * inverse;
      const vec d = simd::zero() - share * sum;
      for (i64 i = first; i < first + at.valid * step; i += step) {
        const vec off = load_first(x + i, count) - mean;
        store_first(dx + i, simd::fma(load_first(dy + i, count), a, simd::fma(off, b, d)), count);
      }
      for (i64 i = first + at.valid * step; i < first + at.n.batch * step; i += step) {
        store_first(dx + i, simd::zero(), count);
      }
      return;
    }
    const float mean = scale_at(means, channel, 0);
    float inverse = scale_at(spreads, channel, 1);
    if constexpr (Running) inverse = 1.0f / std::sqrt(inverse + epsilon);
    const vec m = simd::set(mean);
    float total[2] = {};  // of dy and dy (x - mean)
    const number_runs counted = at.counted();
    if (sums) {
      const auto terms = [m](vec(&t)[2], vec v, vec g) {
        t[0] = t[0] + g;
        t[1] = simd::fma(g, v - m, t[1]);
      };
      sum_runs(counted, total, terms, x + first, dy + first);
    }
    const float sum_h = total[1] * inverse;
    if (dgamma != nullptr) dgamma[channel] = sum_h;
    if (dbeta != nullptr) dbeta[channel] = total[0];
    if (dx == nullptr) return;
    const float scale = inverse * scale_at(gamma, channel, 1);
    const float share = Running ? 0 : scale / static_cast<float>(counted.count());
    const vec a = simd::set(scale);
    const vec b = simd::set(-share * sum_h * inverse);
    const vec d = simd::set(-share * total[0]);
    if constexpr (Running) {
      map_runs(
          counted, dx + first, [a](vec g) { return g * a; }, dy + first);
    } else {
      const auto through = [=](vec v, vec g) { return simd::fma(g, a, simd::fma(v - m, b, d)); };
      map_runs(counted, dx + first, through, x + first, dy + first);
    }
    at.zero_padding(dx + first);
  });
}

template <class T, bool BatchLast>
void batch_norm_gradient(const call& c) {
  batch_norm_gradients<T, BatchLast, false>(c);
}
template <class T, bool BatchLast>
void batch_norm_inference_gradient(const call& c) {
  batch_norm_gradients<T, BatchLast, true>(c);
}

}  // namespace tessera::host
