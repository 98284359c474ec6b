#pragma once

// All operations: the table that passes and backends ask.
//
//   name_of           "conv2d": as reports and messages spell it
//   differentiate     the gradient rule
//   in_place_over     which input an output may overwrite
//   sign              the signature that chooses the kernel

#include <tessera/ops/activation.hpp>
#include <tessera/ops/additive.hpp>
#include <tessera/ops/attention.hpp>
#include <tessera/ops/broadcast.hpp>
#include <tessera/ops/channel.hpp>
#include <tessera/ops/conv.hpp>
#include <tessera/ops/conv_transpose.hpp>
#include <tessera/ops/ctc.hpp>
#include <tessera/ops/dense.hpp>
#include <tessera/ops/elementwise.hpp>
#include <tessera/ops/embedding.hpp>
#include <tessera/ops/embedding_bag.hpp>
#include <tessera/ops/experts.hpp>
#include <tessera/ops/glu.hpp>
#include <tessera/ops/loss_elements.hpp>
#include <tessera/ops/loss_rows.hpp>
#include <tessera/ops/matmul.hpp>
#include <tessera/ops/move.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/permute.hpp>
#include <tessera/ops/pool.hpp>
#include <tessera/ops/quantization.hpp>
#include <tessera/ops/recurrent.hpp>
#include <tessera/ops/reduce.hpp>
#include <tessera/ops/resize.hpp>
#include <tessera/ops/response_norm.hpp>
#include <tessera/ops/sampling.hpp>
#include <tessera/ops/softmax.hpp>
#include <tessera/ops/update.hpp>
#include <tessera/ops/user.hpp>

