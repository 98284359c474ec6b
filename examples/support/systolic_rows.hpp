#pragma once

// Tables of layers on systolic arrays, as SCALE-Sim's figures are published, recomputed.
//
//   ifmap_h,...,stride_w  |  M,N,K  |  array_rows,array_cols,dataflow  |  compute_cycles, ...
//   the layer, or ...       ... its product                              what is compared
//
// Columns are found by name, in any order; others are not looked at. A row's product comes from its
// layer where the table has one (kind `gemm`: M = ifmap_h, K = ifmap_w, N = num_filters), and M, N,
// K are compared like all else; without a layer they are taken as given. An empty cell is not
// compared. Whole numbers have to be equal; others as far as the column has digits, which are those
// of its longest cell.

#include <tessera/core/error.hpp>
#include <tessera/data/csv.hpp>
#include <tessera/machine/scalesim.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace examples {

namespace ts = tessera;

/// A compared column: its name and how to compute it.
struct systolic_column {
  const char* name;
  ts::i64 (*whole)(const ts::systolic::product&, const ts::scalesim::figures&);
  double (*real)(const ts::scalesim::figures&);
};

inline constexpr systolic_column systolic_columns[] = {
    {"M", [](const auto& p, const auto&) { return p.m; }, nullptr},
    {"N", [](const auto& p, const auto&) { return p.n; }, nullptr},
    {"K", [](const auto& p, const auto&) { return p.k; }, nullptr},
    {"Sr", [](const auto&, const auto& f) { return f.cost.spatial_rows; }, nullptr},
    {"Sc", [](const auto&, const auto& f) { return f.cost.spatial_cols; }, nullptr},
    {"T", [](const auto&, const auto& f) { return f.cost.time; }, nullptr},
    {"row_folds", [](const auto&, const auto& f) { return f.cost.row_folds; }, nullptr},
    {"col_folds", [](const auto&, const auto& f) { return f.cost.col_folds; }, nullptr},
    {"cycles_per_fold", [](const auto&, const auto& f) { return f.cost.cycles_per_fold; }, nullptr},
    {"compute_cycles", [](const auto&, const auto& f) { return f.cost.cycles; }, nullptr},
    {"reported_cycles", [](const auto&, const auto& f) { return f.reported_cycles; }, nullptr},
    {"macs", [](const auto&, const auto& f) { return f.macs; }, nullptr},
    {"ifmap_sram_reads", [](const auto&, const auto& f) { return f.cost.a_reads; }, nullptr},
    {"filter_sram_reads", [](const auto&, const auto& f) { return f.cost.b_reads; }, nullptr},
    {"ofmap_sram_writes", [](const auto&, const auto& f) { return f.reported_writes; }, nullptr},
    {"ofmap_sram_writes_true", [](const auto&, const auto& f) { return f.cost.c_writes; }, nullptr},
    {"overall_util_pct", nullptr, [](const auto& f) { return f.overall_utilization; }},
    {"mapping_eff_pct", nullptr, [](const auto& f) { return f.mapping_efficiency; }},
    {"compute_util_pct", nullptr, [](const auto& f) { return f.compute_utilization; }}};

inline constexpr int systolic_column_count = static_cast<int>(std::size(systolic_columns));

/// What became of one compared column.
struct column_result {
  std::string name;
  ts::i64 compared = 0;
  ts::i64 differing = 0;
  std::string first;  // "line 17: 1714597, expected 1714596"; empty where all are equal
};

struct systolic_comparison {
  ts::i64 rows = 0;
  ts::i64 equal_rows = 0;
  double cycles = 0;  // that a simulator would have gone through
  std::vector<column_result> columns;
  std::vector<std::string> left_out;  // columns that are neither given to the model nor compared
};

