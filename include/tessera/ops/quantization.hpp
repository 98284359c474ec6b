#pragma once

// Quantized inference: 8-bit values, 32-bit sums. core/quantization.hpp has the arithmetic.
//
//   quantize           (x, scale[, zero[, factor]]) -> q      q = round(x / (scale factor)) + zero
//   dequantize         (q, scale[, zero]) -> x                x = scale (q - zero)
//   requantize         (sums[, multiplier], shift[, limits]) -> q
//   quantized_dense    (x, weight[, bias[, zeros]]) -> sums
//   quantized_conv2d   (x, weight[, bias[, zeros]]) -> sums
//                      (x, weight, bias, zeros[, multiplier], shift[, limits]) -> q
//
//   sums    b + sum of (x - zeros[0]) (w - zeros[1]), exact in 32 bits (it wraps where the true sum
//           does not fit); padding cells of a convolution hold zeros[0], which is real 0
//   q       bounded(rescale(sum, {multiplier, shift}) + limits[0], limits[1], limits[2]); without
//           a multiplier rescale_by_power(sum, shift)
//
// Everything that depends on data is a tensor: scales (f32) and multipliers and shifts (i32) with
// one number or one for each channel (the first extent of a sample, the first of a weight), zeros
// (input's, weight's) and limits (zero point, least, most) as i32. So a network's type does not
// depend on the ranges that its calibration measured. A fused relu is a `least` of the zero point.
//
// q is i8, or i32 where asked for: quantize then takes the quotient in double and bounds to 32
// bits, requantize without limits keeps 32 bits. bias i32, x and weight i8. The product kinds write
// sums (i32) or, with a shift, q at once: the same numbers as through requantize, sums never
// stored. NaN becomes the zero point, infinities the ends. None has a gradient; nothing is saved;
// nothing works in place. Integer sums have no order: every backend and layout gives the same bits.
// Source: Jacob et al. 2018; the rounding is TensorFlow Lite's.

#include <tessera/core/quantization.hpp>
#include <tessera/ops/axis.hpp>
#include <tessera/ops/conv.hpp>

