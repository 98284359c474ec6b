// Gradients of activations, operations that broadcast, reductions, permute.

#include <gradients/checked_case.hpp>

namespace tessera::testing {

namespace {

/// Four times x, so that values are from -4 to 4.
i32 wide(graph& g, i32 x) {
  const i32 twice = ops::add(g, x, x, layer);
  return ops::add(g, twice, twice, layer);
}

template <kind What>
i32 build_activation(graph& g, bool last, const activation_attributes& a = {}) {
  attributes attr;
  attr.activation = a;
  return ops::unary(g, What, wide(g, input(g, shape(3, 2, 5), last)), layer, attr);
}
template <kind What>
i32 build_plain(graph& g, bool last) {
  return build_activation<What>(g, last);
}

i32 constant_like(graph& g, const shape& dims) { return add_weight(g, dims); }

/// a op b, a with samples; b has samples if it has as many extents and not 1 in front.
template <kind What>
i32 build_pair(graph& g, bool last, const shape& a, const shape& b) {
  const bool samples = b.rank == a.rank && b[0] == a[0];
  const i32 x = input(g, a, last);
  i32 y = samples ? input(g, b, last) : constant_like(g, b);
  if (What == kind::divide) y = ops::unary(g, kind::exp, y, layer);  // away from 0
  return ops::broadcast(g, What, x, y, layer);
}
template <kind What>
i32 build_channels(graph& g, bool last) {
  return build_pair<What>(g, last, shape(2, 3, 2, 2), shape(3, 1, 1));
}

i32 build_reduction(graph& g, bool last, kind what, const shape& dims, u32 axes, bool keep = false,
                    i32 stack = 0) {
  const i32 x = input(g, dims, last);
  g.tensors[x].stack = stack;
  return ops::reduce(g, what, x, axes, keep, layer);
}

i32 build_permute(graph& g, bool last, const shape& dims, const ops::extent_order& order) {
  return ops::permute(g, input(g, dims, last), order, layer);
}

const checked_case cases[] = {
    {"relu", build_plain<kind::relu>},
    {"tanh", build_plain<kind::tanh>},
    {"sigmoid", build_plain<kind::sigmoid>},
    {"leaky_relu",
     [](graph& g, bool last) {
       return build_activation<kind::leaky_relu>(g, last, {.alpha = 0.2f});
     }},
    {"leaky_relu with a negative slope",
     [](graph& g, bool last) {
       return build_activation<kind::leaky_relu>(g, last, {.alpha = -0.3f});
     }},
    {"elu",
     [](graph& g, bool last) {
       return build_activation<kind::elu>(g, last, {.alpha = 0.7f, .scale = 1.3f});
     }},
    {"elu with a negative alpha",
     [](graph& g, bool last) { return build_activation<kind::elu>(g, last, {.alpha = -0.5f}); }},
    {"gelu_erf", build_plain<kind::gelu_erf>},
    {"gelu_tanh", build_plain<kind::gelu_tanh>},
    {"silu", build_plain<kind::silu>},
    {"softplus", build_plain<kind::softplus>},
    {"softplus, beta 2.5",
     [](graph& g, bool last) { return build_activation<kind::softplus>(g, last, {.beta = 2.5f}); }},
    {"softplus, beta -1, threshold 3",
     [](graph& g, bool last) {
       return build_activation<kind::softplus>(g, last, {.beta = -1, .threshold = 3});
     }},
    {"hardswish", build_plain<kind::hardswish>},
    {"hardsigmoid", build_plain<kind::hardsigmoid>},
    {"hardtanh from -2.5 to 0.5",
     [](graph& g, bool last) {
       return build_activation<kind::hardtanh>(g, last, {.low = -2.5f, .high = 0.5f});
     }},
    {"mish", build_plain<kind::mish>},
    {"softsign", build_plain<kind::softsign>},
    {"exp", build_plain<kind::exp>},
    {"square", build_plain<kind::square>},
    {"abs", build_plain<kind::abs>},
    {"prelu",
     [](graph& g, bool last) {
       return ops::prelu(g, input(g, shape(2, 3, 2, 2), last), add_weight(g, shape(3)), layer);
     }},
    {"prelu of one slope",
     [](graph& g, bool last) {
       return ops::prelu(g, input(g, shape(3, 5), last), add_weight(g, shape(1)), layer);
     }},
    {"glu of channels",
     [](graph& g, bool last) { return ops::glu(g, input(g, shape(2, 6, 3), last), 0, layer); }},
    {"glu of the last axis",
     [](graph& g, bool last) { return ops::glu(g, input(g, shape(2, 3, 4), last), 1, layer); }},
    {"maxout",
     [](graph& g, bool last) {
       return ops::maxout(g, input(g, shape(2, 6, 3), last), 3, 0, layer);
     }},
    {"broadcast_add of channels", build_channels<kind::broadcast_add>},
    {"broadcast_subtract of channels", build_channels<kind::broadcast_subtract>},
    {"broadcast_multiply of channels", build_channels<kind::broadcast_multiply>},
    {"divide by channels", build_channels<kind::divide>},
    {"maximum of channels", build_channels<kind::maximum>},
    {"minimum of channels", build_channels<kind::minimum>},
    {"divide, one shape",
     [](graph& g, bool last) {
       return build_pair<kind::divide>(g, last, shape(3, 4), shape(3, 4));
     }},
    {"maximum, one shape",
     [](graph& g, bool last) {
       return build_pair<kind::maximum>(g, last, shape(3, 4), shape(3, 4));
     }},
    {"broadcast_subtract from one number",
     [](graph& g, bool last) {
       const i32 one = add_weight(g, shape(1));
       return ops::broadcast(g, kind::broadcast_subtract, one, input(g, shape(2, 3), last), layer);
     }},
    {"broadcast_multiply, each lacks what the other has",
     [](graph& g, bool last) {
       const i32 a = input(g, shape(3, 1, 4, 1), last);
       return ops::broadcast(g, kind::broadcast_multiply, a, add_weight(g, shape(2, 1, 5)), layer);
     }},
    {"broadcast_add of a sample's numbers",
     [](graph& g, bool last) {
       return build_pair<kind::broadcast_add>(g, last, shape(3, 2, 4), shape(3, 1, 1));
     }},
    {"broadcast_add of two weights",
     [](graph& g, bool last) {
       const i32 w = ops::broadcast(g, kind::broadcast_add, add_weight(g, shape(3, 1)),
                                    add_weight(g, shape(1, 2)), layer);
       return ops::broadcast(g, kind::maximum, input(g, shape(2, 3, 2), last), w, layer);
     }},
    {"divide over time",
     [](graph& g, bool last) {
       const i32 a = input(g, shape(3, 2, 4), last);
       g.tensors[a].stack = 1;
       const i32 b = ops::unary(g, kind::exp, input(g, shape(2, 4), last), layer);
       return ops::broadcast(g, kind::divide, a, b, layer);
     }},
    {"reduce_sum of channels",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_sum, shape(2, 3, 4), 0b010);
     }},
    {"reduce_mean of positions",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_mean, shape(2, 3, 2, 2), 0b1100);
     }},
    {"reduce_mean of samples and positions, kept",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_mean, shape(2, 3, 4), 0b101, true);
     }},
    {"reduce_amax of everything",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_amax, shape(2, 3, 4), 0b111);
     }},
    {"reduce_amax of channels, kept",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_amax, shape(2, 3, 4), 0b010, true);
     }},
    {"reduce_sum over time",
     [](graph& g, bool last) {
       return build_reduction(g, last, kind::reduce_sum, shape(4, 2, 3), 0b001, false, 1);
     }},
    {"expand",
     [](graph& g, bool last) {
       const i32 like = input(g, shape(2, 3, 4), last);
       const i32 x = ops::expand(g, input(g, shape(2, 1, 4), last), g.tensors[like], layer);
       return ops::multiply(g, x, like, layer);
     }},
    {"permute of samples' extents",
     [](graph& g, bool last) {
       return build_permute(g, last, shape(2, 3, 4), {{0, 2, 1}});
     }},
    {"permute of samples to sequences",
     [](graph& g, bool last) {
       return build_permute(g, last, shape(2, 3, 4), {{1, 0, 2}});
     }},
    {"permute of all extents",
     [](graph& g, bool last) {
       return build_permute(g, last, shape(2, 3, 4, 2), {{3, 2, 0, 1}});
     }},
};

}  // namespace

