#pragma once

// A benchmark of peers: cases in which several contestants compute the same, timed side by side.
//
//   int main(int argc, char** argv) {
//     return bench::run_program("bench_host_x", argc, argv, [](bench::results& all) {
//       all.about("oneDNN", version);
//       if (all.wants("case")) all.add({.name = "case", .contestants = {...}, .flops = ...});
//     });
//   }
//
// Every case is checked (all computed the same), measured in rounds (support/rounds.hpp) and
// printed as a table: the median of the rounds, the best and the worst, arithmetic a second and its
// share of the most that these cores do (support/peak.hpp, before and after the case), and how many
// times as fast as chosen contestants, which is the median of the ratios of each round.

#include <support/options.hpp>
#include <support/rounds.hpp>

#include <string>
#include <utility>
#include <vector>

namespace bench {

/// What the record says of a peer that a benchmark was built without.
inline constexpr const char* not_installed = "not found when this was built";

/// One case: who computes it, and what it costs.
struct comparison {
  std::string name;
  std::vector<contestant> contestants;
  double flops = 0;                   // of one run; 0 where they are not counted
  std::vector<std::string> beside{};  // contestants that all are compared with, a column each
                                      // where they are there
  std::vector<double> expected{};     // what all compute; empty: what the first one does
};

using figures = std::vector<std::pair<std::string, double>>;

class results {
 public:
  results(std::string program, const options& o) : program_(std::move(program)), options_(o) {}

  const options& asked() const { return options_; }

  /// A fact about the run, printed before the first case and written to the JSON file.
  void about(const std::string& key, const std::string& value) { about_.push_back({key, value}); }

  /// Whether a case is to run; where cases are listed, lists it and says no.
  bool wants(const std::string& name);

  /// Checks, times and prints a case. Throws where a contestant computes something else.
  void add(const comparison& c);

  /// A case whose figures are no times: a row of numbers by name, the same names in every row.
  void add_figures(const std::string& name, const std::string& who, const figures& numbers);

  /// Writes the JSON file. Throws where no case was run.
  void finish() const;

 private:
  struct line {
    std::string name;
    std::string who;
    double median = 0, best = 0, worst = 0;
    double flops_per_second = 0, share_of_peak = 0;
    figures times{};  // as fast as others
    figures numbers{};
  };

  void print_facts();
  std::vector<line> lines_of(const comparison& c, const std::vector<timing>& all,
                             double peak) const;

  std::string program_;
  options options_;
  std::vector<std::pair<std::string, std::string>> about_;
  std::vector<line> lines_;
  int listed_ = 0;
};

/// Reads the options, tunes and pins the process, hands `body` the results to fill, and ends. What
/// is wrong is one line on stderr and exit code 2.
int run_program(const std::string& name, int argc, char** argv, void (*body)(results&));

}  // namespace bench
