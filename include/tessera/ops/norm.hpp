#pragma once

// Normalization: y = (x - mean) / sqrt(variance + epsilon) gamma + beta, with statistics over
//
//   batch_norm             all samples and positions, for each channel
//   batch_norm_inference   nothing: running statistics take the place of the batch's
//   group_norm             the channels of a group and all positions, for each sample and group;
//                          groups == channels is instance normalization
//   layer_norm             the trailing `extents` of a sample, for each of the rows before them
//   rms_norm               the same, without mean: y = x / sqrt(mean of x^2 + epsilon) gamma
//
//   operation                       in                               out
//   batch_norm                      x, gamma, beta                   y, running mean, running
//                                                                    variance, mean, inverse
//   batch_norm_inference            x, gamma, beta, running mean,    y
//                                   running variance
//   group_norm, layer_norm          x, gamma, beta                   y, -, -, mean, inverse
//   rms_norm                        x, gamma                         y, -, -, -, inverse
//   batch_norm_inference_gradient   x, dy, gamma, running mean,      dx, dgamma, dbeta
//                                   running variance
//   the other gradients             x, dy, gamma, mean, inverse      dx, dgamma, dbeta
//
// gamma, beta and the running statistics are optional; a gradient that nobody wants is absent.
// `mean` and `inverse` (1 / sqrt(variance + epsilon)) are saved for the gradient, with x. The
// variance is the biased one (divided by the count n); running statistics are states of the layer,
// read and written in place: running = (1 - momentum) running + momentum batch, with the unbiased
// variance (divided by n - 1) for the batch. Only the `valid` samples of a step count in batch
// statistics and their gradients; what the padded ones put out is finite and means nothing, and
// their dx is 0.
//
// Gradients, with h = (x - mean) inverse, g = dy gamma and means over what one statistic is over:
//   dx = inverse (g - mean of g - h mean of g h)     rms: without the mean of g; inference:
//   dgamma = sum dy h    dbeta = sum dy                inverse g
//
// x, y, dy and dx have the storage type; everything else has the master type and all arithmetic is
// in f32 (f64 in the f64 policy). Sums of squares are taken about the mean, so that a large mean
// does not cancel. In place: y over x, dx over dy.
// Sources: Ioffe, Szegedy 2015; Ba, Kiros, Hinton 2016; Ulyanov et al. 2016; Wu, He 2018; Zhang,
// Sennrich 2019.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// True for the operations of this file that go forward.
constexpr bool is_norm(kind what) {
  return what == kind::batch_norm || what == kind::batch_norm_inference ||
         what == kind::group_norm || what == kind::layer_norm || what == kind::rms_norm;
}

/// The gradient of a normalization; none for other kinds.
constexpr kind norm_gradient(kind forward) {
  switch (forward) {
    case kind::batch_norm: return kind::batch_norm_gradient;
    case kind::batch_norm_inference: return kind::batch_norm_inference_gradient;
    case kind::group_norm: return kind::group_norm_gradient;
    case kind::layer_norm: return kind::layer_norm_gradient;
    case kind::rms_norm: return kind::rms_norm_gradient;
    default: return kind::none;
  }
}

constexpr bool is_norm_gradient(kind what) {
  return what == kind::batch_norm_gradient || what == kind::batch_norm_inference_gradient ||
         what == kind::group_norm_gradient || what == kind::layer_norm_gradient ||
         what == kind::rms_norm_gradient;
}

/// A statistic that outlives the step: a running mean (zeros at first) or variance (ones).
constexpr i32 statistic(graph& g, const shape& dims, tensor_name name, initializer first) {
  tensor t;
  t.dims = dims;
  t.what = role::statistic;
  t.name = name;
  t.init = first;
  return append_lasting(g, t);
}

