#pragma once

// Options of recurrent layers, in any order after the size: lstm<128, layers<2>, last_output>.

#include <tessera/core/types.hpp>

namespace tessera {

/// What options say together.
struct recurrent_options {
  i32 layers = 1;
  bool forwards = true;
  bool backwards = false;
  bool last = false;
  bool states = false;
  bool masked = false;
  bool stateful = false;
  i32 truncate = 0;
};

/// That many layers on top of each other, each reading the whole output of the one below.
template <i32 Count>
struct layers {
  static_assert(Count > 0, "layers: expected at least 1");
  static constexpr void apply(recurrent_options& o) { o.layers = Count; }
};

/// From the last point in time to the first. Outputs keep their places in time.
struct reversed {
  static constexpr void apply(recurrent_options& o) {
    o.forwards = false;
    o.backwards = true;
  }
};

/// Both directions with weights of their own, outputs side by side: forward features first.
struct both_directions {
  static constexpr void apply(recurrent_options& o) { o.forwards = o.backwards = true; }
};

/// Puts out what the last step leaves (in each direction), not the sequence.
struct last_output {
  static constexpr void apply(recurrent_options& o) { o.last = true; }
};

/// Puts out a bundle: the output, then the final states, each of all layers and directions (layer
/// by layer, forwards first): h, and for an LSTM c.
struct with_states {
  static constexpr void apply(recurrent_options& o) { o.states = true; }
};

/// The last value of the layer's bundle holds the length of every sequence, whole numbers. Steps
/// behind a sequence's end change no state and put out zeros; backwards it starts at its own end.
struct masked {
  static constexpr void apply(recurrent_options& o) { o.masked = true; }
};

/// Starts where the last step of training (or inference) has ended instead of at zeros. No gradient
/// goes from step to step. reset_state() of a trainer or predictor sets the states to zeros.
struct stateful {
  static constexpr void apply(recurrent_options& o) { o.stateful = true; }
};

/// Truncated back-propagation through time: no gradient goes further back than the beginning of a
/// piece of `Steps` steps. Values are those of the whole sequence.
///
/// Source   Williams, Peng 1990
template <i32 Steps>
struct truncate {
  static_assert(Steps > 0, "truncate: expected at least 1 step");
  static constexpr void apply(recurrent_options& o) { o.truncate = Steps; }
};

template <class O>
concept recurrent_option = requires(recurrent_options& o) {
  O::apply(o);
};

template <recurrent_option... Options>
constexpr recurrent_options read_recurrent_options() {
  recurrent_options o;
  (Options::apply(o), ...);
  return o;
}

}  // namespace tessera
