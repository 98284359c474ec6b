#pragma once

// The weight gradient of dense, alone or fused with its update.
//
// A product whose columns are inputs and whose taps are samples (product.hpp), made in pieces that
// stay in L1: each is delivered to a sink, which stores it or applies the update to it. Floats that
// are only stored are made where they are wanted.
//
// Threads share the columns and, where these are few, the rows. Each element is one sum over the
// samples in their order, whoever makes it.

#include <cstring>
#include <limits>

#include <tessera/backends/host/dense_stack.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Delivers dw to `sink`: columns are inputs, in chunks whose samples were transposed to lie beside
/// each other (batch last) or are floats of their own (batch first); taps are samples.
template <class T, bool BatchLast>
void dense_weight(const call& c, const dense_sizes& n, gradient_sink& sink) {
  if (n.stack > 1) return dense_weight_stack<T, BatchLast>(c, n, sink);
  const T* const x = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  const i32 samples = n.batch < most_samples ? n.batch : most_samples;
  i32 chunk = tile_floats / samples / 16 * 16;
  const i32 padded_in = (n.in + 15) / 16 * 16;
  if (chunk > padded_in) chunk = padded_in;
  const i32 column_chunks = (n.in + chunk - 1) / chunk;
  const i32 groups =
      column_chunks < c.step->threads.count ? c.step->threads.count : 1;  // that share the rows
  const bool once = n.batch <= most_samples;
  float* const stored = sink.stored_floats();
  // So many rows of outputs make a piece for the sink.
  const i32 chunk_columns = n.in < chunk ? n.in : chunk;
  i32 height = tile_floats / chunk_columns;
  if (stored != nullptr && once) height = (n.out + groups - 1) / groups;
  if (height > n.out) height = n.out;
  const i32 row_chunks = (n.out + height - 1) / height;
  const i32 group_chunks = (row_chunks + groups - 1) / groups;
  parallel_for(c.step->threads, column_chunks * groups, [&](i32 item) {
    const i32 column_chunk = item / groups;
    const i32 first_chunk = item % groups * group_chunks;
    const i32 last_chunk =
        first_chunk + group_chunks < row_chunks ? first_chunk + group_chunks : row_chunks;
    alignas(64) float columns[tile_floats];
    float gradient[tile_floats];
    float weights[max_rows * most_samples];
    const i64 i0 = i64{column_chunk} * chunk;
    const i32 width = static_cast<i32>(n.in - i0 < chunk ? n.in - i0 : chunk);
    const auto gather = [&](i64 sample, i64 count) {
      for (i64 s = 0; s < count; ++s) {
        if constexpr (!BatchLast) {
          if constexpr (sizeof(T) == 4) {
            std::memcpy(columns + s * chunk, x + (sample + s) * n.in + i0,
                        static_cast<std::size_t>(width) * sizeof(float));
          } else {
            widen(x + (sample + s) * n.in + i0, columns + s * chunk, width);
          }
        }
      }
      if constexpr (BatchLast) {
        for (i64 s = 0; s < count; s += 8) {
          i32 i = 0;
          for (; i + 8 <= width; i += 8) {
            simd::transpose_8x8(x + (i0 + i) * n.batch + sample + s, n.batch,
                                columns + s * chunk + i, chunk);
          }
          for (; i < width; ++i) {
            for (i32 k = 0; k < 8; ++k) {
              columns[(s + k) * chunk + i] = simd::as_float(x[(i0 + i) * n.batch + sample + s + k]);
            }
          }
        }
      }
    };
    if (once) gather(0, n.batch);
    for (i32 row_chunk = first_chunk; row_chunk < last_chunk; ++row_chunk) {
      const i64 o0 = i64{row_chunk} * height;
      const i32 rows = static_cast<i32>(n.out - o0 < height ? n.out - o0 : height);
      const row_blocks blocks(rows, max_rows);
      for (i64 sample = 0; sample < n.batch; sample += samples) {
        const i64 count = n.batch - sample < samples ? n.batch - sample : samples;
        if (!once) gather(sample, count);
        for (i32 block = 0; block < blocks.count; ++block) {
          const i64 first = blocks.first(block);
          product<float, float> p;
          if constexpr (sizeof(T) == 4) {
            const i64 row = BatchLast ? n.batch : 1;
            const i64 tap = BatchLast ? 1 : n.out;
            p.weight = dy + (o0 + first) * row + sample * tap;
            p.weight_row = row;
            p.sum.weight[2] = tap;
          } else {
            widen_outputs<BatchLast>(dy, n, o0 + first, blocks.rows(block), sample, count, weights);
            p.weight = weights;
            p.weight_row = count;
            p.sum.weight[2] = 1;
          }
          p.x = columns;
          p.sum.x[2] = chunk;
          p.sum.count[2] = static_cast<i32>(count);
          p.y = stored != nullptr ? stored + (o0 + first) * n.in + i0 : gradient + first * width;
          p.y_row = stored != nullptr ? n.in : width;
          p.columns = width;
          p.add = sample > 0;
          run_product(p, blocks.rows(block));
        }
      }
      if (stored == nullptr) {
        sink.take_rows(gradient, width, o0 * n.in + i0, n.in, rows, width);
      }
    }
  });
}

template <class T, bool BatchLast>
void dense_weight_gradient(const call& c) {
  gradient_sink sink = gradient_sink::storing(c.output<T>(0));
  dense_weight<T, BatchLast>(c, dense_sizes::of(*c.sizes), sink);
}

/// The largest sum of squares of a row of n numbers; infinite where one is not finite.
template <class T>
float largest_square_sum(const T* p, i64 rows, i64 n) {
  float largest = 0;
  float finite = 0;  // x - x is NaN where x is not finite
  for (i64 row = 0; row < rows; ++row, p += n) {
    simd::vec squares = simd::zero();
    for (i64 i = 0; i < n; i += simd::lanes) {
      const simd::vec x = simd::load(p + i);
      squares = simd::fma(x, x, squares);
    }
    const float sum = simd::sum(squares);
    finite += sum - sum;
    if (sum > largest) largest = sum;
  }
  return finite == 0 ? largest : std::numeric_limits<float>::infinity();
}

/// True where no element of dw can overflow: each is at most the product of the norms of a row of
/// dy and one of x (Cauchy, Schwarz), with room for rounding below 65520.
template <class T, bool BatchLast>
bool dense_weight_bounded(const call& c, const dense_sizes& n) {
  if constexpr (!BatchLast) return false;
  // Of a stack: the norms of all slices together are at most those of the largest, times stack.
  const auto slices = static_cast<float>(n.stack);
  const float x = slices * largest_square_sum(c.input<T>(0), i64{n.stack} * n.in, n.batch);
  const float dy = slices * largest_square_sum(c.input<T>(1), i64{n.stack} * n.out, n.batch);
  return x * dy < 60000.0f * 60000.0f;
}

template <class T, bool BatchLast>
void dense_weight_update(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  const auto produce = [&](gradient_sink& sink) {
    if constexpr (!BatchLast) {
      if (n.batch == 1 && n.stack == 1 && sink.applies()) {
        return sink.take_outer(c.input<T>(1), n.out, c.input<T>(0), n.in);
      }
    }
    dense_weight<T, BatchLast>(c, n, sink);
  };
  update_with(c, i64{n.out} * n.in, stored_as<T>, produce,
              [&] { return dense_weight_bounded<T, BatchLast>(c, n); });
}

}  // namespace tessera::host
