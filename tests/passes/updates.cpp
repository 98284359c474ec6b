#include <tessera/passes/updates.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/random_graph.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/network/make.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

std::vector<kind> kinds(const graph& g) {
  std::vector<kind> all;
  for (const operation& op : g.operations) all.push_back(op.what);
  return all;
}

update_rule plain_sgd() {
  update_rule r;
  r.what = optimizer_kind::sgd;
  return r;
}

precision_policy mixed_policy(skip_rule skip) {
  precision_policy p;
  p.storage = element::f16;
  p.scaling.skip = skip;
  p.scaling.initial = 1024;
  return p;
}

/// input 3 -> dense 4 -> tanh -> dense 2 -> softmax cross entropy
struct small_step {
  graph g;
  i32 w1, b1, w2, b2;

  explicit small_step(const precision_policy& p, const update_rule& rule = plain_sgd(),
                      const gradient_limits& limits = {}) {
    g.batch = 2;
    g.inputs = add_tensor(g, shape(2, 3));
    w1 = add_weight(g, shape(4, 3));
    b1 = add_weight(g, shape(4), element::f32, "bias");
    const i32 a = ops::dense(g, g.inputs[0], w1, b1, {"dense", 1, ""});
    const i32 t = ops::unary(g, kind::tanh, a, {"tanh", 1, ""});
    w2 = add_weight(g, shape(2, 4));
    b2 = add_weight(g, shape(2), element::f32, "bias");
    g.outputs = ops::dense(g, t, w2, b2, {"dense", 2, ""});
    g.targets = add_tensor(g, shape(2), {role::target, element::int32});
    g.losses = ops::softmax_cross_entropy(g, g.outputs[0], g.targets[0], -1, {});
    complete_training_graph(g, p, rule, limits);
  }
};

TEST_CASE("A step in f32 consumes every weight gradient in its update", "[passes]") {
  using enum kind;
  const small_step s(precision_policy{});
  CHECK(kinds(s.g) == std::vector<kind>{dense, tessera::kind::tanh, dense, softmax_cross_entropy,
                                        softmax_cross_entropy_gradient, bias_update,
                                        dense_data_gradient, dense_weight_update, tanh_gradient,
                                        bias_update, dense_weight_update});
  // The weight of the second layer changes after its last reader, the data gradient.
  CHECK(s.g.operations[6].in[1] == s.w2);
  CHECK(s.g.operations[7].out[0] == s.w2);
  CHECK(s.g.scaler == -1);
}

TEST_CASE("skip_step tests every gradient before the first update", "[passes]") {
  const small_step s{mixed_policy(skip_rule::step)};
  int tests = 0;
  int updates = 0;
  for (const operation& op : s.g.operations) {
    CHECK(op.what != kind::dense_weight_update);
    CHECK(op.what != kind::bias_update);
    if (op.what == kind::overflow_test) {
      CHECK(updates == 0);
      CHECK(op.out[0] == s.g.scaler);
      ++tests;
    }
    if (op.what == kind::update) {
      CHECK(tests == 4);
      CHECK(op.in[2] == s.g.scaler);
      ++updates;
    }
  }
  CHECK(tests == 4);
  CHECK(updates == 4);
  CHECK(kinds(s.g).back() == kind::scaler_update);
}

TEST_CASE("skip_tensor keeps no weight gradient", "[passes]") {
  const small_step s{mixed_policy(skip_rule::tensor)};
  for (const operation& op : s.g.operations) {
    CHECK_FALSE(op.what == kind::update);
    CHECK_FALSE(op.what == kind::overflow_test);
    CHECK_FALSE(op.what == kind::dense_weight_gradient);
    CHECK_FALSE(op.what == kind::bias_gradient);
  }
  CHECK(kinds(s.g).back() == kind::scaler_update);
}

