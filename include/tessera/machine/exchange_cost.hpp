#pragma once

// The exchange between tiles: a superstep ends when the slowest tile has computed, all have met,
// and the tile with the most to receive or send is done.
//
//   superstep = max over tiles of compute + sync + start-up + max over tiles of bytes / rate
//
// Source: bulk synchronous processing as Poplar's IPUModel prices it; a matrix-vector product of
// Graphcore's tutorials took 8,743 exchange cycles on hardware and 8,697 in that model.

#include <tessera/machine/systolic.hpp>  // ceil_div

namespace tessera::exchange_cost {

using systolic::ceil_div;

/// Cycles in which a tile receives (or sends) `bytes`; nothing at all costs nothing.
constexpr i64 transfer(const exchange_unit& e, i64 bytes) {
  return bytes <= 0 ? 0 : e.startup_cycles + ceil_div(bytes * 16, e.bytes_16ths);
}

/// The same in `rounds` transfers.
constexpr i64 transfers(const exchange_unit& e, i64 bytes, i64 rounds) {
  return bytes <= 0 ? 0 : rounds * e.startup_cycles + ceil_div(bytes * 16, e.bytes_16ths);
}

}  // namespace tessera::exchange_cost
