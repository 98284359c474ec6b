#pragma once

// A product of matrices in blocks, by one thread: packed panels and the tiles of gemm_tile.hpp.
//
//   columns of y, nc at a time               b: pieces of kc terms of nc columns, packed (L2),
//     terms, kc at a time                       tile after tile of 2 vectors
//       rows, mc at a time                   a: read where it lies along the terms, else packed
//         tiles of 8 x 2 vectors               in panels of 16 rows, term after term
//
// Floats with their columns side by side are summed up where y lies; everything else in a buffer of
// floats that is narrowed, transposed or handed to whoever takes it (the update of a weight) block
// by block. Where few rows meet b, or it is small, it is read in place; where its columns lie side
// by side, the first tile of rows packs what it reads. Panels live in `workspace`.
//
// Panels of bfloat16 hold pairs of terms where the machine multiplies them (simd_pairs.hpp).
//
// Source of the blocking: Goto, van de Geijn 2008.

#include <tessera/backends/host/gemm_pack.hpp>
#include <tessera/backends/host/gemm_tile.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Where blocks of y go that are not to be stored as they are.
struct gemm_taker {
  /// Rows [row, row + rows) and columns [column, column + columns), rows `step` floats apart.
  void (*take)(void* context, float* sums, i64 step, i32 row, i32 rows, i32 column,
               i32 columns) = nullptr;
  void* context = nullptr;
};

/// What is multiplied.
template <class T>
struct gemm_operands {
  const T* a = nullptr;
  const T* b = nullptr;
  const T* bias = nullptr;  // one number a column, or a row
  bool bias_of_rows = false;
  T* y = nullptr;
  gemm_taker taker{};  // in place of y
  /// Samples are slices: the product of each is rounded to T, then added to the sum, rounded to T.
  bool slice_by_slice = false;
  bool one_chain = false;  // every sum: no dot products, whose bits differ
  matmul_sizes n{};
  float scale = 1;
};

/// Sizes of blocks and of their places in the workspace.
struct gemm_block {
  static constexpr i32 depth = machine_blocks.depth;      // kc at most, half where a is packed
  static constexpr i32 columns = machine_blocks.columns;  // nc at most
  static constexpr i32 rows = machine_blocks.rows;        // mc at most
  static constexpr i64 b_floats = machine_blocks.columns_floats;
  static constexpr i64 a_floats = machine_blocks.rows_floats;
  static constexpr i64 sums_floats = machine_blocks.sums_floats;

  /// From row to row of packed a: an odd number of lines, so that the rows of a tile lie in
  /// different sets of the cache.
  static constexpr i64 a_step(i64 steps) { return (((steps + 15) / 16) | 1) * 16; }
};

/// Whether b is read where it lies: few rows meet it, or it stays in L1 as it is.
template <class T>
bool reads_columns_in_place(const matmul_sizes& n, i32 rows) {
  if (sizeof(T) != sizeof(float) || n.b[3] != 1) return false;
  return rows <= 4 * gemm_tile_size::rows || i64{n.inner} * n.b[2] <= 4096 ||
         n.b[2] <= gemm_tile_size::columns;
}

/// Whether a is read where it lies: along its rows, or along its columns for a tile or two of y.
template <class T>
bool reads_rows_in_place(const matmul_sizes& n, i32 columns) {
  if (sizeof(T) != sizeof(float)) return false;
  return n.a[3] == 1 || (n.a[2] == 1 && columns <= 2 * gemm_tile_size::columns);
}

/// One thread's part: rows and columns of some matrices.
template <class T>
class gemm_part {
  using size = gemm_tile_size;

 public:
  explicit gemm_part(const gemm_operands<T>& p) : p_(p), n_(p.n) {
    // Where rows of a are packed for every block of columns, these are to be wide.
    const i32 most =
        reads_rows_in_place<T>(n_, n_.columns) ? gemm_block::depth : gemm_block::depth / 2;
    const i32 cuts = (n_.inner + most - 1) / most;
    cuts_ = cuts;
    depth_ = cuts > 0 ? (n_.inner + cuts - 1) / cuts : 0;
    steps_ = steps_of<T>(depth_);
    depth_ = steps_ * terms_of_step<T>;
    a_row_ = gemm_block::a_step(steps_);
    pieces_ = cuts * n_.summed_samples() * n_.summed_heads();
    buffered_ = sizeof(T) != sizeof(float) || p_.taker.take != nullptr || n_.y[3] != 1 ||
                (p_.slice_by_slice && cuts_ > 1);
    adds_slices_ = buffered_ && p_.slice_by_slice && (cuts_ > 1 || sizeof(T) != sizeof(float));
  }

