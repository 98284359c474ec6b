#pragma once

// From the frames of a network trained with CTC to labels.
//
//   ctc_greedy        the largest class of each frame, repeats and blanks taken out
//   ctc_beam_search   prefixes, each with the probability of all ways to write it
//
// Greedy decoding follows the most probable way; the most probable labels may have many ways none
// of which is. Beam search adds them up and keeps the best prefixes of each frame: with a beam that
// leaves none out it is exact.
//
//   prefix "a"   ends in a blank:   total(a) p(blank)
//                ends in its label: label(a) p(a)   +   total("") p(a)
//   prefix "aa"  ends in its label: blank(a) p(a)       a blank has to stand between
//
// Source: Graves 2008, Supervised Sequence Labelling; Hannun et al. 2014 (prefix beam search).

#include <tessera/core/types.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <unordered_map>
#include <vector>

namespace tessera {

/// Takes out repeats, then blanks.
inline std::vector<i32> ctc_collapse(std::span<const i32> way, i32 blank = 0) {
  std::vector<i32> labels;
  i32 before = blank;
  for (const i32 c : way) {
    if (c != before && c != blank) labels.push_back(c);
    before = c;
  }
  return labels;
}

/// `frames`: logits or their logarithms, classes of a frame side by side; the first largest wins.
inline std::vector<i32> ctc_greedy(std::span<const float> frames, i32 classes, i32 blank = 0) {
  std::vector<i32> way;
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t t = 0; t + width <= frames.size(); t += width) {
    const auto begin = frames.begin() + static_cast<std::ptrdiff_t>(t);
    way.push_back(static_cast<i32>(std::max_element(begin, begin + classes) - begin));
  }
  return ctc_collapse(way, blank);
}

struct ctc_beam {
  i32 width = 16;  // prefixes kept after each frame
  i32 blank = 0;
  i32 best = 1;  // hypotheses returned
};

/// Labels with the logarithm of their probability under the frames.
struct ctc_hypothesis {
  std::vector<i32> labels;
  double log_probability = 0;
};

namespace detail {

inline constexpr double log_zero = -std::numeric_limits<double>::infinity();

inline double log_add(double a, double b) {
  const double most = std::max(a, b);
  if (most == log_zero) return log_zero;
  return most + std::log1p(std::exp(std::min(a, b) - most));
}

/// Log softmax of one frame.
inline void normalize_frame(std::span<const float> logits, std::vector<double>& to) {
  double most = log_zero;
  for (const float z : logits) most = std::max(most, static_cast<double>(z));
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - most);
  for (std::size_t k = 0; k < logits.size(); ++k) {
    to[k] = static_cast<double>(logits[k]) - most - std::log(sum);
  }
}

/// Prefixes as a tree: each is its parent with one label more.
class prefix_tree {
 public:
  i32 child(i32 parent, i32 label) {
    const u64 key = (static_cast<u64>(static_cast<u32>(parent)) << 32) | static_cast<u32>(label);
    const auto [at, is_new] = children_.try_emplace(key, static_cast<i32>(nodes_.size()));
    if (is_new) nodes_.push_back({parent, label});
    return at->second;
  }
  /// The last label; -1 of the empty prefix.
  i32 last(i32 prefix) const { return nodes_[static_cast<std::size_t>(prefix)].label; }
  std::vector<i32> labels(i32 prefix) const {
    std::vector<i32> all;
    for (; prefix > 0; prefix = nodes_[static_cast<std::size_t>(prefix)].parent) {
      all.push_back(last(prefix));
    }
    std::reverse(all.begin(), all.end());
    return all;
  }

 private:
  struct node {
    i32 parent;
    i32 label;
  };
  std::vector<node> nodes_{{-1, -1}};
  std::unordered_map<u64, i32> children_;
};

}  // namespace detail

/// The most probable labels of `frames` (logits or their logarithms, classes side by side), best
/// first. O(frames x width x classes).
inline std::vector<ctc_hypothesis> ctc_beam_search(std::span<const float> frames, i32 classes,
                                                   const ctc_beam& options = {}) {
  using detail::log_add;
  using detail::log_zero;
  struct scored {
    i32 prefix;
    double blank;  // ways that end in a blank
    double label;  // and in the last label
    double total() const { return log_add(blank, label); }
  };
  const auto width = static_cast<std::size_t>(classes);
  detail::prefix_tree tree;
  std::vector<scored> beam{{0, 0, log_zero}};
  std::vector<scored> next;
  std::unordered_map<i32, std::size_t> place;  // of a prefix in `next`
  std::vector<double> p(width);
  const auto slot = [&](i32 prefix) -> scored& {
    const auto [at, is_new] = place.try_emplace(prefix, next.size());
    if (is_new) next.push_back({prefix, log_zero, log_zero});
    return next[at->second];
  };
  const auto keep_best = [&](std::vector<scored>& all, i32 count) {
    const auto better = [](const scored& a, const scored& b) {
      const double x = a.total();
      const double y = b.total();
      return x != y ? x > y : a.prefix < b.prefix;  // older ones first: the same on every machine
    };
    const auto kept = std::min(all.size(), static_cast<std::size_t>(std::max(count, 1)));
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(),
                      better);
    all.resize(kept);
  };
  for (std::size_t t = 0; t + width <= frames.size(); t += width) {
    detail::normalize_frame(frames.subspan(t, width), p);
    next.clear();
    place.clear();
    for (const scored& b : beam) {
      const double total = b.total();
      const i32 last = tree.last(b.prefix);
      scored& same = slot(b.prefix);
      same.blank = log_add(same.blank, total + p[static_cast<std::size_t>(options.blank)]);
      if (last >= 0) {
        same.label = log_add(same.label, b.label + p[static_cast<std::size_t>(last)]);
      }
      for (i32 c = 0; c < classes; ++c) {
        if (c == options.blank) continue;
        const double before = c == last ? b.blank : total;
        if (before == log_zero) continue;
        scored& longer = slot(tree.child(b.prefix, c));
        longer.label = log_add(longer.label, before + p[static_cast<std::size_t>(c)]);
      }
    }
    keep_best(next, options.width);
    std::swap(beam, next);
  }
  keep_best(beam, options.best);
  std::vector<ctc_hypothesis> found;
  for (const scored& b : beam) found.push_back({tree.labels(b.prefix), b.total()});
  return found;
}

}  // namespace tessera
