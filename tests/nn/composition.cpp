#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// What comes of layers on one input, as values that a constant can hold.
struct outcome {
  text<360> message;
  shape output[bundle::capacity];
  i32 outputs = 0;
  i32 parameters = 0;
  i64 weights = 0;
};

template <layer... Layers>
constexpr outcome build(const shape& input = shape(16, 8, 8), i32 inputs = 1) {
  graph g;
  builder b(g, 2, purpose::training);
  bundle x;
  for (i32 i = 0; i < inputs; ++i) x.items[x.size++] = b.input(input);
  const bundle y = chain<Layers...>::build(b, x);
  outcome result;
  result.message = spell(g.wrong);
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter) continue;
    ++result.parameters;
    result.weights += t.dims.count();
  }
  if (g.wrong.wrong()) return result;
  for (const value item : y) result.output[result.outputs++] = b.sample(item);
  return result;
}

template <i32 C>
using same = conv<C, 3, pad<1>>;

TEST_CASE("A residual keeps its shape or says what to add", "[nn]") {
  constexpr auto plain = build<residual<same<16>, relu, same<16>>>();
  STATIC_REQUIRE(plain.message == "");
  STATIC_REQUIRE(plain.output[0] == shape(16, 8, 8));
  constexpr auto wider = build<residual<same<32>>>();
  STATIC_REQUIRE(wider.message ==
                 "residual: expected the branch to give 16x8x8, got 32x8x8; add project<conv<32, "
                 "1>> at its end");
  constexpr auto halved = build<residual<conv<32, 3, pad<1>, stride<2>>>>();
  STATIC_REQUIRE(halved.message ==
                 "residual: expected the branch to give 16x8x8, got 32x4x4; add project<conv<32, "
                 "1, stride<2>>> at its end");
  constexpr auto cut = build<residual<conv<16, 3>>>();
  STATIC_REQUIRE(cut.message ==
                 "residual: expected the branch to give 16x8x8, got 16x6x6; pad within the branch");
  constexpr auto flat = build<flatten, residual<dense<10>>>();
  STATIC_REQUIRE(
      flat.message ==
      "residual: expected the branch to give 1024, got 10; add project<dense<10>> at its "
      "end");
}

TEST_CASE("A residual takes a projection around its body", "[nn]") {
  constexpr auto fits =
      build<residual<conv<32, 3, pad<1>, stride<2>>, relu, project<conv<32, 1, stride<2>>>>>();
  STATIC_REQUIRE(fits.message == "");
  STATIC_REQUIRE(fits.output[0] == shape(32, 4, 4));
  STATIC_REQUIRE(fits.parameters == 4);
  constexpr auto off = build<residual<same<32>, project<conv<24, 1>>>>();
  STATIC_REQUIRE(off.message ==
                 "residual: expected the branch to give 24x8x8, got 32x8x8; make the projection "
                 "agree with the branch");
}

TEST_CASE("A residual is for one value", "[nn]") {
  constexpr auto two = build<residual<each<same<16>>>>(shape(16, 8, 8), 2);
  STATIC_REQUIRE(two.message ==
                 "residual: expected one value from the branch and one around it, got 2 and 2; put "
                 "the residual in each<...>");
  constexpr auto inside = build<each<residual<same<16>>>>(shape(16, 8, 8), 2);
  STATIC_REQUIRE(inside.outputs == 2);
  STATIC_REQUIRE(inside.parameters == 2);
}

TEST_CASE("Branches meet along channels, in a sum or in a product", "[nn]") {
  constexpr auto wide = build<concat<conv<4, 1>, chain<conv<4, 1>, relu, same<6>>, chain<>>>();
  STATIC_REQUIRE(wide.message == "");
  STATIC_REQUIRE(wide.output[0] == shape(26, 8, 8));
  constexpr auto sum = build<add<same<4>, conv<4, 1>, same<4>>>();
  STATIC_REQUIRE(sum.output[0] == shape(4, 8, 8));
  constexpr auto gate = build<multiply<same<4>, chain<same<4>, sigmoid>>>();
  STATIC_REQUIRE(gate.output[0] == shape(4, 8, 8));

  constexpr auto heights = build<concat<conv<4, 1>, conv<4, 3>>>();
  STATIC_REQUIRE(heights.message ==
                 "concat: expected values that agree in all but channels, got 4x8x8 and 4x6x6; "
                 "make their strides and padding agree");
  constexpr auto unlike = build<add<conv<4, 1>, conv<5, 1>>>();
  STATIC_REQUIRE(unlike.message ==
                 "add: expected values of one shape, got 4x8x8 and 5x8x8; make their channels, "
                 "strides and padding agree");
}

