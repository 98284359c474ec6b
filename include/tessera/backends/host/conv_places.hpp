#pragma once

// Which cells a convolution's output cell gathers, along one axis, forward and backward.
//
//   forward    output q takes input q stride + s dilation - pad, for s = 0, 1, ... kernel - 1
//   backward   input h takes output (h + pad - s dilation) / stride, for those s that divide
//
// In both directions the taps that exist are an arithmetic progression, and so are the cells they
// meet; positions `run_step` apart meet neighbours with the same taps until a border clips them.

#include <numeric>

#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// The taps of one position: first, first + tap_step, ...; they meet cells at, at + cell_step, ...
struct tap_range {
  i32 first = 0;
  i32 count = 0;
  i32 at = 0;
};

/// Cells [first, last).
struct cell_range {
  i32 first, last;
};

struct conv_axis {
  i32 from;  // extent gathered from
  i32 to;    // extent of the positions
  i32 kernel, stride, pad, dilation;
  bool backward;
  i32 tap_step, cell_step;  // between taps of one position
  i32 run_step, run_cell;   // between positions with the same taps, and what they meet

  static constexpr conv_axis height(const conv_sizes& n, bool backward) {
    return conv_axis(n.in_height, n.out_height, n.kernel_height, n.stride_height, n.pad_top,
                     n.dilation_height, backward);
  }
  static constexpr conv_axis width(const conv_sizes& n, bool backward) {
    return conv_axis(n.in_width, n.out_width, n.kernel_width, n.stride_width, n.pad_left,
                     n.dilation_width, backward);
  }

  /// The cell that tap s of a position meets, -1 where there is none.
  i32 cell(i32 position, i32 s) const {
    if (!backward) {
      const i32 at = position * stride + s * dilation - pad;
      return at >= 0 && at < from ? at : -1;
    }
    const i32 at = position + pad - s * dilation;
    if (stride == 1) return at >= 0 && at < from ? at : -1;
    if (at < 0 || at % stride != 0) return -1;
    return at / stride < from ? at / stride : -1;
  }

  tap_range taps(i32 position) const {
    tap_range range;
    i32 s = 0;
    while (s < kernel && cell(position, s) < 0) ++s;
    if (s == kernel) return range;
    range.first = s;
    range.at = cell(position, s);
    for (; s < kernel && cell(position, s) >= 0; s += tap_step) ++range.count;
    return range;
  }

  /// How many positions from `position` to `last`, run_step apart, share its taps.
  i32 run(i32 position, const tap_range& range, i32 last) const {
    i32 length = 1;
    if (range.count == 0) return length;
    // Inside, the first tap moves by run_cell until a tap would leave or another one enter.
    for (i32 next = position + run_step; next < last; next += run_step, ++length) {
      if (cell(next, range.first) < 0) break;
      if (cell(next, range.first + (range.count - 1) * tap_step) < 0) break;
      if (range.first >= tap_step && cell(next, range.first - tap_step) >= 0) break;
      const i32 after = range.first + range.count * tap_step;
      if (after < kernel && cell(next, after) >= 0) break;
    }
    return length;
  }

  /// The cells that the taps of positions [first, last) may meet: a range that holds them all.
  cell_range cells(i32 first, i32 last) const {
    const i32 span = (kernel - 1) * dilation;
    i32 low = backward ? first + pad - span : first * stride - pad;
    i32 high = backward ? last - 1 + pad : (last - 1) * stride - pad + span;
    if (backward) {
      low = low <= 0 ? 0 : (low + stride - 1) / stride;
      high = high < 0 ? -1 : high / stride;
    }
    if (low < 0) low = 0;
    if (high >= from) high = from - 1;
    return {low, high < low ? low : high + 1};
  }

  /// From a cell that is met to the next one.
  i32 skips() const { return kernel == 1 && !backward ? stride : 1; }

  /// The most cells in a range of so many positions.
  constexpr i32 most_cells(i32 positions) const {
    const i32 span = (kernel - 1) * dilation;
    const i32 cells =
        backward ? (positions - 1 + span) / stride + 1 : (positions - 1) * stride + span + 1;
    return cells < from ? cells : from;
  }

 private:
  constexpr conv_axis(i32 in, i32 out, i32 kernel_of, i32 stride_of, i32 pad_of, i32 dilation_of,
                      bool back)
      : from(back ? out : in),
        to(back ? in : out),
        kernel(kernel_of),
        stride(stride_of),
        pad(pad_of),
        dilation(dilation_of),
        backward(back),
        tap_step(back ? stride_of / std::gcd(stride_of, dilation_of) : 1),
        cell_step(back ? -dilation_of / std::gcd(stride_of, dilation_of) : dilation_of),
        run_step(back ? stride_of : 1),
        run_cell(back ? 1 : stride_of) {}
};

/// Floats, or other numbers, between neighbours of an image whose samples lie innermost.
struct image_steps {
  i64 cell = 0, row = 0, plane = 0;

  constexpr image_steps() = default;
  constexpr image_steps(const conv_axis& height, const conv_axis& width, i64 batch)
      : cell(batch), row(width.from * batch), plane(height.from * width.from * batch) {}

  /// Sees only the columns that a 1x1 kernel with a stride meets.
  constexpr void skip_columns(conv_axis& width) {
    if (width.backward || width.kernel != 1 || width.pad != 0 || width.stride == 1) return;
    cell *= width.stride;
    width.from = width.to;
    width.stride = width.run_cell = 1;
  }
};

/// Sees an image as one row where nothing tells its rows apart: no kernel, stride or padding.
constexpr void join_rows(conv_axis& height, conv_axis& width) {
  const auto plain = [](const conv_axis& a) {
    return a.kernel == 1 && a.stride == 1 && a.pad == 0 && a.from == a.to;
  };
  if (!plain(height) || !plain(width)) return;
  width.from = width.to = height.from * width.from;
  height.from = height.to = 1;
}

/// Positions column, column + run_step, ... with the same taps.
struct column_run {
  i32 column, positions;
  tap_range taps;
};

/// All runs of the positions [first, last), up to 64 at a time: `next` finds the following ones
/// until there are none.
class column_runs {
 public:
  static constexpr i32 most = 64;

  explicit column_runs(const conv_axis& axis) : column_runs(axis, 0, axis.to) {}
  column_runs(const conv_axis& axis, i32 first, i32 last)
      : axis_(axis), first_(first), last_(last), column_(first) {}

  column_run all[most];
  i32 count = 0;

  bool next() {
    for (count = 0; count < most && phase_ < axis_.run_step && column_ < last_;) {
      column_run& run = all[count++];
      run.column = column_;
      run.taps = axis_.taps(column_);
      run.positions = axis_.run(column_, run.taps, last_);
      column_ += run.positions * axis_.run_step;
      if (column_ >= last_) column_ = first_ + ++phase_;
    }
    return count > 0;
  }

 private:
  const conv_axis& axis_;
  i32 first_, last_;
  i32 phase_ = 0;
  i32 column_;
};

}  // namespace tessera::host
