#pragma once

// What an evaluation finds out.

#include <tessera/core/types.hpp>
#include <vector>

namespace tessera {

/// Counts by true class (row) and predicted class (column).
class confusion {
 public:
  confusion() = default;
  explicit confusion(i32 classes)
      : classes_(classes),
        counts_(static_cast<std::size_t>(classes) * static_cast<std::size_t>(classes)) {}

  void add(i32 truth, i32 predicted) { ++counts_[index(truth, predicted)]; }
  i64 operator()(i32 truth, i32 predicted) const { return counts_[index(truth, predicted)]; }
  i32 classes() const { return classes_; }

 private:
  std::size_t index(i32 truth, i32 predicted) const {
    return static_cast<std::size_t>(truth) * static_cast<std::size_t>(classes_) +
           static_cast<std::size_t>(predicted);
  }

  i32 classes_ = 0;
  std::vector<i64> counts_;
};

struct metrics {
  double loss = 0;                 // mean over the samples; of several losses their sum
  double accuracy = 0;             // share of samples (or positions) whose largest output is their
                                   //   label; of the first output that names classes
  std::vector<double> losses;      // each, with its weight
  std::vector<double> accuracies;  // by output; 0 where it names no classes
  i64 samples = 0;
  confusion matrix;  // of the first output that names classes
};

}  // namespace tessera
