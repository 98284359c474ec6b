#pragma once

// A machine: what cost formulas and arithmetic need to know about an accelerator.
//
//   machine   tiles, each with SRAM, a vector unit, a matrix unit; an exchange between them
//     vector     lanes per element type, cycles per vector of each function       vector_unit.hpp
//     matrix     a systolic array or dot-product units, and their arithmetic      matrix_unit.hpp
//     exchange   bytes per cycle and tile, start-up, synchronisation            exchange_unit.hpp
//     links      to other chips
//     sram       ports, banks and latency of a tile's memory                     memory_units.hpp
//     offchip    memory beside the chip; dma: what moves to and from it
//     energy     femtojoules per count                                           energy_costs.hpp
//
// One's own machine is a preset with other figures, or all of them:
//
//   constexpr machine mine = [] {
//     machine m = accelerator::small_array;
//     m.matrix.rows = m.matrix.cols = 32;
//     m.offchip.read_bytes_per_second = 16'000'000'000;
//     return m;
//   }();
//
// A literal value of plain integers, so that it can be a template argument and a constant. Rates on
// the chip are bytes per cycle in sixteenths, others per second; energies are in fJ. What a field
// leaves at its default costs nothing and limits nothing. The same value drives the arithmetic of
// the functional model and all prices, so the two cannot drift apart.
//
// presets.hpp has machines by name; backends/accelerator/machine_file.hpp reads them from files.

#include <tessera/machine/energy_costs.hpp>
#include <tessera/machine/exchange_unit.hpp>
#include <tessera/machine/matrix_unit.hpp>
#include <tessera/machine/memory_units.hpp>
#include <tessera/machine/vector_unit.hpp>

namespace tessera {

struct machine {
  char name[24] = {};
  i64 clock_hz = 1;
  i32 tiles = 1;
  i64 tile_bytes = 0;  // SRAM of one tile
  vector_unit vector = {};
  matrix_unit matrix = {};
  exchange_unit exchange = {};
  energy_costs energy = {};
  sram_unit sram = {};
  offchip_unit offchip = {};
  dma_unit dma = {};
  link_unit links = {};

  friend constexpr bool operator==(const machine&, const machine&) = default;
};

}  // namespace tessera
