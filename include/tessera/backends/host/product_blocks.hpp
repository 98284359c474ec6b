#pragma once

// Products of matrices with any strides, in blocks: what matmul and, of many rows, dense run on.
//
//   y[r][c] = scale sum over k of a[r][k] b[k][c] (+ bias[c]),   for many samples and heads
//
// An output block of 8 tiles of rows x 4 tiles of columns is one task. The columns of b are packed
// into vectors side by side, in pieces of 128 terms of the sum, and rows of a, where they do not
// lie along the sum already, into floats; a tile of 8 rows x 2 vectors then stays in registers:
//
//   b packed [piece][tile][k][2 vectors]       a [row][k]
//   8 x 2 sums: 16 multiply-adds for 2 loads and 8 broadcasts
//
// Tasks that follow one another share their columns: where all of the sum fits (512 terms of 128
// columns), b is packed once for all of them. Without packing, a sequence (time, batch, features)
// would be read with strides of whole batches, which share one set of the cache. Sums run in the
// order of k, in every column alike: results depend neither on the vector width nor on the number
// of threads. Where y lies column by column the transposed product is computed.
//
// Cost: 61 % of the multiply-adds that the same core does without loads for the 64 x 32 x 64
// products of attention's scores, heads read from sequences, 65 % for their gradients (g++ 12 -O2,
// AVX-512, one thread of a busy core).
//
// Source of the blocking: Goto, van de Geijn 2008.

#include <tessera/backends/host/parallel.hpp>
#include <tessera/backends/host/product.hpp>  // row_blocks
#include <tessera/backends/host/simd.hpp>
#include <tessera/ops/sizes.hpp>
#include <utility>

namespace tessera::host {

using simd::store_number;

/// Sizes of the blocks.
struct product_tile {
  static constexpr i32 rows = simd::registers == 32 ? 8 : 6;
  static constexpr i32 vectors = 2;
  static constexpr i32 columns = vectors * simd::lanes;
  static constexpr i32 depth = 128;  // of a piece of the sum
  static constexpr i32 block_rows = 8 * rows;
  static constexpr i32 tiles = 4;  // of columns in a block
  static constexpr i32 block_columns = tiles * columns;
  static constexpr i32 pieces = 4;  // of the sum that a panel of packed columns holds
};

/// to[o][i] = from[o * outer_step + i * inner_step] as floats, for i < inner; rows of `to` are
/// `to_step` floats, and what is behind `inner` up to `filled` is zeros.
template <class T>
void pack(const T* from, i32 outer, i64 outer_step, i32 inner, i64 inner_step, float* to,
          i64 to_step, i32 filled) {
  if (inner_step == 1) {
    for (i32 o = 0; o < outer; ++o) {
      const T* const row = from + o * outer_step;
      float* const t = to + o * to_step;
      i32 i = 0;
      for (; i + simd::lanes <= inner; i += simd::lanes) simd::store(t + i, simd::load(row + i));
      if (i < inner) {
        const i32 rest = inner - i;
        simd::store_partial(t + i, simd::load_partial(row + i, rest), rest);
      }
      for (i = inner; i < filled; ++i) t[i] = 0;
    }
    return;
  }
  i32 done = 0;  // columns of `to` that squares of 8 have filled
  if (outer_step == 1) {
    for (; done + 8 <= inner; done += 8) {
      i32 o = 0;
      for (; o + 8 <= outer; o += 8) {
        simd::transpose_8x8(from + o + done * inner_step, inner_step, to + o * to_step + done,
                            to_step);
      }
      for (; o < outer; ++o) {
        for (i32 i = done; i < done + 8; ++i) {
          to[o * to_step + i] = simd::as_float(from[o + i * inner_step]);
        }
      }
    }
  }
  for (i32 o = 0; o < outer; ++o) {
    for (i32 i = done; i < inner; ++i) {
      to[o * to_step + i] = simd::as_float(from[o * outer_step + i * inner_step]);
    }
    for (i32 i = inner; i < filled; ++i) to[o * to_step + i] = 0;
  }
}

/// sums[r][column] (+)= the products of `depth` terms, for a tile.
template <bool Add>
[[gnu::noinline]] void multiply_tile(const float* const (&a)[product_tile::rows], i64 a_step,
                                     const float* b, i32 depth, float* sums, i64 sums_row) {
  using namespace simd;
  constexpr i32 rows = product_tile::rows;
  constexpr i32 vectors = product_tile::vectors;
  vec sum[rows][vectors];
  TESSERA_UNROLL
  for (i32 r = 0; r < rows; ++r) {
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) {
      sum[r][v] = Add ? load(sums + r * sums_row + v * lanes) : zero();
    }
  }
  i64 at = 0;
  for (i32 k = depth; k > 0; --k, at += a_step, b += product_tile::columns) {
    vec values[vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) values[v] = load(b + v * lanes);
    TESSERA_UNROLL
    for (i32 r = 0; r < rows; ++r) {
      const vec w = set(a[r][at]);
      TESSERA_UNROLL
      for (i32 v = 0; v < vectors; ++v) sum[r][v] = fma(w, values[v], sum[r][v]);
    }
  }
  TESSERA_UNROLL
  for (i32 r = 0; r < rows; ++r) {
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) store(sums + r * sums_row + v * lanes, sum[r][v]);
  }
}

