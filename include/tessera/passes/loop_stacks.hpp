#pragma once

// The stacks that a loop keeps for its reverse, and into how many trips it is cut.
//
//   carry    trips + 1 slots: what goes from trip to trip. A piece of k trips needs k + 1 slots,
//            and the loop around it one for each piece and one more
//   other    trips slots: what the reverse reads of a trip. Made again in each piece
//
// Cut at several levels, the stacks of T = a b c trips take a + b + c slots of what is carried
// instead of T, and the forward pass of the loop is done once more for each level: for 1,000 steps
// 10 + 10 + 10 slots and three more forward passes instead of 25 + 40 and two.
// Source: Griewank 1992, Achieving logarithmic growth of temporal and spatial complexity.

#include <tessera/ir/loops.hpp>
#include <tessera/ops/views.hpp>
#include <tessera/passes/repeatable.hpp>

namespace tessera::passes {

/// A stack that only a loop and its reverse use, but for the first and the last state.
struct loop_stack {
  i32 root = -1;
  bool carry = false;
  i64 count = 0;   // elements of a slot
  i64 first = 0;   // where the first trip reads (carry) or writes
  i64 step = 0;    // from trip to trip
  i32 like = -1;   // a view that shows one slot
  i32 kept = -1;   // carry: the stack of every k-th state
  i32 again = -1;  // the piece in the reverse
  i32 piece = -1;  // carry: two slots in the forward pass, what a trip finds and what it leaves
};

/// True where view `t` shows slot `trip` (0: first, trips: last) of the stack alone.
constexpr bool is_slot(const tensor& t, const loop_stack& s, i32 trip) {
  return t.dims.count() == s.count && t.base == s.first + trip * s.step;
}

/// Trips of a piece, by levels.
struct loop_cut {
  i64 bytes = 0;  // of all stacks
  i32 steps = 0;  // 0: whole
};

/// How `trips` trips are cut at most `levels` times, with stacks of so many bytes a slot.
constexpr loop_cut best_cut(i32 trips, i32 levels, i64 carries, i64 others) {
  loop_cut best{(trips + 1) * carries + trips * others, 0};
  for (i32 k = 2; levels > 0 && 2 * k <= trips; ++k) {
    if (trips % k != 0) continue;
    const i64 inner = best_cut(k, levels - 1, carries, others).bytes;
    const i64 bytes = (trips / k + 1) * carries + inner;
    if (bytes < best.bytes) best = {bytes, k};
  }
  return best;
}

/// Looks at a loop and its reverse in the same body.
class loop_stacks {
 public:
  constexpr loop_stacks(const graph& g, const grow<loop_span>& loops, i32 forward, i32 reverse)
      : g_(g),
        loops_(loops),
        forward_(forward),
        reverse_(reverse),
        around_(g.bodies[forward].parent) {}

  constexpr bool can_split() const {
    const loop_body& b = g_.bodies[forward_];
    if (b.trips < 4 || b.depth >= loop_body::max_depth) return false;
    if (g_.bodies[reverse_].parent != around_) return false;
    for (const i32 body : {forward_, reverse_}) {
      for (i32 i = loops_[body].begin + 1; i < loops_[body].end; ++i) {
        const operation& op = g_.operations[i];
        if (op.what == kind::loop) return false;
        if (body == forward_ && (!repeatable(g_, op) || writes_in_place(op))) return false;
      }
    }
    for (i32 id = 0; id < g_.tensors.size(); ++id) {  // views of slices side by side, or standing
      const tensor& t = g_.tensors[id];
      if (t.of < 0 || (t.body != forward_ && t.body != reverse_)) continue;
      if (g_.tensors[t.of].body == t.body) continue;
      const i64 n = t.dims.count();
      if (t.step != 0 && t.step != n && t.step != -n) return false;
    }
    return true;
  }

