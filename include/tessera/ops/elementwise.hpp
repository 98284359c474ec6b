#pragma once

// Operations that go element by element; functions of one number are in ops/activation.hpp.
//
//   operation   forward                     backward                       saved     in place
//   dropout     u < rate ? 0 : x / (1-rate) the same with the same mask    nothing   both
//   add         a + b                       dy to both                     nothing   over a
//   subtract    a - b                       dy to a, 0 - dy to b           nothing   over a
//   multiply    a b                         dy b to a, dy a to b           a, b      over a
//   cast        other element type          -                              -         no
//
// Gradients are written over dy. Dropout's u of element i (counted as it lies in memory) in step t
// is word i mod 4 of philox(seed, (trip, salt))(t, i / 4), where trip is the number of the slice
// among all loops around, 0 outside: nothing is stored, and every backend draws the same mask
// (Salmon et al. 2011). Going back, a loop finds each trip's mask by the same number.

#include <tessera/core/random.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// The random numbers of one call of dropout.
struct dropout_words {
  philox generator;
  u64 first;

  constexpr explicit dropout_words(const call& c)
      : generator{c.step->seed, static_cast<u64>(c.attr->salt) + (static_cast<u64>(c.trip) << 32)},
        first(c.step->step << 32) {}

  /// Those of elements 4 i to 4 i + 3.
  constexpr random_block operator()(i64 i) const { return generator(first + static_cast<u64>(i)); }
};

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

/// z = x op y, element by element.
constexpr i32 binary(graph& g, kind what, i32 x, i32 y, tensor_name layer) {
  const tensor& a = g.tensors[x];
  const tensor& b = g.tensors[y];
  if (a.dims != b.dims) {
    refuse(g,
           {spell(layer), "two values of one shape", spell_all<64>(a.sample(), " and ", b.sample()),
            "make the branches meet, or project one of them"});
  }
  const i32 z = append_activation(g, x, g.tensors[x].dims, layer, "out");
  g.tensors[z].differentiable = g.tensors[x].differentiable || g.tensors[y].differentiable;
  operation op;
  op.what = what;
  op.in[0] = x;
  op.in[1] = y;
  op.out[0] = z;
  op.layer = layer;
  g.add(op);
  return z;
}

/// Sum, difference and product of two tensors of one shape.
constexpr i32 add(graph& g, i32 x, i32 y, tensor_name layer) {
  return binary(g, kind::add, x, y, layer);
}
constexpr i32 subtract(graph& g, i32 x, i32 y, tensor_name layer) {
  return binary(g, kind::subtract, x, y, layer);
}
constexpr i32 multiply(graph& g, i32 x, i32 y, tensor_name layer) {
  return binary(g, kind::multiply, x, y, layer);
}

constexpr void differentiate_add(graph&, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  a.contribute(forward.in[0], dy);
  a.contribute(forward.in[1], dy);
}

constexpr void differentiate_subtract(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  a.contribute(forward.in[0], dy);
  if (!a.wanted(forward.in[1])) return;
  operation zero;
  zero.what = kind::zero;
  zero.out[0] = a.make(forward.in[1], forward.layer);
  zero.layer = forward.layer;
  g.add(zero);
  operation negative = forward;  // in the bytes of the zeros
  negative.in[0] = zero.out[0];
  negative.in[1] = dy;
  negative.out[0] = a.make(forward.in[1], forward.layer);
  g.add(negative);
  a.contribute(forward.in[1], negative.out[0]);
}

constexpr void differentiate_multiply(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  for (i32 side = 0; side < 2; ++side) {
    const i32 x = forward.in[side];
    if (!a.wanted(x)) continue;
    operation op = forward;
    op.in[0] = dy;
    op.in[1] = forward.in[1 - side];
    op.out[0] = a.make(x, forward.layer);
    g.add(op);
    a.contribute(x, op.out[0]);
  }
}

}  // namespace tessera::ops
