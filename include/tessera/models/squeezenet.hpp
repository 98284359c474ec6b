#pragma once

// SqueezeNet v1.0: AlexNet's accuracy with a fiftieth of its parameters.
//
//   x -> squeeze 1x1 -> relu --+-- expand 1x1 -> relu --+-- concat
//                              +-- expand 3x3 -> relu --+

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/branches.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

/// A fire module: down to Squeeze channels, then up to 2 x Expand. Names: those of the authors'
/// release, "fire2/conv1x1_1", "fire2/conv1x1_2" and "fire2/conv3x3_2".
template <text Name, i32 Squeeze, i32 Expand>
struct fire
    : chain<named<spell_all<24>(Name, "/conv1x1_1"), conv<Squeeze, 1, he_weights>>, relu,
            concat<
                chain<named<spell_all<24>(Name, "/conv1x1_2"), conv<Expand, 1, he_weights>>, relu>,
                chain<named<spell_all<24>(Name, "/conv3x3_2"), conv<Expand, 3, pad<1>, he_weights>>,
                      relu>>> {};

/// SqueezeNet v1.0 in the names of the authors' release, whose last convolution has a cell of
/// padding: conv1.weight, fire2/conv1x1_1.weight, ..., conv10.bias. The class scores are before
/// softmax.
///
/// Shapes   x (batch, 3, 227, 227); blue, green, red, minus (104, 117, 123), for their weights
///          y (batch, Classes)
/// Memory   1,248,424 parameters
/// Source   Iandola et al. 2016, table 1
template <i32 Classes = 1000>
struct squeezenet
    : chain<named<"conv1", conv<96, 7, stride<2>, he_weights>>, relu, max_pool<3, stride<2>>,
            fire<"fire2", 16, 64>, fire<"fire3", 16, 64>, fire<"fire4", 32, 128>,
            max_pool<3, stride<2>>, fire<"fire5", 32, 128>, fire<"fire6", 48, 192>,
            fire<"fire7", 48, 192>, fire<"fire8", 64, 256>, max_pool<3, stride<2>>,
            fire<"fire9", 64, 256>, dropout<50>, named<"conv10", conv<Classes, 1, pad<1>>>, relu,
            global_avg_pool, flatten> {};

static_assert(layer<squeezenet<>>);

}  // namespace tessera::models
