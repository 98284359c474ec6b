// Updates by every rule, with clipping, penalties and loss scaling: all backends agree with the
// reference, and no result depends on the number of threads.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/update_rules.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

/// Parameters of several shapes, one of them a stack of slices, with gradients that a test gives.
struct parameters {
  graph g;
  std::vector<i32> weights, gradients;

  parameters(const update_rule& rule, const loss_scaling& scaling, const gradient_limits& limits,
             element type,
             std::vector<shape> dims = {shape(5), shape(7, 9), shape(130, 71), shape(3, 40, 6)},
             element weight_type = element::f32) {
    passes::append_scaler(g, scaling);
    std::vector<i32> computed;
    for (const shape& d : dims) {
      gradients.push_back(add_tensor(g, d, {.type = type, .batched = false}));
      operation copy;  // an update follows the operation that makes its gradient
      copy.what = kind::copy;
      copy.in[0] = gradients.back();
      copy.out[0] = add_tensor(g, d, {.what = role::gradient, .type = type, .batched = false});
      computed.push_back(copy.out[0]);
      g.add(copy);
      weights.push_back(add_weight(g, d, weight_type));
      if (d.rank == 3) g.tensors[weights.back()].stack = 1;
    }
    grow<i32> by_tensor(g.tensors.size());
    for (i32& id : by_tensor) id = -1;
    for (std::size_t i = 0; i < weights.size(); ++i) by_tensor[weights[i]] = computed[i];
    passes::append_updates(g, by_tensor, rule, scaling, limits);
  }

  /// Weights after some steps with random gradients of the given size.
  std::vector<values> train(const graph_backend& b, i32 threads, double size, i32 steps = 6) const {
    interpreter net(g, b.find);
    random_stream random(5);
    const auto draw = [&](i32 id, double to) {
      values v(static_cast<std::size_t>(g.tensors[id].dims.count()));
      for (double& x : v) x = to * (2 * static_cast<double>(random.next_uniform()) - 1);
      net.write(id, v);
    };
    for (const i32 w : weights) {  // halves, so that all types of parameters start alike
      draw(w, 1);
      values v = net.read(w);
      for (double& x : v) x = to_float(to_half(static_cast<float>(x)));
      net.write(w, v);
    }
    for (i32 step = 0; step < steps; ++step) {
      for (const i32 id : gradients) draw(id, size);
      net.run({.learning_rate = 0.05f, .step = static_cast<u64>(step), .threads = threads});
    }
    std::vector<values> all;
    for (const i32 w : weights) all.push_back(net.read(w));
    if (g.clip >= 0) all.push_back(net.read(g.clip));
    return all;
  }
};

/// The largest difference, of the largest value.
double difference(const std::vector<values>& a, const std::vector<values>& b) {
  double most = 0;
  double size = 1;
  for (std::size_t k = 0; k < a.size(); ++k) {
    for (std::size_t i = 0; i < a[k].size(); ++i) {
      const double off = std::abs(a[k][i] - b[k][i]);
      if (std::isnan(off)) return INFINITY;
      most = std::max(most, off);
      size = std::max(size, std::abs(b[k][i]));
    }
  }
  return most / size;
}

struct limits_case {
  const char* name;
  gradient_limits limits;
  float l1 = 0;
};

constexpr float infinite = std::numeric_limits<float>::infinity();
const limits_case limits_cases[] = {
    {"no limits", {}},
    {"norm", {.norm = 3}},
    {"largest", {.norm = 0.5f, .order = infinite}},
    {"sum", {.norm = 100, .order = 1}},
    {"cubes", {.norm = 2, .order = 3}},
    {"value", {.value = 0.25f}},
    {"value and norm", {.norm = 3, .value = 0.25f}},
    {"l1", {}, 0.5f},
    {"l1 and value", {.value = 0.5f}, 0.5f},
};

}  // namespace

TEST_CASE("every rule gives the same on all backends and for any number of threads",
          "[agreement]") {
  const loss_scaling scalings[] = {
      {}, {.skip = skip_rule::step, .initial = 256}, {.skip = skip_rule::tensor, .initial = 3}};
  for (const named_rule& r : all_update_rules()) {
    for (const loss_scaling& scaling : scalings) {
      const element type = scaling.used() ? element::f16 : element::f32;
      const parameters p(r.rule, scaling, {}, type);
      const double scale = scaling.used() ? static_cast<double>(scaling.initial) : 1;
      const auto want = p.train(reference_backend, 1, scale);
      for (const graph_backend& b : backends()) {
        INFO(r.name << ", " << b.name << ", scale " << scale);
        const auto got = p.train(b, 1, scale);
        // Some twenty roundings a step; where a mean of squares is small its root enlarges them.
        CHECK(difference(got, want) < 2e-5);
        for (const i32 threads : {2, 5}) CHECK(p.train(b, threads, scale) == got);
      }
    }
  }
}

