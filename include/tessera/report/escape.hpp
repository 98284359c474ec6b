#pragma once

// Names as they may stand in other people's formats: whatever a tensor is called, a drawing of it
// stays well formed.

#include <tessera/core/types.hpp>
#include <string>
#include <string_view>

namespace tessera::detail {

/// Length of the UTF-8 sequence `s` starts with, 0 where it starts with none (also for surrogates,
/// overlong forms and what lies beyond U+10FFFF).
inline std::size_t sequence_length(std::string_view s) {
  const auto byte = [&](std::size_t i) {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : static_cast<unsigned char>(0);
  };
  const u32 first = byte(0);
  const std::size_t length = first < 0x80                     ? 1
                             : first >= 0xc2 && first <= 0xdf ? 2
                             : first >= 0xe0 && first <= 0xef ? 3
                             : first >= 0xf0 && first <= 0xf4 ? 4
                                                              : 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const u32 second = byte(1);
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second > 0x9f) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  return length;
}

/// `escape(character)` gives what stands for a character, nullptr: itself. Control characters and
/// bytes that are no UTF-8 become question marks.
template <class Escape>
std::string escaped(std::string_view name, Escape escape) {
  std::string result;
  while (!name.empty()) {
    const std::size_t length = sequence_length(name);
    const char* const other = escape(name[0]);
    if (length == 0 || static_cast<unsigned char>(name[0]) < 0x20 || name[0] == 0x7f) {
      result += '?';
    } else if (other != nullptr) {
      result += other;
    } else {
      result += name.substr(0, length);
    }
    name.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

/// For a quoted string of Graphviz's language.
inline std::string escape_dot(std::string_view name) {
  return escaped(name, [](char letter) -> const char* {
    return letter == '"' ? "\\\"" : letter == '\\' ? "\\\\" : nullptr;
  });
}

/// For text and attributes of XML.
inline std::string escape_xml(std::string_view name) {
  return escaped(name, [](char letter) -> const char* {
    switch (letter) {
      case '&': return "&amp;";
      case '<': return "&lt;";
      case '>': return "&gt;";
      case '"': return "&quot;";
      case '\'': return "&#39;";
      default: return nullptr;
    }
  });
}

}  // namespace tessera::detail
