#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network.hpp>

#include <cmath>
#include <cstring>
#include <vector>

namespace {

using namespace tessera;

struct reference_backend {
  template <signature S>
  static constexpr kernel kernel_of = reference::kernel_of<S>;
};

/// Noisy patterns of 4 classes on 1x6x6.
class patterns {
 public:
  explicit patterns(i64 size, float scale = 1) : size_(size), scale_(scale) {}
  i64 size() const { return size_; }
  shape sample_shape() const { return {1, 6, 6}; }
  void read(i64 index, float* out) const {
    random_stream random(11, static_cast<u64>(index));
    for (i32 i = 0; i < 36; ++i) {
      const bool lit = (i / 9 + i) % 4 == label(index);
      out[i] = scale_ * ((lit ? 1.0f : 0.0f) + 0.3f * random.next_normal());
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 7 % 4); }

 private:
  i64 size_;
  float scale_;
};

using net = network<image<1, 6, 6>, conv<4, 3>, tessera::tanh, max_pool<2>, flatten, dense<8>, relu,
                    dense<4>>;
using job = training<net, softmax_cross_entropy, momentum_sgd, batch<16>>;
using on_reference = trainer<job, reference_backend>;

template <class Trainer>
std::vector<std::byte> bytes_of(const Trainer& t) {
  std::vector<std::byte> all;
  for (const weight& w : t.weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

template <class Trainer>
std::vector<double> values_of(const Trainer& t) {
  std::vector<double> all;
  for (const weight& w : t.weights()) {
    const std::vector<double> values = read_tensor(w.about, w.bytes.data());
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST_CASE("Training learns the patterns", "[train]") {
  on_reference t{seed{3}};
  const double before = t.evaluate(patterns(200)).loss;
  t.fit(patterns(400), {.epochs = 6, .learning_rate = cosine_rate(0.1)});
  const metrics after = t.evaluate(patterns(200));
  CHECK(after.loss < 0.3 * before);
  CHECK(after.accuracy > 0.95);
  CHECK(after.samples == 200);
  i64 counted = 0;
  i64 right = 0;
  for (i32 truth = 0; truth < 4; ++truth) {
    i64 row = 0;
    for (i32 predicted = 0; predicted < 4; ++predicted) row += after.matrix(truth, predicted);
    CHECK(row == 50);
    counted += row;
    right += after.matrix(truth, truth);
  }
  CHECK(counted == 200);
  CHECK(after.accuracy == Approx(static_cast<double>(right) / 200));
}

TEST_CASE("The same seed gives the same bits, another seed others", "[train]") {
  const auto train = [](u64 start) {
    on_reference t{seed{start}};
    t.fit(patterns(70), {.epochs = 2, .learning_rate = 0.05});
    return bytes_of(t);
  };
  const std::vector<std::byte> first = train(5);
  CHECK(first == train(5));
  CHECK(first != train(6));
}

TEST_CASE("A last, smaller batch counts its real samples only", "[train]") {
  // With a rate of zero the weights stay, so the fit's loss is the mean over 37 samples.
  on_reference t{seed{4}};
  const double fitted = t.fit(patterns(37), {.learning_rate = 0});
  using one_by_one = training<net, softmax_cross_entropy, momentum_sgd, batch<1>>;
  trainer<one_by_one, reference_backend> single{seed{4}};
  REQUIRE(bytes_of(t) == bytes_of(single));
  double sum = 0;
  for (i32 i = 0; i < 37; ++i) {
    single.load(patterns(37), std::vector<i32>{i});
    single.step(0);
    sum += single.loss();
  }
  CHECK(fitted == Approx(sum / 37).epsilon(1e-6));
  CHECK(t.evaluate(patterns(37)).loss == Approx(sum / 37).epsilon(1e-6));
}

TEST_CASE("A step on 5 of 16 samples is the step of a batch of 5", "[train]") {
  using five = training<net, softmax_cross_entropy, momentum_sgd, batch<5>>;
  on_reference padded{seed{8}};
  trainer<five, reference_backend> exact{seed{8}};
  const std::vector<i32> chosen{9, 2, 5, 30, 31};
  padded.load(patterns(40), chosen);
  exact.load(patterns(40), chosen);
  padded.step(0.5f, 5);
  exact.step(0.5f);
  CHECK(padded.loss() == Approx(exact.loss()).epsilon(1e-6));
  const std::vector<double> a = values_of(padded);
  const std::vector<double> b = values_of(exact);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).epsilon(1e-4).margin(1e-6));
}

TEST_CASE("What lay in the padding before does not matter", "[train]") {
  const std::vector<i32> chosen{3, 1};
  on_reference fresh{seed{9}};
  fresh.load(patterns(40), chosen);
  fresh.step(0.1f, 2);
  on_reference used{seed{9}};
  std::vector<i32> whole(16);
  for (i32 i = 0; i < 16; ++i) whole[static_cast<std::size_t>(i)] = i + 4;
  used.load(patterns(40), whole);
  used.load(patterns(40), chosen);
  used.step(0.1f, 2);
  CHECK(bytes_of(fresh) == bytes_of(used));
}

template <class Rule>
using scaled = training<net, softmax_cross_entropy, sgd, batch<16>,
                        mixed<fp16, Rule, dynamic_scale<(i64{1} << 40), 3>>>;

TEST_CASE("An overflow halves the loss scale and leaves the weights alone", "[train]") {
  trainer<scaled<skip_step>, reference_backend> t{seed{2}};
  CHECK(t.loss_scale() == std::ldexp(1.0, 40));
  std::vector<i32> chosen(16);
  for (i32 i = 0; i < 16; ++i) chosen[static_cast<std::size_t>(i)] = i;
  t.load(patterns(40), chosen);
  const std::vector<std::byte> start = bytes_of(t);
  double scale = t.loss_scale();
  int halved = 0;
  while (true) {
    t.step(0.01f);
    if (bytes_of(t) != start) break;
    scale /= 2;
    ++halved;
    REQUIRE(t.loss_scale() == scale);
    REQUIRE(halved < 40);
  }
  CHECK(halved > 15);  // gradients of this network are far above 65504 / 2^40 2^15
  // That was the first good step; the third in a row doubles the scale.
  CHECK(t.loss_scale() == scale);
  t.step(0.01f);
  CHECK(t.loss_scale() == scale);
  t.step(0.01f);
  CHECK(t.loss_scale() == 2 * scale);
}

TEST_CASE("Under skip_tensor an overflow halves the scale and finite tensors are updated",
          "[train]") {
  trainer<scaled<skip_tensor>, reference_backend> t{seed{2}};
  t.fit(patterns(320), {.epochs = 3, .learning_rate = 0.05});
  CHECK(t.loss_scale() < std::ldexp(1.0, 40));
  CHECK(t.loss_scale() >= 1);
  for (const double v : values_of(t)) REQUIRE(std::isfinite(v));
}

TEST_CASE("A static scale stays what it is", "[train]") {
  using fixed =
      training<net, softmax_cross_entropy, sgd, batch<16>, mixed<fp16, static_scale<512>>>;
  trainer<fixed, reference_backend> t{seed{2}};
  t.fit(patterns(64), {.learning_rate = 0.05});
  CHECK(t.loss_scale() == 512);
}

TEST_CASE("Without loss scaling the scale is 1", "[train]") {
  const on_reference t{seed{2}};
  CHECK(t.loss_scale() == 1);
}

TEST_CASE("Mixed precision trains as f32 does", "[train]") {
  using half_job = training<net, softmax_cross_entropy, momentum_sgd, batch<16>, mixed<fp16>>;
  on_reference full{seed{3}};
  trainer<half_job, reference_backend> half{seed{3}};
  const double a = full.fit(patterns(200), {.epochs = 3, .learning_rate = 0.05});
  const double b = half.fit(patterns(200), {.epochs = 3, .learning_rate = 0.05});
  CHECK(a == Approx(b).epsilon(0.1));
  CHECK(half.evaluate(patterns(100)).accuracy ==
        Approx(full.evaluate(patterns(100)).accuracy).margin(0.05));
}

TEST_CASE("Progress tells every step, and the rate follows the schedule", "[train]") {
  on_reference t{seed{1}};
  std::vector<progress> told;
  t.fit(patterns(37), {.epochs = 2,
                       .learning_rate = cosine_rate(0.1),
                       .progress = [&](const progress& p) { told.push_back(p); }});
  REQUIRE(told.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(told[i].epoch == static_cast<i32>(i / 3) + 1);
    CHECK(told[i].epochs == 2);
    CHECK(told[i].step == static_cast<i64>(i % 3) + 1);
    CHECK(told[i].steps == 3);
    CHECK(told[i].learning_rate ==
          Approx(0.05 * (1 + std::cos(3.14159265358979 * static_cast<double>(i) / 6))));
    CHECK(told[i].epoch_ends() == (i % 3 == 2));
    CHECK(told[i].seconds_left >= 0);
  }
}

struct wrong_size : patterns {
  using patterns::patterns;
  shape sample_shape() const { return {1, 5, 5}; }
};

TEST_CASE("Samples of another shape are refused with both shapes", "[train]") {
  on_reference t{seed{1}};
  CHECK_THROWS_WITH(t.fit(wrong_size(20), {}),
                    "trainer: expected samples of shape 1x6x6, got 1x5x5");
  CHECK_THROWS_AS(t.evaluate(wrong_size(20)), error);
}

}  // namespace
