#pragma once

// conv2d and its data gradient (ops/conv.hpp has the formulas).
//
// Both gather: an output channel sums over input channels and kernel taps, an input channel's
// gradient over output channels and the taps that meet it (conv_places.hpp). Kernel taps are
// clipped at the borders.
//
//   batch last    conv_winograd.hpp where it pays (3x3), else conv_last.hpp over packed rows, or
//                 conv_last_direct.hpp in place
//   batch first   conv_first.hpp

#include <tessera/backends/host/conv_first.hpp>
#include <tessera/backends/host/conv_last.hpp>
#include <tessera/backends/host/conv_winograd.hpp>

namespace tessera::host {

template <class T, bool BatchLast>
void conv_gather(const call& c, const conv_view<T>& v) {
  if constexpr (!BatchLast) return conv_batch_first(c, v);
  winograd_pays(v) ? conv_winograd(c, v) : conv_batch_last(c, v);
}

template <class T, bool BatchLast>
void conv2d(const call& c) {
  conv_gather<T, BatchLast>(c, conv_view<T>::forward(c, conv_sizes::of(*c.sizes)));
}

template <class T, bool BatchLast>
void conv2d_data_gradient(const call& c) {
  conv_gather<T, BatchLast>(c, conv_view<T>::backward(c, conv_sizes::of(*c.sizes)));
}

}  // namespace tessera::host
