#pragma once

// A made pair of languages, for where there is no parallel text to learn from.
//
//   source   today the old wolf sees two red stones because a child sleeps .
//   target   hodi lapet lu beni tazu dor narir rodor , wesil una keli domet .
//
// The target differs in what makes translation more than looking words up:
//   gender     a noun is of one of three; its article and adjective take their endings from it
//   order      adjectives stand behind their noun; behind a joint ("because") the verb goes last,
//              and behind a word of time it goes in front of the subject
//   number     verbs and nouns end otherwise where there are many
//
// Each sentence of a seed is a function of its number alone. Integers only.

#include <tessera/core/random.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/parallel_text.hpp>

#include <string>
#include <string_view>

namespace tessera::data {

namespace detail {

/// Writes one sentence in both languages.
class made_translator {
 public:
  explicit made_translator(random_stream random) : random_(random) {}

  void write(std::string& source, std::string& target) {
    phrase first = clause(false, below(3) == 0);
    source = first.source;
    target = first.target;
    if (below(3) == 0) {
      static constexpr std::string_view joints[][2]{
          {"because", "wesil"}, {"while", "dunam"}, {"although", "trotun"}};
      const auto& joint = joints[below(3)];
      const phrase second = clause(true, false);
      source += " " + std::string(joint[0]) + " " + second.source;
      target += " , " + std::string(joint[1]) + " " + second.target;
    }
    source += " .";
    target += " .";
  }

 private:
  struct phrase {
    std::string source;
    std::string target;
  };

  i32 below(i32 n) { return static_cast<i32>(random_.next_below(static_cast<u32>(n))); }

  static void add(std::string& line, std::string_view word) {
    if (!line.empty()) line += ' ';
    line += word;
  }

  phrase noun_group(bool many) {
    struct noun {
      std::string_view one, many, stem;
      i32 gender;
    };
    static constexpr noun nouns[]{{"wolf", "wolves", "ben", 0},  {"child", "children", "kel", 1},
                                  {"stone", "stones", "nar", 2}, {"tree", "trees", "mol", 0},
                                  {"river", "rivers", "sav", 1}, {"house", "houses", "tem", 2},
                                  {"woman", "women", "lin", 1},  {"man", "men", "gor", 0},
                                  {"boat", "boats", "pul", 2},   {"bird", "birds", "vir", 0},
                                  {"apple", "apples", "som", 1}, {"hat", "hats", "kap", 2}};
    static constexpr std::string_view adjectives[][2]{{"old", "taz"},   {"red", "rod"},
                                                      {"small", "min"}, {"tall", "alt"},
                                                      {"quiet", "sil"}, {"green", "ver"}};
    static constexpr std::string_view endings[]{"u", "a", "o"};  // of a gender
    static constexpr std::string_view counts[][2]{{"two", "dor"}, {"three", "trer"}};
    const noun& what = nouns[below(12)];
    const std::string ending = std::string(endings[what.gender]) + (many ? "r" : "");
    phrase p;
    const bool definite = below(2) == 0;
    if (definite) {
      add(p.source, "the");
      add(p.target, "l" + ending);
    } else if (many) {
      const auto& count = counts[below(2)];
      add(p.source, count[0]);
      add(p.target, count[1]);
    } else {
      const bool vowel = what.one == "apple";
      add(p.source, vowel ? "an" : "a");
      add(p.target, "un" + ending);
    }
    const bool described = below(2) == 0 && !(what.one == "apple" && !definite && !many);
    const auto& adjective = adjectives[below(6)];
    if (described) {
      // "a old" never comes: the adjective that begins with a vowel stands behind "the" or a count.
      const bool fits = adjective[0] != "old" || definite || many;
      const auto& used = fits ? adjective : adjectives[1];
      add(p.source, used[0]);
      add(p.source, many ? what.many : what.one);
      add(p.target, std::string(what.stem) + (many ? "ir" : "i"));
      add(p.target, std::string(used[1]) + ending);
    } else {
      add(p.source, many ? what.many : what.one);
      add(p.target, std::string(what.stem) + (many ? "ir" : "i"));
    }
    return p;
  }

  /// `last`: the verb goes to the end. `timed`: a word of time in front.
  phrase clause(bool last, bool timed) {
    static constexpr std::string_view with_object[][3]{{"sees", "see", "lap"},
                                                       {"finds", "find", "fund"},
                                                       {"carries", "carry", "por"},
                                                       {"likes", "like", "am"}};
    static constexpr std::string_view alone[][3]{
        {"sleeps", "sleep", "dom"}, {"waits", "wait", "esp"}, {"sings", "sing", "kant"}};
    static constexpr std::string_view times[][2]{
        {"today", "hodi"}, {"often", "selem"}, {"now", "nun"}};
    const bool many = below(2) == 0;
    const phrase subject = noun_group(many);
    const bool object = below(3) > 0;
    const auto& verb = object ? with_object[below(4)] : alone[below(3)];
    const std::string verb_target = std::string(verb[2]) + (many ? "en" : "et");
    phrase p;
    if (timed) {
      const auto& time = times[below(3)];
      add(p.source, time[0]);
      add(p.target, time[1]);
      add(p.target, verb_target);
    }
    add(p.source, subject.source);
    add(p.source, verb[many ? 1 : 0]);
    add(p.target, subject.target);
    if (!timed && !last) add(p.target, verb_target);
    if (object) {
      const phrase what = noun_group(below(3) == 0);
      add(p.source, what.source);
      add(p.target, what.target);
    }
    if (last) add(p.target, verb_target);
    return p;
  }

  random_stream random_;
};

}  // namespace detail

/// Sentences number `first` to `first + count` of the languages of a seed.
inline parallel_text made_translations(i64 first, i64 count, u64 seed) {
  parallel_text text;
  for (i64 i = first; i < first + count; ++i) {
    const u64 purpose = u64{0x6c616e67} << 32;
    detail::made_translator writer(random_stream(seed, purpose + static_cast<u64>(i)));
    writer.write(text.source.emplace_back(), text.target.emplace_back());
  }
  return text;
}

}  // namespace tessera::data
