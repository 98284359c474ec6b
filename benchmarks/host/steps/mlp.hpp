#pragma once

// Multilayer perceptrons with ReLU, ours and by hand.

#include <host/steps/contestants.hpp>

namespace steps {

/// In -> Hidden -> 10, or In -> Hidden -> Second -> 10.
template <int In, int Hidden, int Second = 0>
struct mlp_parts {
  using network = ts::network<ts::input<In>, ts::dense<Hidden>, ts::relu, ts::dense<Second>,
                              ts::relu, ts::dense<10>>;
  template <int B>
  using plain = peers::network<
      B, &peers::plain::cross_entropy<B, 10>, peers::plain::dense<B, In, Hidden, relu_act>,
      peers::plain::dense<B, Hidden, Second, relu_act>, peers::plain::dense<B, Second, 10, no_act>>;
  template <int B>
  using eigen = peers::network<
      B, &peers::eigen::cross_entropy<B, 10>, peers::eigen::dense<B, In, Hidden, relu_act>,
      peers::eigen::dense<B, Hidden, Second, relu_act>, peers::eigen::dense<B, Second, 10, no_act>>;
  static std::vector<int> sizes() { return {In, Hidden, Second, 10}; }
};

template <int In, int Hidden>
struct mlp_parts<In, Hidden, 0> {
  using network = ts::network<ts::input<In>, ts::dense<Hidden>, ts::relu, ts::dense<10>>;
  template <int B>
  using plain = peers::network<B, &peers::plain::cross_entropy<B, 10>,
                               peers::plain::dense<B, In, Hidden, relu_act>,
                               peers::plain::dense<B, Hidden, 10, no_act>>;
  template <int B>
  using eigen = peers::network<B, &peers::eigen::cross_entropy<B, 10>,
                               peers::eigen::dense<B, In, Hidden, relu_act>,
                               peers::eigen::dense<B, Hidden, 10, no_act>>;
  static std::vector<int> sizes() { return {In, Hidden, 10}; }
};

template <int B, class Parts>
entries mlp() {
  using network = typename Parts::network;
  const auto data = std::make_shared<sample_batch>(B, network::input);
  const peers::weight_values weights = first_weights<network, B>();
  return common_entries<network, B, typename Parts::template plain<B>,
                        typename Parts::template eigen<B>>(
      data, weights, torch_mlp(Parts::sizes(), weights, B, data->x(), data->labels()));
}

}  // namespace steps
