#pragma once

// Convolutional autoencoders: images through a narrow middle and back.
//
//   1x28x28 -> 16x14x14 -> 32x7x7 -> 16x14x14 -> 1x28x28      conv_autoencoder<1, 16, 32>

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/conv_transpose.hpp>
#include <utility>

namespace tessera::models {

/// Convolutions of stride 2 with the given numbers of filters, then transposed ones back to images
/// of `Channels` channels with values between 0 and 1. Height and width must be divisible by two as
/// often. Names, as of a PyTorch module of two nn.Sequential: encoder.0.weight, encoder.2.weight,
/// ..., decoder.0.weight, ...
///
/// Shapes   x, y (batch, Channels, height, width)
/// Memory   629 parameters for conv_autoencoder<1, 4, 6>
/// Source   Masci, Meier, Ciresan, Schmidhuber 2011; strides for pooling as in Radford et al. 2016
template <i32 Channels, i32... Filters>
struct conv_autoencoder {
  static_assert(sizeof...(Filters) > 0, "conv_autoencoder: expected at least 1 convolution");

  static constexpr value build(builder& b, value x) {
    return build(b, x, std::make_integer_sequence<i32, sizeof...(Filters)>{});
  }

 private:
  static constexpr i32 count = sizeof...(Filters);
  static constexpr i32 filters[] = {Channels, Filters...};

  template <i32 Index>
  using down =
      chain<numbered<2 * Index, conv<filters[Index + 1], 3, stride<2>, pad<1>, he_weights>>, relu>;
  /// The last one has filters of 4x4: every cell of the image gets as many terms.
  template <i32 Index>
  using up = std::conditional_t<
      Index + 1 < count,
      chain<numbered<2 * Index, conv_transpose<filters[count - 1 - Index], 3, stride<2>, pad<1>,
                                               output_padding<1>, he_weights>>,
            relu>,
      chain<numbered<2 * Index, conv_transpose<Channels, 4, stride<2>, pad<1>>>, sigmoid>>;

  template <i32... Index>
  static constexpr value build(builder& b, value x, std::integer_sequence<i32, Index...>) {
    return chain<scope<"encoder", down<Index>...>, scope<"decoder", up<Index>...>>::build(b, x);
  }
};

static_assert(layer<conv_autoencoder<1, 16, 32>>);

}  // namespace tessera::models
