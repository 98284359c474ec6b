#pragma once

// Which loop of the backward pass runs back over which loop of the forward pass.

#include <tessera/ir/loops.hpp>

namespace tessera::passes {

/// By body: for a loop of the step itself in the forward pass, the body of its reverse; else -1.
/// Reverses come in the opposite order, under the same name; loops without one are passed over.
constexpr grow<i32> find_reverses(const graph& g) {
  const grow<i32> bodies = bodies_of_operations(g);
  grow<i32> reverse(g.bodies.size());
  for (i32& r : reverse) r = -1;
  grow<i32> loops;  // of the forward pass: their operations
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (op.what != kind::loop || bodies[i] != 0) continue;
    if (i < g.forward_operations) {
      loops.push(i);
      continue;
    }
    for (i32 k = loops.size() - 1; k >= 0; --k) {
      const operation& forward = g.operations[loops[k]];
      const loop_body& a = g.bodies[forward.body];
      const loop_body& b = g.bodies[op.body];
      const tensor_name& x = forward.layer;
      const tensor_name& y = op.layer;
      const bool same = x.layer == y.layer && x.ordinal == y.ordinal && x.scope == y.scope;
      if (!same || a.trips != b.trips || a.reversed == b.reversed) continue;
      reverse[forward.body] = op.body;
      loops.resize(k);
      break;
    }
  }
  return reverse;
}

}  // namespace tessera::passes
