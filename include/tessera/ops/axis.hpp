#pragma once

// One axis of a tensor, and what lies around it in memory.
//
//   memory   outer x along x inner: for the channels of (batch, channels, height, width)
//            batch first   outer = batch   inner = height x width
//            batch last    outer = 1       inner = height x width x batch
//
// Axes count the extents of a sample: stacks first, then the rest, without the batch. A tensor that
// has no samples counts all its extents.

#include <tessera/ir/graph.hpp>

namespace tessera::ops {

/// Which extent of `t.dims` axis number `axis` is.
constexpr i32 extent_of_axis(const tensor& t, i32 axis) {
  return t.batched && axis >= t.stack ? axis + 1 : axis;
}

/// A tensor seen from one of its axes.
struct axis_view {
  i32 outer = 1;
  i32 along = 1;
  i32 inner = 1;
};

constexpr axis_view view_along(const tensor& t, i32 axis) {
  const shape dims = t.sample();
  axis_view view;
  for (i32 a = 0; a < dims.rank; ++a) {
    (a < axis ? view.outer : a == axis ? view.along : view.inner) *= dims[a];
  }
  if (t.batched) (t.batch_last || axis < t.stack ? view.inner : view.outer) *= t.batch();
  return view;
}

/// The channels, features or classes of a tensor: the first axis behind its stacks.
constexpr axis_view view_along_channels(const tensor& t) { return view_along(t, t.stack); }

/// True where kernels that tell two layouts apart see `t` with the batch first whatever its own: a
/// stack outside makes (stack, channels, batch) look like a batch of images of one row, and a
/// tensor without samples is one.
constexpr bool seen_batch_first(const tensor& t) { return t.stack > 0 || !t.batched; }

}  // namespace tessera::ops
