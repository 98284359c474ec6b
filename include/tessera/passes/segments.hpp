#pragma once

// Segments: a step whose blocks run again as a plan of its chain says.
//
//   forward    0 1 2 3 4 5            as it was; then, going back:
//   backward   5 | 3 4 | 4 3 | 0 1 2 | 2 1 0
//                  ^ again       ^ again, from what is kept in front of block 0
//
// The forward pass stays as it is. Of what the plan drops the backward pass reads copies, made by
// repeated operations from whatever is there: a value is made when the plan or a reader asks for
// it, after all that it is made of. So a plan that fits badly costs work, but never correctness.
// Loops are repeated as a whole, with bodies of their own. O(operations that are left).

#include <tessera/passes/step_chain.hpp>

namespace tessera::passes {

namespace detail {

class segment_writer {
 public:
  constexpr segment_writer(graph& g, const step_chain& chain, const i32* steps)
      : g_(g),
        chain_(chain),
        steps_(steps),
        now_(g.tensors.size()),
        view_(g.tensors.size()),
        group_(chain.forward_units()) {
    for (i32 id = 0; id < now_.size(); ++id) {
      now_[id] = id;
      view_[id] = -1;
    }
    for (i32 i = 0; i < g.forward_operations; ++i) order_.push(g.operations[i]);
    next_backward_ = chain.forward_units();
    find_groups();
  }

  constexpr repeated_work run() {
    go_over(0, chain_.blocks() - 1);
    while (next_backward_ < chain_.units()) append_backward();
    g_.operations = static_cast<grow<operation>&&>(order_);
    work_.possible = update_after_reads();
    return work_;
  }

 private:
  /// Puts updates behind the last operation that reads what they change: one that is repeated may
  /// come late. False where an update of a trip would have to leave its loop.
  constexpr bool update_after_reads() {
    grow<i32> last(g_.tensors.size());  // by parameter: the last that reads it, or loop that does
    i32 body = 0;
    i32 at = 0;  // the operation or loop of the step itself
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      if (body == 0) at = i;
      if (op.what == kind::end_loop) body = g_.bodies[op.body].parent;
      for (const i32 in : op.in) {
        if (in >= 0 && !ops::is_update(op.what)) last[storage_of(g_, in)] = at;
      }
      if (op.what == kind::loop) body = op.body;
    }
    const auto is_late = [&](const operation& op, i32 here) {
      return ops::is_update(op.what) && op.out[0] >= 0 && last[storage_of(g_, op.out[0])] > here;
    };
    bool any = false;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      if (op.what == kind::end_loop) body = g_.bodies[op.body].parent;
      if (body == 0) at = i;
      const bool late = is_late(op, at);
      if (late && body > 0) return false;
      any = any || late;
      if (op.what == kind::loop) body = op.body;
    }
    if (any) move_updates(last);
    return true;
  }

