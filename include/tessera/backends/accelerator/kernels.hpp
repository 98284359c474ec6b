#pragma once

// The model's kernels: which function runs a signature on a machine.
//
// Kernels work with sizes known at run time and are not templates over the machine; a thin entry
// per machine hands it over. So a program compiles one function per kind of operation and element
// type, however many layers it has.

#include <tessera/backends/accelerator/fused_attention.hpp>
#include <tessera/backends/accelerator/broadcast.hpp>
#include <tessera/backends/accelerator/channel.hpp>
#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/backends/accelerator/embedding_bag.hpp>
#include <tessera/backends/accelerator/experts.hpp>
#include <tessera/backends/accelerator/losses.hpp>
#include <tessera/backends/accelerator/matmul.hpp>
#include <tessera/backends/accelerator/move.hpp>
#include <tessera/backends/accelerator/norm_rows.hpp>
#include <tessera/backends/accelerator/pool.hpp>
#include <tessera/backends/accelerator/product.hpp>
#include <tessera/backends/accelerator/quantization.hpp>
#include <tessera/backends/accelerator/recurrent.hpp>
#include <tessera/backends/accelerator/reduce.hpp>
#include <tessera/backends/accelerator/reductions.hpp>
#include <tessera/backends/accelerator/resize.hpp>
#include <tessera/backends/accelerator/sampling.hpp>
#include <tessera/backends/accelerator/update.hpp>
#include <tessera/backends/accelerator/update_rules.hpp>
#include <tessera/backends/accelerator/user.hpp>

