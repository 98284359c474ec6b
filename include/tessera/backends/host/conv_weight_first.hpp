#pragma once

// The weight gradient of conv2d, batch first: dw[o][c][tap] = sum over samples and positions of
// dy[o][position] x[c][cell of position and tap].
//
//   groups of one channel        vectors are columns of positions (conv_weight_depthwise.hpp).
//   3x3, where it pays           Winograd's transforms (conv_first_winograd_weight.hpp).
//   16 input channels and more   vectors are input channels: x is packed with the channels of a
//                                cell side by side, zeros around; every tap of a position is a
//                                row of it, and dy is one number (gathered_product.hpp). Sums
//                                [out channel][tap][in channel] are turned round at the end.
//   fewer                        vectors are positions, with the panel of the forward pass
//                                (image_panel.hpp): sums of 6 out channels x 4 weights in
//                                registers, across lanes at the end of a strip.
//
// Strips of positions, then samples add to the same sums. Those are floats: one chain over
// samples and positions for each weight in the first form; a chain for each lane, strip by strip,
// in the second. Neither depends on the number of threads.
//
// Cost: a multiply-add for each position and vector of weights, or weight and vector of
// positions; the second form adds 3 cycles for each weight and strip.

#include <tessera/backends/host/conv_first_winograd_weight.hpp>
#include <tessera/backends/host/conv_weight_channels.hpp>
#include <tessera/backends/host/conv_weight_depthwise.hpp>
#include <tessera/backends/host/conv_weight_positions.hpp>

namespace tessera::host {

/// `packed`: vectors are input channels; `in_place`: vectors are positions.
template <class T>
constexpr conv_form first_form_of(const conv_weight_view<T>& v) {
  if (depthwise_weight_pays(v)) return conv_form::depthwise;
  if (first_winograd_weight_pays(v.n)) return conv_form::winograd;
  constexpr i32 vector_of_channels = 16;
  return v.n.group_in() < vector_of_channels ? conv_form::in_place : conv_form::packed;
}

template <class T, conv_form Form>
void conv_weight_batch_first(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  if constexpr (Form == conv_form::winograd) {
    first_winograd_weight<T>(v).run(c.step->threads, sink);
  } else if constexpr (Form == conv_form::packed) {
    channel_weight_gradient<T>(v, sink).run(c.step->threads);
  } else if constexpr (Form == conv_form::in_place) {
    position_weight_gradient<T>(v, sink).run(c.step->threads);
  } else if constexpr (Form == conv_form::depthwise) {
    depthwise_weight_gradient<T>(v, sink).run(c.step->threads);
  } else {
    switch (first_form_of(v)) {
      case conv_form::winograd: return conv_weight_batch_first<T, conv_form::winograd>(c, v, sink);
      case conv_form::depthwise:
        return conv_weight_batch_first<T, conv_form::depthwise>(c, v, sink);
      case conv_form::packed: return conv_weight_batch_first<T, conv_form::packed>(c, v, sink);
      default: return conv_weight_batch_first<T, conv_form::in_place>(c, v, sink);
    }
  }
}

}  // namespace tessera::host
