#pragma once

// Normalization layers.
//
//   chain<conv<64, 3, no_bias>, batch_norm, relu>
//   batch_norm_with<epsilon<1, 1000>, momentum<1, 100>>      group_norm<32>      layer_norm<>

#include <tessera/nn/builder.hpp>

namespace tessera {

/// What options of normalization layers say together.
struct norm_options {
  norm_attributes norm;
  bool affine = true;
};

/// Added to the variance: epsilon<1, 1000> is 0.001.
template <i32 Numerator, i32 Denominator>
struct epsilon {
  static_assert(Numerator > 0 && Denominator > 0, "epsilon: expected a fraction above 0");
  static constexpr void apply(norm_options& o) {
    o.norm.epsilon = static_cast<float>(double{Numerator} / Denominator);
  }
};

/// Share of a batch in the running statistics of batch_norm: momentum<1, 100> is 0.01.
template <i32 Numerator, i32 Denominator>
struct momentum {
  static_assert(Numerator >= 0 && Numerator <= Denominator && Denominator > 0,
                "momentum: expected a fraction from 0 to 1");
  static constexpr void apply(norm_options& o) {
    o.norm.momentum = static_cast<float>(double{Numerator} / Denominator);
  }
};

/// No weight and no bias.
struct not_affine {
  static constexpr void apply(norm_options& o) { o.affine = false; }
};

/// Over how many trailing extents layer_norm and rms_norm go; without it over the whole sample.
template <i32 Extents>
struct trailing {
  static_assert(Extents > 0, "trailing: expected at least 1 extent");
  static constexpr void apply(norm_options& o) { o.norm.extents = Extents; }
};

template <class O>
concept norm_option = requires(norm_options& o) {
  O::apply(o);
};

namespace detail {

template <norm_option... Options>
constexpr norm_options read_norm_options() {
  norm_options o;
  (Options::apply(o), ...);
  return o;
}

/// weight (ones) and bias (zeros) of a normalization, -1 where there is none.
struct norm_scales {
  i32 weight = -1;
  i32 bias = -1;

