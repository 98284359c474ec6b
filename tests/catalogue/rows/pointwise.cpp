// Rows of the table: activations, operations that broadcast, reductions, permute.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

/// Four times x, so that values are from -4 to 4.
i32 wide(graph& g, i32 x) {
  const i32 twice = ops::add(g, x, x, layer);
  return ops::add(g, twice, twice, layer);
}

template <kind What>
i32 build_activation(graph& g, i32 n, bool last, const activation_attributes& a = {}) {
  attributes attr;
  attr.activation = a;
  return ops::unary(g, What, wide(g, input(g, shape(n, 3, 7), last)), layer, attr);
}
template <kind What>
i32 build_plain(graph& g, i32 n, bool last) {
  return build_activation<What>(g, n, last);
}

/// a op b of these samples' shapes; b without samples.
template <kind What>
i32 build_pair(graph& g, i32 n, bool last, const shape& a, const shape& b) {
  const i32 x = input(g, a.batch_of(n), last);
  i32 y = add_weight(g, b);
  if (What == kind::divide) y = ops::unary(g, kind::exp, y, layer);  // away from 0
  return ops::broadcast(g, What, x, y, layer);
}
template <kind What>
i32 build_channels(graph& g, i32 n, bool last) {
  return build_pair<What>(g, n, last, shape(5, 6, 7), shape(5, 1, 1));
}

i32 build_reduction(graph& g, i32 n, bool last, kind what, const shape& sample, u32 axes,
                    bool keep = false) {
  return ops::reduce(g, what, input(g, sample.batch_of(n), last), axes, keep, layer);
}

i32 build_permute(graph& g, i32 n, bool last, const shape& sample, const ops::extent_order& order) {
  return ops::permute(g, input(g, sample.batch_of(n), last), order, layer);
}

}  // namespace

