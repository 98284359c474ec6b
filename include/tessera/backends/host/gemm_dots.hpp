#pragma once

// Products whose terms lie side by side in both operands, as dot products: nothing is packed.
//
//   y[s][o] = scale sum over k of x[s][k] w[o][k] + bias[o]
//
// Vectors run along k; a tile of outputs x samples of as many dot products as a vector has lanes
// stays in registers, and is summed across lanes together. What few samples or few outputs want
// (dense at batch 1, a classifier of 10): there packing costs more than the product, and vectors
// along outputs would be mostly empty.
//
//   lanes   one sample   two or three   more    outputs left over
//   16      16 x 1       8 x 2          4 x 4   8, 4, 2, 1 x 1; 2 x 8, 1 x 16
//
// One sample reads every weight once: it is as fast as these come (1 MiB from L2: 46 of 51
// GFLOP/s). Each dot product is a chain of fused multiply-adds a lane, in the order of k, then a
// sum of the lanes in halves, quarters, ...: the same bits in every tile. Of several samples,
// 16-bit numbers become floats once (those of w in every tile, 4 loads of 8), or are multiplied in
// pairs (simd_pairs.hpp).

#include <limits>

#include <tessera/backends/host/gemm_pack.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// What dot products work on: rows of w and x lie `w_row` and `x_row` apart.
template <class W, class X = W, class Y = W>
struct dot_operands {
  const W* w = nullptr;
  i64 w_row = 0;
  const X* x = nullptr;
  i64 x_row = 0;
  i32 depth = 0;
  const Y* bias = nullptr;  // one number an output
  Y* y = nullptr;
  i64 y_row = 0;  // outputs lie side by side
  float scale = 1;
  bool alone = true;  // no more samples than those that are asked for
};

/// Terms of one vector: pairs of them where sums are made of pairs.
template <class X>
inline constexpr i32 terms_of_dots = simd::lanes* terms_of_step<X>;

/// `terms` of the terms from p on, zeros behind them.
template <class X>
simd::vec load_terms(const X* p, i32 terms = terms_of_dots<X>) {
  if constexpr (in_pairs<X>) {
    return simd::load_neighbours(p, terms);
  } else {
    return terms == simd::lanes ? simd::load(p) : simd::load_partial(p, terms);
  }
}

/// Outputs [o, o + Outs) of samples [s, s + lanes / Outs), as far as these are below `outs` and
/// `samples`: the last ones again in their place.
template <i32 Outs, class W, class X, class Y>
[[gnu::noinline]] void dot_tile(const dot_operands<W, X, Y>& p, i32 o, i32 outs, i32 s,
                                i32 samples) {
  using namespace simd;
  constexpr i32 height = lanes / Outs;
  constexpr i32 step = terms_of_dots<X>;
  constexpr bool pairs = in_pairs<X>;
  const W* w[Outs];
  const X* x[height];
  TESSERA_UNROLL
  for (i32 i = 0; i < Outs; ++i) w[i] = p.w + (o + i < outs ? o + i : outs - 1) * p.w_row;
  TESSERA_UNROLL
  for (i32 i = 0; i < height; ++i) {
    x[i] = p.x + (s + i < samples ? s + i : samples - 1) * p.x_row;
  }
  vec all[lanes];
  TESSERA_UNROLL
  for (i32 i = 0; i < lanes; ++i) all[i] = zero();
  i64 k = 0;
  for (; k + step <= p.depth; k += step) {
    vec of_x[height];
    TESSERA_UNROLL
    for (i32 i = 0; i < height; ++i) of_x[i] = keep(load_terms(x[i] + k));  // read once
    TESSERA_UNROLL
    for (i32 j = 0; j < Outs; ++j) {
      const vec of_w = height > 1 ? keep(load_terms(w[j] + k)) : load_terms(w[j] + k);
      TESSERA_UNROLL
      for (i32 i = 0; i < height; ++i)
        all[i * Outs + j] = add_product<pairs>(of_w, of_x[i], all[i * Outs + j]);
    }
  }
  if (k < p.depth) {
    const i32 rest = static_cast<i32>(p.depth - k);
    vec of_x[height];
    TESSERA_UNROLL
    for (i32 i = 0; i < height; ++i) of_x[i] = load_terms(x[i] + k, rest);
    TESSERA_UNROLL
    for (i32 j = 0; j < Outs; ++j) {
      const vec of_w = load_terms(w[j] + k, rest);
      TESSERA_UNROLL
      for (i32 i = 0; i < height; ++i)
        all[i * Outs + j] = add_product<pairs>(of_w, of_x[i], all[i * Outs + j]);
    }
  }
  const vec sums = sums_of_lanes(all) * set(p.scale);
  const i32 width = outs - o < Outs ? outs - o : Outs;
  Y* const y = p.y + s * p.y_row + o;
  if constexpr (Outs == lanes) {
    if (width == lanes) {
      store(y, p.bias == nullptr ? sums : sums + load(p.bias + o));
    } else {
      store_partial(y, p.bias == nullptr ? sums : sums + load_partial(p.bias + o, width), width);
    }
  } else {
    alignas(64) float dots[2 * lanes];
    store(dots, sums);
    const vec bias = p.bias == nullptr ? zero() : load_partial(p.bias + o, width);
    for (i32 i = 0; i < height && s + i < samples; ++i) {
      store_partial(y + i * p.y_row, load(dots + i * Outs) + bias, width);
    }
  }
}

