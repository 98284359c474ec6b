// Recomputes tables of layers on systolic arrays: cycles, memory traffic and shares in closed form,
// beside those of a simulator that went through every cycle.
//
// You see the columns that differ, how often and where first, or that all are equal.
//
//   systolic_csv scalesim.csv                        a table in the form of SCALE-Sim's figures
//   systolic_csv scalesim.csv --report report.json   the counts as JSON
//
// The exit code is 0 where all rows are equal, 1 where some differ, 2 where a file is not such a
// table. Columns: examples/support/systolic_rows.hpp.

#include <tessera/io/json.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "support/command_words.hpp"
#include "support/systolic_rows.hpp"

namespace ts = tessera;

struct systolic_options {
  std::string table;
  std::string report;
};

constexpr const char* help = "  --report FILE      where to put the counts (JSON)\n";

systolic_options parse(int argc, char** argv) {
  systolic_options o;
  for (examples::command_words words(argc, argv, help, "FILE.csv"); words.next();) {
    if (words.name() == "--report") {
      words.file(o.report);
    } else if (words.is_option()) {
      words.refuse();
    } else if (!o.table.empty()) {
      throw ts::error("expected one table, got \"" + o.table + "\" and \"" + words.name() + "\"");
    } else {
      o.table = words.name();
    }
  }
  if (o.table.empty()) throw ts::error("expected a table to recompute; --help says more");
  return o;
}

void print(const examples::systolic_comparison& c, double seconds) {
  for (const examples::column_result& column : c.columns) {
    if (column.differing == 0) continue;
    std::printf("%-24s differs in %lld of %lld rows; %s\n", column.name.c_str(),
                static_cast<long long>(column.differing), static_cast<long long>(column.compared),
                column.first.c_str());
  }
  for (const std::string& name : c.left_out) {
    std::printf("%-24s is not computed\n", name.c_str());
  }
  std::printf("%lld of %lld rows are equal in %d columns\n", static_cast<long long>(c.equal_rows),
              static_cast<long long>(c.rows), static_cast<int>(c.columns.size()));
  std::printf(
      "%.3g array cycles in %.3g s: %.2g a second; a simulator goes through 6,000 to 15,000\n",
      c.cycles, seconds, c.cycles / seconds);
}

ts::io::json to_json(const systolic_options& o, const examples::systolic_comparison& c,
                     double seconds) {
  ts::io::json columns = ts::io::json::array();
  for (const examples::column_result& column : c.columns) {
    columns.push_back({{"column", column.name},
                       {"compared", column.compared},
                       {"differing", column.differing},
                       {"first", column.first}});
  }
  return {{"example", "systolic_csv"},
          {"file", o.table},
          {"rows", c.rows},
          {"equal_rows", c.equal_rows},
          {"differing_rows", c.rows - c.equal_rows},
          {"columns", columns},
          {"not_computed", c.left_out},
          {"array_cycles", c.cycles},
          {"seconds", seconds},
          {"cycles_per_second", c.cycles / seconds}};
}

int main(int argc, char** argv) {
  bool equal = true;
  const int code = examples::run("systolic_csv", [&] {
    const systolic_options o = parse(argc, argv);
    const ts::data::csv_table table = ts::data::read_csv(o.table, {.header = true});
    const auto start = std::chrono::steady_clock::now();
    const examples::systolic_comparison c = examples::compare_systolic(table);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    print(c, time.count());
    if (!o.report.empty()) ts::io::write_json(o.report, to_json(o, c, time.count()));
    equal = c.equal_rows == c.rows;
  });
  return code != 0 ? code : equal ? 0 : 1;
}
