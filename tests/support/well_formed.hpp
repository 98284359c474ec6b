#pragma once

// Is a drawing well formed? Asked of everything that is written as SVG or HTML.

#include <sstream>
#include <string>
#include <vector>

namespace tessera::testing {

/// Every tag is closed in its turn, and nothing but tags has a "<".
inline bool well_formed(const std::string& text) {
  std::vector<std::string> open;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '<') {
      if (text[at++] == '>') return false;
      continue;
    }
    const std::size_t end = text.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = text.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.find('<') != std::string::npos) return false;
    if (tag.ends_with("/")) continue;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty();
}

/// What `write(stream)` writes.
template <class Write>
std::string text_of(const Write& write) {
  std::ostringstream out;
  write(out);
  return out.str();
}

}  // namespace tessera::testing
