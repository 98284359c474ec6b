// Prices poplibs' published benchmarks on the IPU and puts the figures beside each other.
//
// You see, for every row of a table in the form of poplibs' tests/benchmark_results.csv, the cycles
// that Graphcore's IPUModel took on a Mk1 and a Mk2, the cycles that the price of this library
// predicts, and their ratio; then, per kind of operation, how many rows there are, the rank
// correlation, the geometric mean of the ratios, and the share of them from 0.85 to 1.22.
//
//   ipu_csv benchmarks.csv                         the table
//   ipu_csv --report figures.json benchmarks.csv   and the same as JSON
//
// The prices are those of a training step on `ipu_mk1` and `ipu_mk2`: same mapper, same formulas,
// no constant fitted to any row. examples/support/poplibs_rows.hpp says what a row becomes and
// which options it may have. Rows of kinds that are not modelled are listed as such.

#include <tessera/backends/accelerator/price.hpp>
#include <tessera/io/json.hpp>
#include <tessera/machine/presets.hpp>

#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "support/command_words.hpp"
#include "support/poplibs_rows.hpp"
#include "support/ranks.hpp"

namespace ts = tessera;
using examples::benchmark_row;

namespace {

const ts::machine* const machines[] = {&ts::accelerator::ipu_mk1, &ts::accelerator::ipu_mk2};

/// Bounds of a ratio that counts as agreement, and the cycles from which fixed costs matter little.
constexpr double least_ratio = 0.85, most_ratio = 1.22, least_cycles = 23000;

struct priced_row {
  const benchmark_row* row;
  double predicted[2] = {0, 0};

  double ratio(int m) const { return predicted[m] / row->published[m]; }
};

struct agreement {
  std::size_t rows = 0;
  double correlation = 1, mean = 1, within = 1;
};

agreement compare(const std::vector<priced_row>& rows, int m,
                  const std::function<bool(const benchmark_row&)>& wanted) {
  std::vector<double> predicted, published;
  double logarithms = 0, within = 0;
  for (const priced_row& r : rows) {
    if (!(r.predicted[m] > 0) || !(r.row->published[m] > 0) || !wanted(*r.row)) continue;
    predicted.push_back(r.predicted[m]);
    published.push_back(r.row->published[m]);
    logarithms += std::log(r.ratio(m));
    within += r.ratio(m) >= least_ratio && r.ratio(m) <= most_ratio ? 1 : 0;
  }
  if (predicted.empty()) return {};
  const double count = static_cast<double>(predicted.size());
  return {predicted.size(), examples::rank_correlation(predicted, published),
          std::exp(logarithms / count), within / count};
}

/// Products without a window: fully connected layers and 1x1 convolutions.
bool is_plain_product(const benchmark_row& row) {
  if (row.kind == "fc") return true;
  if (row.kind != "conv") return false;
  const ts::conv_sizes n = ts::conv_sizes::of(row.operations[0].s);
  return n.kernel_height * n.kernel_width == 1;
}

struct group {
  std::string name;
  std::function<bool(const benchmark_row&, int)> wanted;
};

std::vector<group> groups_of(const std::vector<priced_row>& rows) {
  std::vector<group> groups;
  for (const priced_row& r : rows) {
    const std::string kind = r.row->kind;
    const bool known =
        std::any_of(groups.begin(), groups.end(), [&](const group& g) { return g.name == kind; });
    if (known || r.row->operations.empty()) continue;
    groups.push_back({kind, [kind](const benchmark_row& row, int) { return row.kind == kind; }});
  }
  groups.push_back({"1x1 conv, fc from 23000", [](const benchmark_row& row, int m) {
                      return is_plain_product(row) && row.published[m] >= least_cycles;
                    }});
  groups.push_back({"all", [](const benchmark_row&, int) { return true; }});
  return groups;
}

struct command_line {
  std::string table, report;
};

constexpr const char* help = "  --report FILE      where to put the figures (JSON)\n";

command_line parse(int argc, char** argv) {
  command_line c;
  for (examples::command_words words(argc, argv, help, "FILE.csv"); words.next();) {
    if (words.name() == "--report") {
      words.file(c.report);
    } else if (words.is_option()) {
      words.refuse();
    } else if (!c.table.empty()) {
      throw ts::error("expected one table, got \"" + c.table + "\" and \"" + words.name() + "\"");
    } else {
      c.table = words.name();
    }
  }
  if (c.table.empty()) throw ts::error("expected a table; --help says more");
  return c;
}

void print_row(const priced_row& r) {
  std::printf("%-52s %-13s", r.row->name.c_str(), r.row->kind.c_str());
  if (r.row->operations.empty()) {
    std::printf("  not modelled\n");
    return;
  }
  for (int m = 0; m < 2; ++m) {
    std::printf(" %10.0f", r.predicted[m]);
    if (r.row->published[m] > 0) {
      std::printf(" %10.0f %6.3f", r.row->published[m], r.ratio(m));
    } else {
      std::printf(" %10s %6s", "-", "-");
    }
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run("ipu_csv", [&] {
    const command_line c = parse(argc, argv);
    const std::vector<std::byte> bytes = ts::io::read_file(c.table);
    const std::vector<benchmark_row> table = examples::read_benchmark_rows(
        std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), c.table);
    std::vector<priced_row> rows;
    for (const benchmark_row& row : table) {
      priced_row r{&row};
      for (int m = 0; m < 2 && !row.operations.empty(); ++m) {
        r.predicted[m] = examples::predicted_cycles(row, *machines[m]);
      }
      rows.push_back(r);
    }

    ts::io::json report = {
        {"example", "ipu_csv"}, {"rows", ts::io::json::array()}, {"kinds", ts::io::json::array()}};
    std::printf("%-52s %-13s %10s %10s %6s %10s %10s %6s\n", "row", "kind", "mk1", "published",
                "ratio", "mk2", "published", "ratio");
    for (const priced_row& r : rows) {
      print_row(r);
      ts::io::json row = {
          {"name", r.row->name}, {"kind", r.row->kind}, {"modelled", !r.row->operations.empty()}};
      for (int m = 0; m < 2 && !r.row->operations.empty(); ++m) {
        const std::string of = m == 0 ? "mk1_" : "mk2_";
        row[of + "predicted_cycles"] = r.predicted[m];
        if (!(r.row->published[m] > 0)) continue;
        row[of + "published_cycles"] = r.row->published[m];
        row[of + "ratio"] = r.ratio(m);
      }
      report["rows"].push_back(row);
    }

    std::printf("\n%-26s %-8s %5s %12s %9s %14s\n", "kind", "machine", "rows", "correlation",
                "geomean", "0.85 to 1.22");
    for (const group& g : groups_of(rows)) {
      for (int m = 0; m < 2; ++m) {
        const agreement a =
            compare(rows, m, [&](const benchmark_row& row) { return g.wanted(row, m); });
        std::printf("%-26s %-8s %5zu %12.4f %9.3f %12.1f %%\n", g.name.c_str(), machines[m]->name,
                    a.rows, a.correlation, a.mean, 100 * a.within);
        report["kinds"].push_back({{"kind", g.name},
                                   {"machine", machines[m]->name},
                                   {"rows", a.rows},
                                   {"rank_correlation", a.correlation},
                                   {"geometric_mean_ratio", a.mean},
                                   {"share_within_bounds", a.within}});
      }
    }
    if (!c.report.empty()) ts::io::write_json(c.report, report);
  });
}
