#pragma once

// conv2d: cross-correlation of every sample's channels with a bank of filters.
//
//   y[n][o][p][q] = b[o] + sum over c, r, s of
//                   w[o][c][r][s] x[n][g + c][p sh + r dh - top][q sw + s dw - left]
//
// with g the first input channel of o's group; cells outside x are zeros. The gradients follow by
// the same triples (o, c, r, s). Saved for the backward pass: x. In place: nothing.

#include <tessera/ops/dense.hpp>

namespace tessera::ops {

/// Cells that fit along one axis: floor((in + pads - span) / stride) + 1; at most 0 where the
/// window does not fit.
constexpr i32 window_count(const window& w, i32 axis, i32 in) {
  const i32 span = (w.kernel[axis] - 1) * w.dilation[axis] + 1;
  const i32 room = in + w.pad_begin[axis] + w.pad_end[axis] - span;
  return room < 0 ? 0 : room / w.stride[axis] + 1;
}

/// Records a window that does not fit its image.
constexpr void refuse_empty(graph& g, const shape& out, i32 x, tensor_name layer) {
  if (out[2] > 0 && out[3] > 0) return;
  refuse(g, {spell(layer), "a window that fits the padded image", spell_all<64>(g.tensors[x].dims),
             "add padding or use a smaller window"});
}

/// x (batch, channels, height, width), weight (out, channels / groups, kernel height, kernel
/// width), bias (out) or -1. Returns y (batch, out, height', width').
constexpr i32 conv2d(graph& g, i32 x, i32 weight, i32 bias, const window& win, i32 groups,
                     tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape& w = g.tensors[weight].dims;
  if (dims.rank != 4 || w.rank != 4 || groups < 1 || w[1] * groups != dims[1] ||
      w[0] % groups != 0 || w[2] != win.kernel[0] || w[3] != win.kernel[1]) {
    refuse(g, {spell(layer), spell_all("a weight of out x in / ", groups, " x kernel"),
               spell_all<64>(w, " for an input of ", dims), "make channels and kernel agree"});
  }
  dims[1] = w[0];
  dims[2] = window_count(win, 0, dims[2]);
  dims[3] = window_count(win, 1, dims[3]);
  refuse_empty(g, dims, x, layer);
  const i32 y = append_activation(g, x, dims, layer, "out");
  g.tensors[y].differentiable =
      needs_gradient(g, x) || needs_gradient(g, weight) || needs_gradient(g, bias);
  operation op;
  op.what = kind::conv2d;
  op.in[0] = x;
  op.in[1] = weight;
  op.in[2] = bias;
  op.out[0] = y;
  op.attr.win = win;
  op.attr.groups = groups;
  op.layer = layer;
  g.add(op);
  return y;
}

constexpr conv_sizes sizes_of_conv(const graph& g, const operation& op) {
  i32 x = op.in[0];
  i32 y = op.in[1];  // weight gradient, alone or fused: (x, dy)
  if (op.what == kind::conv2d || op.what == kind::quantized_conv2d) y = op.out[0];
  if (op.what == kind::conv2d_data_gradient) x = op.out[0], y = op.in[0];
  const shape& in = g.tensors[x].dims;
  const shape& out = g.tensors[y].dims;
  const window& w = op.attr.win;
  return {in[0],          in[1],         in[2],         in[3],         out[1],      out[2],
          out[3],         w.kernel[0],   w.kernel[1],   w.stride[0],   w.stride[1], w.pad_begin[0],
          w.pad_begin[1], w.dilation[0], w.dilation[1], op.attr.groups};
}

}  // namespace tessera::ops
