#pragma once

// Reverse mode over the operations of a graph, loops included.
//
// Walks the forward operations from the last to the first and lets each append its backward
// operations (ops/ops.hpp, `differentiate`). The gradient of a weight is appended before that of
// the layer's input, so that the input's bytes are free as soon as possible.
//
// A loop becomes a loop that runs its trips the other way round:
//
//   forward tensor of a trip      is stacked: it becomes a slice of a stack that the reverse loop
//                                 reads backwards; its producer does not change
//   carry in -> next              a carry next -> in of gradients, in place
//   stacked output                its gradient is read slice by slice
//   scanned input                 its gradient is written slice by slice
//   captured input (weights)      its gradient starts as zeros before the outermost loop and every
//                                 trip adds to it; or, of a dense layer or a table's product, it is
//                                 made of all trips at once after the loop
//                                 (passes/stacked_operands.hpp)
//
// Source: Griewank, Walther, Evaluating Derivatives, ch. 3; loops: Pearlmutter, Siskind 2008 in
// spirit. O(operations x tensors of loops).

#include <tessera/ir/loops.hpp>
#include <tessera/passes/stacked_operands.hpp>

namespace tessera::passes {

/// A gradient that comes in from outside: d(objective) / d(tensor) is what `gradient` holds.
struct seed {
  i32 tensor = -1;
  i32 gradient = -1;
};

namespace detail {

class reverse_pass {
 public:
  constexpr reverse_pass(graph& g, bool defers)
      : g_(g),
        defers_(defers),
        forward_tensors_(capture_inputs(g)),
        forward_operations_(g.operations.size()),
        loops_(find_loops(g)),
        a_(g, forward_tensors_),
        seen_(forward_tensors_),
        reverse_of_(g.bodies.size()),
        deferred_(forward_tensors_) {
    for (i32& id : seen_) id = -1;
  }

  constexpr ops::adjoints& gradients() { return a_; }
  constexpr i32 forward_tensors() const { return forward_tensors_; }

  constexpr void run() { reverse(0, forward_operations_); }

 private:
  /// Gives every body views of what its operations read from outside, so that whatever crosses a
  /// border is a view of that body. Returns the number of tensors then.
  static constexpr i32 capture_inputs(graph& g) {
    struct capture {
      i32 tensor, body, view;
    };
    grow<capture> known;
    i32 body = 0;
    for (i32 i = 0; i < g.operations.size(); ++i) {
      if (g.operations[i].what == kind::end_loop) body = g.bodies[g.operations[i].body].parent;
      for (i32& in : g.operations[i].in) {
        if (in < 0 || g.tensors[in].body == body || !g.tensors[in].differentiable) continue;
        i32 view = -1;
        for (const capture& c : known) {
          if (c.tensor == in && c.body == body) view = c.view;
        }
        if (view < 0) {
          view = ops::captured(g, in, body);
          known.push({in, body, view});
        }
        in = view;
      }
      if (g.operations[i].what == kind::loop) body = g.operations[i].body;
    }
    return g.tensors.size();
  }

  /// Appends the backward operations of forward operations begin to end - 1, which stand in one
  /// body.
  constexpr void reverse(i32 begin, i32 end) {
    for (i32 i = end - 1; i >= begin; --i) {
      const operation forward = g_.operations[i];  // a copy: the array grows
      if (forward.what == kind::end_loop) {
        reverse_loop(forward.body);
        i = loops_[forward.body].begin;
        continue;
      }
      const i32 before = g_.operations.size();
      ops::differentiate(g_, forward, a_);
      for (i32 k = before; k < g_.operations.size(); ++k) {
        for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
          const i32 in = g_.operations[k].in[slot];
          if (in < 0 || in >= forward_tensors_) continue;
          const i32 seen = seen_from_reverse(in);
          g_.operations[k].in[slot] = seen;
        }
      }
    }
  }