/// Dots of `Rows` rows of w, w_row apart, with one sample: lane j is that of row j, zero from Rows
/// on.
template <i32 Rows, class T>
[[gnu::always_inline]] inline simd::vec dots_of_rows(const T* w, i64 w_row, const T* x, i32 depth) {
  using namespace simd;
  vec all[lanes];
  TESSERA_UNROLL
  for (i32 i = 0; i < lanes; ++i) all[i] = zero();
  // Four rows to an address: all of them would not fit the registers for addresses.
  constexpr i32 groups = (Rows + 3) / 4;
  const T* from[groups];
  TESSERA_UNROLL
  for (i32 g = 0; g < groups; ++g) from[g] = w + 4 * g * w_row;
  i32 k = 0;
  for (; k + lanes <= depth; k += lanes) {
    const vec of_x = load(x + k);
    TESSERA_UNROLL
    for (i32 i = 0; i < Rows; ++i) {
      all[i] = fma(load(from[i / 4] + i % 4 * w_row + k), of_x, all[i]);
    }
  }
  if (k < depth) {
    const i32 rest = depth - k;
    const vec of_x = load_partial(x + k, rest);
    TESSERA_UNROLL
    for (i32 i = 0; i < Rows; ++i) {
      all[i] = fma(load_partial(from[i / 4] + i % 4 * w_row + k, rest), of_x, all[i]);
    }
  }
  return sums_of_lanes(all);
}

/// Outputs [o, o + Rows) of one sample.
template <i32 Rows, class T>
[[gnu::always_inline]] inline void store_dots(const dot_operands<T>& p, i32 o, i32 rows) {
  using namespace simd;
  const vec sums = dots_of_rows<Rows>(p.w + o * p.w_row, p.w_row, p.x, p.depth) * set(p.scale);
  if (Rows == lanes && rows == lanes) {
    store(p.y + o, p.bias == nullptr ? sums : sums + load(p.bias + o));
  } else {
    store_partial(p.y + o, p.bias == nullptr ? sums : sums + load_partial(p.bias + o, rows), rows);
  }
}

