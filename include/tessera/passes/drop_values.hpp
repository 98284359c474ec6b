#pragma once

// Values that the backward pass reads are dropped, and computed again right before it does.
//
//   forward   conv -> c   norm(c) -> n   relu(n) -> y   conv(y) ...        y lives until ...
//   backward  ...  weight gradient(y, dz)   relu_gradient(y, dy) ...       ... here
//
//   forward   conv -> c   norm(c) -> n   relu(n) -> y   conv(y) ...        only c stays
//   backward  ...  norm(c) -> n'  relu(n') -> y'  weight gradient(y', dz) ...
//
// Works on a finished step, level by level: the step itself, and each loop with the loop that runs
// back over it. What the body of a loop puts on a stack for its reverse is computed again trip by
// trip; the stack is gone. What is repeated gives the same bits: the same kernel on the same
// operands. Dropout draws its mask from a counter; a normalization leaves the running statistics
// alone the second time.
//
// What can be dropped is written once, by an operation that can be repeated: it changes nothing
// that outlives it, and all that it reads is still there or can be computed again itself.
// O(operations x operands).
// Source: Chen, Xu, Zhang, Guestrin 2016, Training Deep Nets with Sublinear Memory Cost.

#include <tessera/ops/views.hpp>
#include <tessera/passes/loop_pairs.hpp>
#include <tessera/passes/repeatable.hpp>

namespace tessera::passes {

/// Which values are dropped.
enum class drop_rule : u8 {
  cheap,  // those that a few elementwise operations and normalizations give again
  all     // all that can be
};

namespace detail {

/// How often the bytes of each tensor are written by operations begin to end - 1.
constexpr grow<i32> count_writes(const graph& g, i32 begin, i32 end) {
  grow<i32> writes(g.tensors.size());
  for (i32 i = begin; i < end; ++i) {
    for (const i32 out : g.operations[i].out) {
      if (out >= 0) ++writes[storage_of(g, out)];
    }
  }
  return writes;
}

class value_dropper {
 public:
  constexpr value_dropper(graph& g, i32 forward_operations, drop_rule rule)
      : g_(g),
        forward_(forward_operations),
        rule_(rule),
        loops_(find_loops(g)),
        bodies_(bodies_of_operations(g)),
        writes_(count_writes(g, 0, forward_operations)),
        writer_(g.tensors.size()),
        last_write_(g.tensors.size()),
        mirror_(g.bodies.size()),
        kept_(g.tensors.size()),
        needed_(g.tensors.size()),
        dropped_(g.tensors.size()),
        steps_(g.tensors.size()),
        slice_(g.tensors.size()),
        image_(g.tensors.size()),
        first_(g.operations.size()),
        late_(g.tensors.size()) {
    for (i32 id = 0; id < g.tensors.size(); ++id) {
      writer_[id] = slice_[id] = image_[id] = late_[id] = -1;
    }
    for (i32& i : first_) i = -1;
    for (i32 i = 0; i < forward_; ++i) {
      for (const i32 out : g.operations[i].out) {
        if (out < 0) continue;
        writer_[out] = i;
        last_write_[storage_of(g, out)] = i;
      }
    }
  }

  /// Drops values of some bodies. Returns the work by body.
  constexpr grow<repeated_work> run(const grow<bool>& wanted) {
    pair_loops();
    find_needed();
    grow<repeated_work> work(mirror_.size());
    for (i32 body = 0; body < mirror_.size(); ++body) {
      if (mirror_[body] < 0 || !wanted[body]) mirror_[body] = -1;
      if (mirror_[body] >= 0) choose(body);
    }
    for (i32 body = 0; body < mirror_.size(); ++body) {
      if (mirror_[body] < 0) continue;
      work_ = {};
      rewrite(body);
      work[body] = work_;
    }
    merge();
    return work;
  }

 private:
  /// Operations that may be repeated at most to get a value again by rule `cheap`.
  static constexpr i32 most_steps = 4;
  static constexpr i32 impossible = 1 << 20;

  /// Loops and their reverses, and whose values lie in the stacks of which loop.
  constexpr void pair_loops() {
    mirror_ = find_reverses(g_);
    mirror_[0] = 0;
    for (i32 i = 0; i < forward_; ++i) {
      const i32 body = bodies_[i];
      if (body == 0 || g_.bodies[body].parent != 0) continue;
      for (const i32 out : g_.operations[i].out) {
        if (out < 0 || writer_[out] != i) continue;
        const tensor& t = g_.tensors[out];
        if (t.of < 0 || t.step == 0 || g_.tensors[t.of].body != 0) continue;
        if (g_.tensors[t.of].of < 0) slice_[t.of] = out;
      }
    }
  }

