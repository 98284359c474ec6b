#pragma once

// The accelerator model as a backend: it runs a plan with a machine's arithmetic, counts what the
// machine would have spent, and states the same as constants beforehand.
//
//   machine + signature -> mapping -> price            constants (mapping.hpp, price.hpp, fits.hpp)
//   machine + signature -> kernel  -> results, counters            (kernels.hpp, counters.hpp)
//
// What it computes: storage in f32, f16 and bf16 with sums in f32, bytes with sums in i32
// (quantized inference); sums in the machine's order, results rounded, flushed and saturated as it
// says (machine/numerics.hpp). Parameters without 32-bit masters are rounded by chance on any
// machine.
//
// What the model promises
//   results    bit for bit the same on every host, compiler, vector width and number of threads
//   counters   equal to the price, for every operation
// What it does not promise: cycles are those of tuned codelets under the formulas in machine/;
// energies are counts times constants and mean something as ratios only.

#include <tessera/backends/accelerator/fits.hpp>
#include <tessera/backends/accelerator/kernels.hpp>
#include <tessera/machine/presets.hpp>
#include <type_traits>
#include <utility>

namespace tessera::accelerator {

/// A kernel as programs call it: the machine is part of its type.
template <machine M, model_kernel Run>
void run_on(const call& c) {
  Run(M, c);
}

namespace detail {

template <machine M, signature S>
constexpr kernel make_kernel() {
  constexpr element storage = storage_of(S);
  if constexpr (is_user(S.what)) {
    return user_sizes::in_single(S) ? run_on<M, &run_user> : nullptr;
  } else if constexpr (is_move(S.what)) {
    return has_one_type(S) ? run_on<M, kernel_for<S.what, float>(S)> : nullptr;
  } else if constexpr (storage == element::f16) {
    constexpr model_kernel run = kernel_for<S.what, half>(S);
    return run_on<M, run>;
  } else if constexpr (storage == element::bf16) {
    constexpr model_kernel run = kernel_for<S.what, bfloat16>(S);
    return run_on<M, run>;
  } else if constexpr (storage == element::f32) {
    constexpr model_kernel run = kernel_for<S.what, float>(S);
    return run_on<M, run>;
  } else {
    return nullptr;
  }
}

/// The 16-bit type that a machine is made for.
template <machine M>
inline constexpr element narrow_type =
    M.matrix.numbers.in == element::bf16 ? element::bf16 : element::f16;
template <machine M>
using narrow_of = std::conditional_t<narrow_type<M> == element::bf16, bfloat16, half>;

/// Kernels of one kind by their run-time types. Each form is listed, since the function that is run
/// is part of the entry's type.
template <machine M, kind What, class T>
kernel find_for(const signature& s) {
  constexpr element short_type = narrow_type<M>;
  constexpr signature narrow = [] {
    signature both;
    both.set_type(1, short_type);
    both.set_type(8, short_type);
    return both;
  }();
  constexpr signature wide = [] {
    signature both;
    both.set_type(1, element::f32);
    both.set_type(8, element::f32);
    return both;
  }();
  if constexpr (What == kind::cast) {
    const element further = s.output_type(0);
    if (further == short_type) return run_on<M, kernel_for<What, T>(narrow)>;
    return further == element::f32 ? run_on<M, kernel_for<What, T>(wide)> : nullptr;
  } else {
    return run_on<M, kernel_for<What, T>(wide)>;
  }
}

template <machine M, kind What>
kernel find_for_kind(const signature& s) {
  if constexpr (is_user(What)) {
    return user_sizes::in_single(s) ? run_on<M, &run_user> : nullptr;
  }
  if constexpr (is_move(What)) {
    return has_one_type(s) ? run_on<M, kernel_for<What, float>({})> : nullptr;
  }
  switch (storage_of(s)) {
    case element::f32: return find_for<M, What, float>(s);
    case narrow_type<M>: return find_for<M, What, narrow_of<M>>(s);
    default: return nullptr;
  }
}

using kind_finder = kernel (*)(const signature&);

/// What finds kernels of the kinds First to Last, of which there are Index...
template <machine M, kind First, i32... Index>
kind_finder find_in_range(kind what, std::integer_sequence<i32, Index...>) {
  static constexpr kind_finder finders[] = {
      &find_for_kind<M, static_cast<kind>(static_cast<i32>(First) + Index)>...};
  return finders[static_cast<i32>(what) - static_cast<i32>(First)];
}

/// The same for kinds of families that are ranges; null for others.
template <machine M>
kind_finder find_in_ranges(kind what) {
  const auto in = [&]<kind First, kind Last>(kind_finder& found) {
    if (what < First || what > Last) return;
    constexpr i32 count = static_cast<i32>(Last) - static_cast<i32>(First) + 1;
    found = find_in_range<M, First>(what, std::make_integer_sequence<i32, count>());
  };
  kind_finder found = nullptr;
  in.template operator()<kind::relu, kind::abs_gradient>(found);
  in.template operator()<kind::broadcast_add, kind::minimum_gradient>(found);
  in.template operator()<kind::reduce_sum, kind::reduce_amax>(found);
  in.template operator()<first_loss, gradient_of_loss(last_loss)>(found);
  return found;
}

}  // namespace detail

/// The kernel for signature S on machine M; null where the machine has none for its types.
template <machine M, signature S>
inline constexpr kernel kernel_of = detail::make_kernel<M, S>();

/// The same for a signature that is known at run time. Of the 16-bit types it knows the one that
/// the machine is made for (number_handling::in): bf16 where that says so, else f16.
template <machine M>
kernel find_kernel(const signature& s) {
  if (const detail::kind_finder find = detail::find_in_ranges<M>(s.what)) return find(s);
  using enum kind;
  switch (s.what) {
    case cast: return detail::find_for_kind<M, cast>(s);
    case dense:
    case dense_data_gradient:
    case dense_weight_gradient:
    case conv2d:
    case conv2d_data_gradient:
    case conv2d_weight_gradient: return detail::find_for_kind<M, dense>(s);
    case bias_gradient: return detail::find_for_kind<M, bias_gradient>(s);
    case bias_add: return detail::find_for_kind<M, bias_add>(s);
    case channel_scale: return detail::find_for_kind<M, channel_scale>(s);
    case channel_scale_gradient: return detail::find_for_kind<M, channel_scale_gradient>(s);
    case prelu: return detail::find_for_kind<M, prelu>(s);
    case prelu_gradient: return detail::find_for_kind<M, prelu_gradient>(s);
    case prelu_slope_gradient: return detail::find_for_kind<M, prelu_slope_gradient>(s);
    case kind::glu: return detail::find_for_kind<M, kind::glu>(s);
    case glu_gradient: return detail::find_for_kind<M, glu_gradient>(s);
    case kind::expand:
    case reduce_mean_gradient: return detail::find_for_kind<M, kind::expand>(s);
    case reduce_amax_gradient: return detail::find_for_kind<M, reduce_amax_gradient>(s);
    case kind::permute: return detail::find_for_kind<M, kind::permute>(s);
    case dropout: return detail::find_for_kind<M, dropout>(s);
    case add: return detail::find_for_kind<M, add>(s);
    case subtract: return detail::find_for_kind<M, subtract>(s);
    case multiply: return detail::find_for_kind<M, multiply>(s);
    case copy:
    case zero: return detail::find_for_kind<M, copy>(s);
    case concat: return detail::find_for_kind<M, concat>(s);
    case split: return detail::find_for_kind<M, split>(s);
    case lstm_cell: return detail::find_for_kind<M, lstm_cell>(s);
    case lstm_cell_gradient: return detail::find_for_kind<M, lstm_cell_gradient>(s);
    case gru_cell: return detail::find_for_kind<M, gru_cell>(s);
    case gru_cell_gradient: return detail::find_for_kind<M, gru_cell_gradient>(s);
    case select_by_length: return detail::find_for_kind<M, select_by_length>(s);
    case embedding: return detail::find_for_kind<M, embedding>(s);
    case embedding_gradient: return detail::find_for_kind<M, embedding_gradient>(s);
    case embedding_update:
    case embedding_bag_update: return detail::find_for_kind<M, embedding_update>(s);
    case embedding_overflow_test:
    case embedding_bag_overflow_test: return detail::find_for_kind<M, embedding_overflow_test>(s);
    case embedding_bag: return detail::find_for_kind<M, embedding_bag>(s);
    case embedding_bag_gradient: return detail::find_for_kind<M, embedding_bag_gradient>(s);
    case embedding_bag_weight_gradient:
      return detail::find_for_kind<M, embedding_bag_weight_gradient>(s);
    case max_pool2d: return detail::find_for_kind<M, max_pool2d>(s);
    case max_pool2d_gradient: return detail::find_for_kind<M, max_pool2d_gradient>(s);
    case avg_pool2d: return detail::find_for_kind<M, avg_pool2d>(s);
    case avg_pool2d_gradient: return detail::find_for_kind<M, avg_pool2d_gradient>(s);
    case adaptive_avg_pool2d:
    case upsample_nearest:
    case upsample_bilinear: return detail::find_for_kind<M, upsample_nearest>(s);
    case adaptive_avg_pool2d_gradient:
    case upsample_nearest_gradient:
    case upsample_bilinear_gradient: return detail::find_for_kind<M, upsample_nearest_gradient>(s);
    case adaptive_max_pool2d: return detail::find_for_kind<M, adaptive_max_pool2d>(s);
    case adaptive_max_pool2d_gradient:
      return detail::find_for_kind<M, adaptive_max_pool2d_gradient>(s);
    case max_unpool2d: return detail::find_for_kind<M, max_unpool2d>(s);
    case max_unpool2d_gradient: return detail::find_for_kind<M, max_unpool2d_gradient>(s);
    case batch_norm: return detail::find_for_kind<M, batch_norm>(s);
    case batch_norm_inference: return detail::find_for_kind<M, batch_norm_inference>(s);
    case batch_norm_gradient:
    case batch_norm_inference_gradient: return detail::find_for_kind<M, batch_norm_gradient>(s);
    case group_norm:
    case layer_norm:
    case rms_norm: return detail::find_for_kind<M, layer_norm>(s);
    case group_norm_gradient:
    case layer_norm_gradient:
    case rms_norm_gradient: return detail::find_for_kind<M, layer_norm_gradient>(s);
    case local_response_norm: return detail::find_for_kind<M, local_response_norm>(s);
    case local_response_norm_gradient:
      return detail::find_for_kind<M, local_response_norm_gradient>(s);
    case update: return detail::find_for_kind<M, update>(s);
    case dense_weight_update:
    case conv2d_weight_update:
    case bias_update: return detail::find_for_kind<M, bias_update>(s);
    case rmsprop_update: return detail::find_for_kind<M, rmsprop_update>(s);
    case adagrad_update: return detail::find_for_kind<M, adagrad_update>(s);
    case adadelta_update: return detail::find_for_kind<M, adadelta_update>(s);
    case adamax_update: return detail::find_for_kind<M, adamax_update>(s);
    case nadam_update:
    case radam_update: return detail::find_for_kind<M, nadam_update>(s);
    case rprop_update: return detail::find_for_kind<M, rprop_update>(s);
    case lion_update: return detail::find_for_kind<M, lion_update>(s);
    case lamb_update: return detail::find_for_kind<M, lamb_update>(s);
    case lars_update: return detail::find_for_kind<M, lars_update>(s);
    case adjust_gradient: return detail::find_for_kind<M, adjust_gradient>(s);
    case gradient_norm: return detail::find_for_kind<M, gradient_norm>(s);
    case clip_factor: return detail::find_for_kind<M, clip_factor>(s);
    case overflow_test: return detail::find_for_kind<M, overflow_test>(s);
    case scaler_update: return detail::find_for_kind<M, scaler_update>(s);
    case bernoulli: return detail::find_for_kind<M, bernoulli>(s);
    case gaussian_noise: return detail::find_for_kind<M, gaussian_noise>(s);
    case weigh_samples: return detail::find_for_kind<M, weigh_samples>(s);
    case gate_noise: return detail::find_for_kind<M, gate_noise>(s);
    case gate_noise_gradient: return detail::find_for_kind<M, gate_noise_gradient>(s);
    case top_k_gates: return detail::find_for_kind<M, top_k_gates>(s);
    case top_k_gates_gradient: return detail::find_for_kind<M, top_k_gates_gradient>(s);
    case gate_load: return detail::find_for_kind<M, gate_load>(s);
    case gate_load_gradient: return detail::find_for_kind<M, gate_load_gradient>(s);
    case balance_loss: return detail::find_for_kind<M, balance_loss>(s);
    case balance_loss_gradient: return detail::find_for_kind<M, balance_loss_gradient>(s);
    case route_tokens: return detail::find_for_kind<M, route_tokens>(s);
    case gather_tokens: return detail::find_for_kind<M, gather_tokens>(s);
    case gather_tokens_gradient: return detail::find_for_kind<M, gather_tokens_gradient>(s);
    case combine_experts: return detail::find_for_kind<M, combine_experts>(s);
    case combine_experts_gradient: return detail::find_for_kind<M, combine_experts_gradient>(s);
    case quantize: return detail::find_for_kind<M, quantize>(s);
    case dequantize: return detail::find_for_kind<M, dequantize>(s);
    case requantize: return detail::find_for_kind<M, requantize>(s);
    case quantized_dense:
    case quantized_conv2d: return detail::find_for_kind<M, quantized_dense>(s);
    case matmul: return detail::find_for_kind<M, matmul>(s);
    case softmax: return detail::find_for_kind<M, softmax>(s);
    case log_softmax: return detail::find_for_kind<M, log_softmax>(s);
    case masked_softmax: return detail::find_for_kind<M, masked_softmax>(s);
    case softmax_gradient: return detail::find_for_kind<M, softmax_gradient>(s);
    case log_softmax_gradient: return detail::find_for_kind<M, log_softmax_gradient>(s);
    case additive_scores: return detail::find_for_kind<M, additive_scores>(s);
    case additive_scores_gradient: return detail::find_for_kind<M, additive_scores_gradient>(s);
    case attention: return detail::find_for_kind<M, attention>(s);
    case attention_gradient: return detail::find_for_kind<M, attention_gradient>(s);
    case user:
    case user_gradient: return detail::find_for_kind<M, user>(s);
    case loop:  // the program itself runs these
    case end_loop:
    default: return nullptr;
  }
}

}  // namespace tessera::accelerator
