// How long is one training step? LeNet-5 and two perceptrons, batch 32 and 1, in FP32 and mixed
// precision, beside plain loops, Eigen and libtorch; ResNet-20, a character LSTM and a block of a
// transformer beside libtorch.
//
// All contestants of a case start from the same weights on the same batch, which lies in memory;
// a step is forward pass, loss, backward pass and update (SGD, momentum 0.9). Before anything is
// timed, each takes the same steps and must arrive at the same loss. One thread, pinned to one
// core, rounds interleaved (support/rounds.hpp), libtorch with its best settings
// (peers/torch_settings.hpp). "+ load" also copies the batch to where the step reads it.
//
//   bench_host_steps [--case NAME] [--rounds N] [--slot MILLISECONDS] [--core N] [--clock wall|cpu]
//                    [--json FILE] [--list]

#include <support/rounds.hpp>
#include <host/steps/cases.hpp>
#include <peers/torch_settings.hpp>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sched.h>
#include <sstream>
#include <stdexcept>

namespace {

using steps::entry;

constexpr int checked_steps = 20;
// Losses fall visibly, and not to zero, at which everybody agrees.
constexpr float check_rate_b32 = 1e-2f;
constexpr float check_rate_b1 = 1e-4f;
constexpr float check_rate_text = 1.0f;
constexpr float check_rate_block = 1.0f;

struct bench_options {
  std::string only;
  std::string json;
  int core = 0;
  bool list = false;
  bench::round_options rounds;
};

struct case_result {
  std::string name;
  std::vector<entry> entries;
  std::vector<bench::timing> timings;
};

/// All take the same steps; throws where one ends elsewhere.
void check_agreement(const std::string& name, std::vector<entry>& entries) {
  std::cout << name << ": loss after " << checked_steps << " steps:";
  float rate = check_rate_b32;
  if (name.ends_with(".b1")) rate = check_rate_b1;
  if (name.starts_with("charlstm")) rate = check_rate_text;
  if (name.starts_with("block")) rate = check_rate_block;
  for (entry& e : entries) {
    for (int i = 0; i < checked_steps; ++i) e.step(rate);
    e.loss = e.who.result();
    std::cout << "  " << e.who.name << ' ' << std::setprecision(6) << e.loss;
  }
  std::cout << std::endl;
  for (const entry& e : entries) {
    const double off = std::abs(e.loss - entries.front().loss);
    if (!(off <= e.tolerance)) {
      throw std::runtime_error(name + ": " + e.who.name + " computes something else than " +
                               entries.front().who.name);
    }
  }
}

const bench::timing* find(const case_result& c, const std::string& name) {
  for (const bench::timing& t : c.timings) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

void print(const case_result& c) {
  const bench::timing* const torch = find(c, "libtorch");
  std::cout << '\n'
            << std::left << std::setw(30) << c.name << std::right << std::setw(12) << "us/step"
            << std::setw(24) << "(best .. worst)" << std::setw(12) << "steps/s" << std::setw(14)
            << (torch != nullptr ? "x libtorch" : "") << '\n';
  for (const bench::timing& t : c.timings) {
    const double middle = bench::median(t.seconds);
    std::ostringstream spread;
    spread << std::fixed << std::setprecision(2) << '(' << bench::quantile(t.seconds, 0) * 1e6
           << " .. " << bench::quantile(t.seconds, 1) * 1e6 << ')';
    std::cout << std::left << std::setw(30) << "  " + t.name << std::right << std::fixed
              << std::setprecision(2) << std::setw(12) << middle * 1e6 << std::setw(24)
              << spread.str() << std::setprecision(1) << std::setw(12) << 1 / middle;
    if (torch != nullptr) {
      std::cout << std::setprecision(2) << std::setw(14) << bench::median(bench::ratios(t, *torch));
    }
    std::cout << std::defaultfloat << '\n';
  }
  std::cout << std::endl;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string today() {
  const std::time_t t = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::localtime(&t));
  return text;
}

/// What the figures were made on and with.
std::vector<std::pair<std::string, std::string>> circumstances(const bench_options& o) {
  return {{"machine", cpu_name()},
          {"compiler", std::string(
#ifdef __clang__
                           "clang "
#else
                           "g++ "
#endif
                           ) +
                           __VERSION__ + ", " TESSERA_BUILD_TYPE " " TESSERA_FLAGS},
          {"libtorch", steps::torch_name()},
          {"settings", peers::torch_settings()},
          {"clock", o.rounds.clock == bench::clock_kind::wall ? "wall" : "cpu"},
          {"rounds", std::to_string(o.rounds.rounds)},
          {"date", today()}};
}

void write_json(const bench_options& o, const std::vector<case_result>& results) {
  std::ofstream out(o.json);
  out << "{";
  for (const auto& [key, value] : circumstances(o)) {
    out << "\n  \"" << key << "\": \"" << value << "\",";
  }
  out << "\n  \"threads\": 1,\n  \"cases\": [";
  const char* comma = "";
  for (const case_result& c : results) {
    const bench::timing* const torch = find(c, "libtorch");
    for (std::size_t i = 0; i < c.timings.size(); ++i) {
      const bench::timing& t = c.timings[i];
      out << comma << "\n    {\"case\": \"" << c.name << "\", \"who\": \"" << t.name
          << "\", \"step_microseconds\": " << bench::median(t.seconds) * 1e6
          << ", \"best\": " << bench::quantile(t.seconds, 0) * 1e6
          << ", \"worst\": " << bench::quantile(t.seconds, 1) * 1e6
          << ", \"steps_per_second\": " << 1 / bench::median(t.seconds);
      if (torch != nullptr) {
        out << ", \"times_libtorch\": " << bench::median(bench::ratios(t, *torch));
      }
      out << ", \"checked_loss\": " << c.entries[i].loss << '}';
      comma = ",";
    }
  }
  out << "\n  ]\n}\n";
  if (!out) throw std::runtime_error("cannot write " + o.json);
}

void run_case(const std::string& name, steps::entries (*make)(), const bench_options& o,
              std::vector<case_result>& results) {
  if (o.list) std::cout << name << '\n';
  if (o.list || name.find(o.only) == std::string::npos) return;
  case_result result{name, make(), {}};
  check_agreement(name, result.entries);
  std::vector<bench::contestant> who;
  for (const entry& e : result.entries) who.push_back(e.who);
  result.timings = bench::run_rounds(who, o.rounds);
  for (const bench::timing& t : result.timings) {
    if (!std::isfinite(t.result)) throw std::runtime_error(name + ": " + t.name + " diverged");
  }
  print(result);
  results.push_back(std::move(result));
}

bench_options read_options(int argc, char** argv) {
  bench_options o;
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &allowed)) o.core = core;  // the last one: interrupts favour the first
  }
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--list") {
      o.list = true;
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error(name + ": unknown option, or its value is missing");
    const std::string value = argv[++i];
    if (name == "--case") {
      o.only = value;
    } else if (name == "--rounds") {
      o.rounds.rounds = std::stoi(value);
    } else if (name == "--slot") {
      o.rounds.slot_seconds = std::stod(value) / 1000;
    } else if (name == "--core") {
      o.core = std::stoi(value);
    } else if (name == "--json") {
      o.json = value;
    } else if (name == "--clock" && (value == "wall" || value == "cpu")) {
      o.rounds.clock = value == "wall" ? bench::clock_kind::wall : bench::clock_kind::cpu;
    } else {
      throw std::runtime_error(name + " " + value + ": unknown option");
    }
  }
  if (o.rounds.rounds < 1) throw std::runtime_error("--rounds: expected at least 1");
  return o;
}

