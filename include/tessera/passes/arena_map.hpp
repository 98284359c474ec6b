#pragma once

// The arena at one moment: buffers that are alive and the holes between them, in order of address.
//
//   address  0                                                        no end
//            | buffer 3 |  hole  | buffer 0 | buffer 7 |    hole ...
//
// Doubly linked, so that a buffer that dies finds its neighbours at once; holes that meet become
// one. Looking for room visits the holes only, of which there are few.

#include <tessera/ir/memory.hpp>

namespace tessera::passes {

/// Segments are called by number: buffers by their own, holes by those from `count` on.
struct arena_map {
  static constexpr i32 edge = -1;  // below the first segment and above the last
  static constexpr i64 no_end = i64{1} << 62;

  i32 count = 0;     // buffers
  grow<i64> begins;  // by segment
  grow<i64> ends;
  grow<i32> lower;  // the segment below
  grow<i32> upper;  // and above
  grow<i32> holes;  // all of them, in any order
  grow<i32> spare;  // numbers of holes that are no more

  constexpr explicit arena_map(i32 buffers)
      : count(buffers), begins(buffers), ends(buffers), lower(buffers), upper(buffers) {
    add_hole(0, no_end, edge, edge);
  }

  constexpr bool is_hole(i32 segment) const { return segment >= count; }

  /// The hole in which an address lies.
  constexpr i32 hole_at(i64 address) const {
    for (const i32 hole : holes) {
      if (begins[hole] <= address && address < ends[hole]) return hole;
    }
    return edge;
  }

  /// Puts a buffer into a hole that has room for it there.
  constexpr void occupy(i32 buffer, i32 hole, i64 begin, i64 end) {
    begins[buffer] = begin;
    ends[buffer] = end;
    const i64 rest = ends[hole];
    const i32 over = upper[hole];
    if (begins[hole] < begin) {
      ends[hole] = begin;
      link(hole, buffer);
      link(buffer, over);
      if (end < rest) add_hole(end, rest, buffer, over);
    } else if (end < rest) {
      begins[hole] = end;
      link(lower[hole], buffer);
      link(buffer, hole);
    } else {
      link(lower[hole], buffer);
      link(buffer, over);
      drop_hole(hole);
    }
  }

  /// A buffer dies.
  constexpr void release(i32 buffer) {
    const i32 under = lower[buffer];
    const i32 over = upper[buffer];
    if (is_hole(under)) {
      ends[under] = ends[buffer];
      link(under, over);
      if (!is_hole(over)) return;
      ends[under] = ends[over];
      link(under, upper[over]);
      drop_hole(over);
    } else if (is_hole(over)) {
      begins[over] = begins[buffer];
      link(under, over);
    } else {
      add_hole(begins[buffer], ends[buffer], under, over);
    }
  }

 private:
  constexpr void link(i32 under, i32 over) {
    if (under != edge) upper[under] = over;
    if (over != edge) lower[over] = under;
  }

  constexpr void add_hole(i64 begin, i64 end, i32 under, i32 over) {
    i32 hole = begins.size();
    if (spare.empty()) {
      begins.push(begin);
      ends.push(end);
      lower.push(under);
      upper.push(over);
    } else {
      hole = spare.back();
      spare.resize(spare.size() - 1);
      begins[hole] = begin;
      ends[hole] = end;
    }
    holes.push(hole);
    link(under, hole);
    link(hole, over);
    if (under == edge) lower[hole] = edge;
    if (over == edge) upper[hole] = edge;
  }

  constexpr void drop_hole(i32 hole) {
    for (i32& each : holes) {
      if (each != hole) continue;
      each = holes.back();
      break;
    }
    holes.resize(holes.size() - 1);
    spare.push(hole);
  }
};

}  // namespace tessera::passes
