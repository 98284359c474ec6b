#pragma once

// The host's kernels of losses by kind.

#include <tessera/backends/host/ctc.hpp>
#include <tessera/backends/host/loss_elements.hpp>
#include <tessera/backends/host/loss_rows.hpp>

namespace tessera::host {

/// f32, f16 or bf16 in every operand but those of whole numbers; losses and weights of classes are
/// f32.
constexpr bool supports_loss(const signature& s) {
  const auto f32_or_absent = [&](i32 slot) {
    return !s.has_input(slot) || s.input_type(slot) == element::f32;
  };
  if (!s.has_input(0) || !is_storage(s.input_type(0))) return false;
  const bool classes = names_classes(s.what) || loss_of(s.what) == kind::ctc;
  if (s.has_input(1) && !classes && !is_storage(s.input_type(1))) return false;
  if (s.has_input(3) && !classes && !is_storage(s.input_type(3))) return false;
  if (s.has_input(4) && !is_storage(s.input_type(4))) return false;
  if (!f32_or_absent(2) || (is_element_loss(s.what) && !f32_or_absent(5))) return false;
  if (loss_of(s.what) == kind::softmax_cross_entropy && !f32_or_absent(3)) return false;
  if (is_loss(s.what)) return s.has_output(0) && s.output_type(0) == element::f32;
  for (i32 slot = 0; slot < 3; ++slot) {
    if (s.has_output(slot) && !is_storage(s.output_type(slot))) return false;
  }
  return true;
}

/// The kernel of a loss whose logits are stored as T.
template <kind What, class T>
constexpr kernel loss_kernel_for() {
  if constexpr (is_element_loss(What)) {
    if constexpr (is_loss(What)) {
      return &element_loss<What>;
    } else {
      return &element_loss_gradient<loss_of(What)>;
    }
  }
  if constexpr (What == kind::softmax_cross_entropy) return &softmax_cross_entropy<T>;
  if constexpr (What == kind::softmax_cross_entropy_gradient) {
    return &softmax_cross_entropy_gradient<T>;
  }
  if constexpr (What == kind::ctc) return &ctc;
  if constexpr (What == kind::ctc_gradient) return &ctc_gradient;
  if constexpr (What == kind::soft_cross_entropy) return &soft_cross_entropy;
  if constexpr (What == kind::soft_cross_entropy_gradient) return &soft_cross_entropy_gradient;
  if constexpr (What == kind::nll) return &nll;
  if constexpr (What == kind::nll_gradient) return &nll_gradient;
  if constexpr (What == kind::multiclass_hinge) return &multiclass_hinge;
  if constexpr (What == kind::multiclass_hinge_gradient) return &multiclass_hinge_gradient;
  if constexpr (What == kind::distillation) return &distillation;
  if constexpr (What == kind::distillation_gradient) return &distillation_gradient;
  if constexpr (What == kind::cosine_embedding) return &cosine_embedding;
  if constexpr (What == kind::cosine_embedding_gradient) return &cosine_embedding_gradient;
  if constexpr (What == kind::triplet) return &triplet;
  if constexpr (What == kind::triplet_gradient) return &triplet_gradient;
  return nullptr;
}

}  // namespace tessera::host
