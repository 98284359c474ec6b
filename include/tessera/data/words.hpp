#pragma once

// Text as words, for models that read and write sentences.
//
//   text         "Two men's T-shirts, 3.5 m."
//   words        two  men's  t-shirts  ,  3.5  m  .
//   vocabulary   0 padding, 1 unknown, 2 begin, 3 end, then words by falling frequency
//
// The rules of words are few: upper case becomes lower case (Latin, Greek and Cyrillic letters of
// the two-byte range that have their lower case 32 or 1 code points on); white space separates;
// a mark of punctuation is a word of its own, but a hyphen or apostrophe between two letters or
// digits, and a full stop or comma between two digits, stays within its word.
//
// Cost: O(bytes); a vocabulary sorts its different words once.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/utf8.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tessera::data {

namespace detail {

enum class letter_class : u8 { space, letter, digit, mark };

constexpr letter_class class_of(i32 code) {
  if (code <= ' ' || code == 0x7f || code == 0xa0 || code == 0x2009 || code == 0x202f) {
    return letter_class::space;
  }
  if (code >= '0' && code <= '9') return letter_class::digit;
  if (code < 0x80) {
    const bool letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    return letter ? letter_class::letter : letter_class::mark;
  }
  // Signs of Latin-1 but for the ordinals and micro; general punctuation: dashes, quotes, ellipsis.
  const bool latin_sign =
      (code < 0xc0 && code != 0xaa && code != 0xb5 && code != 0xba) || code == 0xd7 || code == 0xf7;
  return latin_sign || (code >= 0x2010 && code < 0x2060) ? letter_class::mark
                                                         : letter_class::letter;
}

constexpr i32 lower_case(i32 code) {
  const bool plus_32 = (code >= 'A' && code <= 'Z') ||
                       (code >= 0xc0 && code <= 0xde && code != 0xd7) ||
                       (code >= 0x391 && code <= 0x3a9) || (code >= 0x410 && code <= 0x42f);
  if (plus_32) return code + 32;
  if (code >= 0x400 && code <= 0x40f) return code + 80;
  // Latin Extended-A: pairs, upper case even, between 139 and 148 and from 179 on odd.
  const bool odd = (code >= 0x139 && code <= 0x148) || (code >= 0x179 && code <= 0x17e);
  const bool pairs = code >= 0x100 && code <= 0x17e && code != 0x130 && code != 0x131 &&
                     code != 0x138 && code != 0x149 && code != 0x178;
  return pairs && code % 2 == (odd ? 1 : 0) ? code + 1 : code;
}

}  // namespace detail

/// The words of a sentence, by the rules above. Bytes that are no UTF-8 become U+FFFD, one each.
inline std::vector<std::string> split_words(std::string_view sentence) {
  using detail::letter_class;
  std::vector<i32> codes;
  for (std::size_t at = 0; at < sentence.size();) {
    const i32 code = next_code_point(sentence, at);
    if (code < 0) ++at;
    codes.push_back(code < 0 ? 0xfffd : detail::lower_case(code));
  }
  const auto kind_at = [&](std::size_t i) {
    return i < codes.size() ? detail::class_of(codes[i]) : letter_class::space;
  };
  const auto within = [](letter_class c) {
    return c == letter_class::letter || c == letter_class::digit;
  };
  std::vector<std::string> words;
  bool open = false;  // the last word may go on
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const i32 code = codes[i];
    const letter_class what = kind_at(i);
    const letter_class before = i > 0 ? kind_at(i - 1) : letter_class::space;
    const letter_class behind = kind_at(i + 1);
    const bool joins =
        ((code == '-' || code == '\'' || code == 0x2019) && within(before) && within(behind)) ||
        ((code == '.' || code == ',') && before == letter_class::digit &&
         behind == letter_class::digit);
    if (what == letter_class::space) {
      open = false;
      continue;
    }
    const bool part = what != letter_class::mark || joins;
    if (!part || !open) words.emplace_back();
    append_code_point(words.back(), code);
    open = part;
  }
  return words;
}

/// Words with numbers, the most frequent first.
class vocabulary {
 public:
  static constexpr i32 padding = 0;
  static constexpr i32 unknown = 1;
  static constexpr i32 begin = 2;
  static constexpr i32 end = 3;
  static constexpr i32 reserved = 4;

  /// Only the four words with a meaning of their own.
  vocabulary() : vocabulary(std::span<const std::vector<std::string>>{}, reserved) {}

  /// The words that occur at least `least` times in these sentences, at most `size` with the four
  /// reserved ones; of equally frequent words those first in the order of their bytes.
  ///
  /// Errors   a size of less than the reserved words
  vocabulary(std::span<const std::vector<std::string>> sentences, i32 size, i64 least = 1) {
    if (size < reserved) {
      throw error("vocabulary: expected room for the 4 reserved words at least, got " +
                  std::to_string(size));
    }
    std::unordered_map<std::string_view, i64> counts;
    for (const std::vector<std::string>& sentence : sentences) {
      for (const std::string& word : sentence) ++counts[word];
    }
    std::vector<std::pair<std::string_view, i64>> sorted(counts.begin(), counts.end());
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    words_ = {"<pad>", "<unk>", "<s>", "</s>"};
    for (const auto& [word, count] : sorted) {
      if (static_cast<i32>(words_.size()) == size || count < least) break;
      words_.emplace_back(word);
    }
    for (std::size_t i = reserved; i < words_.size(); ++i) {
      number_.emplace(words_[i], static_cast<i32>(i));
    }
  }

  i32 size() const { return static_cast<i32>(words_.size()); }

  /// The number of a word; `unknown` for one that is not known.
  i32 number(std::string_view word) const {
    const auto found = number_.find(std::string(word));
    return found == number_.end() ? unknown : found->second;
  }

  /// The word of a number, of the reserved ones "<pad>", "<unk>", "<s>" and "</s>". `number` is not
  /// checked.
  const std::string& word(i32 number) const { return words_[static_cast<std::size_t>(number)]; }

  /// The numbers of some words, without begin and end.
  std::vector<i32> encode(std::span<const std::string> words) const {
    std::vector<i32> numbers;
    for (const std::string& each : words) numbers.push_back(number(each));
    return numbers;
  }

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string, i32> number_;
};

/// Words as a line of text, one space between them.
inline std::string join_words(std::span<const std::string> words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

}  // namespace tessera::data
