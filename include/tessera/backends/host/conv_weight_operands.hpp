#pragma once

// What both forms of the weight gradient, batch first, see: operands, and output channels in
// pieces.

#include <cstring>

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/dense_weight.hpp>  // gradient_sink
#include <tessera/backends/host/image_panel.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/host/strip_plan.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

template <class T>
class conv_weight_operands {
 public:
  conv_weight_operands(const conv_weight_view<T>& v, gradient_sink& sink)
      : v_(v),
        sink_(sink),
        height_(gather_axis::of(v.height, 0)),
        width_(gather_axis::of(v.width, 0)) {}

 protected:
  static constexpr i32 most_weights = 4096;  // of an output channel at a time

  i64 x_plane() const { return i64{v_.n.in_height} * v_.n.in_width; }
  i64 y_plane() const { return i64{v_.n.out_height} * v_.n.out_width; }
  i32 taps() const { return static_cast<i32>(v_.kernel()); }
  const T* x(i32 sample, i32 group, i32 channel) const {
    return v_.x + (i64{sample} * v_.n.in_channels + group * v_.n.group_in() + channel) * x_plane();
  }
  const T* dy(i32 sample, i32 group, i32 channel) const {
    return v_.dy +
           (i64{sample} * v_.n.out_channels + group * v_.n.group_out() + channel) * y_plane();
  }
  /// How many output channels at a time: as many as the sums hold, but a piece for each thread.
  row_blocks row_pieces(i64 weights, threads workers, i32 others) const {
    const i32 out = v_.n.group_out();
    i32 most = static_cast<i32>(strip_plan::sum_floats / weights);
    if (others < workers.count) {
      const i32 wanted = (workers.count + others - 1) / others;
      const i32 share = (out + wanted - 1) / wanted;
      if (share < most) most = share;
    }
    return row_blocks(out, most);
  }

  /// Rows of dy at the positions of a strip, as floats; zeros behind the last position.
  void copy_gradients(const T* from, i32 rows, const panel_part& part, float* to,
                      i64 to_row) const {
    for (i32 r = 0; r < rows; ++r, from += y_plane()) {
      float* const row = to + r * to_row;
      const T* const first = from + i64{part.row0} * width_.to + part.column0;
      const i64 positions = i64{part.rows} * part.columns;
      if (part.columns == width_.to) {
        copy_exactly(first, positions, row);
      } else {
        for (i32 i = 0; i < part.rows; ++i) {
          copy_exactly(first + i64{i} * width_.to, part.columns, row + i64{i} * part.columns);
        }
      }
      for (i64 i = positions; i < to_row; ++i) row[i] = 0;
    }
  }
  static void copy_exactly(const T* from, i64 n, float* to) {
    if constexpr (sizeof(T) == 4) {
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
    } else {
      widen(from, to, n);
    }
  }

  static i32 smaller_of(i32 a, i32 b) { return a < b ? a : b; }

  const conv_weight_view<T>& v_;
  gradient_sink& sink_;
  gather_axis height_, width_;
};

}  // namespace tessera::host
