#include <tessera/ir/names.hpp>

#include <support/catch.hpp>

namespace ts = tessera;

namespace {

// stage2 holds 4 groups from number 1 on, each of 3 blocks from number 0 on.
constexpr ts::graph nested() {
  ts::graph g;
  const ts::i32 group = g.bodies.push({0, 1, 4, false, true});
  const ts::i32 block = g.bodies.push({group, 2, 3, false, true});
  g.scopes.push({"stage2", -1, 0, 0});
  g.scopes.push({"group", 0, group, 1});
  g.scopes.push({"", 1, block, 0});
  g.scopes.push({"main", 2, 0, 0});
  return g;
}

constexpr ts::tensor_name weight(ts::i32 scope) { return {"conv", 1, "weight", "", scope}; }

}  // namespace

TEST_CASE("a name without a scope is spelled as it is", "[ir]") {
  STATIC_REQUIRE(full_name(ts::graph{}, weight(-1)) == "conv1.weight");
  STATIC_REQUIRE(full_name(nested(), weight(-1), 5) == "conv1.weight");
}

TEST_CASE("a scope is put before a name", "[ir]") {
  STATIC_REQUIRE(full_name(nested(), weight(0)) == "stage2.conv1.weight");
  STATIC_REQUIRE(full_name(nested(), {"bn", 2, "bias", "momentum", 0}) ==
                 "stage2.bn2.bias.momentum");
}

TEST_CASE("a repeated scope is spelled with its range or the number of a slice", "[ir]") {
  STATIC_REQUIRE(full_name(nested(), weight(1)) == "stage2.group.1-4.conv1.weight");
  STATIC_REQUIRE(full_name(nested(), weight(1), 2) == "stage2.group.3.conv1.weight");
  STATIC_REQUIRE(ts::slices_of(nested(), 1) == 4);
  STATIC_REQUIRE(ts::slices_of(nested(), 0) == 1);
}

TEST_CASE("slices of nested repeats are numbered with the innermost fastest", "[ir]") {
  STATIC_REQUIRE(full_name(nested(), weight(3)) == "stage2.group.1-4.0-2.main.conv1.weight");
  STATIC_REQUIRE(full_name(nested(), weight(3), 0) == "stage2.group.1.0.main.conv1.weight");
  STATIC_REQUIRE(full_name(nested(), weight(3), 5) == "stage2.group.2.2.main.conv1.weight");
  STATIC_REQUIRE(ts::slices_of(nested(), 3) == 12);
  const ts::i32 trips[] = {1, 2};
  CHECK(ts::slice_number(nested(), 3, trips) == 5);
}

TEST_CASE("a scope that is counted has its number", "[ir]") {
  ts::graph g = nested();
  g.scopes[1].ordinal = 2;
  CHECK(full_name(g, weight(1), 0) == "stage2.group2.1.conv1.weight");
}

TEST_CASE("a block that is repeated once has a number and no range", "[ir]") {
  ts::graph g = nested();
  g.bodies[1].trips = 1;
  CHECK(full_name(g, weight(1)) == "stage2.group.1.conv1.weight");
}
