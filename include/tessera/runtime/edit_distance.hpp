#pragma once

// How far sequences of labels are apart.

#include <tessera/core/types.hpp>
#include <algorithm>
#include <span>
#include <vector>

namespace tessera {

/// The fewest insertions, deletions and exchanges that make `got` of `wanted` (Levenshtein 1966).
/// O(lengths multiplied) time, one row of memory.
inline i64 edit_distance(std::span<const i32> wanted, std::span<const i32> got) {
  std::vector<i64> row(got.size() + 1);  // distance of the labels so far from each beginning of got
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = static_cast<i64>(j);
  for (const i32 label : wanted) {
    i64 diagonal = row[0]++;
    for (std::size_t j = 0; j < got.size(); ++j) {
      const i64 exchanged = diagonal + (got[j] == label ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({exchanged, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

/// Edits over labels of many sequences: the label error rate (word or character error rate).
struct label_errors {
  i64 edits = 0;
  i64 labels = 0;
  i64 sequences = 0;
  i64 whole = 0;  // sequences without an error

  void add(std::span<const i32> wanted, std::span<const i32> got) {
    const i64 distance = edit_distance(wanted, got);
    edits += distance;
    labels += static_cast<i64>(wanted.size());
    ++sequences;
    whole += distance == 0 ? 1 : 0;
  }
  /// Edits for each label that was wanted; above 1 where too many come; 0 of nothing.
  double rate() const {
    return labels > 0 ? static_cast<double>(edits) / static_cast<double>(labels) : 0;
  }
};

}  // namespace tessera
