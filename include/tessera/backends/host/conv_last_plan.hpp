#pragma once

// How conv_last.hpp cuts a convolution into pieces that fit the workspace:
//
//   | ring: x of a row of positions | tile of sums (16-bit y, in parts) | weights of a set |
//
// Sums of a result in floats wait in y between parts, so that each set's weights are packed once a
// part. Those of a 16-bit result must not be rounded on the way: they wait in a tile, and weights
// are packed again for each tile, so that the more rows share one, the better.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/panel_sum.hpp>
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// How a convolution is cut into pieces that fit the workspace.
///
/// Of all cuts the one with the least to do beside the multiply-adds of a row of positions: cells
/// to pack (again for each set of output channels and with the neighbours of each piece), calls,
/// sums that are loaded and stored between parts, and weights to pack (again for each tile).
/// Cycles of a vector: 5, 30, 8 and 1 a weight (Zen 4).
struct conv_last_plan {
  static constexpr i32 samples = panel_vectors * simd::lanes;
  static constexpr i32 most_slots = 64;
  static constexpr i32 most_segments = 128;

  bool fits = false;
  i32 slots = 0;        // rows of the ring
  i32 depth = 0;        // channels of the sum at a time; even, or all, where they go in pairs
  i32 width = 0;        // positions of a row at a time
  i32 set_blocks = 0;   // blocks of output channels at a time
  i32 tile_rows = 0;    // rows of positions whose sums wait in the tile; 0: in y
  i64 ring_floats = 0;  // the tile lies behind the ring, the weights behind the tile
  i64 tile_floats = 0;

  template <class T>
  constexpr explicit conv_last_plan(const conv_view<T>& v) {
    const conv_axis& height = v.height;
    const i32 taps = static_cast<i32>(v.kernel());
    slots = height.most_cells(1);
    if (slots > most_slots || v.kernel() > most_segments || taps * v.rows < 16) return;
    const i32 steps = steps_of<T>(v.depth);
    const i32 all = panel_row_blocks(v.rows).count;
    const float new_rows = static_cast<float>(height.from) / static_cast<float>(height.to);
    float least = 0;
    for (i32 parts = 1; parts < 2 * steps; parts += (parts + 1) / 2) {
      for (i32 pieces = 1; pieces < 2 * v.width.to; pieces += (pieces + 1) / 2) {
        const i32 positions = (v.width.to + pieces - 1) / pieces;
        const i32 part = (steps + parts - 1) / parts;
        const i32 cells = v.width.most_cells(positions);
        const i64 ring = (i64{slots} * cells * samples * part + 15) / 16 * 16;
        // Sums of 16-bit results wait as floats: of many blocks or of many rows.
        const bool tiled = sizeof(T) == 2 && part < steps;
        const i64 row = i64{positions} * samples * panel_rows;
        for (i32 share = tiled ? 1 : 0; share < 12; share += share < 4 ? 3 : 4) {
          const i64 tile = workspace::capacity / 16 * share;
          i64 blocks = (workspace::capacity - ring - tile) / (i64{taps} * part * panel_rows);
          if (tiled && blocks > tile / row) blocks = tile / row;
          if (blocks < 1) {
            if (!tiled) break;
            continue;
          }
          const i32 sets = blocks < all ? static_cast<i32>((all + blocks - 1) / blocks) : 1;
          const i32 together = (all + sets - 1) / sets;
          i64 rows = height.to;  // for which weights are packed once
          if (tiled && tile / (row * together) < rows) rows = tile / (row * together);
          const float halo = static_cast<float>(rows < height.to ? slots - 1 : 0);
          const float each_row = 1.0f / static_cast<float>(rows);
          const float packed = static_cast<float>(i64{sets} * steps * pieces * cells);
          const float calls = static_cast<float>(i64{parts} * all * pieces);
          const float added = static_cast<float>(i64{parts - 1} * v.rows * v.width.to);
          const float weights =
              static_cast<float>(i64{taps} * v.depth * v.rows * (tiled ? pieces : 1)) * each_row;
          const float cost =
              5 * (new_rows + halo * each_row) * packed + 30 * calls + 8 * added + weights;
          if (!fits || cost < least) {
            fits = true;
            least = cost;
            depth = part;
            width = positions;
            set_blocks = together;
            tile_rows = tiled ? static_cast<i32>(rows) : 0;
            tile_floats = tile;
            ring_floats = ring;
          }
          if (!tiled) break;
        }
        if (fits && parts == 1 && pieces == 1 && set_blocks == all) {  // nothing is done twice
          parts = 2 * steps;
          pieces = 2 * v.width.to;
        }
      }
    }
    depth = depth < steps ? depth * terms_of_step<T> : v.depth;
  }
};

}  // namespace tessera::host
