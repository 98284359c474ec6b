#pragma once

// Gated linear unit: the first half along an axis, times the sigmoid of the second.
//
//   operation      operands        meaning                                 in place
//   glu            (x) -> y        y = a sigmoid(b), x = (a, b)            no
//   glu_gradient   (x, dy) -> dx   da = dy s, db = dy a s (1 - s)          over x
//
// The axis counts as in ops/move.hpp. Saved: x. f32 arithmetic, one rounding when stored.
// Source: Dauphin et al. 2017.

#include <tessera/ops/axes_sizes.hpp>
#include <tessera/ops/move.hpp>  // check_axis

namespace tessera::ops {

constexpr i32 glu(graph& g, i32 x, i32 axis, tensor_name layer) {
  if (!check_axis(g, x, axis, layer)) return x;
  shape dims = g.tensors[x].dims;
  const i32 along = extent_of_axis(g.tensors[x], axis);
  if (dims[along] % 2 != 0) {
    refuse(g, {spell(layer), spell_all("an even extent along axis ", axis),
               spell_all<64>(g.tensors[x].sample()), "give a value and a gate of one extent"});
    return x;
  }
  dims[along] /= 2;
  operation op;
  op.what = kind::glu;
  op.attr.axis = axis;
  op.in[0] = x;
  op.out[0] = append_activation(g, x, dims, layer, "out");
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_glu(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  const i32 x = forward.in[0];
  if (dy < 0 || !a.wanted(x)) return;
  operation op = forward;
  op.what = kind::glu_gradient;
  op.in[1] = dy;
  op.out[0] = a.make(x, forward.layer);
  g.add(op);
  a.contribute(x, op.out[0]);
}

constexpr gate_sizes sizes_of_glu(const graph& g, const operation& op) {
  const axis_view x = view_along(g.tensors[op.in[0]], op.attr.axis);
  return {x.outer, x.along / 2 * x.inner};
}

}  // namespace tessera::ops
