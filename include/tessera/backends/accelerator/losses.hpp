#pragma once

// The model's kernels of losses by kind.

#include <tessera/backends/accelerator/ctc.hpp>
#include <tessera/backends/accelerator/loss_elements.hpp>
#include <tessera/backends/accelerator/loss_rows.hpp>

namespace tessera::accelerator {

using loss_kernel = void (*)(const machine&, const call&);

/// The kernel of a loss whose logits are stored as T.
template <kind What, class T>
constexpr loss_kernel loss_kernel_for() {
  if constexpr (is_element_loss(What)) {
    return is_loss(What) ? &run_element_loss : &run_element_loss_gradient;
  }
  if constexpr (What == kind::softmax_cross_entropy) return &run_softmax_cross_entropy<T>;
  if constexpr (What == kind::softmax_cross_entropy_gradient) {
    return &run_softmax_cross_entropy_gradient<T>;
  }
  if constexpr (What == kind::ctc) return &run_ctc;
  if constexpr (What == kind::ctc_gradient) return &run_ctc_gradient;
  if constexpr (What == kind::soft_cross_entropy) return &run_soft_cross_entropy;
  if constexpr (What == kind::soft_cross_entropy_gradient) return &run_soft_cross_entropy_gradient;
  if constexpr (What == kind::nll) return &run_nll;
  if constexpr (What == kind::nll_gradient) return &run_nll_gradient;
  if constexpr (What == kind::multiclass_hinge) return &run_multiclass_hinge;
  if constexpr (What == kind::multiclass_hinge_gradient) return &run_multiclass_hinge_gradient;
  if constexpr (What == kind::distillation) return &run_distillation;
  if constexpr (What == kind::distillation_gradient) return &run_distillation_gradient;
  if constexpr (What == kind::cosine_embedding) return &run_cosine_embedding;
  if constexpr (What == kind::cosine_embedding_gradient) return &run_cosine_embedding_gradient;
  if constexpr (What == kind::triplet) return &run_triplet;
  if constexpr (What == kind::triplet_gradient) return &run_triplet_gradient;
  return nullptr;
}

}  // namespace tessera::accelerator
