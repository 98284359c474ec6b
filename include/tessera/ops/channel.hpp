#pragma once

// Operations with one number a channel (or feature): the first extent of a sample, behind stacks.
//
//   operation               forward                      backward                      in place
//   bias_add                y = x + b[c]                 dx = dy, db = bias_gradient   over x
//   channel_scale           y = x s[c]                   dx = dy s[c], ds below        over x
//   channel_scale_gradient  ds[c] = sum of x dy over     -                             no
//                           samples, stacks, positions
//   prelu                   y = x > 0 ? x : a[c] x       the two below                 over x
//   prelu_gradient          dx = x > 0 ? dy : a[c] dy    -                             over dy
//   prelu_slope_gradient    da[c] = sum of x <= 0 ? x    -                             no
//                           dy : 0, as above
//
// Saved for the backward pass: bias_add nothing, channel_scale and prelu x. A single slope of prelu
// is one channel of everything. Any layout: kernels see rows of channels of contiguous elements,
// (outer, channels, inner), see ops/axis.hpp. Source of prelu: He et al. 2015.

#include <tessera/ops/axis.hpp>
#include <tessera/ops/dense.hpp>

namespace tessera::ops {

/// y = x op v, v with one number for each channel of x.
constexpr i32 by_channel(graph& g, kind what, i32 x, i32 v, const char* part, tensor_name layer) {
  const shape dims = g.tensors[x].sample();
  const i32 axis = g.tensors[x].stack;
  const i32 channels = axis < dims.rank ? dims[axis] : 0;
  const bool one_for_all = what == kind::prelu && g.tensors[v].dims == shape(1);
  if (g.tensors[v].dims != shape(channels) && !one_for_all) {
    refuse(g, {spell(layer), spell_all("a ", part, " of ", channels, " channels"),
               spell_all<64>(g.tensors[v].dims, " for a value of ", dims),
               "give one number a channel"});
  }
  const i32 y = append_activation(g, x, g.tensors[x].dims, layer, "out");
  g.tensors[y].differentiable = g.tensors[x].differentiable || g.tensors[v].differentiable;
  operation op;
  op.what = what;
  op.in[0] = x;
  op.in[1] = v;
  op.out[0] = y;
  op.layer = layer;
  g.add(op);
  return y;
}

/// x (batch, channels, ...), bias (channels).
constexpr i32 bias_add(graph& g, i32 x, i32 bias, tensor_name layer) {
  return by_channel(g, kind::bias_add, x, bias, "bias", layer);
}

/// x (batch, channels, ...), scale (channels).
constexpr i32 channel_scale(graph& g, i32 x, i32 scale, tensor_name layer) {
  return by_channel(g, kind::channel_scale, x, scale, "scale", layer);
}

/// x (batch, channels, ...), slope (channels), or (1) for all of x.
constexpr i32 prelu(graph& g, i32 x, i32 slope, tensor_name layer) {
  return by_channel(g, kind::prelu, x, slope, "slope", layer);
}

constexpr void differentiate_bias_add(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  operation with_bias = forward;
  with_bias.in[2] = forward.in[1];
  differentiate_bias(g, with_bias, dy, a);
  a.contribute(forward.in[0], dy);
}

constexpr void differentiate_channel_scale(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  const i32 x = forward.in[0];
  const i32 scale = forward.in[1];
  if (a.wanted(scale)) {
    operation op = forward;
    op.what = kind::channel_scale_gradient;
    op.in[1] = dy;
    op.out[0] = a.make(scale, forward.layer);
    g.add(op);
    a.contribute(scale, op.out[0]);
  }
  if (a.wanted(x)) {
    operation op = forward;
    op.in[0] = dy;
    op.out[0] = a.make(x, forward.layer);
    g.add(op);
    a.contribute(x, op.out[0]);
  }
}

constexpr void differentiate_prelu(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  const i32 x = forward.in[0];
  const i32 slope = forward.in[1];
  if (a.wanted(slope)) {
    operation op = forward;
    op.what = kind::prelu_slope_gradient;
    op.in[1] = dy;
    op.out[0] = a.make(slope, forward.layer);
    g.add(op);
    a.contribute(slope, op.out[0]);
  }
  if (a.wanted(x)) {
    operation op = forward;
    op.what = kind::prelu_gradient;
    op.in[2] = dy;
    op.out[0] = a.make(x, forward.layer);
    g.add(op);
    a.contribute(x, op.out[0]);
  }
}

constexpr bias_sizes sizes_of_channels(const graph& g, const operation& op) {
  const axis_view x = view_along_channels(g.tensors[op.in[0]]);
  const bool slopes = op.what == kind::prelu || op.what == kind::prelu_gradient ||
                      op.what == kind::prelu_slope_gradient;
  if (slopes) {  // a single slope: all channels are one
    const i32 slope = op.what == kind::prelu_slope_gradient ? op.out[0] : op.in[1];
    if (g.tensors[slope].dims[0] == 1) return {x.outer, 1, x.along * x.inner};
  }
  return {x.outer, x.along, x.inner};
}

}  // namespace tessera::ops