namespace detail {

/// Refuses a gamma, beta or running statistic that is not of shape `dims`; -1 is always right.
constexpr void refuse_scale(graph& g, i32 id, const shape& dims, tensor_name layer) {
  if (id < 0 || g.tensors[id].dims == dims) return;
  refuse(g, {spell(layer), spell_all("scales and statistics of shape ", dims),
             spell_all<64>(g.tensors[id].dims), "make them fit the channels"});
}

/// Appends a forward operation whose saved statistics have extents `dims`, laid out like x;
/// `batch`: one for each channel instead.
constexpr i32 append_norm(graph& g, operation op, const shape& dims, bool batch) {
  const i32 x = op.in[0];
  const bool differentiable = g.tensors[x].differentiable ||
                              (op.in[1] >= 0 && g.tensors[op.in[1]].differentiable) ||
                              (op.in[2] >= 0 && g.tensors[op.in[2]].differentiable);
  op.out[0] = append_activation(g, x, g.tensors[x].dims, op.layer, "out");
  g.tensors[op.out[0]].differentiable = differentiable;
  if (differentiable && op.what != kind::batch_norm_inference) {
    for (const i32 slot : {3, 4}) {
      if (slot == 3 && op.what == kind::rms_norm) continue;
      const i32 id = append_like(g, x, dims, role::saved,
                                 part_of(op.layer, slot == 3 ? "mean" : "inverse_deviation"));
      tensor& t = g.tensors[id];
      t.type = element::f32;
      t.differentiable = false;
      if (batch) {
        t.batched = t.batch_last = false;
        t.stack = 0;
      }
      op.out[slot] = id;
    }
  }
  g.add(op);
  return op.out[0];
}

constexpr void refuse_image(graph& g, i32 x, tensor_name layer) {
  const tensor& t = g.tensors[x];
  if (t.batched && t.stack == 0 && t.dims.rank >= 2) return;
  refuse(g, {spell(layer), "samples with channels (batch x channels x ...)", spell_all<64>(t.dims),
             "put it where samples have channels"});
}

}  // namespace detail

/// x (batch, channels[, ...]); gamma, beta and the running statistics (channels) or -1. Returns y.
constexpr i32 batch_norm(graph& g, i32 x, i32 gamma, i32 beta, i32 running_mean,
                         i32 running_variance, const norm_attributes& attr, tensor_name layer) {
  detail::refuse_image(g, x, layer);
  const shape channels(g.tensors[x].dims[1]);
  for (const i32 id : {gamma, beta, running_mean, running_variance}) {
    detail::refuse_scale(g, id, channels, layer);
  }
  operation op;
  op.what = kind::batch_norm;
  op.in[0] = x;
  op.in[1] = gamma;
  op.in[2] = beta;
  op.out[1] = running_mean;
  op.out[2] = running_variance;
  op.attr.norm = attr;
  op.layer = layer;
  return detail::append_norm(g, op, channels, true);
}

/// The same with given statistics.
constexpr i32 batch_norm_inference(graph& g, i32 x, i32 gamma, i32 beta, i32 running_mean,
                                   i32 running_variance, const norm_attributes& attr,
                                   tensor_name layer) {
  detail::refuse_image(g, x, layer);
  const shape channels(g.tensors[x].dims[1]);
  for (const i32 id : {gamma, beta, running_mean, running_variance}) {
    detail::refuse_scale(g, id, channels, layer);
  }
  operation op;
  op.what = kind::batch_norm_inference;
  op.in[0] = x;
  op.in[1] = gamma;
  op.in[2] = beta;
  op.in[3] = running_mean;
  op.in[4] = running_variance;
  op.attr.norm = attr;
  op.layer = layer;
  return detail::append_norm(g, op, channels, true);
}

/// x (batch, channels[, ...]), `attr.groups` divides the channels; gamma, beta (channels) or -1.
constexpr i32 group_norm(graph& g, i32 x, i32 gamma, i32 beta, const norm_attributes& attr,
                         tensor_name layer) {
  detail::refuse_image(g, x, layer);
  const shape& dims = g.tensors[x].dims;
  if (attr.groups < 1 || dims[1] % attr.groups != 0) {
    refuse(g, {spell(layer), spell_all("channels that ", attr.groups, " groups divide"),
               spell_all<64>(dims[1], " channels"), "change groups or channels"});
  }
  for (const i32 id : {gamma, beta}) detail::refuse_scale(g, id, shape(dims[1]), layer);
  const shape statistics(dims[0], attr.groups);
  operation op;
  op.what = kind::group_norm;
  op.in[0] = x;
  op.in[1] = gamma;
  op.in[2] = beta;
  op.attr.norm = attr;
  op.layer = layer;
  return detail::append_norm(g, op, statistics, false);
}

