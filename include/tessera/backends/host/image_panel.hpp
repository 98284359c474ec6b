#pragma once

// Images as panels of floats with zeros around them, for gathered_product.hpp.
//
// Position q of an axis meets, with tap t, cell q step + base + t base_step of the image, forward
// and backward (conv_places.hpp); a cell outside is 0. Kernel columns get a copy of the image each,
// shifted and thinned out by the stride until the cells of neighbouring positions are
// neighbours: rows of positions then follow one another without a gap, and 100 positions are 7
// vectors of 16 whatever their rows are.
//
//   a 3 x 3 kernel over 4 columns, padded by 1:   cells 0 a b c | a b c d | b c d 0
//
// Kernel rows share a copy: theirs is the same one some rows further down, each remainder of
// their distance by the stride a `slot` of its own.

#include <tessera/backends/host/conv_places.hpp>
#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/host/simd_strided.hpp>

namespace tessera::host {

/// An axis of positions that all have the same taps.
struct gather_axis {
  i32 from;  // cells
  i32 to;    // positions
  i32 step;  // cells from position to position
  i32 first_tap, tap_step, taps;
  i32 base, base_step;    // the cell of position 0 and the first tap; from tap to tap
  i32 to_first, to_step;  // where positions lie in what is written

  /// How many such axes a convolution has.
  static constexpr i32 phases(const conv_axis& axis) {
    return axis.backward ? axis.stride < axis.to ? axis.stride : axis.to : 1;
  }
  static constexpr gather_axis of(const conv_axis& axis, i32 phase) {
    if (!axis.backward) {
      return {axis.from, axis.to, axis.stride, 0, 1, axis.kernel, -axis.pad, axis.dilation, 0, 1};
    }
    // Taps r with (phase + pad - r dilation) a multiple of the stride.
    i32 r = 0;
    while (r < axis.kernel && (phase + axis.pad - r * axis.dilation) % axis.stride != 0) ++r;
    const i32 count = r < axis.kernel ? (axis.kernel - r + axis.tap_step - 1) / axis.tap_step : 0;
    return {axis.from,
            (axis.to - phase + axis.stride - 1) / axis.stride,
            1,
            r,
            axis.tap_step,
            count,
            (phase + axis.pad - r * axis.dilation) / axis.stride,
            axis.cell_step,
            phase,
            axis.stride};
  }

  /// The cell of position 0 and tap t.
  constexpr i32 cell(i32 t) const { return base + t * base_step; }
};

/// The cells of a row that positions 0 to count meet: row[first + j step], inside for j in
/// [low, high).
struct row_cells {
  i32 first, step, low, high, count;

  row_cells(i32 first_of, i32 step_of, i32 count_of, i32 width)
      : first(first_of), step(step_of), count(count_of) {
    low = first < 0 ? (-first + step - 1) / step : 0;
    high = first < width ? (width - first + step - 1) / step : 0;
    if (high > count) high = count;
    if (low >= high) low = high = 0;
  }
};

/// Zeros for [0, n), and up to lanes - 1 numbers behind.
inline void fill_zeros(float* to, i64 n) {
  const simd::vec zeros = simd::keep(simd::zero());  // or g++ calls memset for a few numbers
  for (i64 j = 0; j < n; j += simd::lanes) simd::store(to + j, zeros);
}

/// The cells of rows of up to Vectors vectors, a step of 1 or 2 apart: zeros and cells in one.
template <i32 Step, i32 Vectors, class T>
void copy_short_rows(const T* row, i64 row_step, i32 rows, const row_cells& cells, float* to) {
  using namespace simd;
  lane_range inside[Vectors];
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) {
    const auto lane = [v](i32 cell) {
      cell -= v * lanes;
      return cell < 0 ? 0 : cell < lanes ? cell : lanes;
    };
    inside[v] = lane_range(lane(cells.low), lane(cells.high));
  }
  row += cells.first;
  const i64 count = cells.count;
  for (i32 i = 0; i < rows; ++i, row += row_step, to += count) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) {
      const T* const from = row + v * lanes * Step;
      store(to + v * lanes, Step == 1 ? inside[v].load(from) : inside[v].load_every_second(from));
    }
  }
}

