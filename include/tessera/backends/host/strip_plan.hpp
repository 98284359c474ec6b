#pragma once

// How a convolution with the batch first is cut, for its panels and sums to fit the workspace.

#include <tessera/backends/host/gathered_product.hpp>
#include <tessera/backends/host/image_panel.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// How the work of one sample and group is cut.
struct strip_plan {
  static constexpr i32 most_positions = 4096;
  static constexpr i64 sum_floats = i64{gathered_product::most_rows} * most_positions;
  static constexpr i32 most_terms = 1024;  // of a table

  panel_part part;  // the largest of a piece
  i64 weight_floats = 0;

  /// `weights`: of one channel of the sum and a block of rows, where those are packed, too.
  /// `reserved`: floats for others.
  strip_plan(const gather_axis& height, const gather_axis& width, i32 depth, i64 weights,
             i64 reserved = 0) {
    part = {0, height.to, 0, width.to, 0, height.taps, 0, width.taps, depth};
    if (height.step > 1 && part.tap_rows > image_panel::most_slots) {
      part.tap_rows = image_panel::most_slots;
    }
    if (part.tap_rows < 1) part.tap_rows = 1;  // positions between strides may have no taps
    if (part.tap_columns < 1) part.tap_columns = 1;
    if (part.tap_columns > most_terms) part.tap_columns = most_terms;
    if (part.tap_rows > most_terms / part.tap_columns) {
      part.tap_rows = most_terms / part.tap_columns;
    }
    i64 room = workspace::capacity - sum_floats - reserved;
    if (weights > 0) {
      const i64 channels = room / 4 / weights;
      if (part.channels > channels) {
        part.channels = channels < 1 ? 1 : row_blocks(depth, static_cast<i32>(channels)).rows(0);
      }
      weight_floats =
          (weights * part.channels + 15 + 15) / 16 * 16;  // vectors write behind the last
      room -= weight_floats;
    }
    const auto size = [&] { return image_panel(height, width, part).floats(); };
    part.columns = row_blocks(width.to, most_positions).rows(0);
    part.rows = row_blocks(height.to, most_positions / part.columns).rows(0);
    while (size() > room && part.rows > 1 && part.rows * part.columns > 256) {
      part.rows = (part.rows + 1) / 2;
    }
    if (size() <= room) return;
    if (fit_channels(height, width, room)) return;
    part.rows = 1;
    if (fit_channels(height, width, room)) return;
    part.columns = width.to < 64 ? width.to : 64;
    if (fit_channels(height, width, room)) return;
    part.channels = 1;
    while (size() > room && part.tap_rows > 1) part.tap_rows = (part.tap_rows + 1) / 2;
    while (size() > room && part.tap_columns > 1) part.tap_columns = (part.tap_columns + 1) / 2;
  }

 private:
  bool fit_channels(const gather_axis& height, const gather_axis& width, i64 room) {
    const i64 channels = (room - 64) / image_panel(height, width, part).channel_step();
    if (channels < 1) return false;
    const row_blocks pieces(part.channels, static_cast<i32>(channels));
    if (part.channels > channels) part.channels = pieces.rows(0);
    return true;
  }
};

}  // namespace tessera::host
