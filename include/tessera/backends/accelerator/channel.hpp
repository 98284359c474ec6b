#pragma once

// bias_add, channel_scale, prelu and their gradients on the model (ops/channel.hpp has the
// meanings).
//
// The gradients of scales and slopes aside they are elementwise: every tile works on consecutive
// elements where they lie, and receives the numbers of the channels that they belong to. Those
// gradients are reductions, in the order of a bias' gradient (reductions.hpp), of products that are
// fused into their sums.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/backends/accelerator/reductions.hpp>

namespace tessera::accelerator {

/// to[i] = f(x[i], v[channel of i], z[i]) with `f` on lanes; z: input 2, or where there is none x.
template <class T, class F>
void run_by_channel(const machine& m, const call& c, const F& f) {
  const bias_sizes sizes = bias_sizes::of(*c.sizes);
  const T* x = c.input<T>(0);
  const T* v = c.input<T>(1);
  const T* z = c.sizes->has_input(2) ? c.input<T>(2) : x;
  T* y = c.output<T>(0);
  for_elements(m, c, [&](i64 first, i64 count) {
    alignas(64) float a[strip] = {};
    alignas(64) float b[strip] = {};
    alignas(64) float third[strip] = {};
    i64 inner = first % sizes.inner;
    i64 channel = first / sizes.inner % sizes.channels;
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(x + i, a, n);
      fetch(z + i, third, n);
      for (i64 j = 0; j < n; ++j) {
        b[j] = fetch(v[channel]);
        if (++inner < sizes.inner) continue;
        inner = 0;
        if (++channel == sizes.channels) channel = 0;
      }
      for (i64 j = 0; j < n; j += lane_count) {
        store(a + j, f(load(a + j), load(b + j), load(third + j)));
      }
      put(storing(m, c), a, y + i, n);
    }
  });
}

template <class T>
void run_bias_add(const machine& m, const call& c) {
  run_by_channel<T>(m, c, [](lanes x, lanes b, lanes) { return x + b; });
}

template <class T>
void run_channel_scale(const machine& m, const call& c) {
  run_by_channel<T>(m, c, [](lanes x, lanes s, lanes) { return x * s; });
}

template <class T>
void run_prelu(const machine& m, const call& c) {
  run_by_channel<T>(m, c, [](lanes x, lanes a, lanes) { return select(x > set(0.0f), x, x * a); });
}

/// (x, slope, dy) -> dx
template <class T>
void run_prelu_gradient(const machine& m, const call& c) {
  run_by_channel<T>(m, c,
                    [](lanes x, lanes a, lanes dy) { return select(x > set(0.0f), dy, dy * a); });
}

/// Elements of two operands in f32, whose products are added to 16 accumulators in turn; `Below`:
/// those of the first that are above 0 count as 0.
template <class T, bool Below = false>
struct sum_of_products {
  const T* x;
  const T* y;
  float a[sum_piece];
  float b[sum_piece];

  void read(i64 from, i64 to, i64 n) {
    fetch(x + from, a + to, n);
    fetch(y + from, b + to, n);
    for (i64 i = to; Below && i < to + n; ++i) a[i] = a[i] > 0 ? 0.0f : a[i];
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

template <class T, bool Below>
void run_sums_of_products(const machine& m, const call& c) {
  const bias_order order{false, bias_sizes::of(*c.sizes)};
  run_channel_sums(m, c, order, c.output<T>(0), [&] {
    sum_of_products<T, Below> piece;
    piece.x = c.input<T>(0);
    piece.y = c.input<T>(1);
    return piece;
  });
}

/// channel_scale_gradient: (x, dy) -> ds.
template <class T>
void run_channel_scale_gradient(const machine& m, const call& c) {
  run_sums_of_products<T, false>(m, c);
}

/// prelu_slope_gradient: (x, dy) -> dslope.
template <class T>
void run_prelu_slope_gradient(const machine& m, const call& c) {
  run_sums_of_products<T, true>(m, c);
}

}  // namespace tessera::accelerator
