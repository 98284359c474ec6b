#pragma once

// The host's kernels by signature: as constants of a compiled program, and found at run time.
//
//   kernel_of<S>      instantiates the one kernel that S needs
//   find_kernel(s)    chooses among all of them; programs that never call it compile none of them
//
// A kernel is named by its kind, storage type (f32, f16, bf16) and layout.

#include <utility>

#include <tessera/backends/host/additive.hpp>
#include <tessera/backends/host/attention_gradient.hpp>
#include <tessera/backends/host/broadcast.hpp>
#include <tessera/backends/host/channel.hpp>
#include <tessera/backends/host/conv_weight.hpp>
#include <tessera/backends/host/dense_fixed.hpp>
#include <tessera/backends/host/elementwise.hpp>
#include <tessera/backends/host/embedding.hpp>
#include <tessera/backends/host/embedding_bag.hpp>
#include <tessera/backends/host/experts.hpp>
#include <tessera/backends/host/glu.hpp>
#include <tessera/backends/host/losses.hpp>
#include <tessera/backends/host/matmul.hpp>
#include <tessera/backends/host/move.hpp>
#include <tessera/backends/host/norm_rows.hpp>
#include <tessera/backends/host/permute.hpp>
#include <tessera/backends/host/pool.hpp>
#include <tessera/backends/host/quantization.hpp>
#include <tessera/backends/host/recurrent.hpp>
#include <tessera/backends/host/reduce.hpp>
#include <tessera/backends/host/resize.hpp>
#include <tessera/backends/host/response_norm.hpp>
#include <tessera/backends/host/sampling.hpp>
#include <tessera/backends/host/softmax.hpp>
#include <tessera/backends/host/update.hpp>
#include <tessera/backends/host/update_rules.hpp>
#include <tessera/ir/user_operation.hpp>

