#include <tessera/report/summary.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>

#include <sstream>
#include <string>

using namespace tessera;
using namespace tessera::testing;

namespace {

const layer_summary& row(const network_summary& s, const std::string& name) {
  for (const layer_summary& r : s.layers) {
    if (r.name == name) return r;
  }
  FAIL("no row " << name);
  return s.total;
}

}  // namespace

TEST_CASE("a summary is a table of layers and the bytes of the plan", "[report]") {
  using small = network<image<1, 4, 4>, conv<2, 3>, relu, flatten, dense<3>>;
  using job = training<small, softmax_cross_entropy, momentum_sgd, batch<2>>;
  std::ostringstream out;
  summarize<job>(out);
  // conv1: 2 samples x 8 outputs x 9; its fused weight update as many and 18 for the parameter; the
  // bias update 2 x 8. dense1: 2 x 8 x 3 three times, 24 for the parameter, 2 x 3 for the bias.
  CHECK(out.str() ==
        "layer   kind                   output  parameters  macs  step macs  weight bytes  kept "
        "bytes\n"
        "------------------------------------------------------------------------------------------"
        "--\n"
        "conv1   conv2d                  2x2x2          20   144        322            80          "
        " 0\n"
        "relu1   relu                    2x2x2           0    16         32             0          "
        "64\n"
        "dense1  dense                       3          27    48        174           108          "
        "24\n"
        "loss    softmax_cross_entropy  scalar           0     6         12             0          "
        " 0\n"
        "------------------------------------------------------------------------------------------"
        "--\n"
        "total                                          47   214        540           188          "
        "88\n"
        "batch 2; multiply-adds of the forward pass by sample 107\n"
        "arena          256 bytes\n"
        "  lower bound  256 bytes\n"
        "  no reuse     448 bytes\n"
        "whole step     1,472 bytes\n");
}

TEST_CASE("parameters and multiply-adds of LeNet are those one counts by hand", "[report]") {
  const network_summary s = summarize(step_of<pictured_lenet>(1));
  CHECK(s.total.parameters == 61706);
  CHECK(s.total.parameter_bytes == 4 * 61706);
  CHECK(row(s, "conv1").forward_macs == 28 * 28 * 6 * 25);
  CHECK(row(s, "conv2").forward_macs == 10 * 10 * 16 * 6 * 25);
  CHECK(row(s, "dense1").forward_macs == 400 * 120);
  CHECK(row(s, "dense3").parameters == 850);
  CHECK(row(s, "max_pool2").output == shape(16, 5, 5));
  // output f32, and the winners as u8
  CHECK(row(s, "max_pool2").kept_bytes == 400 * 5);
  i64 forward = 0;
  i64 step = 0;
  i64 kept = 0;
  for (const layer_summary& r : s.layers) {
    forward += r.forward_macs;
    step += r.step_macs;
    kept += r.kept_bytes;
  }
  CHECK(forward == s.total.forward_macs);
  CHECK(step == s.total.step_macs);
  CHECK(kept == s.total.kept_bytes);
}

TEST_CASE("a 16-bit copy adds no row and halves what is kept", "[report]") {
  using job = training<pictured_lenet, softmax_cross_entropy, adam, batch<4>, mixed<fp16>>;
  const network_summary half = summarize(graph_of<job>());
  const network_summary full = summarize(step_of<pictured_lenet>());
  REQUIRE(half.layers.size() == full.layers.size());
  for (std::size_t i = 0; i < half.layers.size(); ++i) {
    CHECK(half.layers[i].name == full.layers[i].name);
    CHECK(half.layers[i].parameter_bytes == full.layers[i].parameter_bytes);
  }
  CHECK(2 * row(half, "tanh1").kept_bytes == row(full, "tanh1").kept_bytes);
}

TEST_CASE("a repeated block is one row with all its trips", "[report]") {
  const network_summary s = summarize(step_of<pictured_repeat>());
  CHECK(s.layers.size() == 5);
  const layer_summary& inner = row(s, "body.1-5.inner");
  CHECK(inner.times == 5);
  CHECK(inner.output == shape(6));
  CHECK(inner.parameters == 5 * (6 * 6 + 6));
  CHECK(inner.forward_macs == 5 * 4 * 6 * 6);
  // outputs of all blocks, and what the first has read
  CHECK(row(s, "body.1-5.tanh1").kept_bytes == 6 * 4 * 6 * 4);
}

TEST_CASE("a recurrence counts its weights once and its work in every trip", "[report]") {
  const network_summary s = summarize(recurrent_step(7));
  const layer_summary& rnn = row(s, "rnn1");
  CHECK(std::string(rnn.what) == "dense");
  CHECK(rnn.times == 7);
  CHECK(rnn.output == shape(5));
  CHECK(rnn.parameters == 5 * 4 + 5 * 5);
  CHECK(rnn.forward_macs == 7 * 3 * (5 * 4 + 5 * 5 + 5 + 5));
  CHECK(rnn.kept_bytes == 8 * 3 * 5 * 4);
}

TEST_CASE("numbers are grouped by thousands", "[report]") {
  CHECK(detail::with_commas(0) == "0");
  CHECK(detail::with_commas(999) == "999");
  CHECK(detail::with_commas(1000) == "1,000");
  CHECK(detail::with_commas(1234567) == "1,234,567");
  CHECK(detail::with_commas(-1000) == "-1,000");
}
