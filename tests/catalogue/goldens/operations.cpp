// Golden checks of single operations: forward and backward, on every backend and layout.
//
// A family appends its operation to a graph and names what goes in and comes out as the case does;
// the rest is the same for all: gradients come in where the case has them and are compared where
// the case has them.

#include <tessera/nn/activation.hpp>
#include <catalogue/goldens/case_graph.hpp>

#include <functional>

namespace tessera::testing {

namespace {

i32 batch_of(const golden_case& c, const std::string& input = "x", i32 rank = 0) {
  const golden_tensor t = c.tensor("inputs", input);
  const shape dims = rank > 0 ? t.dims_as(rank) : t.dims_as_they_are();
  return dims.rank > 0 ? dims[0] : 1;
}

/// (batch, channels, length) as an image of one row.
shape as_image(const golden_tensor& t) {
  if (t.dims.size() == 3) {
    return {static_cast<i32>(t.dims[0]), static_cast<i32>(t.dims[1]), 1,
            static_cast<i32>(t.dims[2])};
  }
  if (t.dims.size() != 4) throw error("expected an image of rank 3 or 4");
  return t.dims_as(4);
}

/// Reads a window's pair; in one dimension a number for the width beside `height`.
void read_pair(attribute_reader& attrs, const std::string& name, bool image, i32 height,
               i32 (&to)[2]) {
  if (image) return attrs.pair(name, to);
  to[0] = height;
  to[1] = attrs.get<i32>(name);
}

/// Output 1 of a max pool as flat places in the image.
std::vector<double> flat_places(const graph& g, const operation& op,
                                const std::vector<double>& places) {
  const shape x = g.tensors[op.in[0]].dims;
  const shape y = g.tensors[op.out[0]].dims;
  const window& w = op.attr.win;
  std::vector<double> flat;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const i32 q = static_cast<i32>(i) % y[3];
    const i32 p = static_cast<i32>(i) / y[3] % y[2];
    const i32 r = static_cast<i32>(places[i]) / w.kernel[1];
    const i32 s = static_cast<i32>(places[i]) % w.kernel[1];
    const i32 row = p * w.stride[0] + r * w.dilation[0] - w.pad_begin[0];
    const i32 column = q * w.stride[1] + s * w.dilation[1] - w.pad_begin[1];
    flat.push_back(row * x[3] + column);
  }
  return flat;
}

void append_pool(case_graph& net, const golden_case& c, kind what, i32 x, const window& w) {
  const i32 y = ops::pool2d(net.g, what, x, w, layer);
  const operation op = net.g.operations.back();
  net.output("y", y);
  if (c.has("outputs", "indices")) {
    net.output("indices", op.out[1], [&net, op](const std::vector<double>& places) {
      return flat_places(net.g, op, places);
    });
  }
}

void check_pool(const golden_case& c, findings& f, kind what) {
  const bool image = c.tensor("inputs", "x").dims.size() == 4;
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    window w;
    read_pair(attrs, "kernel", image, 1, w.kernel);
    read_pair(attrs, "stride", image, 1, w.stride);
    read_pair(attrs, "padding", image, 0, w.pad_begin);
    if (attrs.has("dilation")) read_pair(attrs, "dilation", image, 1, w.dilation);
    for (i32 axis = 0; axis < 2; ++axis) w.pad_end[axis] = w.pad_begin[axis];
    w.ceil_mode = attrs.get<bool>("ceil_mode", false);
    if (what == kind::avg_pool2d) w.count_include_pad = attrs.get<bool>("count_include_pad");
    append_pool(net, c, what, net.input("x", as_image(c.tensor("inputs", "x"))), w);
  });
}

void check_global_pool(const golden_case& c, findings& f, kind what) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader&) {
    const shape dims = as_image(c.tensor("inputs", "x"));
    window w;
    for (i32 axis = 0; axis < 2; ++axis) w.kernel[axis] = w.stride[axis] = dims[2 + axis];
    append_pool(net, c, what, net.input("x", dims), w);
  });
}