namespace tessera::host {

/// Which kernel an operation needs: kind, layout, and the type its tensors are stored in.
struct kernel_name {
  kind what = kind::none;
  element storage = element::f32;
  bool batch_last = false;
  bool supported = false;
};

/// The operand whose type is the storage type; all operands of 16 bits have it.
constexpr i32 storage_slot(kind what) {
  switch (what) {
    case kind::bias_gradient:
    case kind::bias_update:
    case kind::gradient_norm:
    case kind::embedding_gradient:
    case kind::embedding_update:
    case kind::embedding_overflow_test:
    case kind::embedding_bag_gradient:
    case kind::embedding_bag_update:
    case kind::embedding_bag_overflow_test:
    case kind::embedding_bag_weight_gradient: return 1;
    case kind::select_by_length:
    case kind::embedding_bag:
    case kind::embedding: return 8;      // out 0
    case kind::scaler_update: return 8;  // out 0
    default: return 0;
  }
}

constexpr kernel_name name_of(const signature& s) {
  kernel_name name{s.what, element::f32, s.batch_last, false};
  if (s.what == kind::none || s.what == kind::count) return name;
  if (is_user(s.what)) {
    name.supported = user_sizes::in_single(s);
    return name;
  }
  if (is_of_loss(s.what)) {
    name.storage = s.input_type(0);
    name.supported = supports_loss(s);
    return name;
  }
  if (is_move(s.what)) {  // bytes, whatever their type
    name.supported = has_one_type(s);
    return name;
  }
  if (is_experts(s.what)) {
    name.storage = s.what == kind::route_tokens            ? element::f32
                   : s.what == kind::balance_loss_gradient ? s.output_type(0)
                                                           : s.input_type(0);
    name.supported = is_storage(name.storage);
    const bool sums = s.what == kind::balance_loss;
    if (sums) name.supported &= s.output_type(0) == element::f32;
    return name;
  }
  if (is_quantization(s.what)) {
    // Types other than that of the real side are what ops/quantization.hpp appends.
    const bool real = s.what == kind::quantize || s.what == kind::dequantize;
    name.storage = !real                      ? element::f32
                   : s.what == kind::quantize ? s.input_type(0)
                                              : s.output_type(0);
    name.supported = is_storage(name.storage);
    return name;
  }
  name.storage = s.input_type(storage_slot(s.what));
  const element t = name.storage;
  if (!is_storage(t)) return name;
  const auto absent_or = [&](i32 slot, element type) {
    return !s.has_input(slot) || s.input_type(slot) == type;
  };
  constexpr i32 out = 8;  // slot of the first output
  if (is_resize(s.what)) {
    name.supported = absent_or(out, t);
    return name;
  }
  if (is_bag(s.what) || is_lookup_update(s.what) || is_lookup_test(s.what)) {
    const bool whole = !is_lookup_update(s.what) && !is_lookup_test(s.what);
    const bool table = s.what == kind::embedding_bag && s.input_type(1) == element::f32;
    name.supported = absent_or(0, element::int32) && (table || absent_or(1, t)) &&
                     absent_or(6, t) && absent_or(4, element::int32) &&
                     absent_or(5, element::int32) && absent_or(out, whole ? t : element::f32);
    return name;
  }
  if (is_unpool(s.what)) {
    const bool places = s.what == kind::max_unpool2d_gradient && s.has_input(1);
    name.supported = absent_or(out, t) && (places || absent_or(1, element::int32));
    return name;
  }
  if (ops::is_activation(s.what) || ops::is_activation_gradient(s.what) ||
      ops::is_broadcast(s.what) || ops::is_reduce_family(s.what)) {
    name.supported = absent_or(1, t) && absent_or(2, t) && absent_or(out, t);
    return name;
  }
  switch (s.what) {
    case kind::cast: name.supported = is_storage(s.output_type(0)); break;
    case kind::dense:
    case kind::dense_data_gradient:
    case kind::dense_weight_gradient:
    case kind::conv2d:
    case kind::conv2d_data_gradient:
    case kind::conv2d_weight_gradient:
    case kind::dropout:
    case kind::bias_add:
    case kind::channel_scale:
    case kind::channel_scale_gradient:
    case kind::prelu:
    case kind::prelu_gradient:
    case kind::prelu_slope_gradient:
    case kind::glu:
    case kind::glu_gradient:
    case kind::add:
    case kind::subtract:
    case kind::multiply:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient:
    case kind::bias_gradient:
    case kind::matmul:
    case kind::softmax:
    case kind::log_softmax:
    case kind::softmax_gradient:
    case kind::log_softmax_gradient:
      name.supported = absent_or(1, t) && absent_or(2, t) && absent_or(out, t);
      break;
    case kind::local_response_norm: name.supported = absent_or(out, t); break;
    case kind::local_response_norm_gradient:
      name.supported = absent_or(1, t) && absent_or(out, t);
      break;
    case kind::batch_norm:
    case kind::batch_norm_inference:
    case kind::group_norm:
    case kind::layer_norm:
    case kind::rms_norm:
      name.supported = absent_or(out, t);
      for (const i32 slot : {1, 2, 3, 4, out + 1, out + 2, out + 3, out + 4}) {
        name.supported = name.supported && absent_or(slot, element::f32);
      }
      break;
    case kind::batch_norm_gradient:
    case kind::batch_norm_inference_gradient:
    case kind::group_norm_gradient:
    case kind::layer_norm_gradient:
    case kind::rms_norm_gradient:
      name.supported = absent_or(1, t) && absent_or(out, t);
      for (const i32 slot : {2, 3, 4, out + 1, out + 2}) {
        name.supported = name.supported && absent_or(slot, element::f32);
      }
      break;
    case kind::lstm_cell:
    case kind::lstm_cell_gradient:
    case kind::gru_cell:
    case kind::gru_cell_gradient:
      name.supported = true;
      for (i32 slot = 0; slot < 16; ++slot) name.supported &= absent_or(slot, t);
      break;
    case kind::select_by_length:
      name.supported = absent_or(0, element::int32) && absent_or(1, t) && absent_or(2, t);
      break;
    case kind::embedding:
      name.supported = absent_or(0, element::int32) &&
                       (absent_or(1, t) || absent_or(1, element::f32)) && absent_or(out, t);
      break;
    case kind::embedding_gradient:
      name.supported = absent_or(0, element::int32) && absent_or(1, t) && absent_or(out, t);
      break;
    case kind::masked_softmax:
      name.supported = absent_or(3, element::int32) && absent_or(out, t);
      for (const i32 slot : {1, 2}) {
        name.supported =
            name.supported && (absent_or(slot, t) || absent_or(slot, element::f32) ||
                               absent_or(slot, element::int32) || absent_or(slot, element::uint8));
      }
      break;
    case kind::additive_scores:
    case kind::additive_scores_gradient:
      name.supported = true;
      for (const i32 slot : {1, 2, 3, out, out + 1, out + 2}) name.supported &= absent_or(slot, t);
      break;
    case kind::attention:
      name.supported = absent_or(3, element::int32) && absent_or(out + 1, element::f32);
      for (const i32 slot : {1, 2, out}) name.supported &= absent_or(slot, t);
      break;
    case kind::attention_gradient:
      name.supported = absent_or(3, element::int32) && absent_or(5, element::f32);
      for (const i32 slot : {1, 2, 4, 6, out, out + 1, out + 2}) {
        name.supported &= absent_or(slot, t);
      }
      break;
    case kind::max_pool2d: name.supported = absent_or(out, t); break;
    case kind::max_pool2d_gradient: name.supported = s.has_input(1) && absent_or(out, t); break;
    case kind::adjust_gradient:
      name.supported = (absent_or(1, element::f32) || absent_or(1, t)) && absent_or(out, t);
      break;
    case kind::gradient_norm:
    case kind::clip_factor: name.supported = absent_or(out, element::f32); break;
    case kind::bernoulli:
    case kind::gaussian_noise: name.supported = absent_or(1, t) && absent_or(out, t); break;
    case kind::weigh_samples:
      name.supported = absent_or(1, element::f32) && absent_or(out, t);
      break;
    case kind::overflow_test:
    case kind::scaler_update: name.supported = true; break;
    case kind::update:
    case kind::dense_weight_update:
    case kind::conv2d_weight_update:
    case kind::bias_update:
      name.supported = !s.has_output(0) || is_storage(s.output_type(0));
      break;
    default:
      name.supported =
          ops::is_update(s.what) &&
          (absent_or(out, element::f32) ||
           (ops::is_rule_update(s.what) && s.has_output(0) && is_storage(s.output_type(0))));
      break;
  }
  const bool conv = s.what == kind::conv2d || s.what == kind::conv2d_data_gradient;
  if (conv && bytes_of(t) == 2) {  // 16-bit weights of one channel are widened into a panel
    const conv_sizes n = conv_sizes::of(s);
    if (i64{n.kernel_height} * n.kernel_width > weight_panel::capacity) name.supported = false;
  }
  return name;
}

/// The kernel of a kind that is stored as T.
template <kind What, class T, bool Last>
constexpr kernel kernel_for() {
  if constexpr (What == kind::dense) return &dense<T, Last>;
  if constexpr (What == kind::dense_data_gradient) return &dense_data_gradient<T, Last>;
  if constexpr (What == kind::dense_weight_gradient) return &dense_weight_gradient<T, Last>;
  if constexpr (What == kind::dense_weight_update) return &dense_weight_update<T, Last>;
  if constexpr (What == kind::conv2d) return &conv2d<T, Last>;
  if constexpr (What == kind::conv2d_data_gradient) return &conv2d_data_gradient<T, Last>;
  if constexpr (What == kind::conv2d_weight_gradient) return &conv2d_weight_gradient<T, Last>;
  if constexpr (What == kind::conv2d_weight_update) return &conv2d_weight_update<T, Last>;
  if constexpr (What == kind::bias_gradient) return &bias_gradient<T, Last>;
  if constexpr (What == kind::bias_update) return &bias_update<T, Last>;
  if constexpr (What == kind::bias_add) return &bias_add<T>;
  if constexpr (What == kind::channel_scale) return &channel_scale<T>;
  if constexpr (What == kind::channel_scale_gradient) return &channel_scale_gradient<T>;
  if constexpr (What == kind::prelu) return &prelu<T>;
  if constexpr (What == kind::prelu_gradient) return &prelu_gradient<T>;
  if constexpr (What == kind::prelu_slope_gradient) return &prelu_slope_gradient<T>;
  if constexpr (ops::is_activation(What)) return &activation<T, What>;
  if constexpr (ops::is_activation_gradient(What)) {
    return &activation_gradient<T, ops::activation_kind(What)>;
  }
  if constexpr (What == kind::glu) return &glu<T>;
  if constexpr (What == kind::glu_gradient) return &glu_gradient<T>;
  if constexpr (ops::is_broadcast(What)) return &broadcast<T, What>;
  if constexpr (ops::is_reduction(What)) return &reduce<T, What>;
  if constexpr (What == kind::expand || What == kind::reduce_mean_gradient) {
    return &expand<T, What == kind::reduce_mean_gradient>;
  }
  if constexpr (What == kind::reduce_amax_gradient) return &reduce_amax_gradient<T>;
  if constexpr (What == kind::permute) return &permute;
  if constexpr (What == kind::dropout) return &dropout<T>;
  if constexpr (What == kind::add) return &add<T>;
  if constexpr (What == kind::subtract) return &subtract<T>;
  if constexpr (What == kind::multiply) return &multiply<T>;
  if constexpr (What == kind::copy) return &copy;
  if constexpr (What == kind::zero) return &zero;
  if constexpr (What == kind::concat) return &concat;
  if constexpr (What == kind::split) return &split;
  if constexpr (What == kind::lstm_cell) return &lstm_cell<T>;
  if constexpr (What == kind::lstm_cell_gradient) return &lstm_cell_gradient<T>;
  if constexpr (What == kind::gru_cell) return &gru_cell<T>;
  if constexpr (What == kind::gru_cell_gradient) return &gru_cell_gradient<T>;
  if constexpr (What == kind::select_by_length) return &select_by_length<T>;
  if constexpr (What == kind::embedding) return &embedding<T, Last>;
  if constexpr (is_lookup_update(What)) return &lookup_update<T>;
  if constexpr (is_lookup_test(What)) return &lookup_overflow_test<T>;
  if constexpr (What == kind::embedding_bag) return &embedding_bag<T, Last>;
  if constexpr (What == kind::embedding_bag_gradient) return &embedding_bag_gradient<T, Last>;
  if constexpr (What == kind::embedding_bag_weight_gradient) {
    return &embedding_bag_weight_gradient<T, Last>;
  }
  if constexpr (What == kind::embedding_gradient) return &embedding_gradient<T, Last>;
  if constexpr (What == kind::max_pool2d) return &max_pool2d<T, Last>;
  if constexpr (What == kind::max_pool2d_gradient) return &max_pool2d_gradient<T, Last>;
  if constexpr (What == kind::avg_pool2d) return &avg_pool2d<T, Last>;
  if constexpr (What == kind::avg_pool2d_gradient) return &avg_pool2d_gradient<T, Last>;
  if constexpr (What == kind::adaptive_avg_pool2d) return &adaptive_avg_pool2d<T, Last>;
  if constexpr (What == kind::upsample_nearest) return &upsample_nearest<T, Last>;
  if constexpr (What == kind::upsample_bilinear) return &upsample_bilinear<T, Last>;
  if constexpr (What == kind::adaptive_avg_pool2d_gradient ||
                What == kind::upsample_nearest_gradient ||
                What == kind::upsample_bilinear_gradient) {
    return &resize_gradient<T, Last>;
  }
  if constexpr (What == kind::adaptive_max_pool2d) return &adaptive_max_pool2d<T, Last>;
  if constexpr (What == kind::adaptive_max_pool2d_gradient) {
    return &adaptive_max_pool2d_gradient<T, Last>;
  }
  if constexpr (What == kind::max_unpool2d) return &max_unpool2d<T, Last>;
  if constexpr (What == kind::max_unpool2d_gradient) return &max_unpool2d_gradient<T, Last>;
  if constexpr (What == kind::batch_norm) return &batch_norm<T, Last>;
  if constexpr (What == kind::batch_norm_gradient) return &batch_norm_gradient<T, Last>;
  if constexpr (What == kind::batch_norm_inference) return &batch_norm_inference<T, Last>;
  if constexpr (What == kind::batch_norm_inference_gradient) {
    return &batch_norm_inference_gradient<T, Last>;
  }
  if constexpr (What == kind::group_norm) return &row_norm_forward<T, Last, row_norm::group>;
  if constexpr (What == kind::layer_norm) return &row_norm_forward<T, Last, row_norm::layer>;
  if constexpr (What == kind::rms_norm) {
    return &row_norm_forward<T, Last, row_norm::root_mean_square>;
  }
  if constexpr (What == kind::group_norm_gradient) {
    return &row_norm_gradient<T, Last, row_norm::group>;
  }
  if constexpr (What == kind::layer_norm_gradient) {
    return &row_norm_gradient<T, Last, row_norm::layer>;
  }
  if constexpr (What == kind::rms_norm_gradient) {
    return &row_norm_gradient<T, Last, row_norm::root_mean_square>;
  }
  if constexpr (What == kind::local_response_norm) return &local_response_norm<T, Last>;
  if constexpr (What == kind::local_response_norm_gradient) {
    return &local_response_norm_gradient<T, Last>;
  }
  if constexpr (is_of_loss(What)) return loss_kernel_for<What, T>();
  if constexpr (What == kind::matmul) return &matmul<T, Last>;
  if constexpr (What == kind::softmax) return &softmax<T, false>;
  if constexpr (What == kind::log_softmax) return &softmax<T, true>;
  if constexpr (What == kind::softmax_gradient) return &softmax_gradient<T, false>;
  if constexpr (What == kind::log_softmax_gradient) return &softmax_gradient<T, true>;
  if constexpr (What == kind::masked_softmax) return &masked_softmax<T, Last>;
  if constexpr (What == kind::additive_scores) return &additive_scores<T, Last>;
  if constexpr (What == kind::additive_scores_gradient) return &additive_scores_gradient<T, Last>;
  if constexpr (What == kind::attention) return &attention<T>;
  if constexpr (What == kind::attention_gradient) return &attention_gradient<T>;
  if constexpr (What == kind::update) return &update<T>;
  if constexpr (ops::is_norm_update(What)) return &norm_update<T, What>;
  if constexpr (ops::is_rule_update(What) && !ops::is_norm_update(What)) {
    return &rule_update<T, What>;
  }
  if constexpr (What == kind::adjust_gradient) return &adjust_gradient<T>;
  if constexpr (What == kind::gradient_norm) return &gradient_norm<T>;
  if constexpr (What == kind::clip_factor) return &clip_factor;
  if constexpr (What == kind::overflow_test) return &overflow_test<T>;
  if constexpr (What == kind::scaler_update) return &scaler_update;
  if constexpr (What == kind::bernoulli) return &bernoulli<T>;
  if constexpr (What == kind::gaussian_noise) return &gaussian_noise<T>;
  if constexpr (What == kind::weigh_samples) return &weigh_samples<T, Last>;
  if constexpr (What == kind::gate_noise) return &gate_noise<T>;
  if constexpr (What == kind::gate_noise_gradient) return &gate_noise_gradient<T>;
  if constexpr (What == kind::top_k_gates) return &top_k_gates<T>;
  if constexpr (What == kind::top_k_gates_gradient) return &top_k_gates_gradient<T>;
  if constexpr (What == kind::gate_load) return &gate_load<T>;
  if constexpr (What == kind::gate_load_gradient) return &gate_load_gradient<T>;
  if constexpr (What == kind::balance_loss) return &balance_loss<T>;
  if constexpr (What == kind::balance_loss_gradient) return &balance_loss_gradient<T>;
  if constexpr (What == kind::route_tokens) return &route_tokens;
  if constexpr (What == kind::gather_tokens) return &gather_tokens<T>;
  if constexpr (What == kind::gather_tokens_gradient) return &gather_tokens_gradient<T>;
  if constexpr (What == kind::combine_experts) return &combine_experts<T>;
  if constexpr (What == kind::combine_experts_gradient) return &combine_experts_gradient<T>;
  if constexpr (What == kind::quantize) return &quantize<T>;
  if constexpr (What == kind::dequantize) return &dequantize<T>;
  if constexpr (What == kind::requantize) return &requantize;
  if constexpr (What == kind::quantized_dense) return &quantized_dense<Last>;
  if constexpr (What == kind::quantized_conv2d) return &quantized_conv2d<Last>;
  if constexpr (is_user(What)) return [](const call& c) { run_user_kernel(c, false); };
  return nullptr;
}

/// The C++ type of f32, f16 or bf16.
template <element Type>
using storage_type = std::conditional_t<Type == element::f32, float,
                                        std::conditional_t<Type == element::f16, half, bfloat16>>;

/// True for convolutions that have several forms, of sizes that are known.
constexpr bool has_conv_forms(const signature& s) {
  return s.fixed &&
         (s.what == kind::conv2d || s.what == kind::conv2d_data_gradient ||
          s.what == kind::conv2d_weight_gradient || s.what == kind::conv2d_weight_update);
}

/// The kernel of a convolution whose sizes are known, in the one form that they ask for.
template <signature S, class T>
constexpr kernel conv_kernel() {
  constexpr conv_sizes n = conv_sizes::of(S);
  if constexpr (S.what == kind::conv2d) {
    return &conv2d<T, S.batch_last, form_of(conv_view<T>::forward(n), S.batch_last)>;
  } else if constexpr (S.what == kind::conv2d_data_gradient) {
    return &conv2d_data_gradient<T, S.batch_last, form_of(conv_view<T>::backward(n), S.batch_last)>;
  } else if constexpr (S.what == kind::conv2d_weight_gradient) {
    return &conv2d_weight_gradient<T, S.batch_last, form_of(conv_weight_view<T>(n), S.batch_last)>;
  } else {
    return &conv2d_weight_update<T, S.batch_last, form_of(conv_weight_view<T>(n), S.batch_last)>;
  }
}

/// The kernel for a signature known while compiling; null where there is none (see `supports`).
template <signature S>
constexpr kernel choose_kernel() {
  constexpr kernel_name name = name_of(S);
  if constexpr (!name.supported) {
    return nullptr;
  } else if constexpr (S.what == kind::cast) {
    return &cast<storage_type<name.storage>, storage_type<S.output_type(0)>>;
  } else if constexpr (fixes_dense(S)) {
    return fixed_dense_kernel<S, storage_type<name.storage>>();
  } else if constexpr (has_conv_forms(S)) {
    return conv_kernel<S, storage_type<name.storage>>();
  } else {
    return kernel_for<S.what, storage_type<name.storage>, S.batch_last>();
  }
}

template <signature S>
inline constexpr kernel kernel_of = choose_kernel<S>();

/// Whether one kernel does `count` operations in a row, each of which takes what the one before
/// gives: a batch normalization, an addition, an activation; one of the last two may be missing, or
/// the first.
constexpr bool joins(const signature* run, i32 count) {
  const kernel_name first = name_of(run[0]);
  const bool norm = first.what == kind::batch_norm || first.what == kind::batch_norm_inference;
  if (!first.supported || (!norm && first.what != kind::add)) return false;
  for (i32 i = 1; i < count; ++i) {
    const bool adds = norm && i == 1 && run[i].what == kind::add;
    if (!adds && !(i + 1 == count && ops::is_activation(run[i].what))) return false;
    if (!name_of(run[i]).supported || run[i].input_type(0) != first.storage) return false;
  }
  return true;
}

/// The kernel of `S` that also does an addition, `After`, or both, where the call says so.
template <signature S, kind After>
constexpr kernel choose_joined_kernel() {
  using T = storage_type<name_of(S).storage>;
  if constexpr (S.what == kind::batch_norm) return &batch_norm<T, S.batch_last, After>;
  if constexpr (S.what == kind::batch_norm_inference) {
    return &batch_norm_inference<T, S.batch_last, After>;
  }
  return &add_then<T, After>;
}

template <signature S, kind After>
inline constexpr kernel joined_kernel_of = choose_joined_kernel<S, After>();

/// True where the host has a kernel for `s`: operands of f32, f16 or bf16, the same for all that
/// a policy stores alike. f64 runs on the reference backend.
constexpr bool supports(const signature& s) { return name_of(s).supported; }

/// All kernels of one storage type and layout, by kind.
template <class T, bool Last>
struct kernel_table {
  kernel of[static_cast<i32>(kind::count)] = {};

