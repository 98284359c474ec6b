#pragma once

// A made play: text with structure on several levels, for where there is no text to read.
//
//   CORDELIA:                                 a speaker, never the same twice in a row
//   When the old kings sleep, my daughter     one to four sentences, lines of up to 48 characters
//   sees a river of gold. Do you hear me,
//   Marcus?
//
//   sentence    a statement; two joined by when, if, ...; a question to a speaker; a cry
//   statement   subject + verb (+ object): one sees, many see
//   noun group  article + (adjective) + noun (+ of + noun): "an" before a vowel
//
// What there is to learn lies at different distances: spelling (a few characters), agreement of
// subject and verb (a phrase), capitals and final marks (a sentence; a question begins with "Do" or
// "Does"), turns of speech (many lines).
//
// The text of a seed is one endless text: a longer one begins with the shorter. Integers only, so a
// seed means the same text on every compiler.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/types.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tessera::data {

namespace detail {

class play_writer {
 public:
  explicit play_writer(u64 seed) : random_(seed, u64{0x706c6179} << 32) {}

  /// Appends a turn of speech: name, sentences, an empty line.
  void speak(std::string& text) {
    static constexpr std::string_view names[]{"MARCUS",  "CORDELIA",      "HELENA",
                                              "ORLANDO", "FIRST SOLDIER", "THE QUEEN"};
    i32 speaker = below(6);
    if (speaker == last_) speaker = (speaker + 1 + below(5)) % 6;
    last_ = speaker;
    text += names[speaker];
    text += ":\n";
    line_ = 0;
    const i32 sentences = 1 + below(4);
    for (i32 i = 0; i < sentences; ++i) {
      sentence_.clear();
      write_sentence();
      lay_out(text);
    }
    text += "\n\n";
  }

 private:
  struct noun {
    std::string_view one;
    std::string_view many;
  };

  i32 below(i32 n) { return static_cast<i32>(random_.next_below(static_cast<u32>(n))); }

  template <class Word, std::size_t N>
  const Word& pick(const Word (&words)[N]) {
    return words[static_cast<std::size_t>(below(N))];
  }

  void write_sentence() {
    static constexpr std::string_view joints[]{"when", "if", "because", "until", "though"};
    static constexpr std::string_view cries[]{"Alas", "Behold", "Farewell", "Peace", "Away"};
    static constexpr std::string_view called[]{"Marcus",  "Cordelia", "Helena",
                                               "Orlando", "my queen", "good soldier"};
    switch (below(8)) {
      case 0:  // a question
        question();
        if (below(2) == 0) {
          sentence_ += ',';
          add(pick(called));
        }
        sentence_ += '?';
        break;
      case 1:  // a cry
        add(pick(cries));
        sentence_ += ',';
        add(pick(called));
        sentence_ += '!';
        break;
      case 2:  // the condition first
        add(pick(joints));
        statement();
        sentence_ += ',';
        statement();
        sentence_ += '.';
        break;
      case 3:  // and last
        statement();
        add(pick(joints));
        statement();
        sentence_ += '.';
        break;
      default: statement(); sentence_ += '.';
    }
    if (sentence_[0] >= 'a' && sentence_[0] <= 'z') sentence_[0] -= 'a' - 'A';
  }

  void statement() {
    const bool many = below(2) == 0;
    noun_group(many);
    predicate(many);
  }

  // "Does the king hear": "does" takes the ending, the verb bears none.
  void question() {
    const bool many = below(2) == 0;
    add(many ? "do" : "does");
    noun_group(many);
    predicate(true);
  }

  void predicate(bool plain) {
    static constexpr noun with_object[]{{"sees", "see"},      {"hears", "hear"},  {"fears", "fear"},
                                        {"finds", "find"},    {"loves", "love"},  {"calls", "call"},
                                        {"carries", "carry"}, {"guards", "guard"}};
    static constexpr noun alone[]{{"sleeps", "sleep"},   {"waits", "wait"}, {"falls", "fall"},
                                  {"returns", "return"}, {"weeps", "weep"}, {"sings", "sing"}};
    static constexpr std::string_view how[]{"again",      "at night", "in silence",
                                            "by the sea", "no more",  "before the war"};
    const bool object = below(3) > 0;
    const noun& verb = object ? pick(with_object) : pick(alone);
    add(plain ? verb.many : verb.one);
    if (object) noun_group(below(3) == 0);
    if (!object && below(2) == 0) add(pick(how));
  }

  void noun_group(bool many) {
    static constexpr noun nouns[]{
        {"king", "kings"},   {"daughter", "daughters"}, {"soldier", "soldiers"},
        {"wolf", "wolves"},  {"crown", "crowns"},       {"river", "rivers"},
        {"city", "cities"},  {"enemy", "enemies"},      {"ship", "ships"},
        {"oath", "oaths"},   {"child", "children"},     {"stranger", "strangers"},
        {"apple", "apples"}, {"storm", "storms"},       {"letter", "letters"},
        {"hour", "hours"}};
    static constexpr std::string_view adjectives[]{"old",    "silent", "young", "bitter", "golden",
                                                   "honest", "empty",  "brave", "distant"};
    static constexpr std::string_view kinds[]{"gold", "fire", "sorrow", "England", "winter"};
    static constexpr std::string_view definite[]{"the", "my", "your", "the"};
    static constexpr std::string_view number[]{"two", "seven", "many", "all"};
    const i32 article = below(3);
    const std::string_view adjective = below(5) < 2 ? pick(adjectives) : std::string_view();
    const noun& thing = pick(nouns);
    const std::string_view name = many ? thing.many : thing.one;
    if (article < 2) {
      add(pick(definite));
    } else if (many) {
      add(pick(number));
    } else {
      add(vowel(adjective.empty() ? name : adjective) ? "an" : "a");
    }
    if (!adjective.empty()) add(adjective);
    add(name);
    if (below(8) == 0) {
      add("of");
      add(pick(kinds));
    }
  }

  // As it is spoken: an hour, an honest king.
  static bool vowel(std::string_view word) {
    return std::string_view("aeiou").find(word[0]) != std::string_view::npos || word == "hour" ||
           word == "honest";
  }

  void add(std::string_view word) {
    if (!sentence_.empty()) sentence_ += ' ';
    sentence_ += word;
  }

  // Sets the sentence in lines, words kept whole.
  void lay_out(std::string& text) {
    constexpr std::size_t widest = 48;
    std::size_t begin = 0;
    while (begin < sentence_.size()) {
      const std::size_t end = std::min(sentence_.find(' ', begin), sentence_.size());
      const std::size_t length = end - begin;
      if (line_ > 0 && line_ + 1 + length > widest) {
        text += '\n';
        line_ = 0;
      } else if (line_ > 0) {
        text += ' ';
        ++line_;
      }
      text.append(sentence_, begin, length);
      line_ += length;
      begin = end + 1;
    }
  }

  random_stream random_;
  i32 last_ = -1;
  std::string sentence_;
  std::size_t line_ = 0;
};

}  // namespace detail

/// `characters` characters of the play that `seed` writes, cut off where they end.
///
/// Errors   fewer than 1 or more than 2^30 characters
inline std::string made_text(i64 characters, u64 seed) {
  if (characters < 1 || characters > i64{1} << 30) {
    throw error("made_text: expected 1 to 1073741824 characters, got " +
                std::to_string(characters));
  }
  std::string text;
  detail::play_writer writer(seed);
  while (static_cast<i64>(text.size()) < characters) writer.speak(text);
  text.resize(static_cast<std::size_t>(characters));
  return text;
}

}  // namespace tessera::data
