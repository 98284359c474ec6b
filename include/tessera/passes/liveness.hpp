#pragma once

// Liveness: which tensors share bytes, and from which operation to which they are needed.
//
//   operation  0    1    2    3    4
//   conv1.out  |============|              last read by conv2's weight gradient
//   tanh1.out  (in place of conv1.out)
//   conv2.out       |=========|
//
// One walk forward decides what is in place: an output takes over an input's bytes where the
// operation allows it (ops::in_place_over), nothing that lies in those bytes is read later, and the
// sizes agree. Views share the life of what they view. Results live until the step ends.
// O(operations x operands). Source of the rule: Appel, Modern Compiler Implementation, ch. 10, for
// straight-line code.

#include <tessera/ir/memory.hpp>
#include <tessera/ops/ops.hpp>

namespace tessera::passes {

struct liveness {
  grow<buffer> buffers;    // offsets not yet set
  grow<i32> buffer_of;     // by tensor, -1 outside the arena
  i64 no_reuse_bytes = 0;  // sum over arena tensors that are no views
};

/// `in_place` off gives every tensor bytes of its own: results must be the same, only memory grows.
constexpr liveness find_liveness(const graph& g, bool in_place = true) {
  const i32 tensors = g.tensors.size();
  const i32 operations = g.operations.size();
  grow<i32> root(tensors);   // the tensor whose bytes it lies in
  grow<i32> first(tensors);  // by tensor: the operation that writes it first
  grow<i32> last_read(tensors);
  for (i32 id = 0; id < tensors; ++id) {
    root[id] = id;
    first[id] = last_read[id] = -1;
    if (g.tensors[id].what == role::result) last_read[id] = operations;
  }
  for (i32 id = 0; id < tensors; ++id) root[id] = storage_of(g, id);
  // Until something is placed in place, a root's last reader is that of its views.
  for (i32 i = 0; i < operations; ++i) {
    for (const i32 in : g.operations[i].in) {
      if (in >= 0 && last_read[root[in]] < i) last_read[root[in]] = i;
    }
  }
  for (i32 id = 0; id < tensors; ++id) {  // a view of a result keeps it too
    if (last_read[id] > last_read[root[id]]) last_read[root[id]] = last_read[id];
  }

  // bytes_in[r]: the root that r's bytes have become part of.
  grow<i32> bytes_in(tensors);
  grow<i32> last_use(tensors);  // of all that lies in a root's bytes so far
  for (i32 id = 0; id < tensors; ++id) {
    bytes_in[id] = id;
    last_use[id] = last_read[id];
  }
  liveness result;
  result.buffer_of.resize(tensors);
  for (i32& b : result.buffer_of) b = -1;
  for (i32 i = 0; i < operations; ++i) {
    const operation& op = g.operations[i];
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 out = op.out[slot];
      if (out < 0 || root[out] != out || !in_arena(g.tensors[out].what)) continue;
      if (first[out] >= 0) continue;
      first[out] = i;
      const i32 over = ops::in_place_over(op.what, slot);
      if (!in_place || over < 0 || op.in[over] < 0) continue;
      const i32 in = root[op.in[over]];
      if (!in_arena(g.tensors[in].what)) continue;
      const i32 bytes = bytes_in[in];
      if (last_use[bytes] != i || g.tensors[in].bytes() != g.tensors[out].bytes()) continue;
      bool read_twice = false;  // the kernel reads the same bytes through another operand
      for (i32 other = 0; other < operation::max_inputs; ++other) {
        if (other == over || op.in[other] < 0) continue;
        const i32 other_root = root[op.in[other]];
        read_twice = read_twice || bytes_in[other_root] == bytes;
      }
      if (read_twice) continue;
      bytes_in[out] = bytes;
      last_use[bytes] = last_read[out] > i ? last_read[out] : i;
    }
  }

  for (i32 id = 0; id < tensors; ++id) {
    if (root[id] != id || first[id] < 0) continue;
    result.no_reuse_bytes += aligned(g.tensors[id].bytes());
    const i32 bytes = bytes_in[id];
    if (bytes != id) continue;
    buffer b;
    b.tensor = id;
    b.bytes = aligned(g.tensors[id].bytes());
    b.born = first[id];
    b.dies = last_use[id] > first[id] ? last_use[id] : first[id];
    result.buffer_of[id] = result.buffers.push(b);
  }
  for (i32 id = 0; id < tensors; ++id) {
    if (!in_arena(g.tensors[id].what)) continue;
    result.buffer_of[id] = result.buffer_of[bytes_in[root[id]]];
  }
  return result;
}

}  // namespace tessera::passes
