#pragma once

// The networks of the zoo by name, as graphs that are made when the program runs by the very
// functions that a job's constants come from.

#include <tessera/core/error.hpp>
#include <tessera/models.hpp>
#include <tessera/network/make.hpp>
#include <tessera/optim/optimizer.hpp>
#include <string>

namespace examples {

namespace zoo_entries {

using tessera::graph;
using tessera::i32;
using tessera::image;
using tessera::purpose;
using tessera::sequence;
using tessera::tokens;
namespace models = tessera::models;

struct entry {
  const char* name;
  i32 batch;                                 // where none is asked for
  graph (*forward)(i32 batch, purpose why);  // layers and loss
  graph (*predict)(i32 batch, purpose why);  // layers alone
};

template <class Input, class Layers, class Loss = tessera::softmax_cross_entropy>
constexpr entry of(const char* name, i32 batch) {
  using network = tessera::network<Input, Layers>;
  return {name, batch, &tessera::make_forward<network, Loss>,
          &tessera::make_forward<network, void>};
}

inline const entry all[] = {
    of<image<1, 28, 28>, models::lenet5<>>("lenet5", 1),
    of<image<1, 28, 28>, models::mlp<300, 100, 10>>("mlp", 32),
    of<image<1, 28, 28>, models::deep_mlp<100, 512, 10>>("mlp100", 64),
    of<image<1, 28, 28>, models::conv_autoencoder<1, 4, 6>, tessera::mse>("autoencoder", 32),
    of<image<3, 227, 227>, models::alexnet<>>("alexnet", 1),
    of<image<3, 224, 224>, models::vgg16<>>("vgg16", 1),
    of<image<3, 224, 224>, models::squeezenet<>>("squeezenet", 1),
    of<image<3, 224, 224>, models::googlenet<>>("googlenet", 1),
    of<image<3, 224, 224>, models::resnet18<>>("resnet18", 1),
    of<image<3, 224, 224>, models::resnet34<>>("resnet34", 1),
    of<image<3, 224, 224>, models::resnet50<>>("resnet50", 1),
    of<image<3, 32, 32>, models::cifar_resnet<20>>("resnet20", 128),
    of<image<1, 256, 256>, models::unet<2>, tessera::pixel_cross_entropy>("unet", 1),
    of<tokens<64>, models::char_lstm<65>>("char_lstm", 32),
    of<sequence<100, 256>, models::lstm_tagger<512, 128>>("lstm100", 16),
    of<tokens<128>, models::gpt<1024, 128, 256, 4, 12, false>>("transformer12", 1),
};

}  // namespace zoo_entries

using zoo_network = zoo_entries::entry;
inline const auto& zoo = zoo_entries::all;

/// `beside`: what else --model takes, for the message.
inline const zoo_network& network_called(const std::string& name, const std::string& beside = "") {
  std::string known;
  for (const zoo_network& n : zoo_entries::all) {
    if (n.name == name) return n;
    known += std::string(known.empty() ? "" : ", ") + n.name;
  }
  throw tessera::error("--model: expected " +
                       (beside.empty() ? "one of " : beside + ", or some of ") + known +
                       ", got \"" + name + "\"");
}

inline tessera::update_rule rule_called(const std::string& optimizer) {
  if (optimizer == "sgd") return tessera::rule_of<tessera::sgd>();
  if (optimizer == "adam") return tessera::rule_of<tessera::adam>();
  return tessera::rule_of<tessera::momentum_sgd>();
}

/// fp32, fp16 (mixed), half (16-bit weights without f32 masters).
inline tessera::precision_policy precision_called(const std::string& precision) {
  if (precision == "fp16") return tessera::mixed<tessera::fp16, tessera::skip_tensor>::policy;
  if (precision == "half") return tessera::pure<tessera::fp16, tessera::skip_tensor>::policy;
  return tessera::fp32::policy;
}

}  // namespace examples
