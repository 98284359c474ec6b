#include <tessera/machine/systolic.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

using namespace tessera;

namespace {

/// A row of a table by column name.
using row = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
  return cells;
}

i64 number(const row& r, const char* column) { return std::atoll(r.at(column).c_str()); }
double real(const row& r, const char* column) { return std::atof(r.at(column).c_str()); }

dataflow flow_of(const std::string& name) {
  if (name == "os") return dataflow::output_stationary;
  return name == "ws" ? dataflow::weight_stationary : dataflow::input_stationary;
}

/// What an array did, counted cycle by cycle.
struct run_result {
  i64 cycles = 0;
  i64 a_reads = 0;
  i64 b_reads = 0;
  i64 c_writes = 0;
  std::vector<float> c;
};

/// Sums are rounded, so the order in which products are added shows.
std::vector<float> values(i64 count, u32 seed) {
  std::vector<float> v(static_cast<std::size_t>(count));
  u32 state = seed;
  for (float& x : v) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<i32>(state >> 8) % 2001 - 1000) / 7.0f;
  }
  return v;
}

/// One processing element's registers. A value that is not there moves on like any other.
struct cell {
  float value = 0;
  bool filled = false;
};

/// C (m, n) = A (m, k) B (k, n) on rows x cols elements that hold one output each: A moves right, B
/// moves down, skewed by one cycle per row and column; finished outputs leave with their fold.
run_result run_output_stationary(const systolic::product& p, i64 rows, i64 cols,
                                 const std::vector<float>& a, const std::vector<float>& b) {
  run_result result;
  result.c.resize(static_cast<std::size_t>(p.m * p.n));
  for (i64 m0 = 0; m0 < p.m; m0 += rows) {
    for (i64 n0 = 0; n0 < p.n; n0 += cols) {
      std::vector<cell> right(static_cast<std::size_t>(rows * cols));
      std::vector<cell> down(static_cast<std::size_t>(rows * cols));
      std::vector<float> sum(static_cast<std::size_t>(rows * cols));
      i64 waiting = rows * cols * p.k;  // products that have not passed, real or not
      for (i64 t = 0; waiting > 0; ++t) {
        ++result.cycles;
        // From the far corner on, so that every element still sees its neighbours' old values.
        for (i64 r = rows - 1; r >= 0; --r) {
          for (i64 c = cols - 1; c >= 0; --c) {
            const auto at = static_cast<std::size_t>(r * cols + c);
            if (c > 0) {
              right[at] = right[at - 1];
            } else {
              const i64 k = t - r;
              const bool real = k >= 0 && k < p.k && m0 + r < p.m;
              right[at] = {real ? a[static_cast<std::size_t>((m0 + r) * p.k + k)] : 0, real};
              result.a_reads += real ? 1 : 0;
            }
            if (r > 0) {
              down[at] = down[at - static_cast<std::size_t>(cols)];
            } else {
              const i64 k = t - c;
              const bool real = k >= 0 && k < p.k && n0 + c < p.n;
              down[at] = {real ? b[static_cast<std::size_t>(k * p.n + n0 + c)] : 0, real};
              result.b_reads += real ? 1 : 0;
            }
            const i64 k = t - r - c;
            if (k >= 0 && k < p.k) --waiting;
            if (right[at].filled && down[at].filled) {
              sum[at] = std::fma(right[at].value, down[at].value, sum[at]);
            }
          }
        }
      }
      for (i64 r = 0; r < rows && m0 + r < p.m; ++r) {
        for (i64 c = 0; c < cols && n0 + c < p.n; ++c) {
          result.c[static_cast<std::size_t>((m0 + r) * p.n + n0 + c)] =
              sum[static_cast<std::size_t>(r * cols + c)];
          ++result.c_writes;
        }
      }
    }
  }
  return result;
}

