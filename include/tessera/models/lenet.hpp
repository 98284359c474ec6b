#pragma once

// LeNet-5: two convolutions, each with pooling behind it, and three fully connected layers.
//
//   1x28x28 -conv1-> 6x28x28 -> 6x14x14 -conv2-> 16x10x10 -> 16x5x5 -> 120 -> 84 -> 10

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

/// LeNet-5 for images of 28x28. The paper draws them in 32x32, which the padding of conv1 makes of
/// them; its second convolution leaves some connections out, its pooling has a weight and a bias a
/// channel, and its last layer measures distances. All that is usual otherwise today, and here.
/// Names: conv1.weight, ..., fc3.bias.
///
/// Shapes   x (batch, channels, 28, 28)   y (batch, Classes)
/// Memory   61,706 parameters with one channel and ten classes
/// Source   LeCun, Bottou, Bengio, Haffner 1998
template <i32 Classes = 10, layer Activation = tanh, layer Pool = avg_pool<2>>
struct lenet5 : chain<named<"conv1", conv<6, 5, pad<2>>>, Activation, Pool,    //
                      named<"conv2", conv<16, 5>>, Activation, Pool, flatten,  //
                      named<"fc1", dense<120>>, Activation,                    //
                      named<"fc2", dense<84>>, Activation,                     //
                      named<"fc3", dense<Classes>>> {};

static_assert(layer<lenet5<>>);

}  // namespace tessera::models
