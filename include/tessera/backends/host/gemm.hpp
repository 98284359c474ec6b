#pragma once

// Products of matrices with any strides and storage type: dense with its gradients, and matmul.
//
//   y[r][c] = scale sum over k of a[r][k] b[k][c] (+ bias)     for many samples and heads
//
//   blocks   panels packed once, register tiles of 8 x 2 vectors    gemm_block.hpp, gemm_tile.hpp
//   dots     terms side by side in both operands, few outputs       gemm_dots.hpp
//   row      one row times a matrix that lies in rows               gemm_row.hpp
//
// Sizes and strides alone decide which one, by what each costs: whole tiles of multiply-adds,
// packing, storing y. Operands may be swapped (y' = b' a') where less is transposed or the vectors
// are fuller; columns that do not fill a vector may be dot products behind blocks (33 x 131 x 65:
// 70 to 87 GFLOP/s). Threads share out columns and rows of whole tiles.
//
// Sums are floats, each a chain of fused multiply-adds in the order of k (of samples, heads, k
// where they are summed over), or a fixed number of chains that are added up (dots: one a lane;
// row: up to 4): the same bits for any number of threads.
//
// Reached of the core's multiply-adds without loads (118 GFLOP/s; Zen 4, 512 bits, one thread, g++
// 12 -O2), and the ratio to oneDNN 2.6 with plain matrices beside it: 100 x 784 x 500 92 % (1.2),
// its data gradient 95 % (0.98), 32 x 784 x 500 95 % (1.2), 512 x 512 x 512 95 % (1.0 to 1.2), 64 x
// 64 x 64 85 % (1.3), 100 x 250 x 10 74 % (2.0), 33 x 131 x 65 74 % (1.6), its data gradient 77 %
// (0.99).

#include <tessera/backends/host/gemm_block.hpp>
#include <tessera/backends/host/gemm_dots.hpp>
#include <tessera/backends/host/gemm_row.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/parallel.hpp>
#include <limits>
#include <utility>

namespace tessera::host {

/// y' = b' a'.
template <class T>
void swap_operands(gemm_operands<T>& p) {
  matmul_sizes& n = p.n;
  std::swap(p.a, p.b);
  std::swap(n.rows, n.columns);
  std::swap(n.a, n.b);
  std::swap(n.a[2], n.a[3]);
  std::swap(n.b[2], n.b[3]);
  std::swap(n.y[2], n.y[3]);
  p.bias_of_rows = !p.bias_of_rows;
}

/// Rows that tiles of as many compute.
constexpr i64 rows_of_tiles(i32 rows) {
  if (simd::registers == 32 && rows > 8 && rows % 8 == 1) return rows;
  return (rows + 1) / 2 * 2;
}

/// Sixteenths of a cycle, roughly, of one matrix in blocks: multiply-adds of whole tiles, packing,
/// and delivering y.
template <class T>
i64 blocks_cost(const matmul_sizes& n) {
  const i64 rows = rows_of_tiles(n.rows);
  const i64 vectors = (n.columns + simd::lanes - 1) / simd::lanes;
  i64 cost = 16 * rows * vectors * steps_of<T>(n.inner);
  if (!reads_columns_in_place<T>(n, n.rows)) {
    cost += i64{n.inner} * n.columns * (n.b[3] == 1 ? 2 : n.b[2] == 1 ? 10 : 24);
  }
  if (!reads_rows_in_place<T>(n, n.columns)) {
    cost +=
        i64{n.inner} * n.rows * (n.a[3] == 1 || n.a[2] == 1 ? 2 : 24) * ((n.columns + 255) / 256);
  }
  return cost + i64{n.rows} * n.columns *
                    (n.y[3] == 1   ? sizeof(T) == sizeof(float) ? 0 : 2
                     : n.y[2] == 1 ? 6
                                   : 24);
}

/// Parts of rows and columns that threads share one matrix out in.
struct gemm_shares {
  i32 rows = 1;
  i32 columns = 1;

