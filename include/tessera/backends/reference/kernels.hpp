#pragma once

// The reference backend's kernels: one run-time form for every kind of operation.
//
// Plain loops over elements of any type, for tests and for the fp64 policy: what the other backends
// are compared with. Everything is decided while a kernel runs, so one function serves all
// signatures.

#include <tessera/backends/reference/activation.hpp>
#include <tessera/backends/reference/axes.hpp>
#include <tessera/backends/reference/channel.hpp>
#include <tessera/backends/reference/ctc.hpp>
#include <tessera/backends/reference/elementwise.hpp>
#include <tessera/backends/reference/embedding_bag.hpp>
#include <tessera/backends/reference/experts.hpp>
#include <tessera/backends/reference/fused_attention.hpp>
#include <tessera/backends/reference/loss_elements.hpp>
#include <tessera/backends/reference/loss_rows.hpp>
#include <tessera/backends/reference/move.hpp>
#include <tessera/backends/reference/norm.hpp>
#include <tessera/backends/reference/pool.hpp>
#include <tessera/backends/reference/product.hpp>
#include <tessera/backends/reference/quantization.hpp>
#include <tessera/backends/reference/recurrent.hpp>
#include <tessera/backends/reference/resize.hpp>
#include <tessera/backends/reference/sampling.hpp>
#include <tessera/backends/reference/update.hpp>
#include <tessera/backends/reference/update_rules.hpp>
#include <tessera/ir/user_operation.hpp>
#include <tessera/ops/sizes.hpp>
#include <type_traits>

