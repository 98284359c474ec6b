#pragma once

// A machine: what cost formulas and arithmetic need to know about an accelerator.
//
//   machine   tiles, each with SRAM, a vector unit, a matrix unit; an exchange between them
//     vector_unit    lanes per element type, cycles per vector of each function, start-up
//     matrix_unit    a systolic array or dot-product units fed with blocks of weights (AMP)
//     exchange       bytes per cycle and tile, start-up, synchronisation
//     energy         femtojoules per count
//
// A literal value of plain integers, so that it can be a template argument and a constant. Rates
// are bytes per cycle in sixteenths; energies are in fJ. The same value drives the arithmetic of
// the functional model and all prices, so the two cannot drift apart.

#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>

namespace tessera {

/// How the products of one output are summed. p_i is the exact product of two halves, or an f32
/// product inside a fused multiply-add; every addition rounds to f32, the accumulator starts at +0.
///
///   chain    acc = acc + p_i for i in order
///   block4   acc = acc + ((p_0 + p_1) + (p_2 + p_3)) for each four in order; missing ones are 0
enum class accumulation : u8 { chain, block4 };

/// How a sum in f32 becomes a stored half.
enum class rounding : u8 { nearest_even, toward_zero };

enum class matrix_form : u8 { amp, systolic };

/// What stays in place in a systolic array: outputs, weights (the second operand) or inputs.
enum class dataflow : u8 { output_stationary, weight_stationary, input_stationary };

/// Whether a fold of a systolic array waits for the one before (as SCALE-Sim counts) or follows it
/// without a gap.
enum class fold_mode : u8 { scalesim, pipelined };

/// A vector unit that `threads` workers share, one instruction each in turn. A lock-step unit is
/// one with a single thread.
struct vector_unit {
  i32 threads = 1;
  i32 lanes_f32 = 1;
  i32 lanes_f16 = 1;
  i32 supervisor_cycles = 0;  // to start the workers
  i32 worker_cycles = 0;      // of each worker before its first vector
  // cycles per vector
  i32 simple = 1;  // add, subtract, multiply, multiply-add, maximum, select
  i32 divide = 1;
  i32 root = 1;
  i32 exponential = 1;
  i32 logarithm = 1;
  i32 tanh_f16 = 1;
  i32 tanh_f32 = 1;
  i32 sigmoid_f16 = 1;
  i32 sigmoid_f32 = 1;
  i32 gradient = 1;     // of an activation, from its output
  i32 random = 1;       // a vector of random words
  i32 pool = 1;         // one element of a pooling window
  i32 row_cycles = 0;   // pooling: per output row
  i32 item_cycles = 0;  // pooling: per call of a worker
  i32 cast_cycles = 0;  // conversions: per worker

  constexpr i32 lanes(element type) const { return bytes_of(type) <= 2 ? lanes_f16 : lanes_f32; }

  friend constexpr bool operator==(const vector_unit&, const vector_unit&) = default;
};

/// Dot-product units of one element type: `out_group` units, each loaded with weights for
/// `in_group` inputs; then every position of the field takes `core_cycles`.
struct amp_block {
  i32 in_group = 1;
  i32 out_group = 1;
  i32 core_cycles = 1;

  friend constexpr bool operator==(const amp_block&, const amp_block&) = default;
};

struct matrix_unit {
  matrix_form form = matrix_form::amp;
  accumulation order = accumulation::chain;
  rounding round = rounding::nearest_even;
  // amp
  amp_block f16;
  amp_block f32;
  i32 weight_load_bytes = 8;  // per cycle
  i32 supervisor_cycles = 0;
  i32 out_group_cycles = 0;
  i32 in_group_cycles = 0;
  // systolic
  i32 rows = 0;
  i32 cols = 0;
  dataflow flow = dataflow::weight_stationary;
  fold_mode folds = fold_mode::pipelined;

  friend constexpr bool operator==(const matrix_unit&, const matrix_unit&) = default;
};

struct exchange_unit {
  i32 bytes_16ths = 16;  // per cycle and tile, received or sent, in sixteenths of a byte
  i32 startup_cycles = 0;
  i32 sync_cycles = 0;

  friend constexpr bool operator==(const exchange_unit&, const exchange_unit&) = default;
};

/// Femtojoules per count.
struct energy_costs {
  i32 mac_f16 = 0;
  i32 mac_f32 = 0;
  i32 vector_op = 0;  // one element through the vector unit
  i32 sram_byte = 0;
  i32 exchange_byte = 0;

  friend constexpr bool operator==(const energy_costs&, const energy_costs&) = default;
};

struct machine {
  char name[24] = {};
  i64 clock_hz = 1;
  i32 tiles = 1;
  i64 tile_bytes = 0;  // SRAM of one tile
  vector_unit vector;
  matrix_unit matrix;
  exchange_unit exchange;
  energy_costs energy;

  friend constexpr bool operator==(const machine&, const machine&) = default;
};

}  // namespace tessera
