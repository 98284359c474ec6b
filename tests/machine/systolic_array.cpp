#include <tessera/machine/systolic.hpp>

#include <support/catch.hpp>

#include <cstring>
#include <memory>

#include "array_model.hpp"

using namespace tessera;
using testing::array_model;
using testing::array_run;

namespace {

constexpr i32 most = array_model::most;

/// Sums of every length up to `most` for every output, in the two orders that an array has.
struct expected_sums {
  float chain[most + 1][most][most] = {};                              // [k][m][n]
  float folds[array_model::most_rows + 1][most + 1][most][most] = {};  // [rows][k][m][n]

  explicit expected_sums(const array_model& of) {
    for (i32 m = 0; m < most; ++m) {
      for (i32 n = 0; n < most; ++n) {
        for (i32 k = 0; k < most; ++k) {
          chain[k + 1][m][n] = std::fma(of.a[m][k], of.b[k][n], chain[k][m][n]);
        }
        for (i32 rows = 1; rows <= array_model::most_rows; ++rows) {
          float total = 0;
          float fold = 0;
          for (i32 k = 0; k < most; ++k) {
            fold = std::fma(of.a[m][k], of.b[k][n], fold);
            const float with = k < rows ? fold : total + fold;
            folds[rows][k + 1][m][n] = with;
            if ((k + 1) % rows == 0) total = with, fold = 0;
          }
        }
      }
    }
  }
};

/// Sums are rounded, so the order in which products are added shows.
void fill(array_model& model) {
  u32 state = 1;
  const auto next = [&] {
    state = state * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<i32>(state >> 8) % 2001 - 1000) / 7.0f;
  };
  for (auto& row : model.a) {
    for (float& x : row) x = next();
  }
  for (auto& row : model.b) {
    for (float& x : row) x = next();
  }
}

bool same(const array_run& run, const systolic::cost& c) {
  return run.cycles == c.cycles && run.a_reads == c.a_reads && run.b_reads == c.b_reads &&
         run.c_writes == c.c_writes && run.partial_reads == c.partial_reads;
}

bool same(const float (&got)[most][most], const float (&expected)[most][most], i32 m, i32 n) {
  bool equal = true;
  for (i32 i = 0; i < m; ++i) {
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(float);
    equal = equal && std::memcmp(got[i], expected[i], bytes) == 0;
  }
  return equal;
}

}  // namespace

TEST_CASE("the closed form equals arrays that move values, for all shapes up to 20 x 20 x 20",
          "[machine]") {
  const auto model = std::make_unique<array_model>();
  fill(*model);
  const auto sums = std::make_unique<expected_sums>(*model);
  i64 runs = 0;
  i64 wrong_counts = 0;
  i64 wrong_bits = 0;
  for (i32 rows = 1; rows <= array_model::most_rows; ++rows) {
    for (i32 cols = 1; cols <= array_model::most_cols; ++cols) {
      for (i32 m = 1; m <= most; ++m) {
        for (i32 n = 1; n <= most; ++n) {
          for (i32 k = 1; k <= most; ++k) {
            for (const dataflow flow : {dataflow::output_stationary, dataflow::weight_stationary,
                                        dataflow::input_stationary}) {
              const array_run run = model->run(flow, m, n, k, rows, cols);
              const auto& expected =
                  flow == dataflow::output_stationary ? sums->chain[k] : sums->folds[rows][k];
              const auto c = systolic::price({m, n, k}, rows, cols, flow, fold_mode::scalesim);
              wrong_counts += same(run, c) ? 0 : 1;
              wrong_bits += same(model->c, expected, m, n) ? 0 : 1;
              ++runs;
            }
          }
        }
      }
    }
  }
  CHECK(runs == 3 * 35 * 8000);
  CHECK(wrong_counts == 0);
  CHECK(wrong_bits == 0);
}
