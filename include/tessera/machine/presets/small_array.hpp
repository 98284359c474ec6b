#pragma once

// A machine of one's own, to start from.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

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
               .rows = 16,
               .cols = 16,
               .flow = dataflow::weight_stationary},
    .exchange = {.bytes_16ths = 32 * 16, .startup_cycles = 20, .sync_cycles = 0},
    .energy = energy_45nm};

}  // namespace tessera::accelerator
