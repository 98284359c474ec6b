#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// Names of all parameters, with their scopes, one after another.
template <layer... Layers>
constexpr text<360> weights_of() {
  graph g;
  builder b(g, 2, purpose::training);
  chain<Layers...>::build(b, b.input(shape(3, 8, 8)));
  text<360> names = spell(g.wrong);
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.name.part[0] == 'b') continue;
    text<60> prefix;
    for (i32 s = t.name.scope; s >= 0; s = g.scopes[s].parent) {
      prefix = spell_all<60>(g.scopes[s].name, ".", prefix);
    }
    if (!names.empty()) names.append(' ');
    names.append(prefix).append(spell(t.name));
  }
  return names;
}

TEST_CASE("A named layer has exactly that name", "[nn]") {
  constexpr auto names =
      weights_of<named<"stem", conv<4, 3>>, relu, conv<4, 3>, named<"0", conv<4, 3>>>();
  STATIC_REQUIRE(names == "stem.weight conv1.weight 0.weight");
}

TEST_CASE("Scopes concatenate and count their layers on their own", "[nn]") {
  constexpr auto names = weights_of<
      conv<4, 1>,
      scope<"layer1", conv<4, 1>, scope<"0", conv<4, 1>, named<"last", conv<4, 1>>>, conv<4, 1>>,
      conv<4, 1>, scope<"layer1", conv<4, 1>>>();
  STATIC_REQUIRE(names ==
                 "conv1.weight layer1.conv1.weight layer1.0.conv1.weight layer1.0.last.weight "
                 "layer1.conv2.weight conv2.weight layer1.conv3.weight");
}

TEST_CASE("A name belongs to one layer of a scope", "[nn]") {
  constexpr auto twice = weights_of<named<"a", conv<4, 1>>, named<"a", conv<4, 1>>>();
  STATIC_REQUIRE(twice.view().starts_with(
      "named<a>: expected a name of its own, got that of another layer; choose another, or use "
      "scope"));
  constexpr auto elsewhere =
      weights_of<named<"a", conv<4, 1>>, scope<"b", named<"a", conv<4, 1>>>>();
  STATIC_REQUIRE(elsewhere == "a.weight b.a.weight");
  constexpr auto several = weights_of<named<"a", chain<conv<4, 1>, conv<4, 1>>>>();
  STATIC_REQUIRE(several.view().starts_with(
      "named<a>: expected one layer, got several; put them in scope<...> and name each"));
}

TEST_CASE("A mistake within a scope says where", "[nn]") {
  constexpr auto deep = weights_of<scope<"layer1", scope<"0", dense<4>>>>();
  STATIC_REQUIRE(deep.view().starts_with("layer1.0.dense<4>: expected a rank-1 input, got 3x8x8"));
}

TEST_CASE("A chain of no layers hands on what it gets", "[nn]") {
  STATIC_REQUIRE(weights_of<chain<>, conv<4, 1>, chain<chain<>, conv<4, 1>>>() ==
                 "conv1.weight conv2.weight");
}

}  // namespace
