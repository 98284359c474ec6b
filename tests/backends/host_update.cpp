#include <tessera/backends/host/update.hpp>

#include "host_support.hpp"

// Updates: optimizers against formulas in double, fused forms against the plain ones bit by bit,
// loss scaling and what an overflow skips.

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

/// A parameter with its states, updated step by step in double.
struct expected_parameter {
  numbers w, s0, s1, s2;
  i32 applied = 0;

  explicit expected_parameter(const numbers& start)
      : w(start), s0(start.size(), 0), s1(start.size(), 0), s2(start.size(), 0) {}

  void step(const update_rule& rule, double rate, const numbers& gradient) {
    const int t = applied + 1;
    for (std::size_t i = 0; i < w.size(); ++i) {
      double g = gradient[i] + static_cast<double>(rule.weight_decay) * w[i];
      if (rule.what == optimizer_kind::sgd) {
        if (rule.momentum != 0) {
          const double mu = rule.momentum;
          s0[i] = t == 1 ? g : mu * s0[i] + (1 - static_cast<double>(rule.dampening)) * g;
          g = rule.nesterov ? g + mu * s0[i] : s0[i];
        }
        w[i] -= rate * g;
      } else {
        const double b1 = rule.beta1;
        const double b2 = rule.beta2;
        s0[i] = b1 * s0[i] + (1 - b1) * g;
        s1[i] = b2 * s1[i] + (1 - b2) * g * g;
        if (s1[i] > s2[i]) s2[i] = s1[i];
        const double v = rule.amsgrad ? s2[i] : s1[i];
        const double root = std::sqrt(v) / std::sqrt(1 - std::pow(b2, t));
        w[i] -= rate / (1 - std::pow(b1, t)) * s0[i] / (root + static_cast<double>(rule.epsilon));
      }
    }
    ++applied;
  }
};

double largest_difference(const numbers& a, const numbers& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(a[i] - b[i]);
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

/// Operands of any update: parameter, states, counter.
void give_parameter(host_call& c, const numbers& w, const update_rule& rule) {
  c.attr.update = rule;
  c.step.learning_rate = 0.125f;
  c.out(0, w);
  for (i32 i = 0; i < rule.states(); ++i) c.out(1 + i, numbers(w.size(), 0.0));
  c.out(4, numbers{0}, element::int32);
}

const update_rule plain{.what = optimizer_kind::sgd};
const update_rule heavy{.what = optimizer_kind::sgd, .momentum = 0.875f, .weight_decay = 0.0625f};
const update_rule adam{.what = optimizer_kind::adam, .beta1 = 0.875f, .beta2 = 0.984375f};

}  // namespace

TEST_CASE("optimizers take the steps of their formulas", "[backends][host]") {
  const update_rule rules[] = {
      plain,
      heavy,
      {.what = optimizer_kind::sgd, .momentum = 0.5f, .dampening = 0.25f},
      {.what = optimizer_kind::sgd, .momentum = 0.75f, .nesterov = true, .weight_decay = 0.125f},
      adam,
      {.what = optimizer_kind::adam, .weight_decay = 0.125f, .epsilon = 0.125f},
      {.what = optimizer_kind::adam, .beta1 = 0.5f, .beta2 = 0.5f, .amsgrad = true},
  };
  i32 which = 0;
  for (const update_rule& rule : rules) {
    CAPTURE(which++);
    for (const i64 count : {1, 7, 16, 1000, 9001}) {
      for (const i32 threads : {1, 2}) {
        host_call c(kind::update, false);
        c.step.threads = threads;
        elementwise_sizes{static_cast<i32>(count)}.write(c.s);
        const numbers start = random_numbers(count, 1);
        give_parameter(c, start, rule);
        expected_parameter wanted(start);
        for (u32 t = 0; t < 5; ++t) {
          numbers g = random_numbers(count, 10 + t);
          c.in(0, g);
          c.run();
          wanted.step(rule, 0.125, g);
        }
        // Five steps of some ten roundings each of numbers below 8; a small sqrt(v) enlarges them.
        CHECK(largest_difference(c.result(0), wanted.w) < 1e-5);
        CHECK(c.result(4)[0] == 5);
      }
    }
  }
}

