#pragma once

// From a trained network to a quantized one: the numbers of nn/quantized.hpp's layers, from f32
// weights and the ranges that activations had on data.
//
//   weights      by output channel, symmetric: q = round(w / s), s = largest |w| / 127
//   activations  by tensor, affine: from the least and the most that was measured
//   bias         32 bits in units of input scale x weight scale
//   multiplier   input scale x weight scale / output scale, as 31 bits and a shift
//
// Source: Jacob et al. 2018; Krishnamoorthi 2018, Quantizing deep convolutional networks for
// efficient inference.

#include <tessera/core/error.hpp>
#include <tessera/core/quantization.hpp>
#include <tessera/runtime/weights.hpp>

#include <algorithm>
#include <cmath>
#include <string>

namespace tessera {

/// The least and the most that a value was.
struct value_range {
  double low = 0;
  double high = 0;

  /// Takes in further values; NaN counts as nothing.
  void add(std::span<const float> values) {
    for (const float v : values) {
      low = std::min(low, static_cast<double>(v == v ? v : 0.0f));
      high = std::max(high, static_cast<double>(v == v ? v : 0.0f));
    }
  }
  affine rule() const { return choose_affine(low, high); }
};

/// The weight called `name`. Throws where there is none.
inline const weight& weight_named(const weight_list& all, const std::string& name) {
  for (const weight& w : all) {
    if (w.name == name) return w;
  }
  throw error("no weight is called " + name);
}

/// Writes scale and zero point of a `quantize` or `dequantize` layer.
inline void fill_quantize(const weight_list& to, const std::string& layer, const affine& rule) {
  const weight& scale = weight_named(to, layer + ".scale");
  const weight& zero = weight_named(to, layer + ".zero");
  write_tensor(scale.about, scale.bytes.data(), std::vector<double>{rule.scale});
  write_tensor(zero.about, zero.bytes.data(), std::vector<double>{double(rule.zero_point)});
}

/// Fills a `quantized_dense` or `quantized_conv` layer of `to` from a dense or convolution layer of
/// the trained network: its weight (channels first), its bias or null, the rules of its input and
/// output. `rectified`: with a relu behind it, which becomes part of the layer.
///
/// Errors   layers whose shapes differ; a layer that is not there
inline void fill_quantized_layer(const weight_list& to, const std::string& layer, const weight& w,
                                 const weight* bias, const affine& x, const affine& y,
                                 bool rectified) {
  const weight& whole = weight_named(to, layer + ".weight");
  if (whole.about.dims != w.about.dims) {
    throw error(layer + ".weight: expected shape " +
                std::string(spell_all<64>(whole.about.dims).view()) + ", got " +
                std::string(spell_all<64>(w.about.dims).view()));
  }
  std::vector<double> values = read_tensor(w.about, w.bytes.data());
  const auto channels = static_cast<std::size_t>(w.about.dims[0]);
  const std::size_t each = values.size() / channels;
  const auto write = [&](const char* part, const std::vector<double>& numbers) {
    const weight& t = weight_named(to, layer + part);
    write_tensor(t.about, t.bytes.data(), numbers);
  };
  std::vector<double> sums(channels), multipliers(channels), shifts(channels);
  if (bias != nullptr) sums = read_tensor(bias->about, bias->bytes.data());
  for (std::size_t o = 0; o < channels; ++o) {
    double largest = 0;
    for (std::size_t i = 0; i < each; ++i)
      largest = std::max(largest, std::abs(values[o * each + i]));
    const float scale = choose_symmetric(largest);
    for (std::size_t i = 0; i < each; ++i) {
      double& v = values[o * each + i];
      v = quantize_value(static_cast<float>(v), scale, 0, -most_i8, most_i8);
    }
    const double unit = static_cast<double>(x.scale) * static_cast<double>(scale);
    sums[o] = quantize_wide(sums[o], unit);
    const fixed_multiplier by = choose_multiplier(unit / static_cast<double>(y.scale));
    multipliers[o] = by.multiplier;
    shifts[o] = by.shift;
  }
  write(".weight", values);
  if (bias != nullptr) write(".bias", sums);
  write(".zeros", {double(x.zero_point), 0.0});
  write(".multiplier", multipliers);
  write(".shift", shifts);
  const i32 least = rectified ? std::max(least_i8, y.zero_point) : least_i8;
  write(".limits", {double(y.zero_point), double(least), double(most_i8)});
}

}  // namespace tessera
