#pragma once

// Every update rule with every option that it has, for tests that go through all of them.

#include <tessera/ir/attributes.hpp>

#include <vector>

namespace tessera::testing {

struct named_rule {
  const char* name;
  update_rule rule;
};

inline std::vector<named_rule> all_update_rules() {
  using enum optimizer_kind;
  return {
      {"sgd", {.what = sgd}},
      {"sgd, nesterov", {.what = sgd, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.1f}},
      {"adam", {.what = adam, .weight_decay = 0.1f}},
      {"adam, amsgrad", {.what = adam, .amsgrad = true}},
      {"adamw", {.what = adam, .weight_decay = 0.5f, .decoupled = true}},
      {"adamw, amsgrad", {.what = adam, .weight_decay = 0.5f, .amsgrad = true, .decoupled = true}},
      {"rmsprop", {.what = rmsprop, .weight_decay = 0.1f, .beta2 = 0.99f}},
      {"rmsprop, momentum", {.what = rmsprop, .momentum = 0.9f, .beta2 = 0.9f}},
      {"rmsprop, centered", {.what = rmsprop, .beta2 = 0.9f, .epsilon = 1e-3f, .centered = true}},
      {"rmsprop, both", {.what = rmsprop, .momentum = 0.5f, .beta2 = 0.9f, .centered = true}},
      {"adagrad", {.what = adagrad, .weight_decay = 0.1f, .epsilon = 1e-10f}},
      {"adagrad, slower", {.what = adagrad, .epsilon = 1e-10f, .slowing = 0.05f, .start = 0.1f}},
      {"adadelta", {.what = adadelta, .weight_decay = 0.1f, .beta2 = 0.9f, .epsilon = 1e-6f}},
      {"adamax", {.what = adamax, .weight_decay = 0.1f}},
      {"nadam", {.what = nadam, .weight_decay = 0.1f, .slowing = 0.004f}},
      {"radam", {.what = radam, .weight_decay = 0.1f}},
      {"radam, short", {.what = radam, .beta2 = 0.8f}},  // never rectified
      {"rprop", {.what = rprop}},
      {"lion", {.what = lion, .weight_decay = 0.5f, .beta2 = 0.99f}},
      {"lamb", {.what = lamb, .weight_decay = 0.01f, .epsilon = 1e-6f}},
      {"lamb, plain", {.what = lamb, .epsilon = 1e-6f, .corrected = false}},
      {"lars", {.what = lars, .momentum = 0.9f, .weight_decay = 0.01f, .trust = 0.02f}},
      {"lars, plain", {.what = lars, .trust = 0.02f}},
  };
}

}  // namespace tessera::testing
