#include <support/peak.hpp>
#include <support/process.hpp>
#include <support/results.hpp>
#include <tessera/core/error.hpp>
#include <tessera/io/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

namespace bench {

namespace {

std::string number(double x, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

std::string microseconds(double seconds) { return number(seconds * 1e6, seconds < 1e-3 ? 3 : 1); }

/// Runs every contestant once and compares what each has computed.
void check(const comparison& c) {
  std::vector<double> expected = c.expected;
  for (const contestant& who : c.contestants) {
    if (!who.values) continue;
    who.run();
    const std::vector<double> got = who.values();
    if (expected.empty()) expected = got;
    if (got.size() != expected.size()) {
      throw tessera::error(c.name + ": " + who.name + " computes another count of numbers");
    }
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double off = std::abs(got[i] - expected[i]);
      if (off <= who.tolerance * (1 + std::abs(expected[i]))) continue;  // not where off is NaN
      throw tessera::error(c.name + ": " + who.name + " computes something else: number " +
                           std::to_string(i) + " of those compared is " + number(got[i], 6) +
                           ", expected " + number(expected[i], 6));
    }
  }
}

const timing* find(const std::vector<timing>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const timing& t) { return t.name == name; });
  return found == all.end() ? nullptr : &*found;
}

/// One row of a table whose columns are as wide as their heads.
void print_row(const std::string& first, const std::vector<std::string>& cells,
               const std::vector<std::string>& heads) {
  std::printf("%-38s", first.c_str());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::size_t width = std::max<std::size_t>(11, heads[i].size() + 2);
    std::printf("%*s", static_cast<int>(width), cells[i].c_str());
  }
  std::printf("\n");
}

}  // namespace

bool results::wants(const std::string& name) {
  if (name.find(options_.only) == std::string::npos) return false;
  if (options_.list) {
    ++listed_;
    std::cout << name << '\n';
  }
  return !options_.list;
}

void results::print_facts() {
  about("machine", cpu_name());
  about("compiler", compiler_name());
  about("settings", settings());
  about("clock", options_.rounds.clock == clock_kind::wall ? "wall" : "cpu");
  about("rounds", std::to_string(options_.rounds.rounds));
  about("threads", std::to_string(options_.threads));
  about("date", today());
  for (const auto& [key, value] : about_) std::printf("%s: %s\n", key.c_str(), value.c_str());
  std::printf("\n");
}

std::vector<results::line> results::lines_of(const comparison& c, const std::vector<timing>& all,
                                             double peak) const {
  std::vector<line> lines;
  for (const timing& t : all) {
    line l{.name = c.name, .who = t.name};
    l.median = median(t.seconds);
    l.best = quantile(t.seconds, 0);
    l.worst = quantile(t.seconds, 1);
    if (c.flops > 0) {
      l.flops_per_second = c.flops / l.median;
      l.share_of_peak = l.flops_per_second / peak;
    }
    for (const std::string& name : c.beside) {
      const timing* const other = find(all, name);
      if (other != nullptr) l.times.push_back({name, median(ratios(t, *other))});
    }
    lines.push_back(std::move(l));
  }
  return lines;
}

void results::add(const comparison& c) {
  if (lines_.empty()) print_facts();
  check(c);
  const bool counted = c.flops > 0;
  const double before = counted ? peak_flops() : 0;
  const std::vector<timing> timings = run_rounds(c.contestants, options_.rounds);
  const double after = counted ? peak_flops() : 0;
  for (const timing& t : timings) {
    if (!std::isfinite(t.result)) throw tessera::error(c.name + ": " + t.name + " diverged");
  }
  const std::vector<line> lines = lines_of(c, timings, std::max(before, after) * options_.threads);

  std::vector<std::string> heads{"us", "best", "worst"};
  heads.insert(heads.end(), counted ? std::initializer_list<std::string>{"GFLOP/s", "of peak"}
                                    : std::initializer_list<std::string>{"per second"});
  for (const auto& [name, times] : lines.front().times) heads.push_back("x " + name);
  print_row(c.name, heads, heads);
  for (const line& l : lines) {
    std::vector<std::string> cells{microseconds(l.median), microseconds(l.best),
                                   microseconds(l.worst)};
    if (counted) {
      cells.push_back(number(l.flops_per_second * 1e-9, 1));
      cells.push_back(number(100 * l.share_of_peak, 0) + " %");
    } else {
      cells.push_back(number(1 / l.median, 1));
    }
    for (const auto& [name, times] : l.times) cells.push_back(number(times, 2));
    print_row("  " + l.who, cells, heads);
  }
  std::printf("\n");
  std::fflush(stdout);
  lines_.insert(lines_.end(), lines.begin(), lines.end());
}

void results::add_figures(const std::string& name, const std::string& who, const figures& numbers) {
  std::vector<std::string> heads;
  std::vector<std::string> cells;
  for (const auto& [key, value] : numbers) {
    heads.push_back(key);
    cells.push_back(value != 0 ? number(value, 1) : "");
  }
  if (lines_.empty()) print_facts();
  if (lines_.empty() || lines_.back().name != name) print_row(name, heads, heads);
  print_row("  " + who, cells, heads);
  std::fflush(stdout);
  lines_.push_back({.name = name, .who = who, .numbers = numbers});
}

void results::finish() const {
  if (lines_.empty() && listed_ == 0) {
    throw tessera::error("--case: no case has \"" + options_.only +
                         "\" in its name; --list names them all");
  }
  if (options_.json.empty() || options_.list) return;
  tessera::io::json file;
  file["program"] = program_;
  for (const auto& [key, value] : about_) file[key] = value;
  for (const line& l : lines_) {
    tessera::io::json row = {{"case", l.name}, {"who", l.who}};
    if (l.median > 0) {
      row["microseconds"] = l.median * 1e6;
      row["best"] = l.best * 1e6;
      row["worst"] = l.worst * 1e6;
      row["per_second"] = 1 / l.median;
    }
    if (l.flops_per_second > 0) {
      row["gflops"] = l.flops_per_second * 1e-9;
      row["share_of_peak"] = l.share_of_peak;
    }
    for (const auto& [name, times] : l.times) row["times"][name] = times;
    for (const auto& [key, value] : l.numbers) row[key] = value;
    file["results"].push_back(std::move(row));
  }
  tessera::io::write_json(options_.json, file);
}

int run_program(const std::string& name, int argc, char** argv, void (*body)(results&)) {
  try {
    const options o = read_options(argc, argv);
    if (!o.list) {
      pin(o.core, o.threads);  // libraries count the cores of this process when it starts
      tune(argv, o.threads);
      if (o.threads > 1) spread(o.threads);
    }
    results all(name, o);
    body(all);
    all.finish();
    return 0;
  } catch (const std::exception& wrong) {
    std::cerr << name << ": " << wrong.what() << '\n';
    return 2;
  }
}

}  // namespace bench
