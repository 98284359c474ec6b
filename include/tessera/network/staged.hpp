#pragma once

// The step of a large network in stages, each a constant of its own that starts from the one
// before, so that each has a fresh allowance of constant-evaluation steps:
//
//   forward, backward, precision -> updates -> fused updates -> slots
//
// Made in one go, 120 dense layers and their updates use up what clang allows one constant by
// default. Small networks are made in one go: a stage is evaluated twice, to learn its size first.

#include <tessera/network/frozen.hpp>
#include <tessera/network/make.hpp>
#include <tessera/optim/optimizer.hpp>

namespace tessera::detail {

/// `Pair` has the network and its loss. `Recomputes`: stacks of loops are to be dropped.
template <bool Recomputes, class Pair, class Optimizer, class... Options>
struct staged_training {
  static constexpr job_options options = read_job_options<Options...>();
  static constexpr update_rule rule = rule_of<Optimizer>();

  struct differentiated {
    graph g;
    grow<i32> gradients;
  };
  static constexpr differentiated differentiate() {
    differentiated d{
        make_forward<typename Pair::network, typename Pair::loss>(options.batch, purpose::training),
        {}};
    d.gradients = append_gradients(d.g, options.precision, rule, Recomputes);
    return d;
  }

  struct size_of_first {
    graph_size of_graph;
    i32 gradients = 0;
  };
  static constexpr size_of_first first_size = [] {
    const differentiated d = differentiate();
    return size_of_first{size_of(d.g), d.gradients.size()};
  }();
  static constexpr auto first = [] {
    struct {
      decltype(freeze<first_size.of_graph>(graph{})) g;
      frozen_array<i32, first_size.gradients> gradients;
    } stage;
    const differentiated d = differentiate();
    stage.g = freeze<first_size.of_graph>(d.g);
    stage.gradients = freeze<first_size.gradients>(d.gradients);
    return stage;
  }();

  static constexpr graph append_updates() {
    graph g = thaw(first.g);
    const auto gradients = grow<i32>::borrow(first.gradients.items, first_size.gradients);
    passes::append_updates(g, gradients, passes::rule_in(options.precision, rule),
                           options.precision.scaling, options.limits);
    return g;
  }
  static constexpr graph_size updated_size = size_of(append_updates());
  static constexpr auto updated = freeze<updated_size>(append_updates());

  /// The step before recomputation and slots.
  static constexpr graph make_unfinished() {
    graph g = thaw(updated);
    fuse_gradients(g, rule);
    return g;
  }
  static constexpr graph_size fused_size = size_of(make_unfinished());
  static constexpr auto fused = freeze<fused_size>(make_unfinished());

  static constexpr graph make() {
    graph g = thaw(fused);
    passes::write_into_slots(g);
    return g;
  }
};

}  // namespace tessera::detail
