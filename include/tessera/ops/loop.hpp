#pragma once

// Loops: how a body is put between `loop` and `end_loop`, and what crosses its border.
//
//   scan     a slice of an outer tensor for each trip:     view of x, step = size of a slice
//   output   a slice of a new outer tensor from each trip: what the body computes is a view of it
//   carry    a value handed from trip to trip, in one of two forms:
//
//     in place   init, in, next and final are views of one buffer: inference
//     stacked    a buffer of trips + 1 slots, init is the first, trip t reads slot t and writes
//                slot t + 1, final is the last: differentiated loops; the buffer is at the same
//                time the saved activation, nothing is copied
//
// A body that runs backwards in time has its slots the other way round. A block that is repeated
// with weights of its own and a recurrence over time are the same construct: in the former,
// parameters made inside are stacked outside and scanned.

#include <tessera/ops/ops.hpp>

namespace tessera::ops {

/// A stack for slices like `like`, one for each trip of `body`; belongs to the body around.
constexpr i32 append_stack(graph& g, i32 like, i32 body, i32 slots) {
  tensor t = g.tensors[like];
  t.dims = t.dims.batch_of(slots);
  ++t.stack;
  t.body = g.bodies[body].parent;
  t.of = -1;
  t.base = t.step = 0;
  return g.add(t);
}

struct loop_options {
  i32 trips = 1;
  bool reversed = false;
  bool own_weights = false;
  bool stacked = false;        // carries keep the values of all trips, for a gradient
  bool differentiable = true;  // a gradient may be wanted of what is carried
};

/// Writes one loop: carries are declared before `begin`, scans and the body follow, then `end`.
class loop_writer {
 public:
  constexpr loop_writer(graph& g, const loop_options& o, tensor_name layer)
      : g_(g), layer_(layer), stacked_(o.stacked), differentiable_(o.differentiable) {
    loop_body b;
    b.parent = g.body;
    b.depth = g.bodies[g.body].depth + 1;
    b.trips = o.trips;
    b.reversed = o.reversed;
    b.own_weights = o.own_weights;
    if (b.depth > loop_body::max_depth) {
      refuse(g, {spell(layer), spell_all("at most ", loop_body::max_depth, " loops in each other"),
                 "one more", "unroll the innermost"});
      b.depth = loop_body::max_depth;
    }
    body_ = g.bodies.push(b);
  }

  constexpr i32 body() const { return body_; }

  /// A value that starts as `init`. Returns its number.
  constexpr i32 carry(i32 init, bool detached = false) {
    const i32 c = declare(init, detached);
    operation op;
    op.what = kind::copy;
    op.in[0] = captured(g_, init, g_.body);
    op.out[0] = g_.carries[c].init;
    op.layer = layer_;
    g_.add(op);
    return c;
  }

  /// A value that starts as zeros: `dims`, laid out like `like`, batch first behind `stack` extents
  /// that loops inside run over.
  constexpr i32 carry_of_zeros(i32 like, const shape& dims, bool detached = false, i32 stack = 0) {
    tensor t = g_.tensors[like];
    t.dims = dims;
    t.stack = stack;
    t.type = element::f32;
    t.what = role::activation;
    t.name = layer_;
    const i32 c = declare(t, detached);
    operation op;
    op.what = kind::zero;
    op.out[0] = g_.carries[c].init;
    op.layer = layer_;
    g_.add(op);
    return c;
  }

  constexpr void begin() {
    operation op;
    op.what = kind::loop;
    op.body = body_;
    op.layer = layer_;
    begin_ = g_.operations.size();
    g_.add(op);
    g_.body = body_;
  }

  /// The slice of `x` for this trip: x has as many slices as the loop has trips.
  constexpr i32 scan(i32 x) {
    const i32 outside = captured(g_, x, g_.bodies[body_].parent);
    if (g_.tensors[x].stack < 1 || g_.tensors[x].dims[0] != g_.bodies[body_].trips) {
      refuse(g_, {spell(layer_), spell_all("a sequence of ", g_.bodies[body_].trips, " slices"),
                  spell_all<64>(g_.tensors[x].dims), "start from sequence<...>"});
      return x;
    }
    return slice(g_, outside, body_);
  }

  /// What the trip before has left of carry number `c`.
  constexpr i32 in(i32 c) const { return g_.carries[c].in; }

  /// What this trip leaves of it.
  constexpr void next(i32 c, i32 value) { g_.carries[c].next = value; }

  /// Puts out `value` of every trip. Returns the number to ask `outer` for after the end.
  constexpr i32 output(i32 value) { return g_.loop_outputs.push({body_, value, -1}); }

  constexpr void end();

