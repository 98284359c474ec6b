#pragma once

// Mapping: how one operation is cut into vertices, one per tile.
//
// Every axis is cut into equal blocks, the last may be smaller; a vertex is one block of each axis.
// A vertex receives the slices of its operands (exchange), computes, and where an axis that is
// summed over is cut, the partial sums of the vertices that share an output go to them in a second
// exchange: each adds up its share, in the order of the blocks. Elementwise operations run where
// their operands lie.
//
// Of at most a few hundred ways to cut a product the one with the fewest cycles is taken, among
// equals the one with the least exchange. The choice depends on signature and machine only, so it
// is a constant. Source: the planner of graphcore/poplibs in its simplest form.

#include <tessera/backends/accelerator/problem.hpp>
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

struct estimate {
  i64 cycles = 0;
  i64 received = 0;  // by the busiest tile
  i64 tile_bytes = 0;
};

/// What a mapping costs, by its largest vertex.
constexpr estimate estimate_of(const machine& m, const signature& s, const mapping& map,
                               const finish_work& finish) {
  const problem& p = map.of;
  const vertex_work w = work_of(m, s, p, map.block);
  i64 cells = 1;
  for (i32 a = 0; a < 2; ++a) {
    const i64 size = map.block[axis_h + a];
    const i64 reach = i64{p.kernel[a] - 1} * p.dilation[a];
    const i64 span =
        p.transposed ? (size - 1 + reach) / p.stride[a] + 1 : (size - 1) * p.stride[a] + reach + 1;
    cells *= span < p.cells[a] ? span : p.cells[a];
  }
  estimate e;
  e.received = w.received(cells);
  e.tile_bytes = e.received + w.sum_bytes;
  e.cycles = w.cycles + exchange_cost::transfer(m.exchange, e.received);
  const i64 partials = map.partials();
  if (partials > 1) {
    const share_work share = share_of(m, finish, partials, w.outputs);
    e.cycles += share.cycles + exchange_cost::transfer(m.exchange, share.received) +
                m.exchange.sync_cycles * (returns_sums(s) ? 2 : 1);
  } else if (finishes(p.what)) {
    e.cycles += finish_cycles(m, finish, w.outputs);
  }
  return e;
}

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

/// The mapping of `s` on `m`.
constexpr mapping map(const machine& m, const signature& s) {
  if (has_slices(s)) {  // each slice as if it were alone
    signature one = s;
    one.n[3] = 1;
    mapping of_slice = map(m, one);
    of_slice.of = problem_of(s);
    of_slice.block[axis_h] = of_slice.of.extent[axis_h];
    return of_slice;
  }
  mapping best;
  best.of = problem_of(s);
  const problem& p = best.of;
  for (i32 a = 0; a < axis_count; ++a) best.block[a] = p.extent[a];
  if (p.what == family::single) return best;
  if (p.what == family::elementwise || p.what == family::cell || p.what == family::exchange ||
      p.what == family::groups) {
    best.block[axis_b] = detail::cut(p, axis_b, m.tiles);
    return best;
  }
  if (p.what == family::gate) {
    best.block[axis_b] = detail::cut(p, axis_b, m.tiles);
    return best;
  }
  if (p.what == family::lookup || p.what == family::scatter || p.what == family::tokens) {
    // Of the gradient, columns first: a tile receives its columns of all of dy.
    const i32 indices[] = {axis_b, axis_o};
    const i32 table[] = {axis_o, axis_c};
    detail::cut_in_turn(best, p.what == family::scatter ? table : indices, 2, m.tiles);
    return best;
  }
  if (p.what == family::unpool) {  // a value may go anywhere in its plane
    const i32 axes[] = {axis_o, axis_b};
    const i32 samples_first[] = {axis_b, axis_o};
    detail::cut_in_turn(best, s.batch_last ? axes : samples_first, 2, m.tiles);
    return best;
  }
  if (p.what == family::pool) {
    const i32 axes[] = {axis_o, axis_h, axis_w, axis_b};
    const i32 samples_first[] = {axis_b, axis_o, axis_h, axis_w};
    detail::cut_in_turn(best, s.batch_last ? axes : samples_first, 4, m.tiles);
    return best;
  }

  const finish_work finish = finish_of(m, s);
  detail::estimate least;
  bool found = false;
  const auto consider = [&](const mapping& candidate) {
    const detail::estimate e = detail::estimate_of(m, s, candidate, finish);
    if (found) {
      const bool fits = e.tile_bytes <= m.tile_bytes;
      const bool least_fits = least.tile_bytes <= m.tile_bytes;
      if (fits != least_fits) {
        if (least_fits) return;
      } else if (!fits) {
        if (e.tile_bytes >= least.tile_bytes) return;
      } else if (e.cycles > least.cycles ||
                 (e.cycles == least.cycles && e.received >= least.received)) {
        return;
      }
    }
    found = true;
    least = e;
    best = candidate;
  };

  mapping candidate = best;
  candidate.block[axis_g] = detail::cut(p, axis_g, m.tiles);
  const i64 tiles_of_group = m.tiles / candidate.count(axis_g);
  // Halos make cutting height and width dear, so samples first is tried too.
  const i32 positions[] = {axis_h, axis_w, axis_b};
  const i32 samples[] = {axis_b, axis_h, axis_w};
  const bool two_orders = p.extent[axis_h] > 1 && p.extent[axis_b] > p.grain[axis_b];
  i32 last_o = -1;
  for (i64 parts_o = 1; parts_o <= tiles_of_group; parts_o *= 2) {
    candidate.block[axis_o] = detail::cut(p, axis_o, parts_o);
    if (candidate.block[axis_o] == last_o) break;
    last_o = candidate.block[axis_o];
    i32 last_c = -1;
    const i64 tiles_of_o = tiles_of_group / candidate.count(axis_o);
    for (i64 parts_c = 1; parts_c <= tiles_of_o; parts_c *= 2) {
      candidate.block[axis_c] = detail::cut(p, axis_c, parts_c);
      if (candidate.block[axis_c] == last_c) break;
      last_c = candidate.block[axis_c];
      i64 last_vertices = 0;
      for (i64 parts = tiles_of_o / candidate.count(axis_c); parts >= 1; parts /= 2) {
        detail::cut_in_turn(candidate, positions, 3, parts);
        if (candidate.vertices() == last_vertices) continue;
        last_vertices = candidate.vertices();
        consider(candidate);
        if (!two_orders) continue;
        detail::cut_in_turn(candidate, samples, 3, parts);
        consider(candidate);
      }
    }
  }
  return best;
}

}  // namespace tessera::accelerator
