// Published figures of machines, held against the formulas that price them. Files of figures are
// looked for in $TESSERA_REFERENCE/accelerator.

#include <tessera/data/csv.hpp>
#include <tessera/machine.hpp>

#include <support/catch.hpp>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>

using namespace tessera;

namespace {

/// A table of reference figures; none where it is not at hand, which is said.
std::optional<data::csv_table> reference_table(const std::string& name) {
  const char* const folder = std::getenv("TESSERA_REFERENCE");
  const std::filesystem::path path =
      std::filesystem::path(folder != nullptr ? folder : "") / "accelerator" / name;
  if (folder == nullptr || !std::filesystem::exists(path)) {
    WARN("left out: no " << name << " in $TESSERA_REFERENCE/accelerator");
    return std::nullopt;
  }
  return data::read_csv(path, {.header = true});
}

/// A row of a table by column name.
class named_row {
 public:
  named_row(const data::csv_table& table, i64 row) : table_(table), row_(row) {}

  std::string text(const char* column) const {
    const auto& names = table_.header();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == column) return std::string(table_.cell(row_, static_cast<i32>(i)));
    }
    throw error(table_.name() + ": no column " + column);
  }
  bool has(const char* column) const { return !text(column).empty(); }
  double real(const char* column) const { return std::stod(text(column)); }
  i32 whole(const char* column) const { return std::stoi(text(column)); }

 private:
  const data::csv_table& table_;
  i64 row_;
};

/// Positions along an axis as the workbook multiplies them out: without padding a window that hangs
/// over the edge is none, which the table's own count has in AlexNet's first layer.
i64 positions(i32 stated, i32 cells, i32 taps, i32 stride, i32 pad) {
  const i64 rounded_up = systolic::ceil_div(cells - taps, stride) + 1;
  return pad == 0 && stated == rounded_up ? (cells - taps) / stride + 1 : stated;
}

bool within(double ours, double published, double share) {
  return std::abs(ours - published) <= share * published + 1;
}

}  // namespace

TEST_CASE("NVDLA's published layers take the cycles that its workbook states", "[machine]") {
  const auto table = reference_table("nvdla_published_layers.csv");
  if (!table) return;
  const machine& m = accelerator::nvdla_full;
  constexpr i64 fc_batch = 16;  // the workbook's
  i64 priced = 0;
  i64 wrong = 0;
  double alexnet = 0;  // cycles in all; of the other networks rows are missing
  for (i64 i = 0; i < table->rows(); ++i) {
    const named_row row(*table, i);
    INFO(row.text("network") << ' ' << row.text("layer"));
    // Bytes arrive at so many KiB in 1,000 cycles.
    const double dram = static_cast<double>(
        offchip_cost::cycles_at(m.clock_hz, std::llround(1024 * row.real("dram_traffic_KiB")),
                                m.offchip.read_bytes_per_second));
    const bool moves = within(dram, row.real("dram_cycles"), 0.01);
    CHECK(moves);
    wrong += moves ? 0 : 1;
    const double sram = std::max(row.real("sram_read_cycles"), row.real("sram_write_cycles"));
    if (!row.has("mac_cycles")) continue;  // part of a combined layer that follows
    double macs = 0;
    if (row.text("kind") == "pool") {
      macs = 0;
    } else if (row.text("kind") == "fc") {  // filters of a batch count together
      const i64 inputs = i64{row.whole("C")} * row.whole("R") * row.whole("S");
      macs = static_cast<double>(
                 dots_cost::product(m, 1, inputs, row.whole("K") * fc_batch, element::int8)) /
             static_cast<double>(fc_batch);
    } else {
      const dots_cost::window w{row.whole("R"), row.whole("S"), row.whole("stride_h"),
                                row.whole("stride_w")};
      const i32 pad = row.whole("pad");
      const i64 field = positions(row.whole("P"), row.whole("H"), w.kernel_h, w.stride_h, pad) *
                        positions(row.whole("Q"), row.whole("W"), w.kernel_w, w.stride_w, pad);
      macs = static_cast<double>(dots_cost::product(m, field, row.whole("C") * w.taps(),
                                                    row.whole("K"), element::int8, w));
    }
    const bool multiplies = within(macs, row.real("mac_cycles"), 0.01);
    const bool longest = within(std::max({macs, dram, sram}), row.real("max_cycles"), 0.01);
    CHECK(multiplies);
    CHECK(longest);
    wrong += multiplies && longest ? 0 : 1;
    if (row.text("network") == "AlexNet") alexnet += std::max({macs, dram, sram});
    ++priced;
  }
  CHECK(priced >= 90);
  // The workbook's 1,690.69 pictures a second.
  CHECK(static_cast<double>(m.clock_hz) / alexnet == Approx(1690.69).epsilon(0.01));
  CHECK(wrong == 0);
}

