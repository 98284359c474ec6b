#pragma once

// Operations that go element by element.
//
//   operation   forward                     backward                       saved     in place
//   relu        max(x, 0), -0 and NaN kept  y > 0 ? dy : 0                 y         both
//   tanh        tanh(x)                     dy (1 - y y), in f32           y         both
//   sigmoid     1 / (1 + exp(-x))           dy y (1 - y), in f32           y         both
//   dropout     u < rate ? 0 : x / (1-rate) the same with the same mask    nothing   both
//   add         a + b                       dy to both                     nothing   over a
//   cast        other element type          -                              -         no
//
// Gradients are written over dy. Dropout's u of element i (counted as it lies in memory) in step t
// is word i mod 4 of philox(seed, salt)(t, i / 4): nothing is stored, and every backend draws the
// same mask (Salmon et al. 2011).

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

constexpr kind gradient_kind(kind forward) {
  switch (forward) {
    case kind::relu: return kind::relu_gradient;
    case kind::tanh: return kind::tanh_gradient;
    case kind::sigmoid: return kind::sigmoid_gradient;
    default: return kind::none;
  }
}

/// relu, tanh, sigmoid: all read their derivative from their output.
constexpr void differentiate_activation(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what = gradient_kind(forward.what);
  op.in[0] = forward.out[0];
  op.in[1] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

/// Dropout is linear in x for a given mask: its gradient is dropout of dy with the same salt.
constexpr void differentiate_dropout(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.in[0] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr void differentiate_add(graph&, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  a.contribute(forward.in[0], dy);
  a.contribute(forward.in[1], dy);
}

/// Sum of two tensors of one shape.
constexpr i32 add(graph& g, i32 x, i32 y, tensor_name layer) {
  const i32 sum = append_activation(g, x, g.tensors[x].dims, layer, "out");
  g.tensors[sum].differentiable = g.tensors[x].differentiable || g.tensors[y].differentiable;
  operation op;
  op.what = kind::add;
  op.in[0] = x;
  op.in[1] = y;
  op.out[0] = sum;
  op.layer = layer;
  g.add(op);
  return sum;
}

}  // namespace tessera::ops
