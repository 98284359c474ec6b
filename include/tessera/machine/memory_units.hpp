#pragma once

// Where a machine keeps its bytes: the SRAM of a tile, memory off the chip, the engines between.

#include <tessera/core/types.hpp>

namespace tessera {

/// The SRAM of one tile beside its size (`machine::tile_bytes`): every port reads or writes
/// `port_bytes` a cycle, each in a bank of its own. Zeros: not stated, no limit.
struct sram_unit {
  i32 banks = 1;
  i32 bank_bytes = 0;
  i32 read_ports = 0;
  i32 write_ports = 0;
  i32 port_bytes = 0;
  i32 latency_cycles = 0;

  /// Bytes per cycle, read and written.
  constexpr i64 bytes_per_cycle() const { return i64{read_ports + write_ports} * port_bytes; }

  friend constexpr bool operator==(const sram_unit&, const sram_unit&) = default;
};

/// Memory off the chip. Rates are those of all channels together; a rate of 0: there is none, for
/// writing: as for reading.
struct offchip_unit {
  i64 read_bytes_per_second = 0;
  i64 write_bytes_per_second = 0;
  i64 bytes = 0;           // capacity; 0: as much as is asked for
  i32 latency_cycles = 0;  // of a transfer, before its first byte
  i32 burst_bytes = 1;     // the least that is moved
  i32 channels = 1;        // take bursts in turn; fewer than one for each leave some idle

  constexpr bool exists() const { return read_bytes_per_second > 0; }

  friend constexpr bool operator==(const offchip_unit&, const offchip_unit&) = default;
};

/// Engines that move data beside the units that compute.
struct dma_unit {
  i32 engines = 2;       // transfers at a time; one reads and writes in turn
  i32 setup_cycles = 0;  // of each transfer
  bool overlap = true;   // with computing, by double buffering

  friend constexpr bool operator==(const dma_unit&, const dma_unit&) = default;
};

}  // namespace tessera
