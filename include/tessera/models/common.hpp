#pragma once

// What models share: the start of their weights, and layers and blocks called by numbers as
// PyTorch's nn.Sequential calls them.

#include <tessera/nn/conv.hpp>
#include <tessera/nn/names.hpp>
#include <tessera/nn/repeat.hpp>

namespace tessera::models {

/// Weights in front of a relu: normal with variance 2 / fan_in (He et al. 2015).
using he_weights = initialized_by<initializer::he_normal>;

/// The layer called "6".
template <i32 Number, layer Layer>
using numbered = named<spell_all<4>(Number), Layer>;

namespace detail {

template <i32 First, i32 Count, layer Block>
struct blocks {
  using type = repeat_from<First, Count, Block>;
};
template <i32 First, layer Block>
struct blocks<First, 1, Block> {  // a loop of one trip would only cost memory
  using type = scope<spell_all<4>(First), Block>;
};
template <i32 First, layer Block>
struct blocks<First, 0, Block> {
  using type = chain<>;
};

}  // namespace detail

/// `Count` blocks in a row with weights of their own, called by numbers from `First` on; planned
/// and compiled once.
template <i32 First, i32 Count, layer Block>
using numbered_blocks = typename detail::blocks<First, Count, Block>::type;

}  // namespace tessera::models
