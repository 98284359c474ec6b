#pragma once

// Energy of 45 nm logic and memory, which all presets share unless they say otherwise.

#include <tessera/machine/machine.hpp>

namespace tessera::accelerator {

/// Horowitz, ISSCC 2014: an FP16 product 1.1 pJ and an FP32 sum 0.9 pJ; an FP32 product 3.7 pJ and
/// its sum 0.9 pJ; 8 KB of SRAM 1.25 pJ a byte, scaled to 256 KB by Eyeriss' slope: 12.6 pJ;
/// DRAM 1.3 to 2.6 nJ for 64 bits, 162 to 325 pJ a byte, of which the mean is taken. On-chip wires
/// 0.1 pJ a bit (stillwater-sc/universal, without a source there). Links as DRAM: a choice. Leakage
/// is not stated anywhere: none. Only ratios of energies mean anything.
inline constexpr energy_costs energy_45nm{.mac_f16 = 2000,
                                          .mac_f32 = 4600,
                                          .vector_op = 900,
                                          .sram_byte = 12600,
                                          .exchange_byte = 800,
                                          .link_byte = 243000,
                                          .dram_byte = 243000};

/// The same with units for INT8: a product 0.2 pJ and an INT32 sum 0.1 pJ, an INT8 sum 0.03 pJ.
inline constexpr energy_costs energy_45nm_i8 = [] {
  energy_costs e = energy_45nm;
  e.mac_i8 = 300;
  e.vector_op_i8 = 30;
  return e;
}();

}  // namespace tessera::accelerator
