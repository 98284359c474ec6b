#pragma once

// Embedding: rows of a table, chosen by whole numbers.
//
//   embedding            (indices, table) -> y        y[i] = table[indices[i]]
//   embedding_gradient   (indices, dy) -> dtable      dtable[r] = sum of dy[i] with indices[i] = r
//   embedding_update     (indices, dy, scaler) -> as ops/update.hpp, scratch: both in one
//
// An index that is no row of the table gives zeros and has no gradient; so has the padding index
// (attributes::padding_index), whose row is read like any other. Sums start at 0, run over the
// indices in the order in which they lie in memory, in f32 (f64 where dy is), and are rounded once
// when stored. Rows that no index names have gradient 0. What a loop makes of all its trips at once
// (attributes::by_slices) has the bits that it has trip by trip: each slice of the stack has a sum
// of its own, rounded as if it were stored; slices are added one by one, `last_first` from the last
// on, and each time rounded again.
//
//   indices               y, samples outermost        y, samples innermost
//   (batch)               (batch, width)              (width, batch)
//   (batch, positions)    (batch, positions, width)   (positions, width, batch)
//   (time, batch)         (time, batch, width)        (time, width, batch)
//
// The fused update touches the rows that occur in `indices` and no others (padding does not count):
// for SGD without momentum and weight decay that is the dense result bit for bit, because the other
// rows' gradient is 0. Rules that have a state are fused only where the table asks for it
// (attributes::sparse): then momentum, moments and weight decay of a row stand still while it does
// not occur, and Adam's t counts the table's updates, not the row's. Rows are summed as above, each
// by one thread. What a loss scale has to see is tested row by row too (embedding_overflow_test),
// so the table's gradient never exists. Source of the lazy rule: PyTorch's SparseAdam.
//
// Saved: the indices. In place: nothing. Scratch: a list of i32 in the arena, ops/lookups.hpp.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// indices i32, table (rows, width). Returns y: the indices' shape with `width` behind it.
/// `padding_index` -1: none.
constexpr i32 embedding(graph& g, i32 indices, i32 table, i32 padding_index, tensor_name layer,
                        bool sparse = false) {
  const tensor& i = g.tensors[indices];
  const shape& t = g.tensors[table].dims;
  shape dims = i.dims;
  if (i.type != element::int32 || !i.batched || t.rank != 2 || dims.rank == shape::max_rank) {
    refuse(g, {spell(layer), "whole numbers that choose rows of a table",
               spell_all<64>(i.dims, " of ", name_of(i.type), " for a table of ", t),
               "give the network an input of tokens"});
    dims.rank = dims.rank == shape::max_rank ? dims.rank - 1 : dims.rank;
  }
  dims[dims.rank++] = t.rank == 2 ? t[1] : 1;
  const bool wanted = g.tensors[table].differentiable;
  const i32 y = append_activation(g, indices, dims, layer, "out");
  g.tensors[y].type = g.tensors[table].type;
  g.tensors[y].differentiable = wanted;
  operation op;
  op.what = kind::embedding;
  op.in[0] = indices;
  op.in[1] = table;
  op.out[0] = y;
  op.attr.padding_index = padding_index;
  op.attr.sparse = sparse;
  op.layer = layer;
  g.add(op);
  return y;
}

constexpr void differentiate_embedding(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  const i32 table = forward.in[1];
  if (dy < 0 || !a.wanted(table)) return;
  operation op = forward;
  op.what = kind::embedding_gradient;
  op.in[1] = dy;
  op.out[0] = a.make(table, forward.layer);
  g.add(op);
  a.contribute(table, op.out[0]);
}

constexpr embedding_sizes sizes_of_embedding(const graph& g, const operation& op) {
  const tensor& indices = g.tensors[op.in[0]];
  const bool forward = op.what == kind::embedding;
  shape table = g.tensors[forward ? op.in[1] : op.out[0]].dims;
  if (op.what == kind::embedding_overflow_test) table = shape(op.attr.parts[0], op.attr.parts[1]);
  const i32 batch = indices.batch() > 0 ? indices.batch() : 1;
  const i32 outer = static_cast<i32>(indices.dims.count() / batch);
  const bool by_slices = op.what == kind::embedding_gradient && op.attr.by_slices && outer > 1;
  const slice_order order = !by_slices           ? slice_order::together
                            : op.attr.last_first ? slice_order::last_first
                                                 : slice_order::first_first;
  return {outer, batch, table.rank > 0 ? table[0] : 1, table.rank > 1 ? table[1] : 1,
          static_cast<i32>(order)};
}

}  // namespace tessera::ops
