#pragma once

// Normalization of every sample by itself: groups of channels, layers, root mean squares
// (ops/norm.hpp states what they mean).
//
//   batch first   a row is one run of neighbours; vectors go along it
//   batch last    lanes are samples; a row is a column of vectors
//
// Threads share rows; the gradients of gamma and beta are a pass of their own, in which threads
// share the scales. Sums along a row have the order of moments.hpp; sums down a column, of a row or
// of a scale, run over positions, then over features, rows or samples.
// Cost: forward reads x twice and writes y, backward reads x and dy three times and writes dx; a
// row is read again from cache where it fits. From the second-level cache on Zen 4 that is, of the
// pace of memory for each byte once, forward 0.2 of rows of 256 (their sums across lanes and a root
// wait for each other) and 0.4 with samples last, backward 0.35 and 0.3.

#include <tessera/backends/host/norm.hpp>

namespace tessera::host {

/// What a kernel of this file is for. Groups: every row has scales of its own.
enum class row_norm { group, layer, root_mean_square };

/// Rows in memory.
template <row_norm How, bool BatchLast>
struct norm_rows {
  static constexpr bool centred = How != row_norm::root_mean_square;
  static constexpr bool groups = How == row_norm::group;
  norm_sizes n;

  explicit norm_rows(const call& c) : n(norm_sizes::of(*c.sizes)) {}

  i64 step() const { return BatchLast ? n.batch : 1; }  // from number to number of a row
  i64 scale(i64 row) const { return groups ? row * n.features : 0; }

  /// body(address of the first number, row, number of its statistic): with the batch last for
  /// vectors of samples.
  template <class Body>
  void for_rows(threads workers, const Body& body) const {
    if constexpr (BatchLast) {
      const i32 vectors = n.batch / simd::lanes;
      parallel_for(workers, n.rows * vectors, [&](i32 item) {
        const i64 row = item / vectors;
        const i64 sample = i64{item % vectors} * simd::lanes;
        body(row * n.row() * n.batch + sample, row, row * n.batch + sample);
      });
    } else {
      parallel_for(workers, n.batch * n.rows,
                   [&](i32 item) { body(item * n.row(), i64{item % n.rows}, i64{item}); });
    }
  }
};

template <class T, row_norm How>
void norm_along(const call& c) {
  const norm_rows<How, false> at(c);
  using simd::vec;
  const float epsilon = c.attr->norm.epsilon;
  const i64 inner = at.n.inner;
  float* const means = c.output<float>(3);
  float* const inverses = c.output<float>(4);
  const epilogue<T, kind::none> only(c);
  at.for_rows(c.step->threads, [&](i64 first, i64 row, i64 statistic) {
    const T* const x = c.input<T>(0) + first;
    T* const y = c.output<T>(0) + first;
    const float* const gamma = c.input<float>(1);
    const float* const beta = c.input<float>(2);
    const number_runs whole{1, at.n.row(), 0};
    const moments m = moments_along<at.centred>(x, whole);
    const float inverse = m.inverse_deviation(epsilon);
    if (means != nullptr) means[statistic] = m.mean;
    if (inverses != nullptr) inverses[statistic] = inverse;
    const i64 scale = at.scale(row);
    if (inner > 1) {
      for (i64 f = 0; f < at.n.features; ++f) {
        normalize_along(c.input<T>(0), only, first + f * inner, {1, inner, 0}, m.mean,
                        inverse * scale_at(gamma, scale + f, 1), scale_at(beta, scale + f, 0));
      }
      return;
    }
    const vec mean = simd::set(m.mean);
    const vec by = simd::set(inverse);
    if (gamma != nullptr && beta != nullptr) {
      const auto f = [=](vec v, vec a, vec b) { return simd::fma((v - mean) * by, a, b); };
      map_runs(whole, y, f, x, gamma + scale, beta + scale);
    } else if (gamma != nullptr) {
      const auto f = [=](vec v, vec a) { return (v - mean) * by * a; };
      map_runs(whole, y, f, x, gamma + scale);
    } else if (beta != nullptr) {
      const auto f = [=](vec v, vec b) { return simd::fma(v - mean, by, b); };
      map_runs(whole, y, f, x, beta + scale);
    } else {
      map_runs(
          whole, y, [=](vec v) { return (v - mean) * by; }, x);
    }
  });
}

template <class T, row_norm How>
void norm_down(const call& c) {
  const norm_rows<How, true> at(c);
  using simd::vec;
  const float epsilon = c.attr->norm.epsilon;
  const float* const gamma = c.input<float>(1);
  const float* const beta = c.input<float>(2);
  float* const means = c.output<float>(3);
  float* const inverses = c.output<float>(4);
  const epilogue<T, kind::none> only(c);
  at.for_rows(c.step->threads, [&](i64 first, i64 row, i64 statistic) {
    const T* const x = c.input<T>(0) + first;
    const lane_moments m = moments_down<at.centred>(x, at.step(), at.n.row(), simd::lanes);
    const vec inverse = m.inverse_deviation(epsilon);
    if (means != nullptr) simd::store(means + statistic, m.mean);
    if (inverses != nullptr) simd::store(inverses + statistic, inverse);
    const i64 plane = at.n.inner * at.step();
    for (i64 f = 0; f < at.n.features; ++f) {
      const i64 scale = at.scale(row) + f;
      normalize_down(c.input<T>(0), only, first + f * plane, at.step(), at.n.inner, simd::lanes,
                     m.mean, inverse * simd::set(scale_at(gamma, scale, 1)),
                     simd::set(scale_at(beta, scale, 0)));
    }
  });
}

/// Operands of a gradient: dx, dgamma, dbeta may be absent.
template <class T>
struct row_gradient {
  const T* x;
  const T* dy;
  const float* gamma;
  const float* means;
  const float* inverses;
  T* dx;
  float* dgamma;
  float* dbeta;

