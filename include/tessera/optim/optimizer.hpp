#pragma once

// Optimizers as types. Each is a struct of constants; to change one, derive and hide it:
//
//   struct my_sgd : tessera::sgd {
//     static constexpr float momentum = 0.9f;
//     static constexpr bool nesterov = true;
//   };
//
// What the constants mean stands beside `update_rule` in ir/attributes.hpp. The learning rate is a
// value of each step (optim/schedule.hpp).

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

/// Adam (Kingma, Ba 2015).
struct adam {
  static constexpr optimizer_kind what = optimizer_kind::adam;
  static constexpr float beta1 = 0.9f;
  static constexpr float beta2 = 0.999f;
  static constexpr float epsilon = 1e-8f;
  static constexpr float weight_decay = 0;
  static constexpr bool amsgrad = false;
};

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
  if constexpr (O::what == optimizer_kind::sgd) {
    rule.momentum = O::momentum;
    rule.dampening = O::dampening;
    rule.nesterov = O::nesterov;
  } else {
    rule.beta1 = O::beta1;
    rule.beta2 = O::beta2;
    rule.epsilon = O::epsilon;
    rule.amsgrad = O::amsgrad;
  }
  return rule;
}

static_assert(optimizer<sgd> && optimizer<nesterov_sgd> && optimizer<adam>);

}  // namespace tessera
