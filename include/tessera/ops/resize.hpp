#pragma once

// Images of another size: adaptive pooling, up-sampling (to any size, smaller ones too), max
// unpooling.
//
//   operation             y of a position                              saved        in place
//   adaptive_avg_pool2d   mean of its window                           nothing      no
//   adaptive_max_pool2d   largest value of its window, the first wins  its place    no
//   upsample_nearest      the cell it falls on                         nothing      no
//   upsample_bilinear     the four cells around it, by distance        nothing      no
//   max_unpool2d          0, or the sum of all x that name it          the indices  no
//
// ops/resize_axis.hpp says which cells. Sums are f32 (f64 where tensors are) and rounded once;
// their order is each backend's own and depends on sizes and layout alone. What is saved of a
// maximum is row-major in a window as wide as the widest: u8, i32 where the largest window has more
// than 256 cells. NaN: the first cell of a window wins even if it is one, a later one never.
//
// max_unpool2d takes whole numbers, flat places (row * width + column) in y's plane, for each value
// of x: those of a max pool, as PyTorch counts them. A number that is no place of the plane puts
// its value nowhere and gets gradient 0. Values that name one place are added in row-major order,
// each sum rounded as stored; so the gradient of each is dy of its place.
// Undoing a max pool of the same network needs no such numbers: the places in windows that the pool
// saves say the same, and unpooling is what max_pool2d_gradient computes (`max_unpool2d_like`). Its
// gradient is max_unpool2d_gradient with the pool's window.

#include <tessera/ops/pool.hpp>
#include <tessera/ops/resize_axis.hpp>

namespace tessera::ops {

/// The height (0) or width (1) of a resized image.
constexpr resized_axis axis_of(kind what, const resize_sizes& n, i32 axis) {
  return axis == 0 ? resized_axis{what, n.in_height, n.out_height, n.align_corners != 0}
                   : resized_axis{what, n.in_width, n.out_width, n.align_corners != 0};
}

/// x (batch, channels, height, width) to y (batch, channels, out_height, out_width).
constexpr i32 resize(graph& g, kind what, i32 x, i32 out_height, i32 out_width, tensor_name layer,
                     bool align_corners = false) {
  shape dims = g.tensors[x].dims;
  const shape in(dims[2], dims[3]);
  dims[2] = out_height;
  dims[3] = out_width;
  refuse_empty(g, dims, x, layer);
  operation op;
  op.what = what;
  op.in[0] = x;
  op.out[0] = append_activation(g, x, dims, layer, "out");
  op.attr.align_corners = align_corners;
  op.layer = layer;
  if (what == kind::adaptive_max_pool2d && g.tensors[x].differentiable) {
    const i32 index = append_like(g, x, dims, role::saved, part_of(layer, "index"));
    const i32 most = resized_axis{what, in[0], out_height}.most_cells() *
                     resized_axis{what, in[1], out_width}.most_cells();
    g.tensors[index].type = most <= 256 ? element::uint8 : element::int32;
    g.tensors[index].differentiable = false;
    op.out[1] = index;
  }
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_resize(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what = static_cast<kind>(static_cast<i32>(forward.what) + 1);  // a gradient follows its kind
  op.in[0] = dy;
  op.in[1] = forward.out[1];
  op.out[0] = a.make(forward.in[0], forward.layer);
  op.out[1] = -1;
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

constexpr resize_sizes sizes_of_resize(const graph& g, const operation& op) {
  const bool back = is_resize_gradient(op.what);
  const shape& x = g.tensors[back ? op.out[0] : op.in[0]].dims;
  const shape& y = g.tensors[back ? op.in[0] : op.out[0]].dims;
  return {x[0], x[1], x[2], x[3], y[2], y[3], op.attr.align_corners ? 1 : 0};
}

namespace detail {

constexpr i32 append_unpool(graph& g, kind what, i32 x, i32 indices, const window& win, i32 height,
                            i32 width, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  if (g.tensors[indices].dims != dims || g.tensors[indices].batch_last != g.tensors[x].batch_last) {
    refuse(g,
           {spell(layer), "an index for each value",
            spell_all<64>(dims, " and ", g.tensors[indices].dims), "give it what the pool gave"});
  }
  dims[2] = height;
  dims[3] = width;
  refuse_empty(g, dims, x, layer);
  operation op;
  op.what = what;
  op.in[0] = x;
  op.in[1] = indices;
  op.out[0] = append_activation(g, x, dims, layer, "out");
  op.attr.win = win;
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

}  // namespace detail

/// x and indices (batch, channels, h, w), i32 flat places in y (batch, channels, height, width).
constexpr i32 max_unpool2d(graph& g, i32 x, i32 indices, i32 height, i32 width, tensor_name layer) {
  window flat;
  flat.kernel[0] = flat.kernel[1] = 0;
  return detail::append_unpool(g, kind::max_unpool2d, x, indices, flat, height, width, layer);
}

/// The same with the places in windows that `pool`, a max pool of this graph, saves. Height and
/// width are those that it pooled, or others.
constexpr i32 max_unpool2d_like(graph& g, i32 x, const operation& pool, i32 height, i32 width,
                                tensor_name layer) {
  return detail::append_unpool(g, kind::max_pool2d_gradient, x, pool.out[1], pool.attr.win, height,
                               width, layer);
}

/// Of max_unpool2d, and of max_pool2d_gradient where it runs forward.
constexpr void differentiate_unpool(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0 || !a.wanted(forward.in[0])) return;
  operation op = forward;
  op.what = kind::max_unpool2d_gradient;
  op.in[0] = dy;
  op.out[0] = a.make(forward.in[0], forward.layer);
  g.add(op);
  a.contribute(forward.in[0], op.out[0]);
}

}  // namespace tessera::ops
