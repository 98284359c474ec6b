#pragma once

// The networks of the zoo by name, as graphs that are made when the program runs by the very
// functions that a job's constants come from.
//
// They take longer to compile than all else in an example. Programs that are built together compile
// them once, in zoo.cpp (TESSERA_ZOO_APART); an example on its own includes them.

#include <tessera/core/error.hpp>
#include <tessera/network/make.hpp>
#include <tessera/optim/optimizer.hpp>
#include <span>
#include <string>

namespace examples {

struct zoo_network {
  const char* name;
  tessera::i32 batch;  // where none is asked for
  // layers and loss; layers alone
  tessera::graph (*forward)(tessera::i32 batch, tessera::purpose why);
  tessera::graph (*predict)(tessera::i32 batch, tessera::purpose why);
};

std::span<const zoo_network> zoo();

/// `beside`: what else --model takes, for the message.
inline const zoo_network& network_called(const std::string& name, const std::string& beside = "") {
  std::string known;
  for (const zoo_network& n : zoo()) {
    if (n.name == name) return n;
    known += std::string(known.empty() ? "" : ", ") + n.name;
  }
  throw tessera::error("--model: expected " +
                       (beside.empty() ? "one of " : beside + ", or some of ") + known +
                       ", got \"" + name + "\"");
}

inline tessera::update_rule rule_called(const std::string& optimizer) {
  if (optimizer == "sgd") return tessera::rule_of<tessera::sgd>();
  if (optimizer == "summing") return tessera::rule_of<tessera::summing_sgd>();
  if (optimizer == "adam") return tessera::rule_of<tessera::adam>();
  return tessera::rule_of<tessera::momentum_sgd>();
}

/// fp32, fp16 and bf16 (mixed), half (16-bit weights without f32 masters).
inline tessera::precision_policy precision_called(const std::string& precision) {
  if (precision == "bf16") return tessera::mixed<tessera::bf16, tessera::skip_tensor>::policy;
  if (precision == "fp16") return tessera::mixed<tessera::fp16, tessera::skip_tensor>::policy;
  if (precision == "half") return tessera::pure<tessera::fp16, tessera::skip_tensor>::policy;
  return tessera::fp32::policy;
}

}  // namespace examples

#ifndef TESSERA_ZOO_APART
#include "zoo_networks.hpp"
#endif
