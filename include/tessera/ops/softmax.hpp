#pragma once

// softmax and log_softmax along an axis, and softmax of attention scores under masks.
//
//   softmax          y = exp(x - m) / s     m the largest x of a row, s the sum of exp(x - m)
//   log_softmax      y = (x - m) - log s
//   masked_softmax   softmax of scores (batch, heads, queries, keys) along the keys, those left out
//                    that a mask takes away: their y is 0
//
//   operation              in                                   out   in place
//   softmax, log_softmax   x                                    y     over x
//   masked_softmax         x, mask or -, mask or -, lengths or -   y     over x
//   softmax_gradient       y, dy                                dx    over dy
//   log_softmax_gradient   y, dy                                dx    over dy
//
//   softmax, masked_softmax   dx = y (dy - sum of dy y)
//   log_softmax               dx = dy - exp(y) sum of dy
//
// Masks: of f32 (or the scores' type) they are added to the scores; of u8 or i32, what is not 0 is
// left out. They repeat along what they lack: (queries, keys), (keys), and of samples (batch,
// keys), (time, batch) for keys that are a sequence, (batch, queries, keys), (batch, heads,
// queries, keys). `lengths` (batch) i32 leaves out the keys from that number on,
// `attributes::causal` the keys whose number is above their query's. No gradient goes to masks.
//
// A row that is left out everywhere, or is -infinity everywhere, is zeros (log_softmax: -infinity),
// and its dx is 0 (log_softmax: dy). A NaN among what takes part makes the row NaN, and so does
// +infinity.
// Saved: y. Arithmetic is f32 (f64 where operands are), sums in the order of the row unless a
// kernel says otherwise, one rounding when a value is stored.
// Source: Bridle 1990; Vaswani et al. 2017 for masks.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/axis.hpp>
#include <tessera/ops/matmul.hpp>  // extent_strides
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

constexpr bool is_softmax(kind what) {
  return what >= kind::softmax && what <= kind::log_softmax_gradient;
}

/// softmax or log_softmax of x along axis number `axis` of a sample, as in concat. Returns y.
constexpr i32 softmax(graph& g, kind what, i32 x, i32 axis, tensor_name layer) {
  const shape dims = g.tensors[x].sample();
  if (axis < 0 || axis >= dims.rank) {
    refuse(g, {spell(layer), spell_all("a value with an axis ", axis), spell_all<64>(dims),
               "count axes from 0, without the batch"});
    axis = 0;
  }
  attributes attr;
  attr.axis = axis;
  return unary(g, what, x, layer, attr);
}

/// What takes keys away from queries. Absent: -1.
struct attention_masks {
  i32 mask[2] = {-1, -1};
  i32 lengths = -1;
  bool causal = false;
};

namespace detail {

/// Strides of a mask along (sample, head, query, key) of scores; false where it does not fit.
constexpr bool mask_strides(const tensor& mask, const tensor& scores, i32 (&to)[4]) {
  for (i32& stride : to) stride = 0;
  const extent_strides strides(mask);
  const i32 rank = mask.dims.rank;
  const auto lay = [&](i32 axis, i32 extent) {
    if (mask.dims[axis] == 1) return true;
    const i32 of_scores = extent == 0 ? scores.batch() : scores.dims[extent];
    to[extent] = strides[axis];
    return mask.dims[axis] == of_scores;
  };
  if (mask.batched && mask.stack == 1 && rank == 2) return lay(0, 3) && lay(1, 0);
  if (mask.stack != 0 || rank < 1 || rank > 4 || (mask.batched && rank < 2)) return false;
  // Extents behind the batch are the last of (head, query, key).
  bool fits = !mask.batched || lay(0, 0);
  const i32 first = mask.batched ? 1 : 0;
  if (rank - first > 3) return false;
  for (i32 axis = first; axis < rank; ++axis) fits = fits && lay(axis, 4 - rank + axis);
  return fits;
}

}  // namespace detail

/// scores (batch, heads, queries, keys); see above. Returns y of their shape.
constexpr i32 masked_softmax(graph& g, i32 scores, const attention_masks& masks,
                             tensor_name layer) {
  const tensor x = g.tensors[scores];
  if (!x.batched || x.stack != 0 || x.dims.rank != 4) {
    refuse(g, {spell(layer), "scores (batch x heads x queries x keys)", spell_all<64>(x.dims),
               "multiply queries and keys first"});
    return scores;
  }
  operation op;
  op.what = kind::masked_softmax;
  op.in[0] = scores;
  for (const i32 i : {0, 1}) {
    const i32 id = masks.mask[i];
    if (id < 0) continue;
    i32 strides[4] = {};
    if (!detail::mask_strides(g.tensors[id], x, strides)) {
      refuse(g, {spell(layer), spell_all("a mask that fits scores of ", x.sample()),
                 spell_all<64>(g.tensors[id].dims),
                 "give (queries, keys), or of samples (keys) or (queries, keys)"});
    }
    op.in[1 + i] = captured(g, id, g.body);
  }
  if (masks.lengths >= 0) {
    const tensor& n = g.tensors[masks.lengths];
    if (n.type != element::int32 || n.dims.rank != 1 || n.dims[0] != x.dims[0]) {
      refuse(g, {spell(layer), "whole-number lengths, one a sample", spell_all<64>(n.dims),
                 "give the lengths of the batch's sequences"});
    }
    op.in[3] = captured(g, masks.lengths, g.body);
  }
  op.out[0] = append_activation(g, scores, x.dims, layer, "out");
  op.attr.causal = masks.causal;
  op.attr.axis = 2;
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_softmax(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  const i32 x = forward.in[0];
  if (dy < 0 || !a.wanted(x)) return;
  operation op;
  op.what = forward.what == kind::log_softmax ? kind::log_softmax_gradient : kind::softmax_gradient;
  op.in[0] = forward.out[0];
  op.in[1] = dy;
  op.out[0] = a.make(x, forward.layer);
  op.attr = forward.attr;
  op.layer = forward.layer;
  g.add(op);
  a.contribute(x, op.out[0]);
}

constexpr softmax_sizes sizes_of_softmax(const graph& g, const operation& op) {
  const axis_view view = view_along(g.tensors[op.in[0]], op.attr.axis);
  return {view.outer, view.along, view.inner};
}

constexpr masked_softmax_sizes sizes_of_masked_softmax(const graph& g, const operation& op) {
  const tensor& x = g.tensors[op.in[0]];
  masked_softmax_sizes n{x.dims[0], x.dims[1], x.dims[2], x.dims[3], op.attr.causal ? 1 : 0, {}};
  for (const i32 i : {0, 1}) {
    if (op.in[1 + i] >= 0) detail::mask_strides(g.tensors[op.in[1 + i]], x, n.mask[i]);
  }
  return n;
}

/// Writes the sizes of any operation of this file; layouts show in them.
constexpr void sign_softmax(const graph& g, const operation& op, signature& s) {
  if (op.what == kind::masked_softmax) {
    sizes_of_masked_softmax(g, op).write(s);
    return;
  }
  sizes_of_softmax(g, op).write(s);
  s.batch_last = false;
}

}  // namespace tessera::ops
