#pragma once

// What attention's kernels are made of: panels of a head's features over time, and their product.
//
//   panel   [sample][feature][time]   floats, whatever the layout of the sequence; times are padded
//                                     to 16 with zeros
//
// Of a sequence with samples innermost, 8 or 16 samples are turned over at once, so that whole
// lines of memory are used; of others one sample. With time along vectors, all products of
// attention have one form, a few numbers broadcast against rows of vectors:
//
//   c[row][lanes] (+)= sum over k of a[row][k] b[k][lanes]
//
// A tile of 6 rows x 4 vectors (2 where there are 16 registers) stays in registers: 10 loads for 24
// multiply-adds; up to 4 rows that are left are a tile of 4. Sums run in the order of k. On Zen 4,
// blocks of 64 x 64 with 16 features reach the peak of one core.

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// Times in a block, and what rows of panels are multiples of.
inline constexpr i32 attention_block = 64;
inline constexpr i32 attention_grain = 16;

constexpr i32 attention_padded(i32 n) {
  return (n + attention_grain - 1) / attention_grain * attention_grain;
}

/// From sample to sample of a panel: a line more than it has numbers, so that neighbours do not
/// share one set of the cache.
constexpr i64 panel_step(i32 features, i32 row) { return i64{features} * row + attention_grain; }

/// A head of a sequence in memory.
template <class T>
struct head_view {
  T* at;     // first sample of the group, first time and feature
  i64 time;  // steps
  i64 feature;
  i32 features;
};

/// `count` times from `first` on, of `samples` samples (side by side where more than one), to a
/// panel with `row` floats a feature.
template <class T>
void load_panel(const head_view<const T>& x, i32 samples, i32 first, i32 count, float* to,
                i32 row) {
  const T* const from = x.at + first * x.time;
  const i64 sample_step = panel_step(x.features, row);
  const bool turned = samples > 1 || x.feature == 1;
  const i32 eights = turned ? count / 8 * 8 : 0;
  if (samples > 1) {
    for (i32 t = 0; t < eights; t += 8) {
      for (i32 f = 0; f < x.features; ++f) {
        for (i32 s = 0; s < samples; s += 8) {
          simd::transpose_8x8(from + t * x.time + f * x.feature + s, x.time,
                              to + s * sample_step + f * i64{row} + t, sample_step);
        }
      }
    }
  } else if (turned) {
    i32 f = 0;
    for (; f + 8 <= x.features; f += 8) {
      for (i32 t = 0; t < eights; t += 8) {
        simd::transpose_8x8(from + t * x.time + f, x.time, to + f * i64{row} + t, row);
      }
    }
    for (; f < x.features; ++f) {
      for (i32 t = 0; t < eights; ++t) to[f * i64{row} + t] = simd::as_float(from[t * x.time + f]);
    }
  }
  for (i32 s = 0; s < samples; ++s) {
    for (i32 f = 0; f < x.features; ++f) {
      float* const one = to + s * sample_step + f * i64{row};
      for (i32 t = eights; t < count; ++t) {
        one[t] = simd::as_float(from[t * x.time + f * x.feature + s]);
      }
      for (i32 t = count; t < row; ++t) one[t] = 0;
    }
  }
}

/// n numbers that lie side by side.
template <class T>
void store_numbers(T* to, const float* from, i32 n) {
  i32 i = 0;
  for (; i + simd::lanes <= n; i += simd::lanes) simd::store(to + i, simd::load(from + i));
  if (i < n) simd::store_partial(to + i, simd::load_partial(from + i, n - i), n - i);
}

/// to[j * to_step + i] = from[i * from_step + j] for i, j < 8, where no rounding comes between.
inline void store_turned(const float* from, i64 from_step, float* to, i64 to_step) {
  simd::transpose_8x8(from, from_step, to, to_step);
}
template <class T>
void store_turned(const float*, i64, T*, i64) {}  // 16-bit types are turned before they are rounded