  /// The value of the forward pass that operand `in` of an operation of the backward pass shows, -1
  /// for what is no such value; in `at` the body whose level it belongs to.
  constexpr i32 value_of(i32 in, i32& at) const {
    i32 v = in;
    while (g_.tensors[v].of >= 0 && g_.tensors[g_.tensors[v].of].body == g_.tensors[v].body) {
      v = g_.tensors[v].of;
    }
    const tensor& t = g_.tensors[v];
    const i32 root = storage_of(g_, v);
    if (!in_arena(g_.tensors[root].what) || writes_[root] == 0) return -1;
    at = 0;
    if (t.body > 0 && t.of == root && slice_[root] >= 0) {
      const i32 x = slice_[root];
      const tensor& s = g_.tensors[x];
      if (mirror_[s.body] == t.body && t.step == -s.step && t.dims.count() == s.dims.count() &&
          t.base == s.base + (g_.bodies[s.body].trips - 1) * s.step) {
        at = s.body;
        return x;
      }
    }
    return root;
  }

  /// Finds who reads what at which level. A stack that is read in any other way stays.
  constexpr void find_needed() {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      for (const i32 in : g_.operations[i].in) {
        if (in < 0) continue;
        if (i < forward_) {
          const i32 root = storage_of(g_, in);
          if (slice_[root] >= 0 && g_.tensors[slice_[root]].body != bodies_[i]) kept_[root] = true;
          continue;
        }
        i32 level = 0;
        const i32 x = value_of(in, level);
        if (x < 0) continue;
        needed_[x] = true;
        if (level == 0 && slice_[x] >= 0) kept_[x] = true;
      }
    }
    for (i32 id = 0; id < g_.tensors.size(); ++id) {
      if (g_.tensors[id].what == role::result) kept_[storage_of(g_, id)] = true;
    }
  }

  /// True where nothing but one run of one operation gives `x`, a value of `body`.
  constexpr bool written_once(i32 x, i32 body) const {
    const i32 root = storage_of(g_, x);
    if (writer_[x] < 0 || bodies_[writer_[x]] != body || writes_[root] != 1) return false;
    const tensor& t = g_.tensors[x];
    return t.of < 0 || (body > 0 && t.of == root && slice_[root] == x);
  }

  /// How many operations give operand `q` of `body` again in the backward pass: 0 where it is still
  /// there.
  constexpr i32 steps_to(i32 q, i32 body, i32 reader) const {
    i32 v = q;
    while (g_.tensors[v].of >= 0 && g_.tensors[g_.tensors[v].of].body == body) v = g_.tensors[v].of;
    const tensor& t = g_.tensors[v];
    const i32 root = storage_of(g_, v);
    if (!in_arena(g_.tensors[root].what)) {
      // States that the forward pass changes are not what they were.
      return g_.tensors[root].what == role::state && writes_[root] > 0 ? impossible : 0;
    }
    if (t.of >= 0 &&
        slice_[root] != v) {  // from outside: the same in all trips, or a slot of its own
      return t.step == 0 && body > 0 && written_in(root, body) ? impossible : 0;
    }
    if (!written_once(v, body)) {  // there only where it is kept as it is
      return body == 0 && needed_[root] && last_write_[root] < reader ? 0 : impossible;
    }
    if (needed_[v] && !dropped_[v]) return 0;
    return steps_[v];
  }

  constexpr bool written_in(i32 root, i32 body) const {
    for (i32 i = loops_[body].begin; i <= loops_[body].end; ++i) {
      for (const i32 out : g_.operations[i].out) {
        if (out >= 0 && storage_of(g_, out) == root) return true;
      }
    }
    return false;
  }

  /// Decides which values of `body` are dropped, in the order in which they are made.
  constexpr void choose(i32 body) {
    const i32 begin = body == 0 ? 0 : loops_[body].begin + 1;
    const i32 end = body == 0 ? forward_ : loops_[body].end;
    for (i32 i = begin; i < end; ++i) {
      if (bodies_[i] != body) continue;
      const operation& op = g_.operations[i];
      i32 steps = repeatable(g_, op) && (rule_ == drop_rule::all || cheap_to_repeat(g_, op))
                      ? 1
                      : impossible;
      for (const i32 in : op.in) {
        if (in >= 0 && steps < impossible) steps += steps_to(in, body, i);
      }
      if (steps > (rule_ == drop_rule::cheap ? most_steps : impossible - 1)) steps = impossible;
      for (const i32 out : op.out) {
        if (out < 0 || g_.tensors[out].body != body) continue;
        steps_[out] = written_once(out, body) ? steps : impossible;
        const bool saved = ops::is_norm(op.what) && out != op.out[0];  // small
        if (!needed_[out] || kept_[storage_of(g_, out)] || saved) continue;
        dropped_[out] = steps_[out] < impossible;
      }
    }
  }

