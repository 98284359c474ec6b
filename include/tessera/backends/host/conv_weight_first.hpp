#pragma once

// The weight gradient of conv2d, batch first: dw[o][c][tap] = sum over samples and positions of
// dy[o][position] x[c][cell of position and tap].
//
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

#include <tessera/backends/host/conv_weight_channels.hpp>
#include <tessera/backends/host/conv_weight_positions.hpp>

namespace tessera::host {

template <class T>
void conv_weight_batch_first(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  constexpr i32 vector_of_channels = 16;
  if (v.n.group_in() < vector_of_channels) {
    position_weight_gradient<T>(v, sink).run(c.step->threads);
  } else {
    channel_weight_gradient<T>(v, sink).run(c.step->threads);
  }
}

}  // namespace tessera::host
