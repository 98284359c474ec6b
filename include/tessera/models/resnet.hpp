#pragma once

// Residual networks, for ImageNet and for CIFAR.
//
//   basic        x -> 3x3 -> bn -> relu -> 3x3 -> bn -------------------------> + -> relu
//   bottleneck   x -> 1x1 -> bn -> relu -> 3x3 -> bn -> relu -> 1x1 (4 x) -> bn -> + -> relu
//                \------------------- x, or a shortcut to its shape -----------/
//
//                     blocks        parameters            with shortcuts A
//   resnet18          2  2  2  2    11,689,512            11,516,840
//   resnet34          3  4  6  3    21,797,672            21,625,000
//   resnet50          3  4  6  3    25,557,032            22,772,136
//   resnet<101>       3  4 23  3    44,549,160
//   resnet<152>       3  8 36  3    60,192,808
//   cifar_resnet<20>  3  3  3       272,474               269,722
//   cifar_resnet<56>  9  9  9       855,770               853,018
//
// The first block of a stage stands alone, the others are one body in the graph.

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/branches.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/norm.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

/// The way around a block that changes the shape: a, rows and columns left out and channels of
/// zeros added; b, a 1x1 convolution with weights ("downsample").
enum class shortcut : u8 { a, b };

namespace detail {

template <i32 Channels, i32 Stride>
struct basic_body {
  static constexpr i32 out = Channels;
  using type = chain<named<"conv1", conv<Channels, 3, pad<1>, stride<Stride>, no_bias, he_weights>>,
                     named<"bn1", batch_norm>, relu,
                     named<"conv2", conv<Channels, 3, pad<1>, no_bias, he_weights>>,
                     named<"bn2", batch_norm>>;
};

/// The stride is in the 3x3 convolution, as in torchvision; the paper has it in the first.
template <i32 Channels, i32 Stride>
struct bottleneck_body {
  static constexpr i32 out = 4 * Channels;
  using type =
      chain<named<"conv1", conv<Channels, 1, no_bias, he_weights>>, named<"bn1", batch_norm>, relu,
            named<"conv2", conv<Channels, 3, pad<1>, stride<Stride>, no_bias, he_weights>>,
            named<"bn2", batch_norm>, relu, named<"conv3", conv<out, 1, no_bias, he_weights>>,
            named<"bn3", batch_norm>>;
};

template <shortcut Kind, i32 Channels, i32 Stride>
using way_around = std::conditional_t<
    Kind == shortcut::a, project<shortcut_a<Channels, Stride>>,
    project<scope<"downsample", named<"0", conv<Channels, 1, stride<Stride>, no_bias, he_weights>>,
                  named<"1", batch_norm>>>>;

/// A block that gets `In` channels.
template <template <i32, i32> class Body, i32 In, i32 Channels, i32 Stride, shortcut Kind,
          bool Same = Stride == 1 && In == Body<Channels, Stride>::out>
struct residual_block : chain<residual<typename Body<Channels, Stride>::type,
                                       way_around<Kind, Body<Channels, Stride>::out, Stride>>,
                              relu> {};
template <template <i32, i32> class Body, i32 In, i32 Channels, i32 Stride, shortcut Kind>
struct residual_block<Body, In, Channels, Stride, Kind, true>
    : chain<residual<typename Body<Channels, Stride>::type>, relu> {};

/// `Count` blocks called "layer<Number>.0." and so on; where the first is like the others, all are
/// one body.
template <i32 Number, i32 Count, template <i32, i32> class Body, i32 In, i32 Channels, i32 Stride,
          shortcut Kind>
struct residual_stage {
  static constexpr i32 out = Body<Channels, 1>::out;
  using first = residual_block<Body, In, Channels, Stride, Kind>;
  using other = residual_block<Body, out, Channels, 1, Kind>;
  using blocks = std::conditional_t<std::same_as<first, other>, numbered_blocks<0, Count, other>,
                                    chain<scope<"0", first>, numbered_blocks<1, Count - 1, other>>>;
  using type = scope<spell_all<8>("layer", Number), blocks>;
};

/// Blocks in stage `stage` (0 to 3) of a residual network of that depth, 0 for other depths.
constexpr i32 resnet_blocks(i32 depth, i32 stage) {
  constexpr i32 counts[][5] = {
      {18, 2, 2, 2, 2}, {34, 3, 4, 6, 3}, {50, 3, 4, 6, 3}, {101, 3, 4, 23, 3}, {152, 3, 8, 36, 3}};
  for (const auto& row : counts) {
    if (row[0] == depth) return row[1 + stage];
  }
  return 0;
}

template <i32 Depth, template <i32, i32> class Body, i32 Width, shortcut Kind>
struct resnet_stages {
  static constexpr i32 grown = Body<Width, 1>::out;
  using type = chain<
      typename residual_stage<1, resnet_blocks(Depth, 0), Body, Width, Width, 1, Kind>::type,
      typename residual_stage<2, resnet_blocks(Depth, 1), Body, grown, 2 * Width, 2, Kind>::type,
      typename residual_stage<3, resnet_blocks(Depth, 2), Body, 2 * grown, 4 * Width, 2,
                              Kind>::type,
      typename residual_stage<4, resnet_blocks(Depth, 3), Body, 4 * grown, 8 * Width, 2,
                              Kind>::type>;
};

template <i32 Depth, i32 Width, shortcut Kind, bool Bottlenecks = (Depth >= 50)>
struct stages_of_depth : resnet_stages<Depth, bottleneck_body, Width, Kind> {};
template <i32 Depth, i32 Width, shortcut Kind>
struct stages_of_depth<Depth, Width, Kind, false> : resnet_stages<Depth, basic_body, Width, Kind> {
};

}  // namespace detail

