#include <tessera/nn/attention.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/nn/input.hpp>
#include <tessera/nn/names.hpp>
#include <tessera/nn/positions.hpp>
#include <tessera/nn/repeat.hpp>
#include <tessera/nn/transformer.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <vector>

using namespace tessera;

namespace {

template <network_input I, class Layers>
constexpr text<360> mistake() {
  graph g;
  builder b(g, 2, purpose::inference);
  feed<Layers>(b, build_input<I>(b));
  return spell(g.wrong);
}

/// What layers make of inputs that `fill` gives by number, with the same weights every time.
template <network_input I, class Layers, class Fill>
std::vector<double> run(i32 batch, const Fill& fill, i32 output = 0) {
  graph g;
  builder b(g, batch, purpose::inference);
  const bundle y = feed<Layers>(b, build_input<I>(b));
  INFO(spell(g.wrong).view());
  REQUIRE(b.usable(y));
  const i32 id = y.items[output].id;
  g.tensors[storage_of(g, id)].what = role::result;
  interpreter net(g, &reference::find_kernel);
  random_stream random(3);
  for (i32 t = 0; t < g.tensors.size(); ++t) {
    if (g.tensors[t].what != role::parameter || g.tensors[t].of >= 0) continue;
    std::vector<double> values(static_cast<std::size_t>(g.tensors[t].dims.count()));
    for (double& v : values) v = 2 * static_cast<double>(random.next_uniform()) - 1;
    net.write(t, values);
  }
  for (i32 i = 0; i < g.inputs.size(); ++i) {
    std::vector<double> values(static_cast<std::size_t>(g.tensors[g.inputs[i]].dims.count()));
    fill(i, values);
    net.write(g.inputs[i], values);
  }
  net.run({.valid = batch});
  return net.read(id);
}

double some(std::size_t i) { return static_cast<double>(i * 37 % 19) / 10 - 0.9; }

}  // namespace

TEST_CASE("attention says what it cannot attend to", "[nn]") {
  STATIC_REQUIRE(mistake<sequence<4, 6>, multi_head_attention<4>>() ==
                 "multi_head_attention<4>: expected sequences whose features 4 heads divide, got "
                 "4x6; start from sequence<time, features>, or embed tokens");
  STATIC_REQUIRE(mistake<sequence<4, 6>, multi_head_attention<2, cross, key_lengths>>() ==
                 "multi_head_attention<2>: expected 3 values (queries, memory, lengths), got 1; "
                 "give the values that the options ask for");
  STATIC_REQUIRE(
      mistake<inputs<sequence<4, 6>, sequence<4, 8>>, multi_head_attention<2, cross>>() ==
      "multi_head_attention<2>: expected a memory of 6 features, got 4x8; project it "
      "with dense first");
  STATIC_REQUIRE(mistake<inputs<input<6>, input<8>>, additive_attention<5>>() ==
                 "additive_attention<5>: expected a memory that is a sequence, got 8; give what an "
                 "encoder puts out at every point in time");
  STATIC_REQUIRE(mistake<sequence<4, 6>, learned_positions<3>>() ==
                 "learned_positions: expected at most 3 points in time, got 4; give it more "
                 "positions");
  STATIC_REQUIRE(mistake<tokens<4>, sinusoidal_positions>() ==
                 "sinusoidal_positions: expected a sequence of features (time first), got 4; embed "
                 "tokens first");
  using encoder = transformer_encoder_layer<2, 8>;
  STATIC_REQUIRE(mistake<sequence<4, 6>, chain<encoder, encoder>>() ==
                 "transformer_encoder_layer: expected names of its own, got those of another "
                 "layer; put it in repeat<...> or in scope<\"0\", ...>");
  STATIC_REQUIRE(mistake<sequence<4, 6>, repeat<2, encoder>>().empty());
  STATIC_REQUIRE(mistake<input<6>, softmax<1>>() ==
                 "softmax<1>: expected a value with that axis, got 6; count axes from 0, without "
                 "the batch");
}

TEST_CASE("causal attention sees nothing behind a query", "[nn]") {
  using layers = multi_head_attention<2, causal>;
  const auto at = [&](std::size_t changed) {
    return run<sequence<5, 4>, layers>(3, [&](i32, std::vector<double>& x) {
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = some(i) + (i >= changed ? 1.0 : 0.0);
    });
  };
  const auto whole = at(1000);
  const auto changed = at(3 * 3 * 4);  // times 3 and 4
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (i < 3 * 3 * 4) CHECK(whole[i] == changed[i]);
  }
  CHECK(whole != changed);
}

TEST_CASE("what lies behind the length of a memory does not matter", "[nn]") {
  using layers = chain<repeat<2, transformer_decoder_layer<2, 6, causal, key_lengths>>>;
  using in = inputs<sequence<3, 4>, sequence<5, 4>, tokens<>>;
  const auto with = [&](double behind) {
    return run<in, layers>(2, [&](i32 which, std::vector<double>& x) {
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = some(i);
      if (which == 2) x = {5, 2};
      for (std::size_t t = 2; which == 1 && t < 5; ++t) {
        for (std::size_t f = 0; f < 4; ++f) x[(t * 2 + 1) * 4 + f] = behind;
      }
    });
  };
  CHECK(with(0) == with(100));
}

TEST_CASE("a decoder attends to a memory at each step, its keys projected once", "[nn]") {
  using attention = additive_attention<3, key_lengths, with_weights>;
  struct once {
    static constexpr value build(builder& b, const bundle& x) {
      graph& g = b.network();
      const value keys = attention::keys(b, x.items[1]);
      ops::loop_writer loop(g, {.trips = 4}, {"decoder"});
      loop.begin();
      const bundle y =
          attention::attend(b, {loop.scan(x.items[0].id)}, keys, x.items[1], x.items[2]);
      const i32 out = loop.output(y.items[0].id);
      loop.end();
      return {loop.outer(out)};
    }
  };
  using in = inputs<sequence<4, 2>, sequence<5, 3>, tokens<>>;
  const auto fill = [](i32 which, std::vector<double>& x) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = some(i);
    if (which == 2) x = {3, 0};
  };
  // The same as all queries at once; a sample without keys has zeros.
  const auto stepped = run<in, once>(2, fill);
  CHECK(stepped.size() == 4 * 2 * 3);
  for (std::size_t t = 0; t < 4; ++t) {
    for (std::size_t f = 0; f < 3; ++f) {
      CHECK(stepped[t * 6 + f] != 0);
      CHECK(stepped[t * 6 + 3 + f] == 0);
    }
  }
  const auto weights = run<in, attention>(2, fill, 1);  // (batch, 1, queries, time)
  REQUIRE(weights.size() == 2 * 4 * 5);
  for (std::size_t q = 0; q < 4; ++q) {
    double sum = 0;
    for (std::size_t k = 0; k < 5; ++k) sum += weights[q * 5 + k];
    CHECK(sum == Approx(1));
    CHECK(weights[q * 5 + 3] == 0);
  }
}
