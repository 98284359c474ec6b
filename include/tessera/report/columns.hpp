#pragma once

// Tables as text: columns as wide as their widest cell.
//
//   layer   kind       cycles  share
//   --------------------------------
//   conv1   conv2d     12,345  10.2 %
//   --------------------------------
//   total             121,030  100 %

#include <tessera/core/types.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

namespace tessera::detail {

/// A table whose first `left` columns are flush left, the others flush right. The first row is the
/// head; a rule follows it, and another goes before row `last_part` where one is named.
inline void write_columns(std::ostream& out, const std::vector<std::vector<std::string>>& rows,
                          std::size_t left, std::size_t last_part = 0) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::size_t all = widths.empty() ? 0 : 2 * (widths.size() - 1);
  for (const std::size_t width : widths) all += width;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r == 1 || (r > 1 && r == last_part)) out << std::string(all, '-') << "\n";
    std::string line;
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      const std::string gap(widths[c] - rows[r][c].size(), ' ');
      line += (c == 0 ? "" : "  ") + (c < left ? rows[r][c] + gap : gap + rows[r][c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
}

/// 1,234,567.
inline std::string with_commas(i64 number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return (number < 0 ? "-" : "") + digits;
}

/// "12.3".
inline std::string spell_fixed(double value, int decimals) {
  char letters[64];
  std::snprintf(letters, sizeof letters, "%.*f", decimals, value);
  return letters;
}

/// "12.3 uJ", "4.56 mJ": three figures and a unit.
inline std::string spell_scaled(double value, const char* unit) {
  static constexpr struct {
    double scale;
    const char* prefix;
  } prefixes[] = {{1e12, "T"}, {1e9, "G"},  {1e6, "M"},  {1e3, "k"},  {1, ""},
                  {1e-3, "m"}, {1e-6, "u"}, {1e-9, "n"}, {1e-12, "p"}};
  for (const auto& p : prefixes) {
    const double scaled = value / p.scale;
    if (std::abs(scaled) < 0.9995) continue;
    return spell_fixed(scaled, scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0) + " " + p.prefix + unit;
  }
  return "0 " + std::string(unit);
}

/// "12.3 %".
inline std::string spell_share(double share) { return spell_fixed(100 * share, 1) + " %"; }

}  // namespace tessera::detail