/// What is multiplied.
template <class T>
struct block_operands {
  const T* a = nullptr;
  const T* b = nullptr;
  const T* bias = nullptr;  // one number a column
  T* y = nullptr;
  matmul_sizes n{};
  float scale = 1;
};

/// Block after block, by one thread.
template <class T>
class block_product {
 public:
  explicit block_product(const block_operands<T>& p) : p_(p), n_(p.n) {}

  /// Rows [row, row + rows) and columns [column, column + columns) of the matrices of one sample
  /// and head, with those that are added to them.
  void operator()(i64 sample, i64 head, i32 row, i32 rows, i32 column, i32 columns) {
    const bool kept = sample == sample_ && head == head_ && column == column_;
    const bool keeps = n_.inner <= product_tile::pieces * product_tile::depth &&
                       n_.summed_samples() * n_.summed_heads() == 1;
    bool add = false;
    for (i64 s = sample; s < sample + n_.summed_samples(); ++s) {
      for (i64 h = head; h < head + n_.summed_heads(); ++h) {
        const T* const a = p_.a + s * n_.a[0] + h * n_.a[1] + row * i64{n_.a[2]};
        const T* const b = p_.b + s * n_.b[0] + h * n_.b[1] + column * i64{n_.b[3]};
        for (i32 k = 0; k < n_.inner; k += product_tile::depth) {
          const i32 depth = n_.inner - k < product_tile::depth ? n_.inner - k : product_tile::depth;
          float* const panel = b_panel_ + (keeps ? i64{k} * product_tile::block_columns : 0);
          if (!keeps || !kept) pack_columns(b + k * i64{n_.b[2]}, columns, depth, panel);
          add_piece(a + k * i64{n_.a[3]}, panel, rows, columns, depth, add);
          add = true;
        }
      }
    }
    if (keeps) sample_ = sample, head_ = head, column_ = column;
    put(p_.y + sample * n_.y[0] + head * n_.y[1] + row * i64{n_.y[2]} + column * i64{n_.y[3]}, rows,
        column, columns);
  }

 private:
  static constexpr i64 sums_row = product_tile::block_columns;
  static constexpr i32 wide = product_tile::columns;

  void pack_columns(const T* b, i32 columns, i32 depth, float* panel) const {
    for (i32 tile = 0; tile * wide < columns; ++tile) {
      const i32 here = columns - tile * wide < wide ? columns - tile * wide : wide;
      pack(b + tile * wide * i64{n_.b[3]}, depth, n_.b[2], here, n_.b[3],
           panel + tile * product_tile::depth * wide, wide, wide);
    }
  }

