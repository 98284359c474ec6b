#pragma once

// The inner loop over packed panels: a few rows of outputs, each a sum of weights times vectors
// that lie in memory one after the other.
//
//   y[row][vector] = start[row] + sum over segments, k of
//                    weight[segment.weight + k * Rows + row] * x[segment.x + k * x_step][vector]
//
//   operation                           row          vector              k
//   conv2d, batch last                  out channel  samples             in channel of a tap
//   conv2d data gradient, batch last    in channel   samples             out channel of a tap
//   conv2d weight gradient, batch last  out channel  taps and channels   position
//
// Both operands are read in order: a step of the loop takes the next Rows weights and the next
// vectors, so nothing is evicted by its own power of two of a stride, and the prefetchers see one
// stream a segment. 14 x 2 sums fill 28 of 32 registers (6 x 2 fill 12 of 16): 16 loads for 28
// multiply-adds, where one load and one multiply-add issue a cycle, or two of both.
// Accumulated in float, in the order of the segments and of k, one chain a sum; where it adds, y is
// added to the end of the chain. Pairs: a step of k is two terms, of bfloat16 (simd_pairs.hpp),
// weights and vectors alike.
// Cost: 7 functions a storage type, 40 ms of compile time each (g++ 12 -O2).

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// The most rows and vectors of a block.
inline constexpr i32 panel_rows = machine_blocks.panel_rows;
inline constexpr i32 panel_vectors = 2;

/// `length` steps of a sum, from these offsets on.
struct panel_segment {
  i64 x = 0;
  i64 weight = 0;
  i64 length = 0;
  const void* ahead = nullptr;  // fetched into the caches meanwhile
};

/// What a block works on, at one position after the other.
template <class Y>
struct panel_sum {
  const float* weight = nullptr;
  i64 weight_step = 0;  // from k to k + 1: the height of the block where weights are packed for it
  const float* x = nullptr;
  i64 x_step = 0;    // from k to k + 1
  i64 x_vector = 0;  // from the first vector to the second; 0: the same one twice
  const panel_segment* segments = nullptr;
  i32 segment_count = 0;
  const float* start = nullptr;  // as many as rows
  bool add = false;              // to what y holds, instead of to start
  i32 rows = 0;                  // stored: at most the height of the block
  Y* y = nullptr;
  i64 y_row = 0;
  i64 y_vector = 0;
  i32 positions = 1;
  i64 x_position = 0;
  i64 y_position = 0;
  i32 ahead_lines = 0;     // of 64 bytes, for each segment and position
  i64 ahead_position = 0;  // bytes
};

template <bool Pairs, class Y, i32 Rows, i32 Vectors>
[[gnu::noinline]] void panel_block(const panel_sum<Y>& p) {
  using namespace simd;
  constexpr i32 vectors = Vectors;
  for (i32 position = 0; position < p.positions; ++position) {
    Y* const y = p.y + position * p.y_position;
    vec sum[Rows][vectors];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 v = 0; v < vectors; ++v) {
        sum[r][v] = p.add || r >= p.rows ? zero() : set(p.start[r]);
      }
    }
    for (i32 s = 0; s < p.segment_count; ++s) {
      const panel_segment& segment = p.segments[s];
      const float* x = p.x + position * p.x_position + segment.x;
      const float* weight = p.weight + segment.weight;
      const i64 weight_step = p.weight_step;
      const char* const ahead =
          static_cast<const char*>(segment.ahead) + position * p.ahead_position;
      for (i32 line = 0; line < p.ahead_lines; ++line) prefetch(ahead + 64 * line);
      for (i64 k = segment.length; k > 0; --k) {
        vec values[vectors];
        TESSERA_UNROLL
        for (i32 v = 0; v < vectors; ++v) values[v] = keep(load(x + v * p.x_vector));
        TESSERA_UNROLL
        for (i32 r = 0; r < Rows; ++r) {
          // One load for all vectors: g++ would read the weight again for each of them.
          const vec w = vectors > 1 ? keep(set(weight[r])) : set(weight[r]);
          TESSERA_UNROLL
          for (i32 v = 0; v < vectors; ++v) sum[r][v] = add_product<Pairs>(w, values[v], sum[r][v]);
        }
        weight += weight_step;
        x += p.x_step;
      }
    }
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      if (r >= p.rows) break;
      Y* const to = y + r * p.y_row;
      if (p.add) {  // before either is stored: both vectors may be the same one
        TESSERA_UNROLL
        for (i32 v = 0; v < vectors; ++v) sum[r][v] = load(to + v * p.y_vector) + sum[r][v];
      }
      TESSERA_UNROLL
      for (i32 v = 0; v < vectors; ++v) store(to + v * p.y_vector, sum[r][v]);
    }
  }
}

/// `height` even, at most panel_rows. One vector, where nothing is left for a second one, loads
/// once more for each multiply-add.
template <bool Pairs = false, i32 Vectors = panel_vectors, class Y>
void run_panel_sum(const panel_sum<Y>& p, i32 height) {
  switch (height) {
    case 2: return panel_block<Pairs, Y, 2, Vectors>(p);
    case 4: return panel_block<Pairs, Y, 4, Vectors>(p);
    default: break;
  }
  if constexpr (panel_rows > 6) {
    switch (height) {
      case 8: return panel_block<Pairs, Y, 8, Vectors>(p);
      case 10: return panel_block<Pairs, Y, 10, Vectors>(p);
      case 12: return panel_block<Pairs, Y, 12, Vectors>(p);
      case 14: return panel_block<Pairs, Y, 14, Vectors>(p);
      default: break;
    }
  }
  return panel_block<Pairs, Y, 6, Vectors>(p);
}

/// Rows in blocks of even, nearly equal heights; the last one may have a row too many.
struct panel_row_blocks {
  i32 count;
  i32 total;

  constexpr explicit panel_row_blocks(i32 rows)
      : count((rows + panel_rows - 1) / panel_rows), total(rows) {}

  constexpr i32 first(i32 block) const {
    const i32 pairs = (total + 1) / 2;
    const i32 higher = pairs % count;
    return 2 * (block * (pairs / count) + (block < higher ? block : higher));
  }
  constexpr i32 height(i32 block) const { return first(block + 1) - first(block); }
  constexpr i32 rows(i32 block) const {
    const i32 rest = total - first(block);
    return rest < height(block) ? rest : height(block);
  }
};

}  // namespace tessera::host
