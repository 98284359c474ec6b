#pragma once

// Extents in another order.
//
//   permute   y.dims[i] = x.dims[order[i]]     backward: the inverse permutation of dy
//
// The batch is one of the extents. Where it moves, what stands before it in y counts as stacks, so
// that (batch, time, features) becomes a sequence by the order 1, 0, 2. Any element type; nothing
// is saved, nothing is in place.
//
//   x (2 samples, 3 x 4) by 0, 2, 1           y (2 samples, 4 x 3)
//   batch first   steps 12, 1, 4 in x         joined where x and y run on together: here not
//   batch last    steps 2, 8, 1 in x          memory (3, 4, 2 samples) -> (4, 3, 2 samples)

#include <tessera/ops/broadcast.hpp>  // memory_order

namespace tessera::ops {

/// Which extent of x each extent of y is.
struct extent_order {
  i32 of[shape::max_rank] = {};

  constexpr i32 operator[](i32 i) const { return of[i]; }
};

/// True where `order` names each of `rank` extents once.
constexpr bool is_permutation(const extent_order& order, i32 rank) {
  u32 seen = 0;
  for (i32 i = 0; i < rank; ++i) {
    if (order[i] >= 0 && order[i] < rank) seen |= u32{1} << order[i];
  }
  return seen == (u32{1} << rank) - 1;
}

namespace detail {

constexpr void append_permute(graph& g, i32 x, i32 y, const extent_order& order,
                              tensor_name layer) {
  operation op;
  op.what = kind::permute;
  for (i32 i = 0; i < shape::max_rank; ++i) op.attr.parts[i] = order[i];
  op.in[0] = x;
  op.out[0] = y;
  op.layer = layer;
  g.add(op);
}

}  // namespace detail

constexpr i32 permute(graph& g, i32 x, const extent_order& order, tensor_name layer) {
  const tensor from = g.tensors[x];
  if (!is_permutation(order, from.dims.rank)) {
    refuse(g, {spell(layer), spell_all("each of ", from.dims.rank, " axes once"), "others",
               "give a permutation of 0, 1, ..."});
    return x;
  }
  shape dims = from.dims;
  i32 stack = 0;
  for (i32 i = 0; i < dims.rank; ++i) {
    dims[i] = from.dims[order[i]];
    if (from.batched && order[i] == from.stack) stack = i;
  }
  const i32 y = append_activation(g, x, dims, layer, "out");
  g.tensors[y].stack = from.batched ? stack : from.stack;
  detail::append_permute(g, x, y, order, layer);
  return y;
}

constexpr void differentiate_permute(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  const i32 x = forward.in[0];
  if (dy < 0 || !a.wanted(x)) return;
  extent_order inverse;
  const i32 rank = g.tensors[x].dims.rank;
  for (i32 i = 0; i < rank; ++i) inverse.of[forward.attr.parts[i]] = i;
  const i32 dx = a.make(x, forward.layer);
  detail::append_permute(g, dy, dx, inverse, forward.layer);
  a.contribute(x, dx);
}

constexpr permute_sizes sizes_of_permute(const graph& g, const operation& op) {
  const tensor& x = g.tensors[op.in[0]];
  const tensor& y = g.tensors[op.out[0]];
  i32 step[shape::max_rank] = {};  // in x, by extent of x
  const memory_order in_x(x);
  i32 n = 1;
  for (i32 i = in_x.rank - 1; i >= 0; --i) {
    step[in_x.extent[i]] = n;
    n *= x.dims[in_x.extent[i]];
  }
  permute_sizes sizes;
  sizes.axes = 0;
  const memory_order in_y(y);
  for (i32 i = 0; i < in_y.rank; ++i) {
    const i32 extent = y.dims[in_y.extent[i]];
    const i32 apart = step[op.attr.parts[in_y.extent[i]]];
    if (extent == 1) continue;
    const i32 last = sizes.axes - 1;
    if (last >= 0 && sizes.step[last] == apart * extent) {  // x and y run on together
      sizes.extent[last] *= extent;
      sizes.step[last] = apart;
      continue;
    }
    sizes.extent[sizes.axes] = extent;
    sizes.step[sizes.axes++] = apart;
  }
  return sizes.axes > 0 ? sizes : permute_sizes{};
}

}  // namespace tessera::ops