namespace tessera::ops {

constexpr const char* name_of(kind what) {
  if (is_sampling(what)) return name_of_sampling(what);
  if (is_activation(what)) return row_of(what).name;
  if (is_activation_gradient(what)) return row_of(what).gradient_name;
  if (is_broadcast(what)) return broadcast_name(what);
  if (is_reduce_family(what)) return reduce_name(what);
  if (is_rule_update(what)) return name_of_rule_update(what);
  if (is_of_loss(what)) return name_of_loss(what);
  if (is_experts(what)) return name_of_experts(what);
  switch (what) {
    case kind::none: return "none";
    case kind::cast: return "cast";
    case kind::dense: return "dense";
    case kind::dense_data_gradient: return "dense_data_gradient";
    case kind::dense_weight_gradient: return "dense_weight_gradient";
    case kind::conv2d: return "conv2d";
    case kind::conv2d_data_gradient: return "conv2d_data_gradient";
    case kind::conv2d_weight_gradient: return "conv2d_weight_gradient";
    case kind::bias_gradient: return "bias_gradient";
    case kind::dropout: return "dropout";
    case kind::add: return "add";
    case kind::max_pool2d: return "max_pool2d";
    case kind::max_pool2d_gradient: return "max_pool2d_gradient";
    case kind::avg_pool2d: return "avg_pool2d";
    case kind::avg_pool2d_gradient: return "avg_pool2d_gradient";
    case kind::adaptive_avg_pool2d: return "adaptive_avg_pool2d";
    case kind::adaptive_avg_pool2d_gradient: return "adaptive_avg_pool2d_gradient";
    case kind::adaptive_max_pool2d: return "adaptive_max_pool2d";
    case kind::adaptive_max_pool2d_gradient: return "adaptive_max_pool2d_gradient";
    case kind::upsample_nearest: return "upsample_nearest";
    case kind::upsample_nearest_gradient: return "upsample_nearest_gradient";
    case kind::upsample_bilinear: return "upsample_bilinear";
    case kind::upsample_bilinear_gradient: return "upsample_bilinear_gradient";
    case kind::max_unpool2d: return "max_unpool2d";
    case kind::max_unpool2d_gradient: return "max_unpool2d_gradient";
    case kind::update: return "update";
    case kind::dense_weight_update: return "dense_weight_update";
    case kind::conv2d_weight_update: return "conv2d_weight_update";
    case kind::bias_update: return "bias_update";
    case kind::adjust_gradient: return "adjust_gradient";
    case kind::gradient_norm: return "gradient_norm";
    case kind::clip_factor: return "clip_factor";
    case kind::overflow_test: return "overflow_test";
    case kind::scaler_update: return "scaler_update";
    case kind::loop: return "loop";
    case kind::end_loop: return "end_loop";
    case kind::copy: return "copy";
    case kind::zero: return "zero";
    case kind::concat: return "concat";
    case kind::split: return "split";
    case kind::subtract: return "subtract";
    case kind::multiply: return "multiply";
    case kind::bias_add: return "bias_add";
    case kind::channel_scale: return "channel_scale";
    case kind::channel_scale_gradient: return "channel_scale_gradient";
    case kind::prelu: return "prelu";
    case kind::prelu_gradient: return "prelu_gradient";
    case kind::prelu_slope_gradient: return "prelu_slope_gradient";
    case kind::glu: return "glu";
    case kind::glu_gradient: return "glu_gradient";
    case kind::permute: return "permute";
    case kind::lstm_cell: return "lstm_cell";
    case kind::lstm_cell_gradient: return "lstm_cell_gradient";
    case kind::gru_cell: return "gru_cell";
    case kind::gru_cell_gradient: return "gru_cell_gradient";
    case kind::select_by_length: return "select_by_length";
    case kind::embedding: return "embedding";
    case kind::embedding_gradient: return "embedding_gradient";
    case kind::embedding_update: return "embedding_update";
    case kind::embedding_overflow_test: return "embedding_overflow_test";
    case kind::embedding_bag: return "embedding_bag";
    case kind::embedding_bag_gradient: return "embedding_bag_gradient";
    case kind::embedding_bag_update: return "embedding_bag_update";
    case kind::embedding_bag_overflow_test: return "embedding_bag_overflow_test";
    case kind::embedding_bag_weight_gradient: return "embedding_bag_weight_gradient";
    case kind::batch_norm: return "batch_norm";
    case kind::batch_norm_gradient: return "batch_norm_gradient";
    case kind::batch_norm_inference: return "batch_norm_inference";
    case kind::batch_norm_inference_gradient: return "batch_norm_inference_gradient";
    case kind::group_norm: return "group_norm";
    case kind::group_norm_gradient: return "group_norm_gradient";
    case kind::layer_norm: return "layer_norm";
    case kind::layer_norm_gradient: return "layer_norm_gradient";
    case kind::rms_norm: return "rms_norm";
    case kind::rms_norm_gradient: return "rms_norm_gradient";
    case kind::local_response_norm: return "local_response_norm";
    case kind::local_response_norm_gradient: return "local_response_norm_gradient";
    case kind::quantize: return "quantize";
    case kind::dequantize: return "dequantize";
    case kind::requantize: return "requantize";
    case kind::quantized_dense: return "quantized_dense";
    case kind::quantized_conv2d: return "quantized_conv2d";
    case kind::matmul: return "matmul";
    case kind::softmax: return "softmax";
    case kind::log_softmax: return "log_softmax";
    case kind::masked_softmax: return "masked_softmax";
    case kind::softmax_gradient: return "softmax_gradient";
    case kind::log_softmax_gradient: return "log_softmax_gradient";
    case kind::additive_scores: return "additive_scores";
    case kind::additive_scores_gradient: return "additive_scores_gradient";
    case kind::attention: return "attention";
    case kind::attention_gradient: return "attention_gradient";
    case kind::user: return "user";
    case kind::user_gradient: return "user_gradient";
    default: break;
  }
  return "?";
}

constexpr void differentiate_any_loss(graph& g, const operation& forward, adjoints& a) {
  if (is_element_loss(forward.what)) return differentiate_element_loss(g, forward, a);
  if (forward.what == kind::ctc) return differentiate_ctc(g, forward, a);
  differentiate_loss(g, forward, a);
}

/// Appends the backward operations of `forward` to its graph.
constexpr void differentiate(graph& g, const operation& forward, adjoints& a) {
  if (is_experts(forward.what)) return differentiate_experts(g, forward, a);
  if (is_sampling(forward.what)) return differentiate_sampling(g, forward, a);
  if (is_resize(forward.what) && !is_resize_gradient(forward.what)) {
    return differentiate_resize(g, forward, a);
  }
  if (is_activation(forward.what)) return differentiate_activation(g, forward, a);
  if (is_loss(forward.what)) return differentiate_any_loss(g, forward, a);
  switch (forward.what) {
    case kind::dense:
      return differentiate_product(g, forward, a, kind::dense_weight_gradient,
                                   kind::dense_data_gradient);
    case kind::conv2d:
      return differentiate_product(g, forward, a, kind::conv2d_weight_gradient,
                                   kind::conv2d_data_gradient);
    case kind::dropout: return differentiate_dropout(g, forward, a);
    case kind::conv2d_data_gradient: return differentiate_conv_transpose(g, forward, a);
    case kind::bias_add: return differentiate_bias_add(g, forward, a);
    case kind::channel_scale: return differentiate_channel_scale(g, forward, a);
    case kind::prelu: return differentiate_prelu(g, forward, a);
    case kind::glu: return differentiate_glu(g, forward, a);
    case kind::broadcast_add:
    case kind::broadcast_subtract:
    case kind::broadcast_multiply:
    case kind::divide:
    case kind::maximum:
    case kind::minimum: return differentiate_broadcast(g, forward, a);
    case kind::reduce_sum:
    case kind::reduce_mean:
    case kind::reduce_amax:
    case kind::expand: return differentiate_reduce(g, forward, a);
    case kind::permute: return differentiate_permute(g, forward, a);
    case kind::add: return differentiate_add(g, forward, a);
    case kind::subtract: return differentiate_subtract(g, forward, a);
    case kind::multiply: return differentiate_multiply(g, forward, a);
    case kind::copy: return differentiate_copy(g, forward, a);
    case kind::concat: return differentiate_concat(g, forward, a);
    case kind::split: return differentiate_split(g, forward, a);
    case kind::max_pool2d:
    case kind::avg_pool2d: return differentiate_pool(g, forward, a);
    case kind::max_unpool2d:
    case kind::max_pool2d_gradient: return differentiate_unpool(g, forward, a);
    case kind::batch_norm:
    case kind::batch_norm_inference:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm: return differentiate_norm(g, forward, a);
    case kind::local_response_norm: return differentiate_response_norm(g, forward, a);
    case kind::lstm_cell: return differentiate_lstm_cell(g, forward, a);
    case kind::gru_cell: return differentiate_gru_cell(g, forward, a);
    case kind::select_by_length: return differentiate_select(g, forward, a);
    case kind::embedding: return differentiate_embedding(g, forward, a);
    case kind::embedding_bag: return differentiate_embedding_bag(g, forward, a);
    case kind::matmul: return differentiate_matmul(g, forward, a);
    case kind::softmax:
    case kind::log_softmax:
    case kind::masked_softmax: return differentiate_softmax(g, forward, a);
    case kind::additive_scores: return differentiate_additive(g, forward, a);
    case kind::attention: return differentiate_attention(g, forward, a);
    case kind::user: return differentiate_user(g, forward, a);
    default: return;
  }
}

/// Takes away the outputs that are there for a backward pass.
constexpr void drop_saved(operation& op) {
  switch (op.what) {
    case kind::max_pool2d:
    case kind::adaptive_max_pool2d:
    case kind::attention:
    case kind::embedding_bag: op.out[1] = -1; return;
    case kind::lstm_cell: op.out[2] = -1; return;
    case kind::gru_cell: op.out[1] = op.out[2] = -1; return;
    default: return;
  }
}

/// Takes them away in a whole graph, but those that an operation reads: unpooling wants the places
/// of a max pool.
constexpr void drop_saved(graph& g) {
  grow<bool> read(g.tensors.size());
  for (const operation& op : g.operations) {
    for (const i32 in : op.in) {
      if (in >= 0) read[storage_of(g, in)] = true;
    }
  }
  for (operation& op : g.operations) {
    const operation whole = op;
    drop_saved(op);
    for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
      const i32 id = whole.out[slot];
      if (id >= 0 && read[storage_of(g, id)]) op.out[slot] = id;
    }
  }
}

