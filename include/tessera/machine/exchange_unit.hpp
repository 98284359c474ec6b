#pragma once

// What joins tiles, and what joins chips.

#include <tessera/core/types.hpp>

namespace tessera {

/// The exchange between the tiles of a chip. A machine of one tile fetches its operands through it.
struct exchange_unit {
  i32 bytes_16ths = 16;  // per cycle and tile, received, in sixteenths of a byte
  i32 startup_cycles = 0;
  i32 sync_cycles = 0;
  i32 send_bytes_16ths = 0;  // 0: as received
  i32 multicast_group = 1;   // neighbours that receive the same bytes at so many times the rate

  constexpr i32 sent_16ths() const { return send_bytes_16ths > 0 ? send_bytes_16ths : bytes_16ths; }

  friend constexpr bool operator==(const exchange_unit&, const exchange_unit&) = default;
};

/// Links between chips, in both directions at once.
struct link_unit {
  i64 bits_per_second = 0;       // of one link; 0: there are none
  i32 links = 1;                 // from a chip to its neighbour, used together
  i32 efficiency_percent = 100;  // of the rate, that data gets
  i32 sync_ns_per_hop = 0;       // to meet with a neighbour, and back

  constexpr bool exists() const { return bits_per_second > 0; }

  /// Bytes per second from a chip to its neighbour.
  constexpr i64 bytes_per_second() const {
    return bits_per_second / 8 * links * efficiency_percent / 100;
  }

  friend constexpr bool operator==(const link_unit&, const link_unit&) = default;
};

}  // namespace tessera