/// Dropout with a mask given from outside: the operation draws its own, so it is run with seed
/// after seed until every element has been kept or dropped once as the case wants; that run's
/// value and gradient of the element are compared.
void check_dropout_mask(const golden_case& c, findings& f, const graph_backend& b, bool last,
                        float rate) {
  graph g;
  const golden_tensor x = c.tensor("inputs", "x");
  const std::vector<double> keep_mask = c.tensor("inputs", "keep").values;
  const i32 in = add_tensor(g, x.dims_as_they_are(), {.batch_last = last, .differentiable = true});
  attributes attr;
  attr.rate = rate;
  attr.salt = 1;
  const i32 y = ops::unary(g, kind::dropout, in, layer, attr);
  keep(g, y);
  const differentiated d = differentiate_from(g, {y});
  interpreter net(g, b.find);
  const std::size_t count = x.values.size();
  std::vector<double> got(count), gradient(count), ones(count, 1.0);
  std::vector<bool> found(count, false);
  std::size_t missing = count;
  for (u64 seed = 1; missing > 0 && seed <= 1000; ++seed) {
    const step_values step{.seed = seed, .valid = g.tensors[in].dims[0]};
    net.write(in, ones);
    net.run(step);
    const std::vector<double> mask = net.read(y);
    net.write(in, x.values);
    net.write(d.seeds[0], c.tensor("grad_outputs", "y").values);
    net.run(step);
    const std::vector<double> values = net.read(y);
    const std::vector<double> gradients = net.read(d.gradients[in]);
    for (std::size_t i = 0; i < count; ++i) {
      if (found[i] || (mask[i] != 0) != (keep_mask[i] != 0)) continue;
      found[i] = true;
      --missing;
      got[i] = values[i];
      gradient[i] = gradients[i];
    }
  }
  if (missing > 0) return f.note("1000 seeds never drew the mask of some elements");
  f.compare("outputs", "y", got);
  f.compare("grad_inputs", "x", gradient);
}

}  // namespace

void check_dense(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c, "x", 2), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x", 2);
    const shape weight(attrs.get<i32>("out"), attrs.get<i32>("in"));
    const i32 w = net.weight("weight", weight);
    const i32 b = attrs.get<bool>("bias") ? net.weight("bias", shape(weight[0])) : -1;
    net.output("y", ops::dense(net.g, x, w, b, layer));
  });
}

void check_conv(const golden_case& c, findings& f) {
  const bool image = c.tensor("inputs", "x").dims.size() == 4;
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    const shape dims = as_image(c.tensor("weights", "weight"));
    window win;
    for (i32 axis = 0; axis < 2; ++axis) win.kernel[axis] = dims[2 + axis];
    if (attrs.has("kernel")) read_pair(attrs, "kernel", image, 1, win.kernel);
    read_pair(attrs, "stride", image, 1, win.stride);
    read_pair(attrs, "pad_begin", image, 0, win.pad_begin);
    read_pair(attrs, "pad_end", image, 0, win.pad_end);
    read_pair(attrs, "dilation", image, 1, win.dilation);
    const i32 x = net.input("x", as_image(c.tensor("inputs", "x")));
    const i32 w = net.weight("weight", dims);
    const i32 b = attrs.get<bool>("bias") ? net.weight("bias", shape(dims[0])) : -1;
    net.output("y", ops::conv2d(net.g, x, w, b, win, attrs.get<i32>("groups"), layer));
  });
}

void check_conv_transpose(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    window win;
    i32 output_padding[2];
    attrs.pair("kernel", win.kernel);
    attrs.pair("stride", win.stride);
    attrs.pair("padding", win.pad_begin);
    attrs.pair("padding", win.pad_end);
    attrs.pair("dilation", win.dilation);
    attrs.pair("output_padding", output_padding);
    const i32 x = net.input("x");
    const i32 groups = attrs.get<i32>("groups");
    const shape dims = c.tensor("weights", "weight").dims_as(4);
    const i32 w = net.weight("weight", dims);
    const i32 b = attrs.get<bool>("bias") ? net.weight("bias", shape(dims[1] * groups)) : -1;
    net.output("y", ops::conv_transpose2d(net.g, x, w, b, win, output_padding, groups, layer));
  });
}

void check_max_pool(const golden_case& c, findings& f) { check_pool(c, f, kind::max_pool2d); }
void check_avg_pool(const golden_case& c, findings& f) { check_pool(c, f, kind::avg_pool2d); }
void check_global_max_pool(const golden_case& c, findings& f) {
  check_global_pool(c, f, kind::max_pool2d);
}
void check_global_avg_pool(const golden_case& c, findings& f) {
  check_global_pool(c, f, kind::avg_pool2d);
}
void check_concat(const golden_case& c, findings& f) {
  const i32 axis = c.attributes().get<i32>("axis");
  // Along axis 0 there are no samples: all extents are values.
  check_operation(c, f, axis == 0 ? 1 : batch_of(c, "x0"),
                  [&](case_graph& net, attribute_reader& attrs) {
                    attrs.get<i32>("axis");
                    std::vector<ops::part> parts;
                    for (const std::string& name : c.names("inputs")) {
                      const shape dims = c.tensor("inputs", name).dims_as_they_are();
                      parts.push_back({net.input(name, dims, role::input, element::f32, axis > 0)});
                    }
                    net.output("y", ops::concat(net.g, parts.data(), static_cast<i32>(parts.size()),
                                                axis > 0 ? axis - 1 : 0, layer));
                  });
}

