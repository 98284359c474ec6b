#pragma once

// matmul with samples innermost, through packed panels: lanes are samples.
//
//   y[r][c][samples] = scale sum over k of a[r][k][samples] b[k][c][samples]
//
//   a panel  [k][rows of a tile][lanes]             one tile of rows
//   b panel  [tile of columns][k][4 columns][lanes]
//
// A tile of 4 x 4 vectors of sums stays in registers (2 x 4 where there are 16 of them): 8 loads,
// side by side in memory, for 16 multiply-adds. Without panels a sequence (time, features, samples)
// would be read with strides of a whole point in time, which share one set of the cache. The panel
// of b serves all rows; a longer sum goes in pieces of 256 terms, 32 rows at a time. Sums run in
// the order of k, in f32, whatever the width of vectors and the number of threads.
//
// Floor: samples x rows x columns x inner multiply-adds. Reached: 50 % of it for scores of 64 x 16
// x 64, 58 % of 128 x 64 x 128 (Zen 4, 512 bits, one core that others disturb); without panels 25
// and 31 %.

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Sizes of the blocks.
struct panel_tile {
  static constexpr i32 rows = machine_blocks.sample_rows;
  static constexpr i32 columns = 4;
  static constexpr i32 depth = 256;            // of a piece of the sum
  static constexpr i32 block_rows = 6 * rows;  // whose sums wait for the next piece
  static constexpr i64 b_vectors = 1024;       // in the panel of b, where one tile is not more
  static constexpr i32 most_columns = 64;

  static constexpr i64 a_floats = i64{depth} * rows * simd::lanes;
  static constexpr i64 sums_floats = i64{block_rows} * most_columns * simd::lanes;
  static_assert(a_floats + sums_floats + b_vectors * simd::lanes <= workspace::capacity);
};

/// to[k][l] = from[l * line_step + k * depth_step] for lines l < Lines, the last again past
/// `lines`.
template <i32 Lines, class T>
void pack_samples(const T* from, i32 lines, i64 line_step, i32 depth, i64 depth_step, float* to) {
  using namespace simd;
  const T* line[Lines];
  for (i32 l = 0; l < Lines; ++l) line[l] = from + (l < lines ? l : lines - 1) * line_step;
  i64 at = 0;
  for (i32 k = 0; k < depth; ++k, at += depth_step, to += Lines * lanes) {
    TESSERA_UNROLL
    for (i32 l = 0; l < Lines; ++l) store(to + l * lanes, load(line[l] + at));
  }
}

/// Where the sums of a tile come from and go to.
template <class T>
struct panel_target {
  float* sums;  // kept ones; a row of them is `sums_row` floats, columns are vectors
  i64 sums_row;
  bool add;   // onto the kept ones
  bool last;  // stores them in y
  T* y;
  i64 y_row;
  i64 y_column;
  i32 rows;  // of the tile that are there
  i32 columns;
  float scale;
};

template <class T>
[[gnu::noinline]] void panel_sums(const float* a, const float* b, i32 depth,
                                  const panel_target<T>& to) {
  using namespace simd;
  constexpr i32 rows = panel_tile::rows;
  constexpr i32 columns = panel_tile::columns;
  vec sum[rows][columns];
  TESSERA_UNROLL
  for (i32 r = 0; r < rows; ++r) {
    TESSERA_UNROLL
    for (i32 c = 0; c < columns; ++c) {
      sum[r][c] = to.add ? load(to.sums + r * to.sums_row + c * lanes) : zero();
    }
  }
  for (i32 k = depth; k > 0; --k, a += rows * lanes, b += columns * lanes) {
    vec right[columns];
    TESSERA_UNROLL
    for (i32 c = 0; c < columns; ++c) right[c] = keep(load(b + c * lanes));
    TESSERA_UNROLL
    for (i32 r = 0; r < rows; ++r) {
      const vec left = load(a + r * lanes);
      TESSERA_UNROLL
      for (i32 c = 0; c < columns; ++c) sum[r][c] = fma(left, right[c], sum[r][c]);
    }
  }
  if (!to.last) {
    TESSERA_UNROLL
    for (i32 r = 0; r < rows; ++r) {
      TESSERA_UNROLL
      for (i32 c = 0; c < columns; ++c) store(to.sums + r * to.sums_row + c * lanes, sum[r][c]);
    }
    return;
  }
  const vec by = set(to.scale);
  if (to.rows == rows && to.columns == columns) {
    TESSERA_UNROLL
    for (i32 r = 0; r < rows; ++r) {
      TESSERA_UNROLL
      for (i32 c = 0; c < columns; ++c) {
        store(to.y + r * to.y_row + c * to.y_column, sum[r][c] * by);
      }
    }
    return;
  }
  float all[rows][columns][lanes];
  TESSERA_UNROLL
  for (i32 r = 0; r < rows; ++r) {
    TESSERA_UNROLL
    for (i32 c = 0; c < columns; ++c) store(all[r][c], sum[r][c] * by);
  }
  for (i32 r = 0; r < to.rows; ++r) {
    for (i32 c = 0; c < to.columns; ++c) {
      store(to.y + r * to.y_row + c * to.y_column, load(all[r][c]));
    }
  }
}

