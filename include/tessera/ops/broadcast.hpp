#pragma once

// Operations on two values of different shapes, as numpy broadcasts them.
//
//   operation            forward                         gradient of a, of b (then summed)
//   broadcast_add        a + b                           dy                    dy
//   broadcast_subtract   a - b                           dy                    0 - sum of dy
//   broadcast_multiply   a b                             dy b                  dy a
//   divide               a / b                           dy / b                -dy a / (b b)
//   maximum              the larger, NaN where one is    dy where a > b, dy / 2 where they are
//   minimum              the smaller, likewise           equal, else 0; b likewise
//
//   divide_gradient      (a, b, dy) -> -dy a / (b b)     in the shape of dy
//   maximum_gradient     (a, b, dy) -> dy (a > b), dy / 2 where a = b
//   minimum_gradient     (a, b, dy) -> dy (a < b), dy / 2 where a = b
//
// Shapes are aligned at their last extents; an extent of 1, or one that is missing in front, goes
// with any. The first extent behind the stacks counts samples where a value has them: there both
// have samples, or one has an extent of 1 or none. Operands are read where they lie, nothing is
// copied for them; only a gradient that is summed over the extents that its operand does not have
// exists in the shape of dy before that (ops/reduce.hpp). Two values of one shape are added,
// subtracted and multiplied by the plain operations (ops/elementwise.hpp).
// Saved: add, subtract nothing; multiply what the other's gradient needs; the others a and b. In
// place: over a, gradients over dy, where that has all axes. f32 arithmetic, one rounding.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/axes_sizes.hpp>

namespace tessera::ops {

constexpr bool is_broadcast(kind what) {
  return what >= kind::broadcast_add && what <= kind::minimum_gradient;
}
/// Those with (a, b, dy).
constexpr bool is_broadcast_gradient(kind what) {
  return what >= kind::divide_gradient && what <= kind::minimum_gradient;
}

constexpr const char* broadcast_name(kind what) {
  constexpr const char* names[] = {
      "broadcast_add", "broadcast_subtract", "broadcast_multiply", "divide",          "maximum",
      "minimum",       "divide_gradient",    "maximum_gradient",   "minimum_gradient"};
  return names[static_cast<i32>(what) - static_cast<i32>(kind::broadcast_add)];
}

/// The extents of a tensor by number, in the order in which they lie in memory: all as they are, or
/// samples innermost.
struct memory_order {
  i32 rank = 0;
  i32 extent[shape::max_rank] = {};

