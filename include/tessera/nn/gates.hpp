#pragma once

// Activations that learn, or that make less of what they get: prelu, glu, maxout.

#include <tessera/nn/builder.hpp>

namespace tessera {

namespace detail {

constexpr value build_prelu(builder& b, value x, bool single) {
  if (!b.usable(x)) return {};
  const shape in = b.sample(x);
  const i32 stack = b.network().tensors[x.id].stack;
  if (in.rank <= stack) {
    return b.fail({"prelu", "samples with channels", spell_all<64>(in),
                   "use prelu_shared, which has one slope for all"});
  }
  const tensor_name name = b.begin_layer("prelu");
  const shape dims(single ? 1 : in[stack]);
  const i32 slope = b.parameter(dims, name, "alpha", {initializer::constant, 0.25f}, 0, 0);
  return {ops::prelu(b.network(), x.id, slope, name)};
}

}  // namespace detail

/// x, or below 0 a slope times x that is learned for each channel (feature), 0.25 at first.
///
/// Shapes   x, y (batch, channels[, ...])   alpha (channels)
/// Memory   channels parameters; keeps x
/// Errors   "prelu: expected samples with channels, ..."
/// Source   He et al. 2015
struct prelu {
  static constexpr value build(builder& b, value x) { return detail::build_prelu(b, x, false); }
};
/// The same with one slope for all: alpha (1).
struct prelu_shared {
  static constexpr value build(builder& b, value x) { return detail::build_prelu(b, x, true); }
};

/// The first half along an axis, times the sigmoid of the second: y = a sigmoid(b), x = (a, b).
///
/// Shapes   x (batch, 2 n[, ...])   y (batch, n[, ...]); Axis counts a sample's extents, -1: the
///          channels (features, behind time)
/// Memory   keeps x; its gradient lies in x's bytes
/// Errors   "glu: expected an even extent along axis 0, got 5x4; ..."
/// Source   Dauphin et al. 2017
template <i32 Axis = -1>
struct glu {
  static constexpr value build(builder& b, value x) { return b.glu(x, Axis); }
};

/// The largest of every Pieces consecutive channels (features): y has that many fewer. Where some
/// are equal they share the gradient.
///
/// Shapes   x (batch, Pieces n[, ...])   y (batch, n[, ...])
/// Memory   keeps x and y
/// Errors   channels that Pieces does not divide
/// Source   Goodfellow et al. 2013
template <i32 Pieces>
struct maxout {
  static_assert(Pieces > 0, "maxout: expected at least 1 piece");
  static constexpr value build(builder& b, value x) { return b.maxout(x, Pieces); }
};

static_assert(layer<prelu> && layer<prelu_shared> && layer<glu<>> && layer<maxout<2>>);

}  // namespace tessera
