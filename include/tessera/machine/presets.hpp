#pragma once

// Machines by name, every figure with where it comes from.
//
//   ipu_mk1       Graphcore GC2: 1,216 tiles of 256 KiB, 124.5 TFLOP/s in FP16
//   ipu_mk2       Graphcore GC200: 1,472 tiles of 624 KiB
//   small_array   an example of one's own: a 16 x 16 systolic array beside 4 MiB of SRAM
//
// What no source states is said to be a choice of ours.

#include <tessera/machine/machine.hpp>

namespace tessera::accelerator {

/// Energy of 45 nm logic and memory, Horowitz, ISSCC 2014: an FP16 product 1.1 pJ and an FP32 sum
/// 0.9 pJ; an FP32 product 3.7 pJ and its sum 0.9 pJ; 8 KB of SRAM 1.25 pJ a byte, scaled to 256 KB
/// by Eyeriss' slope: 12.6 pJ; on-chip wires 0.1 pJ a bit. Only ratios of energies mean anything.
inline constexpr energy_costs energy_45nm{
    .mac_f16 = 2000, .mac_f32 = 4600, .vector_op = 900, .sram_byte = 12600, .exchange_byte = 800};

/// The IPU's vector path: 64 bits wide, six workers in a barrel (poplibs,
/// PerformanceEstimation.hpp: numWorkerContexts = 6, dataPathWidth = 64).
inline constexpr vector_unit ipu_vector{
    .threads = 6,
    .lanes_f32 = 2,
    .lanes_f16 = 4,
    .supervisor_cycles = 30,  // poplibs' estimators: 11 to 60 by codelet
    .worker_cycles = 25,      // 17 to 33
    .simple = 1,
    .divide = 10,       // choice: as dear as a transcendental in f32
    .root = 10,         // choice, likewise
    .exponential = 10,  // choice, likewise
    .logarithm = 10,    // choice, likewise
    .tanh_f16 = 2,      // poplibs, getNonLinearityOpCycles
    .tanh_f32 = 10,
    .sigmoid_f16 = 4,
    .sigmoid_f32 = 10,
    .gradient = 3,
    .random = 1,        // choice: a generator per tile that gives one vector a cycle
    .pool = 3,          // poplibs: 3 cycles per vector and window element
    .row_cycles = 30,   // poplibs: per row
    .item_cycles = 33,  // poplibs: 20 per work item and 13 per row loop
    .cast_cycles = 26};

/// Graphcore GC2 (2018).
///
/// The order of sums inside the matrix unit is not published. Its units multiply four pairs at a
/// time (poplibs: convUnitPipelineDepth = 4), so sums go in blocks of four.
inline constexpr machine ipu_mk1{
    .name = "ipu_mk1",
    .clock_hz = 1'600'000'000,  // Poplar's profile report: 1,600 MHz
    .tiles = 1216,              // same: 1,216 tiles
    .tile_bytes = 262144,       // same: 256.0 kB, 304.0 MB in all
    .vector = ipu_vector,
    .matrix = {.form = matrix_form::amp,
               .order = accumulation::block4,
               .round = rounding::nearest_even,
               // 16 x 8 weights, 4 cycles a position (poplibs, coreCycles = 4): 32 a cycle, which
               // is 124.5 TFLOP/s / (1,216 x 1.6 GHz x 2) as Jia et al. 2019 state
               .f16 = {.in_group = 16, .out_group = 8, .core_cycles = 4},
               // 31.1 TFLOP/s / (1,216 x 1.6 GHz x 2) = 8 a cycle, coreCycles = 8
               .f32 = {.in_group = 8, .out_group = 8, .core_cycles = 8},
               .weight_load_bytes = 8,   // poplibs, convUnitCoeffLoadBytesPerCycle
               .supervisor_cycles = 50,  // poplibs, PerformanceEstimation.hpp
               .out_group_cycles = 19,
               .in_group_cycles = 15},
    .exchange = {.bytes_16ths = 4 * 16,  // poplibs, ipuExchangeBandwidth = 4; 7.78 TB/s in all
                 .startup_cycles = 100,  // poplibs, CTCLossPlan.cpp, fixedOverheadExchangeCycles
                 .sync_cycles = 90},     // same, syncCycles
    .energy = energy_45nm};

/// Graphcore GC200 (2020). Priced with FP32 sums as on the Mk1: poplibs uses 8 units when partial
/// sums are float. The 250 TFLOP/s of the data sheet sum in FP16.
inline constexpr machine ipu_mk2{
    .name = "ipu_mk2",
    .clock_hz = 1'330'000'000,  // 6,681,766 cycles in 5,023.9 us, Poplar tutorial 6
    .tiles = 1472,
    .tile_bytes = 638976,  // Poplar's profile: 624.0 kB, 897.0 MB in all
    .vector = ipu_vector,
    .matrix = {.form = matrix_form::amp,
               .order = accumulation::block4,
               .round = rounding::nearest_even,
               .f16 = {.in_group = 16, .out_group = 8, .core_cycles = 4},
               // 62.5 TFLOP/s / (1,472 x 1.33 GHz x 2) = 16 a cycle
               .f32 = {.in_group = 16, .out_group = 8, .core_cycles = 8},
               .weight_load_bytes = 8,
               .supervisor_cycles = 50,
               .out_group_cycles = 19,
               .in_group_cycles = 15},
    .exchange = {.bytes_16ths = 4 * 16, .startup_cycles = 100, .sync_cycles = 90},
    .energy = energy_45nm};

/// An example of a machine of one's own: every figure is a choice.
inline constexpr machine small_array{
    .name = "small_array",
    .clock_hz = 500'000'000,
    .tiles = 1,
    .tile_bytes = 4 * 1024 * 1024,
    .vector = {.threads = 1,
               .lanes_f32 = 16,
               .lanes_f16 = 32,
               .supervisor_cycles = 10,
               .divide = 4,
               .root = 4,
               .exponential = 8,
               .logarithm = 8,
               .tanh_f16 = 8,
               .tanh_f32 = 12,
               .sigmoid_f16 = 8,
               .sigmoid_f32 = 12},
    .matrix = {.form = matrix_form::systolic,
               .order = accumulation::chain,
               .round = rounding::nearest_even,
               .f16 = {},
               .f32 = {},
               .rows = 16,
               .cols = 16,
               .flow = dataflow::weight_stationary,
               .folds = fold_mode::pipelined},
    .exchange = {.bytes_16ths = 32 * 16, .startup_cycles = 20, .sync_cycles = 0},
    .energy = energy_45nm};

}  // namespace tessera::accelerator
