#pragma once

// Finish work: what follows once the sum of an output element is complete, on the tile that has it:
// bias and rounding, a statistic, or the update of a parameter by one of the optimizers' rules.

#include <tessera/backends/accelerator/loss_cost.hpp>
#include <tessera/backends/accelerator/problem.hpp>
#include <tessera/machine/vector_cost.hpp>
#include <tessera/ops/update.hpp>

namespace tessera::accelerator {

using systolic::ceil_div;

/// What follows the sum of an output element: bias and rounding, or the parameter's update.
struct finish_work {
  i64 cycles_per_vector = 0;
  i64 ops = 0;         // per element
  i64 sram_bytes = 0;  // per element
};

constexpr bool is_fused_update(kind what) {
  return ops::is_update(what) && !ops::reads_gradient(what);
}

/// Bytes of an element of an update's parameter, with the 16 bits that may lie apart.
constexpr i32 parameter_bytes(const signature& s) {
  return bytes_of(s.output_type(0)) + (s.has_output(ops::rest_slot) ? 2 : 0);
}

/// Optimizer states of an update: its output slots 1 to 3.
constexpr i32 states_of(const signature& s) {
  return (s.has_output(1) ? 1 : 0) + (s.has_output(2) ? 1 : 0) + (s.has_output(3) ? 1 : 0);
}

/// Cycles per vector of an optimizer's step: unscale and apply; momentum two more; Adam's two
/// moments, root and division. Of other rules: their additions, multiplications and selections,
/// roots and divisions, as ops/update_rules.hpp has them.
constexpr i64 update_cycles(const vector_unit& v, kind what, i32 states) {
  switch (what) {
    case kind::rmsprop_update: return (3 + 2 * i64{states}) * v.simple + v.root + v.divide;
    case kind::adagrad_update: return 5 * v.simple + v.root + v.divide;
    case kind::adadelta_update: return 10 * v.simple + 2 * (v.root + v.divide);
    case kind::adamax_update: return 7 * v.simple + v.divide;
    case kind::nadam_update:
    case kind::radam_update: return 9 * v.simple + v.root + v.divide;
    case kind::rprop_update: return 11 * v.simple;
    case kind::lion_update: return 8 * v.simple;
    case kind::lamb_update: return 14 * v.simple + 2 * (v.root + v.divide);  // u twice
    case kind::lars_update: return (6 + 2 * i64{states}) * v.simple;
    default: break;
  }
  if (states == 0) return 2 * v.simple;
  if (states == 1) return 4 * v.simple;
  return 7 * v.simple + v.root + v.divide;
}

/// Updates by norms: the tiles' sums of two squares that each tile receives and adds up, one pair
/// for each part of a slice that a tile has.
constexpr i64 norm_update_sums(const machine& m, const signature& s, const problem& p) {
  const i64 even = ceil_div(p.extent[axis_b], m.tiles);
  const i64 block = ceil_div(even, p.grain[axis_b]) * p.grain[axis_b];
  return 2 * (ceil_div(p.extent[axis_b], block) + norm_update_sizes::of(s).slices - 1);
}

constexpr finish_work finish_of(const machine& m, const signature& s) {
  finish_work f;
  if (family_of(s.what) == family::norm) {  // of a statistic, or of the gradient of a scale
    const bool statistic = !ops::is_norm_gradient(s.what);
    f.cycles_per_vector =
        statistic ? m.vector.root + m.vector.divide + 2 * m.vector.simple : i64{m.vector.simple};
    f.ops = statistic ? 4 : 1;
    f.sram_bytes = 8;
  } else if (is_fused_update(s.what)) {
    const i32 states = states_of(s);
    f.cycles_per_vector = update_cycles(m.vector, s.what, states);
    f.ops = 2 + 2 * states;
    f.sram_bytes = 4 + 2 * parameter_bytes(s) + 8 * states;
  } else if (is_quantized_product(s.what)) {  // bias and zero points; two roundings and bounds
    const bool rescaled = s.has_input(5);
    f.cycles_per_vector = (rescaled ? 6 : 2) * m.vector.simple;
    f.ops = rescaled ? 6 : 2;
    f.sram_bytes = 4 + bytes_of(s.output_type(0));
  } else {
    const bool bias = family_of(s.what) == family::forward && s.has_input(2);
    f.cycles_per_vector = (bias ? 2 : 1) * m.vector.simple;
    f.ops = bias ? 2 : 1;
    f.sram_bytes = 4 + (is_of_loss(s.what) ? loss_output_bytes(s) : bytes_of(s.output_type(0)));
  }
  return f;
}

constexpr i64 finish_cycles(const machine& m, const finish_work& f, i64 elements) {
  return vector_cost::elementwise(m.vector, elements, element::f32, f.cycles_per_vector);
}

}  // namespace tessera::accelerator