TEST_CASE("Mixed precision stores, accumulates and updates in the types it names", "[passes]") {
  const small_step s{mixed_policy(skip_rule::tensor)};
  const graph& g = s.g;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    switch (t.what) {
      case role::input:
      case role::activation:
      case role::gradient:
      case role::working: CHECK(t.type == element::f16); break;
      case role::parameter: CHECK(t.type == element::f32); break;
      case role::result: CHECK(t.type == element::f32); break;
      case role::target: CHECK(t.type == element::int32); break;
      case role::state: CHECK(t.type == (t.dims.rank == 0 ? element::int32 : element::f32)); break;
      default: break;
    }
  }
  // Casts first, one a parameter; then only updates touch the masters.
  for (i32 i = 0; i < 4; ++i) CHECK(g.operations[i].what == kind::cast);
  for (i32 i = 4; i < g.operations.size(); ++i) {
    CHECK(g.operations[i].what != kind::cast);
    for (const i32 in : g.operations[i].in) {
      if (in >= 0) CHECK(g.tensors[in].what != role::parameter);
    }
  }
  const tensor& scaler = g.tensors[g.scaler];
  CHECK(scaler.dims == shape(4));
  CHECK(scaler.fill == 1024.0f);
}

TEST_CASE("fp64 makes every number of a step a double", "[passes]") {
  const small_step s{{element::f64, element::f64, element::f64, {}}};
  for (const tensor& t : s.g.tensors) {
    CHECK((t.type == element::f64 || t.type == element::int32));
  }
}

TEST_CASE("Optimizers bring the state they need", "[passes]") {
  const auto states = [](const update_rule& rule) {
    const small_step s{precision_policy{}, rule};
    int n = 0;
    for (const tensor& t : s.g.tensors) n += t.what == role::state && t.dims.rank > 0 ? 1 : 0;
    return n;
  };
  update_rule rule = plain_sgd();
  CHECK(states(rule) == 0);
  rule.momentum = 0.9f;
  CHECK(states(rule) == 4);
  rule.what = optimizer_kind::adam;
  CHECK(states(rule) == 8);
  rule.amsgrad = true;
  CHECK(states(rule) == 12);
}

TEST_CASE("States have the names that PyTorch gives them", "[passes]") {
  const auto names = [](optimizer_kind what, float momentum = 0) {
    update_rule rule;
    rule.what = what;
    rule.momentum = momentum;
    rule.centered = rule.amsgrad = true;
    const small_step s{precision_policy{}, rule};
    std::vector<std::string> all;
    for (const tensor& t : s.g.tensors) {
      if (t.what == role::state && t.parameter == s.w1) all.emplace_back(t.name.of_part);
    }
    return all;
  };
  using list = std::vector<std::string>;
  CHECK(names(optimizer_kind::sgd, 0.9f) == list{"momentum_buffer", "step"});
  CHECK(names(optimizer_kind::adam) == list{"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"});
  CHECK(names(optimizer_kind::rmsprop, 0.9f) ==
        list{"square_avg", "grad_avg", "momentum_buffer", "step"});
  CHECK(names(optimizer_kind::adagrad) == list{"sum", "step"});
  CHECK(names(optimizer_kind::adadelta) == list{"square_avg", "acc_delta", "step"});
  CHECK(names(optimizer_kind::adamax) == list{"exp_avg", "exp_inf", "step"});
  CHECK(names(optimizer_kind::nadam) == list{"exp_avg", "exp_avg_sq", "step", "mu_product"});
  CHECK(names(optimizer_kind::rprop) == list{"prev", "step_size", "step"});
}

TEST_CASE("A limit on the norm keeps every gradient until the norm is known", "[passes]") {
  using enum kind;
  for (const skip_rule skip : {skip_rule::none, skip_rule::tensor}) {
    graph g = small_step(mixed_policy(skip), plain_sgd(), {.norm = 1}).g;
    std::vector<kind> end = kinds(g);
    // Of the four gradients: tests where losses are scaled, norms, one factor, updates.
    const auto last = std::find(end.begin(), end.end(), dense_weight_gradient);
    end.erase(end.begin(), std::find(last + 1, end.end(), dense_weight_gradient) + 1);
    std::vector<kind> wanted;
    if (skip != skip_rule::none) wanted.assign(4, overflow_test);
    wanted.insert(wanted.end(), 4, gradient_norm);
    wanted.push_back(clip_factor);
    wanted.insert(wanted.end(), 4, update);
    if (skip != skip_rule::none) wanted.push_back(scaler_update);
    CHECK(end == wanted);
    for (const operation& op : g.operations) {
      if (op.what == update) CHECK(op.in[3] == g.clip);
      if (op.what == update && skip != skip_rule::none) {
        CHECK(op.attr.scaling.skip == skip_rule::step);
      }
    }
    CHECK(g.tensors[g.clip].dims == shape(2));
  }
}

