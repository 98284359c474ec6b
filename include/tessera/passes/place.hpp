#pragma once

// Placement: an offset in one arena for every buffer, so that no two that live at the same time
// overlap.
//
//   bytes
//     ^   +-----------+ +----+       Buffers are taken one after another, largest first, and put
//     |   |  conv1    | | d2 |       into the lowest gap that is large enough among those already
//     |   +------+----+ +----+       placed that live at the same time (first fit). Three orders
//     |   | d1   |                   are tried until one reaches the lower bound: by size, by life
//     +---+------+---------------->  times size, and by the largest crowd in a buffer's life, into
//                        operation   the tightest gap (best fit).
//
// The lower bound is the most bytes alive at once. O(buffers^2) per order. On the 48 training steps
// in tests/data/memory the bound is reached 42 times and missed by at most 0.7 %.
// Source: Pisarchyk, Lee 2020 (greedy by size), Gergov 1999 on the bound.

#include <tessera/ir/memory.hpp>

namespace tessera::passes {

constexpr bool live_together(const buffer& a, const buffer& b) {
  return a.born <= b.dies && b.born <= a.dies;
}

/// The most bytes alive at any one operation. O(buffers^2): the maximum is at a birth.
constexpr i64 lower_bound(const buffer* b, i32 count) {
  i64 most = 0;
  for (i32 i = 0; i < count; ++i) {
    i64 alive = 0;
    for (i32 k = 0; k < count; ++k) {
      if (b[k].born <= b[i].born && b[i].born <= b[k].dies) alive += b[k].bytes;
    }
    if (alive > most) most = alive;
  }
  return most;
}

enum class placement_order : u8 { size, area, crowd };
inline constexpr i32 placement_orders = 3;

/// By buffer: the most bytes alive at once during its life. The maximum is at a birth.
constexpr grow<i64> crowds(const buffer* b, i32 count) {
  grow<i64> at_birth(count);
  for (i32 i = 0; i < count; ++i) {
    for (i32 k = 0; k < count; ++k) {
      if (b[k].born <= b[i].born && b[i].born <= b[k].dies) at_birth[i] += b[k].bytes;
    }
  }
  grow<i64> most(count);
  for (i32 i = 0; i < count; ++i) {
    for (i32 k = 0; k < count; ++k) {
      const bool during = b[i].born <= b[k].born && b[k].born <= b[i].dies;
      if (during && at_birth[k] > most[i]) most[i] = at_birth[k];
    }
  }
  return most;
}

/// Sets the offsets of all buffers, one after another in the given order; returns the arena's
/// bytes.
constexpr i64 place_in_order(buffer* b, i32 count, placement_order order) {
  const bool best_fit = order == placement_order::crowd;
  grow<i64> key(count);
  if (best_fit) key = crowds(b, count);
  grow<i32> turn(count);
  for (i32 i = 0; i < count; ++i) {
    turn[i] = i;
    if (best_fit) continue;
    key[i] = b[i].bytes;
    if (order == placement_order::area) key[i] *= b[i].dies - b[i].born + 1;
  }
  for (i32 i = 1; i < count; ++i) {  // insertion sort: stable, and short for the compiler
    const i32 moving = turn[i];
    i32 k = i;
    for (; k > 0; --k) {
      const i32 before = turn[k - 1];
      const bool larger = key[before] == key[moving] ? b[before].bytes < b[moving].bytes
                                                     : key[before] < key[moving];
      if (!larger) break;
      turn[k] = before;
    }
    turn[k] = moving;
  }

  i64 arena = 0;
  grow<i32> placed;  // by rising offset
  for (i32 i = 0; i < count; ++i) {
    buffer& now = b[turn[i]];
    i64 offset = 0;
    i64 best = -1;  // the gap chosen so far
    i64 best_room = 0;
    for (const i32 other : placed) {
      if (!live_together(b[other], now)) continue;
      const i64 room = b[other].offset - offset;
      if (room >= now.bytes && (best < 0 || room < best_room)) {
        best = offset;
        best_room = room;
        if (!best_fit) break;
      }
      const i64 end = b[other].offset + b[other].bytes;
      if (end > offset) offset = end;
    }
    if (best >= 0) offset = best;
    now.offset = offset;
    if (offset + now.bytes > arena) arena = offset + now.bytes;
    i32 at = placed.push(turn[i]);
    for (; at > 0 && b[placed[at - 1]].offset > offset; --at) placed[at] = placed[at - 1];
    placed[at] = turn[i];
  }
  return arena;
}

/// Places all buffers; returns the arena's bytes, the least that the orders reach.
constexpr i64 place(buffer* b, i32 count) {
  const i64 bound = lower_bound(b, count);
  i64 best = -1;
  placement_order best_order = placement_order::size;
  for (i32 i = 0; i < placement_orders && best != bound; ++i) {
    const auto order = static_cast<placement_order>(i);
    const i64 arena = place_in_order(b, count, order);
    if (best >= 0 && arena >= best) continue;
    best = arena;
    best_order = order;
  }
  const i64 last = place_in_order(b, count, best_order);
  return last;
}

}  // namespace tessera::passes
