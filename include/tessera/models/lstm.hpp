#pragma once

// LSTMs that say something about every point in time.

#include <tessera/models/common.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/recurrent.hpp>

namespace tessera::models {

/// `Layers` LSTMs of `Hidden` units on top of each other over sequence<time, features>, and scores
/// for `Classes` at every point in time. Options are those of recurrent layers. Names of PyTorch's
/// nn.LSTM and nn.Linear: lstm.weight_ih_l0, ..., out.bias.
///
/// Shapes   x (time, batch, features)   y (time, batch, Classes)
/// Memory   1,642,624 parameters for lstm_tagger<512, 128> on 256 features
/// Source   Hochreiter, Schmidhuber 1997; Graves, Schmidhuber 2005, Framewise phoneme
/// classification
template <i32 Hidden, i32 Classes, i32 Layers = 1, recurrent_option... Options>
struct lstm_tagger : chain<named<"lstm", lstm<Hidden, layers<Layers>, Options...>>,
                           named<"out", each_step<dense<Classes>>>> {};

static_assert(layer<lstm_tagger<128, 61>>);

}  // namespace tessera::models