  /// After the end: the stack of an output; what the last trip left of a carry.
  constexpr i32 outer(i32 output) const { return g_.loop_outputs[output].outer; }
  constexpr i32 final(i32 c) const { return g_.carries[c].final; }

 private:
  constexpr i32 declare(i32 init, bool detached) {
    tensor t = g_.tensors[init];
    t.what = role::activation;
    return declare(t, detached);
  }

  constexpr i32 declare(tensor value, bool detached) {
    value.body = g_.body;
    value.of = -1;
    value.base = value.step = 0;
    value.differentiable = differentiable_;
    const shape dims = value.dims;
    const i32 stack = value.stack;
    value.dims = dims.batch_of(1);
    ++value.stack;
    loop_carry c;
    c.body = body_;
    c.detached = detached;
    c.buffer = g_.add(value);
    c.init = view_into(g_, c.buffer, dims, stack, g_.body, 0, 0);
    c.in = view_into(g_, c.buffer, dims, stack, body_, 0, 0);
    return g_.carries.push(c);
  }

  constexpr void close_carries();
  constexpr void close_outputs();

  graph& g_;
  tensor_name layer_;
  bool stacked_;
  bool differentiable_;
  i32 body_ = 0;
  i32 begin_ = 0;
};

/// True where the bytes that `x` names are those of `of`, looked at through views.
constexpr bool views(const graph& g, i32 x, i32 of) {
  while (x >= 0 && x != of) x = g.tensors[x].of;
  return x == of;
}

/// The operation from `begin` on that writes `x`, -1 where none does.
constexpr i32 writer_of(const graph& g, i32 x, i32 begin) {
  for (i32 i = begin; i < g.operations.size(); ++i) {
    for (const i32 out : g.operations[i].out) {
      if (out == x) return i;
    }
  }
  return -1;
}

/// True where `x`, made in the body that began after operation `begin`, can be written straight
/// into other bytes: nobody else has claimed it.
constexpr bool unclaimed(const graph& g, i32 x, i32 body, i32 begin) {
  const tensor& t = g.tensors[x];
  return t.of < 0 && t.body == body && in_arena(t.what) && writer_of(g, x, begin) >= 0;
}

/// True where `next` can be written over `in` while the body still runs: nothing reads `in` later,
/// and the operation that writes `next` may overwrite what it reads.
constexpr bool may_replace(const graph& g, i32 in, i32 next, i32 begin) {
  const i32 buffer = g.tensors[in].of;
  const i32 writer = writer_of(g, next, begin);
  for (i32 i = writer; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
      if (op.in[slot] < 0 || !views(g, op.in[slot], buffer)) continue;
      if (i > writer) return false;
      i32 out_slot = 0;
      while (op.out[out_slot] != next) ++out_slot;
      if (in_place_over(op, out_slot) != slot) return false;
    }
  }
  return true;
}

/// A copy of `from` where `to` lies.
constexpr void append_copy(graph& g, i32 from, i32 to, tensor_name layer) {
  operation op;
  op.what = kind::copy;
  op.in[0] = from;
  op.out[0] = to;
  op.layer = layer;
  g.add(op);
}

/// A plain tensor like `like`, of the body at hand.
constexpr i32 append_plain(graph& g, i32 like) {
  tensor t = g.tensors[like];
  t.body = g.body;
  t.of = -1;
  t.base = t.step = 0;
  return g.add(t);
}

/// Hands on carries that stand still: `next[i]` replaces `in[i]` at the end of a trip. What cannot
/// be written in place is copied, first aside where it lies in another carry's buffer.
constexpr void replace_in_place(graph& g, const grow<i32>& in, grow<i32>& next, i32 body, i32 begin,
                                tensor_name layer) {
  grow<i32> aside(in.size());
  for (i32 i = 0; i < in.size(); ++i) {
    aside[i] = -1;
    if (in[i] == next[i]) continue;  // stays as it is
    bool read_late = false;          // another carry takes over what this one holds, at the end
    for (i32 k = 0; k < in.size(); ++k) {
      read_late = read_late || (k != i && views(g, next[k], g.tensors[in[i]].of));
    }
    if (!read_late && unclaimed(g, next[i], body, begin) && may_replace(g, in[i], next[i], begin)) {
      tensor& t = g.tensors[next[i]];
      t.of = g.tensors[in[i]].of;
      t.base = g.tensors[in[i]].base;
      continue;
    }
    aside[i] = next[i];
    for (i32 k = 0; k < in.size(); ++k) {
      if (!views(g, next[i], g.tensors[in[k]].of)) continue;
      aside[i] = append_plain(g, next[i]);
      append_copy(g, next[i], aside[i], layer);
      break;
    }
  }
  for (i32 i = 0; i < in.size(); ++i) {
    if (aside[i] < 0) continue;
    next[i] = view_into(g, g.tensors[in[i]].of, g.tensors[in[i]].dims, g.tensors[in[i]].stack, body,
                        g.tensors[in[i]].base, 0);
    append_copy(g, aside[i], next[i], layer);
  }
}

