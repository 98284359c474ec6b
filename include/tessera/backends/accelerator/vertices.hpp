#pragma once

// The vertices of an operation one by one: what each does, and on which tile.
//
// Vertex number i of an operation stands on tile i; numbers run as in recorder::add_range, samples
// fastest, then positions, channels, groups. Where partial sums are exchanged, each vertex is also
// a reducer that adds up its share of them.
//
// A slice is an operand, or a part of partial sums, that one vertex reads or writes: an edge of the
// graph of vertices and tensors. The bodies of loops are counted once: they are one program.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/step_signatures.hpp>
#include <algorithm>

namespace tessera::accelerator {

/// What one vertex costs its tile.
struct tile_work {
  i64 number = 0;  // of the vertex, and of its tile
  vertex where;
  i64 cycles = 0;          // computing, its share of partial sums included
  i64 received_bytes = 0;  // likewise
  i64 held_bytes = 0;      // fetched slices and sums, while it runs
};

/// Calls `visit(tile_work)` for each vertex of `s`, in the order of their numbers. `user`: the
/// definition of a user's operation.
template <class Visit>
void for_each_vertex(const machine& m, const signature& s, const mapping& map,
                     const user_operation* user, Visit visit) {
  constexpr i32 fastest_first[] = {axis_b, axis_w, axis_h, axis_c, axis_o, axis_g};
  recorder one(m, s, map, user);
  const finish_work finish = finish_of(m, s);
  const i64 partials = map.partials();
  const bool shares = partials > 1 && finishes(map.of.what);
  tile_work tile;
  for (i32 a = 0; a < axis_count; ++a) tile.where.place(map, a, 0);
  i32 size[axis_count] = {-1, -1, -1, -1, -1, -1};
  share_work share;
  const i64 count = map.vertices();
  for (; tile.number < count; ++tile.number) {
    one.counts = {};
    one.add(tile.where, partials == 1);
    if (shares && !std::equal(size, size + axis_count, tile.where.size)) {
      std::copy(tile.where.size, tile.where.size + axis_count, size);
      share = share_of(m, finish, partials, work_of(m, s, map.of, size, user).outputs);
    }
    tile.cycles = std::max(one.counts.most_cycles, one.counts.most_sram_cycles) + share.cycles;
    tile.received_bytes = one.counts.most_received + share.received;
    tile.held_bytes = one.counts.most_bytes;
    visit(static_cast<const tile_work&>(tile));
    for (const i32 a : fastest_first) {
      const bool carry = tile.where.block[a] + 1 == map.count(a);
      tile.where.place(map, a, carry ? 0 : tile.where.block[a] + 1);
      if (!carry) break;
    }
  }
}

/// The graph of vertices and slices that a step is, in numbers.
struct vertex_counts {
  i64 vertices = 0;  // one a tile and operation
  i64 reducers = 0;  // that add up shares of partial sums
  i64 edges = 0;     // slices that any of them reads or writes

  constexpr i64 all() const { return vertices + reducers; }

  constexpr vertex_counts& operator+=(const vertex_counts& other) {
    vertices += other.vertices;
    reducers += other.reducers;
    edges += other.edges;
    return *this;
  }

  friend constexpr bool operator==(const vertex_counts&, const vertex_counts&) = default;
};

/// Vertices and slices of one operation.
constexpr vertex_counts count_vertices(const signature& s, const mapping& map) {
  vertex_counts c;
  c.vertices = map.vertices();
  i64 operands = 0;
  for (i32 slot = 0; slot < 8; ++slot) {
    operands += (s.has_input(slot) ? 1 : 0) + (s.has_output(slot) ? 1 : 0);
  }
  c.edges = c.vertices * operands;
  const i64 partials = map.partials();
  if (partials > 1 && finishes(map.of.what)) {  // reads a share of each, writes the sum
    c.reducers = c.vertices;
    c.edges += c.reducers * (partials + 1);
  }
  return c;
}

/// Of a step: every operation of the graph once, those in loops too.
constexpr vertex_counts count_vertices(const machine& m, const step_signatures& step) {
  vertex_counts all;
  grow<i64> uses(step.distinct.size());
  for (const i32 number : step.number_of) {
    if (number >= 0) ++uses[number];
  }
  for (i32 i = 0; i < step.distinct.size(); ++i) {
    const signature& s = step.distinct[i].of;
    const vertex_counts c = count_vertices(s, map(m, s));
    all.vertices += c.vertices * uses[i];
    all.reducers += c.reducers * uses[i];
    all.edges += c.edges * uses[i];
  }
  return all;
}

}  // namespace tessera::accelerator
