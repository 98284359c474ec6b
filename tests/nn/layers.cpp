#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// A network's graph with its tensors and operations as arrays of fixed size.
struct built {
  text<360> message;
  shape output;
  i32 tensors = 0;
  i32 operations = 0;
  i64 parameters = 0;
  text<64> names[16];
  i32 named = 0;
};

template <class Input, class... Layers>
constexpr built build(purpose why = purpose::training, i32 batch = 2) {
  graph g;
  builder b(g, batch, why);
  value x = b.input(Input::dims);
  ((x = Layers::build(b, x)), ...);
  built result;
  result.message = spell(g.wrong);
  if (x.valid()) result.output = g.tensors[x.id].dims;
  result.tensors = g.tensors.size();
  result.operations = g.operations.size();
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter) continue;
    result.parameters += t.dims.count();
    if (result.named < 16) result.names[result.named++] = spell(t.name);
  }
  return result;
}

TEST_CASE("dense on an image says to flatten it", "[nn]") {
  constexpr auto g = build<image<1, 28, 28>, dense<10>>();
  STATIC_REQUIRE(g.message ==
                 "dense<10>: expected a rank-1 input, got 1x28x28; put flatten before it");
}

TEST_CASE("conv says which sizes do not fit", "[nn]") {
  constexpr auto flat = build<input<784>, conv<6, 5>>();
  STATIC_REQUIRE(flat.message ==
                 "conv<6, 5>: expected a rank-3 input (channels x height x width), got 784; start "
                 "from image<...> and flatten after the last convolution");
  constexpr auto small = build<image<1, 3, 3>, conv<16, 5>>();
  STATIC_REQUIRE(small.message ==
                 "conv<16, 5>: expected height and width of at least 5, got 3x3; add padding or "
                 "use a smaller kernel");
  constexpr auto spread = build<image<1, 8, 8>, conv<4, 5, dilation<2>>>();
  STATIC_REQUIRE(spread.message ==
                 "conv<4, 5>: expected height and width of at least 9, got 8x8; add padding or "
                 "use a smaller kernel");
  constexpr auto grouped = build<image<4, 8, 8>, conv<8, 3, groups<3>>>();
  STATIC_REQUIRE(grouped.message ==
                 "conv<8, 3>: expected channels that 3 groups divide, got 4 in and 8 out; change "
                 "groups or channels");
}

TEST_CASE("Pooling says which sizes do not fit", "[nn]") {
  constexpr auto flat = build<input<16>, max_pool<2>>();
  STATIC_REQUIRE(flat.message ==
                 "max_pool<2>: expected a rank-3 input (channels x height x width), got 16; put "
                 "it before flatten");
  constexpr auto global = build<input<16>, global_avg_pool>();
  STATIC_REQUIRE(
      global.message ==
      "global_avg_pool: expected a rank-3 input (channels x height x width), got 16; put "
      "it before flatten");
  constexpr auto small = build<image<3, 2, 5>, avg_pool<3>>();
  STATIC_REQUIRE(small.message ==
                 "avg_pool<3>: expected height and width of at least 3, got 2x5; use a smaller "
                 "window");
  constexpr auto padded = build<image<1, 8, 8>, max_pool<2, pad<2>>>();
  STATIC_REQUIRE(padded.message ==
                 "max_pool<2>: expected padding of at most half the window, 1, got 2x2; pad less");
}

TEST_CASE("A classifier's loss wants one value per class", "[nn]") {
  constexpr auto g = build<image<1, 28, 28>, conv<10, 5>, softmax_cross_entropy>();
  STATIC_REQUIRE(g.message ==
                 "softmax_cross_entropy: expected a rank-1 output (one value per class), got "
                 "10x24x24; end with flatten and dense<classes>");
}

TEST_CASE("Transposed convolutions undo the shapes of convolutions", "[nn]") {
  STATIC_REQUIRE(build<image<3, 5, 4>, conv_transpose<6, 3>>().output == shape(2, 6, 7, 6));
  STATIC_REQUIRE(build<image<3, 5, 4>, conv_transpose<6, 2, stride<2>>>().output ==
                 shape(2, 6, 10, 8));
  STATIC_REQUIRE(
      build<image<3, 5, 4>, conv_transpose<6, 3, stride<2>, pad<1>, output_padding<1, 0>>>()
          .output == shape(2, 6, 10, 7));
  STATIC_REQUIRE(build<image<3, 5, 4>, conv_transpose<6, 3, dilation<2>>>().output ==
                 shape(2, 6, 9, 8));
  STATIC_REQUIRE(build<image<4, 5, 4>, conv_transpose<6, 3, groups<2>>>().parameters ==
                 4 * 3 * 9 + 6);
  STATIC_REQUIRE(build<image<4, 5, 4>, conv_transpose<6, 3, no_bias>>().parameters == 4 * 6 * 9);
  constexpr auto named = build<image<1, 2, 2>, conv_transpose<2, 2>>();
  STATIC_REQUIRE(named.names[0] == "conv_transpose1.weight");
  STATIC_REQUIRE(named.names[1] == "conv_transpose1.bias");
}

