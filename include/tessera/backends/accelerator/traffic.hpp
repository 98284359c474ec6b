#pragma once

// Traffic with memory off the chip: bytes that an operation reads and writes there, and the cycles
// in which the chip waits for them.
//
//   total = max(compute, max over reading and writing of (bytes - head start) / rate)
//
// What is read may have a head start: half of the room for operands, filled while the operation
// before computed (double buffering). Without engines that move data beside the units nothing is
// hidden. Of a product A (m, k) B (k, n) = C whose operands do not fit on the chip together, C is
// worked on in a x b pieces: A is read b times, B a times, C is written once; a and b are the
// powers of two with the least traffic. Other operations read what their tiles receive, or what
// they read in place, and write as much.

#include <tessera/backends/accelerator/blocks.hpp>
#include <tessera/machine/offchip_cost.hpp>

namespace tessera::accelerator {

/// Is a step of so many bytes too large for the chip, with memory beside it to hold the rest?
constexpr bool lies_off_chip(const machine& m, i64 bytes) {
  return m.offchip.exists() && bytes > m.tile_bytes * m.tiles;
}

struct offchip_traffic {
  i64 read_bytes = 0;
  i64 written_bytes = 0;
  i64 head_start = 0;  // bytes that were read before

  /// Cycles of the longer of the two directions.
  constexpr i64 cycles(const machine& m) const {
    const i64 reading = offchip_cost::read(m, read_bytes);
    const i64 writing = offchip_cost::write(m, written_bytes);
    return reading > writing ? reading : writing;
  }
  /// Cycles that are not hidden behind `compute` others.
  constexpr i64 stall(const machine& m, i64 compute) const {
    if (!m.dma.overlap) {
      return offchip_cost::read(m, read_bytes) + offchip_cost::write(m, written_bytes);
    }
    const i64 rest = read_bytes > head_start ? read_bytes - head_start : 0;
    const i64 reading = offchip_cost::read(m, rest);
    const i64 writing = offchip_cost::write(m, written_bytes);
    const i64 longer = reading > writing ? reading : writing;
    return longer > compute ? longer - compute : 0;
  }
};

constexpr offchip_traffic traffic_of(const machine& m, const signature& s, const problem& p,
                                     i64 received_bytes, i64 sram_bytes) {
  offchip_traffic t;
  const i64 room = working_bytes(m) * m.tiles;
  t.head_start = room / 2;
  if (!is_product(p.what)) {
    const i64 read =
        received_bytes > 0 && received_bytes < sram_bytes / 2 ? received_bytes : sram_bytes / 2;
    t.read_bytes = read;
    t.written_bytes = read;
    return t;
  }
  const i64 groups = p.extent[axis_g];
  const bool weights = p.what == family::weight_gradient;
  const i64 bytes = bytes_of(s.input_type(weights ? 1 : 0));
  const i64 samples = groups * p.extent[axis_b];
  const i64 image =
      samples * p.cells[0] * p.cells[1] * p.extent[p.transposed ? axis_o : axis_c] * bytes;
  const i64 positions = samples * p.extent[axis_h] * p.extent[axis_w];
  const i64 kernel = groups * p.extent[axis_o] * p.extent[axis_c] * p.taps;
  const i64 other = (weights ? positions * p.extent[axis_o] : kernel) * bytes;
  const i64 out = (weights ? kernel : positions * p.extent[p.transposed ? axis_c : axis_o]) *
                  bytes_of(s.output_type(0));
  t.written_bytes = out;
  i64 least = -1;
  for (i64 a = 1; a <= 1 << 20; a *= 2) {
    for (i64 b = 1; b <= 1 << 20; b *= 2) {
      if (image / a + other / b + out / a / b > room) continue;
      const i64 read = image * b + other * a;
      if (least < 0 || read < least) least = read;
      break;  // more pieces along b read more
    }
  }
  t.read_bytes = least < 0 ? image + other : least;
  return t;
}

}  // namespace tessera::accelerator
