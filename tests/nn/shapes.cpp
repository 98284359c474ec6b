#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// What a layer makes of an input.
struct built {
  text<360> message;
  tensor y;
  tensor weight;
  kind last = kind::none;
  i32 operations = 0;
};

template <class Input, class Layer>
constexpr built build(i32 batch = 2) {
  graph g;
  builder b(g, batch, purpose::training);
  const value y = Layer::build(b, build_input<Input>(b));
  built result;
  result.message = spell(g.wrong);
  if (y.valid()) result.y = g.tensors[y.id];
  for (const tensor& t : g.tensors) {
    if (t.what == role::parameter) result.weight = t;
  }
  result.operations = g.operations.size();
  if (result.operations > 0) result.last = g.operations.back().what;
  return result;
}

using picture = image<16, 8, 6>;

TEST_CASE("reductions take axes of a sample out, or leave them as 1", "[nn]") {
  constexpr auto mean = build<picture, reduce_mean<1, 2>>();
  STATIC_REQUIRE(mean.message.empty());
  STATIC_REQUIRE(mean.y.dims == shape(2, 16));
  STATIC_REQUIRE(mean.y.batched);
  STATIC_REQUIRE(mean.last == kind::reduce_mean);
  constexpr auto kept = build<picture, reduce_sum<0>::kept>();
  STATIC_REQUIRE(kept.y.dims == shape(2, 1, 8, 6));
  constexpr auto last = build<picture, reduce_amax<-1>>(16);
  STATIC_REQUIRE(last.y.dims == shape(16, 16, 8));
  STATIC_REQUIRE(last.y.batch_last);
  constexpr auto time = build<sequence<5, 7>, reduce_mean<0>>();
  STATIC_REQUIRE(time.y.dims == shape(2, 7));
  STATIC_REQUIRE(time.y.stack == 0);
  constexpr auto wrong = build<picture, reduce_sum<3>>();
  STATIC_REQUIRE(wrong.message ==
                 "reduce_sum: expected a value with an axis 3, got 16x8x6; count axes from 0, "
                 "without the batch");
}

TEST_CASE("permute orders the extents of a sample", "[nn]") {
  constexpr auto turned = build<picture, permute<1, 2, 0>>();
  STATIC_REQUIRE(turned.message.empty());
  STATIC_REQUIRE(turned.y.dims == shape(2, 8, 6, 16));
  constexpr auto over_time = build<sequence<5, 7, 3>, permute<0, 2, 1>>();
  STATIC_REQUIRE(over_time.y.dims == shape(5, 2, 3, 7));
  STATIC_REQUIRE(over_time.y.stack == 1);
  constexpr auto twice = build<picture, permute<1, 1, 0>>();
  STATIC_REQUIRE(twice.message ==
                 "permute: expected each of 3 axes once, got 3 axes for 16x8x6; give an order of "
                 "0, 1, ...");
}

TEST_CASE("reshape is a view of as many values", "[nn]") {
  constexpr auto open = build<picture, reshape<4, -1>>();
  STATIC_REQUIRE(open.message.empty());
  STATIC_REQUIRE(open.y.dims == shape(2, 4, 192));
  STATIC_REQUIRE(open.operations == 0);
  constexpr auto wrong = build<picture, reshape<5, 200>>();
  STATIC_REQUIRE(wrong.message ==
                 "reshape: expected samples of 768 values, got 16x8x6 for 5x200; make the "
                 "extents' product agree");
  constexpr auto time = build<sequence<4, 6>, reshape<6, 4>>();
  STATIC_REQUIRE(time.message ==
                 "reshape: expected time to stay as it is, got 4x6 for 6x4; start with the extents "
                 "that count time");
}

TEST_CASE("prelu has a slope a channel or one, glu and maxout make less", "[nn]") {
  constexpr auto slopes = build<picture, prelu>();
  STATIC_REQUIRE(slopes.weight.dims == shape(16));
  STATIC_REQUIRE(spell(slopes.weight.name) == "prelu1.alpha");
  STATIC_REQUIRE(slopes.weight.init == initializer(initializer::constant, 0.25f));
  constexpr auto one = build<picture, prelu_shared>();
  STATIC_REQUIRE(one.weight.dims == shape(1));
  constexpr auto over_time = build<sequence<5, 7>, prelu>();
  STATIC_REQUIRE(over_time.weight.dims == shape(7));
  constexpr auto gate = build<picture, glu<>>();
  STATIC_REQUIRE(gate.y.dims == shape(2, 8, 8, 6));
  constexpr auto odd = build<image<5, 4, 4>, glu<>>();
  STATIC_REQUIRE(odd.message ==
                 "glu: expected an even extent along axis 0, got 5x4x4; give a value and a gate of "
                 "one extent");
  constexpr auto most = build<picture, maxout<4>>();
  STATIC_REQUIRE(most.y.dims == shape(2, 4, 8, 6));
  constexpr auto pieces = build<picture, maxout<5>>();
  STATIC_REQUIRE(pieces.message ==
                 "maxout<5>: expected channels that 5 pieces divide, got 16x8x6; change the pieces "
                 "or the channels");
}

struct steep : activation_constants {
  static constexpr float alpha = 0.2f;
};

TEST_CASE("constants of activations come from a type", "[nn]") {
  STATIC_REQUIRE(leaky_relu::constants.alpha == 0.01f);
  STATIC_REQUIRE(leaky_relu_with<steep>::constants.alpha == 0.2f);
  STATIC_REQUIRE(relu6::constants.high == 6);
  constexpr auto selu_built = build<input<4>, selu>();
  STATIC_REQUIRE(selu_built.last == kind::elu);
  constexpr auto nothing = build<input<4>, identity>();
  STATIC_REQUIRE(nothing.operations == 0);
}

/// (x - mean) / (1 + largest), over the features of a sample.
struct centred {
  static constexpr value build(builder& b, value x) {
    const value middle = b.reduce_mean(x, {-1}, true);
    const value most = b.reduce_amax(b.abs(x), {-1}, true);
    return b.divide(b.subtract(x, middle), b.softplus(b.exp(most)));
  }
};
struct misfit {
  static constexpr value build(builder& b, value x) {
    return b.add(x, b.reshape(x, shape(6, 8, 16)));
  }
};

TEST_CASE("operations on values broadcast", "[nn]") {
  constexpr auto y = build<input<3, 7>, centred>();
  STATIC_REQUIRE(y.message.empty());
  STATIC_REQUIRE(y.y.dims == shape(2, 3, 7));
  STATIC_REQUIRE(y.last == kind::divide);
  constexpr auto wrong = build<picture, misfit>();
  STATIC_REQUIRE(wrong.message ==
                 "add: expected values whose extents agree or are 1, got 16x8x6 and 6x8x16; make "
                 "their last extents agree");
}

}  // namespace
