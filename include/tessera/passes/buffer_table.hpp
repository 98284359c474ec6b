#pragma once

// Tables of buffers, the input of planners: a line for each, with the moments of its life.
//
//   id,lower,upper,size          in any order; other columns are not looked at
//   conv1,0,403,3211264          alive at lower, lower + 1, ..., upper - 1
//
// Source of the format: Moffitt 2023, MiniMalloc.

#include <tessera/data/csv.hpp>
#include <tessera/ir/memory.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::passes {

struct buffer_table {
  std::vector<std::string> ids;
  std::vector<i64> lower;  // moments as they are in the table
  std::vector<i64> upper;
  std::vector<buffer> buffers;  // moments counted from 0, without those at which nothing changes
};

namespace detail {

/// Which column holds what.
struct buffer_columns {
  i32 id = -1;
  i32 lower = -1;
  i32 upper = -1;
  i32 size = -1;

  explicit buffer_columns(const data::csv_table& table) {
    for (std::size_t c = 0; c < table.header().size(); ++c) {
      const std::string& name = table.header()[c];
      if (name == "alignment" || name == "gaps" || name == "offset") {
        throw error(table.name() + ": line 1: column \"" + name +
                    "\" asks for what is not planned; expected id, lower, upper and size");
      }
      i32* const column = name == "id"      ? &id
                          : name == "lower" ? &lower
                          : name == "upper" ? &upper
                          : name == "size"  ? &size
                                            : nullptr;
      if (column == nullptr) continue;
      if (*column >= 0) throw error(table.name() + ": line 1: two columns \"" + name + "\"");
      *column = static_cast<i32>(c);
    }
    const char* const missing = id < 0      ? "id"
                                : lower < 0 ? "lower"
                                : upper < 0 ? "upper"
                                : size < 0  ? "size"
                                            : nullptr;
    if (missing != nullptr) {
      throw error(table.name() + ": line 1: no column \"" + missing +
                  "\"; expected id, lower, upper and size");
    }
  }
};

inline i64 whole_number(const data::csv_table& table, i64 row, i32 column) {
  const std::string_view text = table.cell(row, column);
  i64 number = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (wrong != std::errc{} || end != text.data() + text.size()) {
    throw error(table.where(row, column) + ": expected a whole number, got \"" + std::string(text) +
                "\"");
  }
  return number;
}

}  // namespace detail

/// The buffers of a table.
///
/// Errors   those of parse_csv; a column that is missing, there twice, or asks for more than sizes
///          and lives (alignment, gaps, fixed offsets); cells that are no whole numbers; a size
///          below 0; an end that is not after its beginning; sizes of more than 2^60 in all
inline buffer_table read_buffer_table(const data::csv_table& table) {
  const detail::buffer_columns columns(table);
  buffer_table read;
  i64 total = 0;
  for (i64 row = 0; row < table.rows(); ++row) {
    buffer b;
    b.bytes = detail::whole_number(table, row, columns.size);
    read.lower.push_back(detail::whole_number(table, row, columns.lower));
    read.upper.push_back(detail::whole_number(table, row, columns.upper));
    if (b.bytes < 0 || b.bytes > (i64{1} << 60) - total) {
      throw error(table.where(row, columns.size) +
                  (b.bytes < 0 ? ": expected a size of 0 or more, got " +
                                     std::string(table.cell(row, columns.size))
                               : std::string(": the sizes add up to more than 2^60")));
    }
    total += b.bytes;
    if (read.upper.back() <= read.lower.back()) {
      throw error(table.where(row, columns.upper) + ": expected an upper after lower " +
                  std::to_string(read.lower.back()) + ", got " + std::to_string(read.upper.back()));
    }
    b.tensor = static_cast<i32>(row);
    read.ids.emplace_back(table.cell(row, columns.id));
    read.buffers.push_back(b);
  }
  std::vector<i64> moments = read.lower;
  moments.insert(moments.end(), read.upper.begin(), read.upper.end());
  std::sort(moments.begin(), moments.end());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  const auto number_of = [&](i64 moment) {
    return static_cast<i32>(std::lower_bound(moments.begin(), moments.end(), moment) -
                            moments.begin());
  };
  for (std::size_t i = 0; i < read.buffers.size(); ++i) {
    read.buffers[i].born = number_of(read.lower[i]);
    read.buffers[i].dies = number_of(read.upper[i]) - 1;
  }
  return read;
}

/// The same from a file.
inline buffer_table read_buffer_table(const std::filesystem::path& path) {
  return read_buffer_table(data::read_csv(path, {.header = true}));
}

}  // namespace tessera::passes
