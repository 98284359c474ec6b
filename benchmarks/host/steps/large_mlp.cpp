// The large perceptron, 784-500-250-10.

#include <host/steps/mlp.hpp>

namespace steps {

using large_mlp = mlp_parts<784, 500, 250>;

entries large_mlp_b100() {
  using network = large_mlp::network;
  entries all = mlp<100, large_mlp>();
  const sample_batch data(100, network::input);  // the same again
  all.push_back(ours<network, 100, mixed_bf16>("tessera mixed bf16", data, bf16_tolerance));
  return all;
}
entries large_mlp_b32() { return mlp<32, large_mlp>(); }
entries large_mlp_b1() { return mlp<1, large_mlp>(); }

}  // namespace steps
