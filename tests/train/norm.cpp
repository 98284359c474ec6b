// Normalization in whole trainings: statistics move with training, stay in evaluation, and are
// weights like any other to those who save, load and repeat them.

#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>
#include <tessera/nn.hpp>
#include <tessera/runtime/predictor.hpp>

#include <cmath>
#include <cstring>
#include <vector>

namespace {

using namespace tessera;

/// Noisy patterns of 4 classes on 1x6x6, far from mean 0.
class patterns {
 public:
  i64 size() const { return 60; }  // not a multiple of the batch
  shape sample_shape() const { return {1, 6, 6}; }
  void read(i64 index, float* out) const {
    random_stream random(11, static_cast<u64>(index));
    for (i32 i = 0; i < 36; ++i) {
      const bool lit = (i / 9 + i) % 4 == label(index);
      out[i] = 5 + (lit ? 1.0f : 0.0f) + 0.3f * random.next_normal();
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 7 % 4); }
};

using net = network<image<1, 6, 6>, batch_norm, conv<4, 3, no_bias>, batch_norm, relu, flatten,
                    dense<8, no_bias>, batch_norm, relu, dense<4>>;
using job = training<net, softmax_cross_entropy, momentum_sgd, batch<16>>;

std::vector<double> values_of(const weight_list& list, const std::string& name) {
  for (const weight& w : list) {
    if (w.name == name) return read_tensor(w.about, w.bytes.data());
  }
  FAIL("no weight " << name);
  return {};
}

TEST_CASE("statistics move in training and stay in evaluation", "[train]") {
  trainer<job> t(seed{3});
  const patterns source;
  CHECK(values_of(t.weights(), "bn1.running_mean") == std::vector<double>{0});
  CHECK(values_of(t.weights(), "bn2.running_var") == std::vector<double>(4, 1.0));
  // 1 value for each scale and shift, none for the statistics
  STATIC_REQUIRE(job::parameter_count == 2 + 36 + 8 + 64 * 8 + 16 + 8 * 4 + 4);

  std::vector<i32> indices(16);
  for (i32 step = 0; step < 60; ++step) {
    for (std::size_t i = 0; i < 16; ++i) {
      indices[i] = static_cast<i32>((i * 7 + static_cast<std::size_t>(step) * 16) % 60);
    }
    t.load(source, indices);
    t.step(0.05f);
  }
  // 0.9^60 of the first values is left: the mean of all pixels is 5.25.
  CHECK(std::abs(values_of(t.weights(), "bn1.running_mean")[0] - 5.25) < 0.05);
  const std::vector<double> before = values_of(t.weights(), "bn2.running_var");
  const metrics m = t.evaluate(source);
  CHECK(m.samples == 60);
  CHECK(m.accuracy > 0.95);
  CHECK(values_of(t.weights(), "bn2.running_var") == before);

  // A predictor with the same weights needs nothing else.
  predictor<inference<net, batch<1>>> p;
  const weight_list from = t.weights();
  const weight_list to = p.weights();
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    REQUIRE(from[i].name == to[i].name);
    std::memcpy(to[i].bytes.data(), from[i].bytes.data(), to[i].bytes.size());
  }
  i32 right = 0;
  std::vector<float> sample(36);
  std::vector<float> scores(4);
  for (i32 i = 0; i < 60; ++i) {
    source.read(i, sample.data());
    p.run(sample, scores);
    i32 best = 0;
    for (i32 k = 1; k < 4; ++k) {
      if (scores[static_cast<std::size_t>(k)] > scores[static_cast<std::size_t>(best)]) best = k;
    }
    right += best == source.label(i) ? 1 : 0;
  }
  CHECK(right == static_cast<i32>(std::lround(m.accuracy * 60)));
}

using block = chain<conv<2, 3, pad<1>, no_bias>, batch_norm, relu>;
template <class... Middle>
using deep_net = network<image<1, 6, 6>, conv<2, 3, pad<1>>, Middle..., flatten, dense<4>>;
template <class Precision, class... Middle>
using deep_job =
    training<deep_net<Middle...>, softmax_cross_entropy, momentum_sgd, batch<16>, Precision>;

template <class Precision>
void check_repeat() {
  trainer<deep_job<Precision, repeat<3, block>>> looped(seed{5});
  trainer<deep_job<Precision, block, block, block>> plain(seed{5});
  const weight_list stacks = looped.weights();
  const weight_list blocks = plain.weights();
  REQUIRE(stacks.size() == blocks.size());
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const weight& from = blocks[i];
    REQUIRE(from.bytes.size() == stacks[i].bytes.size());
    REQUIRE(from.about.name.part == std::string(stacks[i].about.name.part));
    std::memcpy(stacks[i].bytes.data(), from.bytes.data(), from.bytes.size());
  }
  const patterns source;
  std::vector<i32> indices(16);
  for (i32 step = 0; step < 5; ++step) {
    for (i32 i = 0; i < 16; ++i) indices[static_cast<std::size_t>(i)] = (i * 3 + step * 7) % 60;
    looped.load(source, indices);
    looped.step(0.1f);
    plain.load(source, indices);
    plain.step(0.1f);
  }
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    const weight& same = blocks[i];
    INFO(stacks[i].name << " and " << same.name);
    CHECK(read_tensor(stacks[i].about, stacks[i].bytes.data()) ==
          read_tensor(same.about, same.bytes.data()));
  }
  CHECK(looped.loss() == plain.loss());
}

TEST_CASE("a repeated block has statistics of its own in every trip", "[train]") {
  check_repeat<fp32>();
  check_repeat<mixed<fp16>>();
}

}  // namespace