constexpr void loop_writer::close_carries() {
  const loop_body b = g_.bodies[body_];
  grow<i32> still_in;
  grow<i32> still_next;
  grow<i32> still;
  for (i32 i = 0; i < g_.carries.size(); ++i) {
    loop_carry c = g_.carries[i];
    if (c.body != body_) continue;
    c.stacked = stacked_;
    for (const loop_output& out : g_.loop_outputs) {
      // The stack of what is carried is what is put out.
      if (out.body == body_ && out.inner == c.next) c.stacked = true;
    }
    if (g_.tensors[c.next].dims != g_.tensors[c.in].dims) {
      refuse(g_, {spell(layer_), spell_all("a body that gives ", g_.tensors[c.in].sample()),
                  spell_all<64>(g_.tensors[c.next].sample()),
                  "make what goes round a loop keep its shape"});
      c.next = c.in;
    }
    if (!c.stacked) {
      still.push(i);
      still_in.push(c.in);
      still_next.push(c.next);
      continue;
    }
    const i64 n = g_.tensors[c.in].dims.count();
    const i64 start = b.reversed ? b.trips * n : 0;
    const i64 step = slice_step(b, n);
    g_.tensors[c.buffer].dims[0] = b.trips + 1;
    g_.tensors[c.init].base = start;
    g_.tensors[c.in].base = start;
    g_.tensors[c.in].step = step;
    if (unclaimed(g_, c.next, body_, begin_)) {
      tensor& next = g_.tensors[c.next];
      next.of = c.buffer;
      next.base = start + step;
      next.step = step;
    } else {
      const i32 slot = view_into(g_, c.buffer, g_.tensors[c.in].dims, g_.tensors[c.in].stack, body_,
                                 start + step, step);
      append_copy(g_, c.next, slot, layer_);
      for (loop_output& out : g_.loop_outputs) {  // one copy serves both
        if (out.body == body_ && out.inner == c.next) out.inner = slot;
      }
      c.next = slot;
    }
    g_.carries[i] = c;
  }
  replace_in_place(g_, still_in, still_next, body_, begin_, layer_);
  for (i32 i = 0; i < still.size(); ++i) {
    g_.carries[still[i]].next = still_next[i];
    g_.carries[still[i]].stacked = false;
  }
}

constexpr void loop_writer::close_outputs() {
  const loop_body b = g_.bodies[body_];
  for (i32 i = 0; i < g_.loop_outputs.size(); ++i) {
    loop_output out = g_.loop_outputs[i];
    if (out.body != body_) continue;
    const i64 n = g_.tensors[out.inner].dims.count();
    for (const loop_carry& c : g_.carries) {
      if (c.body != body_ || !c.stacked || c.next != out.inner) continue;
      shape dims = g_.tensors[c.buffer].dims;
      dims[0] = b.trips;
      out.outer = view_into(g_, c.buffer, dims, g_.tensors[c.buffer].stack, b.parent,
                            b.reversed ? 0 : n, 0);
    }
    if (out.outer < 0) {
      out.outer = append_stack(g_, out.inner, body_, b.trips);
      if (!unclaimed(g_, out.inner, body_, begin_)) {
        const i32 copy = append_plain(g_, out.inner);
        append_copy(g_, out.inner, copy, layer_);
        out.inner = copy;
      }
      tensor& inner = g_.tensors[out.inner];
      inner.of = out.outer;
      inner.base = first_slice(b, n);
      inner.step = slice_step(b, n);
    }
    g_.loop_outputs[i] = out;
  }
}

constexpr void loop_writer::end() {
  for (const loop_carry& c : g_.carries) {
    if (c.body == body_ && c.next < 0) {
      refuse(g_, {spell(layer_), "a next value for everything carried", "none", "call next()"});
      return;
    }
  }
  close_carries();
  close_outputs();
  operation op;
  op.what = kind::end_loop;
  op.body = body_;
  op.layer = layer_;
  g_.add(op);
  g_.body = g_.bodies[body_].parent;
  const loop_body b = g_.bodies[body_];
  for (loop_carry& c : g_.carries) {
    if (c.body != body_) continue;
    const tensor in = g_.tensors[c.in];
    const i64 last = !c.stacked || b.reversed ? 0 : b.trips * in.dims.count();
    c.final = view_into(g_, c.buffer, in.dims, in.stack, b.parent, last, 0);
  }
}

}  // namespace tessera::ops
