#pragma once

// Losses. Each is two operations: one that computes the loss, one that computes the gradient of
// what the network put out, with the loss scale and 1 / count folded in.
//
//   softmax_cross_entropy   (logits, target[, class weights]) -> loss, with p = softmax(logits)
//     loss = weight / W sum_n ( (1 - eps) v[t] (-log p[t]) + eps / C sum_c v[c] (-log p[c]) )
//     dz   = S weight / W ( p ((1 - eps) v[t] + eps / C sum_c v[c])
//                           - (1 - eps) v[t] onehot(t) - eps / C v )
//     v class weights (1 without), W = sum of v[t] over the samples that count (their number
//     without class weights), eps label smoothing, S loss scale. Targets equal to ignore_index and
//     the padded samples of a last batch contribute nothing.
//   mse                     (y, target) -> loss = weight / W sum (y - target)^2
//     dy = S weight / W 2 (y - target), W = number of elements of the samples that count
//
// Over time, (time, batch, ...), each point in time counts as a sample does: the operands are seen
// without it, rows in the order of memory, of which number r belongs to sample r mod samples.
//
// reduction sum: W = 1. none: W = 1 and one loss per target. Where a gradient comes in from above
// (a loss that is not the end), it multiplies the gradient going out.
// Arithmetic in f32 (f64 in the f64 policy) whatever the storage; the gradient takes the softmax of
// the logits again rather than keep it, rounded, for the way back. In place: the gradient over the
// logits or y. A target outside 0..C-1 that is not ignore_index makes loss and gradient NaN.
//
// Gradient operands: (logits or y, target, scaler, class weights, gradient of the loss), the last
// three optional.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// The loss tensor: scalar, or with reduction none one value per target; f32 and kept.
constexpr i32 append_loss(graph& g, i32 like, const shape& dims, tensor_name layer) {
  const i32 loss = append_like(g, like, dims, role::result, {layer.layer, 0, ""});
  g.tensors[loss].type = element::f32;
  if (dims.rank == 0) g.tensors[loss].batched = g.tensors[loss].batch_last = false;
  return loss;
}

/// `x`, whose leading extents count time, as a loss reads it: a plain tensor of `dims`, batch
/// first.
constexpr i32 without_time(graph& g, i32 x, const shape& dims) {
  const i32 seen = view(g, x, dims);
  g.tensors[seen].stack = 0;
  g.tensors[seen].batch_last = false;
  return seen;
}

/// Points in time of a tensor: the product of its leading extents that count time.
constexpr i32 times_of(const tensor& t) {
  i32 times = 1;
  for (i32 axis = 0; axis < t.stack; ++axis) times *= t.dims[axis];
  return times;
}

/// logits (batch, classes[, ...]), target (batch[, ...]) i32, class weights (classes) or -1. Over
/// time: logits (time, batch, classes), target (time, batch).
constexpr i32 softmax_cross_entropy(graph& g, i32 logits, i32 target, i32 class_weights,
                                    loss_attributes attr) {
  const tensor_name layer{"loss", 0, ""};
  if (const tensor t = g.tensors[logits]; t.stack > 0) {
    const i32 times = times_of(t);
    const i32 samples = t.dims[t.stack];
    const i32 classes = t.dims[t.stack + 1];
    if (t.dims.rank != t.stack + 2) {
      refuse(g, {"softmax_cross_entropy", "one value per class at each point in time",
                 spell_all<64>(t.sample()), "end with each_step<dense<classes>>"});
      return logits;
    }
    // Innermost samples are positions of a point in time, else every one is a row of its own.
    logits = without_time(
        g, logits, t.batch_last ? shape(times, classes, samples) : shape(times * samples, classes));
    target = without_time(g, target, t.batch_last ? shape(times, samples) : shape(times * samples));
    attr.samples = samples;
  }
  operation op;
  op.what = kind::softmax_cross_entropy;
  op.in[0] = logits;
  op.in[1] = target;
  op.in[2] = class_weights;
  const shape dims = attr.reduce == reduction::none ? g.tensors[target].dims : shape{};
  op.out[0] = append_loss(g, logits, dims, layer);
  op.attr.loss = attr;
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

/// y and target of one shape, target f32 (f64 in the f64 policy); over time (time, batch, ...).
constexpr i32 mse(graph& g, i32 y, i32 target, loss_attributes attr) {
  const tensor_name layer{"loss", 0, ""};
  if (const tensor t = g.tensors[y]; t.stack > 0) {
    const i32 times = times_of(t);
    const i32 samples = t.dims[t.stack];
    const i32 values = static_cast<i32>(t.dims.count()) / times / samples;
    // One row for each point in time and sample; where samples are innermost, for each of them and
    // value, a sample's after the other's.
    const shape rows =
        t.batch_last ? shape(times * values * samples, 1) : shape(times * samples, values);
    y = without_time(g, y, rows);
    target = without_time(g, target, rows);
    attr.samples = samples;
  }
  operation op;
  op.what = kind::mse;
  op.in[0] = y;
  op.in[1] = target;
  const shape dims = attr.reduce == reduction::none ? g.tensors[y].dims : shape{};
  op.out[0] = append_loss(g, y, dims, layer);
  op.attr.loss = attr;
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_loss(graph& g, const operation& forward, adjoints& a) {
  const bool entropy = forward.what == kind::softmax_cross_entropy;
  operation op = forward;
  op.what = entropy ? kind::softmax_cross_entropy_gradient : kind::mse_gradient;
  op.in[2] = g.scaler;
  op.in[3] = entropy ? forward.in[2] : -1;
  op.in[4] = a.of(forward.out[0]);
  for (i32 side = 0; side < (entropy ? 1 : 2);
       ++side) {  // mse is symmetric: a target may learn too
    op.in[0] = forward.in[side];
    op.in[1] = forward.in[1 - side];
    if (!a.wanted(op.in[0])) continue;
    op.out[0] = a.make(op.in[0], forward.layer);
    g.add(op);
    a.contribute(op.in[0], op.out[0]);
  }
}

constexpr loss_sizes sizes_of_loss(const graph& g, const operation& op) {
  const shape& y = g.tensors[op.in[0]].dims;
  loss_sizes sizes{y[0], 1, 1};
  const bool entropy =
      op.what == kind::softmax_cross_entropy || op.what == kind::softmax_cross_entropy_gradient;
  for (i32 axis = 1; axis < y.rank; ++axis) {
    (entropy && axis > 1 ? sizes.inner : sizes.classes) *= y[axis];
  }
  return sizes;
}

}  // namespace tessera::ops
