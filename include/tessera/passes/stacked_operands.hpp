#pragma once

// Operands of a reverse loop as stacks: so that gradients of weights can be made of all trips in
// one operation after the loop (passes/differentiate.hpp).
//
//   trip      dw += dy[t]' x[t]                 a buffer for the sum, one for what a trip adds
//   deferred  dw = sum over t of dy[t]' x[t]    no buffer where dw is fused with its update
//
// x is a stack already, the reverse loop reads it slice by slice. dy becomes one: in the bytes of a
// stack of the forward pass whose slices it may overwrite (the gates of an LSTM), or else in bytes
// of its own where these are no more than the two buffers they spare. The sum has the bits that it
// has trip by trip (ops/dense.hpp).

#include <tessera/ops/loop.hpp>

namespace tessera::passes::detail {

/// How the trips of a loop see an operand: as slices of `of`, which the body around sees.
struct trip_slices {
  i32 of = -1;
  i64 base = 0;
  i64 step = 0;
  bool own = false;  // made in the trip itself, by the tensor `of`
  bool found = false;
};

/// True where `op` reads bytes of `storage`.
constexpr bool reads(const graph& g, const operation& op, i32 storage) {
  for (const i32 in : op.in) {
    if (in >= 0 && storage_of(g, in) == storage) return true;
  }
  return false;
}

/// Looks at what a reverse loop whose body begins after operation `begin` reads, and stacks it.
class stacked_operands {
 public:
  constexpr stacked_operands(graph& g, i32 reverse_body, i32 begin)
      : g_(g), body_(reverse_body), begin_(begin) {}

  constexpr trip_slices slices_of(i32 id) const {
    const i64 n = g_.tensors[id].dims.count();
    for (;;) {
      const tensor& t = g_.tensors[id];
      if (t.body != body_ || t.dims.count() != n) return {};
      if (t.of < 0) return {id, 0, 0, true, in_arena(t.what)};
      const i32 around = g_.tensors[t.of].body;
      if (around != body_) {
        const bool whole = t.step == n || t.step == -n;
        return {t.of, t.base, t.step, false, whole && around == g_.bodies[body_].parent};
      }
      id = t.of;
    }
  }

  /// `id`, which the trips of `body_` see as slices, as a stack of the body around.
  constexpr i32 stack_of_slices(i32 id) {
    const trip_slices s = slices_of(id);
    const loop_body& b = g_.bodies[body_];
    const tensor t = g_.tensors[id];
    const i64 first = s.step > 0 ? s.base : s.base + (b.trips - 1) * s.step;
    const i32 stack =
        ops::view_into(g_, s.of, t.dims.batch_of(b.trips), t.stack + 1, b.parent, first, 0);
    g_.tensors[stack].batched = t.batched;
    g_.tensors[stack].batch_last = t.batch_last;
    return stack;
  }

  /// Can the gradient that `op` makes in every trip be made of all trips at once? Stacks what it
  /// reads where it is not yet stacked.
  constexpr bool stack_operands(const operation& op) {
    const trip_slices dy = slices_of(op.in[1]);
    if (!dy.found) return false;
    const trip_slices x = slices_of(op.in[0]);
    if (!x.found || x.own) return false;
    if (!dy.own) return (dy.step > 0) == (x.step > 0);
    if (take_over(dy.of)) {
      const trip_slices taken = slices_of(op.in[1]);
      return (taken.step > 0) == (x.step > 0);
    }
    const i64 n = g_.tensors[dy.of].dims.count();
    const i32 trips = g_.bodies[body_].trips;
    const bool unclaimed = ops::unclaimed(g_, dy.of, body_, begin_);
    if (!unclaimed || trips * n > 2 * g_.tensors[op.out[0]].dims.count()) return false;
    const i32 stack = ops::append_stack(g_, dy.of, body_, trips);
    tensor& t = g_.tensors[dy.of];
    t.of = stack;
    t.base = x.step > 0 ? 0 : (trips - 1) * n;
    t.step = x.step > 0 ? n : -n;
    return true;
  }

 private:
  /// Lets `made`, which a trip makes for itself, take over the slice of a forward stack that its
  /// operation is the only one to read. False where there is none.
  constexpr bool take_over(i32 made) {
    const i32 writer = ops::writer_of(g_, made, begin_);
    if (writer < 0) return false;
    const operation& op = g_.operations[writer];
    i32 slot = 0;
    while (op.out[slot] != made) ++slot;
    const i32 over = ops::in_place_over(op, slot);
    if (over < 0 || op.in[over] < 0) return false;
    const trip_slices s = slices_of(op.in[over]);
    if (!s.found || s.own) return false;
    const i32 storage = storage_of(g_, s.of);
    const tensor& stack = g_.tensors[storage];
    const bool kept = stack.what == role::activation || stack.what == role::saved;
    if (!kept || g_.tensors[op.in[over]].dims.count() != g_.tensors[made].dims.count()) {
      return false;
    }
    i32 readers = 0;  // of the stack, in the forward pass and in this loop
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      if (i != writer && reads(g_, g_.operations[i], storage)) return false;
    }
    for (const i32 in : op.in) {
      readers += in >= 0 && storage_of(g_, in) == storage ? 1 : 0;
    }
    if (readers != 1) return false;
    tensor& t = g_.tensors[made];
    t.of = op.in[over];
    t.base = t.step = 0;
    return true;
  }

  graph& g_;
  i32 body_;
  i32 begin_;
};

}  // namespace tessera::passes::detail
