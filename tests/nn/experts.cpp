#include <tessera/nn/experts.hpp>

#include <support/catch.hpp>

#include <tessera/network/make.hpp>
#include <tessera/nn.hpp>
#include <tessera/ops/work.hpp>

namespace {

using namespace tessera;

template <class Input, class... Layers>
constexpr graph build(i32 batch = 32, purpose why = purpose::training) {
  graph g;
  builder b(g, batch, why);
  value x = b.input(Input::dims);
  ((x = Layers::build(b, x)), ...);
  if (b.usable(x)) g.outputs.push(x.id);
  b.append_auxiliary_losses();
  return g;
}

using expert = chain<dense<24>, relu, dense<8>>;

constexpr text<400> lasting(const graph& g) {
  text<400> all;
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.of >= 0) continue;
    if (!all.empty()) all.append(", ");
    all.append(spell(t.name)).append(' ').append(spell_all<64>(t.dims));
  }
  return all;
}

/// Multiply-adds of a step, loops' bodies as often as they run.
constexpr i64 macs(const graph& g) {
  i64 all = 0;
  i64 runs = 1;
  for (const operation& op : g.operations) {
    if (op.what == kind::loop) runs *= g.bodies[op.body].trips;
    if (op.what == kind::end_loop) runs /= g.bodies[op.body].trips;
    const bool product = op.what == kind::dense || op.what == kind::dense_data_gradient ||
                         op.what == kind::dense_weight_gradient;
    if (product) all += runs * ops::macs_of(g, op);
  }
  return all;
}

TEST_CASE("experts' weights are stacks, one body runs them all", "[nn]") {
  constexpr auto g = [] { return lasting(build<input<16>, mixture_of_experts<expert, 6>>()); };
  STATIC_REQUIRE(g() ==
                 "mixture1.gate 6x16, mixture1.noise 6x16, dense1.weight 6x24x16, "
                 "dense1.bias 6x24, dense2.weight 6x8x24, dense2.bias 6x8");
  CHECK(build<input<16>, mixture_of_experts<expert, 6>>().losses.size() == 2);
  CHECK(build<input<16>, mixture_of_experts<expert, 6, balanced<5, 0>>>().losses.size() == 1);
  CHECK(build<input<16>, mixture_of_experts<expert, 6>>(32, purpose::inference).losses.size() ==
        0);
}

TEST_CASE("work follows the experts of a token, not how many experts there are", "[nn]") {
  const auto work = [](graph g) {
    passes::differentiate(g);
    return macs(g);
  };
  using few = mixture_of_experts<expert, 4, top<2>>;
  using many = mixture_of_experts<expert, 64, top<2>>;
  const i64 gates = 3 * i64{2} * 512 * 16 * 60;  // 60 more gates and noises, forward and backward
  CHECK(work(build<input<16>, many>(512)) <= work(build<input<16>, few>(512)) + gates);
  // A slot for every token instead: 16 times as many rows for 64 experts as for 4.
  using all_few = mixture_of_experts<expert, 4, top<2>, all_tokens>;
  using all_many = mixture_of_experts<expert, 64, top<2>, all_tokens>;
  CHECK(work(build<input<16>, all_many>(512)) > 10 * work(build<input<16>, all_few>(512)));
}

TEST_CASE("capacities are shares of the tokens, and never more than these", "[nn]") {
  mixture_options o{.experts = 8, .k = 2};
  CHECK(detail::slots_of_expert(o, 64) == 32);
  CHECK(detail::slots_of_expert(o, 16) == 8);
  o.capacity = 100;
  CHECK(detail::slots_of_expert(o, 100) == 32);  // 25, in steps of 16
  o.experts = 2;
  CHECK(detail::slots_of_expert(o, 100) == 100);
}

TEST_CASE("samples of rows and sequences keep their shape", "[nn]") {
  constexpr auto outputs = [](const graph& g) { return g.tensors[g.outputs[0]].dims; };
  CHECK(outputs(build<image<3, 5, 16>, mixture_of_experts<expert, 4>>(8)) == shape(8, 3, 5, 8));
  CHECK(outputs(build<image<3, 5, 16>, mixture_of_experts<expert, 4>>(16)) == shape(16, 3, 5, 8));
}

TEST_CASE("mixtures that cannot be are told so", "[nn]") {
  CHECK(spell(build<input<16>, mixture_of_experts<expert, 2, top<3>>>().wrong) ==
        "mixture_of_experts<2>: expected top<1> to top<2>, at most 32, got top<3>; choose fewer "
        "experts");
  CHECK(spell(build<input<16>, mixture_of_experts<chain<dense<4>, batch_norm>, 2>>().wrong) ==
        "mixture_of_experts<2>: expected experts that treat rows alike, got batch_norm; normalize "
        "over features: layer_norm");
  CHECK(spell(build<input<8>, repeat<2, mixture_of_experts<expert, 2>>>().wrong)
            .view()
            .find("balancing losses of the whole step") != std::string_view::npos);
  CHECK(spell(build<input<8>, repeat<2, mixture_of_experts<expert, 2, balanced<0>>>>().wrong)
            .view()
            .empty());
}

}  // namespace
