#pragma once

// AlexNet: five convolutions and three fully connected layers, for images of ImageNet.
//
//   alexnet          one tower, as torchvision has it (names and shapes)       61,100,840
//   parameters alexnet_towers   two towers and response normalization, as the paper says 60,965,224
//   parameters

#include <tessera/models/common.hpp>
#include <tessera/nn/activation.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/flatten.hpp>
#include <tessera/nn/norm.hpp>
#include <tessera/nn/pool.hpp>

namespace tessera::models {

/// AlexNet in one tower without response normalization, in torchvision's names: features.0.weight,
/// ..., classifier.6.bias. `Units` is the width of the fully connected layers.
///
/// Shapes   x (batch, 3, 224, 224)   y (batch, Classes)
/// Memory   61,100,840 parameters
/// Source   Krizhevsky 2014, One Weird Trick for Parallelizing Convolutional Neural Networks
template <i32 Classes = 1000, i32 Units = 4096>
struct alexnet
    : chain<scope<"features",                                                                     //
                  numbered<0, conv<64, 11, stride<4>, pad<2>, he_weights>>, relu,                 //
                  max_pool<3, stride<2>>,                                                         //
                  numbered<3, conv<192, 5, pad<2>, he_weights>>, relu, max_pool<3, stride<2>>,    //
                  numbered<6, conv<384, 3, pad<1>, he_weights>>, relu,                            //
                  numbered<8, conv<256, 3, pad<1>, he_weights>>, relu,                            //
                  numbered<10, conv<256, 3, pad<1>, he_weights>>, relu, max_pool<3, stride<2>>>,  //
            flatten,
            scope<"classifier", dropout<50>,                                 //
                  numbered<1, dense<Units, he_weights>>, relu, dropout<50>,  //
                  numbered<4, dense<Units, he_weights>>, relu,               //
                  numbered<6, dense<Classes>>>> {};

/// The paper's constants: alpha = 1e-4 is a factor of the sum there, of the mean of 5 here.
struct alexnet_response : response_constants {
  static constexpr float alpha = 5e-4f;
};

/// AlexNet as the paper has it: conv2, conv4 and conv5 see only the channels of their own of two
/// towers (two GPUs), and responses are normalized behind conv1 and conv2. Names: conv1.weight,
/// ..., fc8.bias.
///
/// Shapes   x (batch, 3, 227, 227); the paper's 224 is known to be a slip   y (batch, Classes)
/// Memory   60,965,224 parameters; "60 million" in the paper
/// Source   Krizhevsky, Sutskever, Hinton 2012
template <i32 Classes = 1000, i32 Units = 4096>
struct alexnet_towers : chain<named<"conv1", conv<96, 11, stride<4>, he_weights>>, relu,          //
                              local_response_norm<5, alexnet_response>, max_pool<3, stride<2>>,   //
                              named<"conv2", conv<256, 5, pad<2>, groups<2>, he_weights>>, relu,  //
                              local_response_norm<5, alexnet_response>, max_pool<3, stride<2>>,   //
                              named<"conv3", conv<384, 3, pad<1>, he_weights>>, relu,             //
                              named<"conv4", conv<384, 3, pad<1>, groups<2>, he_weights>>, relu,  //
                              named<"conv5", conv<256, 3, pad<1>, groups<2>, he_weights>>, relu,  //
                              max_pool<3, stride<2>>, flatten,                                    //
                              named<"fc6", dense<Units, he_weights>>, relu, dropout<50>,          //
                              named<"fc7", dense<Units, he_weights>>, relu, dropout<50>,          //
                              named<"fc8", dense<Classes>>> {};

static_assert(layer<alexnet<>> && layer<alexnet_towers<>>);

}  // namespace tessera::models