  /// Forward tensor `x` as the reverse of its body reads it.
  constexpr i32 seen_from_reverse(i32 x) {
    const i32 body = g_.tensors[x].body;
    if (body == 0) return x;
    if (seen_[x] >= 0) return seen_[x];
    if (g_.tensors[x].of < 0) {  // a value of one trip: from now on a slice of a stack
      const i64 n = g_.tensors[x].dims.count();
      const i32 stack = ops::append_stack(g_, x, body, g_.bodies[body].trips);
      tensor& t = g_.tensors[x];
      t.of = stack;
      t.base = ops::first_slice(g_.bodies[body], n);
      t.step = ops::slice_step(g_.bodies[body], n);
    }
    const tensor t = g_.tensors[x];
    i32 of = t.of;
    i64 base = t.base;
    if (g_.tensors[of].body == body) {
      of = seen_from_reverse(of);
    } else {
      of = of < forward_tensors_ ? seen_from_reverse(of) : stack_seen_from_reverse(of);
      base += (g_.bodies[body].trips - 1) * t.step;
    }
    seen_[x] = ops::view_into(g_, of, t.dims, t.stack, reverse_of_[body], base, -t.step);
    return seen_[x];
  }

  /// The same for a stack that this pass has made: in a loop of its own it is stacked again.
  constexpr i32 stack_seen_from_reverse(i32 stack) {
    const i32 body = g_.tensors[stack].body;
    if (body == 0) return stack;
    const i64 n = g_.tensors[stack].dims.count();
    const loop_body b = g_.bodies[body];
    if (g_.tensors[stack].of < 0) {
      const i32 outer = ops::append_stack(g_, stack, body, b.trips);
      tensor& t = g_.tensors[stack];
      t.of = outer;
      t.base = ops::first_slice(b, n);
      t.step = ops::slice_step(b, n);
    }
    const tensor t = g_.tensors[stack];
    return ops::view_into(g_, stack_seen_from_reverse(t.of), t.dims, t.stack, reverse_of_[body],
                          t.base + (b.trips - 1) * t.step, -t.step);
  }

  /// The reverse of the loop around `body`; nothing where no gradient reaches it.
  constexpr void reverse_loop(i32 body) {
    if (!reached(body)) return;
    const loop_body forward = g_.bodies[body];
    const loop_span span = loops_[body];
    const tensor_name layer = g_.operations[span.begin].layer;
    loop_body b = forward;
    b.parent = g_.body;
    b.reversed = !forward.reversed;
    b.own_weights = false;
    const i32 reverse_body = g_.bodies.push(b);
    reverse_of_[body] = reverse_body;

    grow<i32> carries;  // numbers of the forward carries whose gradient goes round
    grow<i32> buffers;  // of the gradients
    for (i32 i = 0; i < g_.carries.size(); ++i) {
      const loop_carry c = g_.carries[i];
      if (c.body != body || !a_.wanted(c.in) || (c.detached && a_.of(c.final) < 0)) continue;
      if (!c.stacked) {
        ops::refuse(g_, {spell(layer), "carries that keep the values of all trips", "one in place",
                         "build the loop with stacked carries to differentiate it"});
      }
      carries.push(i);
      buffers.push(start_gradient(c, layer));
    }
    const i32 begin = g_.operations.size();
    operation op;
    op.what = kind::loop;
    op.body = reverse_body;
    op.layer = layer;
    g_.add(op);
    g_.body = reverse_body;

    grow<i32> carried;  // the gradients as the body sees them
    for (i32 k = 0; k < carries.size(); ++k) {
      const loop_carry& c = g_.carries[carries[k]];
      carried.push(ops::captured(g_, buffers[k], reverse_body));
      a_.contribute(c.next, carried[k]);
    }
    for (i32 i = 0; i < g_.loop_outputs.size(); ++i) {
      const loop_output out = g_.loop_outputs[i];
      if (out.body != body) continue;
      g_.body = b.parent;
      const i32 gradient = a_.need(out.outer);
      g_.body = reverse_body;
      if (gradient >= 0) a_.contribute(out.inner, ops::slice(g_, gradient, reverse_body));
    }
    reverse(span.begin + 1, span.end);

    const grow<operation> deferred = defer_products(body, reverse_body, begin);
    const grow<placed> contributions = put_gradients(body, reverse_body, begin, layer);
    grow<i32> next;
    for (i32 k = 0; k < carries.size(); ++k) {
      const loop_carry c = g_.carries[carries[k]];
      i32 gradient = c.detached ? -1 : a_.of(c.in);
      if (gradient < 0) {  // nothing goes to the trip before
        gradient = ops::append_plain(g_, buffers[k]);
        append_zero(gradient, layer);
      }
      next.push(gradient);
    }
    ops::replace_in_place(g_, carried, next, reverse_body, begin, layer);
    op.what = kind::end_loop;
    g_.add(op);
    g_.body = b.parent;
    start_with_zeros(reverse_body, begin);
    for (i32 k = 0; k < carries.size(); ++k) {
      const loop_carry c = g_.carries[carries[k]];
      if (!c.detached) a_.contribute(c.init, buffers[k]);
    }
    for (const placed& p : contributions) a_.contribute(p.tensor, p.gradient);
    for (const operation& product : deferred) append_deferred(product);
    close_sums(body);
  }

