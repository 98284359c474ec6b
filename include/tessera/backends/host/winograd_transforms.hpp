#pragma once

// The transforms of F(2x2, 3x3) in the batch-last layout: of weights, inputs and outputs.
//
//   U = G g G'        4x4 of 3x3 weights      a pair of channels in every lane
//   V = B' d B        4x4 of 4x4 inputs       a sample in every lane, or a channel
//   Y = A' M A        2x2 of 4x4 products     a sample in every lane
//   P = A dY A'       4x4 of 2x2 gradients    a sample in every lane
//   dg = G' dU G      3x3 of 4x4 sums         a channel in every lane
//
//        1   0   0             1  0 -1  0            1  1  1  0
//   G =  ½   ½   ½        B' = 0  1  1  0       A' = 0  1 -1  1
//        ½  -½   ½             0 -1  1  0
//        0   0   1             0 -1  0  1
//
// The last row of B' and the last column of A' have the other sign than usual, which is the same.
// Nothing but additions of whole vectors; halving is exact. Neighbouring tiles share two of their
// four input columns: 24 additions, 8 loads and 16 stores a tile, and the stores take longest.
//
// Source: Lavin, Gray 2015; Winograd 1980.

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// Sizes of the register blocks of winograd's products.
struct winograd_block {
  // A row of 4 products x 3 output channels x 2 vectors are 24 sums of 32 registers; half of that
  // where there are 16.
  static constexpr i32 rows = 3;
  static constexpr i32 vectors = machine_blocks.winograd_vectors;
  static constexpr i32 line = 16;  // channels of the sum whose weights lie side by side
};

/// Where the 3x3 weights of a convolution lie, and whether they are turned by 180 degrees.
struct winograd_weights {
  i64 row, depth;  // between output channels, between channels of the sum
  bool turned;
};

/// U of 16 pairs of channels from their taps: to[(r * 4 + c) * step] on, 16 floats each.
inline void transform_taps(const float (&tap)[9][winograd_block::line], bool turned, float* to,
                           i64 row_step, i64 column_step) {
  using namespace simd;
  constexpr i32 line = winograd_block::line;
  const vec half_of = set(0.5f);
  for (i32 i = 0; i < line; i += lanes) {
    vec column[4][3];
    TESSERA_UNROLL
    for (i32 c = 0; c < 3; ++c) {
      const vec a = load(tap[turned ? 8 - c : c] + i);
      const vec b = load(tap[turned ? 5 - c : c + 3] + i) * half_of;
      const vec d = load(tap[turned ? 2 - c : c + 6] + i);
      const vec outer = (a + d) * half_of;
      column[0][c] = a;
      column[1][c] = outer + b;
      column[2][c] = outer - b;
      column[3][c] = d;
    }
    TESSERA_UNROLL
    for (i32 r = 0; r < 4; ++r) {
      const vec outer = (column[r][0] + column[r][2]) * half_of;
      const vec inner = column[r][1] * half_of;
      float* const row = to + r * row_step + i;
      store(row, column[r][0]);
      store(row + column_step, outer + inner);
      store(row + 2 * column_step, outer - inner);
      store(row + 3 * column_step, column[r][2]);
    }
  }
}

/// U of one output channel and up to 16 channels of the sum: to[(r * 4 + c) * step] on, 16 floats
/// each, zeros behind `count`.
template <class T>
void transform_weights(const winograd_weights& w, const T* from, i32 count, float* to, i64 row_step,
                       i64 column_step) {
  using namespace simd;
  constexpr i32 line = winograd_block::line;
  alignas(64) float tap[9][line];
  i32 k = 0;
  for (; k + 8 <= count; k += 8) {
    transpose_8x8(from + k * w.depth, w.depth, tap[0] + k, line);
    for (i32 i = k; i < k + 8; ++i) tap[8][i] = as_float(from[i * w.depth + 8]);
  }
  for (; k < line; ++k) {
    for (i32 t = 0; t < 9; ++t) tap[t][k] = k < count ? as_float(from[k * w.depth + t]) : 0.0f;
  }
  transform_taps(tap, w.turned, to, row_step, column_step);
}

/// A run of neighbouring tiles of one tile row.
struct tile_run {
  i32 row, column;  // of the first input cell: may lie outside
  i32 tiles;
};

