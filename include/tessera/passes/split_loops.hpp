#pragma once

// Loops in loops: a recurrence over many trips keeps the values of every k-th trip only.
//
//   forward   loop T: step                      loop T/k: loop k: step         keeps T/k states
//   backward  loop T: step back      becomes    loop T/k: loop k: step         k states again,
//                                                         loop k: step back    from one of those
//
// What goes from trip to trip lies in a stack of T + 1 slots that only the loop and its reverse
// read, and the states before the first and after the last trip. It becomes a stack of T/k + 1
// slots, and one of k + 1 slots inside of each outer loop. Other stacks of which only the reverse
// reads are made inside its outer loop alone. Everything else that a trip sees from outside is seen
// through one more view. The forward pass of the loop is done twice; of all divisors of T that k is
// taken with which the stacks are smallest.
// Sources: Griewank 1992, Achieving logarithmic growth; Chen et al. 2016.

#include <tessera/ops/views.hpp>
#include <tessera/passes/drop_values.hpp>

namespace tessera::passes {

namespace detail {

class loop_splitter {
 public:
  constexpr loop_splitter(graph& g, i32 forward, i32 reverse)
      : g_(g), loops_(find_loops(g)), forward_(forward), reverse_(reverse) {}

  constexpr repeated_work run() {
    repeated_work work;
    if (!can_split()) return work;
    find_stacks();
    const i32 steps = choose_steps();
    if (steps == 0) return work;
    const i32 trips = g_.bodies[forward_].trips;
    for (i32 i = loops_[forward_].begin + 1; i < loops_[forward_].end; ++i) {
      work.macs += ops::macs_of(g_, g_.operations[i]) * trips;
      ++work.operations;
    }
    split(steps);
    return work;
  }

 private:
  /// A stack that is cut into pieces.
  struct stack {
    i32 root = -1;
    bool carry = false;
    i64 count = 0;   // elements of a slot
    i64 first = 0;   // where the first trip reads (carry) or writes
    i64 step = 0;    // from trip to trip
    i32 like = -1;   // a view that shows one slot
    i32 kept = -1;   // carry: the stack of every k-th state
    i32 again = -1;  // the piece in the reverse
    i32 piece = -1;  // carry: the piece in the forward pass
  };

