#pragma once

// Pooling: the largest or the mean value of a window that slides over height and width.
//
//   max  saved: the winner's place in its window (row-major, the first maximum wins) as u8, as i32
//        where a window has more than 256 cells. Padded cells never win.
//   avg  saved: nothing. The divisor counts the window's cells inside the image, and with
//        count_include_pad those in the padding too (never those beyond it).
//
// In place: nothing, a cell belongs to several windows.

#include <tessera/ops/conv.hpp>

namespace tessera::ops {

/// Cells along one axis; with ceil_mode a last window that starts inside the image or its leading
/// padding may reach past the end.
constexpr i32 pool_count(const window& w, i32 axis, i32 in) {
  const i32 floored = window_count(w, axis, in);
  if (!w.ceil_mode) return floored;
  const i32 span = (w.kernel[axis] - 1) * w.dilation[axis] + 1;
  const i32 room = in + w.pad_begin[axis] + w.pad_end[axis] - span;
  if (room < 0) return floored;
  i32 n = (room + w.stride[axis] - 1) / w.stride[axis] + 1;
  if ((n - 1) * w.stride[axis] >= in + w.pad_begin[axis]) --n;
  return n;
}

/// The tensor for the places that `pool`, a max pool, saves.
constexpr i32 append_places(graph& g, const operation& pool) {
  const i32 y = pool.out[0];
  const i32 index = append_like(g, y, g.tensors[y].dims, role::saved, part_of(pool.layer, "index"));
  const window& w = pool.attr.win;
  g.tensors[index].type = w.kernel[0] * w.kernel[1] <= 256 ? element::uint8 : element::int32;
  g.tensors[index].differentiable = false;
  return index;
}

/// x (batch, channels, height, width). Returns y (batch, channels, height', width').
constexpr i32 pool2d(graph& g, kind what, i32 x, const window& win, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  dims[2] = pool_count(win, 0, dims[2]);
  dims[3] = pool_count(win, 1, dims[3]);
  refuse_empty(g, dims, x, layer);
  const i32 y = append_activation(g, x, dims, layer, "out");
  operation op;
  op.what = what;
  op.in[0] = x;
  op.out[0] = y;
  op.attr.win = win;
  op.layer = layer;
  if (what == kind::max_pool2d && g.tensors[x].differentiable) op.out[1] = append_places(g, op);
  g.add(op);
  return y;
}

constexpr void differentiate_pool(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what =
      forward.what == kind::max_pool2d ? kind::max_pool2d_gradient : kind::avg_pool2d_gradient;
  op.in[0] = dy;
  op.in[1] = forward.out[1];
  op.out[0] = a.make(forward.in[0], forward.layer);
  op.out[1] = -1;
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr pool_sizes sizes_of_pool(const graph& g, const operation& op) {
  const bool forward = op.what == kind::max_pool2d || op.what == kind::avg_pool2d ||
                       op.what == kind::max_unpool2d_gradient;  // reads the large image
  const shape& x = g.tensors[forward ? op.in[0] : op.out[0]].dims;
  const shape& y = g.tensors[forward ? op.out[0] : op.in[0]].dims;
  const window& w = op.attr.win;
  return {x[0],
          x[1],
          x[2],
          x[3],
          y[2],
          y[3],
          w.kernel[0],
          w.kernel[1],
          w.stride[0],
          w.stride[1],
          w.pad_begin[0],
          w.pad_begin[1],
          w.pad_end[0],
          w.pad_end[1],
          w.dilation[0],
          w.dilation[1],
          w.count_include_pad ? 1 : 0};
}

}  // namespace tessera::ops
