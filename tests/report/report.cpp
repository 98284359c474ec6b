#include <tessera/report.hpp>

#include <support/catch.hpp>

#include <sstream>
#include <string>

namespace ts = tessera;
using tessera::testing::contains;

namespace {

// 4 x 4 pixels, a window of 2: small enough to check every number by hand.
using small = ts::network<ts::image<1, 4, 4>, ts::conv<2, 3>, ts::relu, ts::flatten, ts::dense<3>>;
using job = ts::training<small, ts::softmax_cross_entropy, ts::momentum_sgd, ts::batch<16>>;

template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream out;
  ts::report(out, parts...);
  return out.str();
}

}  // namespace

TEST_CASE("the totals of a plan are printed in bytes", "[report]") {
  // weights 2x1x3x3 and 3x8 and their biases, each rounded up to 64 bytes
  STATIC_REQUIRE(job::memory.parameter_bytes == 128 + 64 + 128 + 64);
  STATIC_REQUIRE(job::memory.input_bytes == 16 * 16 * 4);
  const std::string text = text_of(job::memory);
  CHECK(text.find("parameters                     384\n") != std::string::npos);
  CHECK(text.find("arena ") == 0);
}

TEST_CASE("a plan lists every tensor that has bytes, and says which share them", "[report]") {
  const auto rows = ts::list_plan<job>();
  std::ostringstream out;
  ts::report_tensors(out, rows);
  const std::string text = out.str();
  CHECK(text.find("conv1.weight                    2x1x3x3") != std::string::npos);
  CHECK(text.find("relu1.out                       16x2x2x2") != std::string::npos);
  CHECK(text.find("conv1.weight.momentum") != std::string::npos);
  // the gradient of a weight is consumed by its update and never stored
  CHECK(text.find("conv1.weight.gradient") == std::string::npos);
  for (const ts::placed_tensor& row : rows) {
    const std::string name(ts::spell(row.name).view());
    if (name == "relu1.out") CHECK_FALSE(row.own_bytes);
    if (name == "conv1.out") CHECK(row.own_bytes);
  }
}

TEST_CASE("the drawing has a row for every buffer of the arena", "[report]") {
  const auto rows = ts::list_plan<job>();
  std::ostringstream out;
  ts::draw_plan(out, rows);
  const std::string text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') == job::plan::buffer_count);
  CHECK(text.find("conv1.out\n") != std::string::npos);
}

TEST_CASE("a plan as JSON has its totals and its tensors", "[report]") {
  const auto plan = ts::plan_to_json<job>();
  CHECK(plan["arena_bytes"] == job::memory.arena_bytes);
  CHECK(plan["total_bytes"] == job::memory.total_bytes);
  bool found = false;
  for (const auto& row : plan["tensors"]) {
    if (row["name"] != "dense1.weight") continue;
    found = true;
    CHECK(row["shape"] == "3x8");
    CHECK(row["type"] == "f32");
    CHECK(row["region"] == "parameters");
    CHECK_FALSE(row.contains("born"));
  }
  CHECK(found);
}

TEST_CASE("metrics are a line and, for a classifier, a confusion matrix", "[report]") {
  ts::metrics m;
  m.loss = 0.25;
  m.samples = 4;
  CHECK(text_of(m) == "4 samples: loss 0.2500\n");
  m.losses = {0.2, 0.05};
  CHECK(text_of(m) == "4 samples: loss 0.2500 (0.2000 + 0.0500)\n");
  m.losses.clear();
  m.accuracy = 0.75;
  m.matrix = ts::confusion(2);
  m.matrix.add(0, 0);
  m.matrix.add(0, 0);
  m.matrix.add(1, 0);
  m.matrix.add(1, 1);
  CHECK(text_of(m) ==
        "4 samples: loss 0.2500, accuracy 75.00 %\n"
        "          0     1\n"
        "    0     2     0  100.0 %\n"
        "    1     1     1   50.0 %\n");
}
