#pragma once

// Mapping: the blocks of an operation on a machine.
//
// A product, and whatever is summed over, is searched for (mapping_search.hpp); other operations
// are cut along the axes that cost no exchange. The choice depends on signature and machine only,
// so it is a constant.

#include <tessera/backends/accelerator/mapping_search.hpp>

namespace tessera::accelerator {

/// The mapping of `s` on `m`.
constexpr mapping map(const machine& m, const signature& s) {
  if (has_slices(s)) {  // each slice as if it were alone
    signature one = s;
    one.n[3] = 1;
    mapping of_slice = map(m, one);
    const i32 serial = of_slice.of.serial;
    const i32 rounds = of_slice.of.rounds;
    of_slice.of = problem_of(s);
    of_slice.of.serial = serial;
    of_slice.of.rounds = rounds;
    of_slice.block[axis_h] = of_slice.of.extent[axis_h];
    return of_slice;
  }
  mapping best;
  best.of = problem_of(s);
  const problem& p = best.of;
  for (i32 a = 0; a < axis_count; ++a) best.block[a] = p.extent[a];
  if (p.what == family::single) return best;
  if (p.what == family::elementwise || p.what == family::cell || p.what == family::exchange ||
      p.what == family::groups || p.what == family::gate) {
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
  return detail::mapping_search(m, s, best).find();
}

}  // namespace tessera::accelerator
