// Mixtures of experts in whole trainings.

#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>
#include <tessera/nn.hpp>
#include <tessera/nn/experts.hpp>
#include <tessera/runtime/predictor.hpp>

#include <vector>

namespace {

using namespace tessera;

/// Two numbers in one of 4 quadrants, each with a rule of its own for the class: what one small
/// layer cannot tell and a few experts can.
class quadrants {
 public:
  i64 size() const { return 400; }  // not a multiple of the batch
  shape sample_shape() const { return shape(4); }
  void read(i64 index, float* out) const {
    random_stream random(5, static_cast<u64>(index));
    for (i32 i = 0; i < 2; ++i) out[i] = 2 * random.next_uniform() - 1;
    out[2] = out[0] > 0 ? 1.0f : -1.0f;
    out[3] = out[1] > 0 ? 1.0f : -1.0f;
  }
  i32 label(i64 index) const {
    float x[4];
    read(index, x);
    const float a = x[0] - 0.5f * x[2];
    const float b = x[1] - 0.5f * x[3];
    const i32 rule = (x[2] > 0 ? 1 : 0) + (x[3] > 0 ? 2 : 0);
    return rule == 0 ? a > 0 : rule == 1 ? b > 0 : rule == 2 ? a + b > 0 : a - b > 0;
  }
};

using mixture = mixture_of_experts<chain<dense<12>, relu, dense<8>>, 6, top<2>, balanced<2>>;
using net = network<input<4>, mixture, relu, dense<2>>;
using job = training<net, softmax_cross_entropy, adam, batch<32>>;

TEST_CASE("a mixture of experts learns, balances its experts, and repeats its bits", "[train]") {
  trainer<job> t(seed{4});
  const quadrants source;
  STATIC_REQUIRE(trainer<job>::loss_count == 3);
  t.fit(source, {.epochs = 60, .learning_rate = 0.01f});
  const metrics m = t.evaluate(source);
  CHECK(m.losses.size() == 1);  // the balancing losses are of the training alone
  CHECK(m.accuracy > 0.93);
  CHECK(t.loss(1) < 0.02 * 0.8);  // CV^2 below 0.8; two of six alone would have 2

  trainer<job> again(seed{4});
  again.fit(source, {.epochs = 60, .learning_rate = 0.01f});
  CHECK(again.loss() == t.loss());
}

TEST_CASE("a mixture of experts learns in mixed precision", "[train]") {
  using half_job = training<net, softmax_cross_entropy, adam, batch<32>, mixed<fp16>>;
  trainer<half_job> t(seed{4});
  const quadrants source;
  t.fit(source, {.epochs = 60, .learning_rate = 0.01f});
  CHECK(t.evaluate(source).accuracy > 0.93);
  CHECK(t.loss(1) < 0.02 * 0.8);
}

TEST_CASE("a compiled mixture predicts with the trained weights, one sample at a time", "[train]") {
  trainer<job> t(seed{4});
  const quadrants source;
  t.fit(source, {.epochs = 60, .learning_rate = 0.01f});
  predictor<inference<net, batch<1>>> one;
  const weight_list to = one.weights();
  const weight_list from = t.weights();
  REQUIRE(to.size() == from.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    REQUIRE(to[i].name == from[i].name);
    std::copy(from[i].bytes.begin(), from[i].bytes.end(), to[i].bytes.begin());
  }
  i32 right = 0;
  for (i64 i = 0; i < 200; ++i) {
    float x[4], y[2];
    source.read(i, x);
    one.run(std::span<const float>(x, 4), std::span<float>(y, 2));
    right += (y[1] > y[0] ? 1 : 0) == source.label(i);
  }
  CHECK(right > 180);
}

}  // namespace
