#pragma once

// Layers that change shapes: reductions over axes, permute, reshape.
//
//   reduce_mean<1, 2>          (channels, height, width) -> (channels)
//   reduce_mean<1, 2>::kept    the same -> (channels, 1, 1)
//   permute<1, 2, 0>           (channels, height, width) -> (height, width, channels)
//   reshape<4, -1>             16x8x8 -> 4x256
//
// Axes count the extents of a sample, from 0 and without the batch, time first; negative ones count
// from the last.

#include <tessera/nn/builder.hpp>

namespace tessera {

namespace detail {

template <kind What, bool Keep, i32... Axes>
struct reduction_layer {
  static_assert(sizeof...(Axes) > 0, "reductions: expected at least one axis");
  static constexpr value build(builder& b, value x) { return b.reduce(What, x, {Axes...}, Keep); }
};

}  // namespace detail

/// The sum over axes of a sample.
///
/// Shapes   x (batch, ...)   y without the axes; those of `kept` stay as 1
/// Memory   keeps nothing
/// Errors   an axis that the sample does not have
template <i32... Axes>
struct reduce_sum : detail::reduction_layer<kind::reduce_sum, false, Axes...> {
  using kept = detail::reduction_layer<kind::reduce_sum, true, Axes...>;
};

/// The mean over axes of a sample, otherwise as reduce_sum.
template <i32... Axes>
struct reduce_mean : detail::reduction_layer<kind::reduce_mean, false, Axes...> {
  using kept = detail::reduction_layer<kind::reduce_mean, true, Axes...>;
};

/// The largest over axes of a sample, NaN where one is; equal ones share the gradient. Keeps x and
/// y, otherwise as reduce_sum.
template <i32... Axes>
struct reduce_amax : detail::reduction_layer<kind::reduce_amax, false, Axes...> {
  using kept = detail::reduction_layer<kind::reduce_amax, true, Axes...>;
};

/// Extents of a sample in another order: extent i of y is extent Order[i] of x.
///
/// Memory   keeps nothing
/// Errors   "permute: expected each of 3 axes once, got 2 axes; ..."
template <i32... Order>
struct permute {
  static constexpr value build(builder& b, value x) { return b.permute(x, {Order...}); }
};

/// The same values, in order, as samples of other extents; one of them may be -1, what is left. A
/// view, no bytes move.
///
/// Errors   "reshape: expected samples of 1024 values, got 16x8x8 for 5x200; ..."
template <i32... Extents>
struct reshape {
  static constexpr value build(builder& b, value x) { return b.reshape(x, shape(Extents...)); }
};

static_assert(layer<reduce_sum<0>> && layer<reduce_mean<0, 1>::kept> && layer<reduce_amax<-1>>);
static_assert(layer<permute<1, 0>> && layer<reshape<-1>>);

}  // namespace tessera
