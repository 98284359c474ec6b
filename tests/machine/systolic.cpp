#include <tessera/machine/systolic.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "../../examples/support/systolic_rows.hpp"

using namespace tessera;

namespace {

constexpr dataflow all_flows[] = {dataflow::output_stationary, dataflow::weight_stationary,
                                  dataflow::input_stationary};

data::csv_table table_of(std::string text) {
  return data::parse_csv(std::move(text), "rows.csv", {.header = true});
}

std::string refusal(const std::string& text) {
  try {
    examples::compare_systolic(table_of(text));
  } catch (const error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("the closed form equals every published row of SCALE-Sim, in every column", "[machine]") {
  const auto start = std::chrono::steady_clock::now();
  const std::string path = testing::data_file("accelerator/scalesim_open.csv");
  const auto compared = examples::compare_systolic(data::read_csv(path, {.header = true}));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  CHECK(compared.rows == 5148);
  CHECK(compared.equal_rows == compared.rows);
  CHECK(compared.columns.size() == 19);
  for (const auto& column : compared.columns) {
    INFO(column.name << ' ' << column.first);
    CHECK(column.compared == compared.rows);
    CHECK(column.differing == 0);
  }
  CHECK(seconds.count() < 5);
  // The simulator goes through 6,000 to 15,000 cycles a second.
  CHECK(compared.cycles / seconds.count() > 15000.0 * 10000);
}

TEST_CASE("a row that differs is counted by column and shown", "[machine]") {
  const auto c = examples::compare_systolic(
      table_of("dataflow,K,N,M,array_cols,array_rows,compute_cycles,mapping_eff_pct,note\n"
               "os,100,4,4,4,4,106,100.0,right\n"
               "os,100,4,4,4,4,107,100.0,wrong\n"
               "ws,100,4,6,4,4,,99.99,shares as far as they have digits\n"));
  CHECK(c.rows == 3);
  CHECK(c.equal_rows == 1);
  REQUIRE(c.columns.size() == 2);
  CHECK(c.columns[0].name == "compute_cycles");
  CHECK(c.columns[0].compared == 2);
  CHECK(c.columns[0].differing == 1);
  CHECK(c.columns[0].first == "line 3 has 107, computed 106");
  CHECK(c.columns[1].differing == 1);
  CHECK(c.left_out == std::vector<std::string>{"note"});
}

TEST_CASE("layers become products, and these are compared too", "[machine]") {
  const auto c = examples::compare_systolic(
      table_of("kind,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,stride_w,"
               "array_rows,array_cols,dataflow,M,N,K\n"
               "conv,224,224,11,11,3,96,4,4,8,8,os,3025,96,363\n"
               "conv,10,9,3,3,2,5,2,1,8,8,ws,35,5,18\n"
               "gemm,1024,64,1,64,1,77,1,1,8,8,is,1024,77,64\n"));
  CHECK(c.equal_rows == 3);
  STATIC_REQUIRE(scalesim::layer{10, 9, 3, 3, 2, 5, 2, 1}.as_product().m == 5 * 7);
}

TEST_CASE("a table that is none of layers on arrays is refused in one line", "[machine]") {
  const std::string head = "M,N,K,array_rows,array_cols,dataflow,compute_cycles\n";
  CHECK(refusal(head) == "rows.csv: holds no rows, expected a table");
  CHECK(refusal("a,b\n1,2\n") ==
        "rows.csv: line 1: expected the columns M, N, K, or ifmap_h, ifmap_w, filter_h, filter_w, "
        "channels, num_filters, stride_h, stride_w");
  CHECK(refusal("M,N,K,array_rows,dataflow\n1,1,1,1,os\n") ==
        "rows.csv: line 1: no column \"array_cols\"");
  CHECK(refusal("M,N,K,array_rows,array_cols,dataflow\n1,1,1,1,1,os\n") ==
        "rows.csv: line 1: no column to compare, such as compute_cycles");
  CHECK(refusal("M,M,K,array_rows,array_cols,dataflow\n1,1,1,1,1,os\n") ==
        "rows.csv: line 1: two columns \"M\"");
  CHECK(refusal(head + "4,0,4,4,4,os,1\n") ==
        "rows.csv: line 2, column 2 (N): expected a whole number from 1 to 2147483648, got \"0\"");
  CHECK(refusal(head + "4,4,4,4,4,rs,1\n") ==
        "rows.csv: line 2, column 6 (dataflow): expected os, ws or is, got \"rs\"");
  CHECK(refusal(head + "4,4,4,4,4,os,1.5\n") ==
        "rows.csv: line 2, column 7 (compute_cycles): expected a whole number, got \"1.5\"");
  CHECK(refusal(head + "2147483648,2147483648,2147483648,1,1,os,1\n") ==
        "rows.csv: line 2, column 4: the layer has more than 4 x 10^18 cycles or words");
}

TEST_CASE("folds that follow without a gap take no longer and never less than the work",
          "[machine]") {
  for (const dataflow flow : all_flows) {
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

TEST_CASE("an array hides what it is said to hide between folds", "[machine]") {
  // 3 x 2 folds of 4 x 4 weights that 10 rows of inputs pass.
  const auto cycles = [](dataflow flow, fold_mode mode, i64 load = 0) {
    return systolic::price({10, 8, 12}, 4, 4, flow, mode, load).cycles;
  };
  constexpr auto ws = dataflow::weight_stationary;
  CHECK(cycles(ws, fold_mode::scalesim) == 6 * (4 + 10 + 4 + 4 - 2));
  CHECK(cycles(ws, fold_mode::pipelined) == 5 * 10 + 20);
  CHECK(cycles(ws, fold_mode::hidden_load) == 5 * (10 + 4 + 4 - 2) + 20);
  CHECK(cycles(ws, fold_mode::hidden_drain) == 5 * (4 + 10) + 20);
  // Weights at a quarter of a row a cycle: 16 cycles to load, longer than 10 rows take.
  CHECK(cycles(ws, fold_mode::pipelined, 16) == 5 * 16 + 32);
  CHECK(cycles(ws, fold_mode::scalesim, 16) == 6 * (16 + 10 + 4 + 4 - 2));
  // Outputs in place have nothing to load.
  constexpr auto os = dataflow::output_stationary;
  CHECK(cycles(os, fold_mode::hidden_load) == cycles(os, fold_mode::scalesim));
  CHECK(cycles(os, fold_mode::hidden_drain) == cycles(os, fold_mode::pipelined));
  for (const dataflow flow : all_flows) {
    for (i64 size = 1; size < 60; size += 7) {
      const auto of = [&](fold_mode mode) {
        return systolic::price({size, 50, 33}, 5, 7, flow, mode).cycles;
      };
      CHECK(of(fold_mode::pipelined) <= of(fold_mode::hidden_load));
      CHECK(of(fold_mode::pipelined) <= of(fold_mode::hidden_drain));
      CHECK(of(fold_mode::hidden_load) <= of(fold_mode::scalesim));
      CHECK(of(fold_mode::hidden_drain) <= of(fold_mode::scalesim));
    }
  }
  CHECK(systolic::price({0, 4, 4}, 4, 4, ws, fold_mode::pipelined).cycles == 0);
}

TEST_CASE("an array is never faster than its elements, and larger arrays need no more folds",
          "[machine]") {
  for (const dataflow flow : all_flows) {
    for (const fold_mode mode : {fold_mode::scalesim, fold_mode::pipelined, fold_mode::hidden_load,
                                 fold_mode::hidden_drain}) {
      for (i64 size = 1; size < 300; size = size * 2 + 1) {
        const systolic::product p{size, size / 2 + 1, 3 * size};
        for (i64 rows = 1; rows < 64; rows *= 3) {
          for (i64 cols = 1; cols < 64; cols *= 2) {
            const auto c = systolic::price(p, rows, cols, flow, mode);
            CHECK(c.cycles * rows * cols >= p.macs());
            CHECK(c.a_reads >= p.m * p.k);
            CHECK(c.b_reads >= p.k * p.n);
            CHECK(c.c_writes - c.partial_reads == p.m * p.n);
            const auto taller = systolic::price(p, 2 * rows, cols, flow, mode);
            CHECK(taller.folds() <= c.folds());
            CHECK(taller.b_reads <= c.b_reads);
          }
        }
      }
    }
  }
}
