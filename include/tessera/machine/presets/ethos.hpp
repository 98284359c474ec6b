#pragma once

// Arm's Ethos-U55: dot products of 8 in step on micro-blocks of outputs, for microcontrollers.
//
//   macs   micro-block (width x height x channels)   SHRAM    elements written a cycle
//     32   1 x 1 x 4                                 16 KiB   1
//     64   1 x 1 x 8                                 16 KiB   2
//    128   2 x 1 x 8                                 24 KiB   4
//    256   2 x 2 x 8                                 48 KiB   8
//
// Source of all that is not said to be a choice: Arm's Vela compiler (ethos-u-vela at a6f65663,
// architecture_features.py; vela.ini, Ethos_U55_High_End_Embedded: 500 MHz, SRAM 4 GB/s with 32
// cycles and bursts of 32 bytes, flash 0.5 GB/s with 64 cycles and bursts of 128 bytes). Vela calls
// its own cycles estimates.

#include <tessera/machine/presets/energy.hpp>

namespace tessera::accelerator {

namespace detail {

/// The configuration with micro-blocks of so many positions x channels.
constexpr machine make_ethos_u55(i32 positions, i32 channels, i32 shram_kib, i32 elements) {
  machine m;
  m.clock_hz = 500'000'000;
  m.tile_bytes = i64{shram_kib} * 1024;
  m.sram = {.banks = shram_kib, .bank_bytes = 1024};
  // Elements a cycle as the table of output cycles states them (0.125 to 1.125 cycles an element
  // with 8 units, 1 where a look-up table is read); which of them belongs to which function, and
  // 16 and 32 bits at a half and a quarter of the rate, are choices.
  m.vector = {.lanes_f32 = elements < 4 ? 1 : elements / 4,
              .lanes_f16 = elements < 2 ? 1 : elements / 2,
              .simple = 2,
              .divide = 9,
              .root = 8,
              .exponential = 8,
              .logarithm = 8,
              .tanh_f16 = 8,
              .tanh_f32 = 8,
              .sigmoid_f16 = 8,
              .sigmoid_f32 = 8,
              .gradient = 4,
              .pool = 1,
              .lanes_i8 = elements,
              .issue = issue_form::lockstep};
  m.matrix.form = matrix_form::dots;
  m.matrix.order = accumulation::tree;
  m.matrix.weight_load_bytes = 8;  // Vela: 32 cycles for 32 x 8 weights
  m.matrix.depth = 8;              // dpu_dot_product_width
  const i32 macs = 8 * positions * channels;
  m.matrix.dots = {.positions = positions,
                   .in_group = 32,  // 4 cycles of 8 inputs
                   .out_group = channels,
                   .taps = 4,                          // or 4 taps of 8 channels
                   .block_positions = 16 * positions,  // a choice: 2 KiB of sums of 32 bits at most
                   .macs_i8 = macs,
                   .macs_f16 = macs / 2,  // as 16-bit integers; 32 bits: the vector unit
                   .pool_cycles = 4};
  m.matrix.numbers = {.in = element::int8,
                      .sum = element::int32,
                      .out = element::int8,
                      .saturate = true};  // a choice, as all quantized networks have it
  m.exchange = {.bytes_16ths = 8 * 16, .startup_cycles = 32};  // SRAM: 4 GB/s at 500 MHz
  m.energy = energy_45nm_i8;
  m.offchip = {.read_bytes_per_second = 500'000'000, .latency_cycles = 64, .burst_bytes = 128};
  m.dma = {.overlap = true};
  return m;
}

constexpr machine named(machine m, const char* name) {
  for (i32 i = 0; name[i] != '\0' && i + 1 < static_cast<i32>(sizeof m.name); ++i) {
    m.name[i] = name[i];
  }
  return m;
}

}  // namespace detail

inline constexpr machine ethos_u55_32 =
    detail::named(detail::make_ethos_u55(1, 4, 16, 1), "ethos_u55_32");
inline constexpr machine ethos_u55_64 =
    detail::named(detail::make_ethos_u55(1, 8, 16, 2), "ethos_u55_64");
inline constexpr machine ethos_u55_128 =
    detail::named(detail::make_ethos_u55(2, 8, 24, 4), "ethos_u55_128");
inline constexpr machine ethos_u55_256 =
    detail::named(detail::make_ethos_u55(4, 8, 48, 8), "ethos_u55_256");

}  // namespace tessera::accelerator
