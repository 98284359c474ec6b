#pragma once

// Multilayer perceptrons: fully connected layers with activations between them.
//
//   network<image<1, 28, 28>, models::mlp<300, 100, 10>>      266,610 parameters (LeCun 1998)
//   network<image<1, 28, 28>, models::deep_mlp<100, 64, 10>>  100 layers, one of them compiled

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <utility>

namespace tessera::models {

/// Layers of the given numbers of units with an activation behind all but the last. Takes samples
/// of any shape. Names: fc1.weight, fc1.bias, fc2.weight, ...
///
/// Memory   sum of (in + 1) out parameters: 266,610 for mlp<300, 100, 10> on 28x28
/// Source   Rumelhart, Hinton, Williams 1986; LeCun, Bottou, Bengio, Haffner 1998, section III.C
template <layer Activation, i32... Sizes>
struct mlp_with {
  static_assert(sizeof...(Sizes) > 0, "mlp: expected at least 1 layer");

  static constexpr value build(builder& b, value x) {
    return build(b, flatten::build(b, x), std::make_integer_sequence<i32, sizeof...(Sizes)>{});
  }

 private:
  static constexpr i32 count = sizeof...(Sizes);
  using weights = initialized_by<std::same_as<Activation, relu> ? initializer::he_normal
                                                                : initializer::glorot_uniform>;

  template <i32... Index>
  static constexpr value build(builder& b, value x, std::integer_sequence<i32, Index...>) {
    (
        [&] {
          x = named<spell_all<8>("fc", Index + 1), dense<Sizes, weights>>::build(b, x);
          if (Index + 1 < count) x = Activation::build(b, x);
        }(),
        ...);
    return x;
  }
};

/// The same with relu: mlp<300, 100, 10>.
template <i32... Sizes>
using mlp = mlp_with<relu, Sizes...>;

/// `Depth` fully connected layers, all but the last of `Width` units: those in the middle are one
/// body in the graph. Names: fc1.weight, hidden.0.fc.weight, hidden.1. ..., out.weight.
///
/// Memory   (in + 1) Width + (Depth - 2) (Width + 1) Width + (Width + 1) Classes parameters
template <i32 Depth, i32 Width, i32 Classes, layer Activation = relu>
struct deep_mlp
    : chain<flatten, named<"fc1", dense<Width, he_weights>>, Activation,
            scope<"hidden",
                  numbered_blocks<0, Depth - 2,
                                  chain<named<"fc", dense<Width, he_weights>>, Activation>>>,
            named<"out", dense<Classes>>> {
  static_assert(Depth >= 2, "deep_mlp: expected at least 2 layers");
};

static_assert(layer<mlp<300, 100, 10>> && layer<deep_mlp<100, 64, 10>>);

}  // namespace tessera::models
