#pragma once

// Loops in loops: a recurrence over many trips keeps the values of every k-th trip only.
//
//   forward   loop T: step                      loop T/k: loop k: step         keeps T/k states
//   backward  loop T: step back      becomes    loop T/k: loop k: step         k states again,
//                                                         loop k: step back    from one of those
//
// The two loops in the reverse are a loop and its reverse again, and may be cut again.
//
// What goes from trip to trip lies in a stack of T + 1 slots that only the loop and its reverse
// read, and the states before the first and after the last trip. It becomes a stack of T/k + 1
// slots, one of k + 1 slots inside of each outer loop of the reverse, and two slots in the forward
// pass, of which the second is copied to the first at the end of a trip. Other stacks of which only
// the reverse reads are made inside its outer loop alone. Everything else that a trip sees from
// outside is seen through one more view. The forward pass of the loop is done once more for each
// level; how many trips a piece has: passes/loop_stacks.hpp.
// Sources: Griewank 1992, Achieving logarithmic growth; Chen et al. 2016.

#include <tessera/passes/drop_values.hpp>
#include <tessera/passes/loop_stacks.hpp>

namespace tessera::passes {

namespace detail {

class loop_splitter {
 public:
  constexpr loop_splitter(graph& g, i32 forward, i32 reverse)
      : g_(g),
        loops_(find_loops(g)),
        forward_(forward),
        reverse_(reverse),
        around_(g.bodies[forward].parent) {}

  /// Cuts the loop once, so that it can be cut `levels` times in all.
  constexpr repeated_work run(i32 levels) {
    repeated_work work;
    const loop_stacks look(g_, loops_, forward_, reverse_);
    if (!look.can_split()) return work;
    stacks_ = look.find();
    const i32 steps = look.choose_steps(stacks_, levels);
    if (steps == 0) return work;
    const i64 runs = runs_of(g_, forward_);
    find_live();
    for (i32 i = loops_[forward_].begin + 1; i < loops_[forward_].end; ++i) {
      if (!live_[i]) continue;
      work.macs += ops::macs_of(g_, g_.operations[i]) * runs;
      ++work.operations;
    }
    split(steps);
    return work;
  }

  /// The loop that runs again in the reverse of the cut one; -1 where it has stayed whole.
  constexpr i32 again() const { return again_; }

 private:
  /// Which operations of the forward body are run again: those that give the stacks, and what these
  /// are made of. What the loop puts out elsewhere is there.
  constexpr void find_live() {
    grow<bool> wanted(g_.tensors.size());  // by storage
    live_.resize(g_.operations.size());
    for (i32 i = loops_[forward_].end - 1; i > loops_[forward_].begin; --i) {
      const operation& op = g_.operations[i];
      for (const i32 out : op.out) {
        if (out < 0) continue;
        const i32 root = storage_of(g_, out);
        live_[i] = live_[i] || wanted[root] || stack_of(root) != nullptr;
      }
      if (!live_[i]) continue;
      for (const i32 in : op.in) {
        if (in >= 0) wanted[storage_of(g_, in)] = true;
      }
    }
  }

  constexpr i32 add_body(i32 like, i32 parent, i32 depth, i32 trips) {
    loop_body b = g_.bodies[like];
    b.parent = parent;
    b.depth = depth;
    b.trips = trips;
    return g_.bodies.push(b);
  }

  constexpr i32 add_stack(const loop_stack& s, i32 body, i32 slots) {
    tensor t = g_.tensors[s.like];
    t.dims = t.dims.batch_of(slots);
    ++t.stack;
    t.body = body;
    t.of = -1;
    t.base = t.step = 0;
    return g_.add(t);
  }

  constexpr i32 add_slot(const loop_stack& s, i32 of, i32 body, i64 base, i64 step) {
    const tensor t = g_.tensors[s.like];
    return ops::view_into(g_, of, t.dims, t.stack, body, base, step);
  }

  constexpr const loop_stack* stack_of(i32 root) const {
    for (const loop_stack& s : stacks_) {
      if (s.root == root) return &s;
    }
    return nullptr;
  }

  constexpr void split(i32 steps) {
    const i32 trips = g_.bodies[forward_].trips;
    const i32 pieces = trips / steps;
    const i32 depth = g_.bodies[forward_].depth;
    outer_ = add_body(forward_, around_, depth, pieces);
    outer_reverse_ = add_body(reverse_, around_, depth, pieces);
    again_ = add_body(forward_, outer_reverse_, depth + 1, steps);
    for (loop_stack& s : stacks_) {
      if (s.carry) {
        s.kept = add_stack(s, around_, pieces + 1);
        s.piece = add_stack(s, outer_, 2);
      }
      s.again = add_stack(s, outer_reverse_, s.carry ? steps + 1 : steps);
      g_.tensors[s.again].repeated = true;
    }
    const i32 tensors = g_.tensors.size();
    images_.resize(tensors);
    for (i32& i : images_) i = -1;
    repeat_body(steps, pieces);  // reads views as they were
    for (i32 id = 0; id < tensors; ++id) move_view(id, steps, pieces);
    keep_names();
    for (const i32 body : {forward_, reverse_}) {
      g_.bodies[body].parent = body == forward_ ? outer_ : outer_reverse_;
      g_.bodies[body].depth = depth + 1;
      g_.bodies[body].trips = steps;
    }
    merge(pieces);
  }

