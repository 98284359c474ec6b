#pragma once

// Tables as samples: columns of categories become codes, columns of numbers are standardized.
//
//   columns    age      work        gain         income           what the training rows teach
//   meaning    number   category    long_tailed  label
//   row        39       State-gov   2174         <=50K
//   sample     0.03     6           1.83         0                39 -> (39 - mean) / deviation
//              |        |                                         State-gov -> place among the
//              names number 0 code 0
//
// `table_encoding` is learned from the training rows only and then applied to any rows. A category
// is known by its text; one that no training row has is unknown: code -1, for which an embedding
// gives zeros. What marks a missing value is a category like others in a column of categories, and
// the mean (0) in a column of numbers.
//
// Cost: 4 bytes a value; reading a sample copies them and allocates nothing.

#include <tessera/core/error.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/csv.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

/// What a column means.
enum class column_kind : u8 {
  ignored,
  number,       // (v - mean) / deviation
  long_tailed,  // the same of sign(v) log(1 + |v|): amounts of money, counts
  category,
  label,  // one of the table
};

struct column {
  std::string name;
  column_kind what = column_kind::ignored;
};

/// Texts that mark a missing value, and how labels are written.
struct table_options {
  std::vector<std::string> missing = {"?", "", "NA"};
  std::string label_ending;  // taken off labels that end in it: "." in Adult's test rows
};

class table_encoding;

/// Encoded rows: codes, numbers and a label each. Copies and parts share them. A source for
/// networks with an input of codes, one of numbers, or both, in either order.
class table_samples {
 public:
  i64 size() const { return size_; }

  /// Codes and numbers of a row; the label's class. `index` is not checked.
  std::span<const i32> codes(i64 index) const { return row(values_->codes, code_count_, index); }
  std::span<const float> numbers(i64 index) const {
    return row(values_->numbers, number_count_, index);
  }
  i32 label(i64 index) const { return values_->labels[static_cast<std::size_t>(first_ + index)]; }

  /// Input 0 are the codes, input 1 the numbers; a table without codes has input 0 only.
  shape sample_shape(i32 which) const {
    return shape(which == 0 && code_count_ > 0 ? code_count_ : number_count_);
  }
  void read(i64 index, i32, i32* out) const {
    const auto from = codes(index);
    std::copy(from.begin(), from.end(), out);
  }
  void read(i64 index, i32, float* out) const {
    const auto from = numbers(index);
    std::copy(from.begin(), from.end(), out);
  }

  /// Rows [begin, end).
  ///
  /// Errors   a range that does not lie in [0, size()]
  table_samples subset(i64 begin, i64 end) const {
    if (begin < 0 || begin > end || end > size_) {
      throw error("table_samples: expected a range within 0 to " + std::to_string(size_) +
                  ", got " + std::to_string(begin) + " to " + std::to_string(end));
    }
    table_samples part = *this;
    part.first_ = first_ + begin;
    part.size_ = end - begin;
    return part;
  }

 private:
  friend class table_encoding;

  struct values {
    std::vector<i32> codes;
    std::vector<float> numbers;
    std::vector<i32> labels;
  };

  template <class T>
  std::span<const T> row(const std::vector<T>& all, i32 count, i64 index) const {
    return {all.data() + (first_ + index) * count, static_cast<std::size_t>(count)};
  }

  i64 first_ = 0;
  i64 size_ = 0;
  i32 code_count_ = 0;
  i32 number_count_ = 0;
  std::shared_ptr<const values> values_;
};

/// What training rows teach about the columns of a table.
class table_encoding {
 public:
  /// Mean and deviation of a column of numbers (of logarithms where long-tailed).
  struct number_scale {
    double mean = 0;
    double deviation = 1;
  };

  /// Errors   another number of columns than the table has; no column of labels or several; neither
  ///          numbers nor categories; what is no number in a column of numbers; a label missing
  table_encoding(const csv_table& train, std::vector<column> columns, table_options options = {})
      : columns_(std::move(columns)), options_(std::move(options)) {
    check_columns(train);
    for (i32 c = 0; c < train.columns(); ++c) {
      switch (columns_[static_cast<std::size_t>(c)].what) {
        case column_kind::category: categories_.push_back(texts(train, c)); break;
        case column_kind::label: labels_ = texts(train, c); break;
        case column_kind::number:
        case column_kind::long_tailed: scales_.push_back(measure(train, c)); break;
        case column_kind::ignored: break;
      }
    }
  }

  /// The names of label classes and of the categories of column of categories number `which`, in
  /// the order of their codes: that of their bytes.
  const std::vector<std::string>& labels() const { return labels_; }
  const std::vector<std::string>& categories(i32 which) const {
    return categories_[static_cast<std::size_t>(which)];
  }
  const number_scale& scale(i32 which) const { return scales_[static_cast<std::size_t>(which)]; }

  i32 code_columns() const { return static_cast<i32>(categories_.size()); }
  i32 number_columns() const { return static_cast<i32>(scales_.size()); }

