#pragma once

// A chain: layers one after another, itself a layer.

#include <tessera/nn/builder.hpp>

namespace tessera {

template <layer... Layers>
struct chain {
  static constexpr value build(builder& b, value x) {
    ((x = Layers::build(b, x)), ...);
    return x;
  }
};

}  // namespace tessera
