#pragma once

// Reductions over any axes, and the other way round.
//
//   operation              operands          meaning                            backward
//   reduce_sum             (x) -> y          sum over the axes                  expand
//   reduce_mean            (x) -> y          sum / n, n elements for each of y reduce_mean_gradient
//   reduce_amax            (x) -> y          largest; NaN where one is reduce_amax_gradient expand
//   (x) -> y          x along axes that it has not       reduce_sum reduce_mean_gradient   (dy) ->
//   dx        dy / n along the axes              - reduce_amax_gradient   (x, y, dy) -> dx  dy /
//   ties where x = y, else 0      -
//
// attributes::axes: bit i stands for extent i, batch included, of the larger operand. The smaller
// has those extents as 1, or not at all. `ties` is how many elements are the largest: they share
// the gradient evenly, as in PyTorch; where y is NaN there is none. Sums are f32 (f64 in the f64
// policy): their order is the backend's, every term is added once; n divides the sum; one rounding
// when stored. Saved: reduce_amax x and y, the others nothing. In place: reduce_amax_gradient over
// x, all of which an element of y needs is read before any of it is written.

#include <tessera/ops/broadcast.hpp>  // join_axes
#include <tessera/ops/move.hpp>       // check_axis

namespace tessera::ops {

constexpr bool is_reduction(kind what) {
  return what >= kind::reduce_sum && what <= kind::reduce_amax;
}
/// Reductions, expand and gradients of reductions.
constexpr bool is_reduce_family(kind what) {
  return what >= kind::reduce_sum && what <= kind::reduce_amax_gradient;
}

constexpr const char* reduce_name(kind what) {
  constexpr const char* names[] = {"reduce_sum", "reduce_mean",          "reduce_amax",
                                   "expand",     "reduce_mean_gradient", "reduce_amax_gradient"};
  return names[static_cast<i32>(what) - static_cast<i32>(kind::reduce_sum)];
}

/// What is left of `x` when the extents `axes` are taken out, or become 1.
constexpr tensor reduced_tensor(const tensor& x, u32 axes, bool keep) {
  tensor y = x;
  y.dims.rank = 0;
  const bool of_samples = x.batched && (axes >> x.stack & 1) != 0;
  if (of_samples) y.batched = y.batch_last = false;
  for (i32 i = 0; i < x.dims.rank; ++i) {
    const bool gone = (axes >> i & 1) != 0;
    if (gone && !keep) {
      if (i < x.stack) --y.stack;
      continue;
    }
    y.dims[y.dims.rank++] = gone ? 1 : x.dims[i];
  }
  if (of_samples) y.stack = 0;
  for (i32 i = y.dims.rank; i < shape::max_rank; ++i) y.dims[i] = 0;
  return y;
}

/// `what` is a reduction. `axes`: bits of x's extents, batch included; `keep`: they stay as 1.
/// Where samples are reduced over, the result has none.
constexpr i32 reduce(graph& g, kind what, i32 x, u32 axes, bool keep, tensor_name layer) {
  const i32 rank = g.tensors[x].dims.rank;
  if (axes == 0 || axes >> rank != 0) {
    refuse(g, {spell(layer), spell_all("axes of a value of rank ", rank),
               axes == 0 ? text<64>("none") : text<64>("others"), "count axes from 0"});
    return x;
  }
  const tensor y = reduced_tensor(g.tensors[x], axes, keep);
  const i32 id = append_activation(g, x, y.dims, layer, "out");
  g.tensors[id].stack = y.stack;
  g.tensors[id].batched = y.batched;
  g.tensors[id].batch_last = y.batch_last;
  operation op;
  op.what = what;
  op.attr.axes = axes;
  op.in[0] = x;
  op.out[0] = id;
  op.layer = layer;
  g.add(op);
  return id;
}

/// The largest of every `pieces` consecutive channels (features) along an axis of a sample, as in
/// ops/move.hpp: maxout (Goodfellow et al. 2013).
constexpr i32 maxout(graph& g, i32 x, i32 pieces, i32 axis, tensor_name layer) {
  const tensor t = g.tensors[x];
  const i32 along = extent_of_axis(t, axis);
  if (!check_axis(g, x, axis, layer)) return x;
  if (pieces < 1 || t.dims[along] % pieces != 0 || t.dims.rank == shape::max_rank) {
    refuse(g, {spell(layer), spell_all("an extent that ", pieces, " pieces divide"),
               spell_all<64>(t.sample()), "change the pieces or the channels"});
    return x;
  }
  shape dims = t.dims;  // (..., units, pieces, ...)
  for (i32 i = dims.rank++; i > along; --i) dims[i] = dims[i - 1];
  dims[along] /= pieces;
  dims[along + 1] = pieces;
  const i32 units = view(g, x, dims);
  return reduce(g, kind::reduce_amax, units, u32{1} << (along + 1), false, layer);
}

/// x in the shape and layout of `like`, with which it broadcasts (ops/broadcast.hpp).
constexpr i32 expand(graph& g, i32 x, const tensor& like, tensor_name layer) {
  const tensor y = broadcast_of(g.tensors[x], like);
  if (y.dims != like.dims || y.batch_last != like.batch_last) {
    refuse(g, {spell(layer), spell_all("a value that broadcasts to ", like.dims),
               spell_all<64>(g.tensors[x].dims), "make its last extents agree or be 1"});
    return x;
  }
  const i32 id = append_activation(g, x, like.dims, layer, "out");
  g.tensors[id].stack = y.stack;
  g.tensors[id].batched = y.batched;
  g.tensors[id].batch_last = y.batch_last;
  operation op;
  op.what = kind::expand;
  op.attr.axes = missing_extents(like.dims, g.tensors[x].dims);
  op.in[0] = x;
  op.out[0] = id;
  op.layer = layer;
  g.add(op);
  return id;
}

constexpr void differentiate_reduce(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  const i32 x = forward.in[0];
  if (dy < 0 || !a.wanted(x)) return;
  operation op = forward;
  op.in[0] = dy;
  switch (forward.what) {
    case kind::reduce_sum: op.what = kind::expand; break;
    case kind::expand: op.what = kind::reduce_sum; break;
    case kind::reduce_mean: op.what = kind::reduce_mean_gradient; break;
    default:
      op.what = kind::reduce_amax_gradient;
      op.in[0] = x;
      op.in[1] = forward.out[0];
      op.in[2] = dy;
      break;
  }
  op.out[0] = a.make(x, forward.layer);
  g.add(op);
  a.contribute(x, op.out[0]);
}

/// Operand 0 is the smaller one.
constexpr axes_sizes sizes_of_reduce(const graph& g, const operation& op) {
  const bool forward = is_reduction(op.what);
  const tensor& whole = g.tensors[forward ? op.in[0] : op.out[0]];
  return join_axes(whole, op.attr.axes, 0);
}

}  // namespace tessera::ops