std::vector<checked_case> pointwise_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of activations, over axes and of permutations agree with differences",
          "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

TEST_CASE("elements that are equal share the gradient of a maximum", "[gradients]") {
  for (const kind what : {kind::maximum, kind::minimum}) {
    graph g;
    const i32 a = input(g, shape(1, 3), false);
    const i32 b = input(g, shape(1, 3), false);
    const differentiated d = differentiate_from(g, {ops::broadcast(g, what, a, b, layer)});
    interpreter net(g, &reference::find_kernel);
    net.write(a, std::vector<double>{1, 2, 3});
    net.write(b, std::vector<double>{3, 2, 1});
    net.write(d.seeds[0], std::vector<double>{8, 8, 8});
    net.run({.valid = 1});
    const std::vector<double> rising = {0, 4, 8};
    const std::vector<double> falling = {8, 4, 0};
    CHECK(net.read(d.gradients[a]) == (what == kind::maximum ? rising : falling));
    CHECK(net.read(d.gradients[b]) == (what == kind::maximum ? falling : rising));
  }
  graph g;
  const i32 x = input(g, shape(1, 5), false);
  const differentiated d =
      differentiate_from(g, {ops::reduce(g, kind::reduce_amax, x, 0b10, false, layer)});
  interpreter net(g, &reference::find_kernel);
  net.write(x, std::vector<double>{3, 1, 3, 3, -2});
  net.write(d.seeds[0], std::vector<double>{6});
  net.run({.valid = 1});
  CHECK(net.read(d.gradients[x]) == std::vector<double>{2, 0, 2, 2, 0});
}

}  // namespace tessera::testing