  constexpr bool can_split() const {
    const loop_body& b = g_.bodies[forward_];
    if (b.trips < 4 || b.depth != 1) return false;
    for (const i32 body : {forward_, reverse_}) {
      for (i32 i = loops_[body].begin + 1; i < loops_[body].end; ++i) {
        const operation& op = g_.operations[i];
        if (op.what == kind::loop) return false;
        if (body == forward_ && !repeatable(g_, op)) return false;
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

  /// True where view `t` shows slot `trip` (0: first, trips: last) of the stack alone.
  constexpr bool is_slot(const tensor& t, const stack& s, i32 trip) const {
    return t.dims.count() == s.count && t.base == s.first + trip * s.step;
  }

  constexpr i32 inside(i32 operation) const {
    for (const i32 body : {forward_, reverse_}) {
      if (operation > loops_[body].begin && operation < loops_[body].end) return body;
    }
    return 0;
  }

  /// The stacks that only the two loops use, but for the first and last state.
  constexpr void find_stacks() {
    for (i32 i = loops_[forward_].begin + 1; i < loops_[forward_].end; ++i) {
      for (const i32 out : g_.operations[i].out) {
        if (out < 0) continue;
        const tensor& t = g_.tensors[out];
        if (t.of < 0 || t.step == 0 || t.body != forward_) continue;
        const tensor& root = g_.tensors[t.of];
        if (root.of >= 0 || root.body != 0 || root.what == role::result) continue;
        if (!in_arena(root.what)) continue;
        stack s;
        s.root = t.of;
        s.count = t.dims.count();
        s.step = t.step;
        s.like = out;
        s.carry = root.dims[0] == g_.bodies[forward_].trips + 1;
        s.first = s.carry ? t.base - t.step : t.base;
        if (used_alone(s)) stacks_.push(s);
      }
    }
  }

  constexpr bool used_alone(const stack& s) const {
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
        while (body > 0 && g_.tensors[v].of >= 0 && g_.tensors[g_.tensors[v].of].body == body) {
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
          if (!s.carry || t.body != 0 || t.step != 0) return false;
          const bool before = i < loops_[forward_].begin;
          const bool start = is_slot(t, s, 0) && (before || !writes);
          const bool end = is_slot(t, s, trips) && !before && !writes;
          if (!start && !end) return false;
        }
      }
    }
    return writers == 1;
  }

  /// Trips of the inner loops, 0 where nothing is won.
  constexpr i32 choose_steps() const {
    const i64 trips = g_.bodies[forward_].trips;
    i64 carries = 0;
    i64 others = 0;
    for (const stack& s : stacks_) {
      const i64 bytes = s.count * bytes_of(g_.tensors[s.root].type);
      (s.carry ? carries : others) += bytes;
    }
    i64 least = trips * (carries + others);
    i32 best = 0;
    for (i64 k = 2; k < trips; ++k) {
      if (trips % k != 0) continue;
      const i64 bytes = trips / k * carries + k * (carries + others);
      if (bytes >= least) continue;
      least = bytes;
      best = static_cast<i32>(k);
    }
    return best;
  }

  constexpr i32 add_body(i32 like, i32 parent, i32 depth, i32 trips) {
    loop_body b = g_.bodies[like];
    b.parent = parent;
    b.depth = depth;
    b.trips = trips;
    return g_.bodies.push(b);
  }

  constexpr i32 add_stack(const stack& s, i32 body, i32 slots) {
    tensor t = g_.tensors[s.like];
    t.dims = t.dims.batch_of(slots);
    ++t.stack;
    t.body = body;
    t.of = -1;
    t.base = t.step = 0;
    return g_.add(t);
  }

  constexpr i32 add_slot(const stack& s, i32 of, i32 body, i64 base, i64 step) {
    const tensor t = g_.tensors[s.like];
    return ops::view_into(g_, of, t.dims, t.stack, body, base, step);
  }

  constexpr const stack* stack_of(i32 root) const {
    for (const stack& s : stacks_) {
      if (s.root == root) return &s;
    }
    return nullptr;
  }

  constexpr void split(i32 steps) {
    const i32 trips = g_.bodies[forward_].trips;
    const i32 pieces = trips / steps;
    outer_ = add_body(forward_, 0, 1, pieces);
    outer_reverse_ = add_body(reverse_, 0, 1, pieces);
    again_ = add_body(forward_, outer_reverse_, 2, steps);
    for (stack& s : stacks_) {
      if (s.carry) {
        s.kept = add_stack(s, 0, pieces + 1);
        g_.tensors[s.kept].repeated = false;
        s.piece = add_stack(s, outer_, steps + 1);
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
      g_.bodies[body].depth = 2;
      g_.bodies[body].trips = steps;
    }
    merge(steps, pieces);
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
      const stack* const s = stack_of(t.of);
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
    if (t.of >= 0 && t.body == 0) {  // the first and the last state
      const stack* const s = stack_of(t.of);
      if (s != nullptr && s->carry) {
        const bool first = t.base == s->first;
        g_.tensors[id].base = first ? 0 : pieces * s->count;
        g_.tensors[id].of = s->kept;
      }
      return;
    }
    if (t.of < 0 || (t.body != forward_ && t.body != reverse_)) return;
    if (g_.tensors[t.of].body == t.body) return;
    const stack* const s = stack_of(t.of);
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
      g_.tensors[id].step = s->count;
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

  constexpr void merge(i32 steps, i32 pieces) {
    grow<operation> merged;
    merged.reserve(g_.operations.size() + 2 * repeated_.size() + 16);
    const i32 before = g_.forward_operations;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      if (i == before) g_.forward_operations = merged.size();
      if (i == loops_[forward_].begin) {
        merged.push(border(kind::loop, outer_));
        for (const stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.kept, outer_, 0, s.count);
          merged.push(copied(from, add_slot(s, s.piece, outer_, 0, 0)));
        }
      }
      if (i == loops_[reverse_].begin) {
        merged.push(border(kind::loop, outer_reverse_));
        for (const stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.kept, outer_reverse_, (pieces - 1) * s.count, -s.count);
          merged.push(copied(from, add_slot(s, s.again, outer_reverse_, 0, 0)));
        }
        merged.push(border(kind::loop, again_));
        for (const operation& op : repeated_) merged.push(op);
        merged.push(border(kind::end_loop, again_));
      }
      merged.push(g_.operations[i]);
      if (i == loops_[forward_].end) {
        for (const stack& s : stacks_) {
          if (!s.carry) continue;
          const i32 from = add_slot(s, s.piece, outer_, steps * s.count, 0);
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
  i32 outer_ = -1;          // around the forward body
  i32 outer_reverse_ = -1;  // around the reverse body
  i32 again_ = -1;          // the forward body within that
  grow<stack> stacks_;
  grow<i32> images_;  // by tensor of the forward body: in the repeated one
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

/// Splits all loops of a finished step where that makes stacks smaller; repeated blocks keep what
/// goes from block to block only.
constexpr repeated_work split_loops(graph& g) {
  grow<bool> blocks(g.bodies.size());
  for (i32 body = 1; body < blocks.size(); ++body) {
    blocks[body] = g.bodies[body].own_weights && can_be_split(g, body);
  }
  repeated_work all;
  for (const repeated_work& w : drop_values(g, drop_rule::all, blocks)) all += w;
  const grow<i32> reverses = find_reverses(g);
  for (i32 body = 1; body < reverses.size(); ++body) {
    if (reverses[body] >= 0) all += detail::loop_splitter(g, body, reverses[body]).run();
  }
  return all;
}

}  // namespace tessera::passes
