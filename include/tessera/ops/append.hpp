#pragma once

// How operations are appended to a graph: the few steps that every family of operations shares.

#include <tessera/ops/views.hpp>

namespace tessera::ops {

/// True where samples go innermost. Every vector instruction then works on whole samples side by
/// side, whatever the extents of a layer; a batch that is no multiple of 16 would waste lanes. The
/// rule looks at the batch only, so that no plan depends on the vector width of a machine.
constexpr bool batch_goes_last(i32 batch) { return batch % 16 == 0; }

/// Records the first mistake in a graph. Layers find theirs before they append; this is for graphs
/// that are put together at run time.
constexpr void refuse(graph& g, const diagnostic& d) {
  if (!g.wrong.wrong()) g.wrong = d;
}

/// A tensor of shape `dims` that is laid out like `like`, as the output of an operation on it.
constexpr i32 append_like(graph& g, i32 like, const shape& dims, role what, tensor_name name) {
  tensor t;
  t.dims = dims;
  t.type = g.tensors[like].type;
  t.what = what;
  t.body = g.body;
  t.stack = g.tensors[like].stack;
  t.batched = g.tensors[like].batched;
  t.batch_last = g.tensors[like].batch_last;
  t.differentiable = g.tensors[like].differentiable;
  t.name = name;
  return g.add(t);
}

constexpr i32 append_activation(graph& g, i32 like, const shape& dims, tensor_name layer,
                                const char* part) {
  return append_like(g, like, dims, role::activation, part_of(layer, part));
}

/// True where a gradient of `id` is wanted; an operand that is absent (-1) has none.
constexpr bool needs_gradient(const graph& g, i32 id) {
  return id >= 0 && g.tensors[id].differentiable;
}

/// The same bytes under another shape.
constexpr i32 view(graph& g, i32 of, const shape& dims) {
  return view_into(g, captured(g, of, g.body), dims, g.tensors[of].stack, g.body, 0, 0);
}

/// A parameter of the network. The name's part is "weight", "bias", ...
constexpr i32 parameter(graph& g, const shape& dims, tensor_name name, initializer init, i32 fan_in,
                        i32 fan_out) {
  tensor t;
  t.dims = dims;
  t.what = role::parameter;
  t.differentiable = true;
  t.name = name;
  t.init = init;
  t.fan_in = fan_in;
  t.fan_out = fan_out;
  return append_lasting(g, t);
}

/// One input and one output of the same shape.
constexpr i32 unary(graph& g, kind what, i32 x, tensor_name layer, const attributes& attr = {}) {
  const i32 y = append_activation(g, x, g.tensors[x].dims, layer, "out");
  operation op;
  op.what = what;
  op.in[0] = x;
  op.out[0] = y;
  op.attr = attr;
  op.layer = layer;
  g.add(op);
  return y;
}

}  // namespace tessera::ops
