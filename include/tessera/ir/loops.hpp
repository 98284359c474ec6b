#pragma once

// Where loops begin and end in the order of operations.

#include <tessera/ir/graph.hpp>

namespace tessera {

/// Operations `begin` (kind loop) to `end` (kind end_loop), both included.
struct loop_span {
  i32 begin = -1;
  i32 end = -1;
};

/// By body; body 0 spans all operations.
constexpr grow<loop_span> find_loops(const graph& g) {
  grow<loop_span> spans(g.bodies.size());
  spans[0] = {0, g.operations.size() - 1};
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (op.what == kind::loop) spans[op.body].begin = i;
    if (op.what == kind::end_loop) spans[op.body].end = i;
  }
  return spans;
}

/// By operation: the body it stands in. The two ends of a loop stand in the body around.
constexpr grow<i32> bodies_of_operations(const graph& g) {
  grow<i32> bodies(g.operations.size());
  i32 body = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    if (op.what == kind::end_loop) body = g.bodies[op.body].parent;
    bodies[i] = body;
    if (op.what == kind::loop) body = op.body;
  }
  return bodies;
}

/// What operation `i`, which stands in `body`, spans in the order of `level`, a body around it: all
/// of the loop that it is in.
constexpr loop_span span_at(const graph& g, const grow<loop_span>& loops, i32 i, i32 body,
                            i32 level) {
  if (body == level) return {i, i};
  while (g.bodies[body].parent != level) body = g.bodies[body].parent;
  return loops[body];
}

/// How often operations of `body` run in a step.
constexpr i64 runs_of(const graph& g, i32 body) {
  i64 runs = 1;
  for (; body > 0; body = g.bodies[body].parent) runs *= g.bodies[body].trips;
  return runs;
}

/// How often an operation of `body` finds its second operand, the weights, as the run before left
/// them where it is kept: in every trip but the first of the loop around, if the operand is the same
/// in all of them; 0 elsewhere.
constexpr i64 runs_with_kept_weights(const graph& g, const operation& op, i32 body) {
  if (body == 0 || op.in[1] < 0) return 0;
  i32 id = op.in[1];
  while (g.tensors[id].body == body) {  // made in each trip, or a view of what lies outside
    for (const loop_carry& c : g.carries) {
      if (c.body == body && (c.in == id || c.next == id)) return 0;
    }
    if (g.tensors[id].of < 0 || g.tensors[id].step != 0) return 0;
    id = g.tensors[id].of;
  }
  const i64 runs = runs_of(g, body);
  return runs - runs / g.bodies[body].trips;
}

}  // namespace tessera
