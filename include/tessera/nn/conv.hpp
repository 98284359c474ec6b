#pragma once

// Convolution layers: of images, of each channel alone, and of signals (nn/signals.hpp).

#include <tessera/nn/signals.hpp>

namespace tessera {

namespace detail {

/// Weight, bias and convolution of an image that has been found to have the right rank; not
/// `image`: of a signal as one, and messages speak of its length. -1 where something is wrong.
constexpr i32 append_conv(builder& b, value x, i32 out, const layer_options& o,
                          const text<64>& where, const char* kind_name, bool image) {
  const shape in = b.sample(x);
  const window& w = o.win;
  if (ops::window_count(w, 0, in[1]) < 1 || ops::window_count(w, 1, in[2]) < 1) {
    const i32 tall = (w.kernel[0] - 1) * w.dilation[0] + 1;
    const i32 wide = (w.kernel[1] - 1) * w.dilation[1] + 1;
    const text<120> least = !image         ? spell_all("a length of at least ", wide)
                            : tall == wide ? spell_all("height and width of at least ", tall)
                                           : spell_all("an image of at least ", shape(tall, wide));
    b.fail({where, least, image ? spell_all<64>(shape(in[1], in[2])) : spell_all<64>(in[2]),
            "add padding or use a smaller kernel"});
    return -1;
  }
  if (in[0] % o.groups != 0 || out % o.groups != 0) {
    b.fail({where, spell_all("channels that ", o.groups, " groups divide"),
            spell_all<64>(in[0], " in and ", out, " out"), "change groups or channels"});
    return -1;
  }
  const i32 group_in = in[0] / o.groups;
  const i32 taps = w.kernel[0] * w.kernel[1];
  const i32 fan_in = group_in * taps;
  const i32 fan_out = out / o.groups * taps;
  const initializer init = o.init_given ? o.init : initializer::glorot_uniform;
  const tensor_name name = b.begin_layer(kind_name);
  const i32 weight = b.parameter(shape(out, group_in, w.kernel[0], w.kernel[1]), name, "weight",
                                 init, fan_in, fan_out);
  i32 bias = -1;
  if (o.bias) {
    const bool torch = init == initializer::torch_uniform;
    bias =
        b.parameter(shape(out), name, "bias", torch ? init : initializer::zeros, fan_in, fan_out);
  }
  return ops::conv2d(b.network(), x.id, weight, bias, w, o.groups, name);
}

constexpr bool check_conv_image(builder& b, value x, const text<64>& where) {
  if (b.sample(x).rank == 3) return true;
  b.fail({where, "a rank-3 input (channels x height x width)", spell_all<64>(b.sample(x)),
          "start from image<...> and flatten after the last convolution"});
  return false;
}

}  // namespace detail

/// Cross-correlation with `Out` filters of Kernel x Kernel cells.
///
/// Shapes   x (batch, in, height, width)   weight (Out, in / groups, Kernel, Kernel)   bias (Out)
///          y (batch, Out, (height + 2 pad - dilation (Kernel - 1) - 1) / stride + 1, ...)
/// Options  window_of, pad, pad_edges, stride, dilation, groups, no_bias, initialized_by (default:
///          Glorot uniform)
/// Memory   keeps x for the backward pass
/// Errors   rank, a kernel larger than the padded image, channels that groups do not divide
/// Source   LeCun, Bottou, Bengio, Haffner 1998
template <i32 Out, i32 Kernel, layer_option... Options>
struct conv {
  static_assert(Out > 0 && Kernel > 0, "conv: expected at least 1 filter of at least 1 cell");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("conv<", Out, ", ", Kernel, ">");
    if (!detail::check_conv_image(b, x, where)) return {};
    const layer_options o = read_options<Options...>(Kernel, Kernel);
    return {detail::append_conv(b, x, Out, o, where, "conv", true)};
  }
};

/// A convolution of each channel alone, with one filter or `Multiplier` filters for each. With
/// conv<Out, 1> behind it, a convolution that is separable by depth.
///
/// Shapes   x (batch, in, height, width)   weight (Multiplier in, 1, Kernel, Kernel)
///          y (batch, Multiplier in, height', width'), a channel's filters side by side
/// Options  as conv, without groups
/// Errors   as conv
/// Source   Sifre 2014; Howard et al. 2017, MobileNets
template <i32 Kernel, i32 Multiplier, layer_option... Options>
struct depthwise_conv_of {
  static_assert(Kernel > 0 && Multiplier > 0,
                "depthwise_conv: expected at least 1 filter of at least 1 cell");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("depthwise_conv<", Kernel, ">");
    if (!detail::check_conv_image(b, x, where)) return {};
    layer_options o = read_options<Options...>(Kernel, Kernel);
    o.groups = b.sample(x)[0];
    return {detail::append_conv(b, x, o.groups * Multiplier, o, where, "depthwise_conv", true)};
  }
};

/// One filter for each channel.
template <i32 Kernel, layer_option... Options>
using depthwise_conv = depthwise_conv_of<Kernel, 1, Options...>;

/// Cross-correlation of signals with `Out` filters of Kernel samples.
///
/// Shapes   x (batch, in, length)   weight (Out, in / groups, 1, Kernel)   bias (Out)
///          y (batch, Out, (length + 2 pad - dilation (Kernel - 1) - 1) / stride + 1)
///          Samples are channels x length, as signal<channels, length> has them. Sequences (time,
///          batch, features) are refused.
/// Options  pad, pad_ends, stride, dilation, groups, no_bias, initialized_by
/// Memory   keeps x for the backward pass
/// Errors   rank, a sequence, a kernel longer than the padded signal, groups that do not divide
/// Source   Waibel et al. 1989, time-delay networks
template <i32 Out, i32 Kernel, layer_option... Options>
struct conv1d {
  static_assert(Out > 0 && Kernel > 0, "conv1d: expected at least 1 filter of at least 1 sample");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("conv1d<", Out, ", ", Kernel, ">");
    if (!detail::check_signal(b, x, where)) return {};
    const i32 y =
        detail::append_conv(b, detail::as_image(b, x), Out, read_signal_options<Options...>(Kernel),
                            where, "conv1d", false);
    return y < 0 ? value{} : detail::as_signal(b, y);
  }
};

static_assert(layer<conv<6, 5>> && layer<depthwise_conv<3>> && layer<conv1d<8, 3>>);

}  // namespace tessera
