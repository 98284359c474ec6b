#pragma once

// Flatten: every sample becomes one row of features. A view, no bytes move.

#include <tessera/nn/builder.hpp>

namespace tessera {

/// Shapes   x (batch, channels, height, width)   y (batch, channels * height * width)
struct flatten {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const i32 features = static_cast<i32>(b.sample(x).count());
    graph& g = b.network();
    return {ops::view(g, x.id, shape(g.batch, features))};
  }
};

static_assert(layer<flatten>);

}  // namespace tessera
