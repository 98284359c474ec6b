#include <tessera/train/dbn.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>

#include <string>
#include <vector>

namespace {

using namespace tessera;

/// Pictures of 16 dots in two halves: one of 4 patterns in each half.
struct dots {
  i64 size() const { return 320; }
  shape sample_shape() const { return {1, 4, 4}; }
  void read(i64 index, float* out) const {
    random_stream random(8, static_cast<u64>(index));
    for (i32 i = 0; i < 16; ++i) {
      const i64 code = i < 8 ? index % 4 : index / 4 % 4;
      const bool lit = i % 4 == code;
      out[i] = lit != (random.next_uniform() < 0.05f) ? 1.0f : 0.0f;
    }
  }
  i32 label(i64 index) const { return static_cast<i32>((index % 4 + index / 4) % 4); }
};

using stack = dbn<rbm<16, 12>, rbm<12, 6>>;

std::vector<double> values_of(const weight_list& weights, const std::string& name) {
  for (const weight& w : weights) {
    if (w.name == name) return read_tensor(w.about, w.bytes.data());
  }
  return {};
}

TEST_CASE("A stack is its machines, and a network of as many sigmoid layers", "[dbn]") {
  STATIC_REQUIRE(std::same_as<stack::machine<1>, rbm<12, 6>>);
  STATIC_REQUIRE(std::same_as<stack::features<1>, network<input<16>, dense<12>, sigmoid>>);
  STATIC_REQUIRE(std::same_as<stack::classifier<4>,
                              network<input<16>, dense<12>, sigmoid, dense<6>, sigmoid, dense<4>>>);
}

TEST_CASE("A pretrained stack becomes the lower layers of its classifier", "[dbn]") {
  std::vector<double> errors;
  const dbn_weights pretrained = pretrain<stack, cd<1>, momentum_sgd, batch<16>>(
      dots(), {.epochs = 20, .learning_rate = 0.1}, seed{3}, threads{1},
      [&](i32 machine, i32 count, double error) {
        CHECK(machine == static_cast<i32>(errors.size()));
        CHECK(count == 2);
        errors.push_back(error);
      });
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] < 0.1);  // a machine that knows the pixels' means: 0.19

  trainer<training<stack::classifier<4>, softmax_cross_entropy, adam, batch<16>>> t{seed{5}};
  const std::vector<double> top = values_of(t.weights(), "dense3.weight");
  const load_result copied = pretrained.copy_to(t.weights());
  CHECK(copied.loaded == 4);
  CHECK(copied.kept == std::vector<std::string>{"dense3.weight", "dense3.bias"});
  CHECK(values_of(t.weights(), "dense3.weight") == top);
  CHECK(values_of(t.weights(), "dense2.bias") == values_of(pretrained.weights(), "dense2.bias"));

  // The upper machine has learned what the lower one says of the data.
  trainer<rbm_training<stack::machine<0>, cd<1>, sgd, batch<16>>> lower;
  load_options as_machine{.rename = {{"dense1.bias", "rbm.hidden_bias"}, {"dense1.", "rbm."}},
                          .ignore = {"dense2."}};
  copy_weights(pretrained.weights(), lower.weights(), as_machine);
  const feature_source between = features_of(lower, dots());
  trainer<rbm_training<stack::machine<1>, cd<1>, sgd, batch<16>>> upper;
  const double before = upper.evaluate(between).loss;
  as_machine = {.rename = {{"dense2.bias", "rbm.hidden_bias"}, {"dense2.", "rbm."}},
                .ignore = {"dense1."}};
  copy_weights(pretrained.weights(), upper.weights(), as_machine);
  CHECK(upper.evaluate(between).loss < 0.6 * before);

  // Its features are those of the feed-forward network.
  const auto up = std::make_unique<predictor<inference<stack::features<1>, batch<16>>>>();
  copy_weights(pretrained.weights(), up->weights(), {.ignore = {"visible_bias", "dense2."}});
  std::vector<float> in(16 * 16), out(16 * 12);
  for (i64 n = 0; n < 16; ++n) dots().read(n, in.data() + n * 16);
  up->run(in, out);
  float worst = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    worst = std::max(worst, std::abs(out[i] - between.row(0)[i]));
  }
  CHECK(worst < 1e-6f);

  t.fit(dots(), {.epochs = 60, .learning_rate = 0.01});
  CHECK(t.evaluate(dots()).accuracy > 0.8);
}

TEST_CASE("A network without the stack's layers refuses its weights", "[dbn]") {
  dbn_weights w;
  trainer<rbm_training<rbm<16, 12>, cd<1>, sgd, batch<4>>> machine;
  w.add(machine.weights());
  using other = network<input<16>, dense<11>, sigmoid, dense<4>>;
  trainer<training<other, softmax_cross_entropy, sgd, batch<4>>> narrow;
  CHECK_THROWS_WITH(w.copy_to(narrow.weights()), tessera::testing::contains("dense1.weight"));
  using none = network<input<16>, named<"top", dense<4>>>;
  trainer<training<none, softmax_cross_entropy, sgd, batch<4>>> lacking;
  CHECK_THROWS_AS(w.copy_to(lacking.weights()), error);
  CHECK_THROWS_AS((pretrain<stack, cd<1>, sgd, batch<4>>(dots(), std::vector<fit_options>{})),
                  error);
}

TEST_CASE("The same seed gives the same stack, whatever the number of threads", "[dbn]") {
  const auto bytes = [](i32 workers) {
    const dbn_weights w = pretrain<stack, pcd<1>, momentum_sgd, batch<16>>(
        dots(), {.epochs = 2, .learning_rate = 0.1}, seed{3}, threads{workers});
    std::vector<std::byte> all;
    for (const weight& each : w.weights()) {
      all.insert(all.end(), each.bytes.begin(), each.bytes.end());
    }
    return all;
  };
  CHECK(bytes(1) == bytes(3));
}

}  // namespace
