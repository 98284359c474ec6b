#pragma once

// U-Net: a class for each pixel. Every level halves the image, works on it, doubles it again and
// puts what it had before beside it.
//
//   x - 3x3 - 3x3 ----------------------------- crop --- concat - 3x3 - 3x3 -> y
//                 \ pool - (the level below) - up 2x2 /

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/conv_transpose.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

namespace detail {

/// The middle of x, of the height and width that `like` has.
constexpr value crop(builder& b, value x, value like) {
  const shape to = b.sample(like);
  for (i32 axis = 1; axis <= 2 && b.usable(x); ++axis) {
    const i32 more = b.sample(x)[axis] - to[axis];  // at least 0: pooling rounds down
    if (more == 0) continue;
    const i32 extents[] = {more / 2, to[axis], more - more / 2};
    const i32 first = extents[0] == 0 ? 1 : 0;
    x = {ops::split(b.network(), x.id, extents + first, 3 - first, axis, b.begin_layer("crop"))
             .id[1 - first]};
  }
  return x;
}

/// Two 3x3 convolutions with relu behind them.
template <i32 Channels, i32 Padding>
using double_conv = chain<named<"conv1", conv<Channels, 3, pad<Padding>, he_weights>>, relu,
                          named<"conv2", conv<Channels, 3, pad<Padding>, he_weights>>, relu>;

/// A level and all below it.
template <i32 Level, i32 Depth, i32 Channels, i32 Padding>
struct unet_level {
  static constexpr value build(builder& b, value x) {
    x = scope<spell_all<8>("down", Level), double_conv<Channels, Padding>>::build(b, x);
    if constexpr (Level == Depth) {
      return x;
    } else {
      value up = max_pool<2>::build(b, x);
      up = unet_level<Level + 1, Depth, 2 * Channels, Padding>::build(b, up);
      if (!b.usable(up)) return {};
      using doubled = named<"up", conv_transpose<Channels, 2, stride<2>, he_weights>>;
      constexpr auto name = spell_all<8>("up", Level);
      up = scope<name, doubled>::build(b, up);
      if (!b.usable(up)) return {};
      const value both = b.concat({crop(b, x, up), up});
      return scope<name, double_conv<Channels, Padding>>::build(b, both);
    }
  }
};

}  // namespace detail

/// U-Net with `Depth` poolings and `Width` channels in the first level, twice as many in each below
/// it. Without padding, as in the paper, the output is smaller than the input: 388 of 572. With
/// `Padding` 1 it is as large where 2^Depth divides height and width, else the largest multiple of
/// it. Names: down0.conv1.weight, down0.conv2.weight, ..., up3.up.weight, up3.conv1.weight, ...,
/// out.weight.
///
/// Shapes   x (batch, channels, height, width)   y (batch, Classes, height', width')
/// Memory   31,030,658 parameters for one channel and two classes
/// Source   Ronneberger, Fischer, Brox 2015
template <i32 Classes = 2, i32 Width = 64, i32 Depth = 4, i32 Padding = 1>
struct unet : chain<detail::unet_level<0, Depth, Width, Padding>, named<"out", conv<Classes, 1>>> {
  static_assert(Padding == 0 || Padding == 1, "unet: expected padding of 0 or 1");
};

static_assert(layer<unet<>>);

}  // namespace tessera::models