TEST_CASE("limits and penalties give the same on all backends and for any number of threads",
          "[agreement]") {
  for (const limits_case& l : limits_cases) {
    for (const bool scaled : {false, true}) {
      update_rule rule{.what = scaled ? optimizer_kind::rmsprop : optimizer_kind::sgd};
      rule.l1 = l.l1;
      const loss_scaling scaling{.skip = scaled ? skip_rule::step : skip_rule::none, .initial = 64};
      const parameters p(rule, scaling, l.limits, scaled ? element::f16 : element::f32);
      const double scale = scaled ? 64 : 1;
      const auto want = p.train(reference_backend, 1, scale);
      for (const graph_backend& b : backends()) {
        INFO(l.name << ", " << b.name << ", scale " << scale);
        const auto got = p.train(b, 1, scale);
        CHECK(difference(got, want) < 2e-5);
        for (const i32 threads : {2, 5}) CHECK(p.train(b, threads, scale) == got);
      }
    }
  }
}

TEST_CASE("every rule updates halves to one of the two halves around the result in 32 bits",
          "[agreement]") {
  const auto around = [](double found, double exact) {
    const half cut = to_half_toward_zero(static_cast<float>(exact));
    const half next{static_cast<u16>(cut.bits + 1)};
    return found == static_cast<double>(to_float(cut)) ||
           (static_cast<double>(to_float(cut)) != exact &&
            found == static_cast<double>(to_float(next)));
  };
  const std::vector<shape> dims = {shape(7, 9), shape(130, 71), shape(3, 40, 6)};
  for (named_rule r : all_update_rules()) {
    for (const gradient_limits& limits : {gradient_limits{}, gradient_limits{.norm = 3}}) {
      r.rule.l1 = limits.norm > 0 ? 0.25f : 0;
      const loss_scaling scaling{.skip = skip_rule::step, .initial = 64};
      const parameters wide(r.rule, scaling, limits, element::f16, dims);
      const parameters narrow(r.rule, scaling, limits, element::f16, dims, element::f16);
      for (const graph_backend& b : backends()) {
        INFO(r.name << ", " << b.name << ", limit " << limits.norm);
        const auto exact = wide.train(b, 1, 64, 1);
        const auto found = narrow.train(b, 1, 64, 1);
        i32 wrong = 0;
        i32 up = 0;
        for (std::size_t k = 0; k < wide.weights.size(); ++k) {
          for (std::size_t i = 0; i < found[k].size(); ++i) {
            wrong += around(found[k][i], exact[k][i]) ? 0 : 1;
            up += std::abs(found[k][i]) > std::abs(exact[k][i]) ? 1 : 0;
          }
        }
        CHECK(wrong == 0);
        CHECK(up > 2000);  // of 10,013
        const auto later = narrow.train(b, 1, 64, 3);
        CHECK(narrow.train(b, 3, 64, 3) == later);
      }
    }
  }
}

TEST_CASE("clipping limits the norm over all gradients, after loss scaling is undone",
          "[agreement]") {
  for (const float scale : {1.0f, 1024.0f}) {
    loss_scaling scaling;
    if (scale > 1) scaling = {.skip = skip_rule::tensor, .initial = scale};
    const parameters p({.what = optimizer_kind::sgd}, scaling, {.norm = 1.5f}, element::f32,
                       {shape(2), shape(1)});
    for (const graph_backend& b : backends()) {
      INFO(b.name << ", scale " << scale);
      interpreter net(p.g, b.find);
      const double s = scale;
      const auto step = [&](double g0, double g1, double g2) {
        net.write(p.weights[0], values{0, 0});
        net.write(p.weights[1], values{0});
        net.write(p.gradients[0], values{s * g0, s * g1});
        net.write(p.gradients[1], values{s * g2});
        net.run({.learning_rate = 1});
        values all = net.read(p.weights[0]);
        all.push_back(net.read(p.weights[1])[0]);
        return all;
      };
      values w = step(1, 2, -2);  // of norm 3
      CHECK(w[0] == Approx(-0.5).epsilon(1e-5));
      CHECK(w[1] == Approx(-1).epsilon(1e-5));
      CHECK(w[2] == Approx(1).epsilon(1e-5));
      CHECK(net.read(p.g.clip)[ops::clip_norm] == Approx(3).epsilon(1e-6));
      w = step(0.25, 0, 1);  // within the limit
      CHECK(w == values{-0.25, 0, -1});
      CHECK(step(0, 0, 0) == values{0, 0, 0});
      if (scale > 1) {  // an overflow anywhere skips the step
        CHECK(step(INFINITY, 0, 1) == values{0, 0, 0});
        CHECK(step(std::nan(""), 0, 1) == values{0, 0, 0});
      } else {  // huge: the factor is next to 0; none: everything becomes none
        CHECK(step(1, 0, 1e30)[0] == Approx(0).margin(1e-20));
        CHECK(std::isnan(step(1, 0, std::nan(""))[0]));
      }
    }
  }
}

