#pragma once

// The search for a mapping: how many blocks of outputs, of inputs and of positions, over at most so
// many tiles, and in how many pieces a tile takes its block.
//
//   C (positions, o) += A (positions, c) B (c, o)
//
//   blocks of o and c    powers of two first; then the best of them is changed by single grains
//   blocks of positions  as many as tiles are left: of all cuts of samples, rows and columns the
//   one
//                        with the fewest positions in a block, among equals the fewest cells
//   pieces               where a vertex needs more than its share of the tile's memory: along
//                        outputs, inputs or samples, as few as make it fit
//
// The cheapest is taken, among equals the one that receives least; what fits before what does not.
// Some hundred mappings are priced for a product. Source: the planner of graphcore/poplibs, which
// splits the same axes, over tiles and one after another.

#include <tessera/backends/accelerator/blocks.hpp>

namespace tessera::accelerator::detail {

/// What a mapping costs, by its largest vertex.
struct estimate {
  i64 cycles = 0;
  i64 received = 0;  // by the busiest tile
  i64 held = 0;
};

class mapping_search {
 public:
  constexpr mapping_search(const machine& m, const signature& s, const mapping& start)
      : m_(m), s_(s), finish_(finish_of(m, s)), start_(start), best_(start) {
    room_ = working_bytes(m);
  }

  constexpr mapping find() {
    try_powers_of_two(cut(start_.of, axis_g, m_.tiles));
    while (change_by_grains()) {
    }
    return best_;
  }

 private:
  /// Blocks of o and c, and how many times the tiles that are left for positions are halved.
  struct choice {
    i32 g = 1;
    i32 o = 1;
    i32 c = 1;
    i32 halvings = 0;
  };

  constexpr void try_powers_of_two(i32 groups) {
    const problem& p = start_.of;
    const i64 tiles = m_.tiles / ceil_div(p.extent[axis_g], groups);
    const bool summed = p.reduced[axis_b];
    i32 last_o = -1;
    for (i64 parts_o = 1; parts_o <= tiles; parts_o *= 2) {
      choice at;
      at.g = groups;
      at.o = cut(p, axis_o, parts_o);
      if (at.o == last_o) break;
      last_o = at.o;
      i32 last_c = -1;
      for (i64 parts_c = 1; parts_o * parts_c <= tiles; parts_c *= 2) {
        at.c = cut(p, axis_c, parts_c);
        if (at.c == last_c) break;
        last_c = at.c;
        // Fewer blocks of positions only where that saves partial sums; not once it has not paid
        // twice.
        i64 last = 0;
        for (i32 worse = 0; worse < 2 && tiles_of(at) >= 1; ++at.halvings) {
          const i64 cycles = consider(at);
          if (!summed || tiles_of(at) == 1) break;
          worse = at.halvings > 0 && cycles >= last ? worse + 1 : 0;
          last = cycles;
        }
      }
    }
  }

  /// Tries neighbours of the best choice; true where one is better.
  constexpr bool change_by_grains() {
    const problem& p = start_.of;
    const choice from = chosen_;
    bool better = false;
    const auto attempt = [&](choice at) {
      const auto bounded = [&](i32& block, i32 a) {
        if (block < p.grain[a]) block = p.grain[a];
        if (block > p.extent[a]) block = p.extent[a];
        block = cut(p, a, ceil_div(p.extent[a], block));  // the least block for as many
      };
      bounded(at.o, axis_o);
      bounded(at.c, axis_c);
      if (at.o == from.o && at.c == from.c && at.halvings == from.halvings) return;
      if (tiles_of(at) >= 1) consider(at);
    };
    const i64 before = least_.cycles;
    const i64 held_before = least_.held;
    for (const i32 a : {axis_o, axis_c}) {
      const i32 block = a == axis_o ? from.o : from.c;
      const i32 grain = p.grain[a];
      const i32 grains = static_cast<i32>(ceil_div(block, grain));
      const i32 others[] = {grains - 1, grains + 1, grains - 2, grains * 3 / 4, grains * 3 / 2};
      for (i32 i = 0; i < 5; ++i) {
        if (i >= 2 && grains < 4) break;
        choice at = from;
        (a == axis_o ? at.o : at.c) = others[i] * grain;
        attempt(at);
      }
    }
    // One more and the other less: as many tiles, another shape.
    choice at = from;
    at.o = from.o * 2, at.c = from.c / 2;
    attempt(at);
    at.o = from.o / 2, at.c = from.c * 2;
    attempt(at);
    if (from.halvings > 0) {
      at = from;
      --at.halvings;
      attempt(at);
    }
    better = least_.cycles < before || (least_.held < held_before && held_before > room_);
    return better && ++changes_ < 8;
  }

  constexpr i64 tiles_of(const choice& at) const {
    const problem& p = start_.of;
    const i64 others = ceil_div(p.extent[axis_g], at.g) * ceil_div(p.extent[axis_o], at.o) *
                       ceil_div(p.extent[axis_c], at.c);
    return m_.tiles / others >> at.halvings;
  }

