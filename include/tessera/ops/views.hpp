#pragma once

// Views: other names for the bytes of a tensor, within a body and across the border of a loop.

#include <tessera/ir/graph.hpp>

namespace tessera::ops {

/// A view of `of` that belongs to body `body`: `dims` elements from `base` on, moved by `step` with
/// each trip.
constexpr i32 view_into(graph& g, i32 of, const shape& dims, i32 stack, i32 body, i64 base,
                        i64 step) {
  tensor t = g.tensors[of];
  t.dims = dims;
  t.stack = stack;
  t.body = body;
  t.of = of;
  t.base = base;
  t.step = step;
  return g.add(t);
}

/// `x` as seen in `body`, which lies within x's: views that stand still, one for each level.
constexpr i32 captured(graph& g, i32 x, i32 body) {
  if (g.tensors[x].body == body) return x;
  const i32 outside = captured(g, x, g.bodies[body].parent);
  return view_into(g, outside, g.tensors[x].dims, g.tensors[x].stack, body, 0, 0);
}

/// Where slice 0 of a stack lies for the first trip, and how far slices of `count` are apart.
constexpr i64 first_slice(const loop_body& b, i64 count) {
  return b.reversed ? (b.trips - 1) * count : 0;
}
constexpr i64 slice_step(const loop_body& b, i64 count) { return b.reversed ? -count : count; }

/// The slice of `x` (in the body around) that a trip of `body` sees.
constexpr i32 slice(graph& g, i32 x, i32 body) {
  shape dims = g.tensors[x].dims.sample();
  const i64 count = dims.count();
  return view_into(g, x, dims, g.tensors[x].stack - 1, body, first_slice(g.bodies[body], count),
                   slice_step(g.bodies[body], count));
}

/// A tensor that outlives the step (a parameter, a statistic), made by the layer at hand. It
/// belongs to the step itself; where blocks are repeated with weights of their own it is a stack of
/// one slice for each trip, and what is returned is the slice of this one.
constexpr i32 append_lasting(graph& g, tensor t) {
  i32 around[loop_body::max_depth + 1] = {};  // bodies from the outermost to the one at hand
  const i32 depth = g.bodies[g.body].depth;
  for (i32 body = g.body, d = depth; d > 0; --d, body = g.bodies[body].parent) around[d] = body;
  t.body = 0;
  i32 innermost = 0;
  for (i32 d = depth; d > 0; --d) {
    const loop_body& b = g.bodies[around[d]];
    if (!b.own_weights) continue;
    t.dims = t.dims.batch_of(b.trips);
    ++t.stack;
    if (innermost == 0) innermost = d;
  }
  i32 id = g.add(t);
  for (i32 d = 1; d <= innermost; ++d) {
    id = g.bodies[around[d]].own_weights ? slice(g, id, around[d]) : captured(g, id, around[d]);
  }
  return id;
}

}  // namespace tessera::ops
