#pragma once

// Placement outward from the fullest moment.
//
//   bytes   <- walked second |    | walked first ->        What is alive at the fullest moment is
//     ^                  +---+----+-----+                  stacked without a gap. From there time
//     is |              +---+---+----+-+   |                  walked forward, then backward: what
//     dies |    +---+     |       |    | |   +----+             leaves a hole, what is born takes
//     one. |    |   +-----+-------+----+-+---+----+
//     +----+---+-----+-------+----+-+---+----+-> operation
//
// A hole is chosen for the neighbour that a buffer leans on in it, which should live on when the
// buffer has died, so that holes grow together again; among those the tightest. A training step's
// activations are born in one order and die in the other, so that the stack shrinks like one. A
// buffer that finds no room within the bound can be placed early, in the next try: then the others
// walk around it.
//
// O((buffers + operations) x holes), and holes are few: 250 buffers of ResNet-50 cost g++ 12 as
// much as 5,000 rounds of a loop, where placing by size costs 30,000.

#include <tessera/passes/alive.hpp>
#include <tessera/passes/arena_map.hpp>

namespace tessera::passes {

/// How the fullest moment is stacked: what was born first, or what dies last, lies lowest.
enum class stacking : u8 { by_birth, by_death };

/// Buffers placed before the walk, as low as they go, in this order.
struct early_buffers {
  static constexpr i32 most = 8;

  i32 ids[most] = {};
  i32 count = 0;

  constexpr bool has(i32 id) const {
    for (i32 i = 0; i < count; ++i) {
      if (ids[i] == id) return true;
    }
    return false;
  }
};

struct outward_placement {
  i64 arena_bytes = 0;
  i32 without_room = -1;  // the first buffer that found no room below the bound
};

namespace detail {

constexpr bool meet(const buffer& a, const buffer& b) {
  return a.born <= b.dies && b.born <= a.dies;
}

/// One placement: the state of its two walks.
struct outward_walk {
  buffer* b = nullptr;
  i32 count = 0;
  i64 bound = 0;
  i32 moments = 0;  // of the plan
  i32 fullest = 0;
  grow<i32> stack;   // alive at the fullest moment, from the bottom
  grow<i32> early;   // placed before the walk, from the bottom
  grow<i32> begins;  // when each buffer begins, in the direction of the walk
  grow<i32> ends;    // and ends
  outward_placement result;

  constexpr outward_walk(buffer* buffers, i32 size)
      : b(buffers), count(size), begins(size), ends(size) {
    find_fullest();
  }

  constexpr void find_fullest() {
    const grow<i64> profile = bytes_alive(b, count);
    const i64* const alive = profile.data();
    moments = profile.size() - 1;
    for (i32 at = 0; at < moments; ++at) {
      if (alive[at] <= bound) continue;
      bound = alive[at];
      fullest = at;
    }
  }

  constexpr void put(i32 i, i64 offset) {
    b[i].offset = offset;
    const i64 top = offset + b[i].bytes;
    if (top > result.arena_bytes) result.arena_bytes = top;
    if (top > bound && result.without_room < 0) result.without_room = i;
  }

  constexpr void pile_up(stacking how) {
    grow<i32> alive;
    grow<i64> keys;
    for (i32 i = 0; i < count; ++i) {
      if (b[i].born > fullest || b[i].dies < fullest) continue;
      const i64 age = moments - b[i].born;
      alive.push(i);
      keys.push(how == stacking::by_birth ? age * (moments + 1) + b[i].dies
                                          : i64{b[i].dies} * (moments + 1) + age);
    }
    i64 offset = 0;
    for (const i32 turn : sort_falling(keys.data(), keys.size())) {
      const i32 i = alive[turn];
      put(i, offset);
      offset += b[i].bytes;
      stack.push(i);
    }
  }

  /// As low as it goes, among the stack and what is placed early already.
  constexpr void put_early(i32 moving) {
    i64 offset = 0;
    i32 at = 0;
    i32 in_stack = 0;
    while (in_stack < stack.size() || at < early.size()) {
      const bool from_stack =
          at == early.size() ||
          (in_stack < stack.size() && b[stack[in_stack]].offset <= b[early[at]].offset);
      const i32 i = from_stack ? stack[in_stack++] : early[at++];
      if (!meet(b[i], b[moving])) continue;
      if (b[i].offset - offset >= b[moving].bytes) break;
      if (b[i].offset + b[i].bytes > offset) offset = b[i].offset + b[i].bytes;
    }
    put(moving, offset);
    early.push(moving);
    for (i32 k = early.size() - 1; k > 0 && b[early[k - 1]].offset > offset; --k) {
      early[k] = early[k - 1];
      early[k - 1] = moving;
    }
  }