  /// `last`: by parameter, the operation of the step that its update has to follow.
  constexpr void move_updates(const grow<i32>& last) {
    i32 body = 0;
    grow<operation> merged;
    merged.reserve(g_.operations.size());
    grow<i32> waiting;
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      if (op.what == kind::end_loop) body = g_.bodies[op.body].parent;
      if (body == 0 && ops::is_update(op.what) && op.out[0] >= 0 &&
          last[storage_of(g_, op.out[0])] > i) {
        waiting.push(i);
      } else {
        merged.push(op);
      }
      if (op.what == kind::loop) body = op.body;
      if (body > 0 || waiting.empty()) continue;
      grow<i32> later;
      for (const i32 w : waiting) {
        const i32 reader = last[storage_of(g_, g_.operations[w].out[0])];
        const bool loop = g_.operations[reader].what == kind::loop;
        const bool over = loop ? op.what == kind::end_loop && i > reader : i >= reader;
        if (over) {
          merged.push(g_.operations[w]);
        } else {
          later.push(w);
        }
      }
      waiting = later;
    }
    g_.operations = static_cast<grow<operation>&&>(merged);
  }

  /// Units that write into the same value run together: by unit, the first of them.
  constexpr void find_groups() {
    const unit_lists& w = chain_.writes();
    for (i32 u = 0; u < chain_.forward_units(); ++u) group_[u] = u;
    for (bool changed = true; changed;) {
      changed = false;
      for (i32 u = 0; u < chain_.forward_units(); ++u) {
        for (i32 k = w.first[u]; k < w.first[u + 1]; ++k) {
          const i32 first = chain_.first_writer(w.all[k]);
          if (group_[first] == group_[u]) continue;
          const i32 both = group_[first] < group_[u] ? group_[first] : group_[u];
          group_[first] = group_[u] = both;
          changed = true;
        }
      }
    }
  }

  constexpr void go_over(i32 s, i32 t) {
    const i32 split = chain_routes::split_of(*steps_++);
    if (split == s) {
      reach(s + 1, s);
      if (s < t) go_over(s + 1, t);
      while (next_backward_ < chain_.units() && chain_.block_of(next_backward_) >= s) {
        append_backward();
      }
      return;
    }
    reach(split, s);
    drop(s, split);
    go_over(split, t);
    go_over(s, split - 1);
  }

  /// Makes what crosses into `block` from blocks `from` on; the forward pass itself comes first.
  constexpr void reach(i32 block, i32 from) {
    if (block > reached_) {
      reached_ = block;
      return;
    }
    if (block >= chain_.blocks()) return;
    const i32 cut = chain_.first_unit(block);
    const unit_lists& w = chain_.writes();
    for (i32 u = chain_.first_unit(from); u < cut; ++u) {
      for (i32 k = w.first[u]; k < w.first[u + 1]; ++k) {
        if (chain_.last_reader(w.all[k]) >= cut) demand(w.all[k]);
      }
    }
    // What the backward pass does not read is made again where it is wanted.
    for (i32 u = chain_.first_unit(from); u < cut; ++u) {
      for (i32 k = w.first[u]; k < w.first[u + 1]; ++k) {
        const i32 r = w.all[k];
        if (!chain_.needed(r) && chain_.droppable(r) && chain_.last_reader(r) < cut) now_[r] = -1;
      }
    }
  }

  /// Forgets the values of blocks s to k - 1 that do not cross into block k.
  constexpr void drop(i32 s, i32 k) {
    const i32 cut = chain_.first_unit(k);
    const unit_lists& w = chain_.writes();
    for (i32 u = chain_.first_unit(s); u < cut; ++u) {
      for (i32 i = w.first[u]; i < w.first[u + 1]; ++i) {
        const i32 r = w.all[i];
        if (chain_.droppable(r) && chain_.last_reader(r) < cut) now_[r] = -1;
      }
    }
  }

  /// Makes sure that value `r` is there.
  constexpr void demand(i32 r) {
    if (now_[r] >= 0) return;
    const i32 u = chain_.first_writer(r);
    const i32 group = group_[u];
    const unit_lists& w = chain_.writes();
    const unit_lists& reads = chain_.reads();
    grow<i32> units;  // those of the group
    for (i32 v = group; v < chain_.forward_units(); ++v) {
      if (group_[v] == group) units.push(v);
    }
    for (const i32 v : units) {
      for (i32 k = reads.first[v]; k < reads.first[v + 1]; ++k) {
        const i32 q = reads.all[k];
        if (group_[chain_.first_writer(q)] != group) demand(q);
      }
    }
    struct replaced {
      i32 value, before;
    };
    grow<replaced> there;
    for (const i32 v : units) {
      for (i32 k = w.first[v]; k < w.first[v + 1]; ++k) {
        const i32 x = w.all[k];
        if (chain_.first_writer(x) != v) continue;
        there.push({x, chain_.droppable(x) ? now_[x] : x});
        now_[x] = add_copy(x);
      }
    }
    for (const i32 v : units) append_again(v);
    for (const replaced& x : there) {
      if (x.before >= 0) now_[x.value] = x.before;  // nobody asked for this one
    }
  }

  /// A tensor of its own for a value that is made again.
  constexpr i32 add_copy(i32 x) {
    tensor t = g_.tensors[x];
    if (t.what == role::result) t.what = role::activation;
    t.repeated = true;
    return g_.add(t);
  }

  /// Tensor `id` of the step itself as it is there now.
  constexpr i32 seen(i32 id) {
    const i32 root = chain_.root_of(id);
    if (!chain_.is_value(root) || now_[root] == root) return id;
    if (id == root) return now_[root];
    const i32 of = seen(g_.tensors[id].of);
    if (view_[id] >= 0 && g_.tensors[view_[id]].of == of) return view_[id];
    tensor t = g_.tensors[id];
    t.of = of;
    return view_[id] = g_.add(t);
  }

  /// The operations of forward unit `u` once more.
  constexpr void append_again(i32 u) {
    const loop_span span = chain_.unit(u);
    image_.clear();
    body_images_.clear();
    i32 body = 0;
    for (i32 i = span.begin; i <= span.end; ++i) {
      operation op = repeated(g_.operations[i]);
      if (op.what == kind::end_loop) body = g_.bodies[op.body].parent;
      if (op.what == kind::loop) {
        loop_body b = g_.bodies[op.body];
        b.parent = body_image(b.parent);
        body_images_.push({op.body, g_.bodies.push(b)});
      } else if (op.what != kind::end_loop) {
        work_.macs += ops::macs_of(g_, op) * runs_of(g_, body_image(body));
        ++work_.operations;
      }
      const i32 inside = op.body;
      if (op.body >= 0) op.body = body_image(op.body);
      for (i32& in : op.in) in = in < 0 ? -1 : image(in);
      for (i32& out : op.out) out = out < 0 ? -1 : image(out);
      order_.push(op);
      if (op.what == kind::loop) body = inside;
    }
  }

  struct pair {
    i32 from, to;
  };

  constexpr i32 body_image(i32 body) const {
    for (const pair& p : body_images_) {
      if (p.from == body) return p.to;
    }
    return body;
  }

  /// A tensor as the repeated unit names it.
  constexpr i32 image(i32 id) {
    if (g_.tensors[id].body == 0) return seen(id);
    for (const pair& p : image_) {
      if (p.from == id) return p.to;
    }
    tensor t = g_.tensors[id];
    t.body = body_image(t.body);
    t.repeated = t.of < 0;
    if (t.of >= 0) {
      const i32 of = image(t.of);
      t.of = of;
    }
    const i32 to = g_.add(t);
    image_.push({id, to});
    return to;
  }

  /// The next unit of the backward pass, with what it reads in front of it.
  constexpr void append_backward() {
    const i32 u = next_backward_++;
    const unit_lists& reads = chain_.reads();
    for (i32 k = reads.first[u]; k < reads.first[u + 1]; ++k) demand(reads.all[k]);
    const loop_span span = chain_.unit(u);
    for (i32 i = span.begin; i <= span.end; ++i) {
      operation op = g_.operations[i];
      for (i32& in : op.in) {
        if (in < 0) continue;
        if (g_.tensors[in].body == 0) {
          in = seen(in);
          continue;
        }
        for (i32 v = in; v >= 0 && g_.tensors[v].body > 0; v = g_.tensors[v].of) {
          const i32 of = g_.tensors[v].of;
          if (of < 0 || g_.tensors[of].body > 0) continue;
          const i32 now = seen(of);
          g_.tensors[v].of = now;
        }
      }
      order_.push(op);
    }
  }

  graph& g_;
  const step_chain& chain_;
  const i32* steps_;  // of the route, from here on
  grow<operation> order_;
  grow<i32> now_;           // by value: the tensor that holds it, -1 where it is dropped
  grow<i32> view_;          // by view of such a value: what was made of it last
  grow<i32> group_;         // by forward unit
  grow<pair> image_;        // of tensors of the loop at hand
  grow<pair> body_images_;  // of its bodies
  repeated_work work_;
  i32 reached_ = 0;  // blocks that the forward pass has run
  i32 next_backward_ = 0;
};

}  // namespace detail

/// Rewrites a finished step so that it goes over its chain by the steps of a route.
constexpr repeated_work write_segments(graph& g, const step_chain& chain, const i32* steps) {
  return detail::segment_writer(g, chain, steps).run();
}

}  // namespace tessera::passes
