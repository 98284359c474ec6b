#pragma once

// Google's TPUs: one large systolic array with stationary weights.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

/// TPU v1 (Jouppi et al., ISCA 2017): 256 x 256 INT8, 92 TOPS, weights from DRAM on the board. Its
/// tile memory is the unified buffer; beside it there are 4 MiB of accumulators (4,096 x 256 INT32)
/// and a queue of 4 weight tiles. The host is reached at 14 GB/s (PCIe 3 x16).
inline constexpr machine tpu_v1{
    .name = "tpu_v1",
    .clock_hz = 700'000'000,  // Table 2
    .tiles = 1,
    .tile_bytes = 24 * 1048576,  // the paper: 24 MiB
    // The activation pipeline: as wide as the array and all functions by table in one step, 16-bit
    // and 32-bit elements at a half and a quarter of the rate: choices.
    .vector = {.lanes_f32 = 64,
               .lanes_f16 = 128,
               .divide = 4,
               .root = 4,
               .lanes_i8 = 256,
               .issue = issue_form::lockstep},
    .matrix = {.form = matrix_form::systolic,
               .order = accumulation::folds,
               .round = rounding::nearest_even,
               .weight_load_bytes = 0,  // a row a cycle: 256 cycles a tile
               .rows = 256,
               .cols = 256,
               .flow = dataflow::weight_stationary,
               .double_buffered_weights = true,  // the paper
               .drain = drain_form::overlap,
               // 16-bit by 16-bit operands at a quarter of the rate: a choice, and so is a
               // sixteenth of it for 32 bits
               .passes_16 = 4,
               .passes_32 = 16,
               .numbers = {.in = element::int8,
                           .sum = element::int32,
                           .out = element::int8,
                           .saturate = true}},  // a choice, as all quantized networks have it
    // A row of 256 bytes a cycle from the unified buffer: a choice, what the array can take.
    .exchange = {.bytes_16ths = 256 * 16},
    .energy = energy_45nm_i8,
    .offchip = {.read_bytes_per_second = 34'000'000'000},  // weights, Table 2
    .dma = {.overlap = true}};

/// One of two cores of a TPU v2 chip: 128 x 128, BF16 into FP32, 22.9 TFLOP/s.
inline constexpr machine tpu_v2_core{
    .name = "tpu_v2_core",
    .clock_hz = 700'000'000,  // AnandTech's notes of Hot Chips 2020: 700 to 940 MHz
    .tiles = 1,
    .tile_bytes = 16 * 1048576,  // vector memory: no source at hand, a choice
    // Same notes: 8 sets of 128 lanes. Functions beyond addition and multiplication: choices.
    .vector = {.threads = 8,
               .lanes_f32 = 128,
               .lanes_f16 = 128,
               .divide = 4,
               .root = 4,
               .exponential = 6,
               .logarithm = 6,
               .tanh_f16 = 8,
               .tanh_f32 = 8,
               .sigmoid_f16 = 8,
               .sigmoid_f32 = 8,
               .gradient = 3,
               .issue = issue_form::lockstep},
    .matrix = {.form = matrix_form::systolic,
               .order = accumulation::folds,
               .round = rounding::nearest_even,
               .rows = 128,  // same notes
               .cols = 128,
               .flow = dataflow::weight_stationary,
               .passes_32 = 3,  // FP32 as three products of BF16 halves: a choice
               .numbers = {.in = element::bf16,
                           .sum = element::f32,
                           .out = element::bf16,
                           .flush_inputs = true,
                           .flush_outputs = true}},  // choices
    .exchange = {.bytes_16ths = 500 * 16},           // high-bandwidth memory: 350 GB/s / 0.7 GHz
    .energy = energy_45nm,
    .offchip = {.read_bytes_per_second = 350'000'000'000,  // 700 GB/s a chip, same notes, halved
                .bytes = 8'589'934'592},                   // 8 GiB a core (J. Hanlon's note)
    .dma = {.overlap = true}};

}  // namespace tessera::accelerator
