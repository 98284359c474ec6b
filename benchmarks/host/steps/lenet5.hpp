#pragma once

// LeNet-5 with tanh and max pooling, ours and by hand.

#include <host/steps/contestants.hpp>

namespace steps {

using lenet = ts::network<ts::image<1, 28, 28>,
                          ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::max_pool<2>,
                          ts::conv<16, 5>, ts::tanh, ts::max_pool<2>,
                          ts::flatten, ts::dense<120>, ts::tanh, ts::dense<84>, ts::tanh,
                          ts::dense<10>>;

template <int B>
using plain_lenet = peers::network<
    B, &peers::plain::cross_entropy<B, 10>,
    peers::plain::conv<B, 1, 28, 6, 5, 2, tanh_act>, peers::plain::max_pool<B, 6, 28>,
    peers::plain::conv<B, 6, 14, 16, 5, 0, tanh_act>, peers::plain::max_pool<B, 16, 10>,
    peers::plain::dense<B, 400, 120, tanh_act>, peers::plain::dense<B, 120, 84, tanh_act>,
    peers::plain::dense<B, 84, 10, no_act>>;

template <int B>
using eigen_lenet = peers::network<
    B, &peers::eigen::cross_entropy<B, 10>,
    peers::eigen::conv<B, 1, 28, 6, 5, 2, tanh_act>, peers::plain::max_pool<B, 6, 28>,
    peers::eigen::conv<B, 6, 14, 16, 5, 0, tanh_act>, peers::plain::max_pool<B, 16, 10>,
    peers::eigen::dense<B, 400, 120, tanh_act>, peers::eigen::dense<B, 120, 84, tanh_act>,
    peers::eigen::dense<B, 84, 10, no_act>>;

template <int B>
entries lenet5(std::shared_ptr<sample_batch> data) {
  const peers::weight_values weights = first_weights<lenet, B>();
  return common_entries<lenet, B, plain_lenet<B>, eigen_lenet<B>>(
      data, weights, torch_lenet5(weights, B, data->x(), data->labels()));
}

}  // namespace steps