  /// The rows of a table with the same columns.
  ///
  /// Errors   another number of columns; what is no number; a label that no training row has
  table_samples encode(const csv_table& table) const {
    check_count(table);
    auto values = std::make_shared<table_samples::values>();
    for (i64 r = 0; r < table.rows(); ++r) {
      std::size_t code = 0;
      std::size_t number = 0;
      for (i32 c = 0; c < table.columns(); ++c) {
        const column_kind what = columns_[static_cast<std::size_t>(c)].what;
        if (what == column_kind::category) {
          values->codes.push_back(find(categories_[code++], table.cell(r, c)));
        } else if (what == column_kind::label) {
          values->labels.push_back(label_of(table, r, c));
        } else if (what != column_kind::ignored) {
          values->numbers.push_back(scaled(table, r, c, scales_[number++]));
        }
      }
    }
    table_samples samples;
    samples.size_ = table.rows();
    samples.code_count_ = code_columns();
    samples.number_count_ = number_columns();
    samples.values_ = std::move(values);
    return samples;
  }

 private:
  using names = std::vector<std::string>;

  static i32 find(const names& known, std::string_view text) {
    const auto at = std::lower_bound(known.begin(), known.end(), text);
    return at != known.end() && *at == text ? static_cast<i32>(at - known.begin()) : -1;
  }

  bool missing(std::string_view text) const {
    return std::find(options_.missing.begin(), options_.missing.end(), text) !=
           options_.missing.end();
  }

  std::string where(const csv_table& table, i64 row, i32 c) const {
    return table.where(row, c) + " (" + columns_[static_cast<std::size_t>(c)].name + ")";
  }

  void check_count(const csv_table& table) const {
    if (table.columns() == static_cast<i32>(columns_.size())) return;
    throw error(table.name() + ": expected " + std::to_string(columns_.size()) + " columns, got " +
                std::to_string(table.columns()));
  }

  void check_columns(const csv_table& train) const {
    check_count(train);
    i32 of_labels = 0;
    i32 of_values = 0;
    for (const column& c : columns_) {
      of_labels += c.what == column_kind::label ? 1 : 0;
      of_values += c.what != column_kind::label && c.what != column_kind::ignored ? 1 : 0;
    }
    if (of_labels != 1 || of_values < 1) {
      throw error(
          "table_encoding: expected one column of labels and at least one of numbers or "
          "categories, got " +
          std::to_string(of_labels) + " and " + std::to_string(of_values));
    }
  }

  std::string_view label_text(std::string_view text) const {
    if (!options_.label_ending.empty() && text.ends_with(options_.label_ending)) {
      text.remove_suffix(options_.label_ending.size());
    }
    return text;
  }

  /// The different texts of a column, sorted.
  names texts(const csv_table& train, i32 c) const {
    const bool label = columns_[static_cast<std::size_t>(c)].what == column_kind::label;
    std::vector<std::string_view> all;
    for (i64 r = 0; r < train.rows(); ++r) {
      const std::string_view text = train.cell(r, c);
      if (label && missing(text)) throw error(where(train, r, c) + ": expected a label, got none");
      all.push_back(label ? label_text(text) : text);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return names(all.begin(), all.end());
  }

  i32 label_of(const csv_table& table, i64 r, i32 c) const {
    const i32 found = find(labels_, label_text(table.cell(r, c)));
    if (found >= 0) return found;
    std::string known;
    for (std::size_t i = 0; i < labels_.size() && i < 6; ++i) {
      known += (i > 0 ? ", " : "") + labels_[i];
    }
    throw error(where(table, r, c) + ": expected one of " + known +
                (labels_.size() > 6 ? ", ..." : "") + ", got \"" + std::string(table.cell(r, c)) +
                "\"");
  }

  /// The number in a cell, not scaled; false where it is missing.
  bool number_of(const csv_table& table, i64 r, i32 c, double& number) const {
    const std::string_view text = table.cell(r, c);
    if (missing(text)) return false;
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), number);
    // 1e30: sums of squares of a billion of them are finite.
    if (wrong != std::errc{} || end != text.data() + text.size() || !(std::abs(number) <= 1e30)) {
      throw error(where(table, r, c) + ": expected a number of at most 1e30, got \"" +
                  std::string(text) + "\"");
    }
    if (columns_[static_cast<std::size_t>(c)].what == column_kind::long_tailed) {
      number = std::copysign(std::log1p(std::abs(number)), number);
    }
    return true;
  }

  number_scale measure(const csv_table& train, i32 c) const {
    std::vector<double> all;
    double number = 0;
    for (i64 r = 0; r < train.rows(); ++r) {
      if (number_of(train, r, c, number)) all.push_back(number);
    }
    if (all.empty()) return {};
    const auto count = static_cast<double>(all.size());
    double sum = 0;
    for (const double v : all) sum += v;
    const double mean = sum / count;
    double squares = 0;  // in a second pass: no cancellation
    for (const double v : all) squares += (v - mean) * (v - mean);
    return {mean, squares > 0 ? std::sqrt(squares / count) : 1.0};
  }

  float scaled(const csv_table& table, i64 r, i32 c, const number_scale& by) const {
    double number = 0;
    if (!number_of(table, r, c, number)) return 0.0f;
    return static_cast<float>(std::clamp((number - by.mean) / by.deviation, -1e30, 1e30));
  }

  std::vector<column> columns_;
  table_options options_;
  names labels_;
  std::vector<names> categories_;
  std::vector<number_scale> scales_;
};

}  // namespace tessera::data
