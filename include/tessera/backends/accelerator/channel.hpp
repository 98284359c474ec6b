#pragma once

// bias_add, channel_scale and its gradient on the model (ops/channel.hpp has the meanings).
//
// The first two are elementwise: every tile works on consecutive elements where they lie, and
// receives the numbers of the channels that they belong to. The gradient is a reduction, in the
// order of a bias' gradient (reductions.hpp), of products that are fused into their sums.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/backends/accelerator/reductions.hpp>

namespace tessera::accelerator {

/// to[i] = f(x[i], v[channel of i]) with `f` on lanes.
template <class T, class F>
void run_by_channel(const machine& m, const call& c, const F& f) {
  const bias_sizes sizes = bias_sizes::of(*c.sizes);
  const T* x = c.input<T>(0);
  const T* v = c.input<T>(1);
  T* y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip] = {};
    alignas(64) float b[strip] = {};
    i64 inner = first % sizes.inner;
    i64 channel = first / sizes.inner % sizes.channels;
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, n);
      for (i64 j = 0; j < n; ++j) {
        b[j] = fetch(v[channel]);
        if (++inner < sizes.inner) continue;
        inner = 0;
        if (++channel == sizes.channels) channel = 0;
      }
      for (i64 j = 0; j < n; j += lane_count) store(a + j, f(load(a + j), load(b + j)));
      put(m.matrix.round, a, y + i, n);
    }
  });
}

template <class T>
void run_bias_add(const machine& m, const call& c) {
  run_by_channel<T>(m, c, [](lanes x, lanes b) { return x + b; });
}

template <class T>
void run_channel_scale(const machine& m, const call& c) {
  run_by_channel<T>(m, c, [](lanes x, lanes s) { return x * s; });
}

/// Elements of two operands in f32, whose products are added to 16 accumulators in turn.
template <class T>
struct sum_of_products {
  const T* x;
  const T* y;
  float a[sum_piece];
  float b[sum_piece];

  void read(i64 from, i64 to, i64 n) {
    fetch(x + from, a + to, n);
    fetch(y + from, b + to, n);
  }
  void add(i64 n, float* acc) const {
    i64 i = 0;
    for (; i + 16 <= n; i += 16) {
      for (i32 p = 0; p < 16; p += lane_count) {
        store(acc + p, fma(load(a + i + p), load(b + i + p), load(acc + p)));
      }
    }
    for (i32 j = 0; i < n; ++i, ++j) acc[j] = std::fma(a[i], b[i], acc[j]);
  }
};

/// channel_scale_gradient: (x, dy) -> ds.
template <class T>
void run_channel_scale_gradient(const machine& m, const call& c) {
  const bias_order order{false, bias_sizes::of(*c.sizes)};
  run_channel_sums(m, c, order, c.output<T>(0), [&] {
    sum_of_products<T> piece;
    piece.x = c.input<T>(0);
    piece.y = c.input<T>(1);
    return piece;
  });
}

}  // namespace tessera::accelerator
