#pragma once

// Blocks: how one operation is cut into vertices, one per tile.
//
// Every axis is cut into equal blocks, the last may be smaller; a vertex is one block of each axis.
// A vertex receives the slices of its operands (exchange), computes, and where an axis that is
// summed over is cut, the partial sums of the vertices that share an output go to them in a second
// exchange: each adds up its share, in the order of the blocks. Elementwise operations run where
// their operands lie.
//
// mapping.hpp chooses the blocks.

#include <tessera/backends/accelerator/vertex_work.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/machine/exchange_cost.hpp>

namespace tessera::accelerator {

/// A problem cut into blocks.
struct mapping {
  problem of;
  i32 block[axis_count] = {1, 1, 1, 1, 1, 1};

  constexpr i32 count(i32 a) const { return (of.extent[a] + block[a] - 1) / block[a]; }
  constexpr i32 begin(i32 a, i32 i) const { return i * block[a]; }
  constexpr i32 size(i32 a, i32 i) const {
    const i32 rest = of.extent[a] - i * block[a];
    return rest < block[a] ? rest : block[a];
  }
  constexpr i64 vertices() const {
    i64 n = 1;
    for (i32 a = 0; a < axis_count; ++a) n *= count(a);
    return n;
  }
  /// Vertices that share an output block: the partial sums of each output.
  constexpr i64 partials() const {
    i64 n = 1;
    for (i32 a = 0; a < axis_count; ++a) n *= of.reduced[a] ? count(a) : 1;
    return n;
  }
  constexpr i64 output_blocks() const { return vertices() / partials(); }
};

/// Does an operation ask all tiles a question, such as whether any gradient overflowed, or for the
/// norm of what they have?
constexpr bool votes(const signature& s) {
  return s.what == kind::overflow_test || ops::is_norm_update(s.what) || is_lookup_test(s.what) ||
         (ops::is_update(s.what) && s.has_input(2));
}

/// Do partial sums go back, merged, to the vertices that made them?
constexpr bool returns_sums(const signature& s) {
  return is_batch_norm(s.what) && sums_over_vertices(s);
}

/// What a vertex may hold of a tile: the rest is for what stays there. The share is the default of
/// poplibs' option availableMemoryProportion.
constexpr i64 working_bytes(const machine& m) { return m.tile_bytes * 6 / 10; }

/// Do the weights of an operation in a loop stay on the tiles from trip to trip, where every trip
/// has the same? They need room of their own beside what is being worked with.
constexpr bool keeps_weights(const machine& m, const signature& s, const mapping& map) {
  if (map.of.what != family::forward && map.of.what != family::data_gradient) return false;
  const i64 weights = work_of(m, s, map.of, map.block).weight_bytes;
  return weights > 0 && weights <= m.tile_bytes - working_bytes(m);
}

/// How often the partial sums of an operation are exchanged.
constexpr i64 summing_rounds(const problem& p) { return p.reduced[p.serial] ? 1 : p.rounds; }

/// Work of the vertex that sums and finishes a share of an output block.
struct share_work {
  i64 elements = 0;  // the largest share
  i64 received = 0;  // bytes of the other vertices' partial sums
  i64 cycles = 0;
};

constexpr share_work share_of(const machine& m, const finish_work& f, i64 partials, i64 outputs) {
  share_work w;
  w.elements = ceil_div(outputs, partials);
  w.received = (partials - 1) * 4 * w.elements;
  w.cycles = vector_cost::reduce(m.vector, partials, w.elements) + finish_cycles(m, f, w.elements);
  return w;
}

/// Which families end in a finish per output; the others write their outputs as they go.
constexpr bool finishes(family what) {
  return what == family::forward || what == family::data_gradient ||
         what == family::weight_gradient || what == family::bias || what == family::loss ||
         what == family::norm;
}

namespace detail {

/// Blocks along axis `a` so that there are at most `parts` of them.
constexpr i32 cut(const problem& p, i32 a, i64 parts) {
  if (parts < 1) parts = 1;
  const i64 even = ceil_div(p.extent[a], parts);
  const i64 block = ceil_div(even, p.grain[a]) * p.grain[a];
  return static_cast<i32>(block < p.extent[a] ? block : p.extent[a]);
}

/// Cuts the given axes in turn until there are `parts` blocks or nothing is left to cut.
constexpr void cut_in_turn(mapping& map, const i32* axes, i32 count, i64 parts) {
  for (i32 i = 0; i < count; ++i) {
    map.block[axes[i]] = cut(map.of, axes[i], parts);
    parts /= map.count(axes[i]);
  }
}

}  // namespace detail

}  // namespace tessera::accelerator
