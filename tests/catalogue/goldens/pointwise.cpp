// Golden checks of activations, of operations that broadcast, of reductions and permute.

#include <tessera/nn/activation.hpp>
#include <catalogue/goldens/case_graph.hpp>

namespace tessera::testing {

namespace {

shape dims_of(const golden_case& c, const std::string& input) {
  return c.tensor("inputs", input).dims_as_they_are();
}

i32 batch_of(const shape& dims) { return dims.rank > 0 ? dims[0] : 1; }

/// An axis that a case names, counted from the last where negative.
i32 find_axis(i32 axis, i32 rank) { return axis < 0 ? axis + rank : axis; }

/// Bits of the extents that a case names.
u32 read_axes(attribute_reader& attrs, i32 rank) {
  u32 axes = 0;
  for (const i32 axis : attrs.get<std::vector<i32>>("axes")) {
    axes |= u32{1} << find_axis(axis, rank);
  }
  return axes;
}

/// The input of an operation along one axis, and that axis of a sample. Along axis 0 there are no
/// samples: all extents are values.
i32 input_along(case_graph& net, attribute_reader& attrs, const shape& dims, i32& axis) {
  axis = find_axis(attrs.get<i32>("axis"), dims.rank);
  const bool samples = axis > 0;
  axis -= samples ? 1 : 0;
  return net.input("x", dims, role::input, element::f32, samples);
}

/// The kind of an activation and its constants, as a case names them.
kind read_activation(const std::string& op, attribute_reader& attrs, activation_attributes& a) {
  if (op == "relu6") {
    a = relu6::constants;
    return kind::hardtanh;
  }
  if (op == "selu") {
    a = selu::constants;
    return kind::elu;
  }
  a.alpha = attrs.get<float>("alpha", a.alpha);
  a.beta = attrs.get<float>("beta", a.beta);
  a.threshold = attrs.get<float>("threshold", a.threshold);
  a.low = attrs.get<float>("min", a.low);
  a.high = attrs.get<float>("max", a.high);
  for (i32 i = static_cast<i32>(kind::relu); i <= static_cast<i32>(kind::abs); ++i) {
    if (op == ops::name_of(static_cast<kind>(i))) return static_cast<kind>(i);
  }
  throw error("no activation is called " + op);
}

}  // namespace

void check_activation(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    attributes attr;
    const kind what = read_activation(c.op(), attrs, attr.activation);
    net.output("y", ops::unary(net.g, what, net.input("x"), layer, attr));
  });
}

void check_identity(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader&) {
    net.output("y", ops::copy(net.g, net.input("x"), layer));
  });
}

void check_prelu(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x");
    const i32 slope = net.weight("alpha", shape(attrs.get<i32>("num_parameters")));
    net.output("y", ops::prelu(net.g, x, slope, layer));
  });
}

void check_glu(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    i32 axis = 0;
    const i32 x = input_along(net, attrs, dims_of(c, "x"), axis);
    net.output("y", ops::glu(net.g, x, axis, layer));
  });
}

void check_maxout(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    i32 axis = 0;
    const i32 x = input_along(net, attrs, dims_of(c, "x"), axis);
    net.output("y", ops::maxout(net.g, x, attrs.get<i32>("pieces"), axis, layer));
  });
}

void check_binary(const golden_case& c, findings& f) {
  const shape a = dims_of(c, "a");
  const shape b = dims_of(c, "b");
  const i32 rank = std::max(a.rank, b.rank);
  i32 batch = 1;  // of the result, whose first extent counts samples
  for (const shape& dims : {a, b}) {
    if (dims.rank == rank && rank > 0) batch = std::max(batch, dims[0]);
  }
  static const std::map<std::string, kind> kinds{
      {"add", kind::broadcast_add},      {"sub", kind::broadcast_subtract},
      {"mul", kind::broadcast_multiply}, {"div", kind::divide},
      {"maximum", kind::maximum},        {"minimum", kind::minimum}};
  check_operation(c, f, batch, [&](case_graph& net, attribute_reader&) {
    const auto operand = [&](const std::string& name, const shape& dims) {
      const bool batched = dims.rank == rank && rank > 0 && dims[0] == batch;
      return net.input(name, dims, role::input, element::f32, batched);
    };
    const i32 x = operand("a", a);
    net.output("y", ops::broadcast(net.g, kinds.at(c.op()), x, operand("b", b), layer));
  });
}

void check_reduction(const golden_case& c, findings& f) {
  const kind what = c.op() == "reduce_sum"    ? kind::reduce_sum
                    : c.op() == "reduce_mean" ? kind::reduce_mean
                                              : kind::reduce_amax;
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    const i32 x = net.input("x");
    const u32 axes = read_axes(attrs, net.g.tensors[x].dims.rank);
    net.output("y", ops::reduce(net.g, what, x, axes, attrs.get<bool>("keepdim"), layer));
  });
}

void check_permute(const golden_case& c, findings& f) {
  check_operation(c, f, batch_of(dims_of(c, "x")), [&](case_graph& net, attribute_reader& attrs) {
    ops::extent_order order;
    const auto perm = attrs.get<std::vector<i32>>("perm");
    for (std::size_t i = 0; i < perm.size(); ++i) {
      order.of[i] = find_axis(perm[i], static_cast<i32>(perm.size()));
    }
    net.output("y", ops::permute(net.g, net.input("x"), order, layer));
  });
}

}  // namespace tessera::testing
