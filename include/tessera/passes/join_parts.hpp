#pragma once

// Concat and split without copies: where parts lie one after another in memory, producers write
// into the whole, and what a split gives are views of it.
//
//   conv -> a   conv -> b   concat(a, b) -> y         conv -> y's first half   conv -> y's second
//
// That is so where nothing lies outside of the axis: one sample, or samples innermost
// (ops/move.hpp, `outer` == 1). A tensor can be a part of one concat only; a whole may itself be a
// part of another. Left alone: parts that are absent or given twice, results, and what somebody
// writes a second time. O(operations).

#include <tessera/passes/liveness.hpp>

namespace tessera::passes {

namespace detail {

/// By tensor: how many operations write its bytes.
constexpr grow<i32> count_writers(const graph& g, const tensor_uses& uses) {
  grow<i32> writers(g.tensors.size());
  for (const operation& op : g.operations) {
    for (const i32 out : op.out) {
      if (out >= 0) ++writers[uses.root[out]];
    }
  }
  return writers;
}

/// True where `id`, of `count` elements, can become a view of a part of `whole`.
constexpr bool can_be_part(const graph& g, const grow<i32>& writers, i32 id, i32 whole, i64 count,
                           i32 body) {
  const tensor& t = g.tensors[id];
  return t.of < 0 && t.body == body && in_arena(t.what) && t.what != role::result &&
         t.type == g.tensors[whole].type && t.dims.count() == count && writers[id] == 1 &&
         id != whole;
}

}  // namespace detail

/// Drops concats and splits that become views. By tensor: is it a whole that is written in parts?
constexpr grow<bool> join_parts(graph& g) {
  grow<bool> joined(g.tensors.size());
  bool any = false;
  for (const operation& op : g.operations) {
    any = any || op.what == kind::concat || op.what == kind::split;
  }
  if (!any) return joined;
  const grow<i32> writers = detail::count_writers(g, find_uses(g));
  const grow<i32> bodies = bodies_of_operations(g);
  i32 kept = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    const bool concat = op.what == kind::concat;
    bool joins = concat || op.what == kind::split;
    if (joins) {
      const move_sizes n = ops::sizes_of_move(g, op);
      const i32 whole = concat ? op.out[0] : op.in[0];
      const tensor& w = g.tensors[whole];
      joins = n.outer == 1 && w.of < 0 && w.body == bodies[i] && in_arena(w.what) &&
              writers[whole] == 1;
      const i32* const parts = concat ? op.in : op.out;
      for (i32 k = 0; k < move_sizes::max_parts && joins; ++k) {
        if (n.width[k] == 0) continue;
        if (parts[k] < 0) {
          joins = !concat;  // zeros; what nobody wants is no matter
          continue;
        }
        joins = detail::can_be_part(g, writers, parts[k], whole, n.width[k], bodies[i]);
        for (i32 other = 0; other < k; ++other) joins = joins && parts[other] != parts[k];
      }
      i64 base = 0;
      for (i32 k = 0; k < move_sizes::max_parts && joins; ++k) {
        if (parts[k] >= 0 && n.width[k] > 0) {
          tensor& t = g.tensors[parts[k]];
          t.of = whole;
          t.base = base;
          t.step = 0;
        }
        base += n.width[k];
      }
      if (joins && concat) joined[whole] = true;
    }
    if (joins) continue;
    if (kept < i) g.operations[kept] = g.operations[i];
    ++kept;
  }
  g.operations.resize(kept);
  return joined;
}

}  // namespace tessera::passes
