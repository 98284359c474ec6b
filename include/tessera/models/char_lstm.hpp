#pragma once

// A model of language, character by character: embedding, LSTM, and at every point in time a score
// for each character that may come next.

#include <tessera/models/common.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/embedding.hpp>
#include <tessera/nn/recurrent.hpp>

namespace tessera::models {

/// `Layers` LSTMs of `Hidden` units on top of each other over tokens<time>. Options are those of
/// recurrent layers: stateful to go on where the last piece of text has ended. Names of PyTorch's
/// nn.Embedding, nn.LSTM and nn.Linear: embedding.weight, lstm.weight_ih_l0, ..., out.bias.
///
/// Shapes   x (time, batch) of i32   y (time, batch, Vocabulary)
/// Memory   111,873 parameters for 65 characters, 64 features, one layer of 128 units
/// Source   Hochreiter, Schmidhuber 1997; Graves 2013, Generating Sequences with Recurrent Neural
///          Networks
template <i32 Vocabulary, i32 Features = 64, i32 Hidden = 128, i32 Layers = 1,
          recurrent_option... Options>
struct char_lstm : chain<named<"embedding", embedding<Vocabulary, Features>>,
                         named<"lstm", lstm<Hidden, layers<Layers>, Options...>>,
                         named<"out", each_step<dense<Vocabulary>>>> {};

static_assert(layer<char_lstm<65>>);

}  // namespace tessera::models
