#pragma once

// The fully connected layer.

#include <tessera/nn/options.hpp>
#include <tessera/nn/rows.hpp>

namespace tessera {

/// y = x w^T + b; of a sequence at every point in time.
///
/// Shapes   x (batch, in)   weight (Out, in)   bias (Out)   y (batch, Out)
///          x (time, batch, in)   y (time, batch, Out)
/// Options  no_bias, initialized_by (default: Glorot uniform)
/// Memory   in x Out + Out parameters; keeps x for the backward pass
/// Errors   "dense<Out>: expected a rank-1 input, got ...; put flatten before it"
/// Source   Rumelhart, Hinton, Williams 1986
template <i32 Out, layer_option... Options>
struct dense {
  static_assert(Out > 0, "dense: expected at least 1 output");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    shape in = b.sample(x);
    const i32 stack = b.network().tensors[x.id].stack;
    if (in.rank != stack + 1) {
      return b.fail({spell_all<64>("dense<", Out, ">"), "a rank-1 input", spell_all<64>(in),
                     "put flatten before it"});
    }
    in[0] = in[stack];
    const layer_options o = read_options<Options...>(1, 1);
    const initializer init = o.init_given ? o.init : initializer::glorot_uniform;
    const tensor_name name = b.begin_layer("dense");
    const i32 weight = b.parameter(shape(Out, in[0]), name, "weight", init, in[0], Out);
    i32 bias = -1;
    if (o.bias) {
      const bool torch = init == initializer::torch_uniform;
      bias = b.parameter(shape(Out), name, "bias", torch ? init : initializer::zeros, in[0], Out);
    }
    return detail::dense_rows(b, x, weight, bias, name);
  }
};

static_assert(layer<dense<10>>);

}  // namespace tessera
