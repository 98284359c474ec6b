#pragma once

// Activations: element by element, any shape, in place wherever the graph allows it.
//
//   relu  relu6  leaky_relu  elu  selu  gelu  gelu_tanh  silu  softplus  hardswish  hardsigmoid
//   hardtanh  mish  softsign  tanh  sigmoid  exp  square  abs  identity  dropout<Percent>
//
// What they compute, which of them keep their input for the backward pass (gelu, gelu_tanh, silu,
// hardswish, mish, square, abs) and which only their output stands in ops/activation.hpp. Those
// with constants take them from a type; to change one, derive and hide it:
//
//   struct steep : tessera::activation_constants {
//     static constexpr float alpha = 0.2f;
//   };
//   chain<conv<64, 3>, leaky_relu_with<steep>>

#include <tessera/nn/builder.hpp>

namespace tessera {

/// Constants of activations; derive from it to change some.
struct activation_constants {
  static constexpr float alpha = 1;       // leaky_relu, elu
  static constexpr float scale = 1;       // elu
  static constexpr float beta = 1;        // softplus
  static constexpr float threshold = 20;  // softplus
  static constexpr float low = -1;        // hardtanh
  static constexpr float high = 1;
};

namespace detail {

constexpr value build_unary(builder& b, value x, kind what, const attributes& attr = {}) {
  if (!b.usable(x)) return {};
  return {ops::unary(b.network(), what, x.id, b.begin_layer(ops::name_of(what)), attr)};
}

template <kind What>
struct activation {
  static constexpr value build(builder& b, value x) { return build_unary(b, x, What); }
};

/// An activation with the constants of a type.
template <kind What, class Constants>
struct activation_with {
  static_assert(What != kind::softplus || Constants::beta != 0, "softplus: expected a beta not 0");
  static constexpr activation_attributes constants{Constants::alpha, Constants::scale,
                                                   Constants::beta,  Constants::threshold,
                                                   Constants::low,   Constants::high};
  static constexpr value build(builder& b, value x) {
    attributes attr;
    attr.activation = constants;
    return build_unary(b, x, What, attr);
  }
};

struct leaky_constants : activation_constants {
  static constexpr float alpha = 0.01f;
};
struct selu_constants : activation_constants {
  static constexpr float alpha = 1.6732632423543772f;
  static constexpr float scale = 1.0507009873554805f;
};
struct relu6_constants : activation_constants {
  static constexpr float low = 0;
  static constexpr float high = 6;
};

}  // namespace detail

/// max(x, 0). Keeps its output, in its input's bytes.
struct relu : detail::activation<kind::relu> {};

/// Hyperbolic tangent. Keeps its output, in its input's bytes.
struct tanh : detail::activation<kind::tanh> {};

/// 1 / (1 + exp(-x)). Keeps its output, in its input's bytes.
struct sigmoid : detail::activation<kind::sigmoid> {};

/// x, or alpha x below 0. Keeps its output where alpha is above 0.
template <class Constants>
struct leaky_relu_with : detail::activation_with<kind::leaky_relu, Constants> {};
/// With alpha 0.01.
struct leaky_relu : leaky_relu_with<detail::leaky_constants> {};

/// scale x, or scale alpha (exp(x) - 1) below 0. Keeps its output where alpha is at least 0.
template <class Constants>
struct elu_with : detail::activation_with<kind::elu, Constants> {};
/// With alpha and scale 1.
struct elu : elu_with<activation_constants> {};
/// With the alpha and scale that drive activations towards mean 0 and variance 1.
struct selu : elu_with<detail::selu_constants> {};

/// x Phi(x), Phi the normal distribution. Keeps its input.
struct gelu : detail::activation<kind::gelu_erf> {};
/// The same with Phi from a hyperbolic tangent, as GPT-2 has it. Keeps its input.
struct gelu_tanh : detail::activation<kind::gelu_tanh> {};

/// x sigmoid(x), also called swish. Keeps its input.
struct silu : detail::activation<kind::silu> {};

/// log(1 + exp(beta x)) / beta, x itself where beta x is above threshold. Keeps its output where
/// threshold is at least 17, else its input.
template <class Constants>
struct softplus_with : detail::activation_with<kind::softplus, Constants> {};
/// With beta 1 and threshold 20.
struct softplus : softplus_with<activation_constants> {};

/// x relu6(x + 3) / 6. Keeps its input.
struct hardswish : detail::activation<kind::hardswish> {};
/// relu6(x + 3) / 6. Keeps its output.
struct hardsigmoid : detail::activation<kind::hardsigmoid> {};

/// x between low and high. Keeps its output.
template <class Constants>
struct hardtanh_with : detail::activation_with<kind::hardtanh, Constants> {};
/// Between -1 and 1.
struct hardtanh : hardtanh_with<activation_constants> {};
/// Between 0 and 6 (Krizhevsky 2010).
struct relu6 : hardtanh_with<detail::relu6_constants> {};

/// x tanh(log(1 + exp(x))). Keeps its input.
struct mish : detail::activation<kind::mish> {};
/// x / (1 + |x|). Keeps its output.
struct softsign : detail::activation<kind::softsign> {};
/// e^x. Keeps its output.
struct exp : detail::activation<kind::exp> {};
/// x x. Keeps its input.
struct square : detail::activation<kind::square> {};
/// |x|, derivative 0 at 0. Keeps its input.
struct abs : detail::activation<kind::abs> {};

/// x itself: no operation, no bytes.
struct identity {
  static constexpr value build(builder&, value x) { return x; }
};

/// Zeroes a share of the values in training and scales the others by 1 / (1 - share); does nothing
/// in inference. dropout<50> drops half. The mask is drawn again for the backward pass, not kept.
///
/// Source   Srivastava et al. 2014
template <i32 Percent>
struct dropout {
  static_assert(Percent >= 0 && Percent < 100, "dropout: expected 0 to 99 percent");
  static constexpr value build(builder& b, value x) {
    if (!b.training() || !b.usable(x)) return x;
    const tensor_name name = b.begin_layer("dropout");
    attributes attr;
    attr.rate = static_cast<float>(Percent) / 100.0f;
    attr.salt = b.next_salt();
    return {ops::unary(b.network(), kind::dropout, x.id, name, attr)};
  }
};

static_assert(layer<relu> && layer<tanh> && layer<sigmoid> && layer<dropout<50>>);
static_assert(layer<leaky_relu> && layer<selu> && layer<softplus> && layer<identity>);

}  // namespace tessera
