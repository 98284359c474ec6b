#pragma once

// Layers of quantized inference: 8-bit values between them, 32-bit sums inside.
//
//   network<input<784>, quantize, quantized_dense<128>, quantized_dense<10>, dequantize>
//
// All numbers of a layer, weights as well as what calibration measured, are statistics: they live
// and are saved with the weights, a training leaves them alone, and the network's type does not
// depend on them. runtime/quantize.hpp fills them from a trained network and measured ranges.
//
//   layer              weights (parts of its name)
//   quantize           scale (1), f32; zero (1), i32
//   quantized_dense    weight (Out, in), i8; bias (Out), zeros (2: of input and weight), multiplier
//                      (Out), shift (Out), limits (3: zero point, least, most), all i32
//   quantized_conv     the same, weight (Out, in / groups, height, width)
//   dequantize         scale (1), f32; zero (1), i32
//
// A relu is a least of the zero point: no layer of its own. Max pooling, flatten and reshapes come
// before quantize or after dequantize.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

namespace detail {

/// Bias, zero points and what rescales the sums of `out` outputs.
struct quantized_parts {
  i32 bias = -1;
  i32 zeros = -1;
  ops::requantization to;
};

constexpr quantized_parts make_quantized_parts(builder& b, i32 out, bool bias, tensor_name name) {
  quantized_parts p;
  const auto whole = [&](i32 count, const char* part) {
    return b.numbers(element::int32, shape(count), name, part, initializer::zeros);
  };
  if (bias) p.bias = whole(out, "bias");
  p.zeros = whole(2, "zeros");
  p.to.multiplier = whole(out, "multiplier");
  p.to.shift = whole(out, "shift");
  p.to.limits = whole(3, "limits");
  return p;
}

constexpr value fail_unquantized(builder& b, const text<64>& where, value x) {
  return b.fail(
      {where, "8-bit values", name_of(b.network().tensors[x.id].type), "put quantize before it"});
}

}  // namespace detail

/// q = round(x / scale) + zero, from real numbers to 8 bits. NaN becomes the zero point.
///
/// Shapes   x of any shape   q the same, i8
/// Source   Jacob et al. 2018
struct quantize {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    graph& g = b.network();
    if (!is_real(g.tensors[x.id].type)) {
      return b.fail({"quantize", "real numbers", name_of(g.tensors[x.id].type), "take it away"});
    }
    const tensor_name name = b.begin_layer("quantize");
    const i32 scale = b.numbers(element::f32, shape(1), name, "scale", initializer::ones);
    const i32 zero = b.numbers(element::int32, shape(1), name, "zero", initializer::zeros);
    return {ops::quantize(g, x.id, scale, zero, -1, element::int8, name)};
  }
};

/// x = scale (q - zero): back to real numbers.
///
/// Shapes   q of any shape, i8   x the same
struct dequantize {
  static constexpr value build(builder& b, value q) {
    if (!b.usable(q)) return {};
    graph& g = b.network();
    if (g.tensors[q.id].type != element::int8) {
      return detail::fail_unquantized(b, "dequantize", q);
    }
    const tensor_name name = b.begin_layer("dequantize");
    const i32 scale = b.numbers(element::f32, shape(1), name, "scale", initializer::ones);
    const i32 zero = b.numbers(element::int32, shape(1), name, "zero", initializer::zeros);
    return {ops::dequantize(g, q.id, scale, zero, name)};
  }
};

/// The dense layer on 8-bit values, rescaled to 8 bits: ops/quantization.hpp.
///
/// Shapes   x (batch, in) i8   y (batch, Out) i8
/// Options  no_bias
/// Memory   in x Out + 16 Out bytes of weights
/// Errors   an input that is not quantized; rank
template <i32 Out, layer_option... Options>
struct quantized_dense {
  static_assert(Out > 0, "quantized_dense: expected at least 1 output");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("quantized_dense<", Out, ">");
    graph& g = b.network();
    if (g.tensors[x.id].type != element::int8) return detail::fail_unquantized(b, where, x);
    const shape in = b.sample(x);
    if (in.rank != 1) {
      return b.fail({where, "a rank-1 input", spell_all<64>(in), "put flatten before quantize"});
    }
    const layer_options o = read_options<Options...>(1, 1);
    const tensor_name name = b.begin_layer("quantized_dense");
    const i32 weight =
        b.numbers(element::int8, shape(Out, in[0]), name, "weight", initializer::zeros);
    const detail::quantized_parts p = detail::make_quantized_parts(b, Out, o.bias, name);
    return {ops::quantized_dense(g, x.id, weight, p.bias, p.zeros, p.to, name)};
  }
};

/// The convolution on 8-bit values, rescaled to 8 bits. Padding is real 0.
///
/// Shapes   x (batch, in, height, width) i8   y (batch, Out, height', width') i8
/// Options  pad, stride, dilation, groups, no_bias
/// Errors   an input that is not quantized; rank; a window that does not fit; groups
template <i32 Out, i32 Kernel, layer_option... Options>
struct quantized_conv {
  static_assert(Out > 0 && Kernel > 0, "quantized_conv: expected at least 1 output and cell");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("quantized_conv<", Out, ", ", Kernel, ">");
    graph& g = b.network();
    if (g.tensors[x.id].type != element::int8) return detail::fail_unquantized(b, where, x);
    const shape in = b.sample(x);
    const layer_options o = read_options<Options...>(Kernel, Kernel);
    if (in.rank != 3 || in[0] % o.groups != 0 || Out % o.groups != 0) {
      return b.fail({where,
                     spell_all("channels x height x width, channels in ", o.groups, " groups"),
                     spell_all<64>(in), "change the channels or the groups"});
    }
    for (i32 axis = 0; axis < 2; ++axis) {
      if (ops::window_count(o.win, axis, in[1 + axis]) > 0) continue;
      return b.fail({where, "an image that the window fits", spell_all<64>(in),
                     "add padding or use a smaller kernel"});
    }
    const tensor_name name = b.begin_layer("quantized_conv");
    const shape dims(Out, in[0] / o.groups, Kernel, Kernel);
    const i32 weight = b.numbers(element::int8, dims, name, "weight", initializer::zeros);
    const detail::quantized_parts p = detail::make_quantized_parts(b, Out, o.bias, name);
    return {ops::quantized_conv2d(g, x.id, weight, p.bias, p.zeros, p.to, o.win, o.groups, name)};
  }
};

static_assert(layer<quantize> && layer<dequantize> && layer<quantized_dense<4>> &&
              layer<quantized_conv<4, 3>>);

}  // namespace tessera
