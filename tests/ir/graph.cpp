#include <tessera/ir/graph.hpp>

#include <support/catch.hpp>

#include <tessera/ir/memory.hpp>
#include <tessera/ir/signature.hpp>

namespace {

using namespace tessera;

TEST_CASE("Names are spelled layer, number, part, and what belongs to it", "[ir]") {
  STATIC_REQUIRE(spell(tensor_name{"conv", 2, "weight"}) == "conv2.weight");
  STATIC_REQUIRE(spell(tensor_name{"input", 0, ""}) == "input");
  STATIC_REQUIRE(spell(tensor_name{"dense", 1, "bias", "momentum"}) == "dense1.bias.momentum");
}

TEST_CASE("Slots are counted to the last one in use", "[ir]") {
  operation op;
  CHECK(inputs_of(op) == 0);
  CHECK(outputs_of(op) == 0);
  op.in[2] = 5;  // absent operands before it
  op.out[0] = 1;
  CHECK(inputs_of(op) == 3);
  CHECK(outputs_of(op) == 1);
}

TEST_CASE("A view of a view shows the first tensor's bytes", "[ir]") {
  graph g;
  tensor t;
  t.dims = shape(2, 6);
  const i32 first = g.add(t);
  t.of = first;
  const i32 second = g.add(t);
  t.of = second;
  const i32 third = g.add(t);
  CHECK(storage_of(g, first) == first);
  CHECK(storage_of(g, second) == first);
  CHECK(storage_of(g, third) == first);
}

TEST_CASE("Bytes follow from shape and type", "[ir]") {
  tensor t;
  t.dims = shape(3, 5);
  CHECK(t.bytes() == 60);
  t.type = element::f16;
  CHECK(t.bytes() == 30);
  t.type = element::uint8;
  CHECK(t.bytes() == 15);
  t.type = element::f64;
  CHECK(t.bytes() == 120);
  t.dims = shape();
  CHECK(t.bytes() == 8);
}

TEST_CASE("Sizes are rounded up to the alignment", "[ir]") {
  STATIC_REQUIRE(aligned(0) == 0);
  STATIC_REQUIRE(aligned(1) == 64);
  STATIC_REQUIRE(aligned(64) == 64);
  STATIC_REQUIRE(aligned(65) == 128);
}

TEST_CASE("The arena holds what a step makes and nothing else", "[ir]") {
  for (const role outside :
       {role::input, role::target, role::constant, role::parameter, role::working, role::state}) {
    CHECK_FALSE(in_arena(outside));
  }
  for (const role inside : {role::activation, role::gradient, role::saved, role::result}) {
    CHECK(in_arena(inside));
  }
}

TEST_CASE("A signature keeps a type per operand, absent ones apart", "[ir]") {
  constexpr signature s = [] {
    signature made;
    made.set_type(0, element::f16);
    made.set_type(7, element::int64);
    made.set_type(8, element::f32);
    made.set_type(13, element::uint8);
    made.set_type(0, element::f64);  // the last word counts
    return made;
  }();
  STATIC_REQUIRE(s.input_type(0) == element::f64);
  STATIC_REQUIRE(s.input_type(7) == element::int64);
  STATIC_REQUIRE(s.output_type(0) == element::f32);
  STATIC_REQUIRE(s.output_type(5) == element::uint8);
  STATIC_REQUIRE_FALSE(s.has_input(1));
  STATIC_REQUIRE_FALSE(s.has_output(4));
  signature other = s;
  CHECK(other == s);
  other.n[17] = 1;
  CHECK_FALSE(other == s);
}

}  // namespace