  /// True where a gradient comes to anything that the loop puts out.
  constexpr bool reached(i32 body) {
    for (const loop_output& out : g_.loop_outputs) {
      if (out.body == body && a_.of(out.outer) >= 0) return true;
    }
    for (const loop_carry& c : g_.carries) {
      if (c.body == body && (a_.of(c.final) >= 0 || a_.of(c.buffer) >= 0)) return true;
    }
    return false;
  }

  /// The buffer of a gradient that goes round, with what comes in from after the loop.
  constexpr i32 start_gradient(const loop_carry& c, tensor_name layer) {
    const i32 buffer = a_.make(c.in, layer);
    const i32 last = a_.need(c.final);
    if (last >= 0) {
      ops::append_copy(g_, last, buffer, layer);
    } else {
      append_zero(buffer, layer);
    }
    return buffer;
  }

  constexpr operation make_zero(i32 x, tensor_name layer) const {
    operation op;
    op.what = kind::zero;
    op.out[0] = x;
    op.layer = layer;
    return op;
  }
  constexpr void append_zero(i32 x, tensor_name layer) { g_.add(make_zero(x, layer)); }

  /// A tensor and what its gradient has become.
  struct placed {
    i32 tensor = -1;
    i32 gradient = -1;
  };

  /// A gradient that the trips of one or more loops add up.
  struct sum {
    i32 of = -1;        // the forward tensor
    i32 gradient = -1;  // belongs to the reverse of its body
    i32 body = -1;      // the reverse loop that it starts before
    tensor_name layer;
  };

  /// True for gradients of `of` that are sums over slices like over samples. A table that is a
  /// parameter stays in its loop: its update may be sparse.
  constexpr bool can_be_deferred(kind what, i32 of) const {
    if (what == kind::dense_weight_gradient) return true;
    return what == kind::embedding_gradient && in_arena(g_.tensors[storage_of(g_, of)].what);
  }

  /// Takes the operations out of the body that can come after the loop, in the order in which they
  /// shall; out[0] is the forward tensor, as the body around sees it, that each makes the gradient
  /// of. For loops in no other loop, and gradients that nothing else is added to in between: the
  /// bits are those of trip by trip.
  constexpr grow<operation> defer_products(i32 body, i32 reverse_body, i32 begin) {
    grow<operation> deferred;
    const loop_body& b = g_.bodies[reverse_body];
    if (!defers_ || b.trips == 1 || b.depth > 1) return deferred;
    for (i32 x = 0; x < forward_tensors_; ++x) {
      const tensor t = g_.tensors[x];
      if (t.body != body || t.of < 0 || g_.tensors[t.of].body == body || t.step != 0) continue;
      if (t.of >= forward_tensors_ || is_carried_or_put_out(x, body)) continue;
      const i32 gradient = a_.of(x);
      if (gradient < 0 || !a_.wanted(t.of) || is_seen_twice(x, body)) continue;
      const i32 writer = ops::writer_of(g_, gradient, begin);
      if (writer < 0 || !can_be_deferred(g_.operations[writer].what, t.of)) continue;
      if (!ops::unclaimed(g_, gradient, reverse_body, begin)) continue;
      bool read = false;
      for (i32 i = begin; i < g_.operations.size(); ++i) {
        read = read || detail::reads(g_, g_.operations[i], gradient);
      }
      operation op = g_.operations[writer];
      stacked_operands operands(g_, reverse_body, begin);
      if (read || !operands.stack_operands(op)) continue;
      for (i32 i = writer + 1; i < g_.operations.size(); ++i) {
        g_.operations[i - 1] = g_.operations[i];
      }
      g_.operations.resize(g_.operations.size() - 1);
      op.attr.last_first = operands.slices_of(op.in[0]).step < 0;
      op.attr.by_slices = op.what == kind::embedding_gradient;
      for (const i32 slot : {0, 1}) op.in[slot] = operands.stack_of_slices(op.in[slot]);
      op.out[0] = t.of;
      deferred.push(op);
      deferred_[x] = true;
    }
    return deferred;
  }

