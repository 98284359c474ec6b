#include <tessera/nn.hpp>

#include <support/catch.hpp>

namespace {

using namespace tessera;

/// What a loss appends behind a network, and what is wrong with it.
struct built {
  text<360> message;
  i32 targets = 0;
  i32 losses = 0;
  i32 constants = 0;
  shape target[4];
  element type[4] = {};
  loss_attributes attr;  // of the last loss
  kind what = kind::none;
};

template <class Loss, class Layers, class Input>
constexpr built build(i32 batch = 4) {
  graph g;
  builder b(g, batch, purpose::training);
  const bundle y = feed<Layers>(b, build_input<Input>(b));
  if constexpr (loss_on<Loss, bundle>) {
    build_loss<Loss>(b, y);
  } else {
    build_loss<Loss>(b, y.items[0]);
  }
  built result;
  result.message = spell(g.wrong);
  result.targets = g.targets.size();
  result.losses = g.losses.size();
  for (i32 i = 0; i < g.targets.size() && i < 4; ++i) {
    result.target[i] = g.tensors[g.targets[i]].dims;
    result.type[i] = g.tensors[g.targets[i]].type;
  }
  for (const tensor& t : g.tensors) result.constants += t.what == role::constant ? 1 : 0;
  for (const operation& op : g.operations) {
    if (!is_loss(op.what)) continue;
    result.attr = op.attr.loss;
    result.what = op.what;
  }
  return result;
}

struct careful : softmax_cross_entropy {
  static constexpr float label_smoothing = 0.1f;
  static constexpr i32 ignore_index = 7;
  static constexpr float class_weights[] = {1, 2, 3};
};
struct two_weights : softmax_cross_entropy {
  static constexpr float class_weights[] = {1, 2};
};
struct masked_huber : huber {
  static constexpr float delta = 0.5f;
  static constexpr bool element_weights = true;
  static constexpr reduction reduce = reduction::sum;
};
struct rare : bce_with_logits {
  static constexpr float positive_weights[] = {10, 1, 2};
};
struct each_alone : mse {
  static constexpr reduction reduce = reduction::none;
};
struct hot : distillation {
  static constexpr float temperature = 2;
  static constexpr float alpha = 0.25f;
};
struct blank_last : ctc<5> {
  static constexpr i32 blank = 2;
  static constexpr bool zero_infinity = true;
};
struct blank_beyond : ctc<5> {
  static constexpr i32 blank = 3;
};

TEST_CASE("A derived loss's constants are the ones that count", "[nn]") {
  constexpr auto entropy = build<careful, dense<3>, input<2>>();
  STATIC_REQUIRE(entropy.message.empty());
  STATIC_REQUIRE(entropy.attr.label_smoothing == 0.1f);
  STATIC_REQUIRE(entropy.attr.ignore_index == 7);
  STATIC_REQUIRE(entropy.constants == 1);
  constexpr auto plain = build<softmax_cross_entropy, dense<3>, input<2>>();
  STATIC_REQUIRE(plain.attr.label_smoothing == 0);
  STATIC_REQUIRE(plain.constants == 0);
  STATIC_REQUIRE(plain.type[0] == element::int32);
  constexpr auto masked = build<masked_huber, dense<3>, input<2>>();
  STATIC_REQUIRE(masked.attr.delta == 0.5f);
  STATIC_REQUIRE(masked.attr.reduce == reduction::sum);
  STATIC_REQUIRE(masked.targets == 2);  // values and their weights
  STATIC_REQUIRE(masked.target[1] == shape(4, 3));
  constexpr auto positives = build<rare, dense<3>, input<2>>();
  STATIC_REQUIRE(positives.constants == 1);
  constexpr auto half = build<weighted<careful, 50>, dense<3>, input<2>>();
  STATIC_REQUIRE(half.attr.label_smoothing == 0.1f);
  STATIC_REQUIRE(half.attr.weight == 0.5f);
}

TEST_CASE("Losses say what they miss", "[nn]") {
  STATIC_REQUIRE(build<two_weights, dense<3>, input<2>>().message ==
                 "softmax_cross_entropy: expected 3 class weights, got 2; give one for each class");
  STATIC_REQUIRE(build<rare, dense<4>, input<2>>().message ==
                 "bce_with_logits: expected 4 weights of positives, got 3; give one for each "
                 "channel");
  STATIC_REQUIRE(build<each_alone, dense<4>, input<2>>().message ==
                 "mse: expected a reduction to one number, got none; reduce by mean, batch_mean "
                 "or sum");
  STATIC_REQUIRE(build<triplet, dense<4>, input<2>>().message ==
                 "triplet: expected 3 outputs, got 1; put out a bundle: branch<...> or each<...>");
  STATIC_REQUIRE(
      build<cosine_embedding, branch<dense<4>, dense<5>>, input<2>>().message ==
      "cosine_embedding: expected vectors of one size, got 4 and 5; give them the same layers: "
      "each<...>");
  STATIC_REQUIRE(build<nll, conv<3, 1>, image<1, 2, 2>>().message ==
                 "nll: expected a rank-1 output (one value per class), got 3x2x2; end with flatten "
                 "and dense<classes>");
  STATIC_REQUIRE(build<ctc<5>, dense<4>, input<2>>().message ==
                 "ctc<5>: expected one value per class at each point in time, got 4; end with "
                 "each_step<dense<classes>>");
  STATIC_REQUIRE(build<blank_beyond, each_step<dense<3>>, sequence<6, 2>>().message ==
                 "ctc<5>: expected a blank below 3 classes, got 3; name one of the classes");
}

TEST_CASE("Losses of several outputs take a bundle", "[nn]") {
  constexpr auto three = build<triplet, each<dense<3>>, inputs<input<2>, input<2>, input<2>>>();
  STATIC_REQUIRE(three.message.empty());
  STATIC_REQUIRE(three.targets == 0);
  STATIC_REQUIRE(three.losses == 1);
  constexpr auto two = build<cosine_embedding, each<dense<3>>, inputs<input<2>, input<2>>>();
  STATIC_REQUIRE(two.target[0] == shape(4));
  STATIC_REQUIRE(two.type[0] == element::f32);
}

TEST_CASE("A teacher comes as a target, or stands in the network", "[nn]") {
  constexpr auto outside = build<hot, dense<3>, input<2>>();
  STATIC_REQUIRE(outside.message.empty());
  STATIC_REQUIRE(outside.losses == 2);
  STATIC_REQUIRE(outside.targets == 2);
  STATIC_REQUIRE(outside.type[0] == element::int32);
  STATIC_REQUIRE(outside.target[1] == shape(4, 3));
  STATIC_REQUIRE(outside.attr.weight == 0.75f);  // of the hard part, which is the last
  constexpr auto within = build<hot, branch<dense<3>, dense<3>>, input<2>>();
  STATIC_REQUIRE(within.message.empty());
  STATIC_REQUIRE(within.targets == 1);
}

TEST_CASE("ctc asks for labels, their number and frames", "[nn]") {
  constexpr auto all = build<blank_last, each_step<dense<3>>, sequence<6, 2>>();
  STATIC_REQUIRE(all.message.empty());
  STATIC_REQUIRE(all.targets == 3);
  STATIC_REQUIRE(all.target[0] == shape(4, 5));
  STATIC_REQUIRE(all.target[2] == shape(4));
  STATIC_REQUIRE(all.attr.blank == 2);
  STATIC_REQUIRE(all.attr.zero_infinity);
  // A network that puts out its lengths brings them along.
  constexpr auto own =
      build<ctc<5>, parallel<each_step<dense<3>>, identity>, inputs<sequence<6, 2>, tokens<>>>();
  STATIC_REQUIRE(own.message.empty());
  STATIC_REQUIRE(own.targets == 2);
}

}  // namespace
