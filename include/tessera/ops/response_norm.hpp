#pragma once

// Local response normalization: every value is divided by a power of its neighbours' energy, the
// channels around it at the same position.
//
//   y[c] = x[c] / d[c]^beta     d[c] = k + alpha / size sum of x[j]^2, c - size / 2 <= j
//                                                                     <= c + (size - 1) / 2
//   dx[j] = dy[j] / d[j]^beta - 2 alpha beta / size x[j] sum over the c that see j of
//                                                            dy[c] x[c] / d[c]^(beta + 1)
//
// Channels outside the sample are zeros. Saved: x; d is computed again. In place: nothing, a value
// is its neighbours' neighbour. Arithmetic in f32 (f64 in the f64 policy).
// Source: Krizhevsky, Sutskever, Hinton 2012 (alpha is divided by size, as later frameworks do).

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// Kernels hold that many neighbours at a time.
inline constexpr i32 most_response_channels = 64;

/// x (batch, channels[, ...]). Returns y of the same shape.
constexpr i32 local_response_norm(graph& g, i32 x, const response_attributes& r,
                                  tensor_name layer) {
  const tensor& t = g.tensors[x];
  if (!t.batched || t.stack != 0 || t.dims.rank < 2) {
    refuse(g, {spell(layer), "samples with channels (batch x channels x ...)",
               spell_all<64>(t.dims), "put it where samples have channels"});
  }
  if (r.size < 1 || r.size > most_response_channels) {
    refuse(g, {spell(layer), spell_all("a window of 1 to ", most_response_channels, " channels"),
               spell_all<64>(r.size), "use fewer neighbours"});
  }
  if (!(r.k > 0) || !(r.alpha >= 0)) {
    refuse(g, {spell(layer), "k above 0 and alpha of at least 0", "others",
               "what is divided by must not reach 0"});
  }
  attributes attr;
  attr.response = r;
  return unary(g, kind::local_response_norm, x, layer, attr);
}

/// local_response_norm_gradient: (x, dy) -> dx.
constexpr void differentiate_response_norm(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what = kind::local_response_norm_gradient;
  op.in[1] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr response_sizes sizes_of_response_norm(const graph& g, const operation& op) {
  const shape& x = g.tensors[op.in[0]].dims;
  response_sizes n{x[0], x[1], 1, op.attr.response.size};
  for (i32 axis = 2; axis < x.rank; ++axis) n.inner *= x[axis];
  return n;
}

}  // namespace tessera::ops
