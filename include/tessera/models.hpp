#pragma once

// The model zoo: networks of the literature as layers, over their widths, depths and classes.
//
//   network<image<3, 224, 224>, models::resnet50<>>
//   network<image<3, 32, 32>, models::cifar_resnet<20>>

#include <tessera/models/alexnet.hpp>
#include <tessera/models/autoencoder.hpp>
#include <tessera/models/char_lstm.hpp>
#include <tessera/models/googlenet.hpp>
#include <tessera/models/lenet.hpp>
#include <tessera/models/lstm.hpp>
#include <tessera/models/mlp.hpp>
#include <tessera/models/resnet.hpp>
#include <tessera/models/squeezenet.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/models/unet.hpp>
#include <tessera/models/vgg.hpp>