TEST_CASE("Limits on values and penalties adjust one gradient at a time, in place", "[passes]") {
  using enum kind;
  const graph g = small_step({}, plain_sgd(), {.value = 1}).g;
  const std::vector<kind> all = kinds(g);
  CHECK(std::count(all.begin(), all.end(), adjust_gradient) == 4);
  CHECK(std::count(all.begin(), all.end(), update) == 4);
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what != adjust_gradient) continue;
    CHECK(g.operations[i + 1].what == update);
    CHECK(g.operations[i + 1].in[0] == g.operations[i].out[0]);
  }
  const passes::liveness lives = passes::find_liveness(g);
  for (const operation& op : g.operations) {
    if (op.what == adjust_gradient) CHECK(lives.buffer_of[op.in[0]] == lives.buffer_of[op.out[0]]);
  }
  // A penalty that spares vectors leaves the biases fused.
  update_rule rule = plain_sgd();
  rule.l1 = rule.weight_decay = 0.1f;
  rule.spares_vectors = true;
  const graph spared = small_step({}, rule).g;
  const std::vector<kind> kept = kinds(spared);
  CHECK(std::count(kept.begin(), kept.end(), adjust_gradient) == 2);
  CHECK(std::count(kept.begin(), kept.end(), bias_update) == 2);
  for (const operation& op : spared.operations) {
    if (op.what == bias_update) CHECK(op.attr.update.weight_decay == 0);
    if (op.what == update) CHECK(op.attr.update.weight_decay == 0.1f);
  }
}

TEST_CASE("Only sgd and adam are fused, every other rule has a kind of its own", "[passes]") {
  for (i32 k = 3; k <= static_cast<i32>(optimizer_kind::lars); ++k) {
    update_rule rule;
    rule.what = static_cast<optimizer_kind>(k);
    const std::vector<kind> all = kinds(small_step({}, rule).g);
    CHECK(std::count(all.begin(), all.end(), ops::update_kind(rule.what)) == 4);
    CHECK(std::string(ops::name_of(ops::update_kind(rule.what))).find("_update") !=
          std::string::npos);
  }
}

TEST_CASE("Without an optimizer the gradients are kept", "[passes]") {
  small_step s{precision_policy{}, update_rule{}};
  int kept = 0;
  for (const tensor& t : s.g.tensors) {
    if (t.what == role::result && t.parameter >= 0) ++kept;
  }
  CHECK(kept == 4);
  for (const operation& op : s.g.operations) CHECK_FALSE(ops::is_update(op.what));
}

TEST_CASE("A gradient that somebody else reads is not fused away", "[passes]") {
  // One weight in two layers: the gradients are added, the sum is what the update reads.
  graph g;
  g.batch = 2;
  g.inputs = add_tensor(g, shape(2, 3));
  const i32 w = add_weight(g, shape(3, 3));
  const i32 a = ops::dense(g, g.inputs[0], w, -1, {"dense", 1, ""});
  g.outputs = ops::dense(g, a, w, -1, {"dense", 2, ""});
  g.targets = add_tensor(g, shape(2, 3), {role::target});
  g.losses = ops::mse(g, g.outputs[0], g.targets[0], {});
  complete_training_graph(g, {}, plain_sgd());
  using enum kind;
  CHECK(kinds(g) == std::vector<kind>{dense, dense, mse, mse_gradient, dense_weight_gradient,
                                      dense_data_gradient, dense_weight_gradient,
                                      tessera::kind::add, update});
}

