#pragma once

// BLEU: how much of a translation occurs in a reference.
//
//   p_n    share of the n-grams of all translations that occur in their reference, each counted at
//          most as often as there ("clipped")
//   BP     1, or exp(1 - r / c) where the c words of the translations are fewer than the r of the
//          references
//   BLEU   BP exp((log p_1 + log p_2 + log p_3 + log p_4) / 4), 0 where one of them is 0
//
// Counts are of the whole corpus, not averaged over sentences. Of several references the clip is
// the largest count in any, r the length closest to the translation's (of two the shorter).
// Source: Papineni, Roukos, Ward, Zhu 2002. No smoothing; the result depends on how text is split
// into words.

#include <tessera/core/types.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace tessera {

/// Counts over a corpus, sentence by sentence.
class bleu {
 public:
  static constexpr i32 longest = 4;
  using words = std::vector<std::string>;

  /// A translation and what it should have been.
  void add(const words& translation, const words& reference) {
    add(translation, std::span<const words>(&reference, 1));
  }
  /// The same with several references, at least one.
  void add(const words& translation, std::span<const words> references) {
    ++sentences_;
    translated_ += static_cast<i64>(translation.size());
    const auto distance = [&](const words& r) {
      const auto a = static_cast<i64>(r.size());
      const auto b = static_cast<i64>(translation.size());
      return a > b ? a - b : b - a;
    };
    const words& closest = *std::min_element(
        references.begin(), references.end(), [&](const words& a, const words& b) {
          return distance(a) != distance(b) ? distance(a) < distance(b) : a.size() < b.size();
        });
    wanted_ += static_cast<i64>(closest.size());
    for (std::size_t n = 1; n <= longest; ++n) {
      const counts found = count(translation, n);
      counts most;
      for (const words& reference : references) {
        for (const auto& [gram, times] : count(reference, n)) {
          most[gram] = std::max(most[gram], times);
        }
      }
      for (const auto& [gram, times] : found) {
        all_[n - 1] += times;
        const auto known = most.find(gram);
        if (known != most.end()) right_[n - 1] += std::min(times, known->second);
      }
    }
  }

  /// p_n; 0 of nothing.
  double precision(i32 n) const {
    const auto k = static_cast<std::size_t>(n - 1);
    return all_[k] > 0 ? static_cast<double>(right_[k]) / static_cast<double>(all_[k]) : 0;
  }
  /// BP; 0 of nothing.
  double brevity_penalty() const {
    if (translated_ == 0) return 0;
    if (translated_ >= wanted_) return 1;
    return std::exp(1 - static_cast<double>(wanted_) / static_cast<double>(translated_));
  }
  /// BLEU, 0 to 1; usually told in hundredths.
  double score() const {
    double sum = 0;
    for (i32 n = 1; n <= longest; ++n) {
      if (precision(n) == 0) return 0;
      sum += std::log(precision(n));
    }
    return brevity_penalty() * std::exp(sum / longest);
  }

  i64 sentences() const { return sentences_; }
  i64 translated_words() const { return translated_; }
  i64 reference_words() const { return wanted_; }

 private:
  using counts = std::map<std::vector<std::string>, i64>;

  static counts count(const words& sentence, std::size_t n) {
    counts all;
    for (std::size_t i = 0; i + n <= sentence.size(); ++i) {
      const auto from = sentence.begin() + static_cast<std::ptrdiff_t>(i);
      ++all[words(from, from + static_cast<std::ptrdiff_t>(n))];
    }
    return all;
  }

  std::array<i64, longest> right_{};
  std::array<i64, longest> all_{};
  i64 sentences_ = 0;
  i64 translated_ = 0;
  i64 wanted_ = 0;
};

}  // namespace tessera