  /// Parameters of repeated blocks are named by trips of a body: one that says so and does nothing
  /// else.
  constexpr void keep_names() {
    i32 named = -1;
    for (name_scope& scope : g_.scopes) {
      if (scope.body != forward_ || !g_.bodies[forward_].own_weights) continue;
      if (named < 0) named = g_.bodies.push(loop_body(g_.bodies[forward_]));
      scope.body = named;
    }
  }

  /// The operations of the forward body once more, in a body of the outer reverse.
  constexpr void repeat_body(i32 steps, i32 pieces) {
    for (i32 i = loops_[forward_].begin + 1; i < loops_[forward_].end; ++i) {
      if (!live_[i]) continue;
      operation op = repeated(g_.operations[i]);
      for (i32& in : op.in) in = in < 0 ? -1 : image(in, steps, pieces);
      for (i32& out : op.out) {
        if (out < 0) continue;
        const i32 root = storage_of(g_, out);
        const bool elsewhere = root != out && stack_of(root) == nullptr;
        if (elsewhere && images_[out] < 0) {  // is there already: not written twice
          tensor t = g_.tensors[out];
          t.body = again_;
          t.of = -1;
          t.base = t.step = 0;
          t.repeated = true;
          const i32 plain = g_.add(t);
          images_[out] = plain;
        }
        out = image(out, steps, pieces);
      }
      repeated_.push(op);
    }
  }

  constexpr i32 image(i32 id, i32 steps, i32 pieces) {
    const tensor t = g_.tensors[id];
    if (t.body != forward_) return id;
    if (images_[id] >= 0) return images_[id];
    tensor copy = t;
    copy.body = again_;
    copy.repeated = true;
    if (t.of >= 0 && g_.tensors[t.of].body == forward_) {
      const i32 of = image(t.of, steps, pieces);
      copy.of = of;
    } else if (t.of >= 0) {
      const loop_stack* const s = stack_of(t.of);
      if (s != nullptr) {
        copy.of = s->again;
        copy.base = t.base == s->first ? 0 : s->count;
        copy.step = s->count;
      } else {
        // Pieces come the other way round.
        const i32 of =
            piece_of(t, outer_reverse_, steps, (pieces - 1) * steps * t.step, -steps * t.step);
        copy.of = of;
        place_in_piece(copy, steps);
      }
    }
    const i32 to = g_.add(copy);
    images_[id] = to;
    return to;
  }

  /// What a loop of `steps` trips sees of what view `t` shows, as a view of the loop around it.
  constexpr i32 piece_of(const tensor& t, i32 body, i32 steps, i64 offset, i64 move) {
    shape dims = t.dims;
    i32 stacked = t.stack;
    i64 base = t.base + offset;
    if (t.step != 0) {
      dims = dims.batch_of(steps);
      ++stacked;
      if (t.step < 0) base += (steps - 1) * t.step;
    }
    for (i32 id = images_.size(); id < g_.tensors.size(); ++id) {
      const tensor& known = g_.tensors[id];
      if (known.body == body && known.of == t.of && known.base == base && known.step == move &&
          known.dims == dims) {
        return id;
      }
    }
    const i32 piece = ops::view_into(g_, t.of, dims, stacked, body, base, move);
    g_.tensors[piece].batched = t.batched;
    g_.tensors[piece].batch_last = t.batch_last;
    return piece;
  }

  /// Where a view lies in its piece.
  static constexpr void place_in_piece(tensor& t, i32 steps) {
    t.base = t.step < 0 ? -(steps - 1) * t.step : 0;
  }

  /// Gives a view of one of the two bodies its place in a piece.
  constexpr void move_view(i32 id, i32 steps, i32 pieces) {
    const tensor t = g_.tensors[id];
    if (t.of >= 0 && t.body == around_) {  // the first and the last state
      const loop_stack* const s = stack_of(t.of);
      if (s != nullptr && s->carry) {
        const bool first = t.base == s->first;
        g_.tensors[id].base = first ? 0 : pieces * s->count;
        g_.tensors[id].of = s->kept;
      }
      return;
    }
    if (t.of < 0 || (t.body != forward_ && t.body != reverse_)) return;
    if (g_.tensors[t.of].body == t.body) return;
    const loop_stack* const s = stack_of(t.of);
    if (s == nullptr) {
      const i32 around = t.body == forward_ ? outer_ : outer_reverse_;
      const i32 of = piece_of(t, around, steps, 0, steps * t.step);
      g_.tensors[id].of = of;
      place_in_piece(g_.tensors[id], steps);
    } else if (t.body == reverse_) {
      const i64 last = s->first + (i64{steps} * pieces - 1) * s->step;
      g_.tensors[id].of = s->again;
      g_.tensors[id].base = (steps - 1 + (t.base == last ? 0 : 1)) * s->count;
      g_.tensors[id].step = -s->count;
    } else if (s->carry) {
      g_.tensors[id].of = s->piece;
      g_.tensors[id].base = t.base == s->first ? 0 : s->count;
      g_.tensors[id].step = 0;
    } else {  // of one trip
      g_.tensors[id].of = -1;
      g_.tensors[id].base = g_.tensors[id].step = 0;
    }
  }

