#pragma once

// The matrix unit of a tile, in one of three forms.
//
//   amp        the IPU's: units loaded with a block of weights, past which workers in a barrel
//              stream the field
//   systolic   rows x cols processing elements: outputs, weights or inputs stay in place
//   dots       products in step: so many multiplications a cycle on a padded micro-block
//
// What a product costs on each: machine/matrix_cost.hpp.

#include <tessera/machine/numerics.hpp>

namespace tessera {

enum class matrix_form : u8 { amp, systolic, dots };

/// What stays in place in a systolic array: outputs, weights (the second operand) or inputs.
enum class dataflow : u8 { output_stationary, weight_stationary, input_stationary };

/// How a fold of a systolic array follows the one before.
///
///   scalesim      it waits until all is done, as SCALE-Sim counts
///   pipelined     no gap: the next operands are loaded, and the last results leave, beside it
///   hidden_load   the next weights are loaded beside it; its results leave before it follows
///   hidden_drain  its results leave beside the next, whose weights are loaded alone
enum class fold_mode : u8 { scalesim, pipelined, hidden_load, hidden_drain };

/// Do the results of a fold leave while the next one runs?
enum class drain_form : u8 { overlap, serial };

/// Dot-product units of one element type: `out_group` units, each loaded with weights for
/// `in_group` inputs; then every position of the field takes `core_cycles`.
struct amp_block {
  i32 in_group = 1;
  i32 out_group = 1;
  i32 core_cycles = 1;

  friend constexpr bool operator==(const amp_block&, const amp_block&) = default;
};

/// Dot-product units in step. Work is padded to whole micro-blocks of positions x inputs x outputs;
/// `macs` of a type multiply each cycle, none (0) leaves that type to the vector unit.
struct dot_units {
  i32 positions = 1;        // of a micro-block
  i32 in_group = 1;         // inputs of a micro-block
  i32 out_group = 1;        // outputs of it
  i32 taps = 1;             // cells of a window among which a micro-block may share its inputs
  i32 block_positions = 0;  // whose sums are held at a time: weights are loaded anew after; 0: all
  i32 macs_i8 = 0;
  i32 macs_f16 = 0;
  i32 macs_f32 = 0;
  i32 winograd_16ths = 16;    // by which 3 x 3 windows are faster, in sixteenths
  bool folds_stride = false;  // a stride's cells become inputs: s_h s_w as many, as few cells
  i32 pool_cycles = 0;        // the least for a micro-block of pooled outputs; 0: not pooled here

  friend constexpr bool operator==(const dot_units&, const dot_units&) = default;

  constexpr i32 macs(element type) const {
    return bytes_of(type) == 1 ? macs_i8 : bytes_of(type) == 2 ? macs_f16 : macs_f32;
  }
};

/// Dataflows that an array can take, of which the cheapest is taken; none: `flow` alone.
struct dataflow_set {
  bool output_stationary = false;
  bool weight_stationary = false;
  bool input_stationary = false;

  constexpr bool has(dataflow f) const {
    if (f == dataflow::output_stationary) return output_stationary;
    return f == dataflow::weight_stationary ? weight_stationary : input_stationary;
  }
  constexpr bool any() const { return output_stationary || weight_stationary || input_stationary; }

  friend constexpr bool operator==(const dataflow_set&, const dataflow_set&) = default;
};

struct matrix_unit {
  matrix_form form = matrix_form::amp;
  accumulation order = accumulation::chain;
  rounding round = rounding::nearest_even;
  // amp
  amp_block f16 = {};
  amp_block f32 = {};
  i32 weight_load_bytes = 0;  // per cycle; 0: amp, at once; an array, a row of it
  i32 supervisor_cycles = 0;
  i32 out_group_cycles = 0;
  i32 in_group_cycles = 0;
  // systolic
  i32 rows = 0;
  i32 cols = 0;
  dataflow flow = dataflow::weight_stationary;
  dataflow_set flows = {};
  bool double_buffered_weights = true;
  drain_form drain = drain_form::overlap;
  i32 passes_16 = 1;  // of the array for a product of 16-bit operands
  i32 passes_32 = 1;  // and of 32-bit ones
  // dots
  i32 depth = 1;  // products that a unit adds up at a time: of `tree`, and of each dot unit
  dot_units dots = {};
  number_handling numbers = {};

  constexpr fold_mode folds() const {
    const bool overlap = drain == drain_form::overlap;
    if (double_buffered_weights) return overlap ? fold_mode::pipelined : fold_mode::hidden_load;
    return overlap ? fold_mode::hidden_drain : fold_mode::scalesim;
  }

  /// Do all dataflows of the array add up in the order of the unit? Outputs in place are one chain.
  constexpr bool keeps_order() const {
    const bool chains = flows.any() ? flows.output_stationary : flow == dataflow::output_stationary;
    return form != matrix_form::systolic || order != accumulation::folds || !chains;
  }

  /// Passes of the array for operands of `type`.
  constexpr i32 passes(element type) const {
    return bytes_of(type) == 1 ? 1 : bytes_of(type) == 2 ? passes_16 : passes_32;
  }

  friend constexpr bool operator==(const matrix_unit&, const matrix_unit&) = default;
};

}  // namespace tessera
