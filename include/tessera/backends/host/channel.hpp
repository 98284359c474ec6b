#pragma once

// bias_add, channel_scale, prelu and their gradients (ops/channel.hpp states what they mean).
//
// A channel's row of contiguous elements meets one number; where rows are single elements (features
// with the batch first), a row of channels meets the vector of all. Halves are widened in registers
// and rounded once when stored. The gradient is summed in f32: each lane over its elements by fused
// multiply-adds, row after row, then across lanes.
// Cost: the speed of memory.

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// How many threads are worth waking for `count` elements.
inline threads threads_for(const call& c, i64 count) { return c.step->threads.when(count >= 4096); }

/// y[i] = f(x[i], v[channel of i], z[i]), a vector at a time; z: input 2, or where there is none x.
template <class T, class Function>
void map_channels(const call& c, Function f) {
  using namespace simd;
  const bias_sizes n = bias_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  const T* const v = c.input<T>(1);
  const T* const z = c.in[2] == nullptr ? x : c.input<T>(2);
  T* const y = c.output<T>(0);
  const bool single = n.inner == 1;
  const i64 length = single ? n.channels : n.inner;
  const i32 rows = single ? n.batch : n.batch * n.channels;
  parallel_for(threads_for(c, rows * length), rows, [&](i32 row) {
    const i64 at = row * length;
    const vec all = set(as_float(v[single ? 0 : row % n.channels]));
    i64 i = 0;
    for (; i + lanes <= length; i += lanes) {
      store(y + at + i, f(load(x + at + i), single ? load(v + i) : all, load(z + at + i)));
    }
    if (i < length) {
      const i32 rest = static_cast<i32>(length - i);
      store_partial(y + at + i,
                    f(load_partial(x + at + i, rest), single ? load_partial(v + i, rest) : all,
                      load_partial(z + at + i, rest)),
                    rest);
    }
  });
}

template <class T>
void bias_add(const call& c) {
  map_channels<T>(c, [](simd::vec x, simd::vec b, simd::vec) { return x + b; });
}

template <class T>
void channel_scale(const call& c) {
  map_channels<T>(c, [](simd::vec x, simd::vec s, simd::vec) { return x * s; });
}

template <class T>
void prelu(const call& c) {
  map_channels<T>(c, [](simd::vec x, simd::vec a, simd::vec) {
    return simd::select(x > simd::zero(), x, x * a);
  });
}

/// (x, slope, dy) -> dx
template <class T>
void prelu_gradient(const call& c) {
  map_channels<T>(c, [](simd::vec x, simd::vec a, simd::vec dy) {
    return simd::select(x > simd::zero(), dy, dy * a);
  });
}

/// The sum of f(x) dy over `rows` rows of `length` elements, `step` apart.
template <class T, class Function>
float sum_products(const T* x, const T* dy, i32 rows, i64 step, i64 length, Function f) {
  using namespace simd;
  vec total = zero();
  for (i32 row = 0; row < rows; ++row, x += step, dy += step) {
    i64 i = 0;
    for (; i + lanes <= length; i += lanes) total = fma(f(load(x + i)), load(dy + i), total);
    if (i < length) {
      const i32 rest = static_cast<i32>(length - i);
      total = fma(f(load_partial(x + i, rest)), load_partial(dy + i, rest), total);
    }
  }
  return sum(total);
}

/// ds[channel] = the sum of f(x) dy
template <class T, class Function>
void sum_by_channel(const call& c, Function f) {
  using namespace simd;
  const bias_sizes n = bias_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  T* const ds = c.output<T>(0);
  const i64 step = i64{n.channels} * n.inner;
  const threads workers = threads_for(c, n.batch * step);
  parallel_for(workers, (n.channels + lanes - 1) / lanes, [&](i32 item) {
    const i32 first = item * lanes;
    const i32 count = n.channels - first < lanes ? n.channels - first : lanes;
    if (n.inner == 1) {  // lanes are channels
      vec total = zero();
      for (i64 row = 0; row < n.batch; ++row) {
        const i64 at = row * step + first;
        total = fma(f(load_partial(x + at, count)), load_partial(dy + at, count), total);
      }
      store_partial(ds + first, total, count);
      return;
    }
    float sums[lanes] = {};
    for (i32 k = 0; k < count; ++k) {
      const i64 at = (first + k) * i64{n.inner};
      sums[k] = sum_products(x + at, dy + at, n.batch, step, n.inner, f);
    }
    store_partial(ds + first, load(sums), count);
  });
}

template <class T>
void channel_scale_gradient(const call& c) {
  sum_by_channel<T>(c, [](simd::vec x) { return x; });
}

template <class T>
void prelu_slope_gradient(const call& c) {
  sum_by_channel<T>(c, [](simd::vec x) { return simd::select(x > simd::zero(), simd::zero(), x); });
}

}  // namespace tessera::host