  /// Puts what is repeated in front of its first reader in the backward pass of `body`.
  constexpr void rewrite(i32 body) {
    from_ = body;
    to_ = mirror_[body];
    for (const operation& op : g_.operations) {
      for (const i32 out : op.out) {
        if (body == 0 || out < 0 || !dropped_[out] || g_.tensors[out].body != body) continue;
        tensor& t = g_.tensors[out];  // a value of one trip again
        t.of = -1;
        t.base = t.step = 0;
      }
    }
    const i32 begin = to_ == 0 ? forward_ : loops_[to_].begin + 1;
    const i32 end = to_ == 0 ? g_.operations.size() : loops_[to_].end;
    for (at_ = begin; at_ < end; ++at_) {
      if (to_ == 0 && bodies_[at_] > 0) {
        loop_reads();
        continue;
      }
      if (bodies_[at_] != to_) continue;
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        const i32 in = g_.operations[at_].in[slot];
        if (in < 0) continue;
        const i32 x = dropped_value(in);
        if (x < 0) continue;
        demand(x);
        const i32 seen = seen_as(in, x);
        g_.operations[at_].in[slot] = seen;
      }
    }
  }

  /// A loop of the backward pass reads values of the step through views of its own.
  constexpr void loop_reads() {
    for (const i32 in : g_.operations[at_].in) {
      for (i32 v = in; v >= 0 && g_.tensors[v].body > 0; v = g_.tensors[v].of) {
        const i32 of = g_.tensors[v].of;
        if (of < 0 || g_.tensors[of].body > 0) continue;
        const i32 x = storage_of(g_, of);
        if (x >= dropped_.size() || !dropped_[x]) continue;
        const i32 here = at_;
        i32 loop = bodies_[at_];
        while (g_.bodies[loop].parent > 0) loop = g_.bodies[loop].parent;
        at_ = loops_[loop].begin;
        demand(x);
        const i32 seen = seen_as(of, x);  // before the reference: tensors are added
        g_.tensors[v].of = seen;
        at_ = here;
      }
    }
  }

  /// The dropped value that operand `in` of the level at hand shows, or -1.
  constexpr i32 dropped_value(i32 in) const {
    if (in >= dropped_.size()) return -1;
    if (to_ == 0) {
      const i32 x = storage_of(g_, in);
      return x < dropped_.size() && dropped_[x] ? x : -1;
    }
    i32 v = in;
    while (g_.tensors[v].of >= 0 && g_.tensors[g_.tensors[v].of].body == to_) v = g_.tensors[v].of;
    if (g_.tensors[v].of < 0) return -1;
    const i32 stack = g_.tensors[v].of;
    const i32 x = stack < slice_.size() ? slice_[stack] : -1;
    return x >= 0 && dropped_[x] && g_.tensors[x].body == from_ ? x : -1;
  }

  /// `in`, which shows dropped value `x`, as a name for what stands for x now.
  constexpr i32 seen_as(i32 in, i32 x) {
    if (in == x) return image_[x];
    const tensor t = g_.tensors[in];
    const bool border = t.body == to_ && (t.of < 0 || g_.tensors[t.of].body != to_);
    if (border) {
      if (t.dims == g_.tensors[x].dims) return image_[x];
      return ops::view_into(g_, image_[x], t.dims, t.stack, to_, 0, 0);
    }
    const i32 of = seen_as(t.of, x);
    tensor v = t;
    v.of = of;
    return g_.add(v);
  }

