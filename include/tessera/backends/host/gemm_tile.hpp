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
// height or of 2 (with 32 registers also of 9 and 6), columns left over one vector. Rows past the
// end are the last one again, not stored. A sum is one chain of fused multiply-adds in the order of
// k, which goes on where the piece of terms before has left it in memory: the same bits for every
// cut of the terms, width and height. Pairs: a number of a, and of a row of b, is two terms of
// bfloat16 (simd_pairs.hpp), the second of which is added first; `depth` and steps count such
// pairs.
//
// Source of the blocking: Goto, van de Geijn 2008; Van Zee, van de Geijn 2015 (BLIS).

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

struct gemm_tile_size {
  static constexpr i32 rows = machine_blocks.tile_rows;
  static constexpr i32 low_rows = rows / 2;
  static constexpr i32 vectors = 2;
  static constexpr i32 columns = vectors * simd::lanes;
  /// Rows side by side in a panel of a: whole tiles, and a whole vector where that is wider.
  static constexpr i32 panel_rows = simd::lanes > rows ? simd::lanes / rows* rows : rows;
};

/// What a tile works on.
struct gemm_tile {
  const float* a = nullptr;
  i64 a_row = 0;    // from row to row
  i64 a_step = 1;   // from term to term
  i64 a_panel = 0;  // from panel to panel, where rows lie side by side in such; else 0
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

/// Rows of b where they lie, in a panel or in the matrix.
struct columns_in_place {
  const float* b;
  i64 step;

  explicit columns_in_place(const gemm_tile& t) : b(t.b), step(t.b_step) {}
  template <i32 Vectors>
  void next(simd::vec (&values)[Vectors]) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) values[v] = simd::load(b + v * simd::lanes);
    b += step;
  }
};

/// Rows of a matrix of T, which the first tile of rows leaves in the panel for those below: what it
/// reads and stores besides is done in the shadow of its multiply-adds.
template <class T>
struct columns_to_panel {
  static constexpr i32 ahead = 16;  // steps: some 256 cycles, for what comes from the last cache

  const T* from;
  i64 step;
  float* to;

  template <i32 Vectors>
  void next(simd::vec (&values)[Vectors]) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) {
      simd::prefetch(from + ahead * step + v * simd::lanes);
      values[v] = simd::keep(simd::load(from + v * simd::lanes));
      simd::store(to + v * simd::lanes, values[v]);
    }
    from += step;
    to += Vectors * simd::lanes;
  }
};

/// `rows` <= Rows rows; `last` lanes of the last vector are stored.
template <bool Pairs, i32 Rows, i32 Vectors, class Columns>
[[gnu::always_inline]] inline void sum_tile(const gemm_tile& t, Columns columns, i32 rows,
                                            i32 last) {
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
  const i64 a_step = t.a_step;
  i64 at = 0;
  for (i32 k = t.depth; k > 0; --k, at += a_step) {
    vec values[Vectors];
    columns.next(values);
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

template <bool Pairs, i32 Rows, i32 Vectors>
[[gnu::noinline]] void run_tile(const gemm_tile& t, i32 rows, i32 last) {
  sum_tile<Pairs, Rows, Vectors>(t, columns_in_place(t), rows, last);
}

/// A whole tile whose columns it packs: t.b is where to.
template <class T>
[[gnu::noinline]] void run_packing_tile(const gemm_tile& t, const T* from, i64 step, float* to) {
  using size = gemm_tile_size;
  sum_tile<false, size::rows, size::vectors>(t, columns_to_panel<T>{from, step, to}, size::rows,
                                             simd::lanes);
}

/// Walks a tile down the rows of a product.
class tile_rows {
 public:
  i32 row = 0;

  explicit tile_rows(gemm_tile& t) : tile_(t), a_(t.a) {}
  void advance(i32 by) {
    constexpr i32 together = gemm_tile_size::panel_rows;
    row += by;
    tile_.a = a_ + (tile_.a_panel != 0 ? row / together * tile_.a_panel + row % together
                                       : row * tile_.a_row);
    tile_.sums += by * tile_.sums_row;
    if (tile_.row_bias != nullptr) tile_.row_bias += by;
  }

 private:
  gemm_tile& tile_;
  const float* a_;
};

/// All `rows` rows over one tile's columns, of which `columns` are stored, from r's row on.
template <bool Pairs>
void run_tiles(const gemm_tile& t, tile_rows& r, i32 rows, i32 columns) {
  using size = gemm_tile_size;
  const bool wide = columns > simd::lanes;
  const i32 last = wide ? columns - simd::lanes : columns;
  const auto run = [&]<i32 Rows>(i32 here) {
    wide ? run_tile<Pairs, Rows, 2>(t, here, last) : run_tile<Pairs, Rows, 1>(t, here, last);
    r.advance(Rows);
  };
  // With 32 registers one row more fits (it would lie in the next panel), and 6 of 8 are worth a
  // tile.
  constexpr bool more = simd::registers == 32;
  for (; rows - r.row > size::low_rows;) {
    const i32 left = rows - r.row;
    if constexpr (more) {
      if (left == size::rows + 1 && t.a_panel == 0)
        return run.template operator()<size::rows + 1>(left);
      if (left < size::rows - 1) return run.template operator()<size::rows - 2>(left);
    }
    run.template operator()<size::rows>(left < size::rows ? left : size::rows);
  }
  const i32 left = rows - r.row;
  if (left > 2) return run.template operator()<size::low_rows>(left);
  if (left > 0) run.template operator()<2>(left);
}

}  // namespace tessera::host
