#pragma once

// Which kinds are losses, in families: questions that tables ask with one comparison.
//
// Every loss is followed by its gradient, so kind + 1 is the gradient of a loss.

#include <tessera/ir/kind.hpp>

namespace tessera {

inline constexpr kind first_loss = kind::mse;
inline constexpr kind last_loss = kind::ctc;

/// A loss or the gradient of one.
constexpr bool is_of_loss(kind what) {
  return what >= first_loss && static_cast<i32>(what) <= static_cast<i32>(last_loss) + 1;
}
constexpr bool is_loss(kind what) {
  return is_of_loss(what) && (static_cast<i32>(what) - static_cast<i32>(first_loss)) % 2 == 0;
}
constexpr bool is_loss_gradient(kind what) { return is_of_loss(what) && !is_loss(what); }

constexpr kind gradient_of_loss(kind loss) { return static_cast<kind>(static_cast<i32>(loss) + 1); }
/// The loss that `what` is, or is the gradient of.
constexpr kind loss_of(kind what) {
  return is_loss_gradient(what) ? static_cast<kind>(static_cast<i32>(what) - 1) : what;
}

/// Losses that are a sum over elements, each of them with a target of its own.
constexpr bool is_element_loss(kind what) {
  return what >= kind::mse && what <= kind::hinge_embedding_gradient;
}
/// Losses of which each target has a row: its logits, or two or three vectors that are compared.
constexpr bool is_row_loss(kind what) {
  return what >= kind::softmax_cross_entropy && what <= kind::triplet_gradient;
}
/// Row losses that compare vectors: operands 0, 1 (and 3) are rows, all of them may learn.
constexpr bool is_pair_loss(kind what) {
  return what >= kind::cosine_embedding && what <= kind::triplet_gradient;
}
/// Losses whose target is the number of a class, one for each row.
constexpr bool names_classes(kind what) {
  const kind loss = loss_of(what);
  return loss == kind::softmax_cross_entropy || loss == kind::nll || loss == kind::multiclass_hinge;
}

/// Which values an operand of a loss takes: what checks and benchmarks fill it with.
enum class operand_values : u8 { any, shares, signs, positive };

constexpr operand_values values_of_operand(kind what, i32 slot) {
  const kind loss = loss_of(what);
  const bool target = slot == 1;
  switch (loss) {
    case kind::bce: return slot < 2 ? operand_values::shares : operand_values::positive;
    case kind::bce_with_logits:
    case kind::kl_div:
    case kind::soft_cross_entropy:
      return target      ? operand_values::shares
             : slot == 0 ? operand_values::any
                         : operand_values::positive;
    case kind::binary_hinge:
    case kind::hinge_embedding:
      return target      ? operand_values::signs
             : slot == 0 ? operand_values::any
                         : operand_values::positive;
    case kind::cosine_embedding: return slot == 3 ? operand_values::signs : operand_values::any;
    case kind::triplet:
    case kind::ctc: return operand_values::any;
    default: return slot == 3 ? operand_values::positive : operand_values::any;
  }
}

/// Whole numbers that an operand takes: `first` + 0 to count - 1, `except` left out.
struct whole_values {
  i32 first = 0;
  i32 count = 0;
  i32 except = -1;

  /// The value that number `drawn` below `draws()` stands for.
  constexpr i32 draws() const { return except >= 0 ? count - 1 : count; }
  constexpr i32 at(i32 drawn) const {
    return first + (except >= 0 && drawn >= except ? drawn + 1 : drawn);
  }
};

constexpr const char* name_of_loss(kind what) {
  constexpr const char* names[] = {"mse",
                                   "mse_gradient",
                                   "l1",
                                   "l1_gradient",
                                   "smooth_l1",
                                   "smooth_l1_gradient",
                                   "huber",
                                   "huber_gradient",
                                   "bce_with_logits",
                                   "bce_with_logits_gradient",
                                   "bce",
                                   "bce_gradient",
                                   "kl_div",
                                   "kl_div_gradient",
                                   "binary_hinge",
                                   "binary_hinge_gradient",
                                   "hinge_embedding",
                                   "hinge_embedding_gradient",
                                   "softmax_cross_entropy",
                                   "softmax_cross_entropy_gradient",
                                   "soft_cross_entropy",
                                   "soft_cross_entropy_gradient",
                                   "nll",
                                   "nll_gradient",
                                   "multiclass_hinge",
                                   "multiclass_hinge_gradient",
                                   "distillation",
                                   "distillation_gradient",
                                   "cosine_embedding",
                                   "cosine_embedding_gradient",
                                   "triplet",
                                   "triplet_gradient",
                                   "ctc",
                                   "ctc_gradient"};
  static_assert(sizeof names / sizeof *names ==
                static_cast<i32>(last_loss) - static_cast<i32>(first_loss) + 2);
  return names[static_cast<i32>(what) - static_cast<i32>(first_loss)];
}

static_assert(is_loss(kind::mse) && is_loss_gradient(kind::mse_gradient) &&
              is_loss(kind::softmax_cross_entropy) && is_loss(kind::triplet) &&
              is_loss_gradient(kind::triplet_gradient));

}  // namespace tessera
