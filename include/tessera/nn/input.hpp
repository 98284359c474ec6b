#pragma once

// Inputs: the shape of one sample, the first argument of a network.

#include <tessera/nn/builder.hpp>

namespace tessera {

template <class I>
concept input_shape = requires {
  { I::dims } -> std::convertible_to<shape>;
};

/// Samples of any shape: input<784>, input<100, 26>.
template <i32... Extents>
struct input {
  static constexpr shape dims{Extents...};
};

/// Images, channels first: image<1, 28, 28>.
template <i32 Channels, i32 Height, i32 Width>
struct image {
  static constexpr shape dims{Channels, Height, Width};
};

static_assert(input_shape<image<1, 28, 28>> && input_shape<input<784>>);

}  // namespace tessera