TEST_CASE("Skips nest across the levels of a U-Net", "[nn]") {
  constexpr auto two = build<skip<same<8>, skip<same<4>>>>();
  STATIC_REQUIRE(two.message == "");
  STATIC_REQUIRE(two.output[0] == shape(16 + 8 + 4, 8, 8));
  constexpr auto down = build<skip<max_pool<2>, same<8>>>();
  STATIC_REQUIRE(down.message ==
                 "skip: expected values that agree in all but channels, got 16x8x8 and 8x4x4; make "
                 "their strides and padding agree");
}

TEST_CASE("A shortcut without weights thins out and adds channels", "[nn]") {
  constexpr auto wider = build<shortcut_a<32, 2>>(shape(16, 7, 8));
  STATIC_REQUIRE(wider.message == "");
  STATIC_REQUIRE(wider.output[0] == shape(32, 4, 4));
  STATIC_REQUIRE(wider.parameters == 0);
  STATIC_REQUIRE(build<shortcut_a<16, 1>>().output[0] == shape(16, 8, 8));
  constexpr auto odd = build<shortcut_a<19, 2>>();
  STATIC_REQUIRE(odd.message ==
                 "shortcut_a<19, 2>: expected at most 19 channels, an even number fewer, got "
                 "16x8x8; project with conv<channels, 1> instead");
}

TEST_CASE("Bundles part, go in parallel and join", "[nn]") {
  constexpr auto heads = build<flatten, branch<dense<10>, dense<4>>>();
  STATIC_REQUIRE(heads.outputs == 2);
  STATIC_REQUIRE(heads.output[1] == shape(4));
  constexpr auto apart = build<parallel<same<4>, conv<6, 1>>, join_concat>(shape(3, 8, 8), 2);
  STATIC_REQUIRE(apart.output[0] == shape(10, 8, 8));
  constexpr auto picked = build<branch<dense<1>, dense<2>, dense<3>>, pick<2, 0>>(shape(7));
  STATIC_REQUIRE(picked.outputs == 2);
  STATIC_REQUIRE(picked.output[0] == shape(3));
  STATIC_REQUIRE(build<branch<dense<5>, dense<5>>, join_add>(shape(7)).output[0] == shape(5));
  STATIC_REQUIRE(build<branch<dense<5>, dense<5>>, join_multiply, dense<2>>(shape(7)).output[0] ==
                 shape(2));

  constexpr auto forgotten = build<flatten, branch<dense<10>, dense<4>>, dense<3>>();
  STATIC_REQUIRE(forgotten.message ==
                 "bundle: expected one value for the layer that follows, got 2 values; join them "
                 "with join_concat or join_add, or put the layer in each<...>");
  constexpr auto few = build<parallel<dense<1>, dense<2>>>(shape(7));
  STATIC_REQUIRE(few.message ==
                 "parallel: expected 2 values, got 1; give each value a layer; chain<> hands on");
  constexpr auto beyond = build<branch<dense<1>, dense<2>>, pick<2>>(shape(7));
  STATIC_REQUIRE(beyond.message == "pick<2>: expected more than 2 values, got 2; count from 0");
  constexpr auto many = []<std::size_t... I>(std::index_sequence<I...>) {
    return build<branch<pick<static_cast<i32>(I) * 0>...>>(shape(7));
  }
  (std::make_index_sequence<bundle::capacity + 1>());
  STATIC_REQUIRE(many.message == spell_all("branch: expected at most ", bundle::capacity,
                                           " values, got more; join some of them first")
                                     .view());
}

