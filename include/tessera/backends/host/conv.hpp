#pragma once

// conv2d and its data gradient (ops/conv.hpp has the formulas).
//
// Both gather: an output channel sums over input channels and kernel taps, an input channel's
// gradient over output channels and the taps that meet it (conv_places.hpp). Kernel taps are
// clipped at the borders.
//
//   1x1           conv_product.hpp where it pays
//   batch last    conv_winograd.hpp where it pays (3x3), else conv_last.hpp over packed rows, or
//                 conv_last_direct.hpp in place
//   batch first   conv_first_depthwise.hpp for groups of one channel, conv_first_winograd.hpp where
//                 it pays, else conv_first.hpp

#include <tessera/backends/host/conv_first.hpp>
#include <tessera/backends/host/conv_first_depthwise.hpp>
#include <tessera/backends/host/conv_first_winograd.hpp>
#include <tessera/backends/host/conv_last.hpp>
#include <tessera/backends/host/conv_product.hpp>
#include <tessera/backends/host/conv_winograd.hpp>

namespace tessera::host {

template <class T>
constexpr conv_form form_of(const conv_view<T>& v, bool batch_last) {
  if (product_pays(v, batch_last)) return conv_form::product;
  if (!batch_last && depthwise_pays(v)) return conv_form::depthwise;
  if (!batch_last) return first_winograd_pays(v) ? conv_form::winograd : conv_form::in_place;
  if (winograd_pays(v)) return conv_form::winograd;
  return conv_last_plan(packed_rows<T>(v).view).fits ? conv_form::packed : conv_form::in_place;
}

template <class T, bool BatchLast, conv_form Form>
void conv_gather(const call& c, const conv_view<T>& v) {
  if constexpr (Form == conv_form::any) {
    if (product_pays(v, BatchLast)) return conv_by_product<T, BatchLast>(c, v);
  }
  if constexpr (Form == conv_form::product) {
    conv_by_product<T, BatchLast>(c, v);
  } else if constexpr (!BatchLast) {
    if constexpr (Form == conv_form::any || Form == conv_form::depthwise) {
      if (Form == conv_form::depthwise || depthwise_pays(v)) return conv_depthwise(c, v);
    }
    if constexpr (Form == conv_form::any || Form == conv_form::winograd) {
      if (Form == conv_form::winograd || first_winograd_pays(v)) {
        return first_winograd<T>(v).run(c.step->threads);
      }
    }
    if constexpr (Form == conv_form::any || Form == conv_form::in_place) conv_batch_first(c, v);
  } else if constexpr (Form == conv_form::winograd) {
    conv_winograd(c, v);
  } else if constexpr (Form == conv_form::packed) {
    conv_packed(c, v);
  } else if constexpr (Form == conv_form::in_place) {
    conv_in_place(c, v);
  } else {
    if constexpr (!in_pairs<T>) {
      if (winograd_pays(v)) return conv_winograd(c, v);
    }
    if (!conv_packed(c, v)) conv_in_place(c, v);
  }
}

template <class T, bool BatchLast, conv_form Form = conv_form::any>
void conv2d(const call& c) {
  conv_gather<T, BatchLast, Form>(c, conv_view<T>::forward(c, conv_sizes::of(*c.sizes)));
}

template <class T, bool BatchLast, conv_form Form = conv_form::any>
void conv2d_data_gradient(const call& c) {
  conv_gather<T, BatchLast, Form>(c, conv_view<T>::backward(c, conv_sizes::of(*c.sizes)));
}

}  // namespace tessera::host