TEST_CASE("NVDLA reads a layer's input from SRAM at the rate of its port", "[machine]") {
  // Inputs of AlexNet's second to fourth convolution and of two layers of ResNet-50, and the cycles
  // that the workbook states for them.
  const machine& m = accelerator::nvdla_full;
  for (const auto& [bytes, cycles] : {std::pair<i64, i64>{48 * 27 * 27, 1367},
                                      {256 * 13 * 13, 1690},
                                      {192 * 13 * 13, 1268},
                                      {64 * 56 * 56, 7840},
                                      {256 * 56 * 56, 31360}}) {
    const i64 ours = exchange_cost::transfer(m.exchange, bytes) - m.exchange.startup_cycles;
    CHECK(within(static_cast<double>(ours), static_cast<double>(cycles), 0.01));
  }
}

TEST_CASE("a TPU waits for weights as long as published", "[machine]") {
  // Jouppi et al., ISCA 2017, Tables 1 and 3: batch and weights; shares of all cycles in percent;
  // operations per second in 10^12. Shares are of what is not spent outside of the matrix unit.
  struct application {
    const char* name;
    i64 rows;  // that meet each weight: multiply-adds per weight byte
    i64 weights;
    double active, stall, shift, other;
    double teraops;
    double tolerance;  // of teraops; 0: not asked for
  };
  constexpr application all[] = {
      {"MLP0", 200, 20'000'000, 12.7, 53.9, 15.9, 17.5, 12.3, 0.15},
      {"MLP1", 168, 5'000'000, 10.6, 44.2, 13.4, 31.9, 9.7, 0.25},
      {"LSTM0", 64, 52'000'000, 8.2, 58.1, 15.8, 17.9, 3.7, 0.25},
      {"LSTM1", 96, 34'000'000, 10.5, 62.1, 17.1, 10.3, 2.8, 0},
      {"CNN0", 2888, 8'000'000, 78.2, 0, 0, 21.8, 86.0, 0.15},
  };
  const machine& m = accelerator::tpu_v1;
  for (const application& a : all) {
    INFO(a.name);
    // One stream of weights: how they are cut into layers is not published.
    const auto w = offchip_cost::streamed(m, a.rows, a.weights, 1, element::int8, false);
    const auto share = [&](i64 cycles) {
      return (100 - a.other) * static_cast<double>(cycles) / static_cast<double>(w.period());
    };
    CHECK(std::abs(share(w.active) - a.active) < 5);
    CHECK(std::abs(share(w.shift) - a.shift) < 5);
    CHECK(std::abs(share(w.stall) - a.stall) < 5);
    const double seconds = static_cast<double>(w.cycles()) / static_cast<double>(m.clock_hz);
    const double teraops =
        2e-12 * static_cast<double>(a.rows * w.folds) * m.matrix.rows * m.matrix.cols / seconds;
    if (a.tolerance > 0) CHECK(std::abs(teraops - a.teraops) < a.tolerance * a.teraops);
  }
}

TEST_CASE("operands that stream in beside an array stall it as long as simulated", "[machine]") {
  const auto table = reference_table("scalesim_user_bw.csv");
  if (!table) return;
  i64 rows = 0;
  i64 close = 0;
  for (i64 i = 0; i < table->rows(); ++i) {
    const named_row row(*table, i);
    const i64 rate = row.whole("dram_words_per_cycle_per_operand");
    const i64 half = row.whole("buffer_kB_each") * 1024 / 2;
    const dataflow flow =
        row.text("dataflow") == "os" ? dataflow::output_stationary : dataflow::weight_stationary;
    const auto c =
        systolic::price({row.whole("layer_M"), row.whole("layer_N"), row.whole("layer_K")}, 16, 16,
                        flow, fold_mode::scalesim);
    CHECK(c.cycles == row.whole("compute_cycles"));
    const i64 predicted = offchip_cost::overlapped(c.cycles - 1, rate,
                                                   {{row.whole("ifmap_dram_reads"), half},
                                                    {row.whole("filter_dram_reads"), half},
                                                    {row.whole("ofmap_dram_writes"), half}});
    CHECK(std::abs(static_cast<double>(predicted) - row.real("pred_max_formula")) <= 1);
    const double ratio = row.real("reported_total_cycles") / static_cast<double>(predicted);
    INFO(row.text("scalesim_version") << ' ' << row.text("dataflow") << " ratio " << ratio);
    CHECK(ratio > 0.9999);
    CHECK(ratio < 1.21);  // version 3 adds some stalls twice
    if (row.text("scalesim_version") == "2") CHECK(ratio < 1.18);
    close += ratio < 1.045 ? 1 : 0;
    ++rows;
  }
  CHECK(rows >= 33);
  CHECK(close * 100 >= rows * 75);
}