/// V of one channel for one vector of samples. Number (r, c) of tile t goes to to(t) + r * row_step
/// + c * column_step.
template <class T, class Place>
void transform_inputs(const conv_view<T>& v, const T* plane, const tile_run& run, const Place& to,
                      i64 row_step, i64 column_step) {
  using namespace simd;
  const T* row[4];
  for (i32 i = 0; i < 4; ++i) {
    const i32 h = run.row + i;
    const bool inside = h >= 0 && h < v.height.from;
    row[i] = inside ? plane + i64{h} * v.width.from * v.batch : nullptr;
  }
  const i64 ahead = i64{2} * run.tiles * v.batch;  // the next run
  vec column[4][4];                                // under B' from the left
  const auto read = [&](vec(&under)[4], i32 w) __attribute__((always_inline)) {
    const bool inside = w >= 0 && w < v.width.from;
    const i64 at = i64{w} * v.batch;
    vec d[4];
    TESSERA_UNROLL
    for (i32 i = 0; i < 4; ++i) {
      d[i] = inside && row[i] != nullptr ? load(row[i] + at) : zero();
      if (row[i] != nullptr) prefetch(row[i] + at + ahead);
    }
    under[0] = d[0] - d[2];
    under[1] = d[1] + d[2];
    under[2] = d[2] - d[1];
    under[3] = d[3] - d[1];
  };
  read(column[0], run.column);
  read(column[1], run.column + 1);
  for (i32 t = 0; t < run.tiles; ++t) {
    read(column[2], run.column + 2 * t + 2);
    read(column[3], run.column + 2 * t + 3);
    float* p = to(t);
    TESSERA_UNROLL
    for (i32 r = 0; r < 4; ++r, p += row_step) {
      store(p, column[0][r] - column[2][r]);
      store(p + column_step, column[1][r] + column[2][r]);
      store(p + 2 * column_step, column[2][r] - column[1][r]);
      store(p + 3 * column_step, column[3][r] - column[1][r]);
      column[0][r] = column[2][r];
      column[1][r] = column[3][r];
    }
  }
}

/// Where a tile's outputs go.
struct tile_place {
  i64 at;
  bool right, below;  // its second column and row exist
};

/// Y of one tile from its products under A from the right: z[(r * 2 + c) * step], r < 4, c < 2.
template <class T>
void transform_outputs(const float* z, i64 step, simd::vec start, T* y, const tile_place& place,
                       i64 cell, i64 line) {
  using namespace simd;
  y += place.at;
  TESSERA_UNROLL
  for (i32 c = 0; c < 2; ++c, z += step, y += cell) {
    if (c == 1 && !place.right) return;
    const vec middle = load(z + 2 * step);
    const vec next = load(z + 4 * step);
    store(y, ((load(z) + middle) + next) + start);
    if (place.below) store(y + line, ((middle - next) + load(z + 6 * step)) + start);
  }
}

/// Row r of B' d or of A dY along a line of cells: one line plus or minus another.
struct line_pair {
  const float* first;
  const float* second;
  simd::vec sign;

  simd::vec operator[](i64 at) const {
    return simd::fma(sign, simd::load(second + at), simd::load(first + at));
  }
};

/// Row r of V of neighbouring tiles from four lines of cells, `cell` apart. Number c of tile t goes
/// to to + t * tile_step + c * step.
inline void transform_input_row(const float* const (&line)[4], i64 cell, i32 tiles, i32 r,
                                float* to, i64 tile_step, i64 step) {
  using namespace simd;
  constexpr i32 first[] = {0, 2, 2, 3};
  constexpr i32 second[] = {2, 1, 1, 1};
  const line_pair lines{line[first[r]], line[second[r]], set(r == 1 ? 1.0f : -1.0f)};
  vec c0 = lines[0];
  vec c1 = lines[cell];
  for (i32 t = 0; t < tiles; ++t, to += tile_step) {
    const vec c2 = lines[(2 * t + 2) * cell];
    const vec c3 = lines[(2 * t + 3) * cell];
    store(to, c0 - c2);
    store(to + step, c1 + c2);
    store(to + 2 * step, c2 - c1);
    store(to + 3 * step, c3 - c1);
    c0 = c2;
    c1 = c3;
  }
}

/// Row r of P of neighbouring tiles from two lines of gradients.
inline void transform_gradient_row(const float* upper, const float* lower, i64 cell, i32 tiles,
                                   i32 r, float* to, i64 tile_step, i64 step) {
  using namespace simd;
  // 0: upper, 1 and 2: upper plus and minus lower, 3: lower
  const line_pair lines{r < 3 ? upper : lower, lower, set(r == 1 ? 1.0f : r == 2 ? -1.0f : 0.0f)};
  for (i32 t = 0; t < tiles; ++t, to += tile_step) {
    const i64 at = 2 * t * cell;
    const vec left = r % 3 == 0 ? load(lines.first + at) : lines[at];
    const vec right = r % 3 == 0 ? load(lines.first + at + cell) : lines[at + cell];
    store(to, left);
    store(to + step, left + right);
    store(to + 2 * step, left - right);
    store(to + 3 * step, right);
  }
}

/// The 9 taps of dg from dU: number (r, c) lies at from + (4 r + c) * step; tap t goes to
/// to + t * to_step.
inline void transform_weight_sums(const float* from, i64 step, float* to, i64 to_step) {
  using namespace simd;
  const vec half_of = set(0.5f);
  vec row[4][3];
  TESSERA_UNROLL
  for (i32 r = 0; r < 4; ++r, from += 4 * step) {
    const vec b = load(from + step) * half_of;
    const vec c = load(from + 2 * step) * half_of;
    row[r][0] = load(from) + (b + c);
    row[r][1] = b - c;
    row[r][2] = (b + c) + load(from + 3 * step);
  }
  TESSERA_UNROLL
  for (i32 c = 0; c < 3; ++c, to += to_step) {
    const vec upper = row[1][c] * half_of;
    const vec lower = row[2][c] * half_of;
    store(to, row[0][c] + (upper + lower));
    store(to + 3 * to_step, upper - lower);
    store(to + 6 * to_step, (upper + lower) + row[3][c]);
  }
}

}  // namespace tessera::host