  void add_piece(const T* a, const float* panel, i32 rows, i32 columns, i32 depth, bool add) {
    const float* first = a_panel_;
    i64 row_step = 1;
    i64 k_step = 1;
    bool in_place = false;
    if constexpr (sizeof(T) == 4) {
      in_place = n_.a[3] == 1;
      if (in_place) first = a;
    }
    if (in_place) {
      row_step = n_.a[2];
    } else if (n_.a[3] == 1) {
      pack(a, rows, n_.a[2], depth, 1, a_panel_, product_tile::depth, depth);
      row_step = product_tile::depth;
    } else {
      pack(a, depth, n_.a[3], rows, n_.a[2], a_panel_, product_tile::block_rows, rows);
      k_step = product_tile::block_rows;
    }
    for (i32 tile = 0; tile * wide < columns; ++tile) {
      for (i32 r = 0; r < rows; r += product_tile::rows) {
        const float* from[product_tile::rows];
        for (i32 i = 0; i < product_tile::rows; ++i) {  // rows past the end: the last again
          from[i] = first + (r + i < rows ? r + i : rows - 1) * row_step;
        }
        const auto run = add ? &multiply_tile<true> : &multiply_tile<false>;
        run(from, k_step, panel + tile * product_tile::depth * wide, depth,
            sums_ + r * sums_row + tile * wide, sums_row);
      }
    }
  }

  void put(T* y, i32 rows, i32 column, i32 columns) const {
    using namespace simd;
    const vec by = set(p_.scale);
    for (i32 r = 0; r < rows; ++r) {
      const float* const from = sums_ + r * sums_row;
      T* const to = y + r * i64{n_.y[2]};
      if (n_.y[3] != 1) {
        for (i32 i = 0; i < columns; ++i) {
          const float start = p_.bias == nullptr ? 0.0f : as_float(p_.bias[column + i]);
          store_number(to + i * i64{n_.y[3]}, from[i] * p_.scale + start);
        }
        continue;
      }
      for (i32 i = 0; i < columns; i += lanes) {
        const i32 here = columns - i < lanes ? columns - i : lanes;
        vec value = load(from + i) * by;
        if (p_.bias != nullptr) value = value + load_partial(p_.bias + column + i, here);
        if (here == lanes) {
          store(to + i, value);
        } else {
          store_partial(to + i, value, here);
        }
      }
    }
  }

  block_operands<T> p_;
  matmul_sizes n_;
  i64 sample_ = -1;  // whose columns the panel holds
  i64 head_ = -1;
  i32 column_ = -1;
  alignas(64) float b_panel_[i64{product_tile::pieces} * product_tile::depth *
                             product_tile::block_columns];
  alignas(64) float a_panel_[product_tile::depth * product_tile::block_rows];
  alignas(64) float sums_[product_tile::block_rows * product_tile::block_columns];
};

/// The whole product by up to `threads` threads.
template <class T>
void multiply_blocks(i32 threads, block_operands<T> p) {
  matmul_sizes& n = p.n;
  if (n.y[3] != 1 && n.y[2] == 1 && p.bias == nullptr) {  // y' = b' a'
    std::swap(p.a, p.b);
    std::swap(n.rows, n.columns);
    std::swap(n.a, n.b);
    std::swap(n.a[2], n.a[3]);
    std::swap(n.b[2], n.b[3]);
    std::swap(n.y[2], n.y[3]);
  }
  const row_blocks rows(n.rows, product_tile::block_rows);
  const i32 column_blocks =
      (n.columns + product_tile::block_columns - 1) / product_tile::block_columns;
  const i32 heads = n.heads / n.summed_heads();
  const i32 of_head = rows.count * column_blocks;
  const i32 tasks = n.groups() * of_head;
  if (n.macs() < 65536) threads = 1;
  const i32 pieces = threads > 1 ? 4 * threads < tasks ? 4 * threads : tasks : 1;
  parallel_for(threads, pieces, [&](i32 piece) {
    block_product<T> product(p);
    const i32 last = static_cast<i32>(i64{tasks} * (piece + 1) / pieces);
    for (i32 task = static_cast<i32>(i64{tasks} * piece / pieces); task < last; ++task) {
      const i32 group = task / of_head;
      const i32 row = task % of_head % rows.count;
      const i32 column = task % of_head / rows.count * product_tile::block_columns;
      const i32 left = n.columns - column;
      product(group / heads, group % heads, rows.first(row), rows.rows(row), column,
              left < product_tile::block_columns ? left : product_tile::block_columns);
    }
  });
}

}  // namespace tessera::host
