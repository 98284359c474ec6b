#pragma once

// The inner loop of convolutions in place: a few rows of outputs, each a sum of weights times
// vectors.
//
//   y[row][position][column] = start[row] + sum over taps of
//                              weight[row * weight_row + w(tap)] * x[x(position) + x(tap) + column]
//
// Rows are output channels (of the data gradient input channels), columns samples, taps the
// channels of the sum, kernel rows and kernel columns.
//
// Columns lie side by side in memory and fill vectors; a weight is one number for all of them. A
// block of rows times vectors stays in registers over all taps: 6 x 2 vectors of AVX2 are 12
// independent chains, more than the 8 that two multiply-adds of 4 cycles each need, and load 8
// vectors for 12 multiply-adds. Sums run in the order of the taps, in every column alike: results
// do not depend on the vector width.
// Cost: one set of functions for all shapes, 7 ms of compile time each (g++ 12 -O2).

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>
#include <tessera/core/convert.hpp>

namespace tessera::host {

inline constexpr i32 max_rows = 6;

/// Three nested indices: how many, and what one more means in the weights and in x.
struct taps {
  i32 count[3] = {1, 1, 1};
  i64 weight[3] = {0, 0, 0};
  i64 x[3] = {0, 0, 0};
};

/// What a block of rows works on. X and Y: storage types. Weights are floats: 16-bit ones are
/// widened once into a panel.
template <class X, class Y>
struct product {
  const float* weight = nullptr;
  i64 weight_row = 0;
  const float* start = nullptr;  // one number a row; null: zeros
  const X* x = nullptr;
  Y* y = nullptr;
  i64 y_row = 0;
  taps sum;
  i32 positions = 1;
  i64 x_step = 0;  // from position to position
  i64 y_step = 0;
  i32 columns = 0;
  bool add = false;  // onto what y holds, instead of start
};

/// Columns [first, first + blocks * Vectors * lanes) of all positions. Last > 0: a single vector of
/// that many lanes.
template <class X, class Y, i32 Rows, i32 Vectors, bool Partial>
[[gnu::noinline]] void product_block(const product<X, Y>& p, i32 first, i32 blocks, i32 last) {
  using namespace simd;
  for (i32 position = 0; position < p.positions; ++position) {
    for (i32 block = 0; block < blocks; ++block) {
      const i64 column = first + i64{block} * Vectors * lanes;
      Y* const y = p.y + position * p.y_step + column;
      vec sum[Rows][Vectors];
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        TESSERA_UNROLL
        for (i32 v = 0; v < Vectors; ++v) {
          if (p.add) {
            sum[r][v] =
                Partial ? load_partial(y + r * p.y_row, last) : load(y + r * p.y_row + v * lanes);
          } else {
            sum[r][v] = p.start == nullptr ? zero() : set(p.start[r]);
          }
        }
      }
      const X* const x_position = p.x + position * p.x_step + column;
      for (i32 i = 0; i < p.sum.count[0]; ++i) {
        for (i32 j = 0; j < p.sum.count[1]; ++j) {
          const float* weight[Rows];
          TESSERA_UNROLL
          for (i32 r = 0; r < Rows; ++r) {
            weight[r] = p.weight + r * p.weight_row + i * p.sum.weight[0] + j * p.sum.weight[1];
          }
          const X* x = x_position + i * p.sum.x[0] + j * p.sum.x[1];
          i64 at = 0;
          for (i32 k = p.sum.count[2]; k > 0; --k) {
            vec values[Vectors];
            TESSERA_UNROLL
            for (i32 v = 0; v < Vectors; ++v) {
              values[v] = Partial ? load_partial(x, last) : load(x + v * lanes);
            }
            TESSERA_UNROLL
            for (i32 r = 0; r < Rows; ++r) {
              const vec w = set(weight[r][at]);
              TESSERA_UNROLL
              for (i32 v = 0; v < Vectors; ++v) sum[r][v] = fma(w, values[v], sum[r][v]);
            }
            at += p.sum.weight[2];
            x += p.sum.x[2];
          }
        }
      }
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        TESSERA_UNROLL
        for (i32 v = 0; v < Vectors; ++v) {
          if constexpr (Partial) {
            store_partial(y + r * p.y_row, sum[r][v], last);
          } else {
            store(y + r * p.y_row + v * lanes, sum[r][v]);
          }
        }
      }
    }
  }
}

/// Columns from `first` on in blocks of Vectors vectors and, without further widths, single ones. A
/// single vector is always taken as a partial one: a function less to compile.
template <class X, class Y, i32 Rows, i32 Vectors, i32... Narrower>
void product_columns(const product<X, Y>& p, i32 first) {
  constexpr i32 width = Vectors * simd::lanes;
  const i32 blocks = (p.columns - first) / width;
  if (blocks > 0) {
    product_block<X, Y, Rows, Vectors, false>(p, first, blocks, 0);
    first += blocks * width;
  }
  if constexpr (sizeof...(Narrower) > 0) {
    product_columns<X, Y, Rows, Narrower...>(p, first);
  } else {
    for (; first < p.columns; first += simd::lanes) {
      const i32 rest = p.columns - first;
      product_block<X, Y, Rows, 1, true>(p, first, 1, rest < simd::lanes ? rest : simd::lanes);
    }
  }
}

/// Computes `rows` rows, 1 to max_rows.
template <class X, class Y>
void run_product(const product<X, Y>& p, i32 rows) {
  constexpr i32 wide = machine_blocks.position_vectors;
  switch (rows) {
    case 1: return product_columns<X, Y, 1, 8, 2>(p, 0);
    case 2: return product_columns<X, Y, 2, 4>(p, 0);
    case 3: return product_columns<X, Y, 3, 4>(p, 0);
    case 4: return product_columns<X, Y, 4, 2>(p, 0);
    case 5: return product_columns<X, Y, 5, 2>(p, 0);
    default:
      if constexpr (wide > 2) return product_columns<X, Y, 6, wide, 2>(p, 0);
      return product_columns<X, Y, 6, 2>(p, 0);
  }
}

/// A block of weight rows as floats: `rows` rows of `depth` pieces of `length` neighbours. Floats
/// are read where they lie, others are widened once into the panel.
class weight_panel {
 public:
  static constexpr i64 capacity = 8192;  // floats: 32 KiB

  /// How many rows of that many weights the panel holds, at most max_rows and at least 1. A single
  /// row that is longer than the panel does not fit: see `fits`.
  static constexpr i32 highest(i64 weights) {
    const i64 rows = capacity / (weights > 0 ? weights : 1);
    return rows >= max_rows ? max_rows : rows < 1 ? 1 : static_cast<i32>(rows);
  }

  const float* weight = nullptr;
  i64 row = 0;
  i64 depth_step = 0;

  void read(const float* from, i64 row_step, i64 depth_between, i32, i64, i64) {
    weight = from;
    row = row_step;
    depth_step = depth_between;
  }
  template <class T>
  void read(const T* from, i64 row_step, i64 depth_between, i32 rows, i64 depth, i64 length) {
    weight = floats_;
    row = depth * length;
    depth_step = length;
    for (i32 r = 0; r < rows; ++r) {
      for (i64 d = 0; d < depth; ++d) {
        widen(from + r * row_step + d * depth_between, floats_ + r * row + d * length, length);
      }
    }
  }

 private:
  alignas(64) float floats_[capacity];
};

}  // namespace tessera::host
