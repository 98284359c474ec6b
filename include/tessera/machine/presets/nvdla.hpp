#pragma once

// NVIDIA's open accelerator in its full configuration.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

/// NVDLA, nv_full (nvdla/hw at 8e06b1b9, perf/NVDLA_OpenSource_Performance.xlsx and nv_full.spec):
/// 2,048 INT8 multiplications a cycle, 512 KiB of convolution buffer, 4 MiB of SRAM beside it, of
/// which the exchange is the port.
///
/// The workbook counts its 10 and 25 GB/s as so many KiB in 1,000 cycles of 1 GHz; so do we.
inline constexpr machine nvdla_full{
    .name = "nvdla_full",
    .clock_hz = 1'000'000'000,
    .tiles = 1,
    .tile_bytes = 512 * 1024,  // 16 banks x 64 bytes x 512
    // nv_full.spec: 16 elements a cycle through bias and normalization, 4 through functions, 8
    // through pooling; wider elements at a half and a quarter of the rate: a choice.
    .vector = {.lanes_f32 = 4,
               .lanes_f16 = 8,
               .divide = 4,
               .root = 4,
               .exponential = 4,
               .logarithm = 4,
               .tanh_f16 = 4,
               .tanh_f32 = 4,
               .sigmoid_f16 = 4,
               .sigmoid_f32 = 4,
               .pool = 2,
               .lanes_i8 = 16,
               .issue = issue_form::lockstep},
    .matrix = {.form = matrix_form::dots,
               .order = accumulation::tree,
               .round = rounding::nearest_even,
               .depth = 64,              // nv_full.spec: MAC_ATOMIC_C 64, MAC_ATOMIC_K 32
               .dots = {.in_group = 16,  // the workbook rounds channels and filters up to 16
                        .out_group = 16,
                        .macs_i8 = 2048,
                        .macs_f16 = 1024,  // a choice: half of the rate; FP32 on the vector unit
                        .winograd_16ths = 36,  // 2.25 for 3 x 3, the workbook
                        .folds_stride = true},
               .numbers = {.in = element::int8,
                           .sum = element::int32,
                           .out = element::int8,
                           .saturate = true}},  // a choice, as all quantized networks have it
    // 25 KiB in 1,000 cycles, in and out; 128 cycles of latency (nv_full.spec, secondary memory)
    .exchange = {.bytes_16ths = 410, .startup_cycles = 128},
    .energy = energy_45nm_i8,
    .sram = {.banks = 16, .bank_bytes = 32768},
    .offchip = {.read_bytes_per_second = 10'240'000'000,
                .latency_cycles = 1200},  // nv_full.spec, primary memory
    .dma = {.overlap = true}};

}  // namespace tessera::accelerator
