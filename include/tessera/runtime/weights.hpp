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
#include <utility>
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

namespace detail {

/// The repeated block around a tensor at `depth`, 0 the outermost; body 0 where there is none.
inline i32 repeated_body(const graph& g, i32 id, i32 depth) {
  i32 bodies[loop_body::max_depth + 1] = {};
  i32 count = 0;
  for (i32 s = g.tensors[id].name.scope; s >= 0; s = g.scopes[s].parent) {
    if (g.scopes[s].body > 0) bodies[count++] = g.scopes[s].body;
  }
  return depth < count ? bodies[count - 1 - depth] : 0;
}

/// Lists tensors trip by trip of the blocks around them, from `depth` inwards. `slice` is the
/// number of the trip at hand among those of all blocks further out.
class weight_lister {
 public:
  weight_lister(const graph& g, std::span<const location> locations, const region_bases& bases)
      : g_(g), locations_(locations), bases_(bases) {}

  void list(std::span<const i32> ids, i32 depth, i32 slice) {
    for (std::size_t i = 0; i < ids.size();) {
      const i32 body = is_stack(ids[i]) ? repeated_body(g_, ids[i], depth) : 0;
      std::size_t end = i + 1;
      if (body == 0) {
        append(ids[i], slice);
      } else {
        while (end < ids.size() && is_stack(ids[end]) &&
               repeated_body(g_, ids[end], depth) == body) {
          ++end;
        }
        const i32 trips = g_.bodies[body].trips;
        for (i32 t = 0; t < trips; ++t) {
          list(ids.subspan(i, end - i), depth + 1, slice * trips + t);
        }
      }
      i = end;
    }
  }

  weight_list result;

 private:
  /// True for a stack whose scopes number its slices. Any other is listed whole.
  bool is_stack(i32 id) const {
    const tensor& t = g_.tensors[id];
    i32 slices = 1;
    for (i32 axis = 0; axis < t.stack; ++axis) slices *= t.dims[axis];
    return t.stack > 0 && slices == slices_of(g_, t.name.scope);
  }

  void append(i32 id, i32 number) {
    tensor slice = g_.tensors[id];
    for (; slice.stack > 0 && is_stack(id); --slice.stack) slice.dims = slice.dims.sample();
    const i64 bytes = slice.bytes();
    result.push_back({std::string(full_name(g_, slice.name, number).view()),
                      slice,
                      {bases_.at(locations_[static_cast<std::size_t>(id)]) + number * bytes,
                       static_cast<std::size_t>(bytes)}});
  }

  const graph& g_;
  std::span<const location> locations_;
  const region_bases& bases_;
};

}  // namespace detail

/// All parameters and statistics of a graph, in the order in which its layers would declare them if
/// repeated blocks were written out. `locations` by tensor.
inline weight_list list_weights(const graph& g, std::span<const location> locations,
                                const region_bases& bases) {
  std::vector<i32> ids;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if ((t.what == role::parameter || t.what == role::statistic) && t.of < 0) ids.push_back(id);
  }
  detail::weight_lister lister(g, locations, bases);
  lister.list(ids, 0, 0);
  return std::move(lister.result);
}

/// First values by each tensor's initializer. Every parameter has a stream of random numbers of its
/// own, numbered in the order of the list: repeated blocks start as the same blocks written out.
inline void initialize_weights(const weight_list& weights, u64 seed) {
  u64 stream = 0;
  for (const weight& w : weights) {
    random_stream random(seed, w.is_parameter() ? ++stream : 0);
    std::vector<double> values(static_cast<std::size_t>(w.about.dims.count()));
    initialize(w.about.init, w.about.fan_in, w.about.fan_out, random, values,
               w.about.dims.rank > 0 ? w.about.dims[0] : 1);
    write_tensor(w.about, w.bytes.data(), values);
  }
}

}  // namespace tessera
