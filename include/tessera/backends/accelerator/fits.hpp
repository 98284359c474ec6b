#pragma once

// Does a program fit its machine? Everything that a step keeps lies evenly over the tiles; the
// largest vertex needs its fetched slices and sums beside that.

#include <tessera/backends/accelerator/price.hpp>

namespace tessera::accelerator {

/// Bytes that every tile needs: its share of the plan, and room for the largest vertex.
constexpr i64 tile_bytes(const memory_summary& memory, i64 peak_vertex_bytes, const machine& m) {
  return systolic::ceil_div(memory.total_bytes, m.tiles) + peak_vertex_bytes;
}

constexpr bool fits(const memory_summary& memory, i64 peak_vertex_bytes, const machine& m) {
  return tile_bytes(memory, peak_vertex_bytes, m) <= m.tile_bytes;
}

/// Bytes as people read them, rounded up: "312 bytes", "311 KiB", "1025 MiB".
constexpr text<32> spell_bytes(i64 bytes) {
  text<32> t;
  if (bytes < 1024) return t.append(bytes).append(" bytes");
  const i64 kib = systolic::ceil_div(bytes, 1024);
  if (kib < 10240) return t.append(kib).append(" KiB");
  return t.append(systolic::ceil_div(kib, 1024)).append(" MiB");
}

/// "memory: every tile of ipu_mk1 needs 311 KiB, it has 256 KiB; ..." or nothing where all fits.
constexpr text<360> misfit(const memory_summary& memory, i64 peak_vertex_bytes, const machine& m) {
  text<360> message;
  if (fits(memory, peak_vertex_bytes, m)) return message;
  message.append("memory: every tile of ").append(m.name).append(" needs ");
  message.append(spell_bytes(tile_bytes(memory, peak_vertex_bytes, m))).append(" (");
  message.append(spell_bytes(systolic::ceil_div(memory.total_bytes, m.tiles)));
  message.append(" of the plan, ").append(spell_bytes(peak_vertex_bytes));
  message.append(" for the largest vertex), it has ").append(spell_bytes(m.tile_bytes));
  return message.append("; use more tiles, recompute, or a smaller batch");
}

}  // namespace tessera::accelerator