  /// As even as whole tiles allow, columns before rows: each packs its own columns then.
  static gemm_shares of(i32 row_tiles, i32 column_tiles, i32 threads) {
    gemm_shares best;
    i64 least = i64{row_tiles} * column_tiles;
    for (i32 columns = threads; columns > 0; --columns) {
      if (threads % columns != 0) continue;
      const i32 rows = threads / columns;
      const i64 largest =
          i64{(row_tiles + rows - 1) / rows} * ((column_tiles + columns - 1) / columns);
      if (largest < least) least = largest, best = {rows, columns};
    }
    return best;
  }
};

/// How a product is made.
enum class gemm_way : u8 { blocks, dots, row };

/// The same for `columns` columns by dot products.
template <class T>
i64 dots_cost(const matmul_sizes& n, i32 columns) {
  constexpr bool widens = sizeof(T) != sizeof(float) && !in_pairs<T>;
  const i64 vectors = (n.inner + terms_of_dots<T> - 1) / terms_of_dots<T>;
  const i64 turning = n.b[2] == 1 ? 0 : i64{columns} * n.inner * 24;
  // Tiles of as many sums as a vector has lanes: few chains where there are 8 or 4.
  const i64 step = (widens ? 20 : 16) * (simd::lanes == 16 ? 2 : 3) / 2;
  return n.rows * (columns * (vectors * step + 4 * simd::lanes) + (widens ? 24 * vectors : 0)) +
         turning;
}

/// Floats of workspace for a few columns of b that lie across the terms.
inline constexpr i64 turned_floats = workspace::capacity - dot_panel_floats;

/// True where products may be made of dot products.
template <class T>
bool has_dots(const matmul_sizes& n) {
  return n.a[3] == 1 && n.y[3] == 1 && n.summed_samples() * n.summed_heads() == 1 &&
         (n.rows == 1 || n.inner <= most_dot_terms<T>);
}

/// Columns at the end that do not fill a vector, where these are made of dot products: what is read
/// along the terms in both operands, or in a after copying so few columns of b.
template <class T>
i32 columns_of_dots(const gemm_operands<T>& p) {
  const matmul_sizes& n = p.n;
  const i32 left = n.columns % simd::lanes;
  if (left == 0 || p.one_chain || p.slice_by_slice || p.taker.take != nullptr) return 0;
  if (!has_dots<T>(n) || n.rows == 1 || (p.bias != nullptr && p.bias_of_rows)) return 0;
  if (n.b[2] != 1 && left * i64{n.inner} > turned_floats) return 0;
  // A vector of the tiles, and packing it.
  const i64 of_vector = (16 * rows_of_tiles(n.rows) + 48) * i64{steps_of<T>(n.inner)};
  return dots_cost<T>(n, left) < of_vector ? left : 0;
}

/// The same for blocks with such columns.
template <class T>
i64 gemm_cost(const gemm_operands<T>& p) {
  const i32 left = columns_of_dots(p);
  if (left == 0) return blocks_cost<T>(p.n);
  matmul_sizes n = p.n;
  n.columns -= left;
  return blocks_cost<T>(n) + dots_cost<T>(p.n, left);
}

/// Decides, from sizes alone, and swaps operands where that is better.
template <class T>
gemm_way choose_way(gemm_operands<T>& p) {
  if (p.taker.take != nullptr || p.slice_by_slice) return gemm_way::blocks;
  const bool summed = p.n.summed_samples() * p.n.summed_heads() != 1;
  if (p.n.columns == 1 && p.n.y[2] == 1 && p.n.rows > 1) swap_operands(p);
  if (p.n.rows == 1 && p.n.y[3] == 1 && !summed && !p.bias_of_rows && !p.one_chain) {
    if (p.n.b[3] == 1 && p.n.inner <= gemm_block::a_floats) return gemm_way::row;
    if (p.n.b[2] == 1 && p.n.a[3] == 1) return gemm_way::dots;
  }
  gemm_operands<T> swapped = p;
  swap_operands(swapped);
  const auto of_dots = [](const matmul_sizes& n) {
    return has_dots<T>(n) && n.b[2] == 1 ? dots_cost<T>(n, n.columns)
                                         : std::numeric_limits<i64>::max();
  };
  const i64 costs[] = {gemm_cost(p), gemm_cost(swapped), of_dots(p.n), of_dots(swapped.n)};
  i32 best = 0;
  for (i32 i = 1; i < (p.one_chain ? 2 : 4); ++i) {
    if (costs[i] < costs[best]) best = i;
  }
  if (best % 2 == 1) p = swapped;
  // Dot products take a bias of the outputs, whose places lie side by side.
  return best >= 2 && !(p.bias != nullptr && p.bias_of_rows) ? gemm_way::dots : gemm_way::blocks;
}

/// Rows [row, row + rows) and columns [column, column + columns) of a sample and head.
template <class T>
void multiply_dots(const gemm_operands<T>& p, i64 sample, i64 head, i32 row, i32 rows, i32 column,
                   i32 columns) {
  const matmul_sizes& n = p.n;
  dot_operands<T> d;
  d.x = p.a + sample * n.a[0] + head * n.a[1];
  d.w = p.b + sample * n.b[0] + head * n.b[1] + column * i64{n.b[3]};
  d.y = p.y + sample * n.y[0] + head * n.y[1] + column;
  d.x_row = n.a[2], d.w_row = n.b[3], d.y_row = n.y[2];
  d.depth = n.inner;
  d.bias = p.bias == nullptr ? nullptr : p.bias + column;
  d.scale = p.scale;
  d.alone = n.rows == 1;
  if (n.b[2] != 1) {  // a few columns, turned
    T* const turned = reinterpret_cast<T*>(workspace::floats() + dot_panel_floats);
    for (i32 k = 0; k < n.inner; ++k) {
      for (i32 c = 0; c < columns; ++c)
        turned[c * i64{n.inner} + k] = d.w[k * i64{n.b[2]} + c * d.w_row];
    }
    d.w = turned;
    d.w_row = n.inner;
  }
  run_dots(d, row, row + rows, 0, columns);
}
template <class T>
void multiply_row(const gemm_operands<T>& p, i64 sample, i64 head, i32 column, i32 columns) {
  const matmul_sizes& n = p.n;
  row_operands<T> r;
  const T* const a = p.a + sample * n.a[0] + head * n.a[1];
  if constexpr (sizeof(T) == sizeof(float)) r.a = a;
  if (sizeof(T) != sizeof(float) || n.a[3] != 1) {
    float* const floats = workspace::floats();
    pack(a, 1, 0, n.inner, n.a[3], floats, n.inner, n.inner);
    r.a = floats;
  }
  r.b = p.b + sample * n.b[0] + head * n.b[1];
  r.b_row = n.b[2];
  r.depth = n.inner;
  r.bias = p.bias;
  r.y = p.y + sample * n.y[0] + head * n.y[1];
  r.scale = p.scale;
  run_row(r, column, column + columns);
}

/// A part of a matrix; what its last columns are, its sizes alone decide.
template <class T>
void multiply_part(const gemm_operands<T>& p, gemm_way way, i64 sample, i64 head, i32 row, i32 rows,
                   i32 column, i32 columns) {
  switch (way) {
    case gemm_way::dots: return multiply_dots(p, sample, head, row, rows, column, columns);
    case gemm_way::row: return multiply_row(p, sample, head, column, columns);
    default: break;
  }
  const i32 left = column + columns == p.n.columns ? columns_of_dots(p) : 0;
  if (left > 0) {
    multiply_dots(p, sample, head, row, rows, p.n.columns - left, left);
    columns -= left;
  }
  gemm_part<T>{p}(sample, head, row, rows, column, columns);
}

/// The whole product.
template <class T>
void multiply(threads workers, gemm_operands<T> p) {
  const gemm_way way = choose_way(p);
  const matmul_sizes& n = p.n;
  if (n.macs() < 65536) workers = {};
  if (workers.count == 1 && n.groups() == 1) {
    return multiply_part(p, way, 0, 0, 0, n.rows, 0, n.columns);
  }
  const i32 heads = n.heads / n.summed_heads();
  const i32 groups = n.groups();
  constexpr i32 low = gemm_tile_size::low_rows;
  // How many chains a sum of a row has depends on its place in a block of 8 vectors.
  const i32 wide = way == gemm_way::row ? 8 * simd::lanes : simd::lanes;
  const i32 high = (n.rows + low - 1) / low;  // in tiles
  const i32 across = (n.columns + wide - 1) / wide;
  const bool whole = groups % workers.count == 0 || groups >= 8 * workers.count;
  const gemm_shares shares = whole ? gemm_shares{} : gemm_shares::of(high, across, workers.count);
  const i32 parts = shares.rows * shares.columns;
  const i32 items = groups * parts;
  const i32 takers = workers.count < items ? workers.count : items;
  const row_blocks of_threads(items, (items + takers - 1) / takers);
  const row_blocks row_tiles(high, (high + shares.rows - 1) / shares.rows);
  const row_blocks column_tiles(across, (across + shares.columns - 1) / shares.columns);
  parallel_for(workers, of_threads.count, [&](i32 thread) {
    for (i32 item = of_threads.first(thread); item < of_threads.first(thread + 1); ++item) {
      const i32 group = item / parts;
      const i32 row_share = item % parts / shares.columns;
      const i32 column_share = item % parts % shares.columns;
      if (row_share >= row_tiles.count || column_share >= column_tiles.count) continue;
      const i32 row = row_tiles.first(row_share) * low;
      const i32 last_row = row_tiles.first(row_share + 1) * low;
      const i32 column = column_tiles.first(column_share) * wide;
      const i32 last_column = column_tiles.first(column_share + 1) * wide;
      const i32 rows = (last_row < n.rows ? last_row : n.rows) - row;
      const i32 columns = (last_column < n.columns ? last_column : n.columns) - column;
      multiply_part(p, way, group / heads, group % heads, row, rows, column, columns);
    }
  });
}

}  // namespace tessera::host