/// layer_norm, or rms_norm (which has no beta): over the last `attr.extents` of a sample's extents,
/// 0: over all; gamma and beta of those extents, or -1.
constexpr i32 layer_norm(graph& g, kind what, i32 x, i32 gamma, i32 beta, norm_attributes attr,
                         tensor_name layer) {
  const tensor& t = g.tensors[x];
  const i32 most = t.dims.rank - t.stack - 1;  // without the batch
  if (attr.extents == 0) attr.extents = most;
  if (!t.batched || attr.extents < 1 || attr.extents > most) {
    refuse(g, {spell(layer), spell_all("samples of at least ", attr.extents, " extents"),
               spell_all<64>(t.dims), "normalize over fewer extents"});
    attr.extents = most;
  }
  shape scales;
  shape statistics = t.dims;
  scales.rank = attr.extents;
  for (i32 axis = 0; axis < attr.extents; ++axis) {
    scales[axis] = t.dims[t.dims.rank - attr.extents + axis];
    statistics[statistics.rank - attr.extents + axis] = 0;
  }
  statistics.rank -= attr.extents;
  for (const i32 id : {gamma, beta}) detail::refuse_scale(g, id, scales, layer);
  operation op;
  op.what = what;
  op.in[0] = x;
  op.in[1] = gamma;
  op.in[2] = beta;
  op.attr.norm = attr;
  op.layer = layer;
  return detail::append_norm(g, op, statistics, false);
}

constexpr void differentiate_norm(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  operation op;
  op.what = norm_gradient(forward.what);
  op.attr = forward.attr;
  op.layer = forward.layer;
  op.in[0] = forward.in[0];
  op.in[1] = dy;
  op.in[2] = forward.in[1];
  const bool running = forward.what == kind::batch_norm_inference;
  op.in[3] = running ? forward.in[3] : forward.out[3];
  op.in[4] = running ? forward.in[4] : forward.out[4];
  bool any = false;
  for (i32 slot = 0; slot < 3; ++slot) {
    if (!a.wanted(forward.in[slot])) continue;
    op.out[slot] = a.make(forward.in[slot], forward.layer);
    any = true;
  }
  if (!any) return;
  g.add(op);
  for (const i32 slot : {1, 2, 0}) {
    if (op.out[slot] >= 0) a.contribute(forward.in[slot], op.out[slot]);
  }
}

constexpr norm_sizes sizes_of_norm(const graph& g, const operation& op) {
  const tensor& x = g.tensors[op.in[0]];
  norm_sizes n{x.dims[x.stack], 1, 1, 1};
  const bool layer = op.what == kind::layer_norm || op.what == kind::layer_norm_gradient ||
                     op.what == kind::rms_norm || op.what == kind::rms_norm_gradient;
  if (layer) {
    // Time in front of the batch: more samples, or more rows of a sample, as it lies in memory.
    for (i32 axis = 0; axis < x.stack; ++axis) (x.batch_last ? n.rows : n.batch) *= x.dims[axis];
    for (i32 axis = x.stack + 1; axis < x.dims.rank; ++axis) {
      (axis < x.dims.rank - op.attr.norm.extents ? n.rows : n.features) *= x.dims[axis];
    }
    return n;
  }
  n.features = x.dims[1];
  for (i32 axis = 2; axis < x.dims.rank; ++axis) n.inner *= x.dims[axis];
  if (op.what == kind::group_norm || op.what == kind::group_norm_gradient) {
    n.rows = op.attr.norm.groups;
    n.features /= n.rows;
  }
  return n;
}

}  // namespace tessera::ops
