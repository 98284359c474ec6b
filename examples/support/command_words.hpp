#pragma once

// The words of a command line, and how a program ends when one is wrong.

#include <tessera/core/error.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

namespace examples {

template <class Number>
Number parse_number(std::string_view option, std::string_view text, Number least) {
  Number number{};
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc{} || end != text.data() + text.size() || !(number >= least)) {
    constexpr bool whole = std::is_integral_v<Number>;
    std::ostringstream least_text;
    least_text << least;
    throw tessera::error(std::string(option) + ": expected a " + (whole ? "whole " : "") +
                         "number of at least " + least_text.str() + ", got \"" + std::string(text) +
                         "\"");
  }
  return number;
}

inline void check_choice(std::string_view option, std::string_view given,
                         std::initializer_list<std::string_view> choices) {
  std::string known;
  for (const std::string_view choice : choices) {
    if (choice == given) return;
    known += (known.empty() ? "" : ", ") + std::string(choice);
  }
  throw tessera::error(std::string(option) + ": expected one of " + known + ", got \"" +
                       std::string(given) + "\"");
}

/// Finds out before hours of training that a file cannot be written where it is wanted.
inline void check_folder(std::string_view option, const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw tessera::error(std::string(option) + ": there is no folder \"" + folder.string() + "\"");
  }
}

/// The folder of a data set below $TESSERA_DATA; empty where there is none.
inline std::string data_folder(const char* set) {
  const char* const sets = std::getenv("TESSERA_DATA");
  if (sets == nullptr || *sets == 0) return "";
  const std::filesystem::path folder = std::filesystem::path(sets) / set;
  return std::filesystem::is_directory(folder) ? folder.string() : "";
}

/// The words of a command line, one option after another:
///
///   for (command_words words(argc, argv, help); words.next();) {
///     if (words.name() == "--seed") {
///       words.number(seed, 0);
///     } else {
///       words.refuse();
///     }
///   }
///
/// Answers --help itself. Whatever is wrong is a tessera::error that names the option.
class command_words {
 public:
  /// `operands`: what may stand beside options, as --help shows it.
  command_words(int argc, char** argv, const char* help, const char* operands = "")
      : argc_(argc), argv_(argv), help_(help), operands_(operands) {}

  /// Goes to the next option; false after the last.
  bool next() {
    if (++at_ >= argc_) return false;
    name_ = argv_[at_];
    if (name_ == "--help") {
      std::printf("%s [options] %s\n%s", argv_[0], operands_, help_);
      std::exit(0);
    }
    return true;
  }
  const std::string& name() const { return name_; }
  bool is_option() const { return name_.starts_with("--"); }

  /// What stands after the option.
  std::string value() {
    if (at_ + 1 >= argc_) throw tessera::error(name_ + ": expected a value after it");
    return argv_[++at_];
  }
  template <class Number>
  void number(Number& to, std::type_identity_t<Number> least) {
    to = parse_number<Number>(name_, value(), least);
  }
  void choice(std::string& to, std::initializer_list<std::string_view> known) {
    to = value();
    check_choice(name_, to, known);
  }
  /// A file that is to be written, in a folder that is there.
  void file(std::string& to) {
    to = value();
    check_folder(name_, to);
  }
  /// A folder that is there.
  void folder(std::string& to) {
    to = value();
    if (std::filesystem::is_directory(to)) return;
    throw tessera::error(name_ + ": there is no folder \"" + to + "\"");
  }
  [[noreturn]] void refuse() const {
    throw tessera::error("unknown option \"" + name_ + "\"; --help lists those there are");
  }

 private:
  int argc_;
  char** argv_;
  const char* help_;
  const char* operands_;
  int at_ = 0;
  std::string name_;
};

/// Runs an example; anything wrong with its input is one line on stderr and exit code 2.
template <class Body>
int run(const char* name, Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception& wrong) {
    std::fprintf(stderr, "%s: %s\n", name, wrong.what());
    return 2;
  }
}

}  // namespace examples