  /// Places a buffer that begins now.
  constexpr void choose(arena_map& map, i32 moving) {
    // Plain pointers: what is cheap for the compiler.
    const i64* const from_of = map.begins.data();
    const i64* const to_of = map.ends.data();
    const i32* const lower = map.lower.data();
    const i32* const upper = map.upper.data();
    const i32* const last = ends.data();
    const i32* const holes = map.holes.data();
    const i64 bytes = b[moving].bytes;
    const i32 mine = last[moving];
    // What is placed early and begins later cuts holes.
    i32 cuts[early_buffers::most] = {};
    i32 cut_count = 0;
    for (const i32 e : early) {
      if (begins[e] > begins[moving] && meet(b[e], b[moving])) cuts[cut_count++] = e;
    }
    i32 best_hole = arena_map::edge;
    i64 best_at = 0;
    i64 best_waste = 0;
    bool best_leans = false;
    i32 top = arena_map::edge;  // the hole without end, and where it is free for good
    i64 top_at = 0;
    for (i32 h = 0; h < map.holes.size(); ++h) {
      const i32 hole = holes[h];
      i64 from = from_of[hole];
      i64 to = to_of[hole];
      i32 under = lower[hole];
      for (i32 k = 0; k <= cut_count; ++k) {
        i32 above = upper[hole];
        i64 end = to;
        if (k < cut_count) {
          above = cuts[k];
          end = b[above].offset;
          if (end >= to || end + b[above].bytes <= from) continue;
        } else if (to == arena_map::no_end) {
          top = hole;
          top_at = from;
          end = bound;
        }
        const i64 waste = end - from - bytes;
        if (waste >= 0) {
          const bool on_lower = under == arena_map::edge || last[under] >= mine;
          const bool leans = on_lower || above == arena_map::edge || last[above] >= mine;
          if (best_hole == arena_map::edge || (leans && !best_leans) ||
              (leans == best_leans && waste < best_waste)) {
            best_hole = hole;
            best_at = on_lower || !leans ? from : end - bytes;
            best_waste = waste;
            best_leans = leans;
          }
        }
        if (k < cut_count) {
          from = end + b[above].bytes;
          under = above;
        }
      }
    }
    if (best_hole == arena_map::edge) {
      best_hole = top;
      best_at = top_at;
    }
    put(moving, best_at);
    map.occupy(moving, best_hole, best_at, best_at + bytes);
  }

  constexpr void walk(bool backward) {
    const i32 start = backward ? moments - 1 - fullest : fullest;
    // By moment, linked: what begins then, larger ones first, and what ends.
    grow<i32> first_begin(moments);
    grow<i32> first_end(moments);
    grow<i32> following(count);
    grow<i32> next_end(count);
    i32* const next_begin = following.data();
    for (i32 at = start; at < moments; ++at) first_begin[at] = first_end[at] = -1;
    for (i32 i = 0; i < count; ++i) {
      begins[i] = backward ? moments - 1 - b[i].dies : b[i].born;
      ends[i] = backward ? moments - 1 - b[i].born : b[i].dies;
      if (ends[i] < start) continue;
      next_end[i] = first_end[ends[i]];
      first_end[ends[i]] = i;
      if (begins[i] <= start) continue;
      i32* link = &first_begin[begins[i]];
      while (*link >= 0 && b[*link].bytes >= b[i].bytes) link = next_begin + *link;
      next_begin[i] = *link;
      *link = i;
    }
    arena_map map(count);
    for (const i32 i : stack) {
      map.occupy(i, map.holes[0], b[i].offset, b[i].offset + b[i].bytes);
    }
    for (i32 at = start + 1; at < moments; ++at) {
      for (i32 i = first_end[at - 1]; i >= 0; i = next_end[i]) map.release(i);
      for (const i32 i : early) {
        if (begins[i] != at) continue;
        const i64 offset = b[i].offset;
        map.occupy(i, map.hole_at(offset), offset, offset + b[i].bytes);
      }
      for (i32 i = first_begin[at]; i >= 0; i = next_begin[i]) {
        if (!is_early(i)) choose(map, i);
      }
    }
  }

  constexpr bool is_early(i32 id) const {
    for (const i32 i : early) {
      if (i == id) return true;
    }
    return false;
  }
};

}  // namespace detail

/// Sets the offsets of all buffers.
constexpr outward_placement place_outward(buffer* b, i32 count, stacking how,
                                          const early_buffers& early = {}) {
  if (count == 0) return {};
  detail::outward_walk walk(b, count);
  walk.pile_up(how);
  for (i32 i = 0; i < early.count; ++i) walk.put_early(early.ids[i]);
  walk.walk(false);
  walk.walk(true);
  return walk.result;
}

}  // namespace tessera::passes
