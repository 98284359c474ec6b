#pragma once

// How the weight gradient of conv_last_weight.hpp is cut into pieces that fit the workspace, and
// which side of it fills vectors.
//
//   vectors are   rows of a block are            a step loads
//   windows       output channels                14 numbers of dy, 2 vectors of a window of x
//   outputs       numbers of a window            14 numbers of a window, 2 vectors of dy
//
// The second way leaves no lane empty where channels in are few (RGB: a 3x3 kernel row is 9
// numbers) and channels out many. A vector that is left over comes alone.

#include <tessera/backends/host/conv_places.hpp>
#include <tessera/backends/host/panel_sum.hpp>
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// How a weight gradient is cut into pieces that fit the workspace, and what its vectors are: of
/// all ways the one with the least to do. For each sample of a row of positions, in cycles: a
/// multiply-add a vector and row of a block, 5 for each of them and slice of 32 samples to load and
/// store sums, 0.5 for each number of x (again for each set of output channels) and of dy (again
/// for each part) to transpose.
struct conv_last_weight_plan {
  static constexpr i32 samples = 32;
  static constexpr i32 most_slots = 64;
  static constexpr i32 most_taps = 4096;
  static constexpr i32 spare = 16;  // floats past a row that are read or written, and not used

  bool fits = false;
  bool vectors_out = false;  // vectors are output channels, rows of a block numbers of a window
  bool joined = false;       // the taps of a kernel row are neighbours: one window
  i32 slots = 0;             // rows of the ring
  i32 depth = 0;             // input channels at a time
  i32 width = 0;             // positions of a row at a time
  i32 rows = 0;              // output channels at a time
  i32 columns = 0;           // of the ring, at most
  i64 ring_floats = 0;       // dy lies behind the ring, the sums behind dy
  i64 dy_floats = 0;
  float cost = 0;  // cycles of one sample of a row of positions

  constexpr conv_last_weight_plan() = default;
  constexpr conv_last_weight_plan(const conv_axis& height, const conv_axis& across, i32 in,
                                  i32 out) {
    joined = across.dilation == 1;
    slots = height.most_cells(1);
    if (slots > most_slots || i64{height.kernel} * across.kernel > most_taps) return;
    const float new_rows = static_cast<float>(height.from) / static_cast<float>(height.to);
    for (const bool out_lies : {false, true}) {
      // Vectors that are mostly empty are never worth it.
      const i32 lying = out_lies ? out : joined ? across.kernel * in : in;
      if (out < 2 || lying < 3 * simd::lanes / 4) continue;
      for (i32 parts = 1; parts < 2 * in; parts += (parts + 1) / 2) {
        i32 part = parts == 1 ? in : ((in + parts - 1) / parts + 7) / 8 * 8;
        if (part > in) part = in;
        const i32 window = joined ? across.kernel * part : part;
        const i32 windows = joined ? height.kernel : height.kernel * across.kernel;
        for (i32 pieces = 1; pieces < 2 * across.to; pieces += (pieces + 1) / 2) {
          const i32 positions = (across.to + pieces - 1) / pieces;
          const i32 cells =
              (positions - 1) * across.stride + (across.kernel - 1) * across.dilation + 1;
          const i64 ring = i64{slots} * samples * pitch(cells, part);
          // Behind the ring: dy of a block of rows, or of all output channels of a set.
          const i64 room = workspace::capacity - ring;
          i64 most = 0;
          if (out_lies) {
            const i64 sums = i64{windows} * even(window) * simd::lanes;
            most = (room - samples * spare) / (sums + i64{samples} * positions * simd::lanes);
            most *= simd::lanes;
          } else {
            const i64 dy = samples * (i64{positions} * panel_rows + spare);
            most = (room - dy) / (i64{windows} * vectors_of(window) * simd::lanes) / 2 * 2;
          }
          if (most < 2) continue;
          const i32 sets = most < out ? static_cast<i32>((out + most - 1) / most) : 1;
          const float packed_x = static_cast<float>(i64{sets} * in * pieces * cells);
          const float packed_dy = static_cast<float>(i64{(in + part - 1) / part} * out * across.to);
          const i32 all =
              (in + part - 1) / part * windows *
              (out_lies ? even(window) * vectors_of(out) : vectors_of(window) * even(out));
          const float estimate =
              0.5f * (new_rows * packed_x + packed_dy) +
              static_cast<float>(all) *
                  (static_cast<float>(across.to) + static_cast<float>(5 * pieces) / samples);
          if (fits && estimate >= cost) continue;
          fits = true;
          cost = estimate;
          vectors_out = out_lies;
          depth = part;
          width = positions;
          rows = most < out ? static_cast<i32>(most) : even(out);
          columns = cells;
          ring_floats = ring;
          dy_floats = out_lies ? samples * (i64{positions} * padded(rows) + spare)
                               : samples * (i64{positions} * panel_rows + spare);
        }
      }
    }
  }

  static constexpr i32 even(i32 count) { return (count + 1) / 2 * 2; }
  static constexpr i32 vectors_of(i32 floats) { return (floats + simd::lanes - 1) / simd::lanes; }
  static constexpr i32 padded(i32 floats) { return vectors_of(floats) * simd::lanes; }

  /// Floats from sample to sample: not a multiple of 4 KiB.
  static constexpr i64 pitch(i32 columns, i32 depth) {
    const i64 floats = (i64{columns} * depth + spare + 15) / 16 * 16;
    return floats % 1024 == 0 ? floats + 16 : floats;
  }
};

}  // namespace tessera::host
