// The small perceptron, 64-64-10.

#include <host/steps/mlp.hpp>

namespace steps {

using small_mlp = mlp_parts<64, 64>;

entries small_mlp_b32() { return mlp<32, small_mlp>(); }

entries small_mlp_b1() {
  entries all = mlp<1, small_mlp>();
  const auto data = std::make_shared<sample_batch>(1, small_mlp::network::input);
  for (entry& e :
       dlib_small_mlp(first_weights<small_mlp::network, 1>(), 1, data->x(), data->labels())) {
    all.push_back(std::move(e));
  }
  return all;
}

}  // namespace steps
