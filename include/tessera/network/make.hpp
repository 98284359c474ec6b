#pragma once

// The graph of a whole step: layers, loss, backward pass, precision, updates.

#include <tessera/network/network.hpp>
#include <tessera/network/options.hpp>
#include <tessera/passes/differentiate.hpp>
#include <tessera/passes/fuse.hpp>
#include <tessera/passes/join_loops.hpp>
#include <tessera/passes/recompute.hpp>
#include <tessera/passes/shorten.hpp>
#include <tessera/passes/slots.hpp>
#include <tessera/passes/sum_in_momentum.hpp>
#include <tessera/passes/table_products.hpp>
#include <tessera/passes/updates.hpp>

namespace tessera {

/// Puts the backward pass behind a forward graph that ends in a loss, and assigns precisions.
/// Returns the gradients, by tensor. `rule.what == none` stops after them: they live until the end.
/// `recomputes`: stacks of loops are to be dropped.
constexpr grow<i32> append_gradients(graph& g, const precision_policy& precision,
                                     const update_rule& rule, bool recomputes = false) {
  passes::multiply_tables(g);
  passes::append_scaler(g, precision.scaling);
  if (recomputes) passes::join_loops(g);
  const i32 forward = g.operations.size();
  grow<i32> gradients = passes::differentiate(g, nullptr, 0, !recomputes && !rule.sums_in_momentum);
  if (rule.what == optimizer_kind::none) {
    for (const i32 gradient : gradients) {
      if (gradient >= 0 && g.tensors[gradient].parameter >= 0) {
        g.tensors[gradient].what = role::result;
      }
    }
  }
  const i32 uncast = g.operations.size();
  passes::assign_precision(g, precision);
  g.forward_operations = forward + g.operations.size() - uncast;
  passes::mask_before_pools(g);
  return gradients;
}

/// Weight gradients that need no buffers, in a step with its updates.
constexpr void fuse_gradients(graph& g, const update_rule& rule) {
  if (rule.sums_in_momentum) passes::sum_in_momentum(g);
  passes::fuse_updates(g);
}

/// The same and the updates. What is left to do: recomputation, slots.
constexpr void append_backward(graph& g, const precision_policy& precision, const update_rule& rule,
                               const gradient_limits& limits = {}, bool recomputes = false) {
  const grow<i32> gradients = append_gradients(g, precision, rule, recomputes);
  passes::append_updates(g, gradients, passes::rule_in(precision, rule), precision.scaling, limits);
  fuse_gradients(g, rule);
}

/// The whole step of a forward graph. Returns what recomputation did.
constexpr recompute_summary complete_training_graph(graph& g, const precision_policy& precision,
                                                    const update_rule& rule,
                                                    const gradient_limits& limits = {},
                                                    const recompute_policy& policy = {}) {
  recompute_summary summary;
  if (policy.used()) {
    graph plain = g;
    append_backward(plain, precision, rule, limits);
    append_backward(g, precision, rule, limits, true);
    summary = passes::recompute(g, policy, plain);
  } else {
    append_backward(g, precision, rule, limits);
  }
  passes::write_into_slots(g);
  return summary;
}

/// The forward graph of a network, empty but for the diagnostic where something is wrong with it.
template <network_type Network, class Loss>
constexpr graph make_forward(i32 batch, purpose why) {
  graph g;
  builder b(g, batch, why);
  const bundle y = Network::build(b);
  if constexpr (!std::same_as<Loss, void>) {
    if (g.wrong.wrong()) {
      // said already
    } else if constexpr (loss_on<Loss, bundle>) {
      build_loss<Loss>(b, y);
    } else if (y.size == 1) {
      build_loss<Loss>(b, y.items[0]);
    } else {
      b.fail({"loss", "one output", spell_all<64>(y.size, " outputs"),
              "give one loss for each: losses<...>"});
    }
    b.append_auxiliary_losses();
  }
  if (!g.wrong.wrong()) return g;
  graph nothing;
  nothing.wrong = g.wrong;
  return nothing;
}

/// A training step before recomputation and slots; `recomputes` as in append_backward.
template <network_type Network, loss_function Loss>
constexpr graph make_unfinished_training(const job_options& o, const update_rule& rule,
                                         bool recomputes) {
  graph g = make_forward<Network, Loss>(o.batch, purpose::training);
  if (!g.wrong.wrong()) append_backward(g, o.precision, rule, o.limits, recomputes);
  return g;
}

template <network_type Network, loss_function Loss>
constexpr graph make_training(const job_options& o, const update_rule& rule) {
  graph g = make_forward<Network, Loss>(o.batch, purpose::training);
  if (!g.wrong.wrong()) complete_training_graph(g, o.precision, rule, o.limits, o.recompute);
  return g;
}

/// Makes a forward graph an inference step: the output is kept, values for a backward pass are not.
constexpr void complete_inference_graph(graph& g, const precision_policy& precision) {
  passes::multiply_tables(g);
  for (i32 i = 0; i < g.outputs.size(); ++i) {
    const i32 storage = storage_of(g, g.outputs[i]);
    if (!in_arena(g.tensors[storage].what)) continue;  // an input handed through
    tensor& output = g.tensors[g.outputs[i]];
    output.what = g.tensors[storage].what = role::result;
    output.name = g.tensors[storage].name = {"output", i > 0 ? i + 1 : 0, ""};
  }
  ops::drop_saved(g);
  passes::assign_precision(g, precision);
  passes::write_into_slots(g);
}

/// Forward pass with the output kept; with a loss, that of the samples at hand.
template <network_type Network, class Loss>
constexpr graph make_inference(const job_options& o) {
  graph g = make_forward<Network, Loss>(o.batch, purpose::inference);
  if (!g.wrong.wrong()) complete_inference_graph(g, o.precision);
  return g;
}

}  // namespace tessera
