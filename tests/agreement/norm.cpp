// Batch statistics on every backend: what counts in them, what they keep, how well they are
// conditioned.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"test", 0, ""};

/// A batch normalization with its gradients, every tensor by name.
struct batch_case {
  graph g;
  i32 x, gamma, beta, mean, variance, y, seed;
  grow<i32> gradients;

  batch_case(const shape& sample, i32 batch, bool last) {
    x = add_tensor(g, sample.batch_of(batch), {.batch_last = last, .differentiable = true});
    gamma = add_weight(g, shape(sample[0]), element::f32, "gamma");
    beta = add_weight(g, shape(sample[0]), element::f32, "beta");
    mean = ops::statistic(g, shape(sample[0]), {"test", 0, "mean"}, initializer::zeros);
    variance = ops::statistic(g, shape(sample[0]), {"test", 0, "variance"}, initializer::ones);
    y = ops::batch_norm(g, x, gamma, beta, mean, variance, {}, layer);
    const differentiated d = differentiate_from(g, {y});
    keep(g, y);
    seed = d.seeds[0];
    gradients = d.gradients;
  }
};

std::vector<double> draw(i64 count, u64 stream, double offset = 0) {
  random_stream random(5, stream);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& v : values) v = offset + 2 * static_cast<double>(random.next_uniform()) - 1;
  return values;
}

/// The worst difference of the first elements of `got` from `want`.
double apart(const std::vector<double>& want, const std::vector<double>& got) {
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double off = std::abs(got[i] - want[i]);
    if (!(off <= worst)) worst = off;
  }
  return worst;
}

TEST_CASE("padded samples count in no statistic and no gradient", "[agreement]") {
  constexpr i32 valid = 11;
  constexpr i32 batch = 16;
  for (const shape& sample : {shape(3, 4, 5), shape(19), shape(2, 3)}) {
    const i64 count = valid * sample.count();
    std::vector<double> x = draw(count, 1);
    std::vector<double> dy = draw(count, 2);
    const auto run = [&](const graph_backend& b, i32 samples, bool last) {
      batch_case c(sample, samples, last);
      interpreter net(c.g, b.find);
      std::vector<double> all_x = x;
      std::vector<double> all_dy = dy;
      const auto whole = static_cast<std::size_t>(samples * sample.count());
      all_x.resize(whole, 9.0);  // what padding holds must not matter
      all_dy.resize(whole, -5.0);
      net.write(c.x, all_x);
      net.write(c.seed, all_dy);
      net.write(c.gamma, draw(sample[0], 3));
      net.write(c.beta, draw(sample[0], 4));
      net.run({.valid = valid});
      std::vector<std::vector<double>> results;
      for (const i32 id :
           {c.y, c.mean, c.variance, c.gradients[c.x], c.gradients[c.gamma], c.gradients[c.beta]}) {
        results.push_back(net.read(id));
      }
      return results;
    };
    const auto want = run(reference_backend, valid, false);
    for (const graph_backend& b : backends()) {
      for (const bool last : layouts(b, batch)) {
        INFO(b.name << (last ? ", samples innermost" : ""));
        const auto got = run(b, batch, last);
        for (std::size_t k = 0; k < want.size(); ++k) {
          INFO("result " << k);
          // sums of at most 220 terms of size 1, inverse deviations of at most 4
          CHECK(apart(want[k], got[k]) < 4e-5);
          if (k != 0 && k != 3) continue;
          for (std::size_t i = want[k].size(); i < got[k].size(); ++i) {
            if (!std::isfinite(got[k][i])) FAIL_CHECK("padding is not finite");
            if (k == 3 && got[k][i] != 0) FAIL_CHECK("padding has a gradient");
          }
        }
      }
    }
  }
}

TEST_CASE("a large mean does not cancel", "[agreement]") {
  for (const shape& sample : {shape(2, 30, 31), shape(17)}) {
    constexpr i32 batch = 32;
    for (const graph_backend& b : backends()) {
      for (const bool last : layouts(b, batch)) {
        batch_case c(sample, batch, last);
        interpreter net(c.g, b.find);
        // 4096 and steps of 2^-11: floats hold x exactly, so only the kernel's sums round.
        std::vector<double> x = draw(batch * sample.count(), 1);
        for (double& v : x) v = 4096 + std::round(v * 2048) / 2048;
        net.write(c.x, x);
        net.write(c.gamma, std::vector<double>(static_cast<std::size_t>(sample[0]), 1.0));
        net.run({.valid = batch});
        const std::vector<double> got = net.read(c.variance);
        const i64 inner = sample.count() / sample[0];
        for (i64 channel = 0; channel < sample[0]; ++channel) {
          double sum = 0;
          double squares = 0;
          const auto each = [&](auto visit) {
            for (i64 n = 0; n < batch; ++n)
              for (i64 i = 0; i < inner; ++i)
                visit(x[static_cast<std::size_t>((n * sample[0] + channel) * inner + i)]);
          };
          each([&](double v) { sum += v; });
          const double mean = sum / static_cast<double>(batch * inner);
          each([&](double v) { squares += (v - mean) * (v - mean); });
          const double variance = squares / static_cast<double>(batch * inner - 1);
          const double want = 0.9 + 0.1 * variance;
          INFO(b.name << ", channel " << channel);
          // The mean is off by some 2^-11 at most: its square is what the variance may be off by.
          CHECK(std::abs(got[static_cast<std::size_t>(channel)] - want) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("running statistics follow their batches step by step", "[agreement]") {
  constexpr i32 batch = 16;
  for (const graph_backend& b : backends()) {
    for (const bool last : layouts(b, batch)) {
      batch_case c(shape(3, 5), batch, last);
      interpreter net(c.g, b.find);
      net.write(c.gamma, draw(3, 3));
      std::vector<double> mean(3, 0.0);
      std::vector<double> variance(3, 1.0);
      for (u64 step = 0; step < 4; ++step) {
        const std::vector<double> x = draw(batch * 15, 7 + step, 0.5);
        net.write(c.x, x);
        net.run({.valid = batch});
        for (std::size_t k = 0; k < 3; ++k) {
          double sum = 0;
          double squares = 0;
          for (std::size_t i = 0; i < x.size(); ++i) {
            if (i / 5 % 3 == k) sum += x[i];
          }
          for (std::size_t i = 0; i < x.size(); ++i) {
            const double off = x[i] - sum / 80;
            if (i / 5 % 3 == k) squares += off * off;
          }
          mean[k] = 0.9 * mean[k] + 0.1 * sum / 80;
          variance[k] = 0.9 * variance[k] + 0.1 * squares / 79;
        }
        INFO(b.name);
        CHECK(apart(mean, net.read(c.mean)) < 1e-6);
        CHECK(apart(variance, net.read(c.variance)) < 1e-6);
      }
    }
  }
}

}  // namespace