  constexpr norm_scales(builder& b, const tensor_name& name, const shape& dims, bool affine,
                        bool biased = true) {
    if (!affine) return;
    weight = b.parameter(dims, name, "weight", initializer::ones, 0, 0);
    if (biased) bias = b.parameter(dims, name, "bias", initializer::zeros, 0, 0);
  }
};

/// True where `x` has channels; else the mistake is recorded.
constexpr bool has_channels(builder& b, value x, const text<64>& where) {
  if (!b.usable(x)) return false;
  if (b.sample(x).rank >= 1 && b.network().tensors[x.id].stack == 0) return true;
  b.fail({where, "samples with channels", spell_all<64>(b.sample(x)),
          "put it where samples have channels"});
  return false;
}

constexpr value build_group_norm(builder& b, value x, const norm_options& o, const char* spelled,
                                 const text<64>& where) {
  const i32 channels = b.sample(x)[0];
  if (channels % o.norm.groups != 0) {
    return b.fail({where, spell_all("channels that ", o.norm.groups, " groups divide"),
                   spell_all<64>(channels), "change groups or channels"});
  }
  const tensor_name name = b.begin_layer(spelled);
  const norm_scales scales(b, name, shape(channels), o.affine);
  return {ops::group_norm(b.network(), x.id, scales.weight, scales.bias, o.norm, name)};
}

template <norm_option... Options>
constexpr value build_layer_norm(builder& b, value x, kind what, const char* spelled,
                                 const char* part) {
  if (!b.usable(x)) return {};
  norm_options o = read_norm_options<Options...>();
  const tensor& t = b.network().tensors[x.id];
  const i32 extents = t.dims.rank - t.stack - 1;  // of a sample at one point in time
  if (o.norm.extents == 0) o.norm.extents = extents;
  if (extents < 1 || o.norm.extents > extents) {
    return b.fail({spelled, spell_all("samples of at least ", o.norm.extents, " extents"),
                   spell_all<64>(b.sample(x)), "normalize over fewer extents"});
  }
  shape dims;
  dims.rank = o.norm.extents;
  for (i32 axis = 0; axis < dims.rank; ++axis) dims[axis] = t.dims[t.dims.rank - dims.rank + axis];
  const tensor_name name = b.begin_layer(part);
  const norm_scales scales(b, name, dims, o.affine, what == kind::layer_norm);
  return {ops::layer_norm(b.network(), what, x.id, scales.weight, scales.bias, o.norm, name)};
}

}  // namespace detail

/// Normalizes every channel over the batch and all positions, in inference with running statistics.
///
/// Shapes   x, y (batch, channels[, ...])   weight, bias, running_mean, running_var (channels)
/// Options  epsilon (1e-5), momentum (0.1), not_affine
/// Memory   keeps x and two numbers a channel for the backward pass
/// Source   Ioffe, Szegedy 2015
template <norm_option... Options>
struct batch_norm_with {
  static constexpr value build(builder& b, value x) {
    if (!detail::has_channels(b, x, "batch_norm")) return {};
    const norm_options o = detail::read_norm_options<Options...>();
    const shape dims(b.sample(x)[0]);
    const tensor_name name = b.begin_layer("bn");
    const detail::norm_scales scales(b, name, dims, o.affine);
    const i32 mean = b.statistic(dims, name, "running_mean", initializer::zeros);
    const i32 variance = b.statistic(dims, name, "running_var", initializer::ones);
    const auto append = b.training() ? &ops::batch_norm : &ops::batch_norm_inference;
    return {append(b.network(), x.id, scales.weight, scales.bias, mean, variance, o.norm, name)};
  }
};

using batch_norm = batch_norm_with<>;

/// Normalizes every sample over groups of channels and all positions.
///
/// Shapes   x, y (batch, channels[, ...])   weight, bias (channels)
/// Options  epsilon (1e-5), not_affine
/// Memory   keeps x and two numbers a sample and group
/// Errors   channels that the groups do not divide
/// Source   Wu, He 2018
template <i32 Groups, norm_option... Options>
struct group_norm {
  static_assert(Groups > 0, "group_norm: expected at least 1 group");
  static constexpr value build(builder& b, value x) {
    const text<64> where = spell_all<64>("group_norm<", Groups, ">");
    if (!detail::has_channels(b, x, where)) return {};
    norm_options o = detail::read_norm_options<Options...>();
    o.norm.groups = Groups;
    return detail::build_group_norm(b, x, o, "gn", where);
  }
};

/// Normalizes every channel of every sample over all positions: a group for each channel.
///
/// Shapes   as group_norm
/// Options  epsilon (1e-5), not_affine
/// Source   Ulyanov, Vedaldi, Lempitsky 2016
template <norm_option... Options>
struct instance_norm {
  static constexpr value build(builder& b, value x) {
    if (!detail::has_channels(b, x, "instance_norm")) return {};
    norm_options o = detail::read_norm_options<Options...>();
    o.norm.groups = b.sample(x)[0];
    return detail::build_group_norm(b, x, o, "in", "instance_norm");
  }
};

/// Normalizes every sample over its extents, or over the last of them.
///
/// Shapes   x, y (batch, ...)   weight, bias: the extents normalized over
/// Options  trailing (all extents), epsilon (1e-5), not_affine
/// Memory   keeps x and two numbers a row
/// Source   Ba, Kiros, Hinton 2016
template <norm_option... Options>
struct layer_norm {
  static constexpr value build(builder& b, value x) {
    return detail::build_layer_norm<Options...>(b, x, kind::layer_norm, "layer_norm", "ln");
  }
};

/// The same without mean and bias: x / sqrt(mean of x^2 + epsilon) weight.
///
/// Shapes   x, y (batch, ...)   weight: the extents normalized over
/// Options  trailing (all extents), epsilon (1e-5), not_affine
/// Memory   keeps x and a number a row
/// Source   Zhang, Sennrich 2019
template <norm_option... Options>
struct rms_norm {
  static constexpr value build(builder& b, value x) {
    return detail::build_layer_norm<Options...>(b, x, kind::rms_norm, "rms_norm", "rms");
  }
};

/// Constants of local_response_norm; derive from it to change some.
struct response_constants {
  static constexpr float alpha = 1e-4f;
  static constexpr float beta = 0.75f;
  static constexpr float k = 2;
};

/// Divides by a power of the energy of Size neighbouring channels:
/// y = x / (k + alpha / Size sum x^2)^beta.
///
/// Shapes   x, y (batch, channels[, ...])
/// Memory   keeps x
/// Source   Krizhevsky, Sutskever, Hinton 2012
template <i32 Size, class Constants = response_constants>
struct local_response_norm {
  static_assert(Size > 0 && Size <= ops::most_response_channels,
                "local_response_norm: expected 1 to 64 channels");
  static_assert(Constants::k > 0 && Constants::alpha >= 0,
                "local_response_norm: expected k above 0 and alpha of at least 0");
  static constexpr value build(builder& b, value x) {
    if (!detail::has_channels(b, x, spell_all<64>("local_response_norm<", Size, ">"))) return {};
    const response_attributes r{Size, Constants::alpha, Constants::beta, Constants::k};
    return {ops::local_response_norm(b.network(), x.id, r, b.begin_layer("lrn"))};
  }
};

static_assert(layer<batch_norm> && layer<layer_norm<>> && layer<group_norm<2>>);
static_assert(layer<instance_norm<>> && layer<rms_norm<>> && layer<local_response_norm<5>>);

}  // namespace tessera
