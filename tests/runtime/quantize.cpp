#include <tessera/runtime/quantize.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>
#include <tessera/nn.hpp>
#include <tessera/runtime/predictor.hpp>

#include <vector>

namespace {

using namespace tessera;

using real_net = network<image<3, 8, 8>, conv<8, 3, pad<1>>, relu, flatten, dense<5>>;
using first_half = network<image<3, 8, 8>, conv<8, 3, pad<1>>, relu>;
using whole_net = network<image<3, 8, 8>, quantize, quantized_conv<8, 3, pad<1>>, dequantize,
                          flatten, quantize, quantized_dense<5>, dequantize>;

TEST_CASE("a compiled quantized network is as near to the trained one as 8 bits let it",
          "[runtime]") {
  constexpr i32 samples = 16;
  predictor<inference<real_net, batch<samples>>> real;
  predictor<inference<first_half, batch<samples>>> half_way;
  predictor<inference<whole_net, batch<samples>>> whole;
  const weight_list from = real.weights();
  initialize_weights(from, 3);
  for (const weight& w : half_way.weights()) {
    const weight& same = weight_named(from, w.name);
    std::copy(same.bytes.begin(), same.bytes.end(), w.bytes.begin());
  }
  random_stream random(4);
  std::vector<float> x(samples * 192), y(samples * 5), hidden(samples * 512), q(samples * 5);
  for (float& v : x) v = random.next_normal();
  real.run(x, y);
  half_way.run(x, hidden);
  value_range in, middle, out;
  in.add(x);
  middle.add(hidden);
  out.add(y);

  const weight_list to = whole.weights();
  fill_quantize(to, "quantize1", in.rule());
  fill_quantize(to, "dequantize1", middle.rule());
  fill_quantize(to, "quantize2", middle.rule());
  fill_quantize(to, "dequantize2", out.rule());
  fill_quantized_layer(to, "quantized_conv1", weight_named(from, "conv1.weight"),
                       &weight_named(from, "conv1.bias"), in.rule(), middle.rule(), true);
  fill_quantized_layer(to, "quantized_dense1", weight_named(from, "dense1.weight"),
                       &weight_named(from, "dense1.bias"), middle.rule(), out.rule(), false);
  whole.run(x, q);
  double worst = 0, spread = out.high - out.low;
  for (std::size_t i = 0; i < y.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(q[i] - y[i])));
  }
  CHECK(worst < 0.03 * spread);  // 256 steps for the spread, errors of inputs and weights added up
  CHECK(worst > 0);
  CHECK_THROWS_AS(fill_quantized_layer(to, "quantized_dense1", weight_named(from, "conv1.weight"),
                                       nullptr, in.rule(), out.rule(), false),
                  error);
}

TEST_CASE("layers of 8 bits refuse real numbers", "[runtime]") {
  graph g;
  builder b(g, 4, purpose::inference);
  quantized_dense<3>::build(b, b.input(shape(6)));
  CHECK(spell(g.wrong) ==
        "quantized_dense<3>: expected 8-bit values, got f32; put quantize before it");
}

}  // namespace