  explicit row_gradient(const call& c)
      : x(c.input<T>(0)),
        dy(c.input<T>(1)),
        gamma(c.input<float>(2)),
        means(c.input<float>(3)),
        inverses(c.input<float>(4)),
        dx(c.output<T>(0)),
        dgamma(c.output<float>(1)),
        dbeta(c.output<float>(2)) {}

  bool scales() const { return dgamma != nullptr || dbeta != nullptr; }
};

/// dgamma and dbeta, batch first without positions: lanes are features, summed over rows in order.
template <class T, row_norm How>
void scale_gradients_down(const call& c, const norm_rows<How, false>& at) {
  using simd::vec;
  const row_gradient<T> p(c);
  const i32 strips = (at.n.features + simd::lanes - 1) / simd::lanes;
  const i64 step = at.groups ? at.n.rows : 1;  // from row to row with the same scales
  parallel_for(c.step->threads, strips * (at.groups ? at.n.rows : 1), [&](i32 item) {
    const i64 feature = i64{item % strips} * simd::lanes;
    const i64 rest = at.n.features - feature;
    const i32 n = rest < simd::lanes ? static_cast<i32>(rest) : simd::lanes;
    vec sum = simd::zero();
    vec sum_h = simd::zero();
    for (i64 row = item / strips; row < i64{at.n.batch} * at.n.rows; row += step) {
      const i64 e = row * at.n.features + feature;
      const vec g = load_first(p.dy + e, n);
      const vec off = load_first(p.x + e, n) - simd::set(scale_at(p.means, row, 0));
      sum = sum + g;
      sum_h = simd::fma(g * simd::set(p.inverses[row]), off, sum_h);
    }
    const i64 scale = at.scale(item / strips) + feature;
    if (p.dgamma != nullptr) store_first(p.dgamma + scale, sum_h, n);
    if (p.dbeta != nullptr) store_first(p.dbeta + scale, sum, n);
  });
}

/// The same with positions: channel by channel, sample by sample.
template <class T, row_norm How>
void scale_gradients_along(const call& c, const norm_rows<How, false>& at) {
  using simd::vec;
  const row_gradient<T> p(c);
  parallel_for(c.step->threads, at.n.rows * at.n.features, [&](i32 channel) {
    float sum = 0;
    float sum_h = 0;
    for (i64 sample = 0; sample < at.n.batch; ++sample) {
      const i64 statistic = sample * at.n.rows + channel / at.n.features;
      const i64 e = (sample * at.n.rows * at.n.features + channel) * at.n.inner;
      const vec mean = simd::set(scale_at(p.means, statistic, 0));
      const auto terms = [mean](vec(&t)[2], vec v, vec g) {
        t[0] = t[0] + g;
        t[1] = simd::fma(g, v - mean, t[1]);
      };
      float total[2];
      sum_runs(number_runs{1, at.n.inner, 0}, total, terms, p.x + e, p.dy + e);
      sum += total[0];
      sum_h += total[1] * p.inverses[statistic];
    }
    if (p.dgamma != nullptr) p.dgamma[channel] = sum_h;
    if (p.dbeta != nullptr) p.dbeta[channel] = sum;
  });
}

template <class T, row_norm How>
void norm_gradient_along(const call& c) {
  using simd::vec;
  const norm_rows<How, false> at(c);
  const row_gradient<T> p(c);
  if (p.scales()) {  // before dx, which may take over the bytes of dy
    if (at.n.inner == 1) {
      scale_gradients_down<T>(c, at);
    } else {
      scale_gradients_along<T>(c, at);
    }
  }
  if (p.dx == nullptr) return;
  const i64 inner = at.n.inner;
  at.for_rows(c.step->threads, [&](i64 first, i64 row, i64 statistic) {
    const T* const x = p.x + first;
    const T* const dy = p.dy + first;
    T* const dx = p.dx + first;
    const float inverse = p.inverses[statistic];
    const vec mean = simd::set(scale_at(p.means, statistic, 0));
    const float* const gamma = p.gamma == nullptr ? nullptr : p.gamma + at.scale(row);
    const number_runs whole{1, at.n.row(), 0};
    const bool by_feature = inner > 1 && gamma != nullptr;
    float total[2] = {};  // of g and g (x - mean)
    const auto terms = [mean](vec(&t)[2], vec v, vec g) {
      t[0] = t[0] + g;
      t[1] = simd::fma(g, v - mean, t[1]);
    };
    if (by_feature) {
      for (i64 f = 0; f < at.n.features; ++f) {
        float part[2];
        sum_runs(number_runs{1, inner, 0}, part, terms, x + f * inner, dy + f * inner);
        for (i32 k = 0; k < 2; ++k) total[k] += gamma[f] * part[k];
      }
    } else if (gamma != nullptr) {
      const auto scaled = [terms](vec(&t)[2], vec v, vec g, vec a) { terms(t, v, g * a); };
      sum_runs(whole, total, scaled, x, dy, gamma);
    } else {
      sum_runs(whole, total, terms, x, dy);
    }
    const float share = inverse / static_cast<float>(whole.length);
    const vec b = simd::set(-share * inverse * inverse * total[1]);
    const vec d = simd::set(at.centred ? -share * total[0] : 0);
    const auto through = [=](vec v, vec g, vec a) {
      return simd::fma(g, a, simd::fma(v - mean, b, d));
    };
    const vec by = simd::set(inverse);
    if (by_feature) {
      for (i64 f = 0; f < at.n.features; ++f) {
        const vec a = simd::set(inverse * gamma[f]);
        map_runs(
            {1, inner, 0}, dx + f * inner, [=](vec v, vec g) { return through(v, g, a); },
            x + f * inner, dy + f * inner);
      }
    } else if (gamma != nullptr) {
      map_runs(
          whole, dx, [=](vec v, vec g, vec a) { return through(v, g, a * by); }, x, dy, gamma);
    } else {
      map_runs(
          whole, dx, [=](vec v, vec g) { return through(v, g, by); }, x, dy);
    }
  });
}

/// Scales whose gradients are summed side by side. (Outside the function: g++ 12 fails on local
/// constants as array bounds in a lambda.)
inline constexpr i32 scale_block = simd::registers == 32 ? 8 : 4;

template <class T, row_norm How>
void norm_gradient_down(const call& c) {
  using simd::vec;
  const norm_rows<How, true> at(c);
  const row_gradient<T> p(c);
  const i64 batch = at.n.batch;
  const i64 plane = at.n.inner * batch;
  const auto mean_at = [&](i64 statistic) {
    return p.means == nullptr ? simd::zero() : simd::load(p.means + statistic);
  };
  if (p.scales()) {  // before dx, which may take over the bytes of dy
    // Some scales at a time: what they read lies side by side, where one alone would meet a line
    // here and there. More than the last are the last again.
    constexpr i32 block = scale_block;
    const i32 blocks = (at.n.features + block - 1) / block;
    parallel_for(c.step->threads, blocks * (at.groups ? at.n.rows : 1), [&](i32 item) {
      const i32 feature = item % blocks * block;
      const i64 first_row = at.groups ? item / blocks : 0;
      const i64 last_row = at.groups ? first_row + 1 : at.n.rows;
      const i32 here = at.n.features - feature < block ? at.n.features - feature : block;
      i64 place[scale_block];
      vec sum[scale_block];
      vec sum_h[scale_block];
      TESSERA_UNROLL
      for (i32 f = 0; f < block; ++f) {
        place[f] = (feature + (f < here ? f : here - 1)) * plane;
        sum[f] = sum_h[f] = simd::zero();
      }
      for (i64 row = first_row; row < last_row; ++row) {
        for (i64 sample = 0; sample < batch; sample += simd::lanes) {
          const vec mean = mean_at(row * batch + sample);
          const vec inverse = simd::load(p.inverses + row * batch + sample);
          const i64 start = row * at.n.features * plane + sample;
          const i64 next_row = row + 1 < last_row ? at.n.features * plane : 0;
          TESSERA_UNROLL
          for (i32 f = 0; f < block; ++f) {
            const i64 first = start + place[f];
            simd::prefetch(p.dy + first + next_row);  // rows are too far apart for the processor's
            simd::prefetch(p.x + first + next_row);
            vec part = simd::zero();
            vec part_off = simd::zero();
            for (i64 i = first; i < first + plane; i += batch) {
              const vec g = simd::load(p.dy + i);
              part = part + g;
              part_off = simd::fma(g, simd::load(p.x + i) - mean, part_off);
            }
            sum[f] = sum[f] + part;
            sum_h[f] = simd::fma(part_off, inverse, sum_h[f]);
          }
        }
      }
      const i64 scale = first_row * at.n.features + feature;
      TESSERA_UNROLL
      for (i32 f = 0; f < block; ++f) {
        if (f >= here) break;
        if (p.dgamma != nullptr) p.dgamma[scale + f] = simd::sum(sum_h[f]);
        if (p.dbeta != nullptr) p.dbeta[scale + f] = simd::sum(sum[f]);
      }
    });
  }
  if (p.dx == nullptr) return;
  at.for_rows(c.step->threads, [&](i64 first, i64 row, i64 statistic) {
    const vec mean = mean_at(statistic);
    const vec inverse = simd::load(p.inverses + statistic);
    vec sum = simd::zero();
    vec sum_off = simd::zero();
    for (i64 f = 0; f < at.n.features; ++f) {
      vec part = simd::zero();
      vec part_off = simd::zero();
      for (i64 i = first + f * plane; i < first + (f + 1) * plane; i += batch) {
        const vec g = simd::load(p.dy + i);
        part = part + g;
        part_off = simd::fma(g, simd::load(p.x + i) - mean, part_off);
      }
      const vec a = simd::set(scale_at(p.gamma, at.scale(row) + f, 1));
      sum = simd::fma(part, a, sum);
      sum_off = simd::fma(part_off, a, sum_off);
    }
    const vec share = inverse / simd::set(static_cast<float>(at.n.row()));
    const vec b = simd::zero() - share * inverse * inverse * sum_off;
    const vec d = at.centred ? simd::zero() - share * sum : simd::zero();
    for (i64 f = 0; f < at.n.features; ++f) {
      const vec a = inverse * simd::set(scale_at(p.gamma, at.scale(row) + f, 1));
      for (i64 i = first + f * plane; i < first + (f + 1) * plane; i += batch) {
        const vec off = simd::load(p.x + i) - mean;
        simd::store(p.dx + i, simd::fma(simd::load(p.dy + i), a, simd::fma(off, b, d)));
      }
    }
  });
}

/// group_norm, layer_norm, rms_norm.
template <class T, bool BatchLast, row_norm How>
void row_norm_forward(const call& c) {
  if constexpr (BatchLast) {
    norm_down<T, How>(c);
  } else {
    norm_along<T, How>(c);
  }
}
template <class T, bool BatchLast, row_norm How>
void row_norm_gradient(const call& c) {
  if constexpr (BatchLast) {
    norm_gradient_down<T, How>(c);
  } else {
    norm_gradient_along<T, How>(c);
  }
}

}  // namespace tessera::host
