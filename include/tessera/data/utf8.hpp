#pragma once

// Code points of a text in UTF-8, read one by one.
//
// Source: RFC 3629: one to four bytes, the shortest form only, no surrogates, up to 10ffff.

#include <tessera/core/types.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace tessera::data {

/// The code point at byte `at`, which then goes to the next one; -1, and `at` stays, where the
/// bytes there are none.
inline i32 next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<u8>(text[i]); };
  const i32 first = byte(at);
  if (first < 0x80) {
    ++at;
    return first;
  }
  const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || at + more >= text.size()) return -1;
  i32 code = first & (0x3f >> more);
  for (std::size_t i = 1; i <= more; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return -1;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  constexpr i32 least[] = {0, 0x80, 0x800, 0x10000};
  if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return -1;
  at += more + 1;
  return code;
}

/// Appends a code point, which is not checked.
inline void append_code_point(std::string& text, i32 code) {
  const auto put = [&](i32 byte) { text += static_cast<char>(byte); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

}  // namespace tessera::data