TEST_CASE("conv_transpose says which sizes do not fit", "[nn]") {
  constexpr auto flat = build<input<784>, conv_transpose<6, 5>>();
  STATIC_REQUIRE(flat.message ==
                 "conv_transpose<6, 5>: expected a rank-3 input (channels x height x width), got "
                 "784; start from image<...> or reshape to an image");
  constexpr auto gone = build<image<1, 2, 5>, conv_transpose<1, 3, pad<2>>>();
  STATIC_REQUIRE(gone.message ==
                 "conv_transpose<1, 3>: expected padding that leaves cells of the output, got 2x5; "
                 "pad less or use a larger kernel");
  constexpr auto grouped = build<image<4, 8, 8>, conv_transpose<8, 3, groups<3>>>();
  STATIC_REQUIRE(grouped.message ==
                 "conv_transpose<8, 3>: expected channels that 3 groups divide, got 4 in and 8 "
                 "out; change groups or channels");
  constexpr auto padded =
      build<image<1, 8, 8>, conv_transpose<1, 3, stride<2>, output_padding<2>>>();
  STATIC_REQUIRE(padded.message ==
                 "conv_transpose<1, 3>: expected output_padding below stride or dilation, 2, got "
                 "2; pad the output less");
}

TEST_CASE("Only the first mistake is told, and nothing is appended after it", "[nn]") {
  constexpr auto g = build<image<1, 4, 4>, conv<2, 3>, dense<3>, conv<16, 5>, relu, flatten>();
  STATIC_REQUIRE(g.message ==
                 "dense<3>: expected a rank-1 input, got 2x2x2; put flatten before it");
  STATIC_REQUIRE(g.operations == 1);
  STATIC_REQUIRE(g.output == shape());
}

TEST_CASE("Shapes follow from the formulas", "[nn]") {
  STATIC_REQUIRE(build<image<1, 28, 28>, conv<6, 5>>().output == shape(2, 6, 24, 24));
  STATIC_REQUIRE(build<image<1, 28, 28>, conv<6, 5, pad<2>>>().output == shape(2, 6, 28, 28));
  STATIC_REQUIRE(build<image<3, 9, 7>, conv<4, 3, stride<2>>>().output == shape(2, 4, 4, 3));
  STATIC_REQUIRE(build<image<3, 9, 7>, conv<4, 3, stride<2, 1>, pad<1, 0>>>().output ==
                 shape(2, 4, 5, 5));
  STATIC_REQUIRE(build<image<1, 9, 9>, conv<2, 3, dilation<2>>>().output == shape(2, 2, 5, 5));
  STATIC_REQUIRE(build<image<6, 28, 28>, max_pool<2>>().output == shape(2, 6, 14, 14));
  STATIC_REQUIRE(build<image<6, 7, 7>, max_pool<2>>().output == shape(2, 6, 3, 3));
  STATIC_REQUIRE(build<image<6, 7, 7>, max_pool<3, stride<2>, pad<1>>>().output ==
                 shape(2, 6, 4, 4));
  STATIC_REQUIRE(build<image<6, 8, 6>, avg_pool<2>>().output == shape(2, 6, 4, 3));
  STATIC_REQUIRE(build<image<6, 8, 8>, max_pool<3, stride<2>>>().output == shape(2, 6, 3, 3));
  STATIC_REQUIRE(build<image<6, 8, 8>, max_pool<3, stride<2>, ceil_mode>>().output ==
                 shape(2, 6, 4, 4));
  STATIC_REQUIRE(build<image<6, 8, 5>, global_avg_pool>().output == shape(2, 6, 1, 1));
  STATIC_REQUIRE(build<image<2, 3, 4>, flatten>().output == shape(2, 24));
  STATIC_REQUIRE(build<input<5>, flatten>().output == shape(2, 5));
  STATIC_REQUIRE(build<image<2, 3, 4>, relu, tessera::tanh, sigmoid, dropout<50>>().output ==
                 shape(2, 2, 3, 4));
  STATIC_REQUIRE(build<input<7>, dense<9>>().output == shape(2, 9));
  STATIC_REQUIRE(build<input<100, 26>>().output == shape(2, 100, 26));
}