/// The input slot whose bytes output `slot` may take over when nobody needs them afterwards; -1
/// where the kernel still reads what it would have overwritten.
constexpr i32 in_place_over(kind what, i32 slot) {
  if (is_experts(what)) return in_place_over_experts(what, slot);
  if (is_sampling(what)) return slot == 0 ? 0 : -1;
  if (is_activation(what)) return slot == 0 ? 0 : -1;
  if (is_activation_gradient(what)) return slot == 0 ? 1 : -1;
  if (is_broadcast_gradient(what)) return slot == 0 ? 2 : -1;
  if (is_broadcast(what)) return slot == 0 ? 0 : -1;
  if (is_of_loss(what)) return loss_in_place_over(what, slot);
  switch (what) {
    case kind::dropout:
    case kind::add:
    case kind::subtract:
    case kind::multiply:
    case kind::bias_add:
    case kind::channel_scale:
    case kind::prelu:
    case kind::glu_gradient:
    case kind::reduce_amax_gradient:
    case kind::copy:
    case kind::adjust_gradient:
    case kind::batch_norm:
    case kind::batch_norm_inference:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm:
    case kind::softmax:
    case kind::log_softmax:
    case kind::masked_softmax: return slot == 0 ? 0 : -1;
    case kind::softmax_gradient:
    case kind::log_softmax_gradient:
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm_gradient:
    case kind::layer_norm_gradient:
    case kind::rms_norm_gradient: return slot == 0 ? 1 : -1;
    case kind::prelu_gradient: return slot == 0 ? 2 : -1;
    case kind::lstm_cell: return slot == 1 ? 1 : slot == 2 ? 0 : -1;
    case kind::lstm_cell_gradient: return slot == 0 ? 0 : slot == 1 ? 4 : -1;
    case kind::gru_cell: return slot == 1 ? 0 : -1;
    case kind::gru_cell_gradient: return slot == 0 ? 0 : slot == 2 ? 3 : -1;
    case kind::select_by_length: return slot == 0 ? 1 : -1;
    default: return -1;
  }
}

