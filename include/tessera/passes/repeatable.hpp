#pragma once

// Which operations of a forward pass can be run again, and what that costs.

#include <tessera/ops/work.hpp>

namespace tessera::passes {

/// What repeated operations cost.
struct repeated_work {
  i64 macs = 0;        // multiply-adds of a step
  i32 operations = 0;  // of the graph; in a loop each counts once
  bool possible = true;

  constexpr repeated_work& operator+=(const repeated_work& other) {
    macs += other.macs;
    operations += other.operations;
    possible = possible && other.possible;
    return *this;
  }
};

/// True for operations that do no more multiply-adds than their values have elements; weights do
/// not count, so that no product is cheap, whatever the batch.
constexpr bool cheap_to_repeat(const graph& g, const operation& op) {
  switch (op.what) {
    case kind::max_pool2d:
    case kind::avg_pool2d: return false;
    default: break;
  }
  if (is_resize(op.what) || is_loss(op.what)) return false;
  i64 largest = 0;
  for (const i32 id : op.in) {
    if (id < 0 || !in_arena(g.tensors[storage_of(g, id)].what)) continue;
    const i64 count = g.tensors[id].dims.count();
    largest = count > largest ? count : largest;
  }
  for (const i32 id : op.out) {
    if (id >= 0 && g.tensors[id].dims.count() > largest) largest = g.tensors[id].dims.count();
  }
  return ops::macs_of(g, op) <= largest;
}

/// True where an operation changes nothing but its outputs, and may leave out the statistics.
constexpr bool repeatable(const graph& g, const operation& op) {
  if (op.what == kind::none || op.what == kind::loop || op.what == kind::end_loop) return false;
  if (is_loss(op.what) || is_experts(op.what) || ops::is_sampling(op.what)) return false;
  for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
    if (op.out[slot] < 0) continue;
    const bool statistic = ops::is_norm(op.what) && (slot == 1 || slot == 2);
    if (!statistic && !in_arena(g.tensors[storage_of(g, op.out[slot])].what)) return false;
  }
  return true;
}

/// `op` as it is repeated, its outputs not yet replaced: without what only the first run leaves.
constexpr operation repeated(const operation& op) {
  operation again = op;
  if (ops::is_norm(op.what)) again.out[1] = again.out[2] = -1;
  return again;
}

}  // namespace tessera::passes
