#pragma once

// The weights of a network: named views of its parameters and statistics.
//
// A repeated block's parameter is a stack of one slice for each trip; the slices are listed one by
// one, under the names that the blocks would have if they were written out:
//
//   stack (5, 64, 64, 3, 3), scope "layer3" from 1 on   ->   layer3.1.conv1.weight 64x64x3x3
//                                                            layer3.2.conv1.weight 64x64x3x3 ...

#include <tessera/core/random.hpp>
#include <tessera/ir/names.hpp>
#include <tessera/optim/initialize.hpp>
#include <tessera/runtime/bases.hpp>
#include <tessera/runtime/element_access.hpp>
#include <span>
#include <string>
#include <vector>

namespace tessera {

/// One parameter or statistic: "conv1.weight", its shape and its bytes, row-major in PyTorch's
/// layouts.
struct weight {
  std::string name;
  tensor about;
  std::span<std::byte> bytes;

  /// Trained; else a statistic, which is saved and loaded with the parameters.
  bool is_parameter() const { return about.what == role::parameter; }
};

using weight_list = std::vector<weight>;

/// All parameters and statistics of a graph, in the order in which its layers declare them; slices
/// of a stack follow each other. `locations` by tensor.
inline weight_list list_weights(const graph& g, std::span<const location> locations,
                                const region_bases& bases) {
  weight_list list;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if ((t.what != role::parameter && t.what != role::statistic) || t.of >= 0) continue;
    tensor slice = t;
    i32 slices = 1;
    for (; slice.stack > 0; --slice.stack) {
      slices *= slice.dims[0];
      slice.dims = slice.dims.sample();
    }
    const auto bytes = static_cast<std::size_t>(slice.bytes());
    std::byte* data = bases.at(locations[static_cast<std::size_t>(id)]);
    for (i32 i = 0; i < slices; ++i, data += bytes) {
      list.push_back({std::string(full_name(g, t.name, i).view()), slice, {data, bytes}});
    }
  }
  return list;
}

/// First values by each tensor's initializer. Every parameter has a stream of random numbers of its
/// own, numbered in the order of the list.
inline void initialize_weights(const weight_list& weights, u64 seed) {
  u64 stream = 0;
  for (const weight& w : weights) {
    random_stream random(seed, w.is_parameter() ? ++stream : 0);
    std::vector<double> values(static_cast<std::size_t>(w.about.dims.count()));
    initialize(w.about.init, w.about.fan_in, w.about.fan_out, random, values);
    write_tensor(w.about, w.bytes.data(), values);
  }
}

}  // namespace tessera
