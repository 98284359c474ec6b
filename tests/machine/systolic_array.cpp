#include <tessera/machine/systolic.hpp>

#include <support/catch.hpp>

#include <cstring>
#include <memory>

#include "array_model.hpp"
#include "pipelined_array.hpp"

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

TEST_CASE("folds may follow one another as closely as the closed form says, and no closer",
          "[machine]") {
  const auto model = std::make_unique<array_model>();
  fill(*model);
  const auto sums = std::make_unique<expected_sums>(*model);
  const auto a = [&](i64 m, i64 k) { return model->a[m][k]; };
  const auto b = [&](i64 k, i64 n) { return model->b[k][n]; };
  i64 wrong_cycles = 0;
  i64 wrong_bits = 0;
  i64 collisions = 0;
  i64 closer = 0;  // runs with folds closer than stated, and how many of them went wrong
  i64 closer_wrong = 0;
  constexpr i32 sizes[] = {1, 2, 3, 4, 5, 8, 13, 20};
  for (i32 rows = 1; rows <= array_model::most_rows; ++rows) {
    for (i32 cols = 1; cols <= array_model::most_cols; ++cols) {
      for (const i32 m : sizes) {
        for (const i32 n : sizes) {
          for (const i32 k : sizes) {
            const systolic::product p{m, n, k};
            testing::pipelined_array array(p, rows, cols, a, b);
            const auto wrong = [&](const testing::pipelined_run& run, const auto& expected) {
              i64 count = 0;
              for (i32 i = 0; i < m * n; ++i) {
                count += run.c[static_cast<std::size_t>(i)] == expected[i / n][i % n] ? 0 : 1;
              }
              return count;
            };
            for (const bool outputs : {true, false}) {
              const auto& expected = outputs ? sums->chain[k] : sums->folds[rows][k];
              const auto c = systolic::price(
                  p, rows, cols,
                  outputs ? dataflow::output_stationary : dataflow::weight_stationary,
                  fold_mode::pipelined);
              const i64 distance = std::max<i64>(c.time, rows);
              const auto run =
                  outputs ? array.keep_outputs(distance) : array.keep_weights(distance);
              wrong_cycles += run.cycles == c.cycles ? 0 : 1;
              wrong_bits += wrong(run, expected);
              collisions += run.collisions;
              // Closer than `time` the streams themselves would overlap.
              if (distance == c.time || c.folds() == 1) continue;
              const auto early =
                  outputs ? array.keep_outputs(distance - 1) : array.keep_weights(distance - 1);
              ++closer;
              closer_wrong += early.collisions > 0 || wrong(early, expected) > 0 ? 1 : 0;
            }
          }
        }
      }
    }
  }
  CHECK(wrong_cycles == 0);
  CHECK(wrong_bits == 0);
  CHECK(collisions == 0);
  CHECK(closer > 1000);
  CHECK(closer_wrong == closer);
}
