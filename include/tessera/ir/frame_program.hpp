#pragma once

// A network as a list of steps on one frame: what streaming runs, one sample at a time.
//
//   frame        the numbers of one point in time: 26 features, 2 microphones
//   value        a frame that a step makes, or a state: what the last frame has left (`lasting`)
//   ring         past frames that a convolution along time still looks at
//
// network/frames.hpp makes the list of a network's graph; a backend runs it.

#include <tessera/ir/graph.hpp>

namespace tessera {

/// Values start at multiples of this many floats, so that whole vectors may be read and written.
inline constexpr i32 frame_padding = 16;

struct frame_value {
  i32 size = 0;          // numbers
  bool lasting = false;  // kept from frame to frame, zeros at first
  i64 at = 0;            // in floats, from the start of the values
};

/// A parameter, or the slice of a stack that a repeated block has; tensor -1: none.
struct frame_weight {
  i32 tensor = -1;
  i64 base = 0;

  constexpr bool used() const { return tensor >= 0; }
};

/// One step. `what` says what it does with the operands it reads:
///
///   dense        in 0 [and 1]: y = w0 x0 + b0 [+ w1 x1 + b1]            weight 0, bias 0, ...
///   conv2d       in 0 and its past: taps, dilation, groups, ring        weight 0, bias 0
///   lstm_cell    in x, h, c; out h, c                                   as dense with two
///   gru_cell     in x, h, h before; out h                               as dense with two
///   batch_norm_inference   in 0     weight 0 gamma, bias 0 beta, weight 1 mean, bias 1 variance
///   bias_add, channel_scale, prelu  in 0, weight 0
///   embedding    in 0, the number of a row; weight 0 the table
///   others       as their operations, element by element; concat: all of `in`
///
/// `after` is done to what a dense or conv2d gives, where it is not `none`.
struct frame_step {
  kind what = kind::none;
  kind after = kind::none;
  i32 in[operation::max_inputs] = {-1, -1, -1, -1, -1, -1, -1, -1};
  i32 inputs = 0;
  i32 out[2] = {-1, -1};
  frame_weight weight[2];
  frame_weight bias[2];
  i32 taps = 1;
  i32 dilation = 1;
  i32 groups = 1;
  i32 ring = -1;
  i32 rows = 0;  // embedding: of its table
  float epsilon = 0;
  activation_attributes activation;
  activation_attributes after_activation;
};

/// Past frames of `channels` numbers.
struct frame_ring {
  i32 frames = 0;
  i32 channels = 0;
  i64 at = 0;  // in floats, from the start of the rings

  /// Floats from frame to frame.
  constexpr i32 stride() const {
    return channels < frame_padding
               ? channels
               : (channels + frame_padding - 1) / frame_padding * frame_padding;
  }
  /// Every frame lies there twice, so that the past is one piece wherever it begins.
  constexpr i64 floats() const { return i64{2} * frames * stride() + frame_padding; }
};

/// What a network does to one frame, and the first mistake.
struct frame_list {
  grow<frame_step> steps;
  grow<frame_value> values;
  grow<frame_ring> rings;
  i32 input = -1;
  i32 output = -1;
  bool tokens = false;  // the input is a whole number
  i64 value_floats = 0;
  i64 ring_floats = 0;
  diagnostic wrong;
};

}  // namespace tessera
