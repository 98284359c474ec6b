#pragma once

// Jobs of restricted Boltzmann machines: a training step like any other, planned while compiling.
//
//   using machine = rbm<784, 500>;
//   using job = rbm_training<machine, cd<1>, momentum_sgd, batch<32>>;
//   trainer<job> t{seed{7}};
//   t.fit(images, {.epochs = 5, .learning_rate = 0.05});
//   t.evaluate(images).loss
//
// The trainer is that of networks. A source needs read() only; the loss is the mean squared
// difference between data and reconstructions (nn/rbm.hpp), of evaluate() that of the mean
// reconstruction of p(h | v), without draws. Weight decay of the optimizer goes to the weights, not
// to the biases.

#include <tessera/network/job.hpp>
#include <tessera/nn/rbm_energy.hpp>

namespace tessera {

namespace detail {

/// The batch of visible values.
constexpr i32 rbm_input(graph& g, const rbm_shape& units, i32 batch) {
  builder b(g, batch, purpose::inference);
  return b.input(shape(units.visible), element::f32, 0).id;
}

/// Appends the updates of a machine's parameters by what `contrast` has found.
constexpr void append_rbm_updates(graph& g, const rbm_weights& m, const contrastive_step& s,
                                  update_rule rule, const job_options& o) {
  grow<i32> gradients(g.tensors.size());
  for (i32& id : gradients) id = -1;
  gradients[m.weight] = s.weight_gradient;
  gradients[m.hidden_bias] = s.hidden_gradient;
  gradients[m.visible_bias] = s.visible_gradient;
  rule.spares_vectors = true;
  passes::append_updates(g, gradients, passes::rule_in(o.precision, rule), o.precision.scaling,
                         o.limits);
}

template <machine_type Machine, gibbs_type Gibbs, optimizer Optimizer, job_option... Options>
struct rbm_training_maker {
  constexpr graph operator()() const {
    constexpr job_options o = read_job_options<Options...>();
    graph g;
    const i32 v0 = rbm_input(g, Machine::units, o.batch);
    const rbm_weights m = make_rbm(g, Machine::units);
    passes::append_scaler(g, o.precision.scaling);
    const contrastive_step s = contrast(g, m, v0, Gibbs::gibbs);
    passes::assign_precision(g, o.precision);
    append_rbm_updates(g, m, s, rule_of<Optimizer>(), o);
    passes::fuse_updates(g);
    passes::write_into_slots(g);
    return g;
  }
};

/// Which part of a machine an inference job computes.
enum class rbm_part : u8 { error, features, reconstruction, energy };

template <machine_type Machine, rbm_part Part, job_option... Options>
struct rbm_inference_maker {
  constexpr graph operator()() const {
    constexpr job_options o = read_job_options<Options...>();
    graph g;
    const i32 v0 = rbm_input(g, Machine::units, o.batch);
    const rbm_weights m = make_rbm(g, Machine::units);
    i32 y = -1;
    if (Part == rbm_part::energy) {
      y = free_energy(g, m, v0);
    } else {
      y = hidden_probability(g, m, v0);
      if (Part != rbm_part::features) y = visible_mean(g, m, y);
    }
    if (Part == rbm_part::error) {
      g.losses.push(ops::mse(g, y, v0, {}));
    } else {
      g.tensors[y].what = role::result;
      g.tensors[y].name = {"output", 0, ""};
      g.outputs.push(y);
    }
    passes::assign_precision(g, o.precision);
    passes::write_into_slots(g);
    return g;
  }
};

}  // namespace detail

/// The mean squared difference between data and their mean reconstruction: what a trainer of a
/// machine evaluates with.
template <machine_type Machine, job_option... Options>
struct rbm_evaluation
    : job_base<detail::rbm_inference_maker<Machine, detail::rbm_part::error, Options...>> {
  static constexpr job_options options = read_job_options<Options...>();
};

/// p(h | v) of a batch, for a predictor: (batch, visible) -> (batch, hidden).
template <machine_type Machine, job_option... Options>
struct rbm_features
    : job_base<detail::rbm_inference_maker<Machine, detail::rbm_part::features, Options...>> {
  static constexpr job_options options = read_job_options<Options...>();
};

/// The mean reconstruction of a batch, for a predictor: (batch, visible) -> (batch, visible).
template <machine_type Machine, job_option... Options>
struct rbm_reconstruction
    : job_base<detail::rbm_inference_maker<Machine, detail::rbm_part::reconstruction, Options...>> {
  static constexpr job_options options = read_job_options<Options...>();
};

/// F(v) of each sample of a batch, for a predictor: (batch, visible) -> (batch, 1). Its difference
/// between training and held-out data tells overfitting (the practical guide, 6).
template <machine_type Machine, job_option... Options>
struct rbm_energy
    : job_base<detail::rbm_inference_maker<Machine, detail::rbm_part::energy, Options...>> {
  static constexpr job_options options = read_job_options<Options...>();
};

/// A training step of a machine: Gibbs steps, statistics, updates in place. `Gibbs`: cd<k> or
/// pcd<k>; any optimizer, precision and batch.
template <machine_type Machine, gibbs_type Gibbs, optimizer Optimizer, job_option... Options>
struct rbm_training : job_base<detail::rbm_training_maker<Machine, Gibbs, Optimizer, Options...>> {
  using machine = Machine;
  using evaluation_job = rbm_evaluation<Machine, Options...>;
  static constexpr job_options options = read_job_options<Options...>();
  static constexpr update_rule update = rule_of<Optimizer>();
};

}  // namespace tessera