/// The same for one operation: those of users say it themselves.
constexpr i32 in_place_over(const operation& op, i32 slot) {
  if (op.what == kind::user) return op.attr.user->in_place && slot == 0 ? 0 : -1;
  return in_place_over(op.what, slot);
}

/// True where a backend is told the sizes of an operation as constants of the kernel it supplies:
/// it may specialize on them, or find while compiling that it has no kernel for them. Elementwise
/// operations come with their count at run time only, one kernel serves all.
constexpr bool sizes_pay(kind what) {
  switch (what) {
    case kind::user:
    case kind::user_gradient:
    case kind::dense:
    case kind::dense_data_gradient:
    case kind::dense_weight_gradient:
    case kind::dense_weight_update:
    case kind::conv2d:
    case kind::conv2d_data_gradient:
    case kind::conv2d_weight_gradient:
    case kind::conv2d_weight_update:
    case kind::quantized_dense:
    case kind::quantized_conv2d:
    case kind::max_pool2d:
    case kind::max_pool2d_gradient:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient: return true;
    default: return false;
  }
}

/// The signature of `op` with all its sizes, not yet `fixed`.
constexpr signature sign(const graph& g, const operation& op) {
  signature s;
  s.what = op.what;
  for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
    if (op.in[slot] < 0) continue;
    const tensor& t = g.tensors[op.in[slot]];
    s.set_type(slot, t.type);
    s.batch_last = s.batch_last || t.batch_last;
  }
  for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
    if (op.out[slot] < 0) continue;
    const tensor& t = g.tensors[op.out[slot]];
    s.set_type(8 + slot, t.type);
    s.batch_last = s.batch_last || t.batch_last;
  }
  if (is_norm(op.what) || is_norm_gradient(op.what)) {
    sizes_of_norm(g, op).write(s);
    return s;
  }
  if (is_experts(op.what)) {
    sizes_of_experts(g, op).write(s);
    s.batch_last = false;  // each side has its own layout
    return s;
  }
  if (is_quantization(op.what)) {
    sign_quantization(g, op, s);
    return s;
  }
  if (is_resize(op.what)) {
    sizes_of_resize(g, op).write(s);
    return s;
  }
  if (is_broadcast(op.what) || is_reduce_family(op.what)) {  // sizes as they lie in memory
    (is_broadcast(op.what) ? sizes_of_broadcast(g, op) : sizes_of_reduce(g, op)).write(s);
    s.batch_last = false;
    return s;
  }
  if (is_softmax(op.what)) {
    sign_softmax(g, op, s);
    return s;
  }
  if (is_additive(op.what)) {
    sign_additive(g, op, s);
    return s;
  }
  if (is_attention(op.what)) {
    sizes_of_attention(g, op).write(s);
    s.batch_last = g.tensors[op.in[0]].batch_last;
    return s;
  }
  if (is_element_loss(op.what)) {  // in every layout the same
    sizes_of_element_loss(g, op).write(s);
    s.batch_last = false;
    return s;
  }
  if (is_row_loss(op.what)) {
    sizes_of_row_loss(g, op).write(s);
    return s;
  }
  if (loss_of(op.what) == kind::ctc) {
    sizes_of_ctc(g, op).write(s);
    return s;
  }
  switch (op.what) {
    case kind::matmul: {
      const matmul_sizes n = sizes_of_matmul(g, op);
      n.write(s);
      s.batch_last = runs_over_samples(g, op, n);
      break;
    }
    case kind::dense:
    case kind::dense_data_gradient:
    case kind::dense_weight_gradient:
    case kind::dense_weight_update: sizes_of_dense(g, op).write(s); break;
    case kind::conv2d:
    case kind::conv2d_data_gradient:
    case kind::conv2d_weight_gradient:
    case kind::conv2d_weight_update: sizes_of_conv(g, op).write(s); break;
    case kind::bias_gradient:
    case kind::bias_update:
      sizes_of_bias(g, op).write(s);
      if (seen_batch_first(g.tensors[op.in[1]])) s.batch_last = false;
      break;
    case kind::bias_add:
    case kind::channel_scale:
    case kind::channel_scale_gradient:
    case kind::prelu:
    case kind::prelu_gradient:
    case kind::prelu_slope_gradient:
      sizes_of_channels(g, op).write(s);
      s.batch_last = false;
      break;
    case kind::glu:
    case kind::glu_gradient:
      sizes_of_glu(g, op).write(s);
      s.batch_last = false;
      break;
    case kind::permute:
      sizes_of_permute(g, op).write(s);
      s.batch_last = false;
      break;
    case kind::max_pool2d:
    case kind::max_pool2d_gradient:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient:
    case kind::max_unpool2d:
    case kind::max_unpool2d_gradient: sizes_of_pool(g, op).write(s); break;
    case kind::lstm_cell:
    case kind::lstm_cell_gradient:
    case kind::gru_cell:
    case kind::gru_cell_gradient:
    case kind::select_by_length: sizes_of_cell(g, op).write(s); break;
    case kind::embedding:
    case kind::embedding_gradient:
    case kind::embedding_update:
    case kind::embedding_overflow_test: sizes_of_embedding(g, op).write(s); break;
    case kind::embedding_bag:
    case kind::embedding_bag_gradient:
    case kind::embedding_bag_update:
    case kind::embedding_bag_overflow_test:
    case kind::embedding_bag_weight_gradient: sizes_of_bag(g, op).write(s); break;
    case kind::concat:
    case kind::split: sizes_of_move(g, op).write(s); break;
    case kind::local_response_norm:
    case kind::local_response_norm_gradient: sizes_of_response_norm(g, op).write(s); break;
    case kind::user:
    case kind::user_gradient: sizes_of_user(g, op).write(s); break;
    case kind::weigh_samples: sizes_of_weighing(g, op).write(s); break;
    case kind::scaler_update: elementwise_sizes{1}.write(s); break;
    case kind::overflow_test:
    case kind::clip_factor:
      elementwise_sizes{static_cast<i32>(g.tensors[op.in[0]].dims.count())}.write(s);
      break;
    case kind::gradient_norm:  // sums of one channel
      bias_sizes{1, 1, static_cast<i32>(g.tensors[op.in[1]].dims.count())}.write(s);
      break;
    case kind::lamb_update:
    case kind::lars_update: sizes_of_norm_update(g, op).write(s); break;
    default: elementwise_sizes{static_cast<i32>(g.tensors[op.out[0]].dims.count())}.write(s); break;
  }
  return s;
}

}  // namespace tessera::ops