  constexpr operation border(kind what, i32 body) const {
    operation op;
    op.what = what;
    op.body = body;
    op.layer = g_.operations[loops_[forward_].begin].layer;
    return op;
  }
  constexpr operation copied(i32 from, i32 to) const {
    operation op;
    op.what = kind::copy;
    op.in[0] = from;
    op.out[0] = to;
    op.layer = g_.operations[loops_[forward_].begin].layer;
    return op;
  }

  constexpr void merge(i32 pieces) {
    grow<operation> merged;
    merged.reserve(g_.operations.size() + 2 * repeated_.size() + 16);
    const i32 before = g_.forward_operations;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      if (i == before) g_.forward_operations = merged.size();
      if (i == loops_[forward_].begin) {
        merged.push(border(kind::loop, outer_));
        for (const loop_stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.kept, outer_, 0, s.count);
          merged.push(copied(from, add_slot(s, s.piece, outer_, 0, 0)));
        }
      }
      if (i == loops_[reverse_].begin) {
        merged.push(border(kind::loop, outer_reverse_));
        for (const loop_stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.kept, outer_reverse_, (pieces - 1) * s.count, -s.count);
          merged.push(copied(from, add_slot(s, s.again, outer_reverse_, 0, 0)));
        }
        merged.push(border(kind::loop, again_));
        for (const operation& op : repeated_) merged.push(op);
        merged.push(border(kind::end_loop, again_));
      }
      if (i == loops_[forward_].end) {
        for (const loop_stack& s : stacks_) {
          if (!s.carry) continue;
          merged.push(copied(s.like, add_slot(s, s.piece, forward_, 0, 0)));
        }
      }
      merged.push(g_.operations[i]);
      if (i == loops_[forward_].end) {
        for (const loop_stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.piece, outer_, 0, 0);
          merged.push(copied(from, add_slot(s, s.kept, outer_, s.count, s.count)));
        }
        merged.push(border(kind::end_loop, outer_));
      }
      if (i == loops_[reverse_].end) merged.push(border(kind::end_loop, outer_reverse_));
    }
    g_.operations = static_cast<grow<operation>&&>(merged);
  }

  graph& g_;
  grow<loop_span> loops_;
  i32 forward_;
  i32 reverse_;
  i32 around_;              // the body in which both loops stand
  i32 outer_ = -1;          // around the forward body
  i32 outer_reverse_ = -1;  // around the reverse body
  i32 again_ = -1;          // the forward body within that
  grow<loop_stack> stacks_;
  grow<i32> images_;  // by tensor of the forward body: in the repeated one
  grow<bool> live_;   // by operation of the forward body: it is run again
  grow<operation> repeated_;
};

}  // namespace detail

/// True for a loop of the step itself with enough trips, in a number that is no prime.
constexpr bool can_be_split(const graph& g, i32 body) {
  const loop_body& b = g.bodies[body];
  if (b.depth != 1 || b.trips < 4) return false;
  for (i32 k = 2; k * k <= b.trips; ++k) {
    if (b.trips % k == 0) return true;
  }
  return false;
}

/// How loops are split.
struct split_rule {
  i32 levels = 1;     // how often they may be cut
  bool lean = false;  // first, all of them keep what goes from trip to trip only
};

/// Splits all loops of a finished step where that makes stacks smaller; repeated blocks keep what
/// goes from block to block only.
constexpr repeated_work split_loops(graph& g, const split_rule& rule = {}) {
  grow<bool> dropped(g.bodies.size());
  for (i32 body = 1; body < dropped.size(); ++body) {
    dropped[body] = (rule.lean || g.bodies[body].own_weights) && can_be_split(g, body);
  }
  repeated_work all;
  for (const repeated_work& w : drop_values(g, drop_rule::all, dropped)) all += w;
  const grow<i32> reverses = find_reverses(g);
  for (i32 body = 1; body < reverses.size(); ++body) {
    if (reverses[body] < 0) continue;
    i32 loop = body;
    for (i32 levels = rule.levels; levels > 0 && loop >= 0; --levels) {
      detail::loop_splitter splitter(g, loop, reverses[body]);
      all += splitter.run(levels);
      loop = splitter.again();
    }
  }
  return all;
}

}  // namespace tessera::passes
