#pragma once

// The two-dimensional transposed convolution layer: makes images larger, with learned filters.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

/// Every cell of the input adds its value times a Kernel x Kernel filter to the output, at steps of
/// the stride; padding cuts cells off the output's edges.
///
/// Shapes   x (batch, in, height, width)   weight (in, Out / groups, Kernel, Kernel)   bias (Out)
///          y (batch, Out, (height - 1) stride - 2 pad + dilation (Kernel - 1) + output_padding +
///          1,
///          ...)
/// Options  pad, stride, dilation, output_padding, groups, no_bias, initialized_by (default: Glorot
///          uniform). fan_in counts what a PyTorch weight of this layout does: Out / groups x
///          kernel
/// Memory   keeps x for the backward pass
/// Errors   rank, padding that leaves no cell, groups that do not divide, output padding of stride
///          and dilation or more
/// Source   Zeiler, Krishnan, Taylor, Fergus 2010
template <i32 Out, i32 Kernel, layer_option... Options>
struct conv_transpose {
  static_assert(Out > 0 && Kernel > 0,
                "conv_transpose: expected at least 1 filter of at least 1 cell");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const shape in = b.sample(x);
    const layer_options o = read_options<Options...>(Kernel, Kernel);
    const text<64> where = spell_all<64>("conv_transpose<", Out, ", ", Kernel, ">");
    if (in.rank != 3) {
      return b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(in),
                     "start from image<...> or reshape to an image"});
    }
    for (i32 axis = 0; axis < 2; ++axis) {
      const i32 stride = o.win.stride[axis];
      const i32 most = stride > o.win.dilation[axis] ? stride : o.win.dilation[axis];
      if (o.output_padding[axis] >= most) {
        return b.fail({where, spell_all("output_padding below stride or dilation, ", most),
                       spell_all<64>(o.output_padding[axis]), "pad the output less"});
      }
      if (ops::transposed_count(o.win, axis, in[1 + axis], o.output_padding[axis]) < 1) {
        return b.fail({where, "padding that leaves cells of the output",
                       spell_all<64>(shape(in[1], in[2])), "pad less or use a larger kernel"});
      }
    }
    if (in[0] % o.groups != 0 || Out % o.groups != 0) {
      return b.fail({where, spell_all("channels that ", o.groups, " groups divide"),
                     spell_all<64>(in[0], " in and ", Out, " out"), "change groups or channels"});
    }
    const i32 group_out = Out / o.groups;
    const i32 fan_in = group_out * Kernel * Kernel;
    const i32 fan_out = in[0] / o.groups * Kernel * Kernel;
    const initializer init = o.init_given ? o.init : initializer::glorot_uniform;
    const tensor_name name = b.begin_layer("conv_transpose");
    const i32 weight =
        b.parameter(shape(in[0], group_out, Kernel, Kernel), name, "weight", init, fan_in, fan_out);
    i32 bias = -1;
    if (o.bias) {
      const bool torch = init == initializer::torch_uniform;
      bias =
          b.parameter(shape(Out), name, "bias", torch ? init : initializer::zeros, fan_in, fan_out);
    }
    return {ops::conv_transpose2d(b.network(), x.id, weight, bias, o.win, o.output_padding,
                                  o.groups, name)};
  }
};

static_assert(layer<conv_transpose<6, 5>>);

}  // namespace tessera