  constexpr explicit memory_order(const tensor& t) : rank(t.dims.rank) {
    i32 at = 0;
    for (i32 i = 0; i < rank; ++i) {
      if (!t.batch_last || i != t.stack) extent[at++] = i;
    }
    if (at < rank) extent[at] = t.stack;
  }
};

/// The extents of `whole`, as bits, that `part` has not, both aligned at their last extents.
constexpr u32 missing_extents(const shape& whole, const shape& part) {
  u32 missing = 0;
  for (i32 i = 0; i < whole.rank; ++i) {
    const i32 other = i - (whole.rank - part.rank);
    if (whole[i] > 1 && (other < 0 || part[other] == 1)) missing |= u32{1} << i;
  }
  return missing;
}

/// Sizes of operands that lack the extents `missing` of `whole`.
constexpr axes_sizes join_axes(const tensor& whole, u32 missing_a, u32 missing_b) {
  const memory_order order(whole);
  axes_sizes sizes;
  sizes.axes = 0;
  sizes.has[0] = sizes.has[1] = 0;
  bool last_a = false;
  bool last_b = false;
  for (i32 i = 0; i < order.rank; ++i) {
    const i32 n = whole.dims[order.extent[i]];
    if (n == 1) continue;
    const bool a = (missing_a >> order.extent[i] & 1) == 0;
    const bool b = (missing_b >> order.extent[i] & 1) == 0;
    if (sizes.axes > 0 && a == last_a && b == last_b) {
      sizes.extent[sizes.axes - 1] *= n;
      continue;
    }
    sizes.has[0] |= (a ? u32{1} : u32{0}) << sizes.axes;
    sizes.has[1] |= (b ? u32{1} : u32{0}) << sizes.axes;
    sizes.extent[sizes.axes++] = n;
    last_a = a;
    last_b = b;
  }
  return sizes.axes > 0 ? sizes : axes_sizes{};
}

/// The tensor that a and b give together: its shape and layout; rank -1 where they do not fit.
constexpr tensor broadcast_of(const tensor& a, const tensor& b) {
  tensor y = a.dims.rank >= b.dims.rank ? a : b;
  const tensor& other = a.dims.rank >= b.dims.rank ? b : a;
  const i32 apart = y.dims.rank - other.dims.rank;
  tensor none = y;
  none.dims.rank = -1;
  for (i32 i = apart; i < y.dims.rank; ++i) {
    const i32 n = other.dims[i - apart];
    if (y.dims[i] != n && y.dims[i] != 1 && n != 1) return none;
    if (y.dims[i] == 1) y.dims[i] = n;
  }
  if (other.batched) {
    if (y.batched && y.stack != other.stack + apart) return none;
    if (!y.batched) y.stack = other.stack + apart;
    y.batch_last = y.batch_last || other.batch_last;
    y.batched = true;
  }
  if (!y.batched) return y;
  // Samples are counted by those alone that have them.
  for (const tensor* t : {&a, &b}) {
    const i32 at = y.stack - (y.dims.rank - t->dims.rank);
    if (at < 0 || t->dims[at] == 1) continue;
    if (!t->batched || t->batch_last != y.batch_last) return none;
  }
  return y;
}

/// y = a op b of any two shapes that broadcast: `what` is a plain or a broadcasting kind.
constexpr i32 broadcast(graph& g, kind what, i32 a, i32 b, tensor_name layer) {
  const tensor y = broadcast_of(g.tensors[a], g.tensors[b]);
  if (y.dims.rank < 0) {
    refuse(g, {spell(layer), "two values whose extents agree or are 1",
               spell_all<64>(g.tensors[a].dims, " and ", g.tensors[b].dims),
               "make their last extents agree"});
    return a;
  }
  const bool same = g.tensors[a].dims == g.tensors[b].dims;
  if (same && what == kind::broadcast_add) what = kind::add;
  if (same && what == kind::broadcast_subtract) what = kind::subtract;
  if (same && what == kind::broadcast_multiply) what = kind::multiply;
  const i32 id = append_activation(g, a, y.dims, layer, "out");
  tensor& t = g.tensors[id];
  t.stack = y.stack;
  t.batched = y.batched;
  t.batch_last = y.batch_last;
  t.differentiable = g.tensors[a].differentiable || g.tensors[b].differentiable;
  operation op;
  op.what = what;
  op.in[0] = a;
  op.in[1] = b;
  op.out[0] = id;
  op.layer = layer;
  g.add(op);
  return id;
}

namespace detail {

/// `full`, a gradient in the shape of y, for operand `x`, which may lack some of y's extents:
/// summed over those, and contributed unless `negative` calls for 0 minus it.
constexpr void contribute_summed(graph& g, i32 x, i32 full, bool negative, tensor_name layer,
                                 adjoints& a) {
  const tensor whole = g.tensors[full];
  const u32 missing = missing_extents(whole.dims, g.tensors[x].dims);
  i32 gradient = full;
  if (missing != 0) {
    operation sum;
    sum.what = kind::reduce_sum;
    sum.attr.axes = missing;
    sum.in[0] = full;
    sum.out[0] = gradient = a.make(x, layer);
    sum.layer = layer;
    g.add(sum);
  } else if (whole.dims != g.tensors[x].dims) {  // extents of 1 in front
    const tensor t = g.tensors[x];
    gradient = view_into(g, captured(g, full, g.body), t.dims, t.stack, g.body, 0, 0);
    g.tensors[gradient].batched = t.batched;
    g.tensors[gradient].batch_last = t.batch_last;
  }
  if (negative) {
    operation zero;
    zero.what = kind::zero;
    zero.out[0] = a.make(x, layer);
    zero.layer = layer;
    g.add(zero);
    operation minus;  // in the bytes of the zeros
    minus.what = kind::subtract;
    minus.in[0] = zero.out[0];
    minus.in[1] = gradient;
    minus.out[0] = gradient = a.make(x, layer);
    minus.layer = layer;
    g.add(minus);
  }
  a.contribute(x, gradient);
}

}  // namespace detail

constexpr void differentiate_broadcast(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  for (i32 side = 0; side < 2; ++side) {
    const i32 x = forward.in[side];
    const i32 other = forward.in[1 - side];
    if (!a.wanted(x)) continue;
    i32 full = dy;
    const bool linear =
        forward.what == kind::broadcast_add || forward.what == kind::broadcast_subtract;
    if (!linear) {
      operation op = forward;
      op.in[0] = x;
      op.in[1] = other;
      op.in[2] = dy;
      if (forward.what == kind::maximum) op.what = kind::maximum_gradient;
      if (forward.what == kind::minimum) op.what = kind::minimum_gradient;
      if (forward.what == kind::divide && side == 1) {
        op.what = kind::divide_gradient;
        op.in[0] = other;
        op.in[1] = x;
      }
      if (!is_broadcast_gradient(op.what)) {  // dy times or by the other
        op.in[0] = dy;
        op.in[2] = -1;
      }
      op.out[0] = full = a.make(forward.out[0], forward.layer);
      g.add(op);
    }
    const bool negative = forward.what == kind::broadcast_subtract && side == 1;
    detail::contribute_summed(g, x, full, negative, forward.layer, a);
  }
}

constexpr axes_sizes sizes_of_broadcast(const graph& g, const operation& op) {
  const tensor& whole = g.tensors[is_broadcast_gradient(op.what) ? op.in[2] : op.out[0]];
  return join_axes(whole, missing_extents(whole.dims, g.tensors[op.in[0]].dims),
                   missing_extents(whole.dims, g.tensors[op.in[1]].dims));
}

}  // namespace tessera::ops