  constexpr grow<loop_stack> find() const {
    grow<loop_stack> stacks;
    for (i32 i = loops_[forward_].begin + 1; i < loops_[forward_].end; ++i) {
      for (const i32 out : g_.operations[i].out) {
        if (out < 0) continue;
        const tensor& t = g_.tensors[out];
        if (t.of < 0 || t.step == 0 || t.body != forward_) continue;
        const tensor& root = g_.tensors[t.of];
        if (root.of >= 0 || root.body != around_ || root.what == role::result) continue;
        if (!in_arena(root.what)) continue;
        loop_stack s;
        s.root = t.of;
        s.count = t.dims.count();
        s.step = t.step;
        s.like = out;
        s.carry = root.dims[0] == g_.bodies[forward_].trips + 1;
        s.first = s.carry ? t.base - t.step : t.base;
        if (used_alone(s)) stacks.push(s);
      }
    }
    return stacks;
  }

  /// Trips of a piece, where the pieces may be cut again, `levels` times in all; 0 where nothing is
  /// won.
  constexpr i32 choose_steps(const grow<loop_stack>& stacks, i32 levels) const {
    i64 carries = 0;
    i64 others = 0;
    for (const loop_stack& s : stacks) {
      const i64 bytes = s.count * bytes_of(g_.tensors[s.root].type);
      (s.carry ? carries : others) += bytes;
    }
    return best_cut(g_.bodies[forward_].trips, levels, carries, others).steps;
  }

 private:
  /// True where a trip of the forward loop writes over what is outside: done again, it would find
  /// something else.
  constexpr bool writes_in_place(const operation& op) const {
    for (i32 v : op.out) {
      while (v >= 0 && g_.tensors[v].of >= 0 && g_.tensors[g_.tensors[v].of].body == forward_) {
        v = g_.tensors[v].of;
      }
      if (v >= 0 && g_.tensors[v].of >= 0 && g_.tensors[v].step == 0) return true;
    }
    return false;
  }

  constexpr i32 inside(i32 operation) const {
    for (const i32 body : {forward_, reverse_}) {
      if (operation > loops_[body].begin && operation < loops_[body].end) return body;
    }
    return around_;
  }

  constexpr bool used_alone(const loop_stack& s) const {
    const i32 trips = g_.bodies[forward_].trips;
    i32 writers = 0;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      for (i32 slot = 0; slot < operation::max_inputs + operation::max_outputs; ++slot) {
        const bool writes = slot >= operation::max_inputs;
        const i32 id = writes ? op.out[slot - operation::max_inputs] : op.in[slot];
        if (id < 0 || storage_of(g_, id) != s.root) continue;
        const i32 body = inside(i);
        i32 v = id;
        while (body != around_ && g_.tensors[v].of >= 0 &&
               g_.tensors[g_.tensors[v].of].body == body) {
          v = g_.tensors[v].of;
        }
        const tensor& t = g_.tensors[v];
        if (t.of != s.root) return false;
        if (body == forward_) {
          writers += writes ? 1 : 0;
          const bool right = t.step == s.step && t.dims.count() == s.count &&
                             (t.base == s.first || (s.carry && t.base == s.first + s.step));
          if (!right) return false;
        } else if (body == reverse_) {
          const i64 last = s.first + (trips - 1) * s.step;
          const bool right = t.step == -s.step && t.dims.count() == s.count && !writes &&
                             (t.base == last || (s.carry && t.base == last + s.step));
          if (!right) return false;
        } else {
          if (!s.carry || t.body != around_ || t.step != 0) return false;
          const bool before = i < loops_[forward_].begin;
          const bool start = is_slot(t, s, 0) && (before || !writes);
          const bool end = is_slot(t, s, trips) && !before && !writes;
          if (!start && !end) return false;
        }
      }
    }
    return writers == 1;
  }

  const graph& g_;
  const grow<loop_span>& loops_;
  i32 forward_;
  i32 reverse_;
  i32 around_;
};

}  // namespace tessera::passes
