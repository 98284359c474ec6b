#pragma once

// Energy: femtojoules per count. Only ratios of energies mean anything: no source states those of
// one chip for all counts.

#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>

namespace tessera {

struct energy_costs {
  i32 mac_f16 = 0;
  i32 mac_f32 = 0;
  i32 vector_op = 0;  // one element through the vector unit
  i32 sram_byte = 0;
  i32 exchange_byte = 0;
  i32 mac_i8 = 0;         // 0: as of halves
  i32 vector_op_f16 = 0;  // of an element of 16 bits; 0: as of others
  i32 vector_op_i8 = 0;   // of 8 bits; 0: as of others
  i32 link_byte = 0;
  i32 dram_byte = 0;
  i32 leakage_mw = 0;  // milliwatts of the whole machine, whatever it does

  constexpr i32 mac(element type) const {
    if (bytes_of(type) == 1 && mac_i8 > 0) return mac_i8;
    return bytes_of(type) <= 2 ? mac_f16 : mac_f32;
  }
  constexpr i32 vector(element type) const {
    if (bytes_of(type) == 1 && vector_op_i8 > 0) return vector_op_i8;
    return bytes_of(type) == 2 && vector_op_f16 > 0 ? vector_op_f16 : vector_op;
  }

  /// What leaks in so many cycles: 1 mW is 10^12 fJ a second.
  constexpr i64 leaked(i64 cycles, i64 clock_hz) const {
    return leakage_mw == 0 ? 0
                           : static_cast<i64>(1e12 * leakage_mw * static_cast<double>(cycles) /
                                              static_cast<double>(clock_hz));
  }

  friend constexpr bool operator==(const energy_costs&, const energy_costs&) = default;
};

}  // namespace tessera
