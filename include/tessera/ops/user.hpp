#pragma once

// Operations written by users: kernels and costs of their own (ir/user_operation.hpp).
//
//   operation       operands                                     writes
//   user            (x0[, x1, x2, x3])                           y, of any one shape
//   user_gradient   (x0[, x1, x2, x3], y, dy), y in slot 4       dx0[, ...], those that are wanted
//
// Saved for the backward pass: what the definition says, the inputs and the output. In place: over
// x0 where the definition allows it. Stored as f32; as f64 and in
// 16 bits where there are kernels for that.

#include <tessera/ir/user_operation.hpp>
#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// Applies `what` to 1 to 4 values. The output has the shape `dims`, batch first, and the layout of
/// the first input. `what` must live as long as the graph.
constexpr i32 user(graph& g, const user_operation& what, const i32* inputs, i32 count,
                   const shape& dims, tensor_name layer) {
  const i32 x = inputs[0];
  if (count > user_operation::max_inputs) {
    refuse(g, {spell(layer), spell_all("at most ", user_operation::max_inputs, " inputs"),
               spell_all<64>(count), "concatenate some of them"});
    return x;
  }
  operation op;
  op.what = kind::user;
  op.attr.user = &what;
  op.layer = layer;
  bool differentiable = false;
  for (i32 i = 0; i < count; ++i) {
    op.in[i] = inputs[i];
    differentiable = differentiable || needs_gradient(g, inputs[i]);
  }
  op.out[0] = append_activation(g, x, dims, layer, "out");
  g.tensors[op.out[0]].differentiable = differentiable && what.gradient != nullptr;
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_user(graph& g, const operation& forward, adjoints& a) {
  const user_operation& what = *forward.attr.user;
  const i32 dy = a.need(forward.out[0]);
  bool wanted = false;
  for (const i32 in : forward.in) wanted = wanted || a.wanted(in);
  if (dy < 0 || !wanted || what.gradient == nullptr) return;
  operation op = forward;
  op.what = kind::user_gradient;
  op.in[4] = what.keeps_output ? forward.out[0] : -1;
  op.in[5] = dy;
  for (i32 i = 0; i < user_operation::max_inputs; ++i) {
    op.out[i] = a.wanted(forward.in[i]) ? a.make(forward.in[i], forward.layer) : -1;
    if (!what.keeps_inputs) op.in[i] = -1;
  }
  g.add(op);
  for (i32 i = 0; i < user_operation::max_inputs; ++i) {
    if (op.out[i] >= 0) a.contribute(forward.in[i], op.out[i]);
  }
}

constexpr user_sizes sizes_of_user(const graph& g, const operation& op) {
  const bool forward = op.what == kind::user;
  const user_operation& what = *op.attr.user;
  const auto count = [&](i32 id) {
    return id < 0 ? 0 : static_cast<i32>(g.tensors[id].dims.count());
  };
  user_sizes sizes;
  for (i32 i = 0; i < user_operation::max_inputs; ++i) {
    sizes.inputs[i] = count(op.in[i] >= 0 || forward ? op.in[i] : op.out[i]);
  }
  const i32 y = forward ? op.out[0] : op.in[5];
  sizes.output = count(y);
  sizes.batch = g.tensors[y].batch();
  const float ops = forward ? what.vector_ops_per_element : what.gradient_ops_per_element;
  sizes.sixteenths = static_cast<i32>(ops * 16.0f + 0.5f);
  sizes.in_double = (forward ? what.forward_f64 : what.gradient_f64) != nullptr;
  sizes.any_width = what.any_width;
  return sizes;
}

}  // namespace tessera::ops