/// The same with B in place: each fold first shifts its piece of B in from the top, then A moves
/// right and partial sums move down and out at the bottom, where they are added to what is there.
run_result run_weight_stationary(const systolic::product& p, i64 rows, i64 cols,
                                 const std::vector<float>& a, const std::vector<float>& b) {
  run_result result;
  result.c.resize(static_cast<std::size_t>(p.m * p.n));
  for (i64 k0 = 0; k0 < p.k; k0 += rows) {
    for (i64 n0 = 0; n0 < p.n; n0 += cols) {
      std::vector<float> held(static_cast<std::size_t>(rows * cols));
      for (i64 t = 0; t < rows; ++t) {
        ++result.cycles;
        for (i64 r = rows - 1; r >= 0; --r) {
          for (i64 c = 0; c < cols; ++c) {
            const auto at = static_cast<std::size_t>(r * cols + c);
            if (r > 0) {
              held[at] = held[at - static_cast<std::size_t>(cols)];
              continue;
            }
            const i64 k = k0 + rows - 1 - t;  // the lowest row goes first
            const bool real = k < p.k && n0 + c < p.n;
            held[at] = real ? b[static_cast<std::size_t>(k * p.n + n0 + c)] : 0;
            result.b_reads += real ? 1 : 0;
          }
        }
      }
      std::vector<cell> right(static_cast<std::size_t>(rows * cols));
      std::vector<cell> down(static_cast<std::size_t>(rows * cols));
      i64 leaving = p.m * cols;  // sums that have not left at the bottom
      for (i64 t = 0; leaving > 0; ++t) {
        ++result.cycles;
        for (i64 r = rows - 1; r >= 0; --r) {
          for (i64 c = cols - 1; c >= 0; --c) {
            const auto at = static_cast<std::size_t>(r * cols + c);
            const i64 m = t - r;  // which row of A enters at array row r
            if (c > 0) {
              right[at] = right[at - 1];
            } else {
              const bool real = m >= 0 && m < p.m && k0 + r < p.k;
              right[at] = {real ? a[static_cast<std::size_t>(m * p.k + k0 + r)] : 0,
                           m >= 0 && m < p.m};
              result.a_reads += real ? 1 : 0;
            }
            const float above = r > 0 ? down[at - static_cast<std::size_t>(cols)].value : 0.0f;
            down[at] = {std::fma(right[at].value, held[at], above), right[at].filled};
            if (r + 1 < rows || !down[at].filled) continue;
            --leaving;
            const i64 m_out = t - r - c;
            if (n0 + c >= p.n) continue;
            float& sum = result.c[static_cast<std::size_t>(m_out * p.n + n0 + c)];
            sum = k0 == 0 ? down[at].value : sum + down[at].value;
            ++result.c_writes;
          }
        }
      }
    }
  }
  return result;
}

std::vector<float> transposed(const std::vector<float>& x, i64 rows, i64 cols) {
  std::vector<float> y(x.size());
  for (i64 r = 0; r < rows; ++r) {
    for (i64 c = 0; c < cols; ++c) {
      y[static_cast<std::size_t>(c * rows + r)] = x[static_cast<std::size_t>(r * cols + c)];
    }
  }
  return y;
}

}  // namespace

TEST_CASE("the closed form equals every published row of SCALE-Sim", "[machine]") {
  std::ifstream file(std::string(TESSERA_TEST_DATA) + "/accelerator/scalesim_open.csv");
  REQUIRE(file.good());
  std::string line;
  std::getline(file, line);
  const std::vector<std::string> columns = split(line);
  i64 rows = 0;
  i64 wrong = 0;
  while (std::getline(file, line)) {
    std::vector<std::string> cells = split(line);
    cells.resize(columns.size());
    row r;
    for (std::size_t i = 0; i < columns.size(); ++i) r[columns[i]] = cells[i];
    const systolic::product p{number(r, "M"), number(r, "N"), number(r, "K")};
    const i64 height = number(r, "array_rows");
    const i64 width = number(r, "array_cols");
    const systolic::cost c =
        systolic::price(p, height, width, flow_of(r["dataflow"]), fold_mode::scalesim);
    // SCALE-Sim prints the number of its last line, and utilisation over that.
    const double printed_utilization = 100.0 * static_cast<double>(p.macs()) /
                                       static_cast<double>((c.cycles - 1) * height * width);
    const bool equal =
        c.spatial_rows == number(r, "Sr") && c.spatial_cols == number(r, "Sc") &&
        c.time == number(r, "T") && c.row_folds == number(r, "row_folds") &&
        c.col_folds == number(r, "col_folds") &&
        c.cycles_per_fold == number(r, "cycles_per_fold") &&
        c.cycles == number(r, "compute_cycles") && c.cycles - 1 == number(r, "reported_cycles") &&
        p.macs() == number(r, "macs") && c.a_reads == number(r, "ifmap_sram_reads") &&
        c.b_reads == number(r, "filter_sram_reads") &&
        c.c_writes == number(r, "ofmap_sram_writes_true") &&
        std::abs(100 * systolic::mapping_efficiency(c, height, width) -
                 real(r, "mapping_eff_pct")) < 1e-5 &&
        std::abs(printed_utilization - real(r, "overall_util_pct")) < 1e-5;
    if (!equal) UNSCOPED_INFO(line);
    wrong += equal ? 0 : 1;
    ++rows;
  }
  CHECK(rows > 4000);
  CHECK(wrong == 0);
}

