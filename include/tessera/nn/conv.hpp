#pragma once

// The two-dimensional convolution layer.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

/// Cross-correlation with `Out` filters of Kernel x Kernel cells.
///
/// Shapes   x (batch, in, height, width)   weight (Out, in / groups, Kernel, Kernel)   bias (Out)
///          y (batch, Out, (height + 2 pad - dilation (Kernel - 1) - 1) / stride + 1, ...)
/// Options  pad, stride, dilation, groups, no_bias, initialized_by (default: Glorot uniform)
/// Memory   keeps x for the backward pass
/// Errors   rank, a kernel larger than the padded image, channels that groups do not divide
/// Source   LeCun, Bottou, Bengio, Haffner 1998
template <i32 Out, i32 Kernel, layer_option... Options>
struct conv {
  static_assert(Out > 0 && Kernel > 0, "conv: expected at least 1 filter of at least 1 cell");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const shape in = b.sample(x);
    const layer_options o = read_options<Options...>(Kernel, Kernel);
    const text<64> where = spell_all<64>("conv<", Out, ", ", Kernel, ">");
    if (in.rank != 3) {
      return b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(in),
                     "start from image<...> and flatten after the last convolution"});
    }
    if (ops::window_count(o.win, 0, in[1]) < 1 || ops::window_count(o.win, 1, in[2]) < 1) {
      const i32 span = (Kernel - 1) * o.win.dilation[0] + 1;
      return b.fail({where, spell_all("height and width of at least ", span),
                     spell_all<64>(shape(in[1], in[2])), "add padding or use a smaller kernel"});
    }
    if (in[0] % o.groups != 0 || Out % o.groups != 0) {
      return b.fail({where, spell_all("channels that ", o.groups, " groups divide"),
                     spell_all<64>(in[0], " in and ", Out, " out"), "change groups or channels"});
    }
    const i32 group_in = in[0] / o.groups;
    const i32 fan_in = group_in * Kernel * Kernel;
    const i32 fan_out = Out / o.groups * Kernel * Kernel;
    const initializer init = o.init_given ? o.init : initializer::glorot_uniform;
    const tensor_name name = b.begin_layer("conv");
    graph& g = b.network();
    const i32 weight =
        b.parameter(shape(Out, group_in, Kernel, Kernel), name, "weight", init, fan_in, fan_out);
    i32 bias = -1;
    if (o.bias) {
      const bool torch = init == initializer::torch_uniform;
      bias =
          b.parameter(shape(Out), name, "bias", torch ? init : initializer::zeros, fan_in, fan_out);
    }
    return {ops::conv2d(g, x.id, weight, bias, o.win, o.groups, name)};
  }
};

static_assert(layer<conv<6, 5>>);

}  // namespace tessera
