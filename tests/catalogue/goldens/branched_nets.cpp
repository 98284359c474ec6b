// Golden checks of networks whose branches meet again, and of one that makes images: a residual
// network, an inception block, a convolutional autoencoder. Outputs, loss, all gradients, running
// statistics after one step, and the weights and statistics after three steps of SGD and of Adam.

#include <catalogue/goldens/checks.hpp>
#include <catalogue/goldens/training.hpp>

namespace tessera::testing {

namespace {

/// A case's network, its tensors by the case's names.
struct branched_net {
  graph g;
  i32 x = -1;
  i32 target = -1;
  std::string target_values;  // which input the target is
  i32 loss = -1;
  std::map<std::string, i32> weights;
  std::map<std::string, i32> statistics;
  std::map<std::string, i32> outputs;
};

/// Makes a branched_net layer by layer; shapes of weights are the case's.
class branched_builder {
 public:
  branched_builder(const golden_case& c, bool batch_last) : case_(c), batch_last_(batch_last) {
    net.x = input("x");
  }

  branched_net net;
  norm_attributes norm;

  i32 input(const std::string& name, role what = role::input) {
    const shape dims = case_.tensor("inputs", name).dims_as_they_are();
    return add_tensor(net.g, dims, {.what = what, .batch_last = batch_last_});
  }

  i32 conv(i32 x, const std::string& name, i32 stride, i32 pad, bool bias) {
    const i32 w = weight(name + ".weight");
    return ops::conv2d(net.g, x, w, bias ? weight(name + ".bias") : -1, window_of(w, stride, pad),
                       1, {"conv", 1, ""});
  }
  i32 conv_relu(i32 x, const std::string& name, i32 stride, i32 pad) {
    return relu(conv(x, name, stride, pad, true));
  }
  i32 conv_transpose(i32 x, const std::string& name, i32 stride, i32 pad, i32 output_padding) {
    const i32 w = weight(name + ".weight");
    const i32 more[2] = {output_padding, output_padding};
    return ops::conv_transpose2d(net.g, x, w, weight(name + ".bias"), window_of(w, stride, pad),
                                 more, 1, {"conv_transpose", 1, ""});
  }
  i32 batch_norm(i32 x, const std::string& name) {
    const i32 gamma = weight(name + ".weight");
    const i32 beta = weight(name + ".bias");
    return ops::batch_norm(net.g, x, gamma, beta, statistic(name + ".running_mean"),
                           statistic(name + ".running_var"), norm, {"bn", 1, ""});
  }
  i32 relu(i32 x) { return ops::unary(net.g, kind::relu, x, {"relu", 1, ""}); }
  i32 pool(i32 x, kind what, i32 kernel, i32 stride, i32 pad) {
    window win;
    for (i32 axis = 0; axis < 2; ++axis) {
      win.kernel[axis] = kernel;
      win.stride[axis] = stride;
      win.pad_begin[axis] = win.pad_end[axis] = pad;
    }
    return ops::pool2d(net.g, what, x, win, {"pool", 1, ""});
  }

  /// The mean of each channel, a dense layer, cross entropy.
  void classify(i32 x) {
    graph& g = net.g;
    const shape in = g.tensors[x].dims;
    window all;
    for (i32 axis = 0; axis < 2; ++axis) all.kernel[axis] = all.stride[axis] = in[2 + axis];
    x = ops::pool2d(g, kind::avg_pool2d, x, all, {"pool", 1, ""});
    x = ops::view(g, x, shape(in[0], in[1]));
    const i32 w = weight("fc.weight");
    const i32 logits = ops::dense(g, x, w, weight("fc.bias"), {"dense", 1, ""});
    net.outputs["logits"] = logits;
    net.target_values = "target";
    net.target = add_tensor(g, case_.tensor("inputs", "target").dims_as_they_are(),
                            {.what = role::target, .type = element::int32});
    finish(ops::softmax_cross_entropy(g, logits, net.target, -1, {}));
  }
  void finish(i32 loss) {
    net.loss = loss;
    net.outputs["loss"] = loss;
    net.g.losses = loss;
    if (net.g.wrong.wrong()) throw error(std::string(spell(net.g.wrong).view()));
  }

