#pragma once

// Free energies of restricted Boltzmann machines as graphs, and the exact likelihood of small ones.
//
//   F(v)    -b.v - sum softplus(w v + c)               binary visible units
//           |v - b|^2 / 2 - sum softplus(w v + c)      gaussian ones
//   log Z   log sum over all v of exp(-F(v))           binary, all 2^visible of them side by side
//   nll     mean of F(v) over data + log Z
//
// Made of operations that have gradients: the exact gradient of the likelihood comes by itself.
// log Z is a softmax cross entropy over all configurations whose target is the first, all units
// off: -log p(0) = F(0) + log Z, and F(0) = -sum softplus(c).

#include <tessera/nn/rbm.hpp>

namespace tessera {

namespace detail {

inline constexpr tensor_name energy_name{"rbm", 0, "energy"};

/// x times a number.
constexpr i32 scaled(graph& g, i32 x, float factor) {
  return ops::weigh_samples(g, x, factor, 1, energy_name);
}

/// Sums over the features of (rows, features): (rows, 1).
constexpr i32 row_sums(graph& g, i32 x) {
  return ops::reduce(g, kind::reduce_sum, x, 2, true, energy_name);
}

constexpr i32 softplus(graph& g, i32 x) { return ops::unary(g, kind::softplus, x, energy_name); }

}  // namespace detail

/// -F(v), the logarithm of what v weighs: (rows, visible) -> (rows, 1). Sums in f32.
constexpr i32 log_weight(graph& g, const rbm_weights& m, i32 v) {
  const i32 hidden = detail::row_sums(g, detail::softplus(g, hidden_input(g, m, v)));
  if (m.units.gaussian) {
    const i32 off =
        ops::broadcast(g, kind::broadcast_subtract, v, m.visible_bias, detail::energy_name);
    const i32 squares = ops::unary(g, kind::square, off, detail::energy_name);
    return ops::subtract(g, hidden, detail::scaled(g, detail::row_sums(g, squares), 0.5f),
                         detail::energy_name);
  }
  const i32 row = ops::view(g, m.visible_bias, shape(1, m.units.visible));
  const i32 visible = ops::dense(g, v, row, -1, detail::energy_name);
  return ops::add(g, hidden, visible, detail::energy_name);
}

/// F(v): (batch, visible) -> (batch, 1).
constexpr i32 free_energy(graph& g, const rbm_weights& m, i32 v) {
  return detail::scaled(g, log_weight(g, m, v), -1);
}

/// log Z of a binary machine, a scalar. `configurations` (2^visible, visible) are samples: every
/// state of the visible units, the one with all of them off first; `zero` is a target (1) of i32
/// that holds 0.
constexpr i32 log_partition(graph& g, const rbm_weights& m, i32 configurations, i32 zero) {
  const i32 weights = log_weight(g, m, configurations);
  const i32 states = g.tensors[configurations].dims[0];
  const i32 logits = ops::view(g, weights, shape(1, states));
  const i32 first = ops::softmax_cross_entropy(g, logits, zero, -1, {});  // -log p(0)
  const i32 off = ops::reduce(g, kind::reduce_sum, detail::softplus(g, m.hidden_bias), 1, false,
                              detail::energy_name);  // -F(0)
  return ops::add(g, first, off, detail::energy_name);
}

/// The mean negative log-likelihood of v (batch, visible), a scalar: what exact training makes
/// smaller. `log_z` as `log_partition` gives it. All rows of v count.
constexpr i32 negative_log_likelihood(graph& g, const rbm_weights& m, i32 v, i32 log_z) {
  const i32 mean =
      ops::reduce(g, kind::reduce_mean, free_energy(g, m, v), 3, false, detail::energy_name);
  return ops::add(g, mean, log_z, detail::energy_name);
}

}  // namespace tessera
