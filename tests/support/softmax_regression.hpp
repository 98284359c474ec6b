#pragma once

// What a linear model can learn of a set of pictures: the baseline that made data must not give
// away.

#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera::testing {

/// Multinomial logistic regression on the pixels of ten classes, trained by plain loops.
class softmax_regression {
 public:
  /// `count` pixels, a multiple of 8.
  explicit softmax_regression(std::size_t count) : pixels(count) {}

  /// Stochastic gradient descent, one sample a step, at a rate that falls to 0.
  void train(const data::dataset& set, i32 epochs, float first_rate) {
    std::vector<float> x(pixels);
    for (i32 epoch = 0; epoch < epochs; ++epoch) {
      const float rate =
          first_rate * static_cast<float>(epochs - epoch) / static_cast<float>(epochs);
      for (i64 i = 0; i < set.size(); ++i) {
        set.read(i, x.data());
        std::vector<float> p = scores(x);
        const float most = *std::max_element(p.begin(), p.end());
        float sum = 0;
        for (float& each : p) sum += each = std::exp(each - most);
        for (std::size_t k = 0; k < 10; ++k) {
          const float error = p[k] / sum - (static_cast<i32>(k) == set.label(i) ? 1.0f : 0.0f);
          for (std::size_t j = 0; j < pixels; ++j) weight[k * pixels + j] -= rate * error * x[j];
          bias[k] -= rate * error;
        }
      }
    }
  }

  /// The share of samples whose class is found.
  double accuracy(const data::dataset& set) const {
    std::vector<float> x(pixels);
    i64 right = 0;
    for (i64 i = 0; i < set.size(); ++i) {
      set.read(i, x.data());
      const std::vector<float> s = scores(x);
      right += std::max_element(s.begin(), s.end()) - s.begin() == set.label(i);
    }
    return static_cast<double>(right) / static_cast<double>(set.size());
  }

 private:
  std::vector<float> scores(const std::vector<float>& x) const {
    std::vector<float> s = bias;
    for (std::size_t k = 0; k < 10; ++k) {
      // 8 sums side by side, which a compiler may hold in one register.
      float part[8] = {};
      for (std::size_t j = 0; j < pixels; j += 8) {
        for (std::size_t i = 0; i < 8; ++i) part[i] += weight[k * pixels + j + i] * x[j + i];
      }
      for (const float each : part) s[k] += each;
    }
    return s;
  }

  std::size_t pixels;
  std::vector<float> weight = std::vector<float>(10 * pixels);
  std::vector<float> bias = std::vector<float>(10);
};

}  // namespace tessera::testing
