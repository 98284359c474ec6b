#pragma once

// Activations: functions of one number, element by element.
//
//   operation     forward                                 derivative                        reads
//   relu          max(x, 0), -0 and NaN kept              y > 0                             y
//   tanh          tanh(x)                                 1 - y y                           y
//   sigmoid       1 / (1 + exp(-x))                       y (1 - y)                         y
//   leaky_relu    x > 0 ? x : alpha x                     x > 0 ? 1 : alpha                 y, x *
//   elu           scale (x > 0 ? x : alpha (exp(x) - 1))  scale (x > 0 ? 1 : alpha exp(x))  y, x *
//   gelu_erf      x Phi(x)                                Phi(x) + x phi(x)                 x
//   gelu_tanh     x s, s = sigmoid(2 z), z = sqrt(2 / pi) s + x s (1 - s) 2 z'              x
//                 (x + 0.044715 x^3)
//   silu          x s, s = sigmoid(x)                     s (1 + x (1 - s))                 x
//   softplus      log(1 + exp(beta x)) / beta; x where    1 - exp(-beta y); 1 where         y, x *
//                 beta x > threshold                      beta x > threshold
//   hardswish     x min(max(x + 3, 0), 6) / 6             x / 3 + 1 / 2 for -3 <= x < 3     x
//   hardsigmoid   min(max(x + 3, 0), 6) / 6               1 / 6 for 0 < y < 1               y
//   hardtanh      min(max(x, low), high)                  1 for low < y < high              y
//   mish          x tanh(log(1 + exp(x)))                 from exp(x), see the formula      x
//   softsign      x / (1 + |x|)                           (1 - |y|)^2                       y
//   exp           exp(x)                                  y                                 y
//   square        x x                                     2 x                               x
//   abs           |x|                                     sign of x, 0 at 0                 x
//
//   *  y where it tells all: leaky_relu with alpha > 0, elu with alpha >= 0, softplus with a
//      threshold of at least 17 (1 - exp(-17) is 1 in f32); else x
//
// The table says which value the derivative has at a kink. relu6 is hardtanh from 0 to 6, selu is
// elu with constants.
// Saved for the backward pass: what the derivative reads and nothing else. In place: y over x,
// where nobody reads x later (so never in training for those that keep x), dx over dy. Arithmetic
// is f32 (f64 in the f64 policy), rounded once when stored. NaN gives NaN; infinities give the
// limits, but for softsign, whose quotient is NaN there. What reads its derivative from a y of 16
// bits knows it to those 16 bits: where y has come near a limit the derivative may round to 0.
// Errors of the host and the model in f32 stay within 5 units of the last place, but for gelu_tanh
// (11 where |y| is above 2^-7, more below: tests/backends/host_activations.cpp).
// Sources: Maas et al. 2013 (leaky); Clevert et al. 2016 (elu); Klambauer et al. 2017 (selu);
// Hendrycks, Gimpel 2016 (gelu, silu); Dugas et al. 2001 (softplus); Howard et al. 2019
// (hardswish); Misra 2019 (mish).

#include <tessera/ops/adjoints.hpp>

namespace tessera::ops {

constexpr bool is_activation(kind what) { return what >= kind::relu && what <= kind::abs; }
constexpr bool is_activation_gradient(kind what) {
  return what >= kind::relu_gradient && what <= kind::abs_gradient;
}

/// The gradient of an activation, which stands as far into its range.
constexpr kind gradient_kind(kind forward) {
  const i32 apart = static_cast<i32>(kind::relu_gradient) - static_cast<i32>(kind::relu);
  return static_cast<kind>(static_cast<i32>(forward) + apart);
}
/// The activation that a gradient belongs to.
constexpr kind activation_kind(kind gradient) {
  const i32 apart = static_cast<i32>(kind::relu_gradient) - static_cast<i32>(kind::relu);
  return static_cast<kind>(static_cast<i32>(gradient) - apart);
}

/// How often an element goes through the functions of a vector unit.
struct function_counts {
  i32 simple = 0;
  i32 divide = 0;
  i32 exponential = 0;
};

/// What is said about an activation beside its formula.
struct activation_row {
  const char* name;
  const char* gradient_name;
  bool keeps_output;         // the derivative reads y, not x; see `keeps_output` below
  function_counts forward;   // relu, tanh and sigmoid have prices of their own
  function_counts gradient;  // with the product by dy
};

/// In the order of their kinds.
inline constexpr activation_row activation_rows[] = {
    {"relu", "relu_gradient", true, {1, 0, 0}, {1, 0, 0}},
    {"tanh", "tanh_gradient", true, {0, 0, 0}, {2, 0, 0}},
    {"sigmoid", "sigmoid_gradient", true, {0, 0, 0}, {3, 0, 0}},
    {"leaky_relu", "leaky_relu_gradient", true, {3, 0, 0}, {3, 0, 0}},
    {"elu", "elu_gradient", true, {4, 0, 1}, {4, 0, 0}},
    {"gelu_erf", "gelu_erf_gradient", false, {21, 1, 1}, {23, 1, 1}},
    {"gelu_tanh", "gelu_tanh_gradient", false, {8, 1, 1}, {14, 1, 1}},
    {"silu", "silu_gradient", false, {3, 1, 1}, {9, 1, 1}},
    {"softplus", "softplus_gradient", true, {12, 1, 1}, {3, 0, 1}},
    {"hardswish", "hardswish_gradient", false, {5, 0, 0}, {6, 0, 0}},
    {"hardsigmoid", "hardsigmoid_gradient", true, {4, 0, 0}, {4, 0, 0}},
    {"hardtanh", "hardtanh_gradient", true, {2, 0, 0}, {3, 0, 0}},
    {"mish", "mish_gradient", false, {6, 1, 1}, {10, 1, 1}},
    {"softsign", "softsign_gradient", true, {2, 1, 0}, {4, 0, 0}},
    {"exp", "exp_gradient", true, {0, 0, 1}, {1, 0, 0}},
    {"square", "square_gradient", false, {1, 0, 0}, {2, 0, 0}},
    {"abs", "abs_gradient", false, {1, 0, 0}, {3, 0, 0}},
};
static_assert(sizeof activation_rows / sizeof activation_rows[0] ==
              static_cast<u64>(kind::abs) - static_cast<u64>(kind::relu) + 1);

/// The row of an activation or of its gradient.
constexpr const activation_row& row_of(kind what) {
  const kind first = is_activation(what) ? kind::relu : kind::relu_gradient;
  return activation_rows[static_cast<i32>(what) - static_cast<i32>(first)];
}

/// True where the derivative is read from the output, so that the input's bytes are free.
constexpr bool keeps_output(kind forward, const activation_attributes& attr) {
  switch (forward) {
    case kind::leaky_relu: return attr.alpha > 0;
    case kind::elu: return attr.alpha >= 0 && attr.scale > 0;
    case kind::softplus: return attr.threshold >= 17;
    default: return row_of(forward).keeps_output;
  }
}

constexpr void differentiate_activation(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what = gradient_kind(forward.what);
  op.in[0] = keeps_output(forward.what, forward.attr.activation) ? forward.out[0] : forward.in[0];
  op.in[1] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

}  // namespace tessera::ops
