// The small perceptron, 64-64-10.

#include <host/steps/mlp.hpp>

namespace steps {

using small_mlp = mlp_parts<64, 64>;

entries small_mlp_b32() { return mlp<32, small_mlp>(); }
entries small_mlp_b1() { return mlp<1, small_mlp>(); }

}  // namespace steps
