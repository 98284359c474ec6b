#pragma once

// Loops that follow each other become one: what one trip puts out the other takes at once.
//
//   loop T: lstm -> h[t]      loop T: dense(h[t]) -> y[t]     h and its gradient: stacks of T
//   slices loop T: lstm -> h[t], dense(h[t]) -> y[t]                 h: what goes from trip to trip
//
// Cut into pieces (passes/split_loops.hpp), the joined loop keeps states of a few trips only, and
// the gradient of h is that of one trip. Layers on top of each other become one loop over time.
//
// Joined are loops of as many trips in the same direction, where the second reads of the first
// nothing but slices of the trip at hand, once each, that nobody else reads, and where they share
// nothing else that has a gradient: so all gradients are sums of the same terms in the same order,
// and no bit changes. O(loops x tensors).

#include <tessera/ir/loops.hpp>

namespace tessera::passes {

namespace detail {

class loop_joiner {
 public:
  constexpr loop_joiner(graph& g, i32 first, i32 second)
      : g_(g), loops_(find_loops(g)), a_(first), b_(second) {}

  /// False where the two loops stay apart.
  constexpr bool run() {
    if (!alike() || !find_uses() || !find_slices() || !free_between()) return false;
    join();
    return true;
  }

 private:
  /// What a tensor of a body shows of a tensor of the step.
  struct place {
    i32 root = -1;
    i64 base = 0;
    i64 step = 0;
    i64 count = 0;
    friend constexpr bool operator==(const place&, const place&) = default;
  };
  struct slice {
    i32 seen = -1;  // by the second loop
    i32 made = -1;  // by the first
  };

  constexpr bool alike() const {
    const loop_body& a = g_.bodies[a_];
    const loop_body& b = g_.bodies[b_];
    if (a.parent != 0 || b.parent != 0 || a.own_weights || b.own_weights) return false;
    if (a.trips != b.trips || a.reversed != b.reversed) return false;
    for (const i32 body : {a_, b_}) {
      for (i32 i = loops_[body].begin + 1; i < loops_[body].end; ++i) {
        if (g_.operations[i].what == kind::loop) return false;
      }
    }
    return loops_[a_].end < loops_[b_].begin;
  }

  /// The view of the body by which tensor `id` of it crosses its border; -1 where it does not.
  constexpr i32 border_of(i32 id) const {
    while (g_.tensors[id].of >= 0) {
      const i32 of = g_.tensors[id].of;
      if (g_.tensors[of].body != g_.tensors[id].body) return id;
      id = of;
    }
    return -1;
  }

  constexpr place place_of(i32 border) const {
    const tensor& t = g_.tensors[border];
    place p{t.of, t.base, t.step, t.dims.count()};
    while (g_.tensors[p.root].of >= 0) {
      p.base += g_.tensors[p.root].base;
      p.root = g_.tensors[p.root].of;
    }
    return p;
  }

  /// Which tensors of the step the loops read and write.
  constexpr bool find_uses() {
    const i32 count = g_.tensors.size();
    for (grow<bool>* flags : {&reads_a_, &writes_a_, &reads_b_, &writes_b_}) flags->resize(count);
    for (const i32 body : {a_, b_}) {
      for (i32 i = loops_[body].begin + 1; i < loops_[body].end; ++i) {
        const operation& op = g_.operations[i];
        for (const i32 in : op.in) {
          if (in >= 0) (body == a_ ? reads_a_ : reads_b_)[storage_of(g_, in)] = true;
        }
        for (const i32 out : op.out) {
          if (out >= 0) (body == a_ ? writes_a_ : writes_b_)[storage_of(g_, out)] = true;
        }
      }
    }
    bool linked = false;
    for (i32 id = 0; id < count; ++id) {
      if (writes_b_[id] && (reads_a_[id] || writes_a_[id])) return false;
      if (!reads_b_[id] || g_.tensors[id].body != 0) continue;
      linked = linked || writes_a_[id];
      if (reads_a_[id] && !writes_a_[id] && g_.tensors[id].differentiable) return false;
    }
    return linked;
  }

