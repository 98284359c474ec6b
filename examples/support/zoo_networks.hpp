#pragma once

// What zoo.hpp lists. Defines zoo(): in one unit of a program.

#include <tessera/models.hpp>

#include "zoo.hpp"

namespace examples {

namespace zoo_entries {

using tessera::graph;
using tessera::i32;
using tessera::image;
using tessera::purpose;
using tessera::sequence;
using tessera::tokens;
namespace models = tessera::models;

template <class Input, class Layers, class Loss = tessera::softmax_cross_entropy>
constexpr zoo_network of(const char* name, i32 batch) {
  using network = tessera::network<Input, Layers>;
  return {name, batch, &tessera::make_forward<network, Loss>,
          &tessera::make_forward<network, void>};
}

inline const zoo_network all[] = {
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

std::span<const zoo_network> zoo() { return zoo_entries::all; }

}  // namespace examples