TEST_CASE("a fused update is its gradient followed by the plain update", "[backends][host]") {
  for (const update_rule& rule : {plain, heavy, adam}) {
    for (const element type : {element::f32, element::f16, element::bf16}) {
      for (const i32 batch : {1, 5, 32}) {
        for (const i32 threads : {1, 2}) {
          const bool last = batch % 16 == 0;
          CAPTURE(batch, name_of(type), threads, static_cast<int>(rule.what));
          // dense 37 -> 300 and conv2d 3 -> 5 of 3x3 on 6x7, their biases.
          struct fused_case {
            kind gradient, fused;
            i64 x, dy, weights;
          };
          const fused_case cases[] = {
              {kind::dense_weight_gradient, kind::dense_weight_update, 37, 300, i64{37} * 300},
              {kind::conv2d_weight_gradient, kind::conv2d_weight_update, 3 * 42, 5 * 42, 5 * 27},
              {kind::bias_gradient, kind::bias_update, 0, 70, 70},
          };
          for (const fused_case& one : cases) {
            const auto sizes = [&](signature& s) {
              if (one.gradient == kind::dense_weight_gradient) {
                dense_sizes{batch, 37, 300}.write(s);
              } else if (one.gradient == kind::conv2d_weight_gradient) {
                conv_sizes{batch, 3, 6, 7, 5, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1}.write(s);
              } else {
                bias_sizes{batch, 70, 1}.write(s);
              }
            };
            const numbers start = random_numbers(one.weights, 3);
            const auto operands = [&](host_call& c, u32 seed) {
              sizes(c.s);
              c.step.threads = threads;
              if (one.x > 0) c.in(0, random_numbers(batch * one.x, seed), type, batch);
              c.in(1, random_numbers(batch * one.dy, seed + 1), type, batch);
            };
            host_call fused(one.fused, last);
            give_parameter(fused, start, rule);
            host_call plain_update(kind::update, false);
            elementwise_sizes{static_cast<i32>(one.weights)}.write(plain_update.s);
            give_parameter(plain_update, start, rule);
            for (u32 step = 0; step < 3; ++step) {
              operands(fused, 10 * step);
              fused.run();
              host_call gradient(one.gradient, last);
              operands(gradient, 10 * step);
              gradient.out(0, one.weights, type);
              gradient.run();
              plain_update.in(0, gradient.result(0), type);
              plain_update.run();
            }
            CHECK(fused.bytes(0) == plain_update.bytes(0));
            if (rule.states() > 0) CHECK(fused.bytes(1) == plain_update.bytes(1));
            CHECK(fused.result(4)[0] == 3);
          }
        }
      }
    }
  }
}

TEST_CASE("gradients are divided by the loss scale", "[backends][host]") {
  for (const double scale : {1024.0, 3.0}) {
    host_call c(kind::update, false);
    elementwise_sizes{9}.write(c.s);
    const numbers start = random_numbers(9, 1);
    give_parameter(c, start, plain);
    c.attr.scaling.skip = skip_rule::step;
    const numbers g = random_numbers(9, 2);
    c.in(0, g);
    c.in(2, numbers{scale, 0, 0, 0});
    c.run();
    const numbers w = c.result(0);
    for (i64 i = 0; i < 9; ++i) {
      CHECK(w[at(i)] == Approx(start[at(i)] - 0.125 * g[at(i)] / scale).epsilon(1e-6));
    }
  }
}

TEST_CASE("an overflow skips the step or the tensor", "[backends][host]") {
  const i32 batch = GENERATE(1, 16);
  // dense 1 -> 2 in 16 bits: dw = dy x = 1024 * 128 = 131072, beyond the largest half.
  const auto fused = [&](double x, skip_rule skip, double flag, i32 in) {
    host_call c(kind::dense_weight_update, batch == 16);
    dense_sizes{batch, in, 2}.write(c.s);
    give_parameter(c, numbers(at(2 * i64{in}), 1.0), plain);
    c.attr.scaling.skip = skip;
    numbers xs(at(i64{batch} * in), 0.0);
    xs.back() = x;
    numbers dy(at(i64{batch} * 2), 0.0);
    dy[dy.size() - 2] = 1024;
    c.in(0, xs, element::f16, batch);
    c.in(1, dy, element::f16, batch);
    c.in(2, {1, 0, flag, 0});
    c.run();
    return c;
  };
  // Kept on the stack whole; or computed twice, with the batch last only where no bound helps.
  for (const i32 in : {1, 8000}) {
    const host_call skipped = fused(128, skip_rule::tensor, 0, in);
    CHECK(skipped.result(0)[at(in - 1)] == 1);
    CHECK(skipped.result(4)[0] == 0);
    CHECK(skipped.input_number(2, ops::scaler_overflow) == 1);
    const host_call applied = fused(32, skip_rule::tensor, 0, in);
    CHECK(applied.result(0)[at(in - 1)] == 1 - 0.125 * 32768);
    CHECK(applied.result(4)[0] == 1);
    CHECK(applied.input_number(2, ops::scaler_overflow) == 0);
    const host_call other_overflowed = fused(32, skip_rule::tensor, 1, in);
    CHECK(other_overflowed.result(4)[0] == 1);
    const host_call step = fused(32, skip_rule::step, 1, in);
    CHECK(step.result(0)[at(in - 1)] == 1);
    CHECK(step.result(4)[0] == 0);
  }
}

TEST_CASE("the overflow test finds one infinite or NaN element", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i64 count : {1, 16, 5000}) {
      for (const double bad : {1.0, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
        host_call c(kind::overflow_test, false);
        elementwise_sizes{static_cast<i32>(count)}.write(c.s);
        numbers g(at(count), 60000.0);
        g[at(count * 2 / 3)] = bad;
        c.in(0, g, type);
        c.out(0, {8, 0, 0, 0});
        c.run();
        CHECK(c.result(0)[ops::scaler_overflow] == (bad == 1.0 ? 0 : 1));
      }
    }
  }
}

TEST_CASE("the loss scale halves after an overflow and doubles after good steps",
          "[backends][host]") {
  host_call c(kind::scaler_update, false);
  elementwise_sizes{1}.write(c.s);
  c.attr.scaling = {
      .skip = skip_rule::step, .dynamic = true, .growth = 2, .backoff = 0.5f, .interval = 3};
  c.out(0, {8, 0, 1, 0});
  c.run();
  CHECK(c.result(0) == numbers{4, 0, 0, 1});
  c.run();
  c.run();
  CHECK(c.result(0) == numbers{4, 2, 0, 1});
  c.run();
  CHECK(c.result(0) == numbers{8, 0, 0, 1});
}
