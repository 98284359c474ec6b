#pragma once

// One channel of one image as floats with zeros around them, a strip of rows at a time: what
// convolutions of single channels read (conv_first_depthwise.hpp, conv_weight_depthwise.hpp).
//
// Position j of an axis meets, with tap t, cell j step + base + t base_step of the image
// (image_panel.hpp). Cells of a row that lie `step` apart are neighbours here, one row for each
// remainder, so that a vector of positions is a vector of cells for every tap:
//
//   a row of 8 cells, padded by 1, stride 2       0 b d f h 0 ..  | a c e g 0 0 ..
//
// Zeros around the image are written once and stay while channels come and go; where a channel has
// several strips, rows above and below it are written for each. A row ends in zeros for whole
// vectors of positions, so that lanes behind the last one meet zeros and nothing of the image.

#include <cstring>

#include <tessera/backends/host/image_panel.hpp>  // gather_axis, row_cells
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

class depthwise_plane {
 public:
  static constexpr i32 most_columns = 64;  // of taps
  static constexpr i32 most_taps = 256;

  constexpr depthwise_plane(const gather_axis& height, const gather_axis& width)
      : height_(height), width_(width) {
    const i32 columns = width.taps > 0 ? width.taps : 1;
    low_row_ = lowest(height);
    low_column_ = lowest(width);
    if (columns > most_columns || i64{height.taps} * width.taps > most_taps) return;
    const i32 furthest = (columns - 1) * distance(width) / width.step;
    pitch_ = up(up(width.to) + furthest + 1);
    if (width.step == 1 && low_column_ < 0) lead_ = up(-low_column_) + low_column_;
    // Strips of 16 KiB stay in the first-level cache beside what is written.
    constexpr i64 near = 4096;
    const i32 close = rows_within(near);
    if (close == height.to) {
      rows_ = close;
    } else if (close >= block) {
      rows_ = close / block * block;
    } else {
      const i32 most = rows_within(most_floats);
      rows_ = most < block ? most : block;
    }
  }

  /// False for taps and rows that are too many.
  constexpr bool fits() const { return rows_ > 0; }
  /// Rows of positions of a strip.
  constexpr i32 strip_rows() const { return rows_; }
  i32 strips() const { return (height_.to + rows_ - 1) / rows_; }
  /// Of whole vectors.
  i64 floats() const { return cell_rows(rows_) * row() + 2 * simd::lanes; }

  /// From row to row of cells, of positions, of taps in the order of cells.
  i64 row() const { return i64{width_.step} * pitch_; }
  i64 position_row() const { return height_.step * row(); }
  i64 tap_row() const { return distance(height_) * row(); }
  /// Neighbouring positions and neighbouring taps meet neighbouring rows.
  bool shares_rows() const { return height_.step == 1 && distance(height_) == 1; }

  /// The number of the kernel row that meets the t-th row of cells.
  i32 kernel_row(i32 t) const {
    return height_.first_tap +
           (height_.base_step < 0 ? height_.taps - 1 - t : t) * height_.tap_step;
  }
  i32 kernel_column(i32 t) const { return width_.first_tap + t * width_.tap_step; }
  /// Where column t of the taps finds position 0, behind `cells()`.
  i32 column(i32 t) const {
    const i32 further = width_.cell(t) - low_column_;
    return further % width_.step * pitch_ + further / width_.step;
  }

  void clear(float* buffer) const {
    std::memset(buffer, 0, static_cast<std::size_t>(floats()) * sizeof(float));
  }
  const float* cells(const float* buffer) const { return buffer + lead_; }

  /// The rows of cells that `rows` rows of positions from row0 on meet.
  template <class T>
  void fill(const T* image, i32 row0, i32 rows, float* buffer) const {
    using namespace simd;
    const i32 count = static_cast<i32>(cell_rows(rows));
    const i32 first = low_row_ + row0 * height_.step;
    const i32 high = height_.from - first < count ? height_.from - first : count;
    float* to = buffer + lead_;
    i32 i = 0;
    const bool zeros_stay = rows_ == height_.to;
    for (; i < count && first + i < 0; ++i, to += row()) {
      if (!zeros_stay) fill_zeros(to, row());
    }
    const T* from = image + i64{first + i} * width_.from;
    if (width_.step == 1) {
      const row_cells across(low_column_, 1, pitch_, width_.from);
      const i32 inside = across.high - across.low;
      const i32 whole = inside / lanes * lanes;
      from += across.first + across.low;
      for (; i < high; ++i, from += width_.from, to += row()) {
        float* const at = to + across.low;
        for (i32 j = 0; j < whole; j += lanes) store(at + j, load(from + j));
        if (whole < inside) store(at + whole, load_partial(from + whole, inside - whole));
      }
    } else {
      if (i < high) fill_apart(from, high - i, to);
      for (; i < high; ++i) to += row();
    }
    if (zeros_stay) return;
    for (; i < count; ++i, to += row()) fill_zeros(to, row());
  }

  static constexpr i32 block = 7;  // rows of positions that kernels take at a time
  static constexpr i64 most_floats = workspace::capacity - 1024;

 private:
  static constexpr i32 up(i32 n) { return (n + simd::lanes - 1) / simd::lanes * simd::lanes; }
  static constexpr i32 distance(const gather_axis& a) {
    return a.base_step < 0 ? -a.base_step : a.base_step;
  }
  static constexpr i32 lowest(const gather_axis& a) {
    return a.base_step < 0 && a.taps > 0 ? a.base + (a.taps - 1) * a.base_step : a.base;
  }
  constexpr i64 cell_rows(i32 rows) const {
    return i64{rows - 1} * height_.step +
           i64{height_.taps > 0 ? height_.taps - 1 : 0} * distance(height_) + 1;
  }
  constexpr i32 rows_within(i64 floats) const {
    const i64 all = floats / (i64{width_.step} * pitch_) - cell_rows(1);
    if (all < 0) return 0;
    const i64 rows = all / height_.step + 1;
    return rows < height_.to ? static_cast<i32>(rows) : height_.to;
  }

  template <class T>
  void fill_apart(const T* from, i32 rows, float* to) const {
    using namespace simd;
    for (i32 phase = 0; phase < width_.step; ++phase, to += pitch_) {
      const row_cells across(low_column_ + phase, width_.step, pitch_, width_.from);
      const T* first = from + across.first + i64{across.low} * across.step;
      float* cells = to + across.low;
      const i32 inside = across.high - across.low;
      for (i32 i = 0; i < rows; ++i, first += width_.from, cells += row()) {
        for (i32 j = 0; j < inside; j += lanes) {
          const i32 n = inside - j < lanes ? inside - j : lanes;
          const T* const at = first + i64{j} * across.step;
          const vec x =
              across.step == 2 ? load_apart<2>(at, 2, n) : load_apart<0>(at, across.step, n);
          if (across.low + j + lanes <= pitch_) {
            store(cells + j, x);
          } else {
            store_partial(cells + j, x, n);
          }
        }
      }
    }
  }

  gather_axis height_, width_;
  i32 low_row_ = 0;  // the first cells that position 0 meets
  i32 low_column_ = 0;
  i32 pitch_ = 1;
  i32 lead_ = 0;  // so that cells of the image start vectors
  i32 rows_ = 0;
};

}  // namespace tessera::host