namespace tessera::accelerator {

using model_kernel = void (*)(const machine&, const call&);

template <class T>
void run_stored_bias_gradient(const machine& m, const call& c) {
  run_bias_gradient<T>(m, c, c.output<T>(0));
}

/// The element type that decides about the kernel of `s`: what its activations or gradients are
/// stored as.
constexpr element storage_of(const signature& s) {
  switch (s.what) {  // led by whole numbers
    case kind::select_by_length:
    case kind::embedding: return s.output_type(0);
    case kind::dequantize: return s.output_type(0);
    case kind::balance_loss_gradient: return s.output_type(0);
    case kind::route_tokens:
    case kind::requantize:
    case kind::quantized_dense:
    case kind::quantized_conv2d: return element::f32;  // whole numbers throughout
    case kind::embedding_bag: return s.output_type(0);
    case kind::embedding_gradient:
    case kind::embedding_update:
    case kind::embedding_overflow_test:
    case kind::embedding_bag_gradient:
    case kind::embedding_bag_update:
    case kind::embedding_bag_overflow_test:
    case kind::embedding_bag_weight_gradient: return s.input_type(1);
    default: break;
  }
  for (const i32 slot : {0, 1}) {
    if (s.has_input(slot)) return s.input_type(slot);
  }
  return s.output_type(0);
}

/// The kernel for operations of kind `What` with storage type T; a few kinds look at further types
/// of `s`. Null where there is none.
template <kind What, class T>
constexpr model_kernel kernel_for(const signature& s) {
  if constexpr (What == kind::cast) {
    if (s.output_type(0) == element::f16) return &run_cast<T, half>;
    if (s.output_type(0) == element::bf16) return &run_cast<T, bfloat16>;
    return s.output_type(0) == element::f32 ? &run_cast<T, float> : nullptr;
  }
  if constexpr (What == kind::dense || What == kind::conv2d || What == kind::dense_data_gradient ||
                What == kind::conv2d_data_gradient || What == kind::dense_weight_gradient ||
                What == kind::conv2d_weight_gradient) {
    return &run_product<T>;
  }
  if constexpr (What == kind::dense_weight_update || What == kind::conv2d_weight_update ||
                What == kind::bias_update) {
    return &run_fused_update<T>;
  }
  if constexpr (What == kind::bias_gradient) return &run_stored_bias_gradient<T>;
  if constexpr (What == kind::bias_add) return &run_bias_add<T>;
  if constexpr (What == kind::channel_scale) return &run_channel_scale<T>;
  if constexpr (What == kind::channel_scale_gradient) return &run_channel_scale_gradient<T>;
  if constexpr (What == kind::prelu) return &run_prelu<T>;
  if constexpr (What == kind::prelu_gradient) return &run_prelu_gradient<T>;
  if constexpr (What == kind::prelu_slope_gradient) return &run_prelu_slope_gradient<T>;
  if constexpr (ops::is_activation(What)) return &run_activation<T, What>;
  if constexpr (ops::is_activation_gradient(What)) {
    return &run_activation_gradient<T, ops::activation_kind(What)>;
  }
  if constexpr (What == kind::glu) return &run_glu<T>;
  if constexpr (What == kind::glu_gradient) return &run_glu_gradient<T>;
  if constexpr (ops::is_broadcast(What)) return &run_broadcast<T, What>;
  if constexpr (ops::is_reduction(What)) return &run_reduce<T, What>;
  if constexpr (What == kind::expand || What == kind::reduce_mean_gradient) return &run_expand<T>;
  if constexpr (What == kind::reduce_amax_gradient) return &run_reduce_amax_gradient<T>;
  if constexpr (What == kind::permute) return &run_permute;
  if constexpr (What == kind::dropout) return &run_dropout<T>;
  if constexpr (What == kind::add) return &run_add<T>;
  if constexpr (What == kind::subtract) return &run_subtract<T>;
  if constexpr (What == kind::multiply) return &run_multiply<T>;
  if constexpr (What == kind::copy || What == kind::zero) return &run_copy;
  if constexpr (What == kind::concat) return &run_concat;
  if constexpr (What == kind::split) return &run_split;
  if constexpr (What == kind::lstm_cell) return &run_lstm_cell<T>;
  if constexpr (What == kind::lstm_cell_gradient) return &run_lstm_cell_gradient<T>;
  if constexpr (What == kind::gru_cell) return &run_gru_cell<T>;
  if constexpr (What == kind::gru_cell_gradient) return &run_gru_cell_gradient<T>;
  if constexpr (What == kind::select_by_length) return &run_select_by_length<T>;
  if constexpr (What == kind::embedding) return &run_embedding<T>;
  if constexpr (is_lookup_update(What)) return &run_lookup_update<T>;
  if constexpr (is_lookup_test(What)) return &run_lookup_test<T>;
  if constexpr (What == kind::embedding_bag) return &run_embedding_bag<T>;
  if constexpr (What == kind::embedding_bag_gradient) return &run_embedding_bag_gradient<T>;
  if constexpr (What == kind::embedding_bag_weight_gradient) {
    return &run_embedding_bag_weight_gradient<T>;
  }
  if constexpr (What == kind::embedding_gradient) return &run_embedding_gradient<T>;
  if constexpr (What == kind::max_pool2d) return &run_max_pool<T>;
  if constexpr (What == kind::max_pool2d_gradient) return &run_max_pool_gradient<T>;
  if constexpr (What == kind::avg_pool2d) return &run_avg_pool<T>;
  if constexpr (What == kind::avg_pool2d_gradient) return &run_avg_pool_gradient<T>;
  if constexpr (What == kind::adaptive_avg_pool2d || What == kind::upsample_nearest ||
                What == kind::upsample_bilinear) {
    return &run_resize<T>;
  }
  if constexpr (What == kind::adaptive_avg_pool2d_gradient ||
                What == kind::upsample_nearest_gradient ||
                What == kind::upsample_bilinear_gradient) {
    return &run_resize_gradient<T>;
  }
  if constexpr (What == kind::adaptive_max_pool2d) return &run_adaptive_max_pool<T>;
  if constexpr (What == kind::adaptive_max_pool2d_gradient) {
    return &run_adaptive_max_pool_gradient<T>;
  }
  if constexpr (What == kind::max_unpool2d) return &run_max_unpool<T>;
  if constexpr (What == kind::max_unpool2d_gradient) return &run_max_unpool_gradient<T>;
  if constexpr (What == kind::batch_norm) return &run_batch_norm<T>;
  if constexpr (What == kind::batch_norm_inference) return &run_batch_norm_inference<T>;
  if constexpr (What == kind::batch_norm_gradient || What == kind::batch_norm_inference_gradient) {
    return &run_batch_norm_gradient<T>;
  }
  if constexpr (What == kind::group_norm || What == kind::layer_norm || What == kind::rms_norm) {
    return &run_row_norm<T>;
  }
  if constexpr (What == kind::group_norm_gradient || What == kind::layer_norm_gradient ||
                What == kind::rms_norm_gradient) {
    return &run_row_norm_gradient<T>;
  }
  if constexpr (What == kind::local_response_norm) return &run_local_response_norm<T>;
  if constexpr (What == kind::local_response_norm_gradient) {
    return &run_local_response_norm_gradient<T>;
  }
  if constexpr (is_of_loss(What)) return loss_kernel_for<What, T>();
  if constexpr (What == kind::matmul) return &run_matmul<T>;
  if constexpr (What == kind::softmax) return &run_softmax<T, false>;
  if constexpr (What == kind::log_softmax) return &run_softmax<T, true>;
  if constexpr (What == kind::masked_softmax) return &run_masked_softmax<T>;
  if constexpr (What == kind::softmax_gradient) return &run_softmax_gradient<T, false>;
  if constexpr (What == kind::log_softmax_gradient) return &run_softmax_gradient<T, true>;
  if constexpr (What == kind::additive_scores) return &run_additive_scores<T>;
  if constexpr (What == kind::additive_scores_gradient) return &run_additive_scores_gradient<T>;
  if constexpr (What == kind::attention) return &run_attention<T>;
  if constexpr (What == kind::attention_gradient) return &run_attention_gradient<T>;
  if constexpr (What == kind::update) return &run_update<T>;
  if constexpr (ops::is_norm_update(What)) return &run_norm_update<T, What>;
  if constexpr (ops::is_rule_update(What) && !ops::is_norm_update(What)) {
    return &run_rule_update<T, What>;
  }
  if constexpr (What == kind::adjust_gradient) return &run_adjust_gradient<T>;
  if constexpr (What == kind::gradient_norm) return &run_gradient_norm<T>;
  if constexpr (What == kind::clip_factor) return &run_clip_factor;
  if constexpr (What == kind::overflow_test) return &run_overflow_test<T>;
  if constexpr (What == kind::scaler_update) return &run_scaler_update;
  if constexpr (What == kind::bernoulli) return &run_bernoulli<T>;
  if constexpr (What == kind::gaussian_noise) return &run_gaussian_noise<T>;
  if constexpr (What == kind::weigh_samples) return &run_weigh_samples<T>;
  if constexpr (What == kind::gate_noise) return &run_gate_noise<T>;
  if constexpr (What == kind::gate_noise_gradient) return &run_gate_noise_gradient<T>;
  if constexpr (What == kind::top_k_gates) return &run_top_k_gates<T>;
  if constexpr (What == kind::top_k_gates_gradient) return &run_top_k_gates_gradient<T>;
  if constexpr (What == kind::gate_load) return &run_gate_load<T>;
  if constexpr (What == kind::gate_load_gradient) return &run_gate_load_gradient<T>;
  if constexpr (What == kind::balance_loss) return &run_balance_loss<T>;
  if constexpr (What == kind::balance_loss_gradient) return &run_balance_loss_gradient<T>;
  if constexpr (What == kind::route_tokens) return &run_route_tokens;
  if constexpr (What == kind::gather_tokens) return &run_gather_tokens<T>;
  if constexpr (What == kind::gather_tokens_gradient) return &run_gather_tokens_gradient<T>;
  if constexpr (What == kind::combine_experts) return &run_combine_experts<T>;
  if constexpr (What == kind::combine_experts_gradient) return &run_combine_experts_gradient<T>;
  if constexpr (What == kind::quantize) return &run_quantize<T>;
  if constexpr (What == kind::dequantize) return &run_dequantize<T>;
  if constexpr (What == kind::requantize) return &run_requantize;
  if constexpr (is_quantized_product(What)) return &run_quantized_product;
  if constexpr (is_user(What)) return &run_user;
  return nullptr;
}

}  // namespace tessera::accelerator
