#pragma once

// dense and its gradients (ops/dense.hpp has the formulas).
//
// All but one are products with the columns named in product.hpp. The exception is the forward pass
// with the batch first, whose weights and samples both lie along the sum: there a vector runs along
// `in`, and eight dot products at a time (4 outputs x 2 samples, or 8 x 1) are summed across lanes
// together.

#include <limits>

#include <tessera/backends/host/product.hpp>
#include <tessera/backends/host/update_rule.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Bias of rows [first, first + rows) as floats, null without one.
template <class T>
const float* start_of(const T* bias, i64 first, i32 rows, float (&to)[max_rows]) {
  if (bias == nullptr) return nullptr;
  for (i32 r = 0; r < rows; ++r) to[r] = simd::as_float(bias[first + r]);
  return to;
}

/// A block of rows over a long sum of half weights: pieces of the sum in turn, kept in floats.
/// widen_piece(first, count, panel) makes the panel of some taps and returns its row step.
template <class Widen>
void run_long_product(const product<half, half>& p, i32 rows, i64 row_weights, i64 tap_weights,
                      const Widen& widen_piece) {
  constexpr i32 widest = 256;
  float tile[max_rows * widest];
  alignas(64) float panel[weight_panel::capacity];
  const i64 piece = weight_panel::capacity / 8;
  for (i32 column = 0; column < p.columns; column += widest) {
    product<half, float> part;
    part.columns = p.columns - column < widest ? p.columns - column : widest;
    part.weight = panel;
    part.start = p.start;
    part.y = tile;
    part.y_row = widest;
    for (i64 first = 0; first < p.sum.count[2]; first += piece) {
      const i64 count = p.sum.count[2] - first < piece ? p.sum.count[2] - first : piece;
      widen_piece(first, count, panel);
      part.weight_row = row_weights;
      part.sum.weight[2] = tap_weights;
      part.sum.x[2] = p.sum.x[2];
      part.sum.count[2] = static_cast<i32>(count);
      part.x = p.x + first * p.sum.x[2] + column;
      part.add = first > 0;
      run_product(part, rows);
    }
    for (i32 r = 0; r < rows; ++r)
      narrow(tile + r * widest, p.y + r * p.y_row + column, part.columns);
  }
}

template <class T>
void dense_batch_last(const call& c, const dense_sizes& n) {
  const T* const weight = c.input<T>(1);
  const row_blocks blocks(n.out, max_rows);
  parallel_for(c.step->threads, blocks.count, [&](i32 block) {
    const i64 first = blocks.first(block);
    const i32 rows = blocks.rows(block);
    float start[max_rows];
    product<T, T> p;
    p.start = start_of(c.input<T>(2), first, rows, start);
    p.x = c.input<T>(0);
    p.y = c.output<T>(0) + first * n.batch;
    p.y_row = n.batch;
    p.columns = n.batch;
    p.sum.count[2] = n.in;
    p.sum.weight[2] = 1;
    p.sum.x[2] = n.batch;
    if constexpr (sizeof(T) == 4) {
      p.weight = weight + first * n.in;
      p.weight_row = n.in;
      run_product(p, rows);
    } else {
      const i64 row = weight_panel::capacity / 8;
      run_long_product(p, rows, row, 1, [&](i64 tap, i64 count, float* panel) {
        for (i32 r = 0; r < rows; ++r) {
          widen(weight + (first + r) * n.in + tap, panel + r * row, count);
        }
      });
    }
  });
}

template <class T>
void dense_data_gradient_batch_last(const call& c, const dense_sizes& n) {
  const T* const weight = c.input<T>(1);
  const row_blocks blocks(n.in, max_rows);
  parallel_for(c.step->threads, blocks.count, [&](i32 block) {
    const i64 first = blocks.first(block);
    const i32 rows = blocks.rows(block);
    product<T, T> p;
    p.x = c.input<T>(0);
    p.y = c.output<T>(0) + first * n.batch;
    p.y_row = n.batch;
    p.columns = n.batch;
    p.sum.count[2] = n.out;
    p.sum.weight[2] = n.in;
    p.sum.x[2] = n.batch;
    if constexpr (sizeof(T) == 4) {
      p.weight = weight + first;
      p.weight_row = 1;
      run_product(p, rows);
    } else {
      run_long_product(p, rows, 1, 8, [&](i64 tap, i64 count, float* panel) {
        for (i64 o = 0; o < count; ++o) {
          const half* const from = weight + (tap + o) * n.in + first;
          if (first + 8 <= n.in) {  // the last rows would read past the weights
            widen(from, panel + o * 8, 8);
          } else {
            for (i32 r = 0; r < rows; ++r) panel[o * 8 + r] = to_float(from[r]);
          }
        }
      });
    }
  });
}