namespace tessera::reference {

/// Runs one operation in the compute type `Real`.
template <class Real>
void run_in(const call& c) {
  if (ops::is_activation(c.sizes->what)) return activation<Real>(c);
  if (ops::is_activation_gradient(c.sizes->what)) return activation_gradient<Real>(c);
  if (ops::is_broadcast(c.sizes->what)) return broadcast<Real>(c);
  if (is_element_loss(c.sizes->what)) return run_element_loss<Real>(c);
  if (is_row_loss(c.sizes->what)) return run_row_loss<Real>(c);
  if (c.sizes->what == kind::ctc) return ctc<Real>(c);
  if (c.sizes->what == kind::ctc_gradient) return ctc_gradient<Real>(c);
  if (is_experts(c.sizes->what)) return run_experts<Real>(c);
  switch (c.sizes->what) {
    case kind::cast: return cast<Real>(c);
    case kind::dense: return dense<Real>(c);
    case kind::dense_data_gradient: return dense_data_gradient<Real>(c);
    case kind::dense_weight_gradient: return store_gradient<Real, dense_weight_gradient>(c);
    case kind::conv2d: return conv2d<Real>(c);
    case kind::conv2d_data_gradient: return conv2d_data_gradient<Real>(c);
    case kind::conv2d_weight_gradient: return store_gradient<Real, conv2d_weight_gradient>(c);
    case kind::bias_gradient: return store_gradient<Real, bias_gradient>(c);
    case kind::bias_add: return bias_add<Real>(c);
    case kind::channel_scale: return channel_scale<Real>(c);
    case kind::channel_scale_gradient: return channel_scale_gradient<Real>(c);
    case kind::prelu: return prelu<Real>(c);
    case kind::prelu_gradient: return prelu_gradient<Real>(c);
    case kind::prelu_slope_gradient: return prelu_slope_gradient<Real>(c);
    case kind::glu: return glu<Real>(c);
    case kind::glu_gradient: return glu_gradient<Real>(c);
    case kind::reduce_sum:
    case kind::reduce_mean:
    case kind::reduce_amax: return reduce<Real>(c);
    case kind::expand:
    case kind::reduce_mean_gradient: return expand<Real>(c);
    case kind::reduce_amax_gradient: return reduce_amax_gradient<Real>(c);
    case kind::permute: return permute(c);
    case kind::dropout: return dropout<Real>(c);
    case kind::add: return add<Real>(c);
    case kind::subtract: return subtract<Real>(c);
    case kind::multiply: return multiply<Real>(c);
    case kind::copy: return copy(c);
    case kind::zero: return zero(c);
    case kind::concat: return concat(c);
    case kind::split: return split(c);
    case kind::max_pool2d: return max_pool2d<Real>(c);
    case kind::max_pool2d_gradient: return max_pool2d_gradient<Real>(c);
    case kind::avg_pool2d: return avg_pool2d<Real>(c);
    case kind::avg_pool2d_gradient: return avg_pool2d_gradient<Real>(c);
    case kind::adaptive_avg_pool2d:
    case kind::upsample_nearest:
    case kind::upsample_bilinear: return resize<Real>(c);
    case kind::adaptive_avg_pool2d_gradient:
    case kind::upsample_nearest_gradient:
    case kind::upsample_bilinear_gradient: return resize_gradient<Real>(c);
    case kind::adaptive_max_pool2d: return adaptive_max_pool2d<Real>(c);
    case kind::adaptive_max_pool2d_gradient: return adaptive_max_pool2d_gradient<Real>(c);
    case kind::max_unpool2d: return max_unpool2d<Real>(c);
    case kind::max_unpool2d_gradient: return max_unpool2d_gradient<Real>(c);
    case kind::batch_norm:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm: return norm<Real>(c);
    case kind::batch_norm_inference: return batch_norm_inference<Real>(c);
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm_gradient:
    case kind::layer_norm_gradient:
    case kind::rms_norm_gradient: return norm_gradient<Real>(c);
    case kind::local_response_norm: return local_response_norm<Real>(c);
    case kind::local_response_norm_gradient: return local_response_norm_gradient<Real>(c);
    case kind::lstm_cell: return lstm_cell<Real>(c);
    case kind::lstm_cell_gradient: return lstm_cell_gradient<Real>(c);
    case kind::gru_cell: return gru_cell<Real>(c);
    case kind::gru_cell_gradient: return gru_cell_gradient<Real>(c);
    case kind::select_by_length: return select_by_length<Real>(c);
    case kind::embedding: return embedding<Real>(c);
    case kind::embedding_gradient: return embedding_gradient<Real>(c);
    case kind::embedding_update:
    case kind::embedding_bag_update: return lookup_update<Real>(c);
    case kind::embedding_overflow_test:
    case kind::embedding_bag_overflow_test: return lookup_overflow_test<Real>(c);
    case kind::embedding_bag: return embedding_bag<Real>(c);
    case kind::embedding_bag_gradient: return embedding_bag_gradient<Real>(c);
    case kind::embedding_bag_weight_gradient: return embedding_bag_weight_gradient<Real>(c);
    case kind::update: return update<Real, stored_gradient>(c);
    case kind::dense_weight_update: return update<Real, dense_weight_gradient>(c);
    case kind::conv2d_weight_update: return update<Real, conv2d_weight_gradient>(c);
    case kind::bias_update: return update<Real, bias_gradient>(c);
    case kind::rmsprop_update:
    case kind::adagrad_update:
    case kind::adadelta_update:
    case kind::adamax_update:
    case kind::nadam_update:
    case kind::radam_update:
    case kind::rprop_update:
    case kind::lion_update:
    case kind::lamb_update:
    case kind::lars_update: return rule_update<Real>(c);
    case kind::adjust_gradient: return adjust_gradient<Real>(c);
    case kind::gradient_norm: return gradient_norm<Real>(c);
    case kind::clip_factor: return clip_factor<Real>(c);
    case kind::overflow_test: return overflow_test<Real>(c);
    case kind::scaler_update: return scaler_update(c);
    case kind::bernoulli:
    case kind::gaussian_noise:
    case kind::weigh_samples: return sampling<Real>(c);
    case kind::quantize: return quantize<Real>(c);
    case kind::dequantize: return dequantize<Real>(c);
    case kind::requantize: return requantize<Real>(c);
    case kind::quantized_dense: return quantized_dense<Real>(c);
    case kind::quantized_conv2d: return quantized_conv2d<Real>(c);
    case kind::matmul: return matmul<Real>(c);
    case kind::softmax: return softmax<Real, false>(c);
    case kind::log_softmax: return softmax<Real, true>(c);
    case kind::masked_softmax: return masked_softmax<Real>(c);
    case kind::softmax_gradient: return softmax_gradient<Real, false>(c);
    case kind::log_softmax_gradient: return softmax_gradient<Real, true>(c);
    case kind::additive_scores: return additive_scores<Real>(c);
    case kind::additive_scores_gradient: return additive_scores_gradient<Real>(c);
    case kind::attention: return attention<Real>(c);
    case kind::attention_gradient: return attention_gradient<Real>(c);
    case kind::user:
    case kind::user_gradient: return run_user_kernel(c, std::is_same_v<Real, double>);
    default: return;
  }
}

/// True where a call computes in double: an operand is stored as f64.
constexpr bool computes_in_double(const signature& s) {
  for (i32 slot = 0; slot < 16; ++slot) {
    if (s.has_input(slot) && s.input_type(slot) == element::f64) return true;
  }
  return false;
}

/// Runs one operation of any kind, element types, sizes and layout.
inline void run(const call& c) {
  if (computes_in_double(*c.sizes)) {
    run_in<double>(c);
  } else {
    run_in<float>(c);
  }
}

/// Whether there is a kernel: always, except for users' operations on types they do not know.
constexpr bool supports(const signature& s) {
  if (is_user(s.what)) return user_sizes::known(s);
  return s.what != kind::none && s.what != kind::count;
}

/// The kernel for `s`; null where there is none.
inline kernel find_kernel(const signature& s) { return supports(s) ? &run : nullptr; }

/// The same as a constant: fixed sizes or not, there is one form.
template <signature S>
inline constexpr kernel kernel_of = supports(S) ? &run : nullptr;

}  // namespace tessera::reference
