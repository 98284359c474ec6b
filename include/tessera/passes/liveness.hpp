#pragma once

// Liveness: which tensors share bytes, and from which operation to which they are needed.
//
//   operation  0    1    2    3    4
//   conv1.out  |============|              last read by conv2's weight gradient
//   tanh1.out  (in place of conv1.out)
//   conv2.out       |=========|
//
// One walk forward decides what is in place: an output takes over an input's bytes where the
// operation allows it (ops::in_place_over), nothing that lies in those bytes is used later, and the
// sizes agree. Views share the life of what they view. Results live until the step ends. A tensor
// that a loop uses from outside its body is needed while the whole loop runs, so that one placement
// serves all levels. O(operations x operands). Source of the rule: Appel, Modern Compiler
// Implementation, ch. 10, for straight-line code.

#include <tessera/ir/loops.hpp>
#include <tessera/ir/memory.hpp>
#include <tessera/ops/ops.hpp>

namespace tessera::passes {

struct liveness {
  grow<buffer> buffers;    // offsets not yet set
  grow<i32> buffer_of;     // by tensor, -1 outside the arena
  i64 no_reuse_bytes = 0;  // sum over arena tensors that are no views
};

/// When the bytes of tensors are first and last used, by the tensor whose bytes they are.
struct tensor_uses {
  grow<i32> root;   // the tensor whose bytes it lies in
  grow<i32> first;  // operation that writes it first, -1: none
  grow<i32> last;   // last that reads or writes it
};

constexpr tensor_uses find_uses(const graph& g) {
  const i32 tensors = g.tensors.size();
  const grow<loop_span> loops = find_loops(g);
  tensor_uses uses{grow<i32>(tensors), grow<i32>(tensors), grow<i32>(tensors)};
  // Plain pointers: what is cheap for the compiler.
  const tensor* const t = g.tensors.data();
  i32* const root = uses.root.data();
  i32* const first = uses.first.data();
  i32* const last = uses.last.data();
  for (i32 id = 0; id < tensors; ++id) {
    i32 of = id;
    while (t[of].of >= 0) of = t[of].of;
    root[id] = of;
    first[id] = last[id] = -1;
  }
  i32 body = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (op.what == kind::end_loop) body = g.bodies[op.body].parent;
    for (i32 slot = 0; slot < operation::max_inputs + operation::max_outputs; ++slot) {
      const bool writes = slot >= operation::max_inputs;
      const i32 id = writes ? op.out[slot - operation::max_inputs] : op.in[slot];
      if (id < 0) continue;
      const i32 r = root[id];
      loop_span span{i, i};
      if (t[r].body != body) span = span_at(g, loops, i, body, t[r].body);
      if (writes && first[r] < 0) first[r] = span.begin;
      if (span.end > last[r]) last[r] = span.end;
    }
    if (op.what == kind::loop) body = op.body;
  }
  for (i32 id = 0; id < tensors; ++id) {
    if (t[id].what == role::result) last[root[id]] = g.operations.size();
  }
  return uses;
}

/// `in_place` off gives every tensor bytes of its own: results must be the same, only memory grows.
constexpr liveness find_liveness(const graph& g, bool in_place = true) {
  const i32 tensors = g.tensors.size();
  const tensor_uses uses = find_uses(g);
  const i32* const root = uses.root.data();

  // bytes_in[r]: the root that r's bytes have become part of; last_use: of all that lies there.
  grow<i32> bytes_in(tensors);
  grow<i32> last_use = uses.last;
  for (i32 id = 0; id < tensors; ++id) bytes_in[id] = id;
  i32 body = 0;
  for (i32 i = 0; in_place && i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (op.what == kind::end_loop) body = g.bodies[op.body].parent;
    if (op.what == kind::loop) body = op.body;
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 out = op.out[slot];
      if (out < 0 || root[out] != out || !in_arena(g.tensors[out].what)) continue;
      if (uses.first[out] != i || bytes_in[out] != out) continue;
      const i32 over = ops::in_place_over(op, slot);
      if (over < 0 || op.in[over] < 0) continue;
      const i32 in = root[op.in[over]];
      if (!in_arena(g.tensors[in].what) || g.tensors[in].body != body) continue;
      const i32 bytes = bytes_in[in];
      if (last_use[bytes] != i || g.tensors[in].bytes() != g.tensors[out].bytes()) continue;
      bool read_twice = false;  // the kernel reads the same bytes through another operand
      for (i32 other = 0; other < operation::max_inputs; ++other) {
        if (other == over || op.in[other] < 0) continue;
        read_twice = read_twice || bytes_in[root[op.in[other]]] == bytes;
      }
      for (i32 other = 0; other < slot; ++other) {  // or another output has taken them
        if (op.out[other] >= 0) read_twice = read_twice || bytes_in[root[op.out[other]]] == bytes;
      }
      if (read_twice) continue;
      bytes_in[out] = bytes;
      last_use[bytes] = uses.last[out];
    }
  }

  liveness result;
  result.buffer_of.resize(tensors);
  for (i32& b : result.buffer_of) b = -1;
  for (i32 id = 0; id < tensors; ++id) {
    if (root[id] != id || uses.first[id] < 0 || !in_arena(g.tensors[id].what)) continue;
    result.no_reuse_bytes += aligned(g.tensors[id].bytes());
    if (bytes_in[id] != id) continue;
    buffer b;
    b.tensor = id;
    b.bytes = aligned(g.tensors[id].bytes());
    b.born = uses.first[id];
    b.dies = last_use[id];
    result.buffer_of[id] = result.buffers.push(b);
  }
  for (i32 id = 0; id < tensors; ++id) {
    if (!in_arena(g.tensors[id].what)) continue;
    result.buffer_of[id] = result.buffer_of[bytes_in[root[id]]];
  }
  return result;
}

}  // namespace tessera::passes