/// Dot products of Outs rows of weights with Samples samples, Outs x Samples = 8.
template <class T, i32 Outs, i32 Samples>
[[gnu::noinline]] void dot_block(const T* const (&weight)[Outs], const T* const (&x)[Samples],
                                 i64 in, float* to) {
  using namespace simd;
  vec all[8];
  TESSERA_UNROLL
  for (i32 i = 0; i < 8; ++i) all[i] = zero();
  i64 i = 0;
  for (; i + lanes <= in; i += lanes) {
    vec xs[Samples];
    TESSERA_UNROLL
    for (i32 s = 0; s < Samples; ++s) xs[s] = load(x[s] + i);
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const vec w = load(weight[o] + i);
      TESSERA_UNROLL
      for (i32 s = 0; s < Samples; ++s) all[s * Outs + o] = fma(w, xs[s], all[s * Outs + o]);
    }
  }
  if (i < in) {
    const i32 rest = static_cast<i32>(in - i);
    vec xs[Samples];
    TESSERA_UNROLL
    for (i32 s = 0; s < Samples; ++s) xs[s] = load_partial(x[s] + i, rest);
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const vec w = load_partial(weight[o] + i, rest);
      TESSERA_UNROLL
      for (i32 s = 0; s < Samples; ++s) all[s * Outs + o] = fma(w, xs[s], all[s * Outs + o]);
    }
  }
  sums(all, to);
}

inline void store_one(float* p, float x) { *p = x; }
inline void store_one(half* p, float x) { *p = to_half(x); }

/// Outputs [first, first + Outs) of Samples samples from `sample` on. Rows past the end are those
/// of the last output, computed again and not stored.
template <class T, i32 Outs, i32 Samples>
void dense_dots(const call& c, const dense_sizes& n, i64 first, i64 sample) {
  const T* weight[Outs];
  const T* x[Samples];
  for (i32 o = 0; o < Outs; ++o) {
    const i64 row = first + o < n.out ? first + o : n.out - 1;
    weight[o] = c.input<T>(1) + row * n.in;
  }
  for (i32 s = 0; s < Samples; ++s) x[s] = c.input<T>(0) + (sample + s) * n.in;
  float dots[8];
  dot_block<T, Outs, Samples>(weight, x, n.in, dots);
  const T* const bias = c.input<T>(2);
  if constexpr (Outs == 8 && simd::lanes <= 8) {
    if (first + Outs <= n.out) {
      T* const y = c.output<T>(0) + sample * n.out + first;
      for (i32 o = 0; o < Outs; o += simd::lanes) {
        const simd::vec b = bias == nullptr ? simd::zero() : simd::load(bias + first + o);
        simd::store(y + o, simd::load(dots + o) + b);
      }
      return;
    }
  }
  for (i32 s = 0; s < Samples; ++s) {
    T* const y = c.output<T>(0) + (sample + s) * n.out + first;
    for (i32 o = 0; o < Outs && first + o < n.out; ++o) {
      const float b = bias == nullptr ? 0.0f : simd::as_float(bias[first + o]);
      store_one(y + o, dots[s * Outs + o] + b);
    }
  }
}

template <class T>
void dense_batch_first(const call& c, const dense_sizes& n) {
  if (n.batch == 1) {
    parallel_for(c.step->threads, (n.out + 7) / 8,
                 [&](i32 block) { dense_dots<T, 8, 1>(c, n, i64{block} * 8, 0); });
    return;
  }
  // Four rows of weights at a time meet all samples: they stay in L1 meanwhile.
  parallel_for(c.step->threads, (n.out + 3) / 4, [&](i32 block) {
    const i64 first = i64{block} * 4;
    i64 sample = 0;
    for (; sample + 2 <= n.batch; sample += 2) dense_dots<T, 4, 2>(c, n, first, sample);
    if (sample < n.batch) {
      dense_dots<T, 4, 2>(c, n, first, n.batch - 2);  // the sample before once more, the same
    }
  });
}

