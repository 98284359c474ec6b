// Networks that pool, unpool and up-sample, and ones that train a table: as users write them.

#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <vector>

namespace {

using namespace tessera;

/// Images of one bright cell, to be given back.
struct bright_cells {
  i64 size() const { return 64; }
  shape sample_shape() const { return shape(1, 8, 8); }
  void read(i64 i, float* out) const {
    for (i64 k = 0; k < 64; ++k) out[k] = k == i ? 1.0f : 0.0f;
  }
  void target(i64 i, float* out) const { read(i, out); }
};

using there_and_back =
    network<image<1, 8, 8>, conv<4, 3, pad<1>>, max_pool_with_indices<2>,
            parallel<chain<conv<4, 3, pad<1>>, relu>, chain<>>, max_unpool<>, conv<1, 3, pad<1>>>;
using blended = network<image<1, 8, 8>, conv<4, 3, pad<1>>, adaptive_max_pool<3, 5>,
                        upsample_bilinear<2>, resize_nearest<8>, conv<1, 3, pad<1>>>;

template <class Net>
void learns() {
  using job = training<Net, mse, adam, batch<16>>;
  trainer<job> t{seed{3}};
  std::vector<i32> batch_of(16);
  for (i32 i = 0; i < 16; ++i) batch_of[static_cast<std::size_t>(i)] = 4 * i;
  t.load(bright_cells{}, batch_of);
  t.step(0.01f);
  const double first = t.loss();
  for (i32 i = 0; i < 60; ++i) t.step(0.01f);
  CHECK(t.loss() < 0.5 * first);
}

TEST_CASE("networks that pool, unpool and up-sample learn", "[train]") {
  learns<there_and_back>();
  learns<blended>();
}

TEST_CASE("unpooling has its indices in inference too, in both layouts", "[train]") {
  predictor<inference<there_and_back, batch<16>>> many;
  predictor<inference<there_and_back, batch<1>>> one;
  initialize_weights(many.weights(), 5);
  initialize_weights(one.weights(), 5);
  std::vector<float> samples(16 * 64);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    samples[i] = static_cast<float>((i * 37) % 101) / 50 - 1;
  }
  std::vector<float> all(16 * 64);
  std::vector<float> single(64);
  many.run(samples, all);
  for (std::size_t n = 0; n < 16; ++n) {
    one.run(std::span<const float>(samples).subspan(64 * n, 64), single);
    for (std::size_t k = 0; k < 64; ++k) CHECK(single[k] == Approx(all[64 * n + k]).margin(1e-5));
  }
}

TEST_CASE("a table under plain SGD has no gradient, whatever its size", "[train]") {
  using words = network<tokens<>, embedding<50000, 64>, dense<10>>;
  using step = training<words, softmax_cross_entropy, sgd, batch<32>>;
  STATIC_REQUIRE(step::memory.arena_bytes < 32_KiB);
  using mixed_step = training<words, softmax_cross_entropy, sgd, batch<32>, mixed<fp16>>;
  STATIC_REQUIRE(mixed_step::memory.arena_bytes < 32_KiB);
  STATIC_REQUIRE(mixed_step::memory.total_bytes < 50000 * 64 * 4 + 64_KiB);  // no working copy
  using dense_step = training<words, softmax_cross_entropy, adam, batch<32>>;
  STATIC_REQUIRE(dense_step::memory.arena_bytes > 50000 * 64 * 4);
  using lazy = network<tokens<>, embedding<50000, 64, sparse>, dense<10>>;
  STATIC_REQUIRE(training<lazy, softmax_cross_entropy, adam, batch<32>>::memory.arena_bytes <
                 32_KiB);
  using bags = network<tokens<8>, embedding_bag<50000, 64, bag_mode::mean, sparse>, dense<10>>;
  STATIC_REQUIRE(training<bags, softmax_cross_entropy, adam, batch<32>>::memory.arena_bytes <
                 32_KiB);
}

}  // namespace
