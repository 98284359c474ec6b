#pragma once

// The register kernel of matrix products: a tile of rows x vectors of sums over some terms.
//
//   sums[r][c] (+)= sum over k of a[r][k] b[k][c]
//
// Operands are floats, where they lie or packed (gemm_pack.hpp): a number of a meets all columns of
// the tile, a row of b is two vectors side by side.
//
//   registers    tile       chains   loads for its multiply-adds
//   32           8 x 2      16       10 for 16 (8 of them broadcasts)
//   16           6 x 2      12        8 for 12
//
// Two multiply-adds of 4 cycles a cycle need 8 chains. Rows left over take a tile of half the
// height or of 2, columns left over one vector. Rows past the end are the last one again, not
// stored. A sum is one chain of fused multiply-adds in the order of k, which goes on where the
// piece of terms before has left it in memory: the same bits for every cut of the terms, width and
// height.
// Pairs: a number of a, and of a row of b, is two terms of bfloat16 (simd_pairs.hpp), the second of
// which is added first; `depth` and steps count such pairs.
//
// Source of the blocking: Goto, van de Geijn 2008; Van Zee, van de Geijn 2015 (BLIS).

#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

struct gemm_tile_size {
  static constexpr i32 rows = simd::registers == 32 ? 8 : 6;
  static constexpr i32 low_rows = rows / 2;
  static constexpr i32 vectors = 2;
  static constexpr i32 columns = vectors * simd::lanes;
};

/// What a tile works on.
struct gemm_tile {
  const float* a = nullptr;
  i64 a_row = 0;   // from row to row
  i64 a_step = 1;  // from term to term
  const float* b = nullptr;
  i64 b_step = gemm_tile_size::columns;
  i32 depth = 0;  // terms
  float* sums = nullptr;
  i64 sums_row = 0;
  bool asks_ahead = false;  // for the sums of the rows below
  bool add = false;         // go on from what `sums` holds
  bool add_after = false;   // add what `sums` holds to the whole sum
  bool finish = false;      // the last terms: scale, and add the biases
  float scale = 1;
  const float* row_bias = nullptr;     // one number a row, or null
  const float* column_bias = nullptr;  // whole vectors, or null
};

/// `rows` <= Rows rows; `last` lanes of the last vector are stored.
template <bool Pairs, i32 Rows, i32 Vectors>
[[gnu::noinline]] void run_tile(const gemm_tile& t, i32 rows, i32 last) {
  using namespace simd;
  const float* a[Rows];
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) a[r] = t.a + (r < rows ? r : rows - 1) * t.a_row;
  vec sum[Rows][Vectors];
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) sum[r][v] = zero();
  }
  if (t.add) {
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      const float* const from = t.sums + (r < rows ? r : rows - 1) * t.sums_row;
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) {
        sum[r][v] = v + 1 < Vectors ? load(from + v * lanes) : load_partial(from + v * lanes, last);
      }
    }
  }
  if (t.asks_ahead) {
    for (i32 r = 0; r < Rows; ++r) prefetch(t.sums + (Rows + r) * t.sums_row);
  }
  const float* b = t.b;
  const i64 a_step = t.a_step;
  const i64 b_step = t.b_step;
  i64 at = 0;
  for (i32 k = t.depth; k > 0; --k, at += a_step, b += b_step) {
    vec values[Vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) values[v] = load(b + v * lanes);
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      const vec w = set(a[r][at]);
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) sum[r][v] = add_product<Pairs>(w, values[v], sum[r][v]);
    }
  }
  if (t.finish) {
    const vec scale = set(t.scale);
    vec bias[Vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) {
      bias[v] = t.column_bias == nullptr ? zero() : load(t.column_bias + v * lanes);
    }
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      const vec of_row = set(t.row_bias == nullptr ? 0.0f : t.row_bias[r < rows ? r : rows - 1]);
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) sum[r][v] = fma(sum[r][v], scale, bias[v] + of_row);
    }
  }
  if (t.add_after) {
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      const float* const from = t.sums + (r < rows ? r : rows - 1) * t.sums_row;
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) {
        const i32 here = v + 1 < Vectors ? lanes : last;
        sum[r][v] = sum[r][v] + load_partial(from + v * lanes, here);
      }
    }
  }
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    if (r < rows) {
      float* const to = t.sums + r * t.sums_row;
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) {
        if (v + 1 < Vectors || last == lanes) {
          store(to + v * lanes, sum[r][v]);
        } else {
          store_partial(to + v * lanes, sum[r][v], last);
        }
      }
    }
  }
}

/// All `rows` rows over one tile's columns, of which `columns` are stored. Rows of a packed a lie
/// `a_row` apart like any others.
template <bool Pairs>
void run_tiles(gemm_tile t, i32 rows, i32 columns) {
  using size = gemm_tile_size;
  const bool wide = columns > simd::lanes;
  const i32 last = wide ? columns - simd::lanes : columns;
  i32 r = 0;
  const auto advance = [&](i32 by) {
    r += by;
    t.a += by * t.a_row;
    t.sums += by * t.sums_row;
    if (t.row_bias != nullptr) t.row_bias += by;
  };
  for (; rows - r > size::low_rows; advance(size::rows)) {
    const i32 here = rows - r < size::rows ? rows - r : size::rows;
    wide ? run_tile<Pairs, size::rows, 2>(t, here, last)
         : run_tile<Pairs, size::rows, 1>(t, here, last);
  }
  if (r >= rows) return;
  if (rows - r <= 2) {
    return wide ? run_tile<Pairs, 2, 2>(t, rows - r, last)
                : run_tile<Pairs, 2, 1>(t, rows - r, last);
  }
  wide ? run_tile<Pairs, size::low_rows, 2>(t, rows - r, last)
       : run_tile<Pairs, size::low_rows, 1>(t, rows - r, last);
}

}  // namespace tessera::host