  /// Pairs what the second loop reads of the first with what makes it there.
  constexpr bool find_slices() {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      const bool in_a = i > loops_[a_].begin && i < loops_[a_].end;
      const bool in_b = i > loops_[b_].begin && i < loops_[b_].end;
      for (const i32 in : op.in) {
        if (in < 0 || in_a || !writes_a_[storage_of(g_, in)]) continue;
        if (!in_b) {
          if (!apart(in)) return false;  // somebody else reads what the second loop reads
          continue;
        }
        const i32 border = border_of(in);
        if (border < 0) return false;
        for (const slice& s : slices_) {
          if (s.seen == border) return false;  // read twice
        }
        const i32 made = maker_of(place_of(border));
        if (made < 0 || g_.tensors[made].dims != g_.tensors[border].dims) return false;
        for (const slice& s : slices_) {
          if (s.made == made) return false;
        }
        slices_.push({border, made});
      }
    }
    for (const i32 list : {0, 1, 2}) {
      const endpoints& known = list == 0 ? g_.outputs : list == 1 ? g_.losses : g_.inputs;
      for (const i32 id : known) {
        if (writes_a_[storage_of(g_, id)]) return false;
      }
    }
    return true;
  }

  /// True where `in`, read outside of both loops, is no part of what the second loop reads.
  constexpr bool apart(i32 in) const { return !reads_b_[storage_of(g_, in)]; }

  constexpr i32 maker_of(const place& p) const {
    i32 found = -1;
    for (i32 i = loops_[a_].begin + 1; i < loops_[a_].end; ++i) {
      for (const i32 out : g_.operations[i].out) {
        if (out < 0 || storage_of(g_, out) != p.root) continue;
        const tensor& t = g_.tensors[out];
        if (found >= 0 || border_of(out) != out || t.body != a_) return -1;
        if (!(place_of(out) == p) || t.step == 0) return -1;
        found = out;
      }
    }
    return found;
  }

  /// True where what stands between the loops can come before both.
  constexpr bool free_between() const {
    for (i32 i = loops_[a_].end + 1; i < loops_[b_].begin; ++i) {
      for (const i32 in : g_.operations[i].in) {
        if (in >= 0 && writes_a_[storage_of(g_, in)]) return false;
      }
      for (const i32 out : g_.operations[i].out) {
        if (out < 0) continue;
        const i32 root = storage_of(g_, out);
        if (reads_a_[root] || writes_a_[root] || !in_arena(g_.tensors[root].what)) return false;
      }
    }
    return true;
  }

  constexpr void join() {
    for (i32 id = 0; id < g_.tensors.size(); ++id) {
      tensor& t = g_.tensors[id];
      for (const slice& s : slices_) {
        if (t.of == s.seen) t.of = s.made;
      }
      if (t.body == b_) t.body = a_;
    }
    for (loop_carry& c : g_.carries) {
      if (c.body == b_) c.body = a_;
    }
    for (loop_output& o : g_.loop_outputs) {
      if (o.body == b_) o.body = a_;
    }
    grow<operation> merged;
    merged.reserve(g_.operations.size());
    const auto append = [&](i32 begin, i32 end) {
      for (i32 i = begin; i < end; ++i) merged.push(g_.operations[i]);
    };
    append(0, loops_[a_].begin);
    append(loops_[a_].end + 1, loops_[b_].begin);
    append(loops_[a_].begin, loops_[a_].end);
    for (i32 i = loops_[b_].begin + 1; i < loops_[b_].end; ++i) {
      operation op = g_.operations[i];
      for (i32& in : op.in) {
        for (const slice& s : slices_) {
          if (in == s.seen) in = s.made;
        }
      }
      merged.push(op);
    }
    merged.push(g_.operations[loops_[a_].end]);
    append(loops_[b_].end + 1, g_.operations.size());
    g_.operations = static_cast<grow<operation>&&>(merged);
  }

  graph& g_;
  grow<loop_span> loops_;
  i32 a_;
  i32 b_;
  grow<bool> reads_a_, writes_a_, reads_b_, writes_b_;  // by tensor
  grow<slice> slices_;
};

}  // namespace detail

/// Joins loops of a forward pass that has not been differentiated. Returns how many were joined to
/// one before them.
constexpr i32 join_loops(graph& g) {
  i32 joined = 0;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what != kind::loop) continue;
    const i32 first = g.operations[i].body;
    if (g.bodies[first].parent != 0) continue;
    for (i32 k = i + 1; k < g.operations.size(); ++k) {
      if (g.operations[k].what != kind::loop || g.bodies[g.operations[k].body].parent != 0)
        continue;
      if (!detail::loop_joiner(g, first, g.operations[k].body).run()) break;
      ++joined;
      // The loop may stand later now: look at it once more.
      i = -1;
      break;
    }
  }
  return joined;
}

}  // namespace tessera::passes