TEST_CASE("Shared layers have one set of weights", "[nn]") {
  constexpr auto siamese =
      build<each<chain<conv<4, 3>, relu, conv<5, 3>>>, join_concat, conv<2, 1>>(shape(3, 8, 8), 3);
  STATIC_REQUIRE(siamese.message == "");
  STATIC_REQUIRE(siamese.output[0] == shape(2, 4, 4));
  STATIC_REQUIRE(siamese.parameters == 6);
  STATIC_REQUIRE(siamese.weights == 4 * 27 + 4 + 5 * 36 + 5 + 2 * 15 + 2);

  constexpr auto twice =
      build<shared<"a", dense<7>>, relu, shared<"a", dense<7>>, shared<"b", dense<7>>>(shape(7));
  STATIC_REQUIRE(twice.parameters == 4);

  constexpr auto shapes = build<shared<"a", dense<5>>, shared<"a", dense<5>>>(shape(7));
  STATIC_REQUIRE(shapes.message ==
                 "shared<a>: expected a weight of 5x7 as before, got 5x5; share layers of one "
                 "shape on inputs of one shape");
  constexpr auto more = build<shared<"a", dense<7>>, shared<"a", dense<7>, dense<7>>>(shape(7));
  STATIC_REQUIRE(more.message ==
                 "shared<a>: expected 2 weights as before, got more; share layers of one kind");
  constexpr auto fewer = build<shared<"a", dense<7>>, shared<"a", relu>>(shape(7));
  STATIC_REQUIRE(fewer.message ==
                 "shared<a>: expected 2 weights as before, got fewer; share layers of one kind");
}

TEST_CASE("A dense layer takes the weights of a tag, turned around by nobody", "[nn]") {
  constexpr auto tied = build<shared<"in", dense<6>>, dense<4>, tied_dense<"in">>(shape(4));
  STATIC_REQUIRE(tied.message == "");
  STATIC_REQUIRE(tied.output[0] == shape(6));
  STATIC_REQUIRE(tied.parameters == 2 + 2 + 1);
  constexpr auto none = build<tied_dense<"in", no_bias>>(shape(4));
  STATIC_REQUIRE(none.message ==
                 "tied_dense<in>: expected weights shared under this tag, got none so far; put "
                 "shared<tag, embedding<...>> before it");
  constexpr auto columns = build<shared<"in", dense<6>>, tied_dense<"in">>(shape(4));
  STATIC_REQUIRE(columns.message ==
                 "tied_dense<in>: expected an input of one feature for each column of the "
                 "weights, got 6 for 6x4; put dense<columns> before it");
}

/// Names and marks of all parameters of layers on 7 features.
template <layer... Layers>
constexpr text<360> trained() {
  graph g;
  builder b(g, 2, purpose::training);
  const bundle y = chain<Layers...>::build(b, b.input(shape(7)));
  text<360> names;
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.name.part[0] != 'w') continue;
    names.append(spell(t.name)).append(t.differentiable ? " yes " : " no ");
  }
  return names.append(g.tensors[y.items[0].id].differentiable ? "y" : "n");
}

TEST_CASE("What is frozen is not differentiated", "[nn]") {
  STATIC_REQUIRE(trained<frozen<dense<7>, relu>, dense<7>>() ==
                 "dense1.weight no dense2.weight yes y");
  STATIC_REQUIRE(trained<dense<7>, frozen<dense<7>>>() == "dense1.weight yes dense2.weight no y");
  STATIC_REQUIRE(trained<frozen<dense<7>, dropout<50>>>() == "dense1.weight no n");
}

TEST_CASE("A chain of a hundred layers compiles by default limits", "[nn]") {
  constexpr auto deep = []<std::size_t... I>(std::index_sequence<I...>) {
    return build<dense<static_cast<i32>(I) + 1>...>(shape(7));
  }
  (std::make_index_sequence<120>());
  STATIC_REQUIRE(deep.output[0] == shape(120));
}

}  // namespace
