#pragma once

// Lines of an image, batch first, turned so that 16 channels of a cell lie side by side.
//
// Channels are planes of cells: eight cells of eight of them are a square that is transposed in
// registers, 20 cycles for 64 numbers with AVX2 and more.

#include <tessera/backends/host/image_panel.hpp>  // fill_zeros
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

/// All planes of a tensor.
template <class T>
struct cell_planes {
  static constexpr i32 line = 16;  // channels side by side
  const T* all;
  i64 count;  // numbers in all
  i32 height, width;

  i64 plane() const { return i64{height} * width; }

  /// Cells [w, w + cells) of line h of up to 16 channels, the first of which is the plane `from`:
  /// to[cell * 16 + channel], zeros outside. Eight cells before and behind those may be written,
  /// and so may channels that do not exist.
  void turn(const T* from, i32 channels, i32 h, i32 w, i32 cells, float* to) const {
    const i32 low = w < 0 ? -w : 0;
    const i32 high = width - w < cells ? width - w : cells;
    if (h < 0 || h >= height || low >= high) return fill_zeros(to, i64{cells} * line);
    const i32 inside = high - low;
    const T* const first = from + i64{h} * width + w + low;
    const i32 eights = channels / 8 * 8;
    for (i32 c = 0; c < eights; c += 8) {
      turn_eight(first + c * plane(), inside, to + i64{low} * line + c);
    }
    if (eights < channels) {
      turn_numbers(first + eights * plane(), channels - eights, inside,
                   to + i64{low} * line + eights);
    }
    fill_zeros(to, i64{low} * line);
    fill_zeros(to + i64{high} * line, i64{cells - high} * line);
  }

 private:
  /// Fewer than eight cells are turned with some of their neighbours, where there are any.
  void turn_eight(const T* row, i32 cells, float* to) const {
    if (cells >= 8) {
      for (i32 j = 0; j < cells; j += 8) {
        const i32 cell = j + 8 <= cells ? j : cells - 8;
        simd::transpose_8x8(row + cell, plane(), to + i64{cell} * line, line);
      }
    } else if (row + 7 * plane() + 8 <= all + count) {
      simd::transpose_8x8(row, plane(), to, line);
    } else if (row - (8 - cells) >= all) {
      simd::transpose_8x8(row - (8 - cells), plane(), to - i64{8 - cells} * line, line);
    } else {
      turn_numbers(row, 8, cells, to);
    }
  }

  void turn_numbers(const T* from, i32 channels, i32 cells, float* to) const {
    for (i32 c = 0; c < channels; ++c, from += plane()) {
      for (i32 j = 0; j < cells; ++j) to[i64{j} * line + c] = simd::as_float(from[j]);
    }
  }
};

}  // namespace tessera::host
