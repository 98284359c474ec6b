#pragma once

// Embedding bags: the rows of a table that a bag names, as one row.
//
//   embedding_bag                  (indices, table, -, weights, offsets) -> y[, rows of the
//   largest]
//     sum    y[b] = sum of w[e] table[indices[e]] over the entries e of bag b; w = 1 without
//     weights mean   the sum without weights, divided by the number of entries max    the largest
//     of each column; of equal ones the first entry's gets the gradient
//   embedding_bag_gradient         (indices, dy, -, -, offsets, rows, weights) -> dtable
//   embedding_bag_weight_gradient  (indices, dy, table, -, offsets) -> dw[e] = <dy[b], row>
//   embedding_bag_update           the fused update, see ops/embedding.hpp
//
// An index that is no row of the table, and the padding index, are not in their bag: they add
// nothing, do not count in a mean, and get no gradient. So bags of different lengths are rows of
// indices filled up with either. A bag without entries gives zeros and no gradient.
//
//   indices               bags
//   (batch, positions)    one for each sample; likewise with samples innermost
//   (time, batch)         one for each sample, over time
//   a list, with offsets  bag b is list[offsets[b] .. offsets[b + 1]), the last up to the end; an
//                         offset below the one before, or outside the list, counts as the nearest
//                         that is neither
//
// Sums start at 0, run entry by entry (of a gradient: bag by bag, entry by entry) in f32 (f64 where
// the table is) whatever the layout, and are rounded once. Weights are of the table's type and have
// the shape of the indices. Saved: indices and weights; max: a row number (i32) for each output, -1
// for none. In place: nothing.

#include <tessera/ops/embedding.hpp>

namespace tessera::ops {

/// indices i32 as above, table (rows, width); weights, offsets (i32, one a bag) or -1. Returns y
/// (bags, width).
constexpr i32 embedding_bag(graph& g, i32 indices, i32 table, i32 weights, i32 offsets,
                            bag_mode mode, i32 padding_index, tensor_name layer,
                            bool sparse = false) {
  const tensor i = g.tensors[indices];
  const shape& t = g.tensors[table].dims;
  const bool list = offsets >= 0;
  if (i.type != element::int32 || t.rank != 2 || i.dims.rank != (list ? 1 : 2) || i.stack > 1 ||
      i.batched == list) {
    refuse(g, {spell(layer), "whole numbers in bags that choose rows of a table",
               spell_all<64>(i.dims, " of ", name_of(i.type), " for a table of ", t),
               "give the network an input of tokens"});
  }
  if (weights >= 0 && (mode != bag_mode::sum || g.tensors[weights].dims != i.dims ||
                       g.tensors[weights].batch_last != i.batch_last)) {
    refuse(g, {spell(layer), "a weight for each index of a sum",
               spell_all<64>(g.tensors[weights].dims, " for ", i.dims),
               "take the mode sum and weights shaped like the indices"});
  }
  tensor like = g.tensors[list ? offsets : indices];
  const i32 bags = list ? static_cast<i32>(like.dims.count()) : like.batch();
  const shape dims(bags, t.rank == 2 ? t[1] : 1);
  const i32 y = append_activation(g, list ? offsets : indices, dims, layer, "out");
  g.tensors[y].type = g.tensors[table].type;
  g.tensors[y].differentiable = needs_gradient(g, table) || needs_gradient(g, weights);
  g.tensors[y].stack = 0;
  operation op;
  op.what = kind::embedding_bag;
  op.in[0] = indices;
  op.in[1] = table;
  op.in[6] = weights;
  op.in[4] = offsets;
  op.out[0] = y;
  if (mode == bag_mode::max && g.tensors[y].differentiable) {
    op.out[1] = append_like(g, y, dims, role::saved, part_of(layer, "rows"));
    g.tensors[op.out[1]].type = element::int32;
    g.tensors[op.out[1]].differentiable = false;
  }
  op.attr.padding_index = padding_index;
  op.attr.bag = mode;
  op.attr.sparse = sparse;
  op.layer = layer;
  g.add(op);
  return y;
}

constexpr void differentiate_embedding_bag(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  operation op = forward;
  op.in[1] = dy;
  op.out[1] = -1;
  if (a.wanted(forward.in[1])) {
    op.what = kind::embedding_bag_gradient;
    op.in[5] = forward.out[1];
    op.out[0] = a.make(forward.in[1], forward.layer);
    g.add(op);
    a.contribute(forward.in[1], op.out[0]);
  }
  if (a.wanted(forward.in[6])) {
    op.what = kind::embedding_bag_weight_gradient;
    op.in[2] = forward.in[1];
    op.in[5] = op.in[6] = -1;
    op.out[0] = a.make(forward.in[6], forward.layer);
    g.add(op);
    a.contribute(forward.in[6], op.out[0]);
  }
}

constexpr bag_sizes sizes_of_bag(const graph& g, const operation& op) {
  const tensor& indices = g.tensors[op.in[0]];
  const bool list = op.in[4] >= 0;
  const tensor& per_bag = g.tensors[list ? op.in[4] : op.in[0]];
  const i32 bags = list ? static_cast<i32>(per_bag.dims.count()) : indices.batch();
  shape table(op.attr.parts[0], op.attr.parts[1]);  // of a test, which has no table
  if (op.what == kind::embedding_bag) table = g.tensors[op.in[1]].dims;
  if (op.what == kind::embedding_bag_weight_gradient) table = g.tensors[op.in[2]].dims;
  if (op.what == kind::embedding_bag_gradient || op.what == kind::embedding_bag_update) {
    table = g.tensors[op.out[0]].dims;
  }
  const i32 entries = static_cast<i32>(indices.dims.count());
  return {bags, list || bags == 0 ? entries : entries / bags, table[0], table[1],
          !list && (indices.batch_last || indices.stack > 0) ? 1 : 0};
}

/// True where an update may touch the rows alone that occur: the others would not change, or the
/// table asks for it and the rule works element by element.
constexpr bool updates_rows_alone(const update_rule& rule, bool sparse) {
  if (rule.what == optimizer_kind::sgd && rule.momentum == 0 && rule.weight_decay == 0) return true;
  return sparse && (rule.what == optimizer_kind::sgd || rule.what == optimizer_kind::adam);
}

/// The numbers that lists of a lookup's entries take (ops/lookups.hpp).
constexpr i32 scratch_numbers(const graph& g, const operation& gradient) {
  const i32 entries = static_cast<i32>(g.tensors[gradient.in[0]].dims.count());
  if (gradient.what == kind::embedding_gradient) return entries;
  return 2 * entries + sizes_of_bag(g, gradient).bags;
}

}  // namespace tessera::ops