  /// True where the body sees what `x` views under another name, too, and wants its gradient.
  constexpr bool is_seen_twice(i32 x, i32 body) const {
    for (i32 other = 0; other < forward_tensors_; ++other) {
      const tensor& t = g_.tensors[other];
      if (other != x && t.body == body && t.of == g_.tensors[x].of && a_.of(other) >= 0)
        return true;
    }
    return false;
  }

  /// After the loop.
  constexpr void append_deferred(operation op) {
    const i32 of = op.out[0];
    op.out[0] = a_.make(of, op.layer);
    g_.add(op);
    a_.contribute(of, op.out[0]);
  }

  /// At the end of a trip: the gradients of all that the body sees from outside go to where they
  /// are kept. Returns those that are complete after the loop.
  constexpr grow<placed> put_gradients(i32 body, i32 reverse_body, i32 begin, tensor_name layer) {
    grow<placed> done;
    for (i32 x = 0; x < forward_tensors_; ++x) {
      const tensor t = g_.tensors[x];
      if (t.body != body || t.of < 0 || g_.tensors[t.of].body == body) continue;
      if (t.of >= forward_tensors_ || is_carried_or_put_out(x, body)) continue;
      const i32 gradient = a_.of(x);
      if (gradient < 0 || !a_.wanted(t.of) || deferred_[x]) continue;
      if (t.step == 0) {
        add_to_sum(x, gradient, layer);
      } else {
        done.push({t.of, put_slice(x, gradient, reverse_body, begin, layer)});
      }
    }
    return done;
  }

  constexpr bool is_carried_or_put_out(i32 x, i32 body) const {
    for (const loop_carry& c : g_.carries) {
      if (c.body == body && (c.in == x || c.next == x)) return true;
    }
    for (const loop_output& out : g_.loop_outputs) {
      if (out.body == body && out.inner == x) return true;
    }
    return false;
  }

  /// `gradient` of slice `x` becomes a slice of the gradient of what x is a slice of, which is
  /// returned. Where slices do not cover it, the rest is zeros.
  constexpr i32 put_slice(i32 x, i32 gradient, i32 reverse_body, i32 begin, tensor_name layer) {
    const tensor t = g_.tensors[x];
    const i32 trips = g_.bodies[reverse_body].trips;
    const i64 n = t.dims.count();
    g_.body = g_.bodies[reverse_body].parent;
    const i32 whole = a_.make(t.of, layer);
    g_.body = reverse_body;
    const bool covered =
        (t.step == n || t.step == -n) && trips * n == g_.tensors[t.of].dims.count();
    if (!covered) zeros_.push({-1, whole, reverse_body, layer});
    const i64 base = t.base + (trips - 1) * t.step;
    if (ops::unclaimed(g_, gradient, reverse_body, begin)) {
      tensor& slice = g_.tensors[gradient];
      slice.of = whole;
      slice.base = base;
      slice.step = -t.step;
    } else {
      const i32 slice = ops::view_into(g_, whole, t.dims, t.stack, reverse_body, base, -t.step);
      ops::append_copy(g_, gradient, slice, layer);
    }
    return whole;
  }

