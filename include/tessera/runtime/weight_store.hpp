#pragma once

// The weights of a network by themselves, without a step around them: a place to load a file into.

#include <tessera/network/make.hpp>
#include <tessera/runtime/memory_block.hpp>
#include <tessera/runtime/weights.hpp>

namespace tessera {

/// All parameters and statistics of a network in 32 bits, zeros at first.
///
///   weight_store<voice> w;
///   load("voice.safetensors", w.weights());
///   stream<voice> s(w.weights());
template <network_type Network>
class weight_store {
 public:
  weight_store() : graph_(make_forward<Network, void>(1, purpose::inference)) {
    i64 bytes = 0;
    locations_.resize(static_cast<std::size_t>(graph_.tensors.size()));
    for (i32 id = 0; id < graph_.tensors.size(); ++id) {
      if (!is_weight(id)) continue;
      locations_[static_cast<std::size_t>(id)] = {region::parameters, bytes, {}};
      bytes += aligned(graph_.tensors[id].bytes());
    }
    block_ = memory_block(bytes);
    bases_[region::parameters] = block_.data();
  }

  weight_list weights() const { return list_weights(graph_, locations_, bases_); }

  /// The values of tensor `id` of the network's graph.
  const float* values(i32 id) const {
    return reinterpret_cast<const float*>(bases_.at(locations_[static_cast<std::size_t>(id)]));
  }
  const tensor& about(i32 id) const { return graph_.tensors[id]; }

 private:
  bool is_weight(i32 id) const {
    const tensor& t = graph_.tensors[id];
    return (t.what == role::parameter || t.what == role::statistic) && t.of < 0;
  }

  graph graph_;
  std::vector<location> locations_;
  memory_block block_;
  region_bases bases_;
};

}  // namespace tessera