  constexpr kernel_table() {
    fill(std::make_integer_sequence<i32, static_cast<i32>(kind::count)>());
  }

 private:
  template <i32... Kinds>
  constexpr void fill(std::integer_sequence<i32, Kinds...>) {
    ((of[Kinds] = kernel_for<static_cast<kind>(Kinds), T, Last>()), ...);
  }
};

/// The cast from T to `type`.
template <class T>
kernel cast_to(element type) {
  if (type == element::f16) return &cast<T, half>;
  if (type == element::bf16) return &cast<T, bfloat16>;
  return &cast<T, float>;
}

/// The kernel of `s`, whose storage type is T.
template <class T>
kernel find_kernel_of(const signature& s) {
  if (s.what == kind::cast) return cast_to<T>(s.output_type(0));
  static constexpr kernel_table<T, false> first;
  static constexpr kernel_table<T, true> last;
  const i32 index = static_cast<i32>(s.what);
  return s.batch_last ? last.of[index] : first.of[index];
}

/// The kernel for a signature that is known at run time only; null where there is none. A template
/// so that only programs that call it compile all kernels.
template <class = void>
kernel find_kernel(const signature& s) {
  const kernel_name name = name_of(s);
  if (!name.supported) return nullptr;
  if (name.storage == element::f16) return find_kernel_of<half>(s);
  if (name.storage == element::bf16) return find_kernel_of<bfloat16>(s);
  return find_kernel_of<float>(s);
}

}  // namespace tessera::host
