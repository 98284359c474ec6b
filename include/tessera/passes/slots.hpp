#pragma once

// Slots: what ends up in a slice of a stack is made there.
//
//   conv -> y      relu(y) -> slice t of a stack         y and its slice would both need bytes
//   conv -> slice  relu(slice) -> slice                  in place: y is the slice from the start
//
// An operation that may work in place and writes a view, a slot of a stack or of a carry, hands the
// view to the operation that makes its input, where that input is needed by nobody later. Copies
// that become copies onto themselves are dropped. One walk backwards, so that chains follow.
//
// What a loop starts from is copied into the first slot of its stacked carry; nobody writes that
// slot again, so what is copied lies there from the start however long it is read: the output of
// the block before a repeated block, which the backward pass of both reads.
// O(operations x operands).

#include <tessera/passes/join_parts.hpp>

namespace tessera::passes {

namespace detail {

/// True where the bytes of view `out`, written by operation `i` of `body`, are free from the
/// operation on that writes `in`: a slot of its own in each trip, or bytes that nobody has used.
constexpr bool slot_is_free(const graph& g, const tensor_uses& uses, const grow<bool>& joined,
                            i32 out, i32 in, i32 i, i32 body) {
  const tensor& t = g.tensors[out];
  if (t.of < 0 || t.body != body || !in_arena(g.tensors[uses.root[out]].what)) return false;
  if (t.step != 0) return true;
  // A part of a concat, whose bytes are there already.
  const i32 root = uses.root[out];
  if (joined[root] && uses.root[in] != root && uses.first[root] <= uses.first[in]) return true;
  // A part of a buffer of the same body: its life would begin earlier, so only at once. (A carry
  // that has been taken over by now belongs to the body around.)
  if (g.tensors[storage_of(g, out)].body != body) return false;
  return g.tensors[t.of].body == body && uses.first[uses.root[out]] == i && uses.first[in] == i - 1;
}

/// By tensor: is it the slot that a loop with a stacked carry starts from?
constexpr grow<bool> find_first_slots(const graph& g) {
  grow<bool> found(g.tensors.size());
  for (const loop_carry& c : g.carries) {
    if (c.stacked && c.init >= 0) found[c.init] = true;
  }
  return found;
}

/// The same for what a trip leaves of a carry in place: `out`, written by operation `i`, may be
/// begun by the operation that writes `in` where all that the trip found there has been read.
constexpr bool carry_is_free(const graph& g, const tensor_uses& uses, i32 out, i32 in, i32 i,
                             i32 body) {
  const tensor& t = g.tensors[out];
  if (t.of < 0 || t.body != body || t.step != 0 || g.tensors[t.of].body == body) return false;
  const i32 root = storage_of(g, out);  // as it is by now, like all below
  if (!in_arena(g.tensors[root].what)) return false;
  const i32 begins = uses.first[in];
  i32 first = begins;
  while (g.operations[first].what != kind::loop || g.operations[first].body != body) --first;
  for (i32 k = first + 1; g.operations[k].what != kind::end_loop || g.operations[k].body != body;
       ++k) {
    const operation& op = g.operations[k];
    for (const i32 other : op.out) {
      if (other >= 0 && storage_of(g, other) == root && k != i) return false;
    }
    for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
      if (op.in[slot] < 0 || storage_of(g, op.in[slot]) != root || k < begins) continue;
      if (k > begins) return false;
      i32 out_slot = 0;
      while (out_slot < operation::max_outputs && op.out[out_slot] != in) ++out_slot;
      if (out_slot == operation::max_outputs || ops::in_place_over(op, out_slot) != slot) {
        return false;
      }
      const tensor& found = g.tensors[op.in[slot]];
      if (found.of != t.of || found.base != t.base || found.step != 0 || found.body != body ||
          found.bytes() != g.tensors[in].bytes()) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace detail

constexpr void write_into_slots(graph& g) {
  const grow<bool> joined = join_parts(g);
  const tensor_uses uses = find_uses(g);
  const grow<i32> bodies = bodies_of_operations(g);
  const grow<bool> first_slot = detail::find_first_slots(g);
  const grow<i32> writers = detail::count_writers(g, uses);
  grow<bool> dropped(g.operations.size());
  for (i32 i = g.operations.size() - 1; i >= 0; --i) {
    const operation& op = g.operations[i];
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 out = op.out[slot];
      const i32 over = out < 0 ? -1 : ops::in_place_over(op, slot);
      if (over < 0 || op.in[over] < 0) continue;
      const i32 in = op.in[over];
      tensor& t = g.tensors[in];
      if (t.of >= 0 || t.body != bodies[i] || !in_arena(t.what) || t.what == role::result) continue;
      if (uses.first[in] < 0 || t.bytes() != g.tensors[out].bytes()) continue;
      const bool read_on = op.what == kind::copy && first_slot[out] && writers[in] == 1;
      if (uses.last[in] != i && !read_on) continue;
      if (t.type != g.tensors[out].type) continue;
      if (!detail::slot_is_free(g, uses, joined, out, in, i, bodies[i]) &&
          !detail::carry_is_free(g, uses, out, in, i, bodies[i])) {
        continue;
      }
      bool read_twice = false;
      for (i32 other = 0; other < operation::max_inputs; ++other) {
        if (other == over || op.in[other] < 0) continue;
        read_twice = read_twice || uses.root[op.in[other]] == in;
      }
      if (read_twice) continue;
      t.of = out;
      t.base = t.step = 0;
      dropped[i] = op.what == kind::copy;
    }
  }
  i32 kept = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (dropped[i]) continue;
    if (kept < i) g.operations[kept] = g.operations[i];
    ++kept;
  }
  g.operations.resize(kept);
}

}  // namespace tessera::passes