  /// Prices a choice: its cycles, with nothing taken in pieces.
  constexpr i64 consider(const choice& at) {
    mapping candidate = start_;
    candidate.block[axis_g] = at.g;
    candidate.block[axis_o] = at.o;
    candidate.block[axis_c] = at.c;
    cut_positions(candidate, tiles_of(at));
    estimate e = estimate_of(candidate);
    const i64 cycles = e.cycles;
    // Pieces make nothing faster: they are tried where the choice could still win.
    const bool hopeless = found_ && least_.held <= room_ && cycles >= least_.cycles;
    if (e.held > room_ && !hopeless && is_product(candidate.of.what)) take_pieces(candidate, e);
    if (is_better(e)) {
      found_ = true;
      least_ = e;
      best_ = candidate;
      chosen_ = at;
    }
    return cycles;
  }

  constexpr bool is_better(const estimate& e) const {
    if (!found_) return true;
    const bool fits = e.held <= room_;
    const bool least_fits = least_.held <= room_;
    if (fits != least_fits) return fits;
    if (!fits && e.held != least_.held) return e.held < least_.held;
    return e.cycles != least_.cycles ? e.cycles < least_.cycles : e.received < least_.received;
  }

  /// Takes the block of a vertex in pieces, as few as make it fit, along the axis where that is
  /// cheapest.
  constexpr void take_pieces(mapping& candidate, estimate& e) const {
    const mapping whole = candidate;
    estimate least = e;
    for (const i32 a : {axis_o, axis_c, axis_b}) {
      mapping cut = whole;
      cut.of.serial = a;
      const i64 grains = ceil_div(cut.block[a], cut.of.grain[a]);
      for (i64 rounds = 2; rounds < 2 * grains; rounds *= 2) {
        cut.of.rounds = static_cast<i32>(rounds < grains ? rounds : grains);
        const estimate tried = estimate_of(cut);
        const bool fits = tried.held <= room_;
        const bool least_fits = least.held <= room_;
        const bool better = fits != least_fits ? fits
                            : fits             ? tried.cycles < least.cycles
                                               : tried.held < least.held;
        if (better) {
          least = tried;
          candidate = cut;
        }
        if (fits) break;
      }
    }
    e = least;
  }

  constexpr estimate estimate_of(const mapping& map) const {
    const problem& p = map.of;
    const vertex_work w = work_of(m_, s_, p, map.block);
    const i64 cells = most_cells(p, 0, map.block[axis_h]) * most_cells(p, 1, map.block[axis_w]);
    estimate e;
    e.received = w.received(cells);
    e.held = w.held(cells);
    e.cycles = w.cycles + exchange_cost::transfers(m_.exchange, e.received, p.rounds) +
               m_.exchange.sync_cycles * p.rounds;
    const i64 partials = map.partials();
    if (partials > 1) {
      const share_work share = share_of(m_, finish_, partials, w.outputs);
      const i64 rounds = summing_rounds(p);
      e.cycles += share.cycles + m_.exchange.sync_cycles * rounds +
                  exchange_cost::transfers(m_.exchange, share.received, rounds) +
                  (returns_sums(s_) ? m_.exchange.sync_cycles : 0);
    } else if (finishes(p.what)) {
      e.cycles += finish_cycles(m_, finish_, w.outputs);
    }
    return e;
  }

  /// Cuts samples, rows and columns into at most `parts` blocks.
  constexpr void cut_positions(mapping& map, i64 parts) {
    for (i32 i = 0; i < remembered; ++i) {
      if (known_[i].parts != parts) continue;
      for (i32 a = 0; a < 3; ++a) map.block[axis_b + a] = known_[i].block[a];
      return;
    }
    const problem& p = map.of;
    i64 fewest = -1;
    i64 fewest_cells = 0;
    const auto each_cut = [&](i32 a, i64 most, const auto& visit) {
      i64 count = 1;
      while (count <= most) {
        map.block[a] = cut(p, a, count);
        visit(map.count(a));
        if (map.block[a] <= p.grain[a]) break;
        // The next smaller block.
        const i64 smaller = (map.block[a] - 1) / p.grain[a] * p.grain[a];
        count = ceil_div(p.extent[a], smaller > 0 ? smaller : 1);
      }
    };
    i32 block[3] = {};
    const auto last = [&](i64 rest) {
      map.block[axis_w] = cut(p, axis_w, rest);
      const i64 positions = i64{map.block[axis_b]} * map.block[axis_h] * map.block[axis_w];
      if (fewest >= 0 && positions > fewest) return;
      const i64 cells = map.block[axis_b] * most_cells(p, 0, map.block[axis_h]) *
                        most_cells(p, 1, map.block[axis_w]);
      if (fewest >= 0 && positions == fewest && cells >= fewest_cells) return;
      fewest = positions;
      fewest_cells = cells;
      for (i32 a = 0; a < 3; ++a) block[a] = map.block[axis_b + a];
    };
    each_cut(axis_b, parts, [&](i64 samples) {
      each_cut(axis_h, parts / samples, [&](i64 rows) { last(parts / samples / rows); });
    });
    known_[next_] = {parts, {block[0], block[1], block[2]}};
    next_ = (next_ + 1) % remembered;
    for (i32 a = 0; a < 3; ++a) map.block[axis_b + a] = block[a];
  }

  struct cut_of_positions {
    i64 parts = 0;
    i32 block[3] = {};  // of samples, rows, columns
  };
  static constexpr i32 remembered = 16;

  const machine& m_;
  const signature& s_;
  finish_work finish_;
  mapping start_;
  mapping best_;
  choice chosen_;
  estimate least_;
  bool found_ = false;
  i32 changes_ = 0;
  i64 room_ = 0;
  cut_of_positions known_[remembered];
  i32 next_ = 0;
};

}  // namespace tessera::accelerator::detail