void check_dropout(const golden_case& c, findings& f) {
  attribute_reader attrs = c.attributes();
  const float rate = attrs.get<float>("p");
  const bool train = attrs.get<bool>("train");
  attrs.all_must_be_asked();
  on_all_backends(f, batch_of(c), [&](const graph_backend& b, bool last) {
    if (train) return check_dropout_mask(c, f, b, last, rate);
    case_graph net(c, last);
    const i32 x = net.input("x");
    builder inference(net.g, batch_of(c), purpose::inference);
    net.output("y", dropout<50>::build(inference, {x}).id);  // whatever the rate
    net.run(b, f);
  });
}

void check_batch_norm(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x");
    const shape channels(net.g.tensors[x].dims[1]);
    const bool train = attrs.get<bool>("train");
    const bool affine = attrs.get<bool>("affine");
    const norm_attributes norm{.epsilon = attrs.get<float>("eps"),
                               .momentum = attrs.get<float>("momentum", 0.1f)};
    const i32 gamma = affine ? net.weight("gamma", channels) : -1;
    const i32 beta = affine ? net.weight("beta", channels) : -1;
    const auto statistic = [&](const char* name) {
      return net.input(name, channels, role::statistic, element::f32, false);
    };
    const i32 mean = statistic("running_mean");
    const i32 variance = statistic("running_var");
    const auto append = train ? &ops::batch_norm : &ops::batch_norm_inference;
    net.output("y", append(net.g, x, gamma, beta, mean, variance, norm, layer));
    if (!train) return;
    const operation op = net.g.operations.back();
    net.output("running_mean", mean);
    net.output("running_var", variance);
    net.output("batch_mean", op.out[3]);
    net.output("batch_var_biased", op.out[4], [norm](const std::vector<double>& inverse) {
      std::vector<double> values;
      for (const double d : inverse) values.push_back(1 / (d * d) - norm.epsilon);
      return values;
    });
  });
}

namespace {

/// Instance: a group for each channel.
void check_groups(const golden_case& c, findings& f, bool instance) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x");
    const i32 channels = net.g.tensors[x].dims[1];
    const norm_attributes norm{.epsilon = attrs.get<float>("eps"),
                               .groups = instance ? channels : attrs.get<i32>("groups")};
    const i32 gamma = net.weight("gamma", shape(channels));
    const i32 beta = net.weight("beta", shape(channels));
    net.output("y", ops::group_norm(net.g, x, gamma, beta, norm, layer));
  });
}

void check_rows(const golden_case& c, findings& f, kind what) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x");
    const auto extents = attrs.get<std::vector<i32>>("normalized_shape");
    const bool affine = attrs.get<bool>("affine");
    shape scales;
    for (const i32 extent : extents) scales[scales.rank++] = extent;
    const norm_attributes norm{.epsilon = attrs.get<float>("eps"), .extents = scales.rank};
    const i32 gamma = affine ? net.weight("gamma", scales) : -1;
    const i32 beta = affine && what == kind::layer_norm ? net.weight("beta", scales) : -1;
    net.output("y", ops::layer_norm(net.g, what, x, gamma, beta, norm, layer));
  });
}

}  // namespace

void check_group_norm(const golden_case& c, findings& f) { check_groups(c, f, false); }
void check_instance_norm(const golden_case& c, findings& f) { check_groups(c, f, true); }
void check_layer_norm(const golden_case& c, findings& f) { check_rows(c, f, kind::layer_norm); }
void check_rms_norm(const golden_case& c, findings& f) { check_rows(c, f, kind::rms_norm); }

void check_local_response_norm(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(c), [&](case_graph& net, attribute_reader& attrs) {
    const response_attributes r{attrs.get<i32>("size"), attrs.get<float>("alpha"),
                                attrs.get<float>("beta"), attrs.get<float>("k")};
    net.output("y", ops::local_response_norm(net.g, net.input("x"), r, layer));
  });
}

}  // namespace tessera::testing