TEST_CASE("the closed form equals arrays that move values, cycle by cycle", "[machine]") {
  i64 wrong = 0;
  i64 wrong_sums = 0;
  for (const auto& [rows, cols] : {std::pair<i64, i64>{1, 1}, {2, 3}, {4, 4}, {5, 7}, {3, 1}}) {
    for (i64 m = 1; m <= 11; m += 2) {
      for (i64 n = 1; n <= 9; n += 2) {
        for (i64 k = 1; k <= 10; k += 3) {
          const systolic::product p{m, n, k};
          const std::vector<float> a = values(m * k, 1);
          const std::vector<float> b = values(k * n, 2);
          const auto same = [&](const run_result& run, const systolic::cost& c) {
            return run.cycles == c.cycles && run.a_reads == c.a_reads && run.b_reads == c.b_reads &&
                   run.c_writes == c.c_writes;
          };
          const run_result os = run_output_stationary(p, rows, cols, a, b);
          wrong += same(os, systolic::price(p, rows, cols, dataflow::output_stationary,
                                            fold_mode::scalesim))
                       ? 0
                       : 1;
          const run_result ws = run_weight_stationary(p, rows, cols, a, b);
          wrong += same(ws, systolic::price(p, rows, cols, dataflow::weight_stationary,
                                            fold_mode::scalesim))
                       ? 0
                       : 1;
          // Inputs in place: the transposed product with weights in place.
          run_result is = run_weight_stationary({n, m, k}, rows, cols, transposed(b, k, n),
                                                transposed(a, m, k));
          std::swap(is.a_reads, is.b_reads);
          wrong += same(is, systolic::price(p, rows, cols, dataflow::input_stationary,
                                            fold_mode::scalesim))
                       ? 0
                       : 1;
          for (i64 i = 0; i < m * n; ++i) {
            float chain = 0;  // outputs in place: one chain over k
            float folds = 0;  // weights in place: one chain per fold
            for (i64 k0 = 0; k0 < k; k0 += rows) {
              float fold = 0;
              for (i64 j = k0; j < k && j < k0 + rows; ++j) {
                const float x = a[static_cast<std::size_t>(i / n * k + j)];
                const float y = b[static_cast<std::size_t>(j * n + i % n)];
                chain = std::fma(x, y, chain);
                fold = std::fma(x, y, fold);
              }
              folds = k0 == 0 ? fold : folds + fold;
            }
            wrong_sums += os.c[static_cast<std::size_t>(i)] == chain ? 0 : 1;
            wrong_sums += ws.c[static_cast<std::size_t>(i)] == folds ? 0 : 1;
          }
        }
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(wrong_sums == 0);
}

TEST_CASE("folds that follow without a gap take no longer and never less than the work",
          "[machine]") {
  for (const dataflow flow :
       {dataflow::output_stationary, dataflow::weight_stationary, dataflow::input_stationary}) {
    for (i64 size = 1; size < 200; size += 13) {
      const systolic::product p{size, 2 * size + 1, 3 * size};
      const auto gaps = systolic::price(p, 8, 16, flow, fold_mode::scalesim);
      const auto dense = systolic::price(p, 8, 16, flow, fold_mode::pipelined);
      CHECK(dense.cycles <= gaps.cycles);
      CHECK(dense.cycles >= p.macs() / (8 * 16));
      CHECK(systolic::utilization(p, dense, 8, 16) <= 1);
    }
  }
  // One fold of 4 x 4 outputs, 100 products deep: fill and drain of 6 cycles.
  STATIC_REQUIRE(
      systolic::price({4, 4, 100}, 4, 4, dataflow::output_stationary, fold_mode::pipelined)
          .cycles == 106);
  // 3 folds with weights in place: the first load of 4 rows shows, the others are hidden.
  STATIC_REQUIRE(
      systolic::price({100, 4, 12}, 4, 4, dataflow::weight_stationary, fold_mode::pipelined)
          .cycles == 3 * 100 + 4 + 4 - 2 + 4);
  // Two of three folds over K read back what the one before has written.
  STATIC_REQUIRE(
      systolic::price({100, 4, 12}, 4, 4, dataflow::weight_stationary, fold_mode::pipelined)
          .partial_reads == 2 * 400);
}

TEST_CASE("transposing product and array changes nothing", "[machine]") {
  for (i64 m = 1; m < 40; m += 6) {
    for (i64 n = 1; n < 40; n += 5) {
      const systolic::product p{m, n, 9};
      const systolic::product t{n, m, 9};
      for (const fold_mode mode : {fold_mode::scalesim, fold_mode::pipelined}) {
        if (mode == fold_mode::scalesim) {
          CHECK(systolic::price(p, 4, 7, dataflow::output_stationary, mode).cycles ==
                systolic::price(t, 7, 4, dataflow::output_stationary, mode).cycles);
        }
        CHECK(systolic::price(p, 4, 7, dataflow::weight_stationary, mode).cycles ==
              systolic::price(t, 4, 7, dataflow::input_stationary, mode).cycles);
      }
    }
  }
}
