#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// What a layer makes of an input.
struct built {
  text<360> message;
  tensor y;
  tensor weight;
  i32 padding_index = -1;
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
  for (const operation& op : g.operations) {
    if (op.what == kind::embedding) result.padding_index = op.attr.padding_index;
  }
  return result;
}

TEST_CASE("embedding puts its width behind the shape of its input", "[nn]") {
  constexpr auto one = build<tokens<>, embedding<7, 3>>();
  STATIC_REQUIRE(one.message.empty());
  STATIC_REQUIRE(one.y.dims == shape(2, 3));
  STATIC_REQUIRE(one.y.type == element::f32);
  STATIC_REQUIRE(one.weight.dims == shape(7, 3));
  STATIC_REQUIRE(spell(one.weight.name) == "embedding1.weight");
  STATIC_REQUIRE(one.padding_index == -1);
  constexpr auto over_time = build<tokens<5>, embedding<7, 3, padding_index<0>>>(16);
  STATIC_REQUIRE(over_time.y.dims == shape(5, 16, 3));
  STATIC_REQUIRE(over_time.y.stack == 1);
  STATIC_REQUIRE(over_time.y.batch_last);
  STATIC_REQUIRE(over_time.y.sample() == shape(5, 3));
  STATIC_REQUIRE(over_time.padding_index == 0);
}

TEST_CASE("embedding of numbers that are not whole says where to start", "[nn]") {
  constexpr auto g = build<input<100>, embedding<65, 16>>();
  STATIC_REQUIRE(g.message ==
                 "embedding<65, 16>: expected whole numbers, got 100 of f32; start from "
                 "tokens<...>");
}

TEST_CASE("embedding starts from numbers of variance 1 unless told otherwise", "[nn]") {
  constexpr auto normal = build<tokens<>, embedding<7, 3>>();
  STATIC_REQUIRE(normal.weight.init == initializer::glorot_normal);
  STATIC_REQUIRE(normal.weight.fan_in + normal.weight.fan_out == 2);  // variance 2 / their sum
  constexpr auto uniform =
      build<tokens<>, embedding<7, 3, initialized_by<initializer::torch_uniform>>>();
  STATIC_REQUIRE(uniform.weight.init == initializer::torch_uniform);
  STATIC_REQUIRE(uniform.weight.fan_in == 3);
}

}  // namespace
