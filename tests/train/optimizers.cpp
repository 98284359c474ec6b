// Compiled training programs with optimizers beside sgd and adam, clipping, and early stopping.

#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace {

using namespace tessera;

/// Points of the plane; their class is which side of a curve they lie on.
struct points {
  i64 count = 256;
  u64 stream = 0;
  i64 size() const { return count; }
  shape sample_shape() const { return shape(2); }
  void read(i64 index, float* out) const {
    random_stream random(3, stream * 1000003 + static_cast<u64>(index));
    out[0] = 2 * random.next_uniform() - 1;
    out[1] = 2 * random.next_uniform() - 1;
  }
  i32 label(i64 index) const {
    float x[2];
    read(index, x);
    return x[1] > std::sin(3 * x[0]) ? 1 : 0;
  }
};

using net = network<tessera::input<2>, dense<16>, tessera::tanh, dense<2>>;

template <class Optimizer, class... Options>
using job = training<net, softmax_cross_entropy, Optimizer, batch<32>, Options...>;

template <class Trainer>
std::vector<double> values_of(const Trainer& t) {
  std::vector<double> all;
  for (const weight& w : t.weights()) {
    const std::vector<double> values = read_tensor(w.about, w.bytes.data());
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

template <class Job>
double loss_after(i32 epochs, double rate) {
  trainer<Job> t{seed{5}};
  return t.fit(points{}, {.epochs = epochs, .learning_rate = rate});
}

struct steady_lars : lars {
  static constexpr float trust = 0.02f;
};
struct sparse_rmsprop : rmsprop {
  static constexpr float momentum = 0.5f;
  static constexpr float l1 = 1e-4f;
};

TEST_CASE("a program trains with each of its optimizers, in f32 and mixed", "[train]") {
  CHECK(loss_after<job<adamw>>(40, 0.02) < 0.2);
  CHECK(loss_after<job<sparse_rmsprop, clip_norm<1>>>(20, 0.01) < 0.2);
  CHECK(loss_after<job<nadam, mixed<fp16>>>(40, 0.02) < 0.2);
  CHECK(loss_after<job<lamb, mixed<fp16, skip_tensor>, clip_value<1, 2>>>(20, 0.02) < 0.2);
  CHECK(loss_after<job<steady_lars, mixed<fp16>, clip_norm<1>>>(40, 0.5) < 0.3);
}

TEST_CASE("clipping keeps all gradients, and says so", "[train]") {
  using plain = job<momentum_sgd>;
  using clipped = job<momentum_sgd, clip_norm<1, 2>>;
  // Weights 16x2 and 2x16, biases 16 and 2, the norms and what comes of them.
  STATIC_REQUIRE(clipped::memory.no_reuse_bytes >= plain::memory.no_reuse_bytes + 128 + 128);
  STATIC_REQUIRE(clipped::memory.arena_bytes > plain::memory.arena_bytes);
  trainer<clipped> t{seed{5}};
  trainer<plain> other{seed{5}};
  const points source;
  std::vector<i32> indices(32);
  for (i32 i = 0; i < 32; ++i) indices[static_cast<std::size_t>(i)] = i;
  const std::vector<double> before = values_of(t);
  t.load(source, indices);
  other.load(source, indices);
  t.step(1);
  other.step(1);
  const std::vector<double> after = values_of(t);
  const std::vector<double> unclipped = values_of(other);
  double norm = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    norm += (unclipped[i] - before[i]) * (unclipped[i] - before[i]);
  }
  norm = std::sqrt(norm);  // the rate is 1, the velocity starts as the gradient
  CHECK(t.gradient_norm() == Approx(norm).epsilon(1e-5));
  const double factor = std::min(1.0, 0.5 / norm);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after[i] - before[i] == Approx(factor * (unclipped[i] - before[i])).margin(1e-6));
  }
}

TEST_CASE("a fit stops early and goes back to its best epoch", "[train]") {
  using small = job<momentum_sgd>;
  // The rate grows: the loss falls first and rises later.
  const fit_options options{.epochs = 60, .learning_rate = exponential_rate(0.02, 1.03)};
  std::vector<double> losses;
  std::vector<std::vector<double>> weights;
  std::vector<i32> bests;
  trainer<small> t{seed{5}};
  fit_options stopping = options;
  stopping.stop = {.patience = 3, .least_improvement = 1e-4};
  stopping.each_epoch = [&](const epoch_end& e) {
    REQUIRE(e.validation != nullptr);
    CHECK(e.epoch == static_cast<i32>(losses.size()) + 1);
    losses.push_back(e.validation->loss);
    weights.push_back(values_of(t));
    if (e.best) bests.push_back(e.epoch);
    return true;
  };
  const points validation{128, 1};
  t.fit(points{}, validation, stopping);
  REQUIRE(losses.size() < 60);
  REQUIRE(losses.size() > 5);
  // What the rule says, by hand.
  std::size_t best = 0;
  for (std::size_t i = 1; i < losses.size(); ++i) {
    CHECK(i - best <= 3);
    if (losses[i] < losses[best] - 1e-4) best = i;
  }
  CHECK(losses.size() - 1 - best == 3);
  CHECK(values_of(t) == weights[best]);
  CHECK(t.evaluate(validation).loss == Approx(losses[best]).epsilon(1e-6));
  std::vector<i32> lowest;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    bool below = true;
    for (std::size_t k = 0; k < i; ++k) below = below && losses[i] < losses[k];
    if (below) lowest.push_back(static_cast<i32>(i) + 1);
  }
  CHECK(bests == lowest);
}

TEST_CASE("a fit ends when its callback says so, and learns nothing from losses that are none",
          "[train]") {
  trainer<job<sgd>> t{seed{5}};
  i32 epochs = 0;
  t.fit(points{}, {.epochs = 9, .each_epoch = [&](const epoch_end& e) {
                     CHECK(e.validation == nullptr);
                     CHECK(e.monitored() == e.loss);
                     ++epochs;
                     return e.epoch < 4;
                   }});
  CHECK(epochs == 4);
  epochs = 0;
  t.fit(points{}, {.epochs = 9,
                   .learning_rate = std::numeric_limits<double>::quiet_NaN(),
                   .each_epoch =
                       [&](const epoch_end&) {
                         ++epochs;
                         return true;
                       },
                   .stop = {.patience = 2}});
  CHECK(epochs == 2);  // the loss is none from the second step on
}

}  // namespace
