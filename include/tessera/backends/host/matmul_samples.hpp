#pragma once

// matmul with samples innermost: lanes are samples, and a tile of 4 x 4 outputs stays in registers.
//
//   y[r][c][samples] = sum over k of a[r][k][samples] b[k][c][samples]
//
// 8 loads for 16 multiply-adds, nothing is packed. An operand without samples is broadcast; where y
// has none, lanes are summed at the end. Sums run in the order of k (of samples, heads and k where
// they are summed over, lanes last).

#include <tessera/backends/host/gemm_pack.hpp>  // store_number
#include <tessera/backends/host/matmul_panels.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>
#include <utility>

namespace tessera::host {

/// `Side` x `Side` outputs of some samples: their sums. Rows and columns past the end are the last
/// ones again.
template <class T, i32 Rows, i32 Columns, bool ABroadcast>
struct sample_tile {
  simd::vec sum[Rows][Columns];

  void clear() {
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 c = 0; c < Columns; ++c) sum[r][c] = simd::zero();
    }
  }

  void add(const T* const (&a)[Rows], i64 a_step, const T* const (&b)[Columns], i64 b_step,
           i32 depth) {
    using namespace simd;
    vec all[Rows][Columns];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 c = 0; c < Columns; ++c) all[r][c] = sum[r][c];
    }
    i64 at_a = 0;
    i64 at_b = 0;
    for (i32 k = depth; k > 0; --k, at_a += a_step, at_b += b_step) {
      vec right[Columns];
      TESSERA_UNROLL
      for (i32 c = 0; c < Columns; ++c) right[c] = load(b[c] + at_b);
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        const vec left = ABroadcast ? set(as_float(a[r][at_a])) : load(a[r] + at_a);
        TESSERA_UNROLL
        for (i32 c = 0; c < Columns; ++c) all[r][c] = fma(left, right[c], all[r][c]);
      }
    }
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 c = 0; c < Columns; ++c) sum[r][c] = all[r][c];
    }
  }
};

/// Rows [row, row + Rows) of y for one vector of samples, or for all where y sums over them.
template <class T, i32 Rows, bool ABroadcast>
[[gnu::noinline]] void sample_rows(const T* a, const T* b, T* y, const matmul_sizes& n, i64 sample,
                                   i64 head, i32 row, float scale) {
  using namespace simd;
  constexpr i32 columns = 4;
  const bool summed = n.summed_samples() > 1;
  const i64 last_sample = summed ? n.samples : sample + lanes;
  for (i32 column = 0; column < n.columns; column += columns) {
    sample_tile<T, Rows, columns, ABroadcast> tile;
    tile.clear();
    for (i64 s = sample; s < last_sample; s += lanes) {
      for (i64 h = head; h < head + n.summed_heads(); ++h) {
        const T* from_a[Rows];
        const T* from_b[columns];
        for (i32 r = 0; r < Rows; ++r) {
          const i64 at = row + r < n.rows ? row + r : n.rows - 1;
          from_a[r] = a + s * n.a[0] + h * n.a[1] + at * n.a[2];
        }
        for (i32 c = 0; c < columns; ++c) {
          const i64 at = column + c < n.columns ? column + c : n.columns - 1;
          from_b[c] = b + s * n.b[0] + h * n.b[1] + at * n.b[3];
        }
        tile.add(from_a, n.a[3], from_b, n.b[2], n.inner);
      }
    }
    const vec by = set(scale);
    for (i32 r = 0; r < Rows && row + r < n.rows; ++r) {
      for (i32 c = 0; c < columns && column + c < n.columns; ++c) {
        T* const to = y + sample * n.y[0] + head * n.y[1] + (row + r) * i64{n.y[2]} +
                      (column + c) * i64{n.y[3]};
        if (summed) {
          store_number(to, sum(tile.sum[r][c]) * scale);
        } else {
          store(to, tile.sum[r][c] * by);
        }
      }
    }
  }
}

template <class T>
void matmul_samples(const call& c) {
  auto n = matmul_sizes::of(*c.sizes);
  const T* a = c.input<T>(0);
  const T* b = c.input<T>(1);
  if (panels_pay(n)) {
    return matmul_panels(c.step->threads, a, b, c.output<T>(0), n, c.attr->product.scale);
  }
  // y' = b' a' where b has no samples, or y is one column.
  if (n.b[0] == 0 || (n.a[0] != 0 && n.columns == 1 && n.rows > 1)) {
    std::swap(a, b);
    std::swap(n.rows, n.columns);
    std::swap(n.a, n.b);
    std::swap(n.a[2], n.a[3]);
    std::swap(n.b[2], n.b[3]);
    std::swap(n.y[2], n.y[3]);
  }
  constexpr i32 most = machine_blocks.sample_rows_in_place;
  const bool wide = n.rows > 1;
  const i32 step = wide ? most : 1;
  const i32 row_tiles = (n.rows + step - 1) / step;
  const i32 vectors = n.summed_samples() > 1 ? 1 : n.samples / simd::lanes;
  const i32 heads = n.heads / n.summed_heads();
  const bool broadcast = n.a[0] == 0;
  const auto run = wide ? broadcast ? &sample_rows<T, most, true> : &sample_rows<T, most, false>
                   : broadcast ? &sample_rows<T, 1, true>
                               : &sample_rows<T, 1, false>;
  const threads workers = c.step->threads.when(n.macs() >= 65536);
  parallel_for(workers, vectors * heads * row_tiles, [&](i32 task) {
    const i32 group = task / row_tiles;
    run(a, b, c.output<T>(0), n, i64{group / heads} * simd::lanes, group % heads,
        task % row_tiles * step, c.attr->product.scale);
  });
}

}  // namespace tessera::host
