#pragma once

// Clipping of gradients and the L1 penalty on the model (ops/update.hpp).
//
// Norms are summed as reductions.hpp sums channels: 16 accumulators in turn on every tile, folded,
// tiles in their order, all in f32. They are priced as sums of squares; other orders cost the same
// here, which flatters those that need powers.

#include <tessera/backends/accelerator/functions.hpp>
#include <tessera/backends/accelerator/update.hpp>
#include <limits>

namespace tessera::accelerator {

/// What a norm of some order adds up, and how: acc[i mod 16] takes element i.
struct norm_terms {
  float order;

  explicit norm_terms(float of) : order(of) {}

  bool largest() const { return !(order <= std::numeric_limits<float>::max()); }

  lanes join(lanes a, lanes b) const {
    if (!largest()) return a + b;
    const whole_lanes first = (a > b) | (a != a);
    return select(first, a, b);
  }
  lanes term(lanes x) const {
    const lanes size = select(x < set(0.0f), -x, x);
    if (order == 2) return size * size;
    if (order == 1 || largest()) return size;
    return exp(set(order) * log(size));
  }
  /// Squares join by one multiply-add.
  lanes add(lanes acc, lanes x) const { return order == 2 ? fma(x, x, acc) : join(acc, term(x)); }
  void add(const float* x, i64 n, float* acc) const {
    for (i64 i = 0; i < n; i += 16) {
      alignas(64) float padded[16] = {};
      std::memcpy(padded, x + i, static_cast<std::size_t>(n - i < 16 ? n - i : 16) * sizeof(float));
      for (i32 p = 0; p < 16; p += lane_count) store(acc + p, add(load(acc + p), load(padded + p)));
    }
  }
  float join(float a, float b) const {
    if (!largest()) return a + b;
    return a > b || a != a ? a : b;
  }
  float fold(float* acc) const {
    for (i32 width = 8; width > 0; width /= 2) {
      for (i32 j = 0; j < width; ++j) acc[j] = join(acc[j], acc[j + width]);
    }
    return acc[0];
  }
  /// From the sum of all terms.
  double norm(double sum) const {
    if (order == 2) return std::sqrt(sum);
    if (order == 1 || largest()) return sum;
    return std::pow(sum, 1 / static_cast<double>(order));
  }
};

/// (-, gradient) -> norm.
template <class T>
void run_gradient_norm(const machine& m, const call& c) {
  const T* g = c.input<T>(1);
  const norm_terms terms(c.attr->limits.order);
  execution run(m, c);
  const mapping& map = run.blocks();
  float total = 0;
  run.run(map.output_blocks(), [&](i64 first, i64 last, recorder& r) {  // one block: one thread
    if (first == last) return;
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    const i32 partials = map.count(axis_b);
    for (i32 i = 0; i < partials; ++i) {
      v.place(map, axis_b, i);
      r.add(v, i + 1 == partials);
      float acc[16] = {};
      float values[strip];
      for (i64 at = 0; at < v.size[axis_b]; at += strip) {
        const i64 n = v.size[axis_b] - at < strip ? v.size[axis_b] - at : strip;
        fetch(g + v.begin[axis_b] + at, values, n);
        terms.add(values, n, acc);
      }
      const float partial = terms.fold(acc);
      total = i == 0 ? partial : terms.join(total, partial);
    }
  });
  *c.output<float>(0) = static_cast<float>(terms.norm(static_cast<double>(total)));
}

/// (norms, -, scaler) -> norm of all, factor.
inline void run_clip_factor(const machine& m, const call& c) {
  for_elements(m, c, [](i64, i64) {});
  const norm_terms terms(c.attr->limits.order);
  const float* norms = c.input<float>(0);
  double sum = 0;
  for (i32 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    const double norm = static_cast<double>(norms[i]);
    if (terms.largest()) {
      sum = sum > norm || sum != sum ? sum : norm;
    } else if (terms.order == 2) {
      sum = std::fma(norm, norm, sum);
    } else {
      sum += terms.order == 1 ? norm : std::pow(norm, static_cast<double>(terms.order));
    }
  }
  double norm = terms.norm(sum);
  if (c.sizes->has_input(2)) norm /= static_cast<double>(c.input<float>(2)[ops::scaler_scale]);
  c.output<float>(0)[ops::clip_norm] = static_cast<float>(norm);
  c.output<float>(0)[ops::clip_factor] = ops::clip_factor_of(c.attr->limits, norm);
}

/// (gradient, parameter, scaler) -> gradient.
template <class T>
void run_adjust_gradient(const machine& m, const call& c) {
  const T* g = c.input<T>(0);
  const bool pulled = c.sizes->has_input(1);  // by a penalty on the parameter, which has T or f32
  const bool wide = pulled && c.sizes->input_type(1) == element::f32;
  T* to = c.output<T>(0);
  const bool scaled = c.sizes->has_input(2);
  const float scale = scaled ? c.input<float>(2)[ops::scaler_scale] : 1.0f;
  const float penalty = scale * c.attr->update.l1;
  const float bound = scale * c.attr->limits.value;
  const lanes limit = set(bound > 0 ? bound : std::numeric_limits<float>::infinity());
  const lanes none = set(0.0f);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float x[strip] = {};
    alignas(64) float weight[strip] = {};
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(g + i, x, n);
      if (wide) fetch(c.input<float>(1) + i, weight, n);
      if (pulled && !wide) fetch(c.input<T>(1) + i, weight, n);
      for (i64 j = 0; j < n; j += lane_count) {
        const lanes at = load(weight + j);
        const lanes old = load(x + j);
        const lanes pull = select(at > none, set(penalty), select(at < none, set(-penalty), none));
        lanes sum = old + pull;
        sum = select(sum > limit, limit, sum);
        sum = select(sum < -limit, -limit, sum);
        const lanes size = select(old < none, -old, old);
        const whole_lanes finite = size <= set(std::numeric_limits<float>::max());
        store(x + j, scaled ? select(finite, sum, old) : sum);
      }
      put(storing(m, c), x, to + i, n);
    }
  });
}

}  // namespace tessera::accelerator
