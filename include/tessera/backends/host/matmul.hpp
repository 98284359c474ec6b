#pragma once

// matmul on the host: y = scale a b for many matrices with any strides (ops/matmul.hpp).
//
//   samples innermost   vectors run over samples (matmul_samples.hpp); else
//   blocks              an output block of up to 64 rows x 8 vectors of columns is one task. For
//                       128 terms of the sum at a time the columns of b are packed into vectors
//                       side by side, and rows of a, where they do not lie along the sum already,
//                       into floats; a tile of 8 rows x 2 vectors then stays in registers:
//
//                         b packed [tile][k][2 vectors]       a [row][k]
//                         8 x 2 sums: 16 multiply-adds for 2 loads and 8 broadcasts
//
// Without packing b a sequence (time, batch, features) would be read with strides of whole batches,
// which share one set of the cache. Sums run in the order of k, in every column alike: results
// depend neither on the vector width nor on the number of threads. Where y lies column by column
// the transposed product is computed.
// Source of the blocking: Goto, van de Geijn 2008.

#include <tessera/backends/host/matmul_samples.hpp>
#include <utility>

namespace tessera::host {

/// Sizes of the blocks.
struct product_tile {
  static constexpr i32 rows = simd::registers == 32 ? 8 : 6;
  static constexpr i32 vectors = 2;
  static constexpr i32 columns = vectors * simd::lanes;
  static constexpr i32 depth = 128;  // of a piece of the sum
  static constexpr i32 block_rows = 8 * rows;
  static constexpr i32 tiles = 4;  // of columns in a block
  static constexpr i32 block_columns = tiles * columns;
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

/// The product of one task: rows [row, row + rows) and columns [column, column + columns) of the
/// matrices of one sample and head, with those that are added to them.
template <class T>
class product_of_blocks {
 public:
  product_of_blocks(const T* a, const T* b, T* y, const matmul_sizes& n, float scale)
      : a_(a), b_(b), y_(y), n_(n), scale_(scale) {}

  void operator()(i64 sample, i64 head, i32 row, i32 rows, i32 column, i32 columns) {
    bool add = false;
    for (i64 s = sample; s < sample + n_.summed_samples(); ++s) {
      for (i64 h = head; h < head + n_.summed_heads(); ++h) {
        const T* const a = a_ + s * n_.a[0] + h * n_.a[1] + row * i64{n_.a[2]};
        const T* const b = b_ + s * n_.b[0] + h * n_.b[1] + column * i64{n_.b[3]};
        for (i32 k = 0; k < n_.inner; k += product_tile::depth) {
          const i32 depth = n_.inner - k < product_tile::depth ? n_.inner - k : product_tile::depth;
          add_piece(a + k * i64{n_.a[3]}, b + k * i64{n_.b[2]}, rows, columns, depth, add);
          add = true;
        }
      }
    }
    put(y_ + sample * n_.y[0] + head * n_.y[1] + row * i64{n_.y[2]} + column * i64{n_.y[3]}, rows,
        columns);
  }

 private:
  static constexpr i64 sums_row = product_tile::block_columns;

  void add_piece(const T* a, const T* b, i32 rows, i32 columns, i32 depth, bool add) {
    constexpr i32 wide = product_tile::columns;
    for (i32 tile = 0; tile * wide < columns; ++tile) {
      const i32 here = columns - tile * wide < wide ? columns - tile * wide : wide;
      pack(b + tile * wide * i64{n_.b[3]}, depth, n_.b[2], here, n_.b[3],
           b_panel_ + tile * product_tile::depth * wide, wide, wide);
    }
    const float* first = nullptr;
    i64 row_step = 0;
    i64 k_step = 0;
    bool in_place = false;
    if constexpr (sizeof(T) == 4) in_place = n_.a[3] == 1;
    if (in_place) {
      first = reinterpret_cast<const float*>(a);
      row_step = n_.a[2];
      k_step = 1;
    } else if (n_.a[3] == 1) {
      pack(a, rows, n_.a[2], depth, 1, a_panel_, product_tile::depth, depth);
      first = a_panel_;
      row_step = product_tile::depth;
      k_step = 1;
    } else {
      pack(a, depth, n_.a[3], rows, n_.a[2], a_panel_, product_tile::block_rows, rows);
      first = a_panel_;
      row_step = 1;
      k_step = product_tile::block_rows;
    }
    for (i32 tile = 0; tile * wide < columns; ++tile) {
      for (i32 r = 0; r < rows; r += product_tile::rows) {
        const float* from[product_tile::rows];
        for (i32 i = 0; i < product_tile::rows; ++i) {  // rows past the end: the last again
          from[i] = first + (r + i < rows ? r + i : rows - 1) * row_step;
        }
        const auto run = add ? &multiply_tile<true> : &multiply_tile<false>;
        run(from, k_step, b_panel_ + tile * product_tile::depth * wide, depth,
            sums_ + r * sums_row + tile * wide, sums_row);
      }
    }
  }

  void put(T* y, i32 rows, i32 columns) const {
    using namespace simd;
    const vec by = set(scale_);
    for (i32 r = 0; r < rows; ++r) {
      const float* const from = sums_ + r * sums_row;
      T* const to = y + r * i64{n_.y[2]};
      if (n_.y[3] != 1) {
        for (i32 i = 0; i < columns; ++i) {
          if constexpr (sizeof(T) == 4) {
            to[i * i64{n_.y[3]}] = from[i] * scale_;
          } else {
            to[i * i64{n_.y[3]}] = to_half(from[i] * scale_);
          }
        }
        continue;
      }
      i32 i = 0;
      for (; i + lanes <= columns; i += lanes) store(to + i, load(from + i) * by);
      if (i < columns) store_partial(to + i, load(from + i) * by, columns - i);
    }
  }

  const T* a_;
  const T* b_;
  T* y_;
  matmul_sizes n_;
  float scale_;
  alignas(64) float b_panel_[product_tile::depth * product_tile::block_columns];
  alignas(64) float a_panel_[product_tile::depth * product_tile::block_rows];
  alignas(64) float sums_[product_tile::block_rows * product_tile::block_columns];
};

template <class T>
void matmul_blocks(const call& c) {
  auto n = matmul_sizes::of(*c.sizes);
  const T* a = c.input<T>(0);
  const T* b = c.input<T>(1);
  if (n.y[3] != 1 && n.y[2] == 1) {  // y' = b' a'
    std::swap(a, b);
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
  const i32 threads = n.macs() < 65536 ? 1 : c.step->threads;
  const i32 pieces = threads > 1 ? 4 * threads < tasks ? 4 * threads : tasks : 1;
  parallel_for(threads, pieces, [&](i32 piece) {
    product_of_blocks<T> product(a, b, c.output<T>(0), n, c.attr->product.scale);
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

template <class T, bool BatchLast>
void matmul(const call& c) {
  if constexpr (BatchLast) {
    matmul_samples<T>(c);
  } else {
    matmul_blocks<T>(c);
  }
}

}  // namespace tessera::host