  /// Adds the `gradient` of one trip to the sum for what still view `x` shows.
  constexpr void add_to_sum(i32 x, i32 gradient, tensor_name layer) {
    // Outwards through all loops that see it standing still.
    i32 of = g_.tensors[x].of;
    while (g_.tensors[of].of >= 0 && g_.tensors[of].step == 0 &&
           g_.tensors[g_.tensors[of].of].body != g_.tensors[of].body) {
      of = g_.tensors[of].of;
    }
    i32 whole = -1;
    for (const sum& s : sums_) {
      if (s.of == of) whole = s.gradient;
    }
    const i32 here = g_.body;
    if (whole < 0) {
      const i32 outside = reverse_of_[g_.tensors[of].body];
      i32 loop = here;
      while (g_.bodies[loop].parent != outside) loop = g_.bodies[loop].parent;
      g_.body = outside;
      whole = a_.make(of, layer);
      g_.body = here;
      sums_.push({of, whole, loop, layer});
      zeros_.push({of, whole, loop, layer});
    }
    const tensor t = g_.tensors[x];
    operation add;
    add.what = kind::add;
    add.in[0] = add.out[0] = in_shape_of(ops::captured(g_, whole, here), t);
    add.in[1] = gradient;
    add.layer = layer;
    g_.add(add);
  }

  /// A view with the shape of `like`.
  constexpr i32 in_shape_of(i32 x, const tensor& like) {
    if (g_.tensors[x].dims == like.dims) return x;
    return ops::view_into(g_, x, like.dims, like.stack, g_.body, 0, 0);
  }

  /// Zeroes what trips of `loop` add to or cover in part, before that loop, which begins at
  /// operation `begin`.
  constexpr void start_with_zeros(i32 loop, i32 begin) {
    grow<operation> before;
    grow<sum> later;
    for (const sum& z : zeros_) {
      if (z.body == loop) {
        before.push(make_zero(z.gradient, z.layer));
      } else {
        later.push(z);
      }
    }
    zeros_ = later;
    const i32 count = before.size();
    if (count == 0) return;
    const i32 end = g_.operations.size();
    for (i32 i = 0; i < count; ++i) g_.operations.push({});
    for (i32 i = end - 1; i >= begin; --i) g_.operations[i + count] = g_.operations[i];
    for (i32 i = 0; i < count; ++i) g_.operations[begin + i] = before[i];
  }

  /// After the loop around forward `body`: the sums that started before it are complete.
  constexpr void close_sums(i32 body) {
    grow<sum> open;
    grow<sum> complete;
    for (const sum& s : sums_) (s.body == reverse_of_[body] ? complete : open).push(s);
    sums_ = open;
    for (const sum& s : complete) a_.contribute(s.of, s.gradient);
  }

  graph& g_;
  bool defers_;
  i32 forward_tensors_;
  i32 forward_operations_;
  grow<loop_span> loops_;
  ops::adjoints a_;
  grow<i32> seen_;        // by forward tensor: the view of its reverse body
  grow<i32> reverse_of_;  // by forward body: the reverse body that is open or was last
  grow<bool> deferred_;   // by forward tensor: its gradient comes after the loop
  grow<sum> sums_;
  grow<sum> zeros_;
};

}  // namespace detail

/// Appends the backward pass for all losses in the graph and for the given seeds. Returns the
/// gradient of every tensor that was there before, by tensor; -1 where it has none. Gradients of
/// tensors inside loops are those of a trip, or -1. `defers` off adds up the weight gradients of
/// loops trip by trip: the same bits, other memory (a stack of gradients less, buffers of the size
/// of the weights more), for those who drop stacks and compute them again.
constexpr grow<i32> differentiate(graph& g, const seed* seeds = nullptr, i32 seed_count = 0,
                                  bool defers = true) {
  const i32 tensors = g.tensors.size();
  detail::reverse_pass pass(g, defers);
  for (i32 i = 0; i < seed_count; ++i)
    pass.gradients().contribute(seeds[i].tensor, seeds[i].gradient);
  pass.run();
  grow<i32> gradients(tensors);
  for (i32 id = 0; id < tensors; ++id) {
    gradients[id] = g.tensors[id].body == 0 ? pass.gradients().of(id) : -1;
  }
  return gradients;
}

}  // namespace tessera::passes
