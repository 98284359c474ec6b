#pragma once

// A streaming multiprocessor of a GPU.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

/// One of 80 multiprocessors of an NVIDIA V100: 8 tensor cores of 4 x 4 x 4 multiply-adds, which is
/// 125 TFLOP/s in all, and its 80th part of the memory's rate (Summit user guide, OLCF). The 256
/// KiB of registers and the 6 MiB of cache that all share are not modelled.
inline constexpr machine v100_sm{
    .name = "v100_sm",
    .clock_hz = 1'530'000'000,  // cvw.cac.cornell.edu
    .tiles = 1,
    .tile_bytes = 128 * 1024,  // cache and shared memory, same guide
    // 64 FP32 lanes, same guide. Two halves a lane, four bytes a lane, a quarter of the rate for
    // functions, 20 cycles to start: choices.
    .vector = {.lanes_f32 = 64,
               .lanes_f16 = 128,
               .supervisor_cycles = 20,
               .divide = 4,
               .root = 4,
               .exponential = 4,
               .logarithm = 4,
               .tanh_f16 = 8,
               .tanh_f32 = 8,
               .sigmoid_f16 = 8,
               .sigmoid_f32 = 8,
               .gradient = 3,
               .lanes_i8 = 256,
               .issue = issue_form::lockstep},
    .matrix = {.form = matrix_form::dots,
               .order = accumulation::block4,  // 4 products a step; the order in it is a choice
               .round = rounding::nearest_even,
               .supervisor_cycles = 20,  // a choice
               .depth = 4,
               .dots = {.positions = 16,  // fragments of 16 x 16 x 16, as CUDA has them: a choice
                        .in_group = 16,
                        .out_group = 16,
                        .macs_i8 = 256,   // four to a lane: a choice
                        .macs_f16 = 512,  // 125.3 TFLOP/s / (80 x 1.53 GHz x 2)
                        .macs_f32 = 64},
               .numbers = {.in = element::f16, .sum = element::f32, .out = element::f16}},
    .exchange = {.bytes_16ths = 117},  // 900 GB/s / 80 / 1.53 GHz = 7.35 bytes a cycle
    .energy = energy_45nm,
    .offchip = {.read_bytes_per_second = 11'250'000'000,  // 900 GB/s / 80, same guide
                .latency_cycles = 400,                    // a choice
                .burst_bytes = 32},                       // a choice
    .dma = {.overlap = true}};

}  // namespace tessera::accelerator
