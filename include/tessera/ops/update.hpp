#pragma once

// Updates: a parameter and its optimizer state, changed in place by the parameter's gradient.
//
//   update               in: gradient, -, scaler      out: parameter, states (up to 3), applied
//   dense_weight_update  in: x, dy, scaler            out: the same
//   conv2d_weight_update in: x, dy, scaler            out: the same
//   bias_update          in: -, dy, scaler            out: the same
//   overflow_test        in: gradient                 out: scaler
//   scaler_update        in: -                        out: scaler
//
// The fused forms compute the gradient piece by piece and apply it at once, so that it never has a
// buffer. `applied` (i32) counts the updates this parameter has had: Adam's t.
//
// Arithmetic is f32 on f32 parameters and states. A gradient stored in 16 bits is rounded to them
// first, also where it is fused and never stored; then g = float(gradient) / scale.
//
// The scaler is four f32: the scale, good steps in a row, 1 if this step overflowed, and how often
// that has happened. skip_rule::step: overflow_test sets the third from every gradient and each
// update looks at it first. skip_rule::tensor: an update whose own gradient is not finite sets it
// and leaves its parameter alone. scaler_update ends the step: it adapts the scale
// (ir/attributes.hpp, loss_scaling) and clears the third.

#include <tessera/ir/graph.hpp>

namespace tessera::ops {

enum scaler_slot : i32 { scaler_scale, scaler_good_steps, scaler_overflow, scaler_skipped };

/// What scaler_update does to the four numbers, on every backend.
constexpr void adapt_scale(float* scaler, const loss_scaling& rule) {
  if (scaler[scaler_overflow] != 0) {
    scaler[scaler_skipped] += 1;
    scaler[scaler_good_steps] = 0;
    if (rule.dynamic) scaler[scaler_scale] *= rule.backoff;
  } else {
    scaler[scaler_good_steps] += 1;
    if (rule.dynamic && scaler[scaler_good_steps] >= static_cast<float>(rule.interval)) {
      scaler[scaler_scale] *= rule.growth;
      scaler[scaler_good_steps] = 0;
    }
  }
  scaler[scaler_overflow] = 0;
}

constexpr bool is_update(kind what) {
  return what == kind::update || what == kind::dense_weight_update ||
         what == kind::conv2d_weight_update || what == kind::bias_update;
}

/// The fused form of an operation that computes a parameter's gradient, none where there is none.
constexpr kind fused_update(kind gradient) {
  switch (gradient) {
    case kind::dense_weight_gradient: return kind::dense_weight_update;
    case kind::conv2d_weight_gradient: return kind::conv2d_weight_update;
    case kind::bias_gradient: return kind::bias_update;
    default: return kind::none;
  }
}

}  // namespace tessera::ops