/// A panel to where it belongs in memory.
template <class T>
void store_panel(const float* panel, i32 row, i32 samples, i32 first, i32 count,
                 const head_view<T>& y) {
  T* const to = y.at + first * y.time;
  const i64 sample_step = panel_step(y.features, row);
  constexpr i32 widest = 16;
  alignas(64) float turned[8][widest];
  if (samples > 1) {                      // 8 or 16 of them
    for (i32 t = 0; t < count; t += 8) {  // rows are padded
      for (i32 f = 0; f < y.features; ++f) {
        if (sizeof(T) == sizeof(float) && t + 8 <= count) {
          for (i32 s = 0; s < samples; s += 8) {
            store_turned(panel + s * sample_step + f * i64{row} + t, sample_step,
                         to + t * y.time + f * y.feature + s, y.time);
          }
          continue;
        }
        for (i32 s = 0; s < samples; s += 8) {
          simd::transpose_8x8(panel + s * sample_step + f * i64{row} + t, sample_step,
                              &turned[0][s], widest);
        }
        for (i32 i = 0; i < 8 && t + i < count; ++i) {
          store_numbers(to + (t + i) * y.time + f * y.feature, turned[i], samples);
        }
      }
    }
    return;
  }
  i32 f = 0;
  if (y.feature == 1) {
    for (; f + 8 <= y.features; f += widest) {
      const i32 wide = y.features - f >= widest ? widest : 8;
      for (i32 t = 0; t < count; t += 8) {
        for (i32 i = 0; i < wide; i += 8) {
          simd::transpose_8x8(panel + (f + i) * i64{row} + t, row, &turned[0][i], widest);
        }
        for (i32 i = 0; i < 8 && t + i < count; ++i) {
          store_numbers(to + (t + i) * y.time + f, turned[i], wide);
        }
      }
      if (wide == 8) {
        f += 8;
        break;
      }
    }
  }
  for (; f < y.features; ++f) {
    for (i32 t = 0; t < count; ++t) {
      simd::store_number(to + t * y.time + f * y.feature, panel[f * i64{row} + t]);
    }
  }
}

/// The operands of c (+)= a b: see above. Steps are floats; `columns` is a multiple of 16.
struct panel_product {
  const float* a;
  i64 a_row;
  i64 a_k;
  const float* b;
  i64 b_row;
  float* c;
  i64 c_row;
  i32 rows;
  i32 depth;
  i32 columns;
  bool add;
};

/// `Rows` rows from `row` on of columns [column, column + Vectors * lanes).
template <i32 Rows, i32 Vectors>
[[gnu::always_inline]] inline void panel_tile(const panel_product& p, i32 row, i32 column) {
  using namespace simd;
  const i32 last = p.rows - 1;  // rows past the end: the last again
  const float* a[Rows];
  float* c[Rows];
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    const i64 at = row + r < last ? row + r : last;
    a[r] = p.a + at * p.a_row;
    c[r] = p.c + at * p.c_row + column;
  }
  vec sum[Rows][Vectors];
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) sum[r][v] = p.add ? load(c[r] + v * lanes) : zero();
  }
  const float* b = p.b + column;
  i64 at = 0;
  for (i32 k = p.depth; k > 0; --k, at += p.a_k, b += p.b_row) {
    vec values[Vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) values[v] = load(b + v * lanes);
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      const vec w = set(a[r][at]);
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) sum[r][v] = fma(w, values[v], sum[r][v]);
    }
  }
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) store(c[r] + v * lanes, sum[r][v]);
  }
}

/// Columns [column, column + Vectors * lanes), all rows.
template <i32 Vectors>
[[gnu::noinline]] void panel_columns(const panel_product& p, i32 column) {
  i32 row = 0;
  for (; p.rows - row > 4; row += 6) panel_tile<6, Vectors>(p, row, column);
  if (row < p.rows) panel_tile<4, Vectors>(p, row, column);
}

inline void multiply_panel(const panel_product& p) {
  constexpr i32 wide = machine_blocks.position_vectors;
  i32 column = 0;
  for (; column + wide * simd::lanes <= p.columns; column += wide * simd::lanes) {
    panel_columns<wide>(p, column);
  }
  if constexpr (wide > 2) {
    for (; column + 2 * simd::lanes <= p.columns; column += 2 * simd::lanes) {
      panel_columns<2>(p, column);
    }
  }
  for (; column < p.columns; column += simd::lanes) panel_columns<1>(p, column);
}

/// to[c][r] = from[r][c] for r < rows, c < columns, both multiples of 8.
inline void turn_over(const float* from, i64 from_row, i32 rows, i32 columns, float* to,
                      i64 to_row) {
  for (i32 r = 0; r < rows; r += 8) {
    for (i32 c = 0; c < columns; c += 8) {
      simd::transpose_8x8(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    }
  }
}

}  // namespace tessera::host