std::vector<row> pointwise_rows() {
  return {
      {"relu", agreement::exact, build_plain<kind::relu>},
      {"tanh", agreement::smooth, build_plain<kind::tanh>},
      {"sigmoid", agreement::smooth, build_plain<kind::sigmoid>},
      {"leaky_relu", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::leaky_relu>(g, n, last, {.alpha = 0.2f});
       }},
      {"leaky_relu with a negative slope", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::leaky_relu>(g, n, last, {.alpha = -0.3f});
       }},
      {"elu", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::elu>(g, n, last, {.alpha = 0.7f, .scale = 1.3f});
       }},
      {"elu with a negative alpha", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::elu>(g, n, last, {.alpha = -0.5f});
       }},
      {"gelu_erf", agreement::smooth, build_plain<kind::gelu_erf>},
      {"gelu_tanh", agreement::smooth, build_plain<kind::gelu_tanh>},
      {"silu", agreement::smooth, build_plain<kind::silu>},
      {"softplus, beta 2.5", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::softplus>(g, n, last, {.beta = 2.5f});
       }},
      {"softplus, threshold 3", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::softplus>(g, n, last, {.threshold = 3});
       }},
      {"hardswish", agreement::smooth, build_plain<kind::hardswish>},
      {"hardsigmoid", agreement::smooth, build_plain<kind::hardsigmoid>},
      {"hardtanh", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::hardtanh>(g, n, last, {.low = -2.5f, .high = 0.5f});
       }},
      {"mish", agreement::smooth, build_plain<kind::mish>},
      {"softsign", agreement::smooth, build_plain<kind::softsign>},
      {"exp", agreement::smooth, build_plain<kind::exp>},
      {"square", agreement::exact, build_plain<kind::square>},
      {"abs", agreement::exact, build_plain<kind::abs>},
      {"prelu", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return ops::prelu(g, input(g, shape(n, 5, 6, 7), last), add_weight(g, shape(5)), layer);
       }},
      {"prelu of features", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return ops::prelu(g, input(g, shape(n, 37), last), add_weight(g, shape(37)), layer);
       }},
      {"prelu of one slope", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return ops::prelu(g, input(g, shape(n, 5, 19), last), add_weight(g, shape(1)), layer);
       }},
      {"glu of channels", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return ops::glu(g, input(g, shape(n, 6, 19), last), 0, layer);
       }},
      {"glu of the last axis", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return ops::glu(g, input(g, shape(n, 3, 8), last), 1, layer);
       }},
      {"maxout", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return ops::maxout(g, input(g, shape(n, 12, 7), last), 3, 0, layer);
       }},
      {"broadcast_add of channels", agreement::sum, build_channels<kind::broadcast_add>},
      {"broadcast_subtract of channels", agreement::norm, build_channels<kind::broadcast_subtract>},
      {"broadcast_multiply of channels", agreement::sum, build_channels<kind::broadcast_multiply>},
      {"divide by channels", agreement::norm, build_channels<kind::divide>},
      {"maximum of channels", agreement::norm, build_channels<kind::maximum>},
      {"minimum of channels", agreement::norm, build_channels<kind::minimum>},
      {"broadcast_multiply, each lacks what the other has", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_pair<kind::broadcast_multiply>(g, n, last, shape(1, 4, 1, 3),
                                                     shape(2, 1, 5, 1));
       }},
      {"broadcast_add of features", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_pair<kind::broadcast_add>(g, n, last, shape(700), shape(700));
       }},
      {"divide, one shape", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 300), last);
         const i32 y = ops::unary(g, kind::exp, input(g, shape(n, 300), last), layer);
         return ops::broadcast(g, kind::divide, x, y, layer);
       }},
      {"maximum over time", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(3, n, 9), last);
         g.tensors[x].stack = 1;
         return ops::broadcast(g, kind::maximum, x, input(g, shape(n, 9), last), layer);
       }},
      {"reduce_sum of the last axis", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_sum, shape(5, 83), 0b100);
       }},
      {"reduce_sum of channels", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_sum, shape(9, 150), 0b010);
       }},
      {"reduce_mean of positions, kept", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_mean, shape(6, 7, 7), 0b1100, true);
       }},
      {"reduce_mean of samples and every second axis", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_mean, shape(3, 4, 5, 6), 0b10101);
       }},
      {"reduce_mean of everything", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_mean, shape(17, 31), 0b111);
       }},
      {"reduce_amax of the last axis", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_amax, shape(7, 45), 0b100);
       }},
      {"reduce_amax of channels and samples", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_amax, shape(7, 90), 0b011);
       }},
      {"expand", agreement::sum,
       [](graph& g, i32 n, bool last) {
         const i32 like = input(g, shape(n, 9, 40), last);
         return ops::expand(g, input(g, shape(n, 9, 1), last), g.tensors[like], layer);
       }},
      {"permute of samples' extents", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_permute(g, n, last, shape(21, 35), {{0, 2, 1}});
       }},
      {"permute of samples to sequences", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_permute(g, n, last, shape(11, 13), {{1, 0, 2}});
       }},
      {"permute of four extents", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_permute(g, n, last, shape(5, 9, 18), {{2, 3, 0, 1}});
       }},
      {"softplus, beta -1, threshold 3", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_activation<kind::softplus>(g, n, last, {.beta = -1, .threshold = 3});
       }},
      {"broadcast_subtract from one number", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 one = add_weight(g, shape(1));
         return ops::broadcast(g, kind::broadcast_subtract, one, input(g, shape(n, 3), last),
                               layer);
       }},
      {"broadcast_add of a sample's numbers", agreement::sum,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 2, 4), last);
         return ops::broadcast(g, kind::broadcast_add, x, input(g, shape(n, 1, 1), last), layer);
       }},
      {"maximum over what two weights add up to", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 w = ops::broadcast(g, kind::broadcast_add, add_weight(g, shape(3, 1)),
                                      add_weight(g, shape(1, 2)), layer);
         return ops::broadcast(g, kind::maximum, input(g, shape(n, 3, 2), last), w, layer);
       }},
      {"divide over time", agreement::norm,
       [](graph& g, i32 n, bool last) {
         const i32 a = sequence(g, shape(3, n, 4), last);
         const i32 b = ops::unary(g, kind::exp, input(g, shape(n, 4), last), layer);
         return ops::broadcast(g, kind::divide, a, b, layer);
       }},
      {"reduce_sum over time", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return ops::reduce(g, kind::reduce_sum, sequence(g, shape(4, n, 3), last), 0b001, false,
                            layer);
       }},
      {"reduce_amax of everything", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_amax, shape(3, 4), 0b111);
       }},
      {"reduce_amax of channels, kept", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_reduction(g, n, last, kind::reduce_amax, shape(3, 4), 0b010, true);
       }},
  };
}

}  // namespace tessera::testing