TEST_CASE("Contributions of several readers are summed", "[passes]") {
  // y = x w; loss = sum ((y + y) + tanh(y) - target)^2 at one value: written out.
  graph g;
  g.batch = 1;
  g.inputs = add_tensor(g, shape(1, 1), {.type = element::f64});
  const i32 w = add_weight(g, shape(1, 1), element::f64);
  const i32 y = ops::dense(g, g.inputs[0], w, -1, {"dense", 1, ""});
  const i32 twice = ops::add(g, y, y, {"add", 1, ""});
  const i32 t = ops::unary(g, kind::tanh, y, {"tanh", 1, ""});
  g.outputs = ops::add(g, twice, t, {"add", 2, ""});
  g.targets = add_tensor(g, shape(1, 1), {role::target, element::f64});
  loss_attributes sum;
  sum.reduce = reduction::sum;
  g.losses = ops::mse(g, g.outputs[0], g.targets[0], sum);
  const grow<i32> gradients = passes::differentiate(g);
  keep(g, gradients[w]);
  passes::assign_precision(g, {element::f64, element::f64, element::f64, {}});
  interpreter net(g, reference::find_kernel);
  net.write(g.inputs[0], std::vector<double>{0.5});
  net.write(w, std::vector<double>{0.8});
  net.write(g.targets[0], std::vector<double>{0.25});
  net.run({.valid = 1});
  const double v = 0.5 * 0.8;
  const double out = 2 * v + std::tanh(v);
  const double slope = 2 + 1 - std::tanh(v) * std::tanh(v);
  CHECK(net.read(g.losses[0])[0] == Approx((out - 0.25) * (out - 0.25)).epsilon(1e-12));
  CHECK(net.read(gradients[w])[0] == Approx(2 * (out - 0.25) * slope * 0.5).epsilon(1e-12));
}

TEST_CASE("The gradient of a view is a view of the same bytes", "[passes]") {
  graph g;
  g.batch = 2;
  const i32 x = add_tensor(g, shape(2, 2, 2, 2), {.differentiable = true});
  const i32 a = ops::unary(g, kind::tanh, x, {"tanh", 1, ""});
  const i32 flat = ops::view(g, a, shape(2, 8));
  const i32 b = ops::unary(g, kind::relu, flat, {"relu", 1, ""});
  const i32 gradient_of_b = add_seed(g, b);
  const passes::seed start{b, gradient_of_b};
  const grow<i32> gradients = passes::differentiate(g, &start, 1);
  const i32 of_a = gradients[a];
  REQUIRE(of_a >= 0);
  CHECK(g.tensors[of_a].dims == shape(2, 2, 2, 2));
  CHECK(g.tensors[of_a].of >= 0);
  CHECK(g.tensors[storage_of(g, of_a)].dims == shape(2, 8));
  CHECK(gradients[x] >= 0);
}

TEST_CASE("What no loss depends on gets no gradient and no update", "[passes]") {
  graph g;
  g.batch = 1;
  g.inputs = add_tensor(g, shape(1, 2));
  const i32 used = add_weight(g, shape(2, 2));
  const i32 unused = add_weight(g, shape(2, 2));
  g.outputs = ops::dense(g, g.inputs[0], used, -1, {"dense", 1, ""});
  ops::dense(g, g.inputs[0], unused, -1, {"dense", 2, ""});
  g.targets = add_tensor(g, shape(1, 2), {role::target});
  g.losses = ops::mse(g, g.outputs[0], g.targets[0], {});
  complete_training_graph(g, {}, plain_sgd());
  for (const operation& op : g.operations) CHECK_FALSE(op.out[0] == unused);
}

TEST_CASE("No operation of a random step reads a weight after its update", "[passes]") {
  int updates = 0;
  for (u64 seed = 5000; seed < 6000; ++seed) {
    const graph g = random_graph(seed).make();
    std::vector<int> changed(static_cast<std::size_t>(g.tensors.size()), 0);
    for (const operation& op : g.operations) {
      for (const i32 in : op.in) {
        if (in >= 0 && changed[static_cast<std::size_t>(in)] != 0) FAIL("seed " << seed);
      }
      if (!ops::is_update(op.what)) continue;
      if (++changed[static_cast<std::size_t>(op.out[0])] != 1) FAIL("two updates, seed " << seed);
      ++updates;
    }
  }
  CHECK(updates > 2000);
}

}  // namespace
