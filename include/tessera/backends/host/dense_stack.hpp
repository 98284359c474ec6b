#pragma once

// The weight gradient of dense over a stack of slices (time), alone or fused with its update.
//
//   dw = (((0 + dy[T-1]' x[T-1]) + dy[T-2]' x[T-2]) + ...)      each product and each sum rounded
//
// as the loop would have done that adds up what its trips give: the same bits, but dw goes through
// memory once instead of T times, and where it is fused has no buffer at all.
//
// Columns are inputs, taps the samples of a slice, as without a stack (dense_weight.hpp). Several
// slices are gathered at once, up to 128 samples, so that a piece of dw stays in L1 over all of
// them. Each element is made by one thread.

#include <tessera/backends/host/product.hpp>
#include <tessera/backends/host/update_rule.hpp>
#include <tessera/ops/sizes.hpp>
#include <cstring>

namespace tessera::host {

/// Samples [sample, sample + count) of dy for `rows` outputs, as product weights: row step
/// `count`, tap step 1.
template <bool BatchLast, class T>
void widen_outputs(const T* dy, const dense_sizes& n, i64 first, i32 rows, i64 sample, i64 count,
                   float* to) {
  for (i32 r = 0; r < rows; ++r) {
    if constexpr (BatchLast) {
      widen(dy + (first + r) * n.batch + sample, to + r * count, count);
    } else {
      for (i64 s = 0; s < count; ++s) {
        to[r * count + s] = simd::as_float(dy[(sample + s) * n.out + first + r]);
      }
    }
  }
}

/// Tiles of dense_weight. (Outside it: g++ 12 fails on local constants as array bounds in a
/// lambda.)
inline constexpr i32 tile_floats = 4096;
inline constexpr i32 most_samples = 128;

/// Adds a product of n elements to a sum: as T, which both are stored as.
template <class T>
void add_as(const float* product, float* sum, i64 n) {
  using namespace simd;
  const auto stored = [](vec x) { return rounded<T>(x); };
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    store(sum + i, stored(load(sum + i) + stored(load(product + i))));
  }
  if (i == n) return;
  const i32 rest = static_cast<i32>(n - i);
  const vec total = load_partial(sum + i, rest) + stored(load_partial(product + i, rest));
  store_partial(sum + i, stored(total), rest);
}

/// Samples [sample, sample + count) of one slice of x, inputs [i0, i0 + width), as rows `step`
/// apart.
template <class T, bool BatchLast>
void gather_inputs(const T* x, const dense_sizes& n, i64 i0, i32 width, i64 sample, i64 count,
                   float* to, i64 step) {
  if constexpr (BatchLast) {
    for (i64 s = 0; s < count; s += 8) {  // a multiple of 16 samples
      i32 i = 0;
      for (; i + 8 <= width; i += 8) {
        simd::transpose_8x8(x + (i0 + i) * n.batch + sample + s, n.batch, to + s * step + i, step);
      }
      for (; i < width; ++i) {
        for (i32 k = 0; k < 8; ++k) {
          to[(s + k) * step + i] = simd::as_float(x[(i0 + i) * n.batch + sample + s + k]);
        }
      }
    }
  } else {
    for (i64 s = 0; s < count; ++s) {
      const T* const from = x + (sample + s) * n.in + i0;
      if constexpr (sizeof(T) == 4) {
        std::memcpy(to + s * step, from, static_cast<std::size_t>(width) * sizeof(float));
      } else {
        widen(from, to + s * step, width);
      }
    }
  }
}

/// Sizes of pieces. (Outside the function: g++ 12 fails on local constants as array bounds in a
/// lambda.)
inline constexpr i32 slice_floats = 4096;
inline constexpr i32 slice_taps = 128;

/// Delivers dw to `sink`, a piece of rows of outputs times a chunk of columns at a time.
template <class T, bool BatchLast>
void dense_weight_stack(const call& c, const dense_sizes& n, gradient_sink& sink) {
  const i32 taps = n.batch < slice_taps ? n.batch : slice_taps;  // of one product
  i32 group = slice_taps / taps;                                 // slices gathered at once
  if (n.batch > taps) group = 1;
  if (group > n.stack) group = n.stack;
  i32 chunk = slice_floats / (taps * group) / 16 * 16;
  const i32 padded_in = (n.in + 15) / 16 * 16;
  if (chunk > padded_in) chunk = padded_in;
  const i32 column_chunks = (n.in + chunk - 1) / chunk;
  i32 height = slice_floats / (n.in < chunk ? n.in : chunk);
  if (height > n.out) height = n.out;
  const i32 row_chunks = (n.out + height - 1) / height;
  parallel_for(c.step->threads, column_chunks * row_chunks, [&](i32 item) {
    const i64 i0 = i64{item / row_chunks} * chunk;
    const i64 o0 = i64{item % row_chunks} * height;
    const i32 width = static_cast<i32>(n.in - i0 < chunk ? n.in - i0 : chunk);
    const i32 rows = static_cast<i32>(n.out - o0 < height ? n.out - o0 : height);
    const row_blocks blocks(rows, max_rows);
    alignas(64) float columns[slice_floats];
    float of_slice[slice_floats];
    float total[slice_floats];
    float weights[max_rows * slice_taps];
    const i64 elements = i64{rows} * width;
    std::memset(total, 0, static_cast<std::size_t>(elements) * sizeof(float));
    for (i32 first = 0; first < n.stack; first += group) {
      const i32 slices = n.stack - first < group ? n.stack - first : group;
      for (i64 sample = 0; sample < n.batch; sample += taps) {
        const i64 count = n.batch - sample < taps ? n.batch - sample : taps;
        for (i32 k = 0; k < slices; ++k) {
          const T* const x = c.input<T>(0) + n.slice(first + k) * n.batch * n.in;
          gather_inputs<T, BatchLast>(x, n, i0, width, sample, count,
                                      columns + i64{k} * taps * chunk, chunk);
        }
        for (i32 k = 0; k < slices; ++k) {
          const T* const dy = c.input<T>(1) + n.slice(first + k) * n.batch * n.out;
          for (i32 block = 0; block < blocks.count; ++block) {
            const i64 row = blocks.first(block);
            product<float, float> p;
            if constexpr (sizeof(T) == 4) {
              const i64 row_step = BatchLast ? n.batch : 1;
              const i64 tap_step = BatchLast ? 1 : n.out;
              p.weight = dy + (o0 + row) * row_step + sample * tap_step;
              p.weight_row = row_step;
              p.sum.weight[2] = tap_step;
            } else {
              widen_outputs<BatchLast>(dy, n, o0 + row, blocks.rows(block), sample, count, weights);
              p.weight = weights;
              p.weight_row = count;
              p.sum.weight[2] = 1;
            }
            p.x = columns + i64{k} * taps * chunk;
            p.sum.x[2] = chunk;
            p.sum.count[2] = static_cast<i32>(count);
            p.y = of_slice + row * width;
            p.y_row = width;
            p.columns = width;
            p.add = sample > 0;
            run_product(p, blocks.rows(block));
          }
          if (sample + count == n.batch) add_as<T>(of_slice, total, elements);
        }
      }
    }
    sink.take_rows(total, width, o0 * n.in + i0, n.in, rows, width);
  });
}

}  // namespace tessera::host
