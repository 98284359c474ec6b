#pragma once

// dense: y = x w^T + b, a matrix product over the features of every sample.
//
//   forward          y[n][o]  = sum_i x[n][i] w[o][i] + b[o]
//   data gradient    dx[n][i] = sum_o dy[n][o] w[o][i]
//   weight gradient  dw[o][i] = sum_n dy[n][o] x[n][i]
//   bias gradient    db[o]    = sum over samples and positions of dy   (also conv2d's)
//
// The weight gradient also goes over stacks, x (time, batch, in) and dy (time, batch, out): what a
// loop gives that adds up the gradients of its trips, to the same bits. Each slice has its own sum,
// rounded as if it were stored; slices are added one by one, `last_first` from the last on, and
// each time rounded again.
//
// Saved for the backward pass: x. In place: nothing.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/axis.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// x (batch, in), weight (out, in), bias (out) or -1. Returns y (batch, out).
constexpr i32 dense(graph& g, i32 x, i32 weight, i32 bias, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape& w = g.tensors[weight].dims;
  if (dims.rank != 2 || w.rank != 2 || w[1] != dims[1]) {
    refuse(g, {spell(layer), spell_all("a weight of out x ", dims.rank == 2 ? dims[1] : 0),
               spell_all<64>(w, " for an input of ", dims), "make their features agree"});
  }
  dims[1] = g.tensors[weight].dims[0];
  const i32 y = append_activation(g, x, dims, layer, "out");
  g.tensors[y].differentiable =
      needs_gradient(g, x) || needs_gradient(g, weight) || needs_gradient(g, bias);
  operation op;
  op.what = kind::dense;
  op.in[0] = x;
  op.in[1] = weight;
  op.in[2] = bias;
  op.out[0] = y;
  op.layer = layer;
  g.add(op);
  return y;
}

/// The gradient of the bias of `forward`, where it has one.
constexpr void differentiate_bias(graph& g, const operation& forward, i32 dy, adjoints& a) {
  const i32 bias = forward.in[2];
  if (!a.wanted(bias)) return;
  operation op;
  op.what = kind::bias_gradient;
  op.in[1] = dy;
  op.out[0] = a.make(bias, forward.layer);
  op.attr.axis = forward.what == kind::bias_add ? 0 : 1;
  op.layer = forward.layer;
  g.add(op);
  a.contribute(bias, op.out[0]);
}

/// Gradients of a product of x with a weight: dense and conv2d differ in their kinds only.
constexpr void differentiate_product(graph& g, const operation& forward, adjoints& a,
                                     kind weight_gradient, kind data_gradient) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  const i32 x = forward.in[0];
  const i32 weight = forward.in[1];
  differentiate_bias(g, forward, dy, a);
  if (a.wanted(weight)) {
    operation op = forward;
    op.what = weight_gradient;
    op.in[1] = dy;
    op.in[2] = -1;
    op.out[0] = a.make(weight, forward.layer);
    g.add(op);
    a.contribute(weight, op.out[0]);
  }
  if (a.wanted(x)) {
    operation op = forward;
    op.what = data_gradient;
    op.in[0] = dy;
    op.in[1] = weight;
    op.in[2] = -1;
    op.out[0] = a.make(x, forward.layer);
    g.add(op);
    a.contribute(x, op.out[0]);
  }
}

constexpr dense_sizes sizes_of_dense(const graph& g, const operation& op) {
  switch (op.what) {
    case kind::dense: {
      const shape& x = g.tensors[op.in[0]].dims;
      return {x[0], x[1], g.tensors[op.out[0]].dims[1]};
    }
    case kind::dense_data_gradient: {
      const shape& dx = g.tensors[op.out[0]].dims;
      return {dx[0], dx[1], g.tensors[op.in[0]].dims[1]};
    }
    default: {  // weight gradient, alone or fused with its update
      const tensor& x = g.tensors[op.in[0]];
      i32 slices = 1;
      for (i32 axis = 0; axis < x.stack; ++axis) slices *= x.dims[axis];
      const i32 out = g.tensors[op.in[1]].dims[x.stack + 1];
      const i32 batch = x.dims[x.stack];
      const i32 in = x.dims[x.stack + 1];
      return {batch, in, out, slices, slices > 1 && op.attr.last_first ? 1 : 0};
    }
  }
}

/// Without samples, rows are what a product goes over (axis 1 has its channels), and channels what
/// comes first elsewhere (axis 0).
constexpr bias_sizes sizes_of_bias(const graph& g, const operation& op) {
  const tensor& t = g.tensors[op.in[1]];
  if (t.stack > 0 || (!t.batched && op.attr.axis == 0)) {
    const axis_view dy = view_along_channels(t);
    return {dy.outer, dy.along, dy.inner};
  }
  bias_sizes sizes{t.dims[0], t.dims[1], 1};
  for (i32 axis = 2; axis < t.dims.rank; ++axis) sizes.inner *= t.dims[axis];
  return sizes;
}

}  // namespace tessera::ops