namespace detail {

class systolic_reader {
 public:
  explicit systolic_reader(const ts::data::csv_table& table) : table_(table) {
    const std::vector<std::string>& names = table.header();
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (names[i] == names[j]) fail("two columns \"" + names[i] + "\"");
      }
    }
    used_.resize(names.size());
    for (int i = 0; i < layer_count; ++i) layer_[i] = find(layer_names[i]);
    const auto has_layer = [&] {
      return std::all_of(layer_, layer_ + layer_count, [](int c) { return c >= 0; });
    };
    from_layer_ = has_layer();
    kind_ = find("kind");
    for (int i = 0; i < 3; ++i) product_[i] = find(product_names[i]);
    for (const int c : product_) {
      if (c < 0 && !from_layer_) {
        fail(
            "expected the columns M, N, K, or ifmap_h, ifmap_w, filter_h, filter_w, channels, "
            "num_filters, stride_h, stride_w");
      }
    }
    rows_ = need("array_rows");
    cols_ = need("array_cols");
    flow_ = need("dataflow");
    for (int i = 0; i < systolic_column_count; ++i) {
      const bool given = i < 3 && !from_layer_;
      compared_[i] = given ? -1 : find(systolic_columns[i].name);
      if (systolic_columns[i].real != nullptr && compared_[i] >= 0) find_digits(i);
    }
    if (std::all_of(compared_, compared_ + systolic_column_count, [](int c) { return c < 0; })) {
      fail("no column to compare, such as compute_cycles");
    }
  }

  systolic_comparison compare() {
    systolic_comparison c;
    c.rows = table_.rows();
    for (int i = 0; i < systolic_column_count; ++i) {
      if (compared_[i] >= 0) c.columns.push_back({systolic_columns[i].name, 0, 0, {}});
    }
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (!used_[i]) c.left_out.push_back(table_.header()[i]);
    }
    for (ts::i64 row = 0; row < c.rows; ++row) {
      const ts::systolic::product p = product_of(row);
      const ts::i64 rows = size(row, rows_);
      const ts::i64 cols = size(row, cols_);
      check_size(row, p, rows, cols);
      const ts::scalesim::figures f = ts::scalesim::figures_of(p, rows, cols, flow_of(row));
      c.cycles += static_cast<double>(f.cost.cycles);
      bool equal = true;
      std::size_t at = 0;
      for (int i = 0; i < systolic_column_count; ++i) {
        if (compared_[i] >= 0) equal = compare_cell(row, i, p, f, c.columns[at++]) && equal;
      }
      c.equal_rows += equal ? 1 : 0;
    }
    return c;
  }

 private:
  static constexpr int layer_count = 8;
  static constexpr const char* layer_names[layer_count] = {"ifmap_h",  "ifmap_w",  "filter_h",
                                                           "filter_w", "channels", "num_filters",
                                                           "stride_h", "stride_w"};
  static constexpr const char* product_names[3] = {"M", "N", "K"};
  static constexpr ts::i64 largest = ts::i64{1} << 31;

  [[noreturn]] void fail(const std::string& what) const {
    throw ts::error(table_.name() + ": line 1: " + what);
  }
  [[noreturn]] void fail(ts::i64 row, int column, const std::string& expected) const {
    throw ts::error(table_.where(row, column) + " (" +
                    table_.header()[static_cast<std::size_t>(column)] + "): expected " + expected +
                    ", got \"" + std::string(cell(row, column)) + "\"");
  }

  int find(std::string_view name) {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (table_.header()[i] != name) continue;
      used_[i] = true;
      return static_cast<int>(i);
    }
    return -1;
  }
  int need(const char* name) {
    const int column = find(name);
    if (column < 0) fail(std::string("no column \"") + name + "\"");
    return column;
  }

  std::string_view cell(ts::i64 row, int column) const { return table_.cell(row, column); }

  /// How many digits after the point the longest cell of a column has.
  void find_digits(int i) {
    for (ts::i64 row = 0; row < table_.rows(); ++row) {
      const std::string_view text = cell(row, compared_[i]);
      const std::size_t point = text.find('.');
      if (point == std::string_view::npos) continue;
      const std::size_t end = text.find_first_of("eE");
      const std::size_t stop = end == std::string_view::npos ? text.size() : end;
      digits_[i] = std::max(digits_[i], static_cast<int>(stop - point - 1));
    }
    digits_[i] = std::min(digits_[i], 9);
  }

  template <class Number>
  Number number(ts::i64 row, int column, const char* expected) const {
    const std::string_view text = cell(row, column);
    Number n{};
    const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (wrong != std::errc{} || end != text.data() + text.size()) fail(row, column, expected);
    return n;
  }

  /// A size: positive and not absurd.
  ts::i64 size(ts::i64 row, int column) const {
    constexpr const char* expected = "a whole number from 1 to 2147483648";
    const auto n = number<ts::i64>(row, column, expected);
    if (n < 1 || n > largest) fail(row, column, expected);
    return n;
  }

  ts::systolic::product product_of(ts::i64 row) const {
    if (!from_layer_) {
      return {size(row, product_[0]), size(row, product_[1]), size(row, product_[2])};
    }
    ts::i64 n[layer_count];
    for (int i = 0; i < layer_count; ++i) n[i] = size(row, layer_[i]);
    const std::string_view kind = kind_ >= 0 ? cell(row, kind_) : "conv";
    if (kind == "gemm") return {n[0], n[5], n[1]};
    if (kind != "conv") fail(row, kind_, "conv or gemm");
    for (int axis = 0; axis < 2; ++axis) {
      if (n[axis] < n[2 + axis]) fail(row, layer_[axis], "at least the filter's size");
    }
    return ts::scalesim::layer{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]}.as_product();
  }

  /// Every count has to fit into 64 bits.
  void check_size(ts::i64 row, const ts::systolic::product& p, ts::i64 rows, ts::i64 cols) const {
    const auto real = [](ts::i64 n) { return static_cast<double>(n); };
    const double r = real(rows);
    const double c = real(cols);
    const double sizes[] = {real(p.m), real(p.n), real(p.k)};
    const double elements = sizes[0] * sizes[1] * sizes[2];
    double most = elements;
    for (const double down : sizes) {
      for (const double across : sizes) {
        const double row_folds = down / r + 1;
        const double col_folds = across / c + 1;
        const double longest = std::max({sizes[0], sizes[1], sizes[2]}) + 2 * (r + c);
        most = std::max({most, row_folds * col_folds * longest, (down + r) * (across + c),
                         down * across * std::max(row_folds, col_folds)});
      }
    }
    if (most > 4e18) {
      throw ts::error(table_.where(row, rows_) +
                      ": the layer has more than 4 x 10^18 cycles or words");
    }
  }

  ts::dataflow flow_of(ts::i64 row) const {
    const std::string_view flow = cell(row, flow_);
    if (flow == "os") return ts::dataflow::output_stationary;
    if (flow == "ws") return ts::dataflow::weight_stationary;
    if (flow != "is") fail(row, flow_, "os, ws or is");
    return ts::dataflow::input_stationary;
  }

  bool compare_cell(ts::i64 row, int i, const ts::systolic::product& p,
                    const ts::scalesim::figures& f, column_result& result) const {
    const int column = compared_[i];
    if (cell(row, column).empty()) return true;
    ++result.compared;
    const systolic_column& of = systolic_columns[i];
    bool equal = false;
    std::string ours;
    if (of.whole != nullptr) {
      const ts::i64 n = of.whole(p, f);
      equal = number<ts::i64>(row, column, "a whole number") == n;
      if (!equal) ours = std::to_string(n);
    } else {
      const double x = of.real(f);
      const double given = number<double>(row, column, "a number");
      // Half of the last digit, and what rounding in double may add.
      equal = std::abs(given - x) <= 0.5 * std::pow(10.0, -digits_[i]) + 1e-12 * std::abs(x);
      if (!equal) ours = std::to_string(x);
    }
    if (equal) return true;
    if (result.differing++ == 0) {
      result.first = "line " + std::to_string(table_.line(row)) + " has " +
                     std::string(cell(row, column)) + ", computed " + ours;
    }
    return false;
  }

  const ts::data::csv_table& table_;
  std::vector<bool> used_;
  bool from_layer_ = false;
  int layer_[layer_count];
  int product_[3];
  int kind_ = -1;
  int rows_ = -1;
  int cols_ = -1;
  int flow_ = -1;
  int compared_[systolic_column_count];
  int digits_[systolic_column_count] = {};
};

}  // namespace detail

/// Recomputes every row of a table.
/// Errors   those of data::read_csv; "FILE: line 1: no column ..."; "FILE: line 7, column 3 (M):
///          expected a whole number ..., got ..."
inline systolic_comparison compare_systolic(const ts::data::csv_table& table) {
  return detail::systolic_reader(table).compare();
}

}  // namespace examples
