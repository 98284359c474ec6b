#pragma once

// The best epoch of a fit: when to stop, and the weights to go back to.

#include <tessera/runtime/weights.hpp>
#include <tessera/train/progress.hpp>
#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace tessera {

/// Follows the losses of a fit's epochs, and keeps a copy of the weights of the best one where that
/// is to be restored. Allocates when it is made, never again.
class best_epoch {
 public:
  best_epoch(const early_stopping& rule, weight_list weights)
      : rule_(rule), weights_(std::move(weights)) {
    std::size_t bytes = 0;
    for (const weight& w : weights_) bytes += w.bytes.size();
    if (restores()) kept_.resize(bytes);
  }

  /// The loss of one more epoch, whose weights are those at hand. True where it is the best so far.
  bool take(double loss) {
    // The first epoch with a loss that is a number is the best; then it takes an improvement.
    const bool lower = loss < lowest_;
    lowest_ = lower ? loss : lowest_;
    const bool better = loss < best_ - rule_.least_improvement;
    waited_ = better ? 0 : waited_ + 1;
    if (better) {
      best_ = loss;
      if (restores()) copy(true);
    }
    return lower;
  }

  bool out_of_patience() const { return rule_.patience > 0 && waited_ >= rule_.patience; }

  /// Puts the best weights back, if there are any and they are not those at hand.
  void restore() {
    if (restores() && waited_ > 0 && best_ < std::numeric_limits<double>::infinity()) copy(false);
  }

 private:
  bool restores() const { return rule_.patience > 0 && rule_.restore_best; }

  void copy(bool keeps) {
    std::byte* kept = kept_.data();
    for (const weight& w : weights_) {
      if (keeps) {
        std::copy(w.bytes.begin(), w.bytes.end(), kept);
      } else {
        std::copy_n(kept, w.bytes.size(), w.bytes.begin());
      }
      kept += w.bytes.size();
    }
  }

  early_stopping rule_;
  weight_list weights_;
  std::vector<std::byte> kept_;
  double best_ = std::numeric_limits<double>::infinity();
  double lowest_ = std::numeric_limits<double>::infinity();
  i32 waited_ = 0;  // epochs since the best
};

}  // namespace tessera
