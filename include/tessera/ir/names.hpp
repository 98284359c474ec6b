#pragma once

// Names in full: what a tensor or a layer is called in files and reports.
//
//   scope "layer1", block 0, conv1, weight       layer1.0.conv1.weight
//   scope "layer3" repeated 5 times from 1 on    layer3.1-5.conv1.weight   all slices of the stack
//                                                layer3.4.conv1.weight     slice 3
//
// A parameter of a repeated block is a stack of slices, one a trip; where blocks are repeated in
// repeated blocks, the trips of the innermost follow each other in memory. A slice is numbered in
// that order, so that one number names it whatever the depth.

#include <tessera/ir/graph.hpp>

namespace tessera {

/// How many names a scope spells: the product of the trips of all repeated blocks around.
constexpr i32 slices_of(const graph& g, i32 scope) {
  i32 n = 1;
  for (; scope >= 0; scope = g.scopes[scope].parent) {
    const name_scope& s = g.scopes[scope];
    if (s.body > 0) n *= g.bodies[s.body].trips;
  }
  return n;
}

/// The number of the slice that is seen in the given trips: one for each repeated block around,
/// outermost first.
constexpr i32 slice_number(const graph& g, i32 scope, const i32* trips) {
  i32 repeats = 0;
  for (i32 s = scope; s >= 0; s = g.scopes[s].parent) repeats += g.scopes[s].body > 0 ? 1 : 0;
  i32 number = 0;
  i32 apart = 1;  // slices from trip to trip of the block at hand
  for (i32 s = scope; s >= 0; s = g.scopes[s].parent) {
    if (g.scopes[s].body == 0) continue;
    number += trips[--repeats] * apart;
    apart *= g.bodies[g.scopes[s].body].trips;
  }
  return number;
}

/// Puts "layer3.4." behind `out`; with slice -1 "layer3.1-5.".
template <i32 Capacity>
constexpr void append_scope(const graph& g, i32 scope, i32 slice, text<Capacity>& out) {
  if (scope < 0) return;
  const name_scope& s = g.scopes[scope];
  const i32 trips = s.body > 0 ? g.bodies[s.body].trips : 1;
  append_scope(g, s.parent, slice < 0 ? -1 : slice / trips, out);
  if (*s.name != 0) {
    out.append(s.name);
    if (s.ordinal > 0) out.append(s.ordinal);
    if (out.letters[out.size - 1] != '.') out.append('.');
  }
  if (s.body == 0) return;
  out.append(s.first + (slice < 0 ? 0 : slice % trips));
  if (slice < 0 && trips > 1) out.append('-').append(s.first + trips - 1);
  out.append('.');
}

/// The name with its scope. `slice` says which of its repeats is meant, -1: all of them.
constexpr text<96> full_name(const graph& g, const tensor_name& name, i32 slice = -1) {
  text<96> joined;
  append_scope(g, name.scope, slice, joined);
  return joined.append(spell(name));
}

}  // namespace tessera