/// The cells of `rows` rows, `row_step` apart, one behind the other. Cells outside are 0. Writes
/// whole vectors: up to lanes - 1 numbers behind the last.
template <class T>
[[gnu::noinline]] void copy_cells(const T* row, i64 row_step, i32 rows, row_cells cells,
                                  float* to) {
  using namespace simd;
  if (cells.low == 0 && cells.high == cells.count && cells.step == 1 && row_step == cells.count) {
    cells.high = cells.count = cells.count * rows;  // one long row
    rows = 1;
  }
  if (cells.step <= 2 && cells.count <= 2 * lanes) {
    if (cells.step == 1) {
      return cells.count <= lanes ? copy_short_rows<1, 1>(row, row_step, rows, cells, to)
                                  : copy_short_rows<1, 2>(row, row_step, rows, cells, to);
    }
    return cells.count <= lanes ? copy_short_rows<2, 1>(row, row_step, rows, cells, to)
                                : copy_short_rows<2, 2>(row, row_step, rows, cells, to);
  }
  const i32 inside = cells.high - cells.low;
  const i32 whole = cells.step == 1 ? inside / lanes * lanes : 0;
  for (i32 i = 0; i < rows; ++i, row += row_step, to += cells.count) {
    const T* const from = row + cells.first + i64{cells.low} * cells.step;
    float* const first = to + cells.low;
    if (cells.low > 0) fill_zeros(to, cells.low);
    if (cells.high < cells.count) fill_zeros(to + cells.high, cells.count - cells.high);
    if (cells.step != 1) {
      for (i32 j = 0; j < inside; j += lanes) {
        const i32 n = inside - j < lanes ? inside - j : lanes;
        const T* const at = from + i64{j} * cells.step;
        store(first + j,
              cells.step == 2 ? load_apart<2>(at, 2, n) : load_apart<0>(at, cells.step, n));
      }
      continue;
    }
    for (i32 j = 0; j < whole; j += lanes) store(first + j, load(from + j));
    if (whole == inside) continue;
    if (whole > 0) {  // the last cells again, as a whole vector
      store(first + inside - lanes, load(from + inside - lanes));
    } else {
      store(first, load_partial(from, inside));
    }
  }
}

/// n numbers as floats. May write up to lanes - 1 numbers behind the last.
template <class T>
void copy_floats(const T* from, i64 n, float* to) {
  using namespace simd;
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load(from + i));
  if (i < n) store(to + i, load_partial(from + i, static_cast<i32>(n - i)));
}

/// Which part of a sum over channels and taps a panel has, for a rectangle of positions.
struct panel_part {
  i32 row0, rows, column0, columns;  // of positions
  i32 tap_row0, tap_rows;            // of the kernel
  i32 tap_column0, tap_columns;
  i32 channels;
};

/// The panel [channel][kernel column][slot][row][column of positions].
class image_panel {
 public:
  static constexpr i32 most_slots = 16;

  image_panel(const gather_axis& height, const gather_axis& width, const panel_part& part)
      : height_(height), width_(width), part_(part) {
    low_ = height.cell(part.tap_row0);
    const i32 other = height.cell(part.tap_row0 + part.tap_rows - 1);
    if (other < low_) low_ = other;
    for (i32 r = 0; r < part.tap_rows; ++r) {
      const i32 down = height.cell(part.tap_row0 + r) - low_;
      const i32 further = height.step == 1 ? down : down / height.step;
      slot_of(height.step == 1 ? 0 : down % height.step);
      if (further > further_) further_ = further;
    }
    // Room for a vector of zeros behind the last row, and no whole number of pages: channels would
    // share few sets of the cache.
    slot_step_ = i64{part.rows + further_} * part.columns + 16;
    slot_step_ = (slot_step_ + 15) / 16 * 16;
    if (slot_step_ % 512 == 0) slot_step_ += 16;
  }

  i64 channel_step() const { return part_.tap_columns * i64{slots_} * slot_step_; }
  /// Floats, with what vectors read and write behind the last one.
  i64 floats() const { return part_.channels * channel_step() + 2 * 16; }

  /// Where tap (r, s) of the part finds position 0 of a channel.
  i64 tap(i32 r, i32 s) {
    const i32 down = height_.cell(part_.tap_row0 + r) - low_;
    if (height_.step == 1) return s * slot_step_ + i64{down} * part_.columns;
    return (i64{s} * slots_ + slot_of(down % height_.step)) * slot_step_ +
           i64{down / height_.step} * part_.columns;
  }

  /// Packs channels that lie `plane` cells apart.
  template <class T>
  void fill(const T* from, i64 plane, float* to) const {
    const i32 rows = part_.rows + further_;
    const i64 step = i64{height_.step} * width_.from;
    for (i32 slot = 0; slot < slots_; ++slot) {
      // Rows [above, below) of the panel are inside.
      const i32 h = low_ + phase_[slot] + part_.row0 * height_.step;
      const row_cells down(h, height_.step, rows, height_.from);
      for (i32 s = 0; s < part_.tap_columns; ++s) {
        const row_cells across(width_.cell(part_.tap_column0 + s) + part_.column0 * width_.step,
                               width_.step, part_.columns, width_.from);
        const T* row = from + (h + i64{down.low} * height_.step) * width_.from;
        float* image = to + (i64{s} * slots_ + slot) * slot_step_;
        for (i32 channel = 0; channel < part_.channels; ++channel) {
          if (down.low > 0) fill_zeros(image, i64{down.low} * part_.columns);
          fill_zeros(image + i64{down.high} * part_.columns,
                     i64{rows - down.high} * part_.columns + 1);
          copy_cells(row, step, down.high - down.low, across,
                     image + i64{down.low} * part_.columns);
          row += plane;
          image += channel_step();
        }
      }
    }
  }

 private:
  i32 slot_of(i32 phase) {
    for (i32 i = 0; i < slots_; ++i) {
      if (phase_[i] == phase) return i;
    }
    phase_[slots_] = phase;
    return slots_++;
  }

  gather_axis height_, width_;
  panel_part part_;
  i32 low_ = 0;      // the first cell of row 0
  i32 further_ = 0;  // rows that taps reach below the last position
  i32 slots_ = 0;
  i32 phase_[most_slots];
  i64 slot_step_ = 0;
};

}  // namespace tessera::host
