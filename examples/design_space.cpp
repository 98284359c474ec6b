// Which accelerator for which network? Sweeps the tiles, their memory, the matrix unit and the
// clock of a machine, prices a whole step on each, and draws the Pareto front of cycles against
// energy and on-chip memory.
//
//   design_space                                           ResNet-50 and an LSTM, 240 machines each
//   design_space --models alexnet --mode inference --svg front.svg --report front.json
//   design_space --machine tpu_v1 --tiles 1,2,4 --sram 4096,16384 --arrays 64x64,128x128,256x256
//
// The graph is made, differentiated and planned once; a point is the price of its signatures,
// mapped anew for every machine. Where larger memories take more energy per byte (--sram-energy
// scaled, the default) a byte of a tile with K KiB takes 1.25 + 0.0458 (K - 8) pJ beside that of
// the machine one starts from: 1.25 pJ at 8 KiB as Horowitz (ISSCC 2014) has it, with the slope
// that Eyeriss' access energies have by size. A machine holds a step where its tiles have room for
// it, or where there is memory beside the chip, whose traffic is priced then.

#include <tessera/report/pareto.hpp>
#include <tessera/report/price_list.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "support/command_words.hpp"
#include "support/priced_step.hpp"

namespace ts = tessera;

namespace {

constexpr const char* help =
    "  --models NAMES     networks of the zoo with commas (default: resnet50,lstm100)\n"
    "  --mode M           training (the whole step, the default), inference\n"
    "  --batch N          samples of a step (default: the network's own)\n"
    "  --precision P      fp32, fp16 (mixed, the default), bf16 (mixed), half, int8 (inference)\n"
    "  --optimizer O      sgd, momentum, adam\n"
    "  --machine NAME     what all points have but for the following: a name, or a\n"
    "                     file NAME.json (default: ipu_mk1)\n"
    "  --tiles N,N,...    numbers of tiles\n"
    "  --sram N,N,...     KiB of memory of a tile\n"
    "  --arrays IxO,...   matrix units: inputs x outputs at a time, or rows x columns of an array\n"
    "  --clocks N,N,...   MHz\n"
    "  --time T           the first cost: cycles (the default), microseconds\n"
    "  --sram-energy S    of a byte: scaled with the memory (the default), fixed\n"
    "  --threads N        points priced at a time; no result depends on it\n"
    "  --svg FILE         all points and the front (SVG)\n"
    "  --report FILE      the same as data (JSON)\n";

struct array_shape {
  ts::i32 rows = 0;  // inputs at a time of dot products
  ts::i32 cols = 0;
};

array_shape own_array(const ts::matrix_unit& u) {
  switch (u.form) {
    case ts::matrix_form::amp: return {u.f16.in_group, u.f16.out_group};
    case ts::matrix_form::systolic: return {u.rows, u.cols};
    case ts::matrix_form::dots: return {u.dots.in_group, u.dots.out_group};
  }
  return {};
}

struct command_line {
  std::vector<std::string> models{"resnet50", "lstm100"};
  examples::step_question asked;
  ts::machine machine = ts::accelerator::ipu_mk1;
  std::vector<ts::i32> tiles, sram, clocks;  // KiB, MHz
  std::vector<array_shape> arrays;
  std::string time = "cycles";
  std::string sram_energy = "scaled";
  int threads = 1;
  std::string svg, report;
};

std::vector<array_shape> parse_arrays(const std::string& option, const std::string& list) {
  std::vector<array_shape> all;
  for (const std::string& part : examples::split_list(list)) {
    const std::size_t cross = part.find('x');
    if (cross == std::string::npos) {
      throw ts::error(option + ": expected shapes as 16x8, got \"" + part + "\"");
    }
    all.push_back({examples::parse_number<ts::i32>(option, part.substr(0, cross), 1),
                   examples::parse_number<ts::i32>(option, part.substr(cross + 1), 1)});
  }
  return all;
}

command_line parse(int argc, char** argv) {
  command_line c;
  for (examples::command_words words(argc, argv, help); words.next();) {
    const std::string& name = words.name();
    if (examples::take_step_option(words, c.asked)) continue;
    if (name == "--models") {
      c.models = examples::split_list(words.value());
      for (const std::string& model : c.models) examples::network_called(model);
    } else if (name == "--machine") {
      c.machine = examples::machine_called(words.value());
    } else if (name == "--tiles") {
      c.tiles = examples::parse_list<ts::i32>(name, words.value(), 1);
    } else if (name == "--sram") {
      c.sram = examples::parse_list<ts::i32>(name, words.value(), 1);
    } else if (name == "--clocks") {
      c.clocks = examples::parse_list<ts::i32>(name, words.value(), 1);
    } else if (name == "--arrays") {
      c.arrays = parse_arrays(name, words.value());
    } else if (name == "--time") {
      words.choice(c.time, {"cycles", "microseconds"});
    } else if (name == "--sram-energy") {
      words.choice(c.sram_energy, {"scaled", "fixed"});
    } else if (name == "--threads") {
      words.number(c.threads, 1);
    } else if (name == "--svg") {
      words.file(c.svg);
    } else if (name == "--report") {
      words.file(c.report);
    } else {
      words.refuse();
    }
  }
  // Without ranges of one's own: from a quarter to four times of what the machine has.
  const auto around = [](std::vector<ts::i32>& range, ts::i64 middle, bool wide) {
    if (!range.empty()) return;
    for (const ts::i64 sixteenths : {2, 4, 8, 16, 32, 64}) {
      if (!wide && sixteenths == 2) continue;
      range.push_back(static_cast<ts::i32>(std::max<ts::i64>(1, middle * sixteenths / 16)));
    }
    range.erase(std::unique(range.begin(), range.end()), range.end());
  };
  const ts::machine& m = c.machine;
  around(c.tiles, m.tiles, true);
  around(c.sram, m.tile_bytes / 1024, false);
  if (c.clocks.empty()) c.clocks.push_back(static_cast<ts::i32>(m.clock_hz / 1'000'000));
  if (c.arrays.empty()) {
    const array_shape own = own_array(m.matrix);
    for (const auto& [rows, cols] :
         {std::pair{1, 2}, {2, 1}, {2, 2}, {2, 4}, {4, 2}, {4, 4}, {4, 8}, {8, 8}}) {
      const array_shape shape{std::max(1, own.rows * rows / 2), std::max(1, own.cols * cols / 2)};
      c.arrays.push_back(shape);
    }
  }
  return c;
}

/// One machine of the sweep.
struct design {
  ts::machine on;
  array_shape array;
};

/// pJ per byte of a memory of so many KiB, times 1,000.
double energy_of_byte(double kib) { return 1250 + 45.8 * (kib - 8); }

design make_design(const command_line& c, ts::i32 tiles, ts::i32 kib, array_shape array,
                   ts::i32 mhz) {
  design d{c.machine, array};
  ts::machine& m = d.on;
  m.tiles = tiles;
  m.tile_bytes = ts::i64{1024} * kib;
  m.clock_hz = ts::i64{1'000'000} * mhz;
  if (c.sram_energy == "scaled") {
    const double base = energy_of_byte(static_cast<double>(c.machine.tile_bytes) / 1024);
    m.energy.sram_byte =
        static_cast<ts::i32>(m.energy.sram_byte * energy_of_byte(kib) / base + 0.5);
  }
  if (m.matrix.form == ts::matrix_form::amp) {  // words of 32 bits as many fewer as they were
    const ts::matrix_unit& own = c.machine.matrix;
    const auto in_ratio = [&](ts::i32 now, ts::i32 then, ts::i32 f32) {
      return std::max(1, now * f32 / std::max(1, then));
    };
    m.matrix.f32.in_group = in_ratio(array.rows, own.f16.in_group, own.f32.in_group);
    m.matrix.f32.out_group = in_ratio(array.cols, own.f16.out_group, own.f32.out_group);
    m.matrix.f16.in_group = array.rows;
    m.matrix.f16.out_group = array.cols;
  } else if (m.matrix.form == ts::matrix_form::systolic) {
    m.matrix.rows = array.rows;
    m.matrix.cols = array.cols;
  } else {  // as many more multiplications a cycle as the micro-block is larger
    ts::dot_units& dots = m.matrix.dots;
    const ts::i64 was = ts::i64{dots.in_group} * dots.out_group;
    const ts::i64 now = ts::i64{array.rows} * array.cols;
    for (ts::i32* macs : {&dots.macs_i8, &dots.macs_f16, &dots.macs_f32}) {
      if (*macs > 0) *macs = static_cast<ts::i32>(std::max<ts::i64>(1, *macs * now / was));
    }
    dots.in_group = array.rows;
    dots.out_group = array.cols;
  }
  return d;
}

std::vector<design> designs_of(const command_line& c) {
  std::vector<design> all;
  for (const ts::i32 tiles : c.tiles) {
    for (const ts::i32 kib : c.sram) {
      for (const array_shape& array : c.arrays) {
        for (const ts::i32 mhz : c.clocks) all.push_back(make_design(c, tiles, kib, array, mhz));
      }
    }
  }
  return all;
}

double sram_mib(const ts::machine& m) {
  return static_cast<double>(m.tiles) * static_cast<double>(m.tile_bytes) / (1 << 20);
}

std::string name_of(const design& d) {
  return std::to_string(d.on.tiles) + " tiles of " + std::to_string(d.on.tile_bytes / 1024) +
         " KiB, " + std::to_string(d.array.rows) + "x" + std::to_string(d.array.cols) + ", " +
         std::to_string(d.on.clock_hz / 1'000'000) + " MHz";
}

/// Prices all designs; equal results for any number of threads.
std::vector<ts::accelerator::step_price> price_all(const std::vector<design>& designs,
                                                   const ts::accelerator::step_signatures& step,
                                                   ts::i64 bytes, [[maybe_unused]] int threads) {
  std::vector<ts::accelerator::step_price> prices(designs.size());
  const auto count = static_cast<std::ptrdiff_t>(designs.size());
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
#endif
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    prices[at] = ts::accelerator::price(designs[at].on, step, bytes);
  }
  return prices;
}