/// Residual network of 18, 34, 50, 101 or 152 layers for large images, in torchvision's names:
/// conv1.weight, bn1.weight, layer1.0.conv1.weight, ..., fc.bias. `Width` is the channels of the
/// stem.
///
/// Shapes   x (batch, 3, 224, 224), or larger or smaller   y (batch, Classes)
/// Memory   25,557,032 parameters for 50 layers
/// Source   He, Zhang, Ren, Sun 2016, table 1
template <i32 Depth, i32 Classes = 1000, i32 Width = 64, shortcut Kind = shortcut::b>
struct resnet : chain<named<"conv1", conv<Width, 7, stride<2>, pad<3>, no_bias, he_weights>>,
                      named<"bn1", batch_norm>, relu, max_pool<3, stride<2>, pad<1>>,
                      typename detail::stages_of_depth<Depth, Width, Kind>::type,  //
                      global_avg_pool, flatten, named<"fc", dense<Classes>>> {
  static_assert(detail::resnet_blocks(Depth, 0) > 0, "resnet: expected 18, 34, 50, 101 or 152");
};

template <i32 Classes = 1000>
using resnet18 = resnet<18, Classes>;
template <i32 Classes = 1000>
using resnet34 = resnet<34, Classes>;
template <i32 Classes = 1000>
using resnet50 = resnet<50, Classes>;

/// Residual network of 6 n + 2 layers for small images: cifar_resnet<8>, <20>, <32>, <56>, <110>.
/// Names: conv1.weight, bn1.weight, layer1.0.conv1.weight, ..., linear.bias.
///
/// Shapes   x (batch, 3, 32, 32)   y (batch, Classes)
/// Memory   269,722 parameters for 20 layers, 853,018 for 56
/// Source   He, Zhang, Ren, Sun 2016, section 4.2
template <i32 Depth, i32 Classes = 10, i32 Width = 16, shortcut Kind = shortcut::a>
struct cifar_resnet : chain<named<"conv1", conv<Width, 3, pad<1>, no_bias, he_weights>>,
                            named<"bn1", batch_norm>, relu,
                            typename detail::residual_stage<1, (Depth - 2) / 6, detail::basic_body,
                                                            Width, Width, 1, Kind>::type,
                            typename detail::residual_stage<2, (Depth - 2) / 6, detail::basic_body,
                                                            Width, 2 * Width, 2, Kind>::type,
                            typename detail::residual_stage<3, (Depth - 2) / 6, detail::basic_body,
                                                            2 * Width, 4 * Width, 2, Kind>::type,
                            global_avg_pool, flatten, named<"linear", dense<Classes>>> {
  static_assert(Depth >= 8 && Depth % 6 == 2, "cifar_resnet: expected 8, 14, 20, ... layers");
};

static_assert(layer<resnet50<>> && layer<resnet18<10>> && layer<cifar_resnet<20>>);

}  // namespace tessera::models
