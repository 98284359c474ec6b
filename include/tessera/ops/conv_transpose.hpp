#pragma once

// Transposed convolution: what undoes the shape of a convolution, also called deconvolution.
//
// It is the data gradient of conv2d run forward, so it needs no kernel of its own:
//
//   conv2d                                  conv_transpose2d
//   x (in) -- w --> y (out)                 y (out) <-- w -- x (in)      y = data gradient of x
//   dx = data gradient of dy                dx = conv2d of dy
//   dw = weight gradient of (x, dy)         dw = weight gradient of (dy, x)
//
// The weight (in, out / groups, kernel height, kernel width) is that of the convolution from y to
// x. Each cell of x adds its value times the kernel to y, at steps of the stride:
//   height of y = (height - 1) stride - pads + dilation (kernel - 1) + 1 + output padding
// Output padding: rows and columns at the end that a convolution with this stride would not see.
// Saved for the backward pass: x. In place: nothing (its bias: over the sum).
// Source: Zeiler, Krishnan, Taylor, Fergus 2010; Dumoulin, Visin 2016, ch. 4.

#include <tessera/ops/channel.hpp>
#include <tessera/ops/conv.hpp>

namespace tessera::ops {

/// Cells of y along an axis; at most 0 where padding takes them all.
constexpr i32 transposed_count(const window& w, i32 axis, i32 in, i32 output_padding) {
  return (in - 1) * w.stride[axis] - w.pad_begin[axis] - w.pad_end[axis] +
         w.dilation[axis] * (w.kernel[axis] - 1) + 1 + output_padding;
}

/// x (batch, in, height, width), weight (in, out / groups, kernel height, kernel width), bias (out)
/// or -1. Returns y (batch, out, height', width').
constexpr i32 conv_transpose2d(graph& g, i32 x, i32 weight, i32 bias, const window& win,
                               const i32 (&output_padding)[2], i32 groups, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape w = g.tensors[weight].dims;
  if (dims.rank != 4 || w.rank != 4 || groups < 1 || w[0] != dims[1] || w[0] % groups != 0 ||
      w[2] != win.kernel[0] || w[3] != win.kernel[1]) {
    refuse(g, {spell(layer), spell_all("a weight of in x out / ", groups, " x kernel"),
               spell_all<64>(w, " for an input of ", dims), "make channels and kernel agree"});
    return x;
  }
  dims[1] = w[1] * groups;
  for (i32 axis = 0; axis < 2; ++axis) {
    dims[2 + axis] = transposed_count(win, axis, dims[2 + axis], output_padding[axis]);
  }
  if (dims[2] < 1 || dims[3] < 1) {
    refuse(g, {spell(layer), "padding that leaves cells", spell_all<64>(g.tensors[x].dims),
               "pad less"});
    return x;
  }
  const i32 y = append_activation(g, x, dims, layer, bias < 0 ? "out" : "sum");
  g.tensors[y].differentiable = g.tensors[x].differentiable || g.tensors[weight].differentiable;
  operation op;
  op.what = kind::conv2d_data_gradient;
  op.in[0] = x;
  op.in[1] = weight;
  op.out[0] = y;
  op.attr.win = win;
  op.attr.groups = groups;
  op.layer = layer;
  g.add(op);
  return bias < 0 ? y : bias_add(g, y, bias, layer);
}

/// The gradient of a data gradient that runs forward.
constexpr void differentiate_conv_transpose(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  const i32 x = forward.in[0];
  const i32 weight = forward.in[1];
  if (a.wanted(weight)) {
    operation op = forward;
    op.what = kind::conv2d_weight_gradient;
    op.in[0] = dy;
    op.in[1] = x;
    op.out[0] = a.make(weight, forward.layer);
    g.add(op);
    a.contribute(weight, op.out[0]);
  }
  if (a.wanted(x)) {
    operation op = forward;
    op.what = kind::conv2d;
    op.in[0] = dy;
    op.out[0] = a.make(x, forward.layer);
    g.add(op);
    a.contribute(x, op.out[0]);
  }
}

}  // namespace tessera::ops
