#pragma once

// Activations: element by element, any shape, in place wherever the graph allows it.

#include <tessera/nn/builder.hpp>

namespace tessera {

namespace detail {

constexpr value build_unary(builder& b, value x, kind what, const attributes& attr = {}) {
  if (!b.usable(x)) return {};
  return {ops::unary(b.network(), what, x.id, b.begin_layer(ops::name_of(what)), attr)};
}

}  // namespace detail

/// max(x, 0). Keeps its output, in its input's bytes.
struct relu {
  static constexpr value build(builder& b, value x) {
    return detail::build_unary(b, x, kind::relu);
  }
};

/// Hyperbolic tangent. Keeps its output, in its input's bytes.
struct tanh {
  static constexpr value build(builder& b, value x) {
    return detail::build_unary(b, x, kind::tanh);
  }
};

/// 1 / (1 + exp(-x)). Keeps its output, in its input's bytes.
struct sigmoid {
  static constexpr value build(builder& b, value x) {
    return detail::build_unary(b, x, kind::sigmoid);
  }
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

}  // namespace tessera