void print_front(const ts::design_study& study, const std::vector<design>& designs,
                 const std::vector<ts::accelerator::step_price>& prices) {
  std::vector<std::vector<std::string>> rows{
      {"tiles", "KiB", "array", "MHz", study.costs[0], "energy", "SRAM MiB", "vertices"}};
  std::vector<std::size_t> front;
  for (std::size_t i = 0; i < study.points.size(); ++i) {
    if (study.points[i].best) front.push_back(i);
  }
  std::stable_sort(front.begin(), front.end(), [&](std::size_t a, std::size_t b) {
    return study.points[a].cost < study.points[b].cost;
  });
  for (const std::size_t i : front) {
    const design& d = designs[i];
    rows.push_back({std::to_string(d.on.tiles), std::to_string(d.on.tile_bytes / 1024),
                    std::to_string(d.array.rows) + "x" + std::to_string(d.array.cols),
                    std::to_string(d.on.clock_hz / 1'000'000),
                    ts::detail::with_commas(static_cast<ts::i64>(study.points[i].cost[0])),
                    ts::detail::spell_scaled(static_cast<double>(prices[i].energy_fJ) * 1e-15, "J"),
                    ts::detail::spell_fixed(sram_mib(d.on), 1),
                    ts::detail::with_commas(prices[i].vertices)});
  }
  ts::detail::write_columns(std::cout, rows, 0);
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run("design_space", [&] {
    const command_line c = parse(argc, argv);
    examples::check_precision(c.asked);
    const std::vector<design> designs = designs_of(c);
    std::vector<ts::design_study> studies;
    ts::io::json report{{"example", "design_space"}, {"machine", c.machine.name}};
    report["studies"] = ts::io::json::array();
    for (const std::string& model : c.models) {
      examples::step_question q = c.asked;
      q.model = model;
      const examples::made_step made = examples::make_step(q);
      const ts::accelerator::step_signatures step = ts::accelerator::sign_step(made.step);
      const auto start = std::chrono::steady_clock::now();
      const std::vector<ts::accelerator::step_price> prices =
          price_all(designs, step, made.memory.total_bytes, c.threads);
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

      ts::design_study study;
      study.title = model + ", " + q.mode + " in " + q.precision + ", batch " +
                    std::to_string(q.batch_size()) + ", machines like " + c.machine.name;
      study.costs = {c.time, "mJ", "SRAM MiB"};
      std::size_t fit = 0;
      for (std::size_t i = 0; i < designs.size(); ++i) {
        const ts::machine& m = designs[i].on;
        const ts::accelerator::step_price& p = prices[i];
        const double first = c.time == "cycles" ? static_cast<double>(p.cycles())
                                                : 1e6 * ts::accelerator::seconds(m, p);
        const bool fits = ts::accelerator::fits(made.memory, p.peak_tile_bytes, m) ||
                          ts::accelerator::lies_off_chip(m, made.memory.total_bytes);
        fit += fits ? 1 : 0;
        study.points.push_back({name_of(designs[i]),
                                {first, static_cast<double>(p.energy_fJ) * 1e-12, sram_mib(m)},
                                fits,
                                false});
      }
      if (fit == 0) {
        for (ts::design_point& p : study.points) p.allowed = true;
      }
      ts::find_front(study);
      const auto best = std::count_if(study.points.begin(), study.points.end(),
                                      [](const ts::design_point& p) { return p.best; });
      const auto rate = static_cast<double>(designs.size()) / std::max(1e-9, seconds);
      std::cout << study.title << "\n";
      if (fit == 0) std::cout << "the step fits none of them; the front is that of all\n";
      print_front(study, designs, prices);
      std::printf(
          "%zu points, %zu hold the step, %td on the front; %d signatures, %.1f points/s "
          "(%.2f ms a point) on %d thread%s\n\n",
          designs.size(), fit, best, step.distinct.size(), rate, 1e3 / rate, c.threads,
          c.threads == 1 ? "" : "s");
      std::fflush(stdout);
      ts::io::json row = ts::to_json(study);
      row["model"] = model;
      row["mode"] = q.mode;
      row["precision"] = q.precision;
      row["batch"] = q.batch_size();
      row["points_per_second"] = rate;
      report["studies"].push_back(row);
      studies.push_back(std::move(study));
    }
    if (!c.svg.empty()) {
      std::ostringstream text;
      ts::write_pareto_svg(text, studies);
      ts::io::write_file(c.svg, text.str());
    }
    if (!c.report.empty()) ts::io::write_json(c.report, report);
  });
}
