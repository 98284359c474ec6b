#pragma once

// The fully connected layer.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

/// y = x w^T + b.
///
/// Shapes   x (batch, in)   weight (Out, in)   bias (Out)   y (batch, Out)
/// Options  no_bias, initialized_by (default: Glorot uniform)
/// Memory   in x Out + Out parameters; keeps x for the backward pass
/// Errors   "dense<Out>: expected a rank-1 input, got ...; put flatten before it"
/// Source   Rumelhart, Hinton, Williams 1986
template <i32 Out, layer_option... Options>
struct dense {
  static_assert(Out > 0, "dense: expected at least 1 output");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const shape in = b.sample(x);
    if (in.rank != 1) {
      return b.fail({spell_all<64>("dense<", Out, ">"), "a rank-1 input", spell_all<64>(in),
                     "put flatten before it"});
    }
    const layer_options o = read_options<Options...>(1, 1);
    const initializer init = o.init_given ? o.init : initializer::glorot_uniform;
    const tensor_name name = b.begin_layer("dense");
    graph& g = b.network();
    const i32 weight = b.parameter(shape(Out, in[0]), name, "weight", init, in[0], Out);
    i32 bias = -1;
    if (o.bias) {
      const bool torch = init == initializer::torch_uniform;
      bias = b.parameter(shape(Out), name, "bias", torch ? init : initializer::zeros, in[0], Out);
    }
    return {ops::dense(g, x.id, weight, bias, name)};
  }
};

static_assert(layer<dense<10>>);

}  // namespace tessera
