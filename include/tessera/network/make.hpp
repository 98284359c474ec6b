#pragma once

// The graph of a whole step: layers, loss, backward pass, precision, updates.

#include <tessera/network/network.hpp>
#include <tessera/network/options.hpp>
#include <tessera/passes/differentiate.hpp>
#include <tessera/passes/fuse.hpp>
#include <tessera/passes/slots.hpp>
#include <tessera/passes/updates.hpp>

namespace tessera {

/// Puts the backward pass and the updates behind a forward graph that ends in a loss, and assigns
/// precisions. `rule.what == none` stops after the gradients, which then live until the end.
constexpr void complete_training_graph(graph& g, const precision_policy& precision,
                                       const update_rule& rule,
                                       const gradient_limits& limits = {}) {
  passes::append_scaler(g, precision.scaling);
  const grow<i32> gradients = passes::differentiate(g);
  if (rule.what == optimizer_kind::none) {
    for (const i32 gradient : gradients) {
      if (gradient >= 0 && g.tensors[gradient].parameter >= 0) {
        g.tensors[gradient].what = role::result;
      }
    }
  }
  passes::assign_precision(g, precision);
  passes::append_updates(g, gradients, rule, precision.scaling, limits);
  passes::fuse_updates(g);
  passes::write_into_slots(g);
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

template <network_type Network, loss_function Loss>
constexpr graph make_training(const job_options& o, const update_rule& rule) {
  graph g = make_forward<Network, Loss>(o.batch, purpose::training);
  if (!g.wrong.wrong()) complete_training_graph(g, o.precision, rule, o.limits);
  return g;
}

/// Forward pass with the output kept; with a loss, that of the samples at hand.
template <network_type Network, class Loss>
constexpr graph make_inference(const job_options& o) {
  graph g = make_forward<Network, Loss>(o.batch, purpose::inference);
  if (g.wrong.wrong()) return g;
  for (i32 i = 0; i < g.outputs.size(); ++i) {
    const i32 storage = storage_of(g, g.outputs[i]);
    if (!in_arena(g.tensors[storage].what)) continue;  // an input handed through
    tensor& output = g.tensors[g.outputs[i]];
    output.what = g.tensors[storage].what = role::result;
    output.name = g.tensors[storage].name = {"output", i > 0 ? i + 1 : 0, ""};
  }
  ops::drop_saved(g);
  passes::assign_precision(g, o.precision);
  passes::write_into_slots(g);
  return g;
}

}  // namespace tessera
