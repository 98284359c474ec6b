#pragma once

// The weights of a network: named views of its parameters.

#include <tessera/core/random.hpp>
#include <tessera/optim/initialize.hpp>
#include <tessera/runtime/bases.hpp>
#include <tessera/runtime/element_access.hpp>
#include <span>
#include <string>
#include <vector>

namespace tessera {

/// One parameter: "conv1.weight", its shape and its bytes, row-major in PyTorch's layouts.
struct weight {
  std::string name;
  tensor about;
  std::span<std::byte> bytes;
};

using weight_list = std::vector<weight>;

/// All parameters of a graph, in the order in which its layers declare them.
inline weight_list list_weights(std::span<const tensor> tensors,
                                std::span<const location> locations, const region_bases& bases) {
  weight_list list;
  for (std::size_t id = 0; id < tensors.size(); ++id) {
    const tensor& t = tensors[id];
    if (t.what != role::parameter || t.of >= 0) continue;
    list.push_back({std::string(spell(t.name).view()),
                    t,
                    {bases.at(locations[id]), static_cast<std::size_t>(t.bytes())}});
  }
  return list;
}

/// First values by each parameter's initializer. Every parameter has a stream of random numbers of
/// its own, so that a change in one layer leaves the others as they were.
inline void initialize_weights(const weight_list& weights, u64 seed) {
  u64 stream = 0;
  for (const weight& w : weights) {
    random_stream random(seed, ++stream);
    std::vector<double> values(static_cast<std::size_t>(w.about.dims.count()));
    initialize(w.about.init, w.about.fan_in, w.about.fan_out, random, values);
    write_tensor(w.about, w.bytes.data(), values);
  }
}

}  // namespace tessera
