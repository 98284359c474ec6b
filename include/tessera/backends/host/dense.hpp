#pragma once

// dense and its data gradient (ops/dense.hpp has the formulas; dense_weight.hpp the weights).
//
// All but one are products with the columns named in product.hpp. The exception is the forward pass
// with the batch first, whose weights and samples both lie along the sum: there a vector runs along
// `in`, and eight dot products at a time (4 outputs x 2 samples, or 8 x 1) are summed across lanes
// together. From 32 samples on with the batch first, as all points in time of the sequences of a
// transformer are, both run in blocks (product_blocks.hpp).

#include <tessera/backends/host/dense_weight.hpp>
#include <tessera/backends/host/product.hpp>
#include <tessera/backends/host/product_blocks.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Bias of rows [first, first + rows) as floats, null without one.
template <class T>
const float* start_of(const T* bias, i64 first, i32 rows, float (&to)[max_rows]) {
  if (bias == nullptr) return nullptr;
  for (i32 r = 0; r < rows; ++r) to[r] = simd::as_float(bias[first + r]);
  return to;
}

/// A block of rows over a long sum of 16-bit weights: pieces of the sum in turn, kept in floats.
/// widen_piece(first, count, panel) makes the panel of some taps and returns its row step.
template <class T, class Widen>
void run_long_product(const product<T, T>& p, i32 rows, i64 row_weights, i64 tap_weights,
                      const Widen& widen_piece) {
  constexpr i32 widest = 256;
  float tile[max_rows * widest];
  alignas(64) float panel[weight_panel::capacity];
  const i64 piece = weight_panel::capacity / 8;
  for (i32 column = 0; column < p.columns; column += widest) {
    product<T, float> part;
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
          const T* const from = weight + (tap + o) * n.in + first;
          if (first + 8 <= n.in) {  // the last rows would read past the weights
            widen(from, panel + o * 8, 8);
          } else {
            for (i32 r = 0; r < rows; ++r) panel[o * 8 + r] = simd::as_float(from[r]);
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
      simd::store_number(y + o, dots[s * Outs + o] + b);
    }
  }
}

/// From how many samples on the batch-first products of dense run in blocks, which pack weights.
inline constexpr i32 dense_block_rows = 32;

template <class T>
void dense_batch_first(const call& c, const dense_sizes& n) {
  if (n.batch >= dense_block_rows) {
    block_operands<T> p;
    p.a = c.input<T>(0);
    p.b = c.input<T>(1);
    p.bias = c.input<T>(2);
    p.y = c.output<T>(0);
    p.n = {1, 1, n.batch, n.in, n.out, {0, 0, n.in, 1}, {0, 0, 1, n.in}, {0, 0, n.out, 1}};
    return multiply_blocks(c.step->threads, p);
  }
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
  if (n.batch >= dense_block_rows) {
    block_operands<T> p;
    p.a = dy;
    p.b = c.input<T>(1);
    p.y = c.output<T>(0);
    p.n = {1, 1, n.batch, n.out, n.in, {0, 0, n.out, 1}, {0, 0, n.in, 1}, {0, 0, n.in, 1}};
    return multiply_blocks(c.step->threads, p);
  }
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

}  // namespace tessera::host
