#pragma once

// The vector unit: cycles of elementwise work, conversions, reductions and pooling on one tile.
//
//   supervisor -> 6 workers in turn, each: start-up, then one vector after another
//
//   cycles = supervisor + threads (start-up + c ceil(ceil(n / threads) / lanes))
//
// A barrel's threads take turns. In a lock-step unit they take each step together: `threads` counts
// once, as if there were so many times the lanes. Source of the form and of the IPU's constants:
// cycle estimators of graphcore/poplibs.

#include <tessera/machine/machine.hpp>
#include <tessera/machine/systolic.hpp>  // ceil_div

namespace tessera::vector_cost {

using systolic::ceil_div;

/// Vectors that the busiest worker handles for `n` elements.
constexpr i64 vectors(const vector_unit& v, i64 n, element type) {
  return ceil_div(ceil_div(n, v.threads), v.lanes(type));
}

/// Elements a cycle at best, of a function of one cycle per vector.
constexpr i64 peak(const vector_unit& v, element type) {
  return i64{v.lanes(type)} * v.threads / v.turns();
}

/// `n` elements at `cycles` per vector.
constexpr i64 elementwise(const vector_unit& v, i64 n, element type, i64 cycles) {
  if (n <= 0) return 0;
  return v.supervisor_cycles + v.turns() * (v.worker_cycles + cycles * vectors(v, n, type));
}

/// Conversion of `n` elements: bound by the wider side.
constexpr i64 cast(const vector_unit& v, i64 n, element from, element to) {
  if (n <= 0) return 0;
  const i64 read = vectors(v, n, from);
  const i64 write = vectors(v, n, to);
  return v.turns() * ((read > write ? read : write) + v.cast_cycles);
}

/// `partials` f32 arrays of `n` elements added up at their destination.
constexpr i64 reduce(const vector_unit& v, i64 partials, i64 n) {
  if (partials < 2 || n <= 0) return 0;
  return elementwise(v, n, element::f32, (partials - 1) * v.simple);
}

/// The sum of `n` elements of one row in a tree of lanes: t(n) = ceil(n / V) + t(ceil(n / V)).
constexpr i64 tree(i64 n, i64 lanes) {
  if (lanes < 2) return n;
  i64 cycles = 0;
  while (n > lanes) {
    n = ceil_div(n, lanes);
    cycles += n;
  }
  return cycles + 1;
}

/// Pooling of `outputs` elements in `rows` rows, `window` elements each.
constexpr i64 pool(const vector_unit& v, i64 outputs, i64 rows, i64 window, element type) {
  if (outputs <= 0) return 0;
  return v.supervisor_cycles +
         v.turns() * (v.item_cycles + v.row_cycles * ceil_div(rows, v.threads) +
                      v.pool * window * vectors(v, outputs, type));
}

}  // namespace tessera::vector_cost