TEST_CASE("limits on values keep what an overflow test has to see", "[agreement]") {
  for (const bool scaled : {false, true}) {
    loss_scaling scaling;
    if (scaled) scaling = {.skip = skip_rule::tensor, .initial = 8};
    const parameters p({.what = optimizer_kind::sgd}, scaling, {.value = 2}, element::f16,
                       {shape(3)});
    for (const graph_backend& b : backends()) {
      INFO(b.name << ", scaled " << scaled);
      interpreter net(p.g, b.find);
      const auto step = [&](const values& g) {
        net.write(p.weights[0], values{0, 0, 0});
        net.write(p.gradients[0], g);
        net.run({.learning_rate = 1});
        return net.read(p.weights[0]);
      };
      const double s = scaled ? 8 : 1;
      CHECK(step({s, -3 * s, 2.5 * s}) == values{-1, 2, -2});
      const values after = step({INFINITY, 1, 1});
      CHECK(after == (scaled ? values{0, 0, 0} : values{-2, -1, -1}));
    }
  }
}

TEST_CASE("the L1 penalty pulls weights towards 0 and leaves those that are there", "[agreement]") {
  const parameters p({.what = optimizer_kind::sgd, .l1 = 0.5f}, {}, {}, element::f32, {shape(3)});
  for (const graph_backend& b : backends()) {
    interpreter net(p.g, b.find);
    net.write(p.weights[0], values{2, -2, 0});
    net.write(p.gradients[0], values{0, 0, 0});
    net.run({.learning_rate = 0.5f});
    CHECK(net.read(p.weights[0]) == values{1.75, -1.75, 0});
  }
}

TEST_CASE("lamb and lars take a norm for each slice of a stack", "[agreement]") {
  for (const named_rule& r : all_update_rules()) {
    if (!ops::is_norm_update(ops::update_kind(r.rule.what))) continue;
    const parameters stacked(r.rule, {}, {}, element::f32, {shape(2, 30, 5)});
    const parameters apart(r.rule, {}, {}, element::f32, {shape(30, 5), shape(30, 5)});
    for (const graph_backend& b : backends()) {
      INFO(r.name << ", " << b.name);
      interpreter one(stacked.g, b.find);
      interpreter two(apart.g, b.find);
      random_stream random(8);
      for (i32 step = 0; step < 3; ++step) {
        for (const bool weight : {true, false}) {
          if (weight && step > 0) continue;
          values all(300);
          for (double& x : all) x = static_cast<double>(random.next_normal());
          for (std::size_t i = 150; i < 300; ++i) all[i] *= 10;  // other norms
          one.write(weight ? stacked.weights[0] : stacked.gradients[0], all);
          for (std::size_t k = 0; k < 2; ++k) {
            two.write(weight ? apart.weights[k] : apart.gradients[k], {all.data() + 150 * k, 150});
          }
        }
        one.run({.learning_rate = 0.1f});
        two.run({.learning_rate = 0.1f});
      }
      values joined = two.read(apart.weights[0]);
      for (const double v : two.read(apart.weights[1])) joined.push_back(v);
      CHECK(difference({one.read(stacked.weights[0])}, {joined}) < 1e-6);
    }
  }
}

TEST_CASE("a gradient that is not finite skips every rule's update where losses are scaled",
          "[agreement]") {
  for (const named_rule& r : all_update_rules()) {
    for (const skip_rule skip : {skip_rule::step, skip_rule::tensor}) {
      const parameters p(r.rule, {.skip = skip, .initial = 1}, {}, element::f16,
                         {shape(4), shape(4)});
      for (const graph_backend& b : backends()) {
        INFO(r.name << ", " << b.name);
        interpreter net(p.g, b.find);
        for (const i32 w : p.weights) net.write(w, values{1, 2, 3, 4});
        net.write(p.gradients[0], values{1, 1, INFINITY, 1});
        net.write(p.gradients[1], values{1, 1, 1, 1});
        net.run({.learning_rate = 0.1f});
        CHECK(net.read(p.weights[0]) == values{1, 2, 3, 4});
        CHECK((net.read(p.weights[1]) == values{1, 2, 3, 4}) == (skip == skip_rule::step));
        // The first update that counts is the rule's first.
        net.write(p.gradients[0], values{1, 1, 1, 1});
        net.run({.learning_rate = 0.1f});
        if (skip == skip_rule::tensor) continue;
        CHECK(net.read(p.weights[0]) == net.read(p.weights[1]));
      }
    }
  }
}
