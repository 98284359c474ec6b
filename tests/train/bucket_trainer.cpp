// One set of weights under plans of several lengths.

#include <tessera/train/bucket_trainer.hpp>

#include <support/catch.hpp>

#include <tessera/data/word_pairs.hpp>
#include <tessera/network.hpp>
#include <tessera/nn/embedding.hpp>
#include <tessera/nn/recurrent.hpp>
#include <tessera/nn/shared.hpp>
#include <tessera/train/copy_weights.hpp>

#include <cstring>

using namespace tessera;

namespace {

constexpr i32 words = 9;

/// Says for each word read the one that it is told, with the help of a GRU.
struct layers_of_test {
  static constexpr value build(builder& b, const bundle& x) {
    const value read =
        gru<6, masked>::build(b, {embedding<words, 5>::build(b, x.items[0]), x.items[1]});
    const value told = embedding<words, 6>::build(b, x.items[2]);
    return each_step<dense<words>>::build(b, b.add(read, told));
  }
};

template <i32 Words, class Optimizer>
using job = training<network<inputs<tokens<Words>, tokens<>, tokens<Words>>, layers_of_test>,
                     softmax_cross_entropy, Optimizer, batch<4>, clip_norm<1>>;

/// The target is the source backwards.
data::bucketed_pairs pairs() {
  std::vector<data::word_pair> all;
  for (i32 i = 0; i < 60; ++i) {
    data::word_pair p;
    for (i32 t = 0; t < 1 + i % 6; ++t) p.source.push_back(4 + (i * 7 + t * t) % 5);
    p.target.assign(p.source.rbegin(), p.source.rend());
    all.push_back(std::move(p));
  }
  return {std::move(all), {3, 7}};
}

/// Those of one bucket, as a plain trainer reads them.
struct one_bucket {
  const data::bucketed_pairs& all;
  i64 size() const { return all.size(); }
  void read(i64 i, i32 which, i32* out) const { all.read(i, which, out); }
  void target(i64 i, i32 which, i32* out) const { all.target(i, which, out); }
};

std::vector<std::byte> bytes_of(const weight_list& weights) {
  std::vector<std::byte> all;
  for (const weight& w : weights) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

}  // namespace

TEST_CASE("a step of a bucket is the step of its job, on weights in common", "[train]") {
  const data::bucketed_pairs source = pairs();
  bucket_trainer<job<3, sgd>, job<7, sgd>> both{seed{3}};
  trainer<job<3, sgd>> small{seed{3}};
  trainer<job<7, sgd>> large{seed{3}};
  CHECK(bytes_of(both.weights()) == bytes_of(small.weights()));
  data::bucket_order order(source.buckets_of_samples(), 4, 8);
  i32 steps[2] = {};
  for (auto batch = order.next(); !batch.samples.empty(); batch = order.next()) {
    ++steps[batch.bucket];
    const auto valid = static_cast<i32>(batch.samples.size());
    const double loss = both.step(source, batch.bucket, batch.samples, 0.5f);
    if (batch.bucket == 0) {
      small.load(one_bucket{source}, batch.samples);
      small.step(0.5f, valid);
      CHECK(small.loss() == loss);
      copy_weights(small.weights(), large.weights());
    } else {
      large.load(one_bucket{source}, batch.samples);
      large.step(0.5f, valid);
      CHECK(large.loss() == loss);
      copy_weights(large.weights(), small.weights());
    }
    REQUIRE(bytes_of(both.weights()) == bytes_of(small.weights()));
  }
  CHECK(steps[0] > 2);
  CHECK(steps[1] > 2);
}

TEST_CASE("buckets learn together, with optimizer state in common", "[train]") {
  const data::bucketed_pairs source = pairs();
  using both_jobs = bucket_trainer<job<3, adam>, job<7, adam>>;
  // Weights and moments once.
  CHECK(both_jobs::memory_bytes() <
        job<3, adam>::memory.total_bytes + job<7, adam>::memory.total_bytes);
  both_jobs t{seed{5}}, again{seed{5}};
  data::bucket_order order(source.buckets_of_samples(), 4, 5);
  const double before = t.evaluate(source, order);
  i64 calls = 0;
  const double last = t.fit(
      source, order, {.epochs = 30, .learning_rate = 0.02f, .progress = [&](const progress& p) {
                        ++calls;
                        CHECK(p.steps == order.batches());
                      }});
  CHECK(calls == 30 * order.batches());
  CHECK(t.evaluate(source, order) < 0.6 * before);
  CHECK(last < before);
  again.fit(source, order, {.epochs = 30, .learning_rate = 0.02f});
  CHECK(bytes_of(t.weights()) == bytes_of(again.weights()));
}

TEST_CASE("the loss of buckets is a mean over words", "[train]") {
  const data::bucketed_pairs source = pairs();
  bucket_trainer<job<3, sgd>, job<7, sgd>> both{seed{3}};
  trainer<job<7, sgd>> single{seed{3}};
  data::bucket_order order(source.buckets_of_samples(), 4, 8, false);
  // Word by word, from the losses of single samples.
  double sum = 0;
  double count = 0;
  for (i64 i = 0; i < source.size(); ++i) {
    const auto index = static_cast<i32>(i);
    const double loss = both.step(source, source.bucket(i), {&index, 1}, 0.0f);
    const auto targets = static_cast<double>(source.pair(i).target.size() + 1);
    sum += loss * targets;
    count += targets;
  }
  CHECK(both.evaluate(source, order) == Approx(sum / count).epsilon(1e-5));
}
