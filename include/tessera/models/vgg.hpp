#pragma once

// VGG: five stages of 3x3 convolutions, each with a pooling that halves height and width, and three
// fully connected layers.
//
//            convolutions per stage   parameters
//   vgg<11>  1  1  2  2  2            132,863,336
//   vgg<13>  2  2  2  2  2            133,047,848
//   vgg<16>  2  2  3  3  3            138,357,544
//   vgg<19>  2  2  4  4  4            143,667,240

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/pool.hpp>
#include <utility>

namespace tessera::models {

namespace detail {

/// Convolutions in stage `stage` (0 to 4) of a VGG of that depth.
constexpr i32 vgg_convolutions(i32 depth, i32 stage) {
  if (stage < 2) return depth == 11 ? 1 : 2;
  return depth == 19 ? 4 : depth == 16 ? 3 : 2;
}

/// What number the first convolution of a stage has: each takes two, a pooling one.
constexpr i32 vgg_first(i32 depth, i32 stage) {
  i32 number = 0;
  for (i32 s = 0; s < stage; ++s) number += 2 * vgg_convolutions(depth, s) + 1;
  return number;
}

template <i32 First, i32 Channels, class Indices>
struct vgg_stage;
template <i32 First, i32 Channels, i32... Index>
struct vgg_stage<First, Channels, std::integer_sequence<i32, Index...>>
    : chain<chain<numbered<First + 2 * Index, conv<Channels, 3, pad<1>, he_weights>>, relu>...,
            max_pool<2>> {};

template <i32 Depth, i32 Stage, i32 Channels>
using vgg_stage_of = vgg_stage<vgg_first(Depth, Stage), Channels,
                               std::make_integer_sequence<i32, vgg_convolutions(Depth, Stage)>>;

}  // namespace detail

/// VGG of 11, 13, 16 or 19 layers in torchvision's names: features.0.weight, ...,
/// classifier.6.bias. `Width` is the channels of the first stage, `Units` the width of the fully
/// connected layers.
///
/// Shapes   x (batch, 3, 224, 224)   y (batch, Classes)
/// Memory   see above; of VGG-16's parameters 124 million are in the fully connected layers
/// Source   Simonyan, Zisserman 2015, columns A, B, D and E of their table 1
template <i32 Depth, i32 Classes = 1000, i32 Width = 64, i32 Units = 4096>
struct vgg : chain<scope<"features",                                 //
                         detail::vgg_stage_of<Depth, 0, Width>,      //
                         detail::vgg_stage_of<Depth, 1, 2 * Width>,  //
                         detail::vgg_stage_of<Depth, 2, 4 * Width>,  //
                         detail::vgg_stage_of<Depth, 3, 8 * Width>,  //
                         detail::vgg_stage_of<Depth, 4, 8 * Width>>,
                   flatten,
                   scope<"classifier",                                              //
                         numbered<0, dense<Units, he_weights>>, relu, dropout<50>,  //
                         numbered<3, dense<Units, he_weights>>, relu, dropout<50>,  //
                         numbered<6, dense<Classes>>>> {
  static_assert(Depth == 11 || Depth == 13 || Depth == 16 || Depth == 19,
                "vgg: expected 11, 13, 16 or 19 layers");
};

template <i32 Classes = 1000>
using vgg16 = vgg<16, Classes>;

static_assert(layer<vgg16<>>);

}  // namespace tessera::models
