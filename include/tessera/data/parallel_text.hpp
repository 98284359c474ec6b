#pragma once

// Parallel text: the same sentences in two languages, one a line in each of two files.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/text.hpp>  // read_text
#include <tessera/data/utf8.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

/// Sentence i of `source` means sentence i of `target`.
struct parallel_text {
  std::vector<std::string> source;
  std::vector<std::string> target;

  i64 size() const { return static_cast<i64>(source.size()); }

  /// The first `count` pairs, or all.
  parallel_text first(i64 count) const {
    const auto end = static_cast<std::ptrdiff_t>(std::min(count, size()));
    return {{source.begin(), source.begin() + end}, {target.begin(), target.begin() + end}};
  }
};

/// The lines of a text, without their ends ("\n" or "\r\n"); the last line may lack its end. A byte
/// order mark in front is left out.
///
/// Errors   bytes that are no UTF-8, with the line's number; `name` stands before both
inline std::vector<std::string> split_lines(std::string_view text, const std::string& name) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    for (std::size_t at = 0; at < line.size();) {
      if (next_code_point(line, at) >= 0) continue;
      throw error(name + ": expected UTF-8, got other bytes in line " +
                  std::to_string(lines.size() + 1));
    }
    lines.emplace_back(line);
  }
  return lines;
}

/// Two files of sentences, gzip or not.
///
/// Errors   those of read_text and split_lines; files of different numbers of lines; a line that
///          is empty in one of them only
inline parallel_text read_parallel_text(const std::filesystem::path& source,
                                        const std::filesystem::path& target) {
  parallel_text both{split_lines(read_text(source), source.string()),
                     split_lines(read_text(target), target.string())};
  if (both.source.size() != both.target.size()) {
    throw error(target.string() + ": expected as many lines as " + source.string() + " has, " +
                std::to_string(both.source.size()) + ", got " + std::to_string(both.target.size()));
  }
  for (std::size_t i = 0; i < both.source.size(); ++i) {
    if (both.source[i].empty() == both.target[i].empty()) continue;
    const auto& empty = both.source[i].empty() ? source : target;
    throw error(empty.string() + ": expected a sentence in line " + std::to_string(i + 1) +
                ", as in the other language, got nothing");
  }
  return both;
}

}  // namespace tessera::data