/// Outputs [first, last) of one sample.
template <class T>
[[gnu::always_inline]] inline void dots_of_one(const dot_operands<T>& p, i32 first, i32 last) {
  i32 o = first;
  for (; o + simd::lanes <= last; o += simd::lanes) store_dots<simd::lanes>(p, o, simd::lanes);
  if constexpr (simd::lanes >= 16) {
    if (o + 8 <= last) store_dots<8>(p, o, 8), o += 8;
  }
  if constexpr (simd::lanes >= 8) {
    if (o + 4 <= last) store_dots<4>(p, o, 4), o += 4;
  }
  if (o + 2 <= last) store_dots<2>(p, o, 2), o += 2;
  if (o < last) store_dots<1>(p, o, 1);
}

template <class T>
[[gnu::noinline]] void run_dots_of_one(const dot_operands<T>& p, i32 first, i32 last) {
  dots_of_one(p, first, last);
}

/// Outputs [first, last) of samples [top, bottom), several.
template <class W, class X, class Y>
void run_dot_tiles(const dot_operands<W, X, Y>& p, i32 top, i32 bottom, i32 first, i32 last) {
  constexpr i32 lanes = simd::lanes;
  const i32 samples = bottom - top;
  for (i32 o = first; o < last;) {
    // Few samples want wide tiles; then the widest of those that the outputs left over fill.
    i32 wide = lanes > 4 && samples >= 4 ? 4 : lanes / 2;
    while (wide > last - o && wide > 1 && lanes / wide * 2 <= samples) wide /= 2;
    for (i32 s = top; s < bottom; s += lanes / wide) {
      switch (wide) {
        case 1: dot_tile<1>(p, o, last, s, bottom); break;
        case 2: dot_tile<2>(p, o, last, s, bottom); break;
        case 4: dot_tile<4>(p, o, last, s, bottom); break;
        default:
          if constexpr (lanes >= 16) dot_tile<8>(p, o, last, s, bottom);
          break;
      }
    }
    o += wide;
  }
}

/// Rows of x of 16-bit types that are not multiplied as they are become floats once, in a panel of
/// this many.
inline constexpr i64 dot_panel_floats = workspace::capacity / 4 * 3;

/// From row to row of such a panel: an odd number of lines.
constexpr i64 dot_panel_row(i32 depth) { return ((depth + 15) / 16 | 1) * 16; }

/// Terms that several samples may have.
template <class T>
inline constexpr i64 most_dot_terms = sizeof(T) == sizeof(float) || in_pairs<T>
                                          ? std::numeric_limits<i32>::max()
                                          : dot_panel_floats / simd::lanes - 32;

/// Outputs [first, last) of samples [top, bottom).
template <class T>
void run_dots(const dot_operands<T>& p, i32 top, i32 bottom, i32 first, i32 last) {
  if (bottom - top == 1 && (p.alone || !in_pairs<T>)) {  // else pairs would be other bits
    dot_operands<T> one = p;
    one.x += top * p.x_row;
    one.y += top * p.y_row;
    return run_dots_of_one(one, first, last);
  }
  if constexpr (sizeof(T) == sizeof(float) || in_pairs<T>) {
    return run_dot_tiles(p, top, bottom, first, last);
  } else {
    const i64 row = dot_panel_row(p.depth);
    const i32 most = static_cast<i32>(dot_panel_floats / row);
    float* const of_x = workspace::floats();
    dot_operands<T, float, T> wide;
    wide.w = p.w, wide.x = of_x;
    wide.w_row = p.w_row, wide.x_row = row;
    wide.y_row = p.y_row;
    wide.depth = p.depth;
    wide.bias = p.bias;
    wide.scale = p.scale;
    for (i32 s = top; s < bottom; s += most) {
      const i32 samples = bottom - s < most ? bottom - s : most;
      for (i32 i = 0; i < samples; ++i) {
        copy_floats(p.x + (s + i) * p.x_row, of_x + i * row, p.depth);
      }
      wide.y = p.y + s * p.y_row;
      run_dot_tiles(wide, 0, samples, first, last);
    }
  }
}

}  // namespace tessera::host