 private:
  i32 weight(const std::string& name) {
    const shape dims = case_.tensor("weights", name).dims_as_they_are();
    const bool bias = name.ends_with(".bias");
    return net.weights[name] = add_weight(net.g, dims, element::f32, bias ? "bias" : "weight");
  }
  i32 statistic(const std::string& name) {
    const shape dims = case_.tensor("buffers", name).dims_as_they_are();
    return net.statistics[name] =
               add_tensor(net.g, dims, {.what = role::statistic, .batched = false});
  }
  window window_of(i32 weight, i32 stride, i32 pad) const {
    window win;
    for (i32 axis = 0; axis < 2; ++axis) {
      win.kernel[axis] = net.g.tensors[weight].dims[2 + axis];
      win.stride[axis] = stride;
      win.pad_begin[axis] = win.pad_end[axis] = pad;
    }
    return win;
  }

  const golden_case& case_;
  bool batch_last_;
};

void fill(interpreter& run, const branched_net& net, const golden_case& c) {
  run.write(net.x, c.tensor("inputs", "x").values);
  run.write(net.target, c.tensor("inputs", net.target_values).values);
  for (const auto& [name, id] : net.weights) run.write(id, c.tensor("weights", name).values);
  for (const auto& [name, id] : net.statistics) run.write(id, c.tensor("buffers", name).values);
}

void check_gradients(const golden_case& c, findings& f, const graph_backend& b, branched_net net) {
  const grow<i32> gradients = passes::differentiate(net.g);
  for (const auto& [name, id] : net.weights) keep(net.g, gradients[id]);
  for (const auto& [name, id] : net.outputs) keep(net.g, id);
  interpreter run(net.g, b.find);
  fill(run, net, c);
  run.run({.valid = net.g.tensors[net.x].dims[0]});
  for (const auto& [name, id] : net.outputs) f.compare("outputs", name, run.read(id));
  for (const auto& [name, id] : net.statistics) {
    f.compare("outputs", "step1_" + name, run.read(id));
  }
  for (const auto& [name, id] : net.weights) {
    f.compare("grad_weights", name, run.read(gradients[id]));
  }
}

/// `make` builds the network with a branched_builder.
template <class Make>
void check_branched(const golden_case& c, findings& f, attribute_reader& attrs, Make make) {
  attrs.get<std::string>("architecture");
  const i32 batch = attrs.get<i32>("batch");
  if (batch != c.tensor("inputs", "x").dims[0]) f.note("\"batch\" is not x's");
  on_all_backends(f, batch, [&](const graph_backend& b, bool last) {
    branched_builder builder(c, last);
    make(builder);
    const branched_net& net = builder.net;
    if (net.weights.size() != c.names("weights").size()) f.note("the case has other weights");
    check_gradients(c, f, b, net);
    check_trainings(
        f, b, net, batch, attrs, [&](interpreter& run, const branched_net& n) { fill(run, n, c); },
        [&](interpreter& run, const branched_net& n, const std::string& section) {
          for (const auto& [name, id] : n.weights) f.compare(section, name, run.read(id));
          for (const auto& [name, id] : n.statistics) f.compare(section, name, run.read(id));
        });
  });
  attrs.all_must_be_asked();
}

/// One residual block; `project`: its shortcut has weights.
i32 append_block(branched_builder& b, i32 x, const std::string& name, i32 width, i32 stride,
                 bool project) {
  graph& g = b.net.g;
  i32 y = b.relu(b.batch_norm(b.conv(x, name + ".conv1", stride, 1, false), name + ".bn1"));
  y = b.batch_norm(b.conv(y, name + ".conv2", 1, 1, false), name + ".bn2");
  const i32 in = g.tensors[x].dims[1];
  if (stride > 1 || in != width) {
    if (project) {
      x = b.batch_norm(b.conv(x, name + ".down", stride, 0, false), name + ".downbn");
    } else {
      x = b.pool(x, kind::avg_pool2d, 1, stride, 0);
      const ops::part parts[] = {{x, 0}, {-1, width - in}};
      x = ops::concat(g, parts, 2, 0, {"shortcut", 1, ""});
    }
  }
  return b.relu(ops::binary(g, kind::add, y, x, {"residual", 1, ""}));
}

}  // namespace

void check_net_resnet8(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const auto widths = attrs.get<std::vector<i32>>("widths");
  const bool project =
      attrs.choice("shortcut", std::map<std::string, bool>{{"A", false}, {"B", true}});
  attribute_reader bn = attrs.group("bn");
  norm_attributes norm;
  norm.epsilon = bn.get<float>("eps");
  norm.momentum = bn.get<float>("momentum");
  bn.all_must_be_asked();
  check_branched(c, f, attrs, [&](branched_builder& b) {
    b.norm = norm;
    i32 x = b.relu(b.batch_norm(b.conv(b.net.x, "conv1", 1, 1, false), "bn1"));
    for (std::size_t i = 0; i < widths.size(); ++i) {
      x = append_block(b, x, "b" + std::to_string(i + 1), widths[i], i == 0 ? 1 : 2, project);
    }
    b.classify(x);
  });
}

void check_net_inception(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const i32 in = attrs.get<i32>("in");
  attribute_reader channels = attrs.group("channels");
  const i32 branches[] = {channels.get<i32>("1x1"), channels.get<i32>("3x3"),
                          channels.get<i32>("5x5"), channels.get<i32>("poolproj")};
  const i32 reduced[] = {channels.get<i32>("3x3reduce"), channels.get<i32>("5x5reduce")};
  channels.all_must_be_asked();
  check_branched(c, f, attrs, [&](branched_builder& b) {
    graph& g = b.net.g;
    const i32 x = b.net.x;
    if (g.tensors[x].dims[1] != in) f.note("\"in\" is not x's");
    const i32 three = b.conv_relu(x, "b2r", 1, 0);
    const i32 five = b.conv_relu(x, "b3r", 1, 0);
    if (g.tensors[three].dims[1] != reduced[0] || g.tensors[five].dims[1] != reduced[1]) {
      f.note("weights do not fit \"channels\"");
    }
    const ops::part parts[] = {{b.conv_relu(x, "b1", 1, 0)},
                               {b.conv_relu(three, "b2", 1, 1)},
                               {b.conv_relu(five, "b3", 1, 2)},
                               {b.conv_relu(b.pool(x, kind::max_pool2d, 3, 1, 1), "b4", 1, 0)}};
    for (i32 i = 0; i < 4; ++i) {
      if (g.tensors[parts[i].id].dims[1] != branches[i]) f.note("weights do not fit \"channels\"");
    }
    const i32 block = ops::concat(g, parts, 4, 0, {"concat", 1, ""});
    b.net.outputs["block"] = block;
    b.classify(block);
  });
}

void check_net_convae(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  check_branched(c, f, attrs, [&](branched_builder& b) {
    i32 x = b.conv_relu(b.net.x, "c1", 2, 1);
    x = b.conv_relu(x, "c2", 2, 1);
    x = b.relu(b.conv_transpose(x, "d1", 2, 1, 1));
    x = b.conv_transpose(x, "d2", 2, 1, 0);
    const i32 y = ops::unary(b.net.g, kind::sigmoid, x, {"sigmoid", 1, ""});
    b.net.outputs["y"] = y;
    b.net.target = b.input("x", role::target);
    b.net.target_values = "x";
    b.finish(ops::mse(b.net.g, y, b.net.target, {}));
  });
}

}  // namespace tessera::testing