  void operator()(i64 sample, i64 head, i32 row, i32 rows, i32 column, i32 columns) {
    if (rows <= 0 || columns <= 0) return;
    sample_ = sample;
    head_ = head;
    b_in_place_ = reads_columns_in_place<T>(n_, rows);
    a_in_place_ = reads_rows_in_place<T>(n_, columns);
    // Where the buffer holds sums of all terms, b is packed anew for every block of rows, unless
    // all of its terms fit.
    const bool deep = buffered_ && pieces_ > 1;  // else sums of a block are whole at once
    constexpr i32 tile = gemm_tile_size::columns;
    i64 wide = gemm_block::b_floats / (i64{steps_} * (deep ? pieces_ : 1)) / tile * tile;
    if (wide > 4 * tile) wide = wide / (4 * tile) * (4 * tile);
    const bool keeps = !deep || wide >= 2 * tile;
    if (!keeps) wide = 4 * tile;
    if (wide > gemm_block::columns) wide = gemm_block::columns;
    const i32 padded = (columns + simd::lanes - 1) / simd::lanes * simd::lanes;
    if (wide > padded) wide = padded;
    i64 high = gemm_block::rows;
    constexpr i32 step = gemm_tile_size::panel_rows;
    constexpr i64 a_room = gemm_block::a_floats - simd::lanes;  // whole vectors are stored
    if (!a_in_place_ && a_room / a_row_ < high) high = a_room / a_row_;
    const i64 room = adds_slices_ ? gemm_block::sums_floats / 2 : gemm_block::sums_floats;
    if (buffered_ && room / wide < high) high = room / wide;
    high = high / step * step;
    for (i32 c = 0; c < columns; c += static_cast<i32>(wide)) {
      const i32 here = columns - c < wide ? columns - c : static_cast<i32>(wide);
      block_columns(row, rows, static_cast<i32>(high), column + c, here, deep, keeps);
    }
  }

 private:
  void block_columns(i32 row, i32 rows, i32 high, i32 column, i32 columns, bool deep, bool keeps) {
    alignas(64) float bias[gemm_block::columns];
    if (p_.bias != nullptr && !p_.bias_of_rows) copy_floats(p_.bias + column, bias, columns);
    const i32 together = deep ? high : rows;  // rows that go through all terms
    for (i32 top = 0; top < rows; top += together) {
      const i32 bottom = rows - top < together ? rows : top + together;
      for (i32 piece = 0; piece < pieces_; ++piece) {
        const i32 cut = piece % cuts_;
        const i64 h = head_ + piece / cuts_ % n_.summed_heads();
        const i64 s = sample_ + piece / cuts_ / n_.summed_heads();
        const i64 k = i64{cut} * depth_;
        const i32 depth = n_.inner - k < depth_ ? static_cast<i32>(n_.inner - k) : depth_;
        const T* const a = p_.a + s * n_.a[0] + h * n_.a[1] + k * n_.a[3];
        const T* const b = p_.b + s * n_.b[0] + h * n_.b[1] + k * n_.b[2] + column * i64{n_.b[3]};
        float* const panel = panels() + (deep && keeps ? piece * i64{steps_} * padded(columns) : 0);
        // The first tiles of rows pack the columns that they go through, where these are read in
        // their order.
        const bool packs = (top == 0 || !keeps) && !b_in_place_;
        const i32 first_rows = bottom - top < high ? bottom - top : high;
        packs_in_tiles_ = packs && !in_pairs<T> && n_.b[3] == 1 && first_rows >= size::rows;
        if (packs || b_in_place_) {
          const i32 done = packs_in_tiles_ ? columns / size::columns * size::columns : 0;
          pack_columns(b, depth, done, columns, panel);
        }
        for (i32 r = top; r < bottom; r += high) {
          const i32 here = bottom - r < high ? bottom - r : high;
          add_piece(a, b, panel, row + r, here, column, columns, depth, piece,
                    p_.bias == nullptr || p_.bias_of_rows ? nullptr : bias);
          packs_in_tiles_ = false;
          if (adds_slices_ && cut + 1 == cuts_) {
            add_slice(piece + 1 == cuts_, here * buffer_row(columns));
          }
          if (buffered_ && piece + 1 == pieces_) deliver(row + r, here, column, columns);
        }
      }
    }
  }

