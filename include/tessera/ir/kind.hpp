#pragma once

// Kinds of operations: what a graph is made of. What each means is stated in ops/.

#include <tessera/core/types.hpp>

namespace tessera {

enum class kind : u8 {
  none,
  cast,
  // matrix operations: inputs (x, weight[, bias]), (dy, weight), (x, dy)
  dense,
  dense_data_gradient,
  dense_weight_gradient,
  conv2d,
  conv2d_data_gradient,
  conv2d_weight_gradient,
  bias_gradient,
  // elementwise: (x) and (y, dy)
  relu,
  relu_gradient,
  tanh,
  tanh_gradient,
  sigmoid,
  sigmoid_gradient,
  dropout,
  add,
  // pooling: (x) -> y[, index] and (dy[, index]) -> dx
  max_pool2d,
  max_pool2d_gradient,
  avg_pool2d,
  avg_pool2d_gradient,
  // losses
  softmax_cross_entropy,
  softmax_cross_entropy_gradient,
  mse,
  mse_gradient,
  // updates: (gradient, state...) -> parameter; the fused forms compute the gradient themselves
  update,
  dense_weight_update,
  conv2d_weight_update,
  bias_update,
  // loss scaling
  overflow_test,
  scaler_update,
  count  // how many kinds there are; not an operation
};

}  // namespace tessera