  /// Makes sure that `x`, a value of the forward body, is there in front of operation at_.
  constexpr void demand(i32 x) {
    if (image_[x] >= 0) return;
    operation op = repeated(g_.operations[writer_[x]]);
    work_.macs += ops::macs_of(g_, op) * runs_of(g_, to_);
    ++work_.operations;
    for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
      if (op.in[slot] >= 0) op.in[slot] = operand(op.in[slot]);
    }
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 out = op.out[slot];
      if (out < 0) continue;
      if (out != x && !dropped_[out] && ops::is_norm(op.what)) {
        op.out[slot] = -1;
        continue;
      }
      tensor t = g_.tensors[out];
      if (t.what == role::result) t.what = role::activation;
      t.body = to_;
      t.of = -1;
      t.base = t.step = 0;
      t.repeated = true;
      op.out[slot] = g_.add(t);
      if (image_[out] < 0) image_[out] = op.out[slot];
    }
    added_.push({op, first_[at_] < 0 ? -1 : first_[at_]});
    first_[at_] = added_.size() - 1;
  }

  /// Operand `q` of an operation of the forward body, as the backward body sees it.
  constexpr i32 operand(i32 q) {
    const tensor t = g_.tensors[q];
    if (t.body == from_ && (t.of < 0 || g_.tensors[t.of].body == from_)) {
      if (t.of < 0) {
        const bool there = from_ == 0 && (!in_arena(t.what) || !written_once(q, 0) ||
                                          (needed_[q] && !dropped_[q]));
        if (there) {
          reads_late(q);
          return q;
        }
        demand(q);
        return image_[q];
      }
      const i32 of = operand(t.of);
      if (of == t.of) return q;
      tensor v = t;
      v.of = of;
      v.body = to_;
      return g_.add(v);
    }
    // From outside the loop: the same place, the trips the other way round.
    if (from_ == 0 || t.body != from_) return q;
    reads_late(storage_of(g_, q));
    if (image_[q] < 0) {
      image_[q] = ops::view_into(g_, t.of, t.dims, t.stack, to_,
                                 t.base + (g_.bodies[from_].trips - 1) * t.step, -t.step);
    }
    return image_[q];
  }

  /// An update of `root` at the level at hand may not come before this.
  constexpr void reads_late(i32 root) {
    if (root < late_.size()) late_[root] = at_;
  }

  /// The operations with all that was added; updates after the last reader of their parameter.
  constexpr void merge() {
    if (added_.empty()) return;
    grow<operation> merged;
    merged.reserve(g_.operations.size() + added_.size());
    grow<i32> waiting;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      grow<i32> here;
      for (i32 k = first_[i]; k >= 0; k = added_[k].next) here.push(k);
      for (i32 k = here.size() - 1; k >= 0; --k) merged.push(added_[here[k]].op);
      const operation& op = g_.operations[i];
      bool waits = false;
      if (ops::is_update(op.what) && op.out[0] >= 0) {
        const i32 last = late_[storage_of(g_, op.out[0])];
        waits = last > i && bodies_[last] == bodies_[i];
      }
      if (waits) {
        waiting.push(i);
        continue;
      }
      merged.push(op);
      grow<i32> later;
      for (const i32 w : waiting) {
        if (late_[storage_of(g_, g_.operations[w].out[0])] <= i) {
          merged.push(g_.operations[w]);
        } else {
          later.push(w);
        }
      }
      waiting = later;
    }
    g_.operations = static_cast<grow<operation>&&>(merged);
  }

  struct addition {
    operation op;
    i32 next = -1;  // the one before at the same place
  };

  graph& g_;
  i32 forward_;
  drop_rule rule_;
  grow<loop_span> loops_;
  grow<i32> bodies_;      // by operation
  grow<i32> writes_;      // by storage: how often the forward pass writes there
  grow<i32> writer_;      // by tensor: the forward operation that writes it under this name
  grow<i32> last_write_;  // by storage: the last forward operation that does
  grow<i32> mirror_;      // by forward body: the body that runs back over it
  grow<bool> kept_;       // by storage: read in ways that are not followed
  grow<bool> needed_;     // by value: the backward pass reads it
  grow<bool> dropped_;
  grow<i32> steps_;  // by value: operations that give it again
  grow<i32> slice_;  // by stack: the value of a trip that lies in its slots
  grow<i32> image_;  // by tensor of the forward body: what stands for it in the backward pass
  grow<addition> added_;
  grow<i32> first_;  // by operation: the last addition in front of it
  grow<i32> late_;   // by storage: the last operation in front of which a repetition reads it
  repeated_work work_;
  i32 from_ = 0;  // the level at hand
  i32 to_ = 0;
  i32 at_ = 0;
};

}  // namespace detail

/// Drops values of a finished step in some bodies of its forward pass, 0 being the step itself.
/// Returns the work that it takes, by body.
constexpr grow<repeated_work> drop_values(graph& g, drop_rule rule, const grow<bool>& bodies) {
  return detail::value_dropper(g, g.forward_operations, rule).run(bodies);
}

/// The same in all bodies; `loops_only`: in those of loops.
constexpr repeated_work drop_values(graph& g, drop_rule rule, bool loops_only = false) {
  grow<bool> bodies(g.bodies.size());
  for (i32 body = loops_only ? 1 : 0; body < bodies.size(); ++body) bodies[body] = true;
  repeated_work all;
  for (const repeated_work& w : drop_values(g, rule, bodies)) all += w;
  return all;
}

}  // namespace tessera::passes
