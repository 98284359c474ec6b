#pragma once

// The inner loop of convolutions with the batch first: a few rows of sums, each of numbers times
// vectors that lie wherever a table says.
//
//   sums[row][vector] = start[row] + sum over terms of
//                       weight[row * weight_row + term.weight] * x[at[vector] + term.x ...]
//
//   operation                 row           vector                              term
//   conv2d                    out channel   16 positions of a sample            (in channel, tap)
//   conv2d data gradient      in channel    16 positions of a sample            (out channel, tap)
//   conv2d weight gradient    out channel   16 weights of an output channel     position
//
// The table has one period of the sum: the taps of a few channels, a row of positions; from period
// to period all its offsets grow alike. x is a panel of floats that the caller packed with
// zeros around images, so no border, stride or dilation is a special case here.
//
// A block of 6 rows x 4 vectors is 24 independent chains and reads 4 vectors and 6 numbers for 24
// multiply-adds; sums stay in registers over all terms, which are added in the order of the
// table, in every vector alike: results depend neither on the vector width nor on blocks.
// Everything is floats, whatever the tensors are stored as: one set of functions for all.

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// Where one term of the sum finds its vectors and its numbers.
struct gathered_term {
  i32 x, weight;
};

struct gathered_product {
  static constexpr i32 most_rows = 6;

  const float* x = nullptr;
  const float* weight = nullptr;
  i64 weight_row = 0;
  const gathered_term* terms = nullptr;
  i32 period = 0;   // terms of the table
  i32 periods = 0;  // how often all of them come
  i32 rest = 0;     // and how many of them once more
  i64 x_period = 0;
  i64 weight_period = 0;
  const float* start = nullptr;  // one number a row; null: zeros
  bool add = false;              // onto what sums holds, instead of start
  const i32* at = nullptr;       // of every vector in x
  const i32* to = nullptr;       // and in sums
  i32 vectors = 0;
  float* sums = nullptr;
  i64 sums_row = 0;

  /// A sum of `count` equal steps of the table.
  void repeat(i32 table, i32 steps, i32 step_terms) {
    period = table * step_terms;
    periods = steps / table;
    rest = steps % table * step_terms;
  }
};

/// Vectors [first, first + blocks * Vectors).
template <i32 Rows, i32 Vectors>
[[gnu::noinline]] void gathered_block(const gathered_product& p, i32 first, i32 blocks) {
  using namespace simd;
  for (i32 block = 0; block < blocks; ++block) {
    const i32 vector = first + block * Vectors;
    float* sums[Vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) sums[v] = p.sums + p.to[vector + v];
    vec sum[Rows][Vectors];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) {
        if (p.add) {
          sum[r][v] = load(sums[v] + r * p.sums_row);
        } else {
          sum[r][v] = p.start == nullptr ? zero() : set(p.start[r]);
        }
      }
    }
    const float* x[Vectors];
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) x[v] = p.x + p.at[vector + v];
    const float* weight[Rows];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) weight[r] = p.weight + r * p.weight_row;
    for (i32 n = p.periods; n >= 0; --n) {
      const gathered_term* term = p.terms;
      const gathered_term* const last = term + (n > 0 ? p.period : p.rest);
      for (; term != last; ++term) {
        const i64 from = term->x;
        const i64 number = term->weight;
        vec values[Vectors];
        TESSERA_UNROLL
        for (i32 v = 0; v < Vectors; ++v) values[v] = load(x[v] + from);
        TESSERA_UNROLL
        for (i32 r = 0; r < Rows; ++r) {
          const vec w = set(weight[r][number]);
          TESSERA_UNROLL
          for (i32 v = 0; v < Vectors; ++v) sum[r][v] = fma(w, values[v], sum[r][v]);
        }
      }
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) x[v] += p.x_period;
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) weight[r] += p.weight_period;
    }
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) store(sums[v] + r * p.sums_row, sum[r][v]);
    }
  }
}

template <i32 Rows, i32 Vectors, i32... Narrower>
void gathered_vectors(const gathered_product& p, i32 first) {
  const i32 blocks = (p.vectors - first) / Vectors;
  if (blocks > 0) gathered_block<Rows, Vectors>(p, first, blocks);
  if constexpr (sizeof...(Narrower) > 0) {
    gathered_vectors<Rows, Narrower...>(p, first + blocks * Vectors);
  }
}

/// All vectors of `rows` rows, 1 to most_rows.
inline void run_gathered(const gathered_product& p, i32 rows) {
  constexpr i32 wide = machine_blocks.position_vectors;
  switch (rows) {
    case 1: return gathered_vectors<1, 8, 1>(p, 0);
    case 2: return gathered_vectors<2, 4, 1>(p, 0);
    case 3: return gathered_vectors<3, wide, 1>(p, 0);
    case 4: return gathered_vectors<4, wide, 1>(p, 0);
    case 5:
      if constexpr (wide > 2) return gathered_vectors<5, wide, 2, 1>(p, 0);
      return gathered_vectors<5, wide, 1>(p, 0);
    default:
      if constexpr (wide > 2) return gathered_vectors<6, wide, 2, 1>(p, 0);
      return gathered_vectors<6, wide, 1>(p, 0);
  }
}

}  // namespace tessera::host