void run(const bench_options& o) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(o.core), &one);
  sched_setaffinity(0, sizeof one, &one);
  steps::limit_torch();
  if (!o.list) {
    for (const auto& [key, value] : circumstances(o)) std::cout << key << ": " << value << '\n';
    std::cout << '\n';
  }
  std::vector<case_result> results;
  run_case("lenet5.b32", &steps::lenet5_b32, o, results);
  run_case("lenet5.b1", &steps::lenet5_b1, o, results);
  run_case("mlp784-500-250-10.b32", &steps::large_mlp_b32, o, results);
  run_case("mlp784-500-250-10.b1", &steps::large_mlp_b1, o, results);
  run_case("mlp64-64-10.b32", &steps::small_mlp_b32, o, results);
  run_case("mlp64-64-10.b1", &steps::small_mlp_b1, o, results);
  run_case("resnet20.b32", &steps::resnet20_b32, o, results);
  run_case("charlstm128.s64.b32", &steps::char_lstm_b32, o, results);
  run_case("block64h4.s64.b32", &steps::block_b32, o, results);
  if (!o.json.empty()) write_json(o, results);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const bench_options o = read_options(argc, argv);
    peers::tune(argv);
    run(o);
  } catch (const std::exception& e) {
    std::cerr << "bench_host_steps: " << e.what() << '\n';
    return 2;
  }
}