template <class T>
void dense_data_gradient_batch_first(const call& c, const dense_sizes& n) {
  const T* const dy = c.input<T>(0);
  const row_blocks blocks(n.batch, max_rows);
  // Wide rows are split between threads too, at multiples of 64 columns.
  const i32 pieces = c.step->threads > 1 ? (n.in + 255) / 256 : 1;
  const i32 piece = pieces > 1 ? 256 : n.in;
  parallel_for(c.step->threads, blocks.count * pieces, [&](i32 item) {
    const i64 first = blocks.first(item / pieces);
    const i32 rows = blocks.rows(item / pieces);
    const i32 column = item % pieces * piece;
    product<T, T> p;
    p.x = c.input<T>(1) + column;
    p.y = c.output<T>(0) + first * n.in + column;
    p.y_row = n.in;
    p.columns = n.in - column < piece ? n.in - column : piece;
    p.sum.count[2] = n.out;
    p.sum.weight[2] = 1;
    p.sum.x[2] = n.in;
    if constexpr (sizeof(T) == 4) {
      p.weight = dy + first * n.out;
      p.weight_row = n.out;
      run_product(p, rows);
    } else {
      const i64 row = weight_panel::capacity / 8;
      run_long_product(p, rows, row, 1, [&](i64 tap, i64 count, float* panel) {
        for (i32 r = 0; r < rows; ++r)
          widen(dy + (first + r) * n.out + tap, panel + r * row, count);
      });
    }
  });
}

template <class T, bool BatchLast>
void dense(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  BatchLast ? dense_batch_last<T>(c, n) : dense_batch_first<T>(c, n);
}

template <class T, bool BatchLast>
void dense_data_gradient(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  BatchLast ? dense_data_gradient_batch_last<T>(c, n) : dense_data_gradient_batch_first<T>(c, n);
}

/// Samples [sample, sample + count) of dy for `rows` outputs, as product weights: row step
/// `count`, tap step 1.
template <bool BatchLast>
void widen_outputs(const half* dy, const dense_sizes& n, i64 first, i32 rows, i64 sample, i64 count,
                   float* to) {
  for (i32 r = 0; r < rows; ++r) {
    if constexpr (BatchLast) {
      widen(dy + (first + r) * n.batch + sample, to + r * count, count);
    } else {
      for (i64 s = 0; s < count; ++s) {
        to[r * count + s] = to_float(dy[(sample + s) * n.out + first + r]);
      }
    }
  }
}

/// Tiles of dense_weight. (Outside it: g++ 12 fails on local constants as array bounds in a
/// lambda.)
inline constexpr i32 tile_floats = 4096;
inline constexpr i32 most_samples = 128;

/// Delivers dw to `sink`: columns are inputs, in chunks whose samples were transposed to lie beside
/// each other (batch last) or are floats of their own (batch first); taps are samples.
template <class T, bool BatchLast>
void dense_weight(const call& c, const dense_sizes& n, gradient_sink& sink) {
  const T* const x = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  const i32 samples = n.batch < most_samples ? n.batch : most_samples;
  i32 chunk = tile_floats / samples / 16 * 16;
  const i32 padded_in = (n.in + 15) / 16 * 16;
  if (chunk > padded_in) chunk = padded_in;
  // So many rows of outputs make a piece for the sink.
  const i32 chunk_columns = n.in < chunk ? n.in : chunk;
  i32 height = tile_floats / chunk_columns;
  if (height > n.out) height = n.out;
  const i32 column_chunks = (n.in + chunk - 1) / chunk;
  const i32 row_chunks = (n.out + height - 1) / height;
  const bool once = n.batch <= most_samples;
  parallel_for(c.step->threads, column_chunks, [&](i32 column_chunk) {
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
    for (i32 row_chunk = 0; row_chunk < row_chunks; ++row_chunk) {
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
          p.y = gradient + first * width;
          p.y_row = width;
          p.columns = width;
          p.add = sample > 0;
          run_product(p, blocks.rows(block));
        }
      }
      sink.take_rows(gradient, width, o0 * n.in + i0, n.in, rows, width);
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
  const float x = largest_square_sum(c.input<T>(0), n.in, n.batch);
  const float dy = largest_square_sum(c.input<T>(1), n.out, n.batch);
  return x * dy < 60000.0f * 60000.0f;
}

template <class T, bool BatchLast>
void dense_weight_update(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  const auto produce = [&](gradient_sink& sink) {
    if constexpr (!BatchLast) {
      if (n.batch == 1 && sink.applies()) {
        return sink.take_outer(c.input<T>(1), n.out, c.input<T>(0), n.in);
      }
    }
    dense_weight<T, BatchLast>(c, n, sink);
  };
  update_with(c, i64{n.out} * n.in, sizeof(T) == 2, produce,
              [&] { return dense_weight_bounded<T, BatchLast>(c, n); });
}

}  // namespace tessera::host