TEST_CASE("Parameters are counted and named by layer", "[nn]") {
  constexpr auto lenet = build<image<1, 28, 28>, conv<6, 5, pad<2>>, tessera::tanh, max_pool<2>,
                               conv<16, 5>, tessera::tanh, max_pool<2>, flatten, dense<120>,
                               tessera::tanh, dense<84>, tessera::tanh, dense<10>>();
  STATIC_REQUIRE(lenet.message.empty());
  STATIC_REQUIRE(lenet.output == shape(2, 10));
  STATIC_REQUIRE(lenet.parameters == 61'706);
  STATIC_REQUIRE(lenet.named == 10);
  const char* const names[] = {"conv1.weight",  "conv1.bias",  "conv2.weight",  "conv2.bias",
                               "dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias",
                               "dense3.weight", "dense3.bias"};
  for (int i = 0; i < 10; ++i) CHECK(lenet.names[i] == names[i]);
  STATIC_REQUIRE(build<image<4, 8, 8>, conv<8, 3, groups<2>>>().parameters == 8 * 2 * 9 + 8);
  STATIC_REQUIRE(build<image<4, 8, 8>, conv<8, 3, no_bias>>().parameters == 8 * 4 * 9);
  STATIC_REQUIRE(build<input<7>, dense<9, no_bias>>().parameters == 63);
}

TEST_CASE("A chain is its layers", "[nn]") {
  constexpr auto flat = build<input<7>, dense<9>, relu, dense<9>, relu, dense<3>>();
  constexpr auto nested =
      build<input<7>, chain<dense<9>, relu>, chain<chain<dense<9>, relu>>, dense<3>>();
  STATIC_REQUIRE(flat.operations == nested.operations);
  STATIC_REQUIRE(flat.parameters == nested.parameters);
  STATIC_REQUIRE(nested.names[4] == "dense3.weight");
}

TEST_CASE("dropout is there in training and absent in inference", "[nn]") {
  constexpr auto with = build<input<7>, dense<9>, dropout<30>, dense<3>>(purpose::training);
  constexpr auto without = build<input<7>, dense<9>, dropout<30>, dense<3>>(purpose::inference);
  STATIC_REQUIRE(with.operations == 3);
  STATIC_REQUIRE(without.operations == 2);
  STATIC_REQUIRE(without.output == with.output);
}

TEST_CASE("Each dropout draws from a stream of its own", "[nn]") {
  graph g;
  builder b(g, 2, purpose::training);
  value x = b.input(shape(4));
  x = dropout<25>::build(b, x);
  x = dropout<25>::build(b, x);
  REQUIRE(g.operations.size() == 2);
  CHECK(g.operations[0].attr.rate == 0.25f);
  CHECK(g.operations[0].attr.salt != g.operations[1].attr.salt);
}

TEST_CASE("Initializers and fans reach the parameters", "[nn]") {
  graph g;
  builder b(g, 2, purpose::training);
  value x = b.input(shape(4, 6, 6));
  x = conv<8, 3, groups<2>, initialized_by<initializer::torch_uniform>>::build(b, x);
  x = flatten::build(b, x);
  dense<5>::build(b, x);
  CHECK(g.tensors[1].init == initializer::torch_uniform);
  CHECK(g.tensors[1].fan_in == 2 * 9);
  CHECK(g.tensors[1].fan_out == 4 * 9);
  CHECK(g.tensors[2].init == initializer::torch_uniform);  // the bias follows it
  i32 weights = 0;
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.name.layer != std::string_view("dense")) continue;
    ++weights;
    CHECK(t.fan_in == 8 * 16);
    CHECK(t.fan_out == 5);
    CHECK(t.init == (t.dims.rank == 2 ? initializer::glorot_uniform : initializer::zeros));
  }
  CHECK(weights == 2);
}

/// A layer of a user's own.
struct doubled {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    return {ops::add(b.network(), x.id, x.id, b.begin_layer("doubled"))};
  }
};

TEST_CASE("A user's layer is a layer", "[nn]") {
  STATIC_REQUIRE(layer<doubled>);
  STATIC_REQUIRE_FALSE(layer<int>);
  STATIC_REQUIRE_FALSE(layer<image<1, 2, 3>>);
  STATIC_REQUIRE(build<input<3>, dense<4>, doubled>().operations == 2);
}

}  // namespace