namespace tessera::ops {

/// What follows a sum of products: tensors, or -1 where a part is not there. Without a shift the
/// sums are what comes out.
struct requantization {
  i32 multiplier = -1;
  i32 shift = -1;
  i32 limits = -1;
};

namespace detail {

/// Channels of a value, or the first extent of a weight.
constexpr axis_view quantized_view(const tensor& t) {
  const shape dims = t.sample();
  if (dims.rank <= t.stack) return {1, 1, static_cast<i32>(t.dims.count())};
  return view_along_channels(t);
}

/// Refuses numbers of a wrong type, or that are neither `count` nor, where it may be, one.
constexpr void refuse_numbers(graph& g, i32 id, element type, i32 count, bool one,
                              tensor_name layer) {
  if (id < 0) return;
  const tensor& t = g.tensors[id];
  const i64 n = t.dims.count();
  if (t.type == type && (n == count || (one && n == 1))) return;
  refuse(g, {spell(layer), spell_all(count, " numbers of ", name_of(type)),
             spell_all<64>(n, " of ", name_of(t.type)),
             one ? "give one number, or one a channel" : "give one number for each"});
}

constexpr i32 append_quantized(graph& g, i32 like, const shape& dims, element type,
                               tensor_name layer) {
  const i32 y = append_activation(g, like, dims, layer, "out");
  g.tensors[y].type = type;
  g.tensors[y].differentiable = false;
  g.tensors[y].init = initializer::zeros;
  return y;
}

constexpr void refuse_type(graph& g, i32 id, element type, const char* what, tensor_name layer) {
  if (id < 0 || g.tensors[id].type == type) return;
  refuse(g, {spell(layer), spell_all(what, " of ", name_of(type)), name_of(g.tensors[id].type),
             "quantize it first"});
}

constexpr i32 append_product(graph& g, operation op, const shape& dims, const requantization& r) {
  const i32 out = g.tensors[op.in[1]].dims[0];
  refuse_type(g, op.in[0], element::int8, "an input", op.layer);
  refuse_type(g, op.in[1], element::int8, "a weight", op.layer);
  refuse_numbers(g, op.in[2], element::int32, out, false, op.layer);
  refuse_numbers(g, op.in[3], element::int32, 2, false, op.layer);
  refuse_numbers(g, r.multiplier, element::int32, out, true, op.layer);
  refuse_numbers(g, r.shift, element::int32, out, true, op.layer);
  refuse_numbers(g, r.limits, element::int32, 3, false, op.layer);
  if (r.shift < 0 && (r.multiplier >= 0 || r.limits >= 0)) {
    refuse(g, {spell(op.layer), "a shift with multiplier and limits", "none", "give a shift"});
  }
  op.in[4] = r.multiplier;
  op.in[5] = r.shift;
  op.in[6] = r.limits;
  op.out[0] =
      append_quantized(g, op.in[0], dims, r.shift < 0 ? element::int32 : element::int8, op.layer);
  g.add(op);
  return op.out[0];
}

}  // namespace detail

/// x of any shape, value or weight; `zero` and `factor` (one f32 that multiplies every scale) or
/// -1. `to`: int8, or int32 for biases.
constexpr i32 quantize(graph& g, i32 x, i32 scale, i32 zero, i32 factor, element to,
                       tensor_name layer) {
  const i32 channels = detail::quantized_view(g.tensors[x]).along;
  detail::refuse_numbers(g, scale, element::f32, channels, true, layer);
  detail::refuse_numbers(g, zero, element::int32, 1, false, layer);
  detail::refuse_numbers(g, factor, element::f32, 1, false, layer);
  operation op;
  op.what = kind::quantize;
  op.in[0] = x;
  op.in[1] = scale;
  op.in[2] = zero;
  op.in[3] = factor;
  op.out[0] = detail::append_quantized(g, x, g.tensors[x].dims, to, layer);
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

/// q of any shape, i8 or i32; returns real numbers.
constexpr i32 dequantize(graph& g, i32 q, i32 scale, i32 zero, tensor_name layer) {
  const i32 channels = detail::quantized_view(g.tensors[q]).along;
  detail::refuse_numbers(g, scale, element::f32, channels, true, layer);
  detail::refuse_numbers(g, zero, element::int32, 1, false, layer);
  operation op;
  op.what = kind::dequantize;
  op.in[0] = q;
  op.in[1] = scale;
  op.in[2] = zero;
  op.out[0] = detail::append_quantized(g, q, g.tensors[q].dims, element::f32, layer);
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

/// Sums (i32) of any shape. `to`: int8, or int32.
constexpr i32 requantize(graph& g, i32 sums, const requantization& r, element to,
                         tensor_name layer) {
  const i32 channels = detail::quantized_view(g.tensors[sums]).along;
  detail::refuse_type(g, sums, element::int32, "sums", layer);
  detail::refuse_numbers(g, r.multiplier, element::int32, channels, true, layer);
  detail::refuse_numbers(g, r.shift, element::int32, channels, true, layer);
  detail::refuse_numbers(g, r.limits, element::int32, 3, false, layer);
  if (r.shift < 0) refuse(g, {spell(layer), "a shift", "none", "give a shift"});
  operation op;
  op.what = kind::requantize;
  op.in[0] = sums;
  op.in[1] = r.multiplier;
  op.in[2] = r.shift;
  op.in[3] = r.limits;
  op.out[0] = detail::append_quantized(g, sums, g.tensors[sums].dims, to, layer);
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

/// x (batch, in), weight (out, in), bias (out), zeros (2).
constexpr i32 quantized_dense(graph& g, i32 x, i32 weight, i32 bias, i32 zeros,
                              const requantization& r, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape& w = g.tensors[weight].dims;
  if (dims.rank != 2 || w.rank != 2 || dims[1] != w[1]) {
    refuse(g, {spell(layer), "a weight of out x in", spell_all<64>(w, " for an input of ", dims),
               "make their extents agree"});
  }
  dims[1] = w[0];
  operation op;
  op.what = kind::quantized_dense;
  op.in[0] = x;
  op.in[1] = weight;
  op.in[2] = bias;
  op.in[3] = zeros;
  op.layer = layer;
  return detail::append_product(g, op, dims, r);
}

/// x (batch, channels, height, width), weight (out, channels / groups, kernel height, kernel
/// width).
constexpr i32 quantized_conv2d(graph& g, i32 x, i32 weight, i32 bias, i32 zeros,
                               const requantization& r, const window& win, i32 groups,
                               tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape& w = g.tensors[weight].dims;
  if (dims.rank != 4 || w.rank != 4 || groups < 1 || w[1] * groups != dims[1] ||
      w[0] % groups != 0 || w[2] != win.kernel[0] || w[3] != win.kernel[1]) {
    refuse(g, {spell(layer), spell_all("a weight of out x in / ", groups, " x kernel"),
               spell_all<64>(w, " for an input of ", dims), "make channels and kernel agree"});
  }
  dims[1] = w[0];
  dims[2] = window_count(win, 0, dims[2]);
  dims[3] = window_count(win, 1, dims[3]);
  refuse_empty(g, dims, x, layer);
  operation op;
  op.what = kind::quantized_conv2d;
  op.in[0] = x;
  op.in[1] = weight;
  op.in[2] = bias;
  op.in[3] = zeros;
  op.attr.win = win;
  op.attr.groups = groups;
  op.layer = layer;
  return detail::append_product(g, op, dims, r);
}

/// The signature's sizes: of a product as dense and conv2d have them, with how many multipliers and
/// shifts there are behind; else rows of channels.
constexpr void sign_quantization(const graph& g, const operation& op, signature& s) {
  const auto count = [&](i32 slot) {
    return op.in[slot] < 0 ? 0 : static_cast<i32>(g.tensors[op.in[slot]].dims.count());
  };
  if (op.what == kind::quantized_dense) {
    const shape& x = g.tensors[op.in[0]].dims;
    dense_sizes{x[0], x[1], g.tensors[op.out[0]].dims[1]}.write(s);
  } else if (op.what == kind::quantized_conv2d) {
    sizes_of_conv(g, op).write(s);
  } else {
    const axis_view x = detail::quantized_view(g.tensors[op.in[0]]);
    bias_sizes{x.outer, x.along, x.inner}.write(s);
    s.batch_last = false;  // rows of channels in both layouts
  }
  const bool product = is_quantized_product(op.what);
  quantized_counts{count(product ? 4 : 1), count(op.what == kind::requantize ? 2
                                                 : product                   ? 5
                                                                             : 1)}
      .write(s);
}

}  // namespace tessera::ops
