#pragma once

// Bias gradients and the operations that end a step: updates, overflow tests, the loss scale
// (ops/update.hpp states what they mean).

#include <tessera/backends/host/update_rule.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// The sum of n neighbours: 32 running sums, then folded. The order does not depend on the vector
/// width.
template <class T>
float sum_along(const T* p, i64 n) {
  using namespace simd;
  constexpr i32 vectors = 32 / lanes;
  vec all[vectors];
  TESSERA_UNROLL
  for (i32 v = 0; v < vectors; ++v) all[v] = zero();
  i64 i = 0;
  for (; i + 32 <= n; i += 32) {
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) all[v] = all[v] + load(p + i + v * lanes);
  }
  if (i < n) {
    float rest[32] = {};
    for (i32 k = 0; i + k < n; ++k) rest[k] = as_float(p[i + k]);
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) all[v] = all[v] + load(rest + v * lanes);
  }
  // 32 -> 16 -> 8 -> 4 -> 2 -> 1: whole vectors first, then lanes.
  TESSERA_UNROLL
  for (i32 fold = vectors / 2; fold > 0; fold /= 2) {
    TESSERA_UNROLL
    for (i32 v = 0; v < fold; ++v) all[v] = all[v] + all[v + fold];
  }
  return sum(all[0]);
}

/// Adds the columns of `rows` rows, `step` apart, into to[0..n).
template <class T>
void sum_rows(const T* p, i64 step, i32 rows, i32 n, float* to) {
  using namespace simd;
  i32 k = 0;
  for (; k + lanes <= n; k += lanes) {
    vec total = load(p + k);
    for (i64 r = 1; r < rows; ++r) total = total + load(p + r * step + k);
    store(to + k, total);
  }
  if (k < n) {
    vec total = load_partial(p + k, n - k);
    for (i64 r = 1; r < rows; ++r) total = total + load_partial(p + r * step + k, n - k);
    store_partial(to + k, total, n - k);
  }
}

/// Delivers db to `sink`, up to 64 channels at a time.
template <class T, bool BatchLast>
void bias_sums(const call& c, gradient_sink& sink) {
  constexpr i32 piece = 64;
  const bias_sizes n = bias_sizes::of(*c.sizes);
  const T* const dy = c.input<T>(1);
  parallel_for(c.step->threads, (n.channels + piece - 1) / piece, [&](i32 item) {
    float db[piece];
    const i32 first = item * piece;
    const i32 count = n.channels - first < piece ? n.channels - first : piece;
    if constexpr (BatchLast) {
      const i64 plane = i64{n.inner} * n.batch;
      for (i32 k = 0; k < count; ++k) db[k] = sum_along(dy + (first + k) * plane, plane);
    } else if (n.inner == 1) {
      sum_rows(dy + first, n.channels, n.batch, count, db);
    } else {
      for (i32 k = 0; k < count; ++k) {
        db[k] = 0;
        for (i64 sample = 0; sample < n.batch; ++sample) {
          db[k] += sum_along(dy + (sample * n.channels + first + k) * n.inner, n.inner);
        }
      }
    }
    sink.take(db, first, count);
  });
}

template <class T, bool BatchLast>
void bias_gradient(const call& c) {
  gradient_sink sink = gradient_sink::storing(c.output<T>(0));
  bias_sums<T, BatchLast>(c, sink);
}

template <class T, bool BatchLast>
void bias_update(const call& c) {
  update_with(
      c, bias_sizes::of(*c.sizes).channels, stored_as<T>,
      [&](gradient_sink& sink) { bias_sums<T, BatchLast>(c, sink); }, [] { return false; });
}

/// Delivers a stored gradient.
template <class T>
void stored_gradient(const call& c, gradient_sink& sink) {
  const T* const g = c.input<T>(0);
  const i64 count = elementwise_sizes::of(*c.sizes).count;
  parallel_ranges(c.step->threads, count, [&](i64 first, i64 last) {
    if (sink.applies()) return sink.take_stored(g + first, first, last - first);
    float piece[512];
    for (i64 i = first; i < last; i += 512) {
      const i64 n = last - i < 512 ? last - i : 512;
      if constexpr (sizeof(T) == 4) {
        std::memcpy(piece, g + i, static_cast<std::size_t>(n) * sizeof(float));
      } else {
        widen(g + i, piece, n);
      }
      sink.take(piece, i, n);
    }
  });
}

template <class T>
void update(const call& c) {
  update_with(
      c, elementwise_sizes::of(*c.sizes).count, element::f32,
      [&](gradient_sink& sink) { stored_gradient<T>(c, sink); }, [] { return false; });
}

template <class T>
void overflow_test(const call& c) {
  const T* const g = c.input<T>(0);
  std::atomic<bool> overflow = false;
  parallel_ranges(c.step->threads, elementwise_sizes::of(*c.sizes).count, [&](i64 first, i64 last) {
    if (!all_finite(g + first, last - first)) overflow.store(true, std::memory_order_relaxed);
  });
  if (overflow.load(std::memory_order_relaxed)) c.output<float>(0)[ops::scaler_overflow] = 1;
}

inline void scaler_update(const call& c) { ops::adapt_scale(c.output<float>(0), c.attr->scaling); }

}  // namespace tessera::host
