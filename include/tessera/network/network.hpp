#pragma once

// The network: one input shape or several, and layers, one after another.
//
//   network<image<1, 28, 28>, flatten, dense<10>>                 one value in, one out
//   network<inputs<image<3, 32, 32>, input<4>>, parallel<...>,    a bundle goes to the first layer;
//           concat<...>, branch<dense<10>, dense<4>>>             what the last gives are the
//           outputs

#include <tessera/nn.hpp>

namespace tessera {

/// A network as a type. A mistake in it is one error of the compiler wherever a step of it is
/// planned (network/job.hpp).
template <network_input Input, layer... Layers>
struct network {
  /// The shape of one sample; of several inputs, of the first one.
  static constexpr shape input = first_shape<Input>;

  static constexpr bundle build(builder& b) {
    const bundle y = chain<Layers...>::build(b, build_input<Input>(b));
    for (const value output : y) b.network().outputs.push(output.id);
    return y;
  }
};

template <class N>
concept network_type = requires(builder& b) {
  { N::build(b) } -> std::convertible_to<bundle>;
};

}  // namespace tessera
