#pragma once

// Placement: an offset in one arena for every buffer, so that no two that live at the same time
// overlap.
//
//   try      0        outward from the fullest moment, stacked by birth
//            1        the same, stacked by death
//            2 to 9   as 1; each time the buffer that found no room in the last try is placed early
//            10 to 17 as 0, likewise
//            18, 19   one buffer after another, by size and by crowd; up to 400 buffers
//
// The tries end at the lower bound, the most bytes alive at once; mostly that is the first. On the
// 48 training steps in tests/data/memory the bound is reached 48 times; 46 times by try 0.
// Every try is a function of its own, so that each can be a constant of its own.

#include <tessera/passes/place_in_order.hpp>
#include <tessera/passes/place_outward.hpp>

namespace tessera::passes {

/// How many buffers are placed one after another at most.
inline constexpr i32 buffers_in_order = 400;

/// Where the tries stand: what one hands on to the next.
struct placement_tries {
  static constexpr i32 most = 2 + 2 * early_buffers::most + placement_orders;

  i32 done = 0;
  early_buffers early[2];          // by stacking
  i32 without_room[2] = {-1, -1};  // in the last try of each stacking
};

/// Makes the next try. Sets all offsets and returns the arena's bytes, or -1 where that try has
/// nothing new to do.
constexpr i64 try_placement(placement_tries& tries, buffer* b, i32 count) {
  constexpr i32 repairs = early_buffers::most;
  // About as much work for many buffers as for few: 8 repairs of 125, 2 of 500 and more.
  const i32 allowed = count <= 125 ? repairs : count >= 500 ? 2 : 1000 / count;
  const i32 number = tries.done++;
  if (number >= 2 + 2 * repairs) {
    if (count > buffers_in_order) return -1;
    return place_in_order(b, count, static_cast<placement_order>(number - 2 - 2 * repairs));
  }
  const bool by_death = number == 1 || (number >= 2 && number < 2 + repairs);
  const i32 which = by_death ? 1 : 0;
  early_buffers& early = tries.early[which];
  if (number >= 2) {
    const i32 missed = tries.without_room[which];
    if (missed < 0 || early.has(missed) || early.count == allowed) return -1;
    early.ids[early.count++] = missed;
  }
  const outward_placement made =
      place_outward(b, count, by_death ? stacking::by_death : stacking::by_birth, early);
  tries.without_room[which] = made.without_room;
  return made.arena_bytes;
}

/// Places all buffers; returns the arena's bytes, the least that the tries reach.
constexpr i64 place(buffer* b, i32 count) {
  const i64 bound = lower_bound(b, count);
  placement_tries tries;
  i64 best = -1;
  grow<i64> offsets(count);
  while (best != bound && tries.done < placement_tries::most) {
    const i64 arena = try_placement(tries, b, count);
    if (arena < 0 || (best >= 0 && arena >= best)) continue;
    best = arena;
    for (i32 i = 0; i < count; ++i) offsets[i] = b[i].offset;
  }
  for (i32 i = 0; i < count; ++i) b[i].offset = offsets[i];
  return best;
}

}  // namespace tessera::passes
