#pragma once

// Does a program fit its machine? What is alive in a step lies evenly over the tiles; beside that
// the vertices of the operation at hand need their fetched slices and sums.
//
//   bytes of a tile   |      ___ vertices of conv2_gradient          tiles 0 to 1151
//                     |  _  |   |  _                                 ... and of those beyond
//                     |_| |_|   |_| |___  its share of what is alive
//                     +---------------------> operations
//
// A constant of a job finds the operation at which the fullest tiles need most; where only the
// summary of a plan is at hand, the largest vertex is put on the whole plan.

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

/// What the fullest tiles need, and when. The tiles of an operation's vertices, 0 to `tiles` - 1,
/// bear the same load; those beyond have their share of what is alive and nothing else.
struct tile_need {
  i32 operation = -1;    // during which
  i64 alive_bytes = 0;   // of the step: parameters, states, tensors of which anyone has need yet
  i64 share_bytes = 0;   // of these, on each tile
  i64 vertex_bytes = 0;  // besides, on the tiles of its vertices
  i64 tiles = 0;

  constexpr i64 bytes() const { return share_bytes + vertex_bytes; }
};

/// The need of the fullest tiles over all operations of a step. `prices` are by operation,
/// `buffers` those of the arena; what lies off the chip takes no room on it.
constexpr tile_need find_need(const memory_summary& memory, const buffer* buffers, i32 buffer_count,
                              const operation_price* prices, i32 operations, const machine& m) {
  grow<i64> change(operations + 1);  // of the bytes alive, at each operation
  for (i32 i = 0; i < buffer_count; ++i) {
    const buffer& b = buffers[i];
    change[b.born < 0 ? 0 : b.born] += b.bytes;
    if (b.dies + 1 <= operations) change[b.dies + 1] -= b.bytes;
  }
  const bool outside = lies_off_chip(m, memory.total_bytes);
  tile_need worst;
  i64 alive = memory.total_bytes - memory.arena_bytes;
  for (i32 i = 0; i < operations; ++i) {
    alive += change[i];
    tile_need need{i, alive, outside ? 0 : systolic::ceil_div(alive, m.tiles),
                   prices[i].peak_tile_bytes, prices[i].vertices};
    if (need.tiles > m.tiles) need.tiles = m.tiles;
    if (worst.operation < 0 || need.bytes() > worst.bytes()) worst = need;
  }
  return worst;
}

/// "memory: tiles 0 to 1151 of ipu_mk1 need 311 KiB for conv2d of conv1 (196 KiB of what is alive,
/// 116 KiB for their vertices), each has 256 KiB; ..." or nothing where all fits.
constexpr text<360> misfit(const tile_need& need, const machine& m, const text<64>& name,
                           const text<64>& layer) {
  text<360> message;
  if (need.bytes() <= m.tile_bytes) return message;
  const bool all = need.tiles >= m.tiles || need.vertex_bytes == 0;
  if (all) {
    message.append("memory: every tile of ").append(m.name).append(" needs ");
  } else {
    message.append("memory: tiles 0 to ").append(need.tiles - 1).append(" of ");
    message.append(m.name).append(" need ");
  }
  message.append(spell_bytes(need.bytes())).append(" for ").append(name);
  if (!layer.empty()) message.append(" of ").append(layer);
  message.append(" (").append(spell_bytes(need.share_bytes)).append(" of what is alive, ");
  message.append(spell_bytes(need.vertex_bytes));
  message.append(all ? " for its vertex), it has " : " for their vertices), each has ");
  message.append(spell_bytes(m.tile_bytes)).append("; use more tiles");
  if (need.vertex_bytes < m.tile_bytes) {
    const i64 enough = systolic::ceil_div(need.alive_bytes, m.tile_bytes - need.vertex_bytes);
    if (enough > m.tiles && need.share_bytes > 0) {
      message.append(" (").append(enough).append(" would hold it)");
    }
  }
  return message.append(", recompute, or a smaller batch");
}

}  // namespace tessera::accelerator
