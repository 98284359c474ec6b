#include <tessera/nn/norm.hpp>

#include <support/catch.hpp>

#include <tessera/network/make.hpp>
#include <tessera/nn.hpp>

namespace {

using namespace tessera;

template <class Input, class... Layers>
constexpr graph build(purpose why = purpose::training) {
  graph g;
  builder b(g, 2, why);
  value x = b.input(Input::dims);
  ((x = Layers::build(b, x)), ...);
  return g;
}

/// Names and sizes of what lasts: "bn1.weight 3, ...".
constexpr text<200> lasting(const graph& g) {
  text<200> all;
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter && t.what != role::statistic) continue;
    if (!all.empty()) all.append(", ");
    all.append(spell(t.name)).append(' ').append(static_cast<i32>(t.dims.count()));
  }
  return all;
}

TEST_CASE("layers have PyTorch's parameters", "[nn]") {
  STATIC_REQUIRE(lasting(build<image<3, 4, 4>, batch_norm>()) ==
                 "bn1.weight 3, bn1.bias 3, bn1.running_mean 3, bn1.running_var 3");
  STATIC_REQUIRE(lasting(build<image<3, 4, 4>, batch_norm_with<not_affine>>()) ==
                 "bn1.running_mean 3, bn1.running_var 3");
  STATIC_REQUIRE(lasting(build<image<4, 2, 2>, group_norm<2>>()) == "gn1.weight 4, gn1.bias 4");
  STATIC_REQUIRE(lasting(build<image<4, 2, 2>, instance_norm<>>()) == "in1.weight 4, in1.bias 4");
  STATIC_REQUIRE(lasting(build<image<4, 2, 3>, layer_norm<>>()) == "ln1.weight 24, ln1.bias 24");
  STATIC_REQUIRE(lasting(build<image<4, 2, 3>, rms_norm<trailing<2>>>()) == "rms1.weight 6");
  STATIC_REQUIRE(lasting(build<image<4, 2, 3>, local_response_norm<5>>()).empty());
}

TEST_CASE("batch_norm measures in training and uses what it has in inference", "[nn]") {
  STATIC_REQUIRE(build<image<3, 4, 4>, batch_norm>().operations[0].what == kind::batch_norm);
  STATIC_REQUIRE(build<image<3, 4, 4>, batch_norm>(purpose::inference).operations[0].what ==
                 kind::batch_norm_inference);
}

TEST_CASE("options of normalizations", "[nn]") {
  constexpr norm_attributes attr = [] {
    const graph g = build<image<3, 4, 4>, batch_norm_with<epsilon<1, 1000>, momentum<1, 100>>>();
    return g.operations[0].attr.norm;
  }();
  STATIC_REQUIRE(attr.epsilon == 1e-3f);
  STATIC_REQUIRE(attr.momentum == 0.01f);
}

TEST_CASE("normalizations say what does not fit", "[nn]") {
  STATIC_REQUIRE(spell(build<image<3, 4, 4>, group_norm<2>>().wrong) ==
                 "group_norm<2>: expected channels that 2 groups divide, got 3; change groups or "
                 "channels");
  STATIC_REQUIRE(spell(build<input<7>, layer_norm<trailing<2>>>().wrong) ==
                 "layer_norm: expected samples of at least 2 extents, got 7; normalize over fewer "
                 "extents");
}

using net = network<image<3, 8, 8>, conv<4, 3, no_bias>, batch_norm, relu, flatten, dense<2>>;

TEST_CASE("under mixed precision scales and statistics stay in f32", "[nn]") {
  job_options o;
  o.batch = 16;
  o.precision = mixed<fp16>::policy;
  const graph g = make_training<net, softmax_cross_entropy>(o, {.what = optimizer_kind::sgd});
  i32 casts = 0;
  for (const operation& op : g.operations) {
    casts += op.what == kind::cast ? 1 : 0;
    if (op.what == kind::batch_norm) {
      CHECK(g.tensors[op.in[0]].type == element::f16);
      CHECK(g.tensors[op.out[0]].type == element::f16);
      for (const i32 id : {op.in[1], op.in[2]}) {
        CHECK(g.tensors[id].what == role::parameter);
        CHECK(g.tensors[id].type == element::f32);
      }
      for (const i32 slot : {1, 2, 3, 4}) CHECK(g.tensors[op.out[slot]].type == element::f32);
    }
    if (op.what == kind::batch_norm_gradient) {
      CHECK(g.tensors[op.out[0]].type == element::f16);
      CHECK(g.tensors[op.out[1]].type == element::f32);
      CHECK(g.tensors[op.out[2]].type == element::f32);
    }
  }
  CHECK(casts == 3);  // working copies of the convolution's weight, the dense weight and bias
}

}  // namespace
