#pragma once

// The network: an input shape and layers, one after another.

#include <tessera/nn.hpp>

namespace tessera {

/// A network as a type. A mistake in it is one error of the compiler wherever a step of it is
/// planned (network/job.hpp).
template <input_shape Input, layer... Layers>
struct network {
  static constexpr shape input = Input::dims;

  static constexpr value build(builder& b) {
    value x = b.input(input);
    ((x = Layers::build(b, x)), ...);
    b.network().outputs = x.id;
    return x;
  }
};

template <class N>
concept network_type = requires(builder& b) {
  { N::build(b) } -> std::same_as<value>;
};

}  // namespace tessera
