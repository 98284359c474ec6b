#pragma once

// GoogLeNet (Inception v1): nine blocks of four branches, and two auxiliary heads that help
// gradients into the depth.
//
//   x --+-- 1x1 -----------+-- concat            3x224x224 -> conv1 64 /2 -> pool /2 -> conv2 64
//       +-- 1x1 -- 3x3 ----+                     -> conv3 192 -> pool /2 -> 3a 3b -> pool /2
//       +-- 1x1 -- 5x5 ----+                     -> 4a (aux1) 4b 4c 4d (aux2) 4e -> pool /2
//       +-- pool -- 1x1 ---+                     -> 5a 5b -> mean over all cells -> fc
//
//                 as the paper says, with LRN   as torchvision has it, with batch normalization
//   alone         6,998,552 parameters          6,624,904
//   with heads    13,378,280                    13,004,888

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/bundles.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/norm.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

/// Convolutions with biases, response normalization in the stem: the paper's.
struct inception_v1 {
  template <i32 Out, i32 Kernel, layer_option... Options>
  struct unit : chain<named<"conv", conv<Out, Kernel, Options..., he_weights>>, relu> {};
  using response = local_response_norm<5>;
  static constexpr i32 large = 5;
  using last_pool = max_pool<3, stride<2>, ceil_mode>;
};

/// Convolutions with batch normalization instead, and 3x3 filters where the paper has 5x5:
/// torchvision's.
struct inception_v1_normalized {
  template <i32 Out, i32 Kernel, layer_option... Options>
  struct unit : chain<named<"conv", conv<Out, Kernel, no_bias, Options..., he_weights>>,
                      named<"bn", batch_norm_with<epsilon<1, 1000>>>, relu> {};
  using response = chain<>;
  static constexpr i32 large = 3;
  using last_pool = max_pool<2, stride<2>, ceil_mode>;
};

/// One block: branches of One, Three, Five and Pool channels; the middle ones first go down to
/// ThreeReduce and FiveReduce. Names: branch1.conv, branch2.0.conv, branch2.1.conv, ...
///
/// Shapes   x (batch, in, height, width)   y (batch, One + Three + Five + Pool, height, width)
template <class Variant, i32 One, i32 ThreeReduce, i32 Three, i32 FiveReduce, i32 Five, i32 Pool>
struct inception
    : concat<scope<"branch1", typename Variant::template unit<One, 1>>,
             scope<"branch2", scope<"0", typename Variant::template unit<ThreeReduce, 1>>,
                   scope<"1", typename Variant::template unit<Three, 3, pad<1>>>>,
             scope<"branch3", scope<"0", typename Variant::template unit<FiveReduce, 1>>,
                   scope<"1", typename Variant::template unit<Five, Variant::large,
                                                              pad<Variant::large / 2>>>>,
             scope<"branch4", max_pool<3, stride<1>, pad<1>>,
                   scope<"1", typename Variant::template unit<Pool, 1>>>> {};

namespace detail {

template <class Variant, i32 Classes>
struct auxiliary_head
    : chain<avg_pool<5, stride<3>>, scope<"conv", typename Variant::template unit<128, 1>>, flatten,
            named<"fc1", dense<1024, he_weights>>, relu, dropout<70>,
            named<"fc2", dense<Classes>>> {};

/// `Rest`, or where heads are asked for a bundle of what it gives and the head's output.
template <bool Heads, layer Rest, layer Head>
using beside = std::conditional_t<Heads, branch<Rest, Head>, Rest>;

/// From inception4e to the classes.
template <class Variant, i32 Classes>
struct googlenet_top
    : chain<scope<"inception4e", inception<Variant, 256, 160, 320, 32, 128, 128>>,
            typename Variant::last_pool,
            scope<"inception5a", inception<Variant, 256, 160, 320, 32, 128, 128>>,
            scope<"inception5b", inception<Variant, 384, 192, 384, 48, 128, 128>>,  //
            global_avg_pool, flatten, dropout<40>, named<"fc", dense<Classes>>> {};

/// From inception4b on, with the second head.
template <class Variant, i32 Classes, bool Heads>
struct googlenet_middle : chain<scope<"inception4b", inception<Variant, 160, 112, 224, 24, 64, 64>>,
                                scope<"inception4c", inception<Variant, 128, 128, 256, 24, 64, 64>>,
                                scope<"inception4d", inception<Variant, 112, 144, 288, 32, 64, 64>>,
                                beside<Heads, googlenet_top<Variant, Classes>,
                                       scope<"aux2", auxiliary_head<Variant, Classes>>>> {};

}  // namespace detail

/// GoogLeNet in torchvision's names: conv1.conv.weight, inception3a.branch2.0.conv.weight, ... With
/// `Heads` the output is a bundle: classes, those of the second and those of the first head; train
/// it with losses<softmax_cross_entropy, weighted<softmax_cross_entropy, 30>, weighted<...>>.
///
/// Shapes   x (batch, 3, 224, 224)   y (batch, Classes)
/// Memory   6,998,552 parameters, 13,378,280 with heads (the counts of BVLC's release)
/// Source   Szegedy et al. 2015, table 1
template <i32 Classes = 1000, bool Heads = false, class Variant = inception_v1>
struct googlenet : chain<scope<"conv1", typename Variant::template unit<64, 7, stride<2>, pad<3>>>,
                         max_pool<3, stride<2>, ceil_mode>, typename Variant::response,
                         scope<"conv2", typename Variant::template unit<64, 1>>,
                         scope<"conv3", typename Variant::template unit<192, 3, pad<1>>>,
                         typename Variant::response, max_pool<3, stride<2>, ceil_mode>,
                         scope<"inception3a", inception<Variant, 64, 96, 128, 16, 32, 32>>,
                         scope<"inception3b", inception<Variant, 128, 128, 192, 32, 96, 64>>,
                         max_pool<3, stride<2>, ceil_mode>,
                         scope<"inception4a", inception<Variant, 192, 96, 208, 16, 48, 64>>,
                         detail::beside<Heads, detail::googlenet_middle<Variant, Classes, Heads>,
                                        scope<"aux1", detail::auxiliary_head<Variant, Classes>>>> {
};

static_assert(layer<googlenet<>> && layer<googlenet<10, true, inception_v1_normalized>>);

}  // namespace tessera::models
