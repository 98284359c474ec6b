#pragma once

// Kinds of operations: what a graph is made of. What each means is stated in ops/.

#include <tessera/core/types.hpp>

namespace tessera {

enum class kind : u8 {
  none,
  cast,
  // loops: everything between the two is the body (ir/graph.hpp)
  loop,
  end_loop,
  // bytes that move: (x) -> y; -> y; (parts...) -> y; (x) -> parts...
  copy,
  zero,
  concat,
  split,
  // matrix operations: inputs (x, weight[, bias]), (dy, weight), (x, dy)
  dense,
  dense_data_gradient,
  dense_weight_gradient,
  conv2d,
  conv2d_data_gradient,
  conv2d_weight_gradient,
  bias_gradient,
  // activations: (x), and in the same order their gradients: (y or x, dy)
  relu,
  tanh,
  sigmoid,
  leaky_relu,
  elu,
  gelu_erf,
  gelu_tanh,
  silu,
  softplus,
  hardswish,
  hardsigmoid,
  hardtanh,
  mish,
  softsign,
  exp,
  square,
  abs,
  relu_gradient,
  tanh_gradient,
  sigmoid_gradient,
  leaky_relu_gradient,
  elu_gradient,
  gelu_erf_gradient,
  gelu_tanh_gradient,
  silu_gradient,
  softplus_gradient,
  hardswish_gradient,
  hardsigmoid_gradient,
  hardtanh_gradient,
  mish_gradient,
  softsign_gradient,
  exp_gradient,
  square_gradient,
  abs_gradient,
  // elementwise: (x), (a, b)
  dropout,
  add,
  subtract,
  multiply,
  // with one number a channel: (x, bias), (x, scale), (x, dy) -> dscale; (x, slope),
  // (x, slope, dy), (x, dy) -> dslope
  bias_add,
  channel_scale,
  prelu,
  prelu_gradient,
  channel_scale_gradient,
  prelu_slope_gradient,
  // a gate along an axis: (x) -> y of half the extent, (x, dy) -> dx
  glu,
  glu_gradient,
  // shapes that differ: (a, b) as numpy broadcasts them, (a, b, dy) in the shape of dy
  broadcast_add,
  broadcast_subtract,
  broadcast_multiply,
  divide,
  maximum,
  minimum,
  divide_gradient,
  maximum_gradient,
  minimum_gradient,
  // over axes: (x) -> y, (dy) -> dx, (x, y, dy) -> dx
  reduce_sum,
  reduce_mean,
  reduce_amax,
  expand,
  reduce_mean_gradient,
  reduce_amax_gradient,
  permute,
  // recurrent cells: what follows the matrix products of a step in time
  lstm_cell,
  lstm_cell_gradient,
  gru_cell,
  gru_cell_gradient,
  select_by_length,
  // rows of a table: (indices, table), (indices, dy) -> dtable
  embedding,
  embedding_gradient,
  embedding_update,         // (indices, dy, scaler) -> as update, scratch: rows that occur
  embedding_overflow_test,  // (indices, dy) -> scaler, scratch
  // rows summed by bags: (indices, table, -, -, offsets, -, weights) -> y[, rows]
  embedding_bag,
  embedding_bag_gradient,  // (indices, dy, -, -, offsets, rows, weights) -> dtable
  embedding_bag_update,
  embedding_bag_overflow_test,
  embedding_bag_weight_gradient,  // (indices, dy, table, -, offsets) -> dweights
  // normalization
  batch_norm,
  batch_norm_gradient,
  batch_norm_inference,
  batch_norm_inference_gradient,
  group_norm,
  group_norm_gradient,
  layer_norm,
  layer_norm_gradient,
  rms_norm,
  rms_norm_gradient,
  local_response_norm,
  local_response_norm_gradient,
  // pooling: (x) -> y[, index] and (dy[, index]) -> dx
  max_pool2d,
  max_pool2d_gradient,
  avg_pool2d,
  avg_pool2d_gradient,
  // other sizes of an image: (x) -> y[, index] and (dy[, index]) -> dx
  adaptive_avg_pool2d,
  adaptive_avg_pool2d_gradient,
  adaptive_max_pool2d,
  adaptive_max_pool2d_gradient,
  upsample_nearest,
  upsample_nearest_gradient,
  upsample_bilinear,
  upsample_bilinear_gradient,
  // values to where a max pool had them: (x, indices) -> y and (dy, indices) -> dx
  max_unpool2d,
  max_unpool2d_gradient,
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
  // updates by other rules, in the order of optimizer_kind (ops/update_rules.hpp)
  rmsprop_update,
  adagrad_update,
  adadelta_update,
  adamax_update,
  nadam_update,
  radam_update,
  rprop_update,
  lion_update,
  lamb_update,
  lars_update,
  // clipping and penalties: before the updates
  adjust_gradient,
  gradient_norm,
  clip_factor,
  // loss scaling
  overflow_test,
  scaler_update,
  // draws, and weights of samples: (p[, draws]) -> s, (x[, scaler]) -> y
  bernoulli,
  gaussian_noise,
  weigh_samples,
  // quantized inference (ops/quantization.hpp)
  quantize,
  dequantize,
  requantize,
  quantized_dense,
  quantized_conv2d,
  // attention: products of two activations, and what makes weights of scores
  matmul,
  softmax,
  log_softmax,
  masked_softmax,
  softmax_gradient,
  log_softmax_gradient,
  additive_scores,
  additive_scores_gradient,
  // written by users (ir/user_operation.hpp)
  user,
  user_gradient,
  count  // how many kinds there are; not an operation
};

}  // namespace tessera
