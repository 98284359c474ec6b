#include <tessera/nn/columns.hpp>

#include <tessera/nn/dense.hpp>
#include <tessera/nn/embedding.hpp>
#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <cstring>
#include <vector>

namespace {

using namespace tessera;

template <class Input, class Layer>
constexpr text<360> message(i32 batch = 2) {
  graph g;
  builder b(g, batch, purpose::training);
  static_cast<void>(Layer::build(b, build_input<Input>(b)));
  return spell(g.wrong);
}

template <i32 Rows, i32 Width>
using table = embedding<Rows, Width>;

// More than a concat takes at once.
using ten = by_column<table<2, 1>, table<3, 2>, table<4, 3>, table<5, 1>, table<6, 2>, table<7, 3>,
                      table<8, 1>, table<9, 2>, table<10, 3>, chain<table<11, 1>, dense<2>>>;

/// What the network gives for some codes against rows of the tables themselves.
template <i32 Batch>
void check_ten() {
  predictor<inference<network<codes<10>, ten>, batch<Batch>>> p;
  STATIC_REQUIRE(p.output == shape(20));
  const weight_list weights = p.weights();
  REQUIRE(weights.size() == 12);
  initialize_weights(weights, 5);
  std::vector<i32> in;
  for (i32 n = 0; n < Batch; ++n) {
    for (i32 c = 0; c < 10; ++c) in.push_back((n * 7 + c * 3) % (c + 2));
  }
  std::vector<float> out(Batch * 20);
  p.run(in, out);
  const auto values = [&](std::size_t k) {
    std::vector<float> all(weights[k].bytes.size() / sizeof(float));
    std::memcpy(all.data(), weights[k].bytes.data(), weights[k].bytes.size());
    return all;
  };
  for (std::size_t n = 0; n < Batch; ++n) {
    std::size_t at = n * 20;
    for (std::size_t c = 0; c < 9; ++c) {
      const std::size_t width = c % 3 + 1;
      const std::vector<float> rows = values(c);
      const auto row = static_cast<std::size_t>(in[n * 10 + c]);
      for (std::size_t k = 0; k < width; ++k) CHECK(out[at++] == rows[row * width + k]);
    }
    const float x = values(9)[static_cast<std::size_t>(in[n * 10 + 9])];
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(out[at++] == Approx(x * values(10)[k] + values(11)[k]).margin(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("each column goes through its own layer, whatever the layout", "[nn]") {
  check_ten<3>();   // samples outermost
  check_ten<16>();  // samples innermost
}

TEST_CASE("columns and layers must be as many", "[nn]") {
  STATIC_REQUIRE(message<codes<2>, by_column<table<2, 1>, table<3, 2>>>().empty());
  STATIC_REQUIRE(message<codes<3>, by_column<table<2, 1>, table<3, 2>>>() ==
                 "by_column: expected 2 columns, got 3; start from codes<...>, a layer for each "
                 "column");
  STATIC_REQUIRE(message<input<2>, by_column<table<2, 1>, table<3, 2>>>() ==
                 "by_column: expected 2 columns, got 2; start from codes<...>, a layer for each "
                 "column");
}
