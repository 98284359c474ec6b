#pragma once

// Beam search: the likeliest sequences of words that a model says word by word.
//
//   step   beginnings kept (width 2)          the model scores every word behind each of them
//   0      ""                                 a -0.4   the -1.1   ...
//   1      "a"  "the"                         a dog -0.9   the dog -1.3   a man -2.0   ...
//   2      "a dog"  "the dog"                 a dog </s> -1.0: complete, no longer followed
//
// The search only keeps the books; whoever runs the model keeps its states, and takes for row r of
// the next step the state of row `parent` of the last. So a batch may hold rows of many searches.
// A search ends when none of its beginnings can become better than the worst of `width` complete
// sequences (`early`: as soon as there are so many), or at the greatest length, where what is not
// complete counts as it stands.
// Source: Graves 2012; the division by length^alpha after Wu et al. 2016 (there with an offset of
// 5).

#include <tessera/core/types.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace tessera {

struct beam_options {
  i32 width = 5;
  i32 most_words = 50;  // the end included
  i32 end = 0;          // the word that completes a sequence
  double alpha = 0;     // scores are log probabilities divided by words^alpha
  bool early = false;
};

/// A beginning, what the model is asked about next.
struct beam_row {
  i32 parent = 0;    // the row of the last step that it goes on from
  i32 word = -1;     // its last word; -1 of the empty beginning
  double log_p = 0;  // of all its words
  std::vector<i32> words;
  std::vector<i32> path;  // path[t]: the row in which word t was scored
};

/// A sequence without its end.
struct beam_result {
  std::vector<i32> words;
  std::vector<i32> path;  // one more than words where it is complete: the end's
  double score = 0;       // log p / words^alpha, the end counted
  bool complete = false;
};

/// One search. Rows of equal score stand in the order of their parents, then of their words.
class beam_search {
 public:
  explicit beam_search(const beam_options& options) : o_(options), rows_(1) {}

  /// What is to be scored now, at most `width`; none when the search is over.
  std::span<const beam_row> rows() const { return rows_; }
  bool over() const { return rows_.empty(); }

  /// The model's answer: for each row the scores of all words (logits: any constant may be added to
  /// those of a row). A row with a NaN is given up.
  void advance(std::span<const float> scores) {
    if (over()) return;
    const std::size_t words = scores.size() / rows_.size();
    struct candidate {
      double log_p;
      i32 row;
      i32 word;
    };
    const auto better = [](const candidate& a, const candidate& b) {
      if (a.log_p != b.log_p) return a.log_p > b.log_p;
      return a.row != b.row ? a.row < b.row : a.word < b.word;
    };
    std::vector<candidate> best;  // the better half of what could be needed, as a heap
    const auto room = static_cast<std::size_t>(2 * o_.width);  // as many may be ends
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const std::span<const float> row = scores.subspan(r * words, words);
      const double all = log_sum(row);
      if (!(all > -std::numeric_limits<double>::infinity())) continue;
      for (std::size_t w = 0; w < words; ++w) {
        const candidate c{rows_[r].log_p + row[w] - all, static_cast<i32>(r), static_cast<i32>(w)};
        if (best.size() == room && !better(c, best.front())) continue;
        if (!(c.log_p > -std::numeric_limits<double>::infinity())) continue;
        best.push_back(c);
        std::push_heap(best.begin(), best.end(), better);
        if (best.size() <= room) continue;
        std::pop_heap(best.begin(), best.end(), better);
        best.pop_back();
      }
    }
    std::sort(best.begin(), best.end(), better);
    ++length_;
    std::vector<beam_row> next;
    for (const candidate& c : best) {
      if (static_cast<i32>(next.size()) == o_.width) break;
      const beam_row& from = rows_[static_cast<std::size_t>(c.row)];
      beam_row row{c.row, c.word, c.log_p, from.words, from.path};
      row.path.push_back(c.row);
      if (c.word == o_.end) {
        finish(row, true);
        continue;
      }
      row.words.push_back(c.word);
      next.push_back(std::move(row));
    }
    rows_ = std::move(next);
    if (length_ == o_.most_words) {
      for (const beam_row& row : rows_) finish(row, false);
      rows_.clear();
    }
    if (static_cast<i32>(results_.size()) >= o_.width && !rows_.empty()) {
      // Log p only falls; with alpha > 0 the longest sequence divides it by most.
      const double words_then = o_.alpha > 0 ? o_.most_words : length_ + 1;
      if (o_.early || rows_[0].log_p / std::pow(words_then, o_.alpha) <=
                          results_[static_cast<std::size_t>(o_.width) - 1].score) {
        rows_.clear();
      }
    }
  }

  /// What was found, the best first, at most `width`.
  std::span<const beam_result> results() const {
    return {results_.data(), std::min(results_.size(), static_cast<std::size_t>(o_.width))};
  }

 private:
  static double log_sum(std::span<const float> row) {
    const float most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float score : row) sum += std::exp(static_cast<double>(score) - most);
    return most + std::log(sum);
  }

  void finish(const beam_row& row, bool complete) {
    const double words = std::pow(static_cast<double>(length_), o_.alpha);
    beam_result found{row.words, row.path, row.log_p / words, complete};
    const auto place =
        std::find_if(results_.begin(), results_.end(),
                     [&](const beam_result& other) { return found.score > other.score; });
    results_.insert(place, std::move(found));
  }

  beam_options o_;
  std::vector<beam_row> rows_;
  std::vector<beam_result> results_;
  i32 length_ = 0;
};

}  // namespace tessera