  static constexpr i32 padded(i32 columns) {
    return (columns + simd::lanes - 1) / simd::lanes * simd::lanes;
  }
  /// From row to row in the buffer: whole rows of y lie one after the other, for one update of all.
  i64 buffer_row(i32 columns) const {
    return p_.taker.take != nullptr && columns == n_.columns ? columns : padded(columns);
  }
  static float* panels() { return workspace::floats(); }
  static float* rows_panel() { return workspace::floats() + gemm_block::b_floats; }
  static float* buffer() {
    return workspace::floats() + gemm_block::b_floats + gemm_block::a_floats;
  }

  /// Columns [first, columns): all that are not read in place, and of these the last ones where
  /// they do not fill vectors.
  void pack_columns(const T* b, i32 depth, i32 first, i32 columns, float* panel) const {
    constexpr i32 wide = size::columns;
    for (i32 c = first; c < columns; c += wide) {
      const i32 here = columns - c < wide ? columns - c : wide;
      const i32 width = here > simd::lanes ? wide : simd::lanes;
      const T* const from = b + c * i64{n_.b[3]};
      float* const to = panel + i64{c} * steps_of<T>(depth);
      if constexpr (in_pairs<T>) {
        pack_pairs(from, depth, n_.b[2], here, n_.b[3], to, width, width);
      } else if (!(b_in_place_ && here == width)) {
        pack(from, depth, n_.b[2], here, n_.b[3], to, width, width);
      }
    }
  }

  /// Rows of a: each on its own, or, where they lie across the terms, in panels.
  void pack_rows(const T* from, i32 rows, i32 depth) const {
    float* to = rows_panel();
    if (n_.a[3] == 1) {
      for (i32 r = 0; r < rows; ++r, from += n_.a[2], to += a_row_) {
        if constexpr (in_pairs<T>) {
          copy_pairs(from, depth, to);
        } else {
          copy_floats(from, to, depth);
        }
      }
      return;
    }
    pack_panels(from, rows, n_.a[2], depth, n_.a[3], to);
  }

  void add_piece(const T* a, const T* b, float* panel, i32 row, i32 rows, i32 column, i32 columns,
                 i32 depth, i32 piece, const float* column_bias) {
    constexpr i32 wide = gemm_tile_size::columns;
    gemm_tile t;
    const T* const from = a + row * i64{n_.a[2]};
    const i32 steps = steps_of<T>(depth);
    if (a_in_place_) {
      if constexpr (sizeof(T) == sizeof(float)) t.a = from;
      t.a_row = n_.a[2];
      t.a_step = n_.a[3];
    } else {
      t.a = rows_panel();
      const bool along = n_.a[3] == 1;
      t.a_row = along ? a_row_ : 1;
      t.a_step = along ? 1 : gemm_tile_size::panel_rows;
      t.a_panel = along ? 0 : i64{gemm_tile_size::panel_rows} * steps;
      pack_rows(from, rows, depth);
    }
    t.depth = steps;
    t.add = (p_.slice_by_slice ? piece % cuts_ : piece) > 0;
    t.add_after = p_.slice_by_slice && !adds_slices_ && piece > 0;
    const bool plain = p_.scale == 1 && p_.bias == nullptr && !p_.slice_by_slice;
    t.finish = !plain && (piece + 1 == pieces_ || (piece == 0 && p_.slice_by_slice));  // 0 + first
    t.scale = p_.scale;
    alignas(64) float row_bias[gemm_block::rows];
    if (t.finish && p_.bias != nullptr && p_.bias_of_rows) {
      copy_floats(p_.bias + row, row_bias, rows);
      t.row_bias = row_bias;
    }
    float* sums = buffer();
    t.sums_row = buffer_row(columns);
    if constexpr (sizeof(T) == sizeof(float)) {
      if (!buffered_) {
        sums = p_.y + sample_ * n_.y[0] + head_ * n_.y[1] + row * i64{n_.y[2]} + column;
        t.sums_row = n_.y[2];
      }
    }
    const float* const first_row = t.a;
    const float* const first_bias = t.row_bias;
    for (i32 c = 0; c < columns; c += wide) {
      const i32 here = columns - c < wide ? columns - c : wide;
      t.a = first_row;
      t.row_bias = first_bias;
      t.b_step = here > simd::lanes ? wide : simd::lanes;
      t.b = panel + i64{c} * steps;
      if constexpr (sizeof(T) == sizeof(float)) {
        if (b_in_place_ && here == t.b_step) {
          t.b = b + c;
          t.b_step = n_.b[2];
        }
      }
      t.sums = sums + c;
      t.asks_ahead = !buffered_;
      t.column_bias = column_bias == nullptr ? nullptr : column_bias + c;
      tile_rows r(t);
      if constexpr (!in_pairs<T>) {
        if (packs_in_tiles_ && here == wide) {
          run_packing_tile(t, b + c, n_.b[2], panel + i64{c} * steps);
          r.advance(gemm_tile_size::rows);
        }
      }
      run_tiles<in_pairs<T>>(t, r, rows, here);
    }
  }