/// y = scale a b, one vector of samples, one head, columns [column, column + columns).
template <class T>
void multiply_panels(const T* a, const T* b, T* y, const matmul_sizes& n, i32 columns,
                     float scale) {
  using namespace simd;
  float* const a_panel = workspace::floats();
  float* const sums = a_panel + panel_tile::a_floats;
  float* const b_panel = sums + panel_tile::sums_floats;
  const i32 pieces = (n.inner + panel_tile::depth - 1) / panel_tile::depth;
  const i32 block_rows = pieces == 1 ? n.rows : panel_tile::block_rows;
  for (i32 block = 0; block < n.rows; block += block_rows) {
    const i32 end = n.rows - block < block_rows ? n.rows : block + block_rows;
    for (i32 piece = 0; piece < pieces; ++piece) {
      const i64 k = i64{piece} * panel_tile::depth;
      const i32 depth =
          n.inner - k < panel_tile::depth ? static_cast<i32>(n.inner - k) : panel_tile::depth;
      const i64 b_tile = i64{depth} * panel_tile::columns * lanes;
      for (i32 c = 0; c < columns; c += panel_tile::columns) {
        pack_samples<panel_tile::columns>(b + k * n.b[2] + c * i64{n.b[3]}, columns - c, n.b[3],
                                          depth, n.b[2],
                                          b_panel + c / panel_tile::columns * b_tile);
      }
      for (i32 row = block; row < end; row += panel_tile::rows) {
        pack_samples<panel_tile::rows>(a + row * i64{n.a[2]} + k * n.a[3], n.rows - row, n.a[2],
                                       depth, n.a[3], a_panel);
        panel_target<T> to;
        to.sums_row = i64{panel_tile::most_columns} * lanes;
        to.add = piece > 0;
        to.last = piece + 1 == pieces;
        to.y_row = n.y[2];
        to.y_column = n.y[3];
        to.rows = n.rows - row < panel_tile::rows ? n.rows - row : panel_tile::rows;
        to.scale = scale;
        for (i32 c = 0; c < columns; c += panel_tile::columns) {
          to.sums = sums + (row - block) * to.sums_row + c * lanes;
          to.y = y + row * to.y_row + c * to.y_column;
          to.columns = columns - c < panel_tile::columns ? columns - c : panel_tile::columns;
          panel_sums(a_panel, b_panel + c / panel_tile::columns * b_tile, depth, to);
        }
      }
    }
  }
}

/// Whether panels pay: nothing is summed over samples or heads, both operands have samples, and
/// what is packed is used often.
inline bool panels_pay(const matmul_sizes& n) {
  return n.y[0] != 0 && n.a[0] != 0 && n.b[0] != 0 && n.summed_heads() == 1 && n.rows >= 8 &&
         n.columns >= 8;
}

/// All samples and heads.
template <class T>
void matmul_panels(threads workers, const T* a, const T* b, T* y, const matmul_sizes& n,
                   float scale) {
  const i32 depth = n.inner < panel_tile::depth ? n.inner : panel_tile::depth;
  i32 width = static_cast<i32>(panel_tile::b_vectors / depth) / panel_tile::columns *
              panel_tile::columns;  // columns at a time
  if (width > panel_tile::most_columns) width = panel_tile::most_columns;
  const i32 blocks = (n.columns + width - 1) / width;
  const i32 vectors = n.samples / simd::lanes;
  parallel_for(workers.when(n.macs() >= 65536), vectors * n.heads * blocks, [&](i32 task) {
    const i64 sample = i64{task / (n.heads * blocks)} * simd::lanes;
    const i64 head = task / blocks % n.heads;
    const i32 column = task % blocks * width;
    multiply_panels(a + sample * n.a[0] + head * n.a[1],
                    b + sample * n.b[0] + head * n.b[1] + column * i64{n.b[3]},
                    y + sample * n.y[0] + head * n.y[1] + column * i64{n.y[3]}, n,
                    n.columns - column < width ? n.columns - column : width, scale);
  });
}

}  // namespace tessera::host
