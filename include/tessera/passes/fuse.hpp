#pragma once

// Fusion of a weight gradient with the update that consumes it.
//
//   conv2d_weight_gradient -> dw
//   conv2d_data_gradient            becomes    conv2d_data_gradient
//   update(dw) -> w                            conv2d_weight_update -> w
//
// The gradient then has no buffer: the kernel makes a piece of it and applies it at once. The fused
// operation stands where the update stood, after the last reader of the old weight. Left alone:
// gradients that somebody else reads too, and those that skip_rule::step keeps.
//
// The gradient of a table (embedding, embedding_bag) is fused only where rows that do not occur
// need no update, see ops::updates_rows_alone. It is small work to make twice, so under
// skip_rule::step the test for overflows is fused with it too.

#include <tessera/ops/ops.hpp>

namespace tessera::passes {

namespace detail {

/// Turns `op`, which has taken a gradient of a table, into one that makes it row by row: its list
/// of entries goes to slot `scratch_slot`.
constexpr void take_lookup(graph& g, operation& op, const operation& source, i32 scratch_slot) {
  tensor scratch;
  scratch.dims = shape(ops::scratch_numbers(g, source));
  scratch.type = element::int32;
  scratch.what = role::saved;
  scratch.body = g.tensors[source.out[0]].body;
  scratch.name = part_of(source.layer, "lists");
  const shape table = g.tensors[source.out[0]].dims;
  for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
    if (slot != 2 && slot != 3) op.in[slot] = source.in[slot];
  }
  op.attr.padding_index = source.attr.padding_index;
  op.attr.bag = source.attr.bag;
  op.attr.parts[0] = table[0];
  op.attr.parts[1] = table[1];
  op.layer = source.layer;
  op.out[scratch_slot] = g.add(scratch);
}

/// True where `id` is a parameter, such as a table that is multiplied, that operations between
/// `first` and `last` update.
constexpr bool is_changed(const graph& g, i32 id, i32 first, i32 last) {
  if (id < 0) return false;
  const i32 storage = storage_of(g, id);
  if (g.tensors[storage].what != role::parameter) return false;
  for (i32 i = first; i < last; ++i) {
    for (const i32 out : g.operations[i].out) {
      if (out >= 0 && storage_of(g, out) == storage) return true;
    }
  }
  return false;
}

}  // namespace detail

constexpr void fuse_updates(graph& g) {
  grow<i32> readers(g.tensors.size());   // how many operations read a tensor
  grow<i32> producer(g.tensors.size());  // which operation writes it
  grow<i32> tester(g.tensors.size());    // which overflow_test reads it
  for (i32& p : producer) p = -1;
  for (i32& t : tester) t = -1;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    for (const i32 in : g.operations[i].in) {
      if (in >= 0) ++readers[in];
    }
    for (const i32 out : g.operations[i].out) {
      if (out >= 0) producer[out] = i;
    }
    if (g.operations[i].what == kind::overflow_test) tester[g.operations[i].in[0]] = i;
  }
  for (i32 i = 0; i < g.operations.size(); ++i) {
    operation& op = g.operations[i];
    if (op.what != kind::update) continue;
    const i32 gradient = op.in[0];
    const i32 test = tester[gradient];
    if (producer[gradient] < 0) continue;
    operation& source = g.operations[producer[gradient]];
    const kind fused = ops::fused_update(source.what);
    if (fused == kind::none) continue;
    if (is_lookup_update(fused)) {
      const bool kept = g.tensors[gradient].what == role::result;
      if (kept || readers[gradient] != (test < 0 ? 1 : 2)) continue;
      if (!ops::updates_rows_alone(op.attr.update, source.attr.sparse)) continue;
      op.what = fused;
      detail::take_lookup(g, op, source, 5);
      if (test >= 0) {
        operation& tests = g.operations[test];
        tests.what = fused == kind::embedding_update ? kind::embedding_overflow_test
                                                     : kind::embedding_bag_overflow_test;
        detail::take_lookup(g, tests, source, 1);
      }
      source.what = kind::none;
      continue;
    }
    if (readers[gradient] != 1 || detail::is_changed(g, source.in[0], producer[gradient], i)) {
      continue;
    }
    op.what = fused;
    op.in[0] = source.in[0];
    op.in[1] = source.in[1];
    op.attr.win = source.attr.win;
    op.attr.axis = source.attr.axis;
    op.attr.last_first = source.attr.last_first;
    op.attr.groups = source.attr.groups;
    op.layer = source.layer;
    source.what = kind::none;
  }
  i32 kept = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what == kind::none) continue;
    if (kept < i) g.operations[kept] = g.operations[i];
    ++kept;
  }
  g.operations.resize(kept);
}

}  // namespace tessera::passes
