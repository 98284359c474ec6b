#pragma once

// The networks that golden cases name, as graphs of any size.

#include <catalogue/goldens/checks.hpp>

namespace tessera::testing {

/// One layer with weights, and the tensors around it that cases show.
struct net_layer {
  std::string name;
  bool conv = false;
  window win;
  i32 x = -1;  // what it reads
  i32 weight = -1;
  i32 bias = -1;
  i32 z = -1;  // what it puts out
  i32 a = -1;  // after activation and pooling
};

struct golden_net {
  graph g;
  i32 x = -1;
  i32 target = -1;
  i32 loss = -1;
  std::vector<net_layer> layers;

  i32 logits() const { return layers.back().z; }
};

/// x w + b or the convolution of a layer; its names come from the layer.
inline i32 append_product(graph& g, const net_layer& l) {
  const tensor_name name{l.conv ? "conv" : "dense", 1, ""};
  return l.conv ? ops::conv2d(g, l.x, l.weight, l.bias, l.win, 1, name)
                : ops::dense(g, l.x, l.weight, l.bias, name);
}

/// Appends layers to a golden_net one after another.
class net_builder {
 public:
  net_builder(const golden_case& c, golden_net& net, kind activation, bool batch_last)
      : case_(c), net_(net), activation_(activation) {
    const shape dims = c.tensor("inputs", "x").dims_as_they_are();
    now_ = net.x = add_tensor(net.g, dims, {.batch_last = batch_last});
  }

  /// A layer whose weights are the case's NAME.weight and NAME.bias, with activation and pooling.
  void layer(const std::string& name, const window* conv, const kind* pool, bool last = false) {
    graph& g = net_.g;
    net_layer l;
    l.name = name;
    l.conv = conv != nullptr;
    if (l.conv) l.win = *conv;
    l.x = l.conv ? now_ : flat(now_);
    l.weight = add_weight(g, weights(name + ".weight"));
    l.bias = add_weight(g, weights(name + ".bias"), element::f32, "bias");
    l.z = l.a = append_product(g, l);
    if (!last) l.a = ops::unary(g, activation_, l.z, {"activation", 1, ""});
    if (pool != nullptr) {
      window w;
      for (i32 axis = 0; axis < 2; ++axis) w.kernel[axis] = w.stride[axis] = 2;
      l.a = ops::pool2d(g, *pool, l.a, w, {"pool", 1, ""});
    }
    now_ = l.a;
    net_.layers.push_back(l);
  }

  void cross_entropy(float weight = 1) {
    const shape dims = case_.tensor("inputs", "target").dims_as_they_are();
    net_.target = add_tensor(net_.g, dims, {.what = role::target, .type = element::int32});
    net_.loss = ops::softmax_cross_entropy(net_.g, now_, net_.target, -1, {.weight = weight});
    net_.g.losses = net_.loss;
  }

 private:
  shape weights(const std::string& name) const {
    return case_.tensor("weights", name).dims_as_they_are();
  }
  i32 flat(i32 id) {
    const shape dims = net_.g.tensors[id].dims;
    return dims.rank == 2
               ? id
               : ops::view(net_.g, id, shape(dims[0], static_cast<i32>(dims.sample().count())));
  }

  const golden_case& case_;
  golden_net& net_;
  kind activation_;
  i32 now_ = -1;
};

inline const std::map<std::string, kind> activations{
    {"relu", kind::relu}, {"tanh", kind::tanh}, {"sigmoid", kind::sigmoid}};
inline const std::map<std::string, kind> pools{{"max", kind::max_pool2d},
                                               {"avg", kind::avg_pool2d}};

/// fc1 -> activation -> fc2 ... with as many units as `sizes` says.
inline void build_mlp(golden_net& net, const golden_case& c, const std::vector<i32>& sizes,
                      kind activation, bool batch_last, float loss_weight = 1) {
  net_builder b(c, net, activation, batch_last);
  for (std::size_t i = 1; i < sizes.size(); ++i) {
    b.layer("fc" + std::to_string(i), nullptr, nullptr, i + 1 == sizes.size());
    const shape dims = net.g.tensors[net.layers.back().weight].dims;
    if (dims != shape(sizes[i], sizes[i - 1])) throw error("a weight does not fit \"sizes\"");
  }
  b.cross_entropy(loss_weight);
}

/// LeNet-5 as the cases draw it: conv1 5x5 pad 2, pool, conv2 5x5, pool, fc1, fc2, fc3.
inline void build_lenet5(golden_net& net, const golden_case& c, kind activation, kind pool,
                         bool batch_last, float loss_weight = 1) {
  net_builder b(c, net, activation, batch_last);
  window same, valid;
  for (i32 axis = 0; axis < 2; ++axis) {
    same.kernel[axis] = valid.kernel[axis] = 5;
    same.pad_begin[axis] = same.pad_end[axis] = 2;
  }
  b.layer("conv1", &same, &pool);
  b.layer("conv2", &valid, &pool);
  b.layer("fc1", nullptr, nullptr);
  b.layer("fc2", nullptr, nullptr);
  b.layer("fc3", nullptr, nullptr, true);
  b.cross_entropy(loss_weight);
}

/// Writes a case's batch and first weights.
inline void fill(interpreter& run, const golden_net& net, const golden_case& c) {
  run.write(net.x, c.tensor("inputs", "x").values);
  run.write(net.target, c.tensor("inputs", "target").values);
  for (const net_layer& l : net.layers) {
    run.write(l.weight, c.tensor("weights", l.name + ".weight").values);
    run.write(l.bias, c.tensor("weights", l.name + ".bias").values);
  }
}

/// Compares all weights with those of a section of the case.
inline void compare_weights(interpreter& run, const golden_net& net, const std::string& section,
                            const std::string& prefix, findings& f) {
  for (const net_layer& l : net.layers) {
    f.compare(section, prefix + l.name + ".weight", run.read(l.weight));
    f.compare(section, prefix + l.name + ".bias", run.read(l.bias));
  }
}

}  // namespace tessera::testing
