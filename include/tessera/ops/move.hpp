#pragma once

// Operations that move bytes and compute nothing.
//
//   operation   operands             meaning                           backward            in place
//   copy        (x) -> y             the same values elsewhere         dy to x             over x
//   zero        -> y                 all bytes zero                    -                   -
//   concat      (parts ...) -> y     parts side by side along an axis  split of dy         no
//   split       (x) -> parts ...     the other way round               concat of the dy    no
//
// Up to 8 parts. The axis counts the extents of a sample (stacks first, no batch), or all extents
// of a tensor without samples. A part of concat that is -1 is zeros; a part of split that is -1 is
// not wanted: so each is the other's gradient, whatever is absent. Nothing is saved for the
// backward pass.
//
//   memory   outer x (parts side by side), for parts of extents 2 and 3 along channels:
//            batch first   n0 [c0 c1|c2 c3 c4]  n1 [c0 c1|c2 c3 c4]     outer = batch
//            batch last    [c0 c1|c2 c3 c4], each c all samples         outer = 1
//
// Pieces are contiguous, so a kernel copies `outer` runs a part: 2 bytes of traffic for each moved.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/axis.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// A part of a concat: a tensor, or zeros of some extent along the axis: {.zeros = 8}.
struct part {
  i32 id = -1;
  i32 zeros = 0;
};

/// The outputs of a split, in order.
struct split_parts {
  i32 id[move_sizes::max_parts] = {-1, -1, -1, -1, -1, -1, -1, -1};

  constexpr i32 operator[](i32 index) const { return id[index]; }
};

/// Records an axis that `x` does not have. True where it has.
constexpr bool check_axis(graph& g, i32 x, i32 axis, tensor_name layer) {
  const shape dims = g.tensors[x].sample();
  if (axis >= 0 && axis < dims.rank) return true;
  refuse(g, {spell(layer), spell_all("a value with an axis ", axis), spell_all<64>(dims),
             "count axes from 0, without the batch"});
  return false;
}

/// True where `a` and `b` differ in nothing but the extent along `axis`, laid out alike.
constexpr bool meet_along(const tensor& a, const tensor& b, i32 axis) {
  if (a.batched != b.batched || a.stack != b.stack || a.dims.rank != b.dims.rank) return false;
  if (a.batch_last != b.batch_last) return false;
  for (i32 i = 0; i < a.dims.rank; ++i) {
    if (i != extent_of_axis(a, axis) && a.dims[i] != b.dims[i]) return false;
  }
  return true;
}

/// The same values in bytes of their own.
constexpr i32 copy(graph& g, i32 x, tensor_name layer) { return unary(g, kind::copy, x, layer); }

/// `count` parts side by side along `axis`; one at least is a tensor.
constexpr i32 concat(graph& g, const part* parts, i32 count, i32 axis, tensor_name layer) {
  i32 like = -1;
  for (i32 i = 0; i < count && like < 0; ++i) like = parts[i].id;
  if (like < 0 || count > move_sizes::max_parts) {
    refuse(g, {spell(layer), spell_all("1 to ", move_sizes::max_parts, " parts"),
               spell_all<64>(count), "concatenate in several steps"});
    return like;
  }
  if (!check_axis(g, like, axis, layer)) return like;
  operation op;
  op.what = kind::concat;
  op.attr.axis = axis;
  bool differentiable = false;
  const i32 along = extent_of_axis(g.tensors[like], axis);
  shape dims = g.tensors[like].dims;
  dims[along] = 0;
  for (i32 i = 0; i < count; ++i) {
    op.in[i] = parts[i].id;
    op.attr.parts[i] = parts[i].zeros;
    if (parts[i].id >= 0) {
      const tensor& t = g.tensors[parts[i].id];
      if (!meet_along(g.tensors[like], t, axis)) {
        refuse(g, {spell(layer), spell_all("parts that agree in all but axis ", axis),
                   spell_all<64>(g.tensors[like].sample(), " and ", t.sample()),
                   "make the branches meet"});
        return like;
      }
      op.attr.parts[i] = t.dims[along];
      differentiable = differentiable || t.differentiable;
    }
    dims[along] += op.attr.parts[i];
  }
  op.out[0] = append_activation(g, like, dims, layer, "out");
  g.tensors[op.out[0]].differentiable = differentiable;
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

/// x cut along `axis` into `count` parts of the given extents.
constexpr split_parts split(graph& g, i32 x, const i32* extents, i32 count, i32 axis,
                            tensor_name layer) {
  split_parts parts;
  if (!check_axis(g, x, axis, layer)) return parts;
  const i32 along = extent_of_axis(g.tensors[x], axis);
  i32 sum = 0;
  for (i32 i = 0; i < count; ++i) sum += extents[i];
  if (count > move_sizes::max_parts || sum != g.tensors[x].dims[along]) {
    refuse(g, {spell(layer),
               spell_all("at most ", move_sizes::max_parts, " parts that add up to ",
                         g.tensors[x].dims[along]),
               spell_all<64>(count, " that add up to ", sum), "change the parts' extents"});
    return parts;
  }
  operation op;
  op.what = kind::split;
  op.in[0] = x;
  op.attr.axis = axis;
  shape dims = g.tensors[x].dims;
  for (i32 i = 0; i < count; ++i) {
    op.attr.parts[i] = dims[along] = extents[i];
    op.out[i] = parts.id[i] = append_activation(g, x, dims, layer, "part");
  }
  op.layer = layer;
  g.add(op);
  return parts;
}

constexpr void differentiate_copy(graph&, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy >= 0) a.contribute(forward.in[0], dy);
}

constexpr void differentiate_concat(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  bool wanted = false;
  for (const i32 in : forward.in) wanted = wanted || a.wanted(in);
  if (dy < 0 || !wanted) return;
  operation op = forward;
  op.what = kind::split;
  for (i32 i = 0; i < move_sizes::max_parts; ++i) {
    op.in[i] = i == 0 ? dy : -1;
    op.out[i] = a.wanted(forward.in[i]) ? a.make(forward.in[i], forward.layer) : -1;
  }
  g.add(op);
  for (i32 i = 0; i < move_sizes::max_parts; ++i) {
    if (op.out[i] >= 0) a.contribute(forward.in[i], op.out[i]);
  }
}

/// Runs once, with zeros in the place of parts that have no gradient.
constexpr void differentiate_split(graph& g, const operation& forward, adjoints& a) {
  const i32 x = forward.in[0];
  if (!a.wanted(x)) return;
  operation op = forward;
  op.what = kind::concat;
  bool any = false;
  for (i32 i = 0; i < move_sizes::max_parts; ++i) {
    op.in[i] = forward.out[i] < 0 ? -1 : a.need(forward.out[i]);
    op.out[i] = -1;
    any = any || op.in[i] >= 0;
  }
  if (!any) return;
  op.out[0] = a.make(x, forward.layer);
  g.add(op);
  a.contribute(x, op.out[0]);
}

constexpr move_sizes sizes_of_move(const graph& g, const operation& op) {
  const tensor& t = g.tensors[op.what == kind::concat ? op.out[0] : op.in[0]];
  const axis_view whole = view_along(t, op.attr.axis);
  move_sizes sizes{whole.outer, {}};
  for (i32 i = 0; i < move_sizes::max_parts; ++i) sizes.width[i] = op.attr.parts[i] * whole.inner;
  return sizes;
}

}  // namespace tessera::ops
