#pragma once

// Optimizers as types. Each is a struct of constants; to change one, derive and hide it:
//
//   struct my_sgd : tessera::sgd {
//     static constexpr float momentum = 0.9f;
//     static constexpr bool nesterov = true;
//   };
//
// What the constants mean stands beside `update_rule` in ir/attributes.hpp, and in
// ops/update_rules.hpp. The learning rate is a value of each step (optim/schedule.hpp).

#include <tessera/ir/attributes.hpp>
#include <concepts>

namespace tessera {

/// Stochastic gradient descent, plain unless a derived type says otherwise.
struct sgd {
  static constexpr optimizer_kind what = optimizer_kind::sgd;
  static constexpr float momentum = 0;
  static constexpr float dampening = 0;
  static constexpr bool nesterov = false;
  static constexpr float weight_decay = 0;
};

/// SGD with momentum 0.9 (Polyak 1964).
struct momentum_sgd : sgd {
  static constexpr float momentum = 0.9f;
};

/// SGD with Nesterov's momentum of 0.9 (Sutskever et al. 2013).
struct nesterov_sgd : momentum_sgd {
  static constexpr bool nesterov = true;
};

/// SGD with momentum 0.9 that adds the weight gradients of loops straight into the momentum: they
/// have no buffers (passes/sum_in_momentum.hpp). The same but for rounding.
struct summing_sgd : momentum_sgd {
  static constexpr bool sums_in_momentum = true;
};

/// Adam (Kingma, Ba 2015).
struct adam {
  static constexpr optimizer_kind what = optimizer_kind::adam;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float weight_decay = 0;
  static constexpr bool amsgrad = false;
  static constexpr bool decoupled = false;
};

/// Adam with decoupled weight decay (Loshchilov, Hutter 2019).
struct adamw : adam {
  static constexpr float weight_decay = 0.01f;
  static constexpr bool decoupled = true;
};

/// RMSprop (Tieleman, Hinton 2012); `centered` divides by a deviation instead (Graves 2013).
struct rmsprop {
  static constexpr optimizer_kind what = optimizer_kind::rmsprop;
  static constexpr float alpha = 0.99f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float momentum = 0;
  static constexpr bool centered = false;
  static constexpr float weight_decay = 0;
};

/// Adagrad (Duchi, Hazan, Singer 2011).
struct adagrad {
  static constexpr optimizer_kind what = optimizer_kind::adagrad;
  static constexpr float rate_decay = 0;
  static constexpr float initial_accumulator = 0;
  static constexpr float epsilon = 1e-10f;
  static constexpr float weight_decay = 0;
};

/// Adadelta (Zeiler 2012); its learning rate is usually 1.
struct adadelta {
  static constexpr optimizer_kind what = optimizer_kind::adadelta;
  static constexpr float rho = 0.9f;
  static constexpr float epsilon = 1e-6f;
  static constexpr float weight_decay = 0;
};

/// Adam with the largest magnitude for the second moment (Kingma, Ba 2015).
struct adamax {
  static constexpr optimizer_kind what = optimizer_kind::adamax;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float weight_decay = 0;
};

/// Adam with Nesterov's momentum (Dozat 2016).
struct nadam {
  static constexpr optimizer_kind what = optimizer_kind::nadam;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float momentum_decay = 0.004f;
  static constexpr float weight_decay = 0;
};

/// Rectified Adam (Liu et al. 2020).
struct radam {
  static constexpr optimizer_kind what = optimizer_kind::radam;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float weight_decay = 0;
};

/// Resilient propagation, for whole batches (Riedmiller, Braun 1993).
struct rprop {
  static constexpr optimizer_kind what = optimizer_kind::rprop;
  static constexpr float shrink = 0.5f;
  static constexpr float growth = 1.2f;
  static constexpr float smallest_step = 1e-6f;
  static constexpr float largest_step = 50;
  static constexpr float weight_decay = 0;
};

/// Lion (Chen et al. 2023); its weight decay is decoupled.
struct lion {
  static constexpr optimizer_kind what = optimizer_kind::lion;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.99f;
  static constexpr float weight_decay = 0;
};

/// LAMB (You et al. 2020): Adam's direction, as long as the weight is. `bias_correction` of the
/// moments.
struct lamb {
  static constexpr optimizer_kind what = optimizer_kind::lamb;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-6f;
  static constexpr float weight_decay = 0.01f;
  static constexpr bool bias_correction = true;
};

/// LARS (You, Gitman, Ginsburg 2017): SGD whose rate follows the norms of weight and gradient.
struct lars {
  static constexpr optimizer_kind what = optimizer_kind::lars;
  static constexpr float momentum = 0.9f;
  static constexpr float weight_decay = 1e-4f;
  static constexpr float trust = 0.001f;
};

/// What every optimizer may hide beside its own constants:
///
///   l1              adds l1 sign(w) to each gradient: an L1 penalty of l1 sum |w|, which the
///                   reported loss leaves out. Each gradient is then stored, one at a time.
///   spares_vectors  biases and scales of normalizations (all parameters of one extent) have no
///                   weight decay, no L1 penalty, and in lamb and lars no rate of their own
///   sums_in_momentum  sgd with momentum: weight gradients of loops, see summing_sgd
template <class O>
concept optimizer = requires {
  { O::what } -> std::convertible_to<optimizer_kind>;
};

/// The constants of an optimizer type as a value.
template <optimizer O>
constexpr update_rule rule_of() {
  update_rule rule;
  rule.what = O::what;
  rule.weight_decay = O::weight_decay;
  if constexpr (requires { O::momentum; }) rule.momentum = O::momentum;
  if constexpr (requires { O::dampening; }) rule.dampening = O::dampening;
  if constexpr (requires { O::nesterov; }) rule.nesterov = O::nesterov;
  if constexpr (requires { O::beta1; }) rule.beta1 = O::beta1;
  if constexpr (requires { O::beta2; }) rule.beta2 = O::beta2;
  if constexpr (requires { O::alpha; }) rule.beta2 = O::alpha;
  if constexpr (requires { O::rho; }) rule.beta2 = O::rho;
  if constexpr (requires { O::epsilon; }) rule.epsilon = O::epsilon;
  if constexpr (requires { O::amsgrad; }) rule.amsgrad = O::amsgrad;
  if constexpr (requires { O::decoupled; }) rule.decoupled = O::decoupled;
  if constexpr (requires { O::centered; }) rule.centered = O::centered;
  if constexpr (requires { O::rate_decay; }) rule.slowing = O::rate_decay;
  if constexpr (requires { O::momentum_decay; }) rule.slowing = O::momentum_decay;
  if constexpr (requires { O::initial_accumulator; }) rule.start = O::initial_accumulator;
  if constexpr (requires { O::bias_correction; }) rule.corrected = O::bias_correction;
  if constexpr (requires { O::trust; }) rule.trust = O::trust;
  if constexpr (requires { O::largest_step; }) {
    rule.shrink = O::shrink;
    rule.growth = O::growth;
    rule.smallest = O::smallest_step;
    rule.largest = O::largest_step;
  }
  if constexpr (requires { O::l1; }) rule.l1 = O::l1;
  if constexpr (requires { O::sums_in_momentum; }) rule.sums_in_momentum = O::sums_in_momentum;
  if constexpr (requires { O::spares_vectors; }) rule.spares_vectors = O::spares_vectors;
  return rule;
}

static_assert(optimizer<sgd> && optimizer<nesterov_sgd> && optimizer<adam>);

}  // namespace tessera
