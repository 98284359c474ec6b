#pragma once

// Bytes alive: how much is needed at each operation, and so the least that any arena must hold.
//
// Source of the bound: Gergov 1999.

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

/// The most bytes alive at any one operation, in all memories together.
constexpr i64 lower_bound(const buffer* b, i32 count) {
  i64 most = 0;
  for (const i64 alive : bytes_alive(b, count)) most = alive > most ? alive : most;
  return most;
}

/// Numbers by falling key, then as they were: a merge sort from the bottom.
constexpr grow<i32> sort_falling(const i64* key, i32 count) {
  grow<i32> sorted(count);
  grow<i32> merged(count);
  i32* from = sorted.data();
  i32* to = merged.data();
  for (i32 i = 0; i < count; ++i) from[i] = i;
  bool swapped = false;
  for (i32 width = 1; width < count; width *= 2, swapped = !swapped) {
    for (i32 begin = 0; begin < count; begin += 2 * width) {
      const i32 middle = begin + width < count ? begin + width : count;
      const i32 end = middle + width < count ? middle + width : count;
      i32 left = begin;
      i32 right = middle;
      for (i32 i = begin; i < end; ++i) {
        const bool take_right =
            left == middle || (right < end && key[from[left]] < key[from[right]]);
        to[i] = take_right ? from[right++] : from[left++];
      }
    }
    i32* const other = from;
    from = to;
    to = other;
  }
  return swapped ? merged : sorted;
}

}  // namespace tessera::passes
