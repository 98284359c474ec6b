#include <tessera/optim/initialize.hpp>

#include <support/catch.hpp>

#include <tessera/optim/optimizer.hpp>

#include <algorithm>
#include <vector>

namespace {

using namespace tessera;

struct statistics {
  double mean = 0, deviation = 0, lowest = 0, highest = 0;
};

statistics draw(initializer init, i32 fan_in, i32 fan_out, std::size_t count = 100'000) {
  std::vector<double> v(count);
  random_stream random(12, 34);
  initialize(init, fan_in, fan_out, random, v);
  statistics s;
  for (const double x : v) s.mean += x / static_cast<double>(count);
  for (const double x : v) s.deviation += (x - s.mean) * (x - s.mean);
  s.deviation = std::sqrt(s.deviation / static_cast<double>(count));
  s.lowest = *std::min_element(v.begin(), v.end());
  s.highest = *std::max_element(v.begin(), v.end());
  return s;
}

// The standard error of a mean of 100,000 is 0.32 % of the deviation, that of the deviation at most
// 0.22 %: 4 of them are allowed.
void check(const statistics& s, double deviation) {
  CHECK(std::abs(s.mean) < 0.013 * deviation);
  CHECK(s.deviation == Approx(deviation).epsilon(0.009));
}

TEST_CASE("Uniform initializers have their variance and their bound", "[optim]") {
  const statistics glorot = draw(initializer::glorot_uniform, 30, 70);
  check(glorot, std::sqrt(0.02));
  CHECK(glorot.highest <= std::sqrt(0.06));
  CHECK(glorot.highest > 0.999 * std::sqrt(0.06));
  CHECK(glorot.lowest < -0.999 * std::sqrt(0.06));
  const statistics he = draw(initializer::he_uniform, 50, 7);
  check(he, 0.2);
  CHECK(he.highest <= 0.2 * std::sqrt(3.0));
  const statistics torch = draw(initializer::torch_uniform, 25, 7);
  check(torch, 0.2 / std::sqrt(3.0));
  CHECK(torch.highest <= 0.2);
  CHECK(torch.highest > 0.1998);
}

TEST_CASE("Normal initializers have their variance and normal tails", "[optim]") {
  const statistics glorot = draw(initializer::glorot_normal, 30, 70);
  check(glorot, std::sqrt(0.02));
  CHECK(glorot.highest > 3.5 * std::sqrt(0.02));
  const statistics he = draw(initializer::he_normal, 50, 7);
  check(he, 0.2);
  CHECK(he.lowest < -0.7);
}

TEST_CASE("Initializers with a number follow it", "[optim]") {
  check(draw({initializer::normal_with, 0.25f}, 3, 3), 0.25);
  const statistics uniform = draw({initializer::uniform_in, 0.5f}, 3, 3);
  check(uniform, 0.5 / std::sqrt(3.0));
  CHECK(uniform.highest <= 0.5);
  CHECK(uniform.highest > 0.4995);
  check(draw({initializer::he_normal, 2}, 10, 7), std::sqrt(2 / 5.0 / 10));
  check(draw(initializer::he_uniform_out, 7, 50), 0.2);
  check(draw(initializer::he_normal_out, 7, 50), 0.2);
  check(draw(initializer::lecun_normal, 25, 7), 0.2);
  check(draw(initializer::lecun_uniform, 25, 7), 0.2);
  // Of a normal number within 2 deviations: variance 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737.
  const statistics cut = draw({initializer::truncated_normal, 1}, 3, 3);
  check(cut, 0.879626);
  CHECK(cut.highest <= 2);
  CHECK(cut.highest > 1.99);
}

TEST_CASE("Orthogonal weights have orthonormal rows, or columns where those are fewer", "[optim]") {
  for (const std::size_t rows : {4u, 9u, 30u}) {
    const std::size_t columns = 9;
    std::vector<double> v(rows * columns);
    random_stream random(3);
    initialize({initializer::orthogonal, 2}, 9, 9, random, v, static_cast<i64>(rows));
    const bool by_rows = rows <= columns;
    const std::size_t count = by_rows ? rows : columns;
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b) {
        double product = 0;
        for (std::size_t i = 0; i < (by_rows ? columns : rows); ++i) {
          product += by_rows ? v[a * columns + i] * v[b * columns + i]
                             : v[i * columns + a] * v[i * columns + b];
        }
        CHECK(product == Approx(a == b ? 4 : 0).margin(1e-12));
      }
    }
  }
}

TEST_CASE("Zeros and ones are what they say", "[optim]") {
  const statistics zeros = draw(initializer::zeros, 3, 3, 100);
  CHECK(zeros.lowest == 0);
  CHECK(zeros.highest == 0);
  const statistics ones = draw(initializer::ones, 3, 3, 100);
  CHECK(ones.lowest == 1);
  CHECK(ones.highest == 1);
}

struct my_sgd : sgd {
  static constexpr float momentum = 0.5f;
  static constexpr float weight_decay = 0.25f;
};
struct my_rmsprop : rmsprop {
  static constexpr float momentum = 0.5f;
  static constexpr bool centered = true;
  static constexpr float l1 = 0.5f;
  static constexpr bool spares_vectors = true;
};
struct my_adam : adam {
  static constexpr float beta1 = 0.5f;
  static constexpr bool amsgrad = true;
};

TEST_CASE("Optimizer types become values, derived constants included", "[optim]") {
  constexpr update_rule plain = rule_of<sgd>();
  STATIC_REQUIRE(plain.what == optimizer_kind::sgd);
  STATIC_REQUIRE(plain.states() == 0);
  constexpr update_rule nesterov = rule_of<nesterov_sgd>();
  STATIC_REQUIRE(nesterov.momentum == 0.9f);
  STATIC_REQUIRE(nesterov.nesterov);
  STATIC_REQUIRE(nesterov.states() == 1);
  constexpr update_rule mine = rule_of<my_sgd>();
  STATIC_REQUIRE(mine.momentum == 0.5f);
  STATIC_REQUIRE(mine.weight_decay == 0.25f);
  constexpr update_rule moments = rule_of<adam>();
  STATIC_REQUIRE(moments.beta1 == 0.9f);
  STATIC_REQUIRE(moments.beta2 == 0.999f);
  STATIC_REQUIRE(moments.epsilon == 1e-8f);
  STATIC_REQUIRE(moments.states() == 2);
  constexpr update_rule largest = rule_of<my_adam>();
  STATIC_REQUIRE(largest.beta1 == 0.5f);
  STATIC_REQUIRE(largest.states() == 3);
  STATIC_REQUIRE_FALSE(optimizer<int>);
  STATIC_REQUIRE(rule_of<adamw>().decoupled);
  STATIC_REQUIRE(rule_of<adamw>().weight_decay == 0.01f);
  STATIC_REQUIRE(rule_of<rmsprop>().beta2 == 0.99f);
  STATIC_REQUIRE(rule_of<adadelta>().beta2 == 0.9f);
  STATIC_REQUIRE(rule_of<my_rmsprop>().states() == 3);
  STATIC_REQUIRE(rule_of<my_rmsprop>().l1 == 0.5f);
  STATIC_REQUIRE(rule_of<my_rmsprop>().spares_vectors);
  STATIC_REQUIRE(rule_of<nadam>().slowing == 0.004f);
  STATIC_REQUIRE(rule_of<rprop>().largest == 50);
  STATIC_REQUIRE(rule_of<lars>().trust == 0.001f);
}

}  // namespace
