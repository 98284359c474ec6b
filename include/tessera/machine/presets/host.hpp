#pragma once

// A processor such as the one that runs this library, for comparison.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

/// Eight cores with 256-bit registers and two multiply-adds a cycle: every figure is a choice that
/// many desktops come near to.
inline constexpr machine host{
    .name = "host",
    .clock_hz = 3'000'000'000,
    .tiles = 8,
    .tile_bytes = 1048576,  // second-level cache of a core
    .vector = {.lanes_f32 = 8,
               .lanes_f16 = 8,  // stored in 16 bits, worked on in 32
               .supervisor_cycles = 50,
               .divide = 5,
               .root = 6,
               .exponential = 12,
               .logarithm = 12,
               .tanh_f16 = 14,
               .tanh_f32 = 14,
               .sigmoid_f16 = 12,
               .sigmoid_f32 = 12,
               .gradient = 3,
               .lanes_i8 = 32,
               .issue = issue_form::lockstep},
    .matrix = {.form = matrix_form::dots,
               .order = accumulation::chain,
               .round = rounding::nearest_even,
               .supervisor_cycles = 50,
               .dots = {.positions = 8,  // a register of outputs
                        .in_group = 1,
                        .out_group = 2,
                        .macs_i8 = 32,
                        .macs_f16 = 16,
                        .macs_f32 = 16},
               .numbers = {.in = element::f32, .sum = element::f32, .out = element::f32}},
    .exchange = {.bytes_16ths = 8 * 16, .startup_cycles = 100, .sync_cycles = 3000},
    .energy = energy_45nm,
    .sram = {.banks = 8, .read_ports = 2, .write_ports = 1, .port_bytes = 32, .latency_cycles = 14},
    .offchip = {.read_bytes_per_second = 40'000'000'000, .latency_cycles = 250, .burst_bytes = 64},
    .dma = {.overlap = true}};

}  // namespace tessera::accelerator
