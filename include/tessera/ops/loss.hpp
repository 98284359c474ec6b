#pragma once

// Losses: what they share. Each is two operations: one that computes the loss, one that computes
// the gradient of what the network put out, with the loss scale and 1 / count folded in.
//
//   element by element   mse, l1, smooth_l1, huber, bce, kl_div, hinges      loss_elements.hpp
//   row by row           cross entropies, nll, multiclass_hinge, distillation   loss_rows.hpp
//                        cosine_embedding, triplet
//
// loss = weight / W sum of what counts; weight is a factor of the user's. W by reduction:
//   mean        elements (rows) that count; with class weights the sum of those of the targets
//   batch_mean  samples that count, over time at each point
//   sum         1
//   none        1, and one loss for each element (row)
// A mean over nothing is 0 / 0: the loss is NaN, the gradient zeros. What does not count: padded
// samples of a last batch, targets equal to ignore_index. NaN that counts makes the loss NaN, and
// the gradient of its element (row).
//
// Over time, (time, batch, ...), each point in time counts as a sample does.
//
// Arithmetic in f32 (f64 in the f64 policy) whatever the storage. Gradients are computed from the
// operands again rather than from something rounded that was kept. Where a gradient comes in from
// above (a loss that is not the end), it multiplies the gradient going out.
//
// Operands of all of them, forward and backward alike:
//   0 x or logits   1 target   2 scaler (backward)   3 weights or a third vector
//   4 gradient of the loss (backward)   5 one more
// In place: the gradient over operand 0 (compared vectors: each over its own).

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/loss_kinds.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// The loss tensor: scalar, or with reduction none one value per target; f32 and kept.
constexpr i32 append_loss(graph& g, i32 like, const shape& dims, tensor_name layer) {
  const i32 loss = append_like(g, like, dims, role::result, {layer.layer, 0, ""});
  g.tensors[loss].type = element::f32;
  if (dims.rank == 0) {
    g.tensors[loss].batched = g.tensors[loss].batch_last = false;
    g.tensors[loss].stack = 0;
  }
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

/// Appends a loss whose operands are set; `each` is the shape of the losses without a reduction.
constexpr i32 append_loss(graph& g, operation op, const shape& each, const loss_attributes& attr) {
  op.layer = {"loss", 0, ""};
  op.attr.loss = attr;
  const shape dims = attr.reduce == reduction::none ? each : shape{};
  op.out[0] = append_loss(g, op.in[0], dims, op.layer);
  for (const i32 in : op.in) {
    if (needs_gradient(g, in)) g.tensors[op.out[0]].differentiable = true;
  }
  g.add(op);
  return op.out[0];
}

/// The gradient operation of `forward`, with its operands and no outputs yet.
constexpr operation backward_of_loss(const graph& g, const operation& forward, const adjoints& a) {
  operation op = forward;
  op.what = gradient_of_loss(forward.what);
  op.in[2] = g.scaler;
  op.in[4] = a.of(forward.out[0]);
  for (i32& out : op.out) out = -1;
  return op;
}

/// The gradient of a loss with respect to operand 0; of compared vectors to all of them.
constexpr void differentiate_loss(graph& g, const operation& forward, adjoints& a) {
  operation op = backward_of_loss(g, forward, a);
  const i32 vectors[] = {forward.in[0], forward.in[1],
                         forward.what == kind::triplet ? forward.in[3] : -1};
  const i32 count = is_pair_loss(forward.what) ? 3 : 1;
  bool any = false;
  for (i32 slot = 0; slot < count; ++slot) {
    if (!a.wanted(vectors[slot])) continue;
    op.out[slot] = a.make(vectors[slot], forward.layer);
    any = true;
  }
  if (!any) return;
  g.add(op);
  for (i32 slot = 0; slot < count; ++slot) {
    if (op.out[slot] >= 0) a.contribute(vectors[slot], op.out[slot]);
  }
}

/// The input slot whose bytes output `slot` of a loss or its gradient may take over.
constexpr i32 loss_in_place_over(kind what, i32 slot) {
  if (!is_loss_gradient(what)) return -1;
  if (is_pair_loss(what)) {
    return slot < 2 ? slot : slot == 2 && what == kind::triplet_gradient ? 3 : -1;
  }
  return slot == 0 ? 0 : -1;
}

}  // namespace tessera::ops
