#pragma once

// Placement one after another: each buffer into a gap among those already placed that live at the
// same time.
//
//   size    the largest first, into the lowest gap (first fit)
//   crowd   by the most bytes alive at once in a buffer's life, into the tightest gap (best fit)
//
// O(buffers^2): 400 buffers are what clang's default allowance for one constant bears.
// Source: Pisarchyk, Lee 2020 (greedy by size, greedy by breadth).

#include <tessera/passes/alive.hpp>

namespace tessera::passes {

enum class placement_order : u8 { size, crowd };
inline constexpr i32 placement_orders = 2;

namespace detail {

/// Buffers in the order of their turns; equals by falling size.
constexpr grow<i32> placement_turns(const buffer* b, i32 count, placement_order order) {
  grow<i64> keys(count);
  i64* const key = keys.data();
  for (i32 i = 0; i < count; ++i) key[i] = b[i].bytes;
  grow<i32> by_size = sort_falling(key, count);
  if (order == placement_order::size) return by_size;
  const grow<i64> profile = bytes_alive(b, count);
  const i64* const alive = profile.data();
  for (i32 turn = 0; turn < count; ++turn) {
    const buffer& moving = b[by_size[turn]];
    key[turn] = 0;
    for (i32 at = moving.born; at <= moving.dies; ++at) {
      key[turn] = alive[at] > key[turn] ? alive[at] : key[turn];
    }
  }
  grow<i32> turns = sort_falling(key, count);
  for (i32& turn : turns) turn = by_size[turn];
  return turns;
}

}  // namespace detail

/// Sets the offsets of all buffers; returns the arena's bytes.
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

}  // namespace tessera::passes