  static float* totals() { return buffer() + gemm_block::sums_floats / 2; }

  /// Adds what the buffer holds of a slice to the sum of those before.
  static void add_slice(bool first, i64 n) {
    using namespace simd;
    const auto stored = [](vec x) { return rounded<T>(x); };
    float* const total = totals();
    const float* const slice = buffer();
    for (i64 i = 0; i < n; i += lanes) {
      const vec sum = first ? zero() : load(total + i);
      store(total + i, stored(sum + stored(load(slice + i))));
    }
  }

  void deliver(i32 row, i32 rows, i32 column, i32 columns) {
    const i64 step = buffer_row(columns);
    float* const sums = adds_slices_ ? totals() : buffer();
    if (p_.taker.take != nullptr) {
      return p_.taker.take(p_.taker.context, sums, step, row, rows, column, columns);
    }
    T* const y =
        p_.y + sample_ * n_.y[0] + head_ * n_.y[1] + row * i64{n_.y[2]} + column * i64{n_.y[3]};
    if (n_.y[3] == 1) {
      for (i32 r = 0; r < rows; ++r) store_row(sums + r * step, y + r * i64{n_.y[2]}, columns);
      return;
    }
    if (n_.y[2] != 1) {
      for (i32 r = 0; r < rows; ++r) {
        for (i32 c = 0; c < columns; ++c) {
          store_number(y + r * i64{n_.y[2]} + c * i64{n_.y[3]}, sums[r * step + c]);
        }
      }
      return;
    }
    // Columns lie along y: squares of 8 through a strip of floats.
    constexpr i32 strip = 64;
    alignas(64) float turned[8 * strip];
    for (i32 r = 0; r < rows; r += strip) {
      const i32 length = rows - r < strip ? rows - r : strip;
      for (i32 c = 0; c < columns; c += 8) {
        const i32 width = columns - c < 8 ? columns - c : 8;
        for (i32 i = 0; i < length; i += 8) {  // the buffer has whole tiles of rows
          simd::transpose_8x8(sums + (r + i) * step + c, step, turned + i, strip);
        }
        for (i32 w = 0; w < width; ++w) {
          store_row(turned + w * strip, y + (c + w) * i64{n_.y[3]} + r, length);
        }
      }
    }
  }

  static void store_row(const float* from, T* to, i32 n) {
    i32 i = 0;
    for (; i + simd::lanes <= n; i += simd::lanes) simd::store(to + i, simd::load(from + i));
    if (i < n) simd::store_partial(to + i, simd::load(from + i), n - i);
  }

  const gemm_operands<T>& p_;
  const matmul_sizes& n_;
  i32 cuts_ = 0;    // of one inner sum
  i32 depth_ = 0;   // of a cut, in terms
  i32 steps_ = 0;   // and in steps of a tile: pairs of bfloat16
  i64 a_row_ = 0;   // from row to row of packed a
  i32 pieces_ = 0;  // of all that is summed
  bool buffered_ = false;
  bool adds_slices_ = false;  // in a pass of its own
  bool a_in_place_ = false;
  bool b_in_place_ = false;
  bool packs_in_tiles_ = false;
  i64 sample_ = 0;
  i64 head_ = 0;
};

}  // namespace tessera::host
