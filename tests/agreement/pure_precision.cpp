// Parameters of 16 bits without masters: updates rounded by chance, on every backend.

#include <tessera/passes/updates.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <cmath>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::testing;

using values = std::vector<double>;

/// One update of a parameter of 16 bits by a stored gradient of the same type.
struct half_update {
  graph g;
  i32 weight;
  i32 gradient;

  half_update(i32 count, const update_rule& rule, element type = element::f16) {
    weight = add_weight(g, shape(count), type);
    tensor t = g.tensors[weight];
    t.what = role::input;
    t.parameter = weight;
    gradient = g.add(t);
    g.add(passes::make_update(g, weight, gradient, rule, {}));
  }
};

double half_of(double x) { return to_float(to_half(static_cast<float>(x))); }
double below(double x) {  // the half at or below x, in magnitude
  return to_float(to_half_toward_zero(static_cast<float>(x)));
}
double above(double x) {
  half h = to_half_toward_zero(static_cast<float>(x));
  if (to_float(h) != static_cast<float>(x)) ++h.bits;
  return to_float(h);
}

update_rule rule_called(optimizer_kind what, float momentum) {
  update_rule r;
  r.what = what;
  r.momentum = momentum;
  return r;
}

}  // namespace

TEST_CASE("an update of halves goes to one of the two halves around the exact result",
          "[agreement]") {
  constexpr i32 count = 1037;
  random_stream random(3);
  values w(count), g(count);
  for (double& v : w) v = half_of(static_cast<double>(random.next_normal()));
  for (double& v : g) v = half_of(static_cast<double>(random.next_normal()));
  const half_update u(count, rule_called(optimizer_kind::sgd, 0));
  std::vector<values> found;
  for (const graph_backend& backend : backends()) {
    INFO(backend.name);
    for (const i32 threads : {1, 3}) {
      interpreter net(u.g, backend.find);
      net.write(u.weight, w);
      net.write(u.gradient, g);
      net.run({.learning_rate = 0.0078125f, .seed = 5, .step = 9, .threads = threads});
      found.push_back(net.read(u.weight));
      bool between = true;
      i32 up = 0;
      for (std::size_t i = 0; i < w.size(); ++i) {
        const double exact = w[i] - 0.0078125 * g[i];
        const bool is_above = found.back()[i] == above(exact);
        between = between && (is_above || found.back()[i] == below(exact));
        up += is_above ? 1 : 0;
      }
      CHECK(between);
      CHECK(up > count / 4);
      CHECK(up < count * 3 / 4);
      CHECK(found.back() == found[0]);  // products with a power of two are exact everywhere
    }
  }
}

TEST_CASE("updates of bfloat16 are rounded by the same chance on the host", "[agreement]") {
  constexpr i32 count = 1037;
  random_stream random(3);
  values w(count), g(count);
  for (double& v : w) v = to_float(to_bfloat16(random.next_normal()));
  for (double& v : g) v = to_float(to_bfloat16(random.next_normal()));
  const half_update u(count, rule_called(optimizer_kind::sgd, 0), element::bf16);
  values want;
  for (const graph_backend& backend : {reference_backend, bfloat16_backends().front()}) {
    for (const i32 threads : {1, 3}) {
      INFO(backend.name << ", " << threads << " threads");
      interpreter net(u.g, backend.find);
      net.write(u.weight, w);
      net.write(u.gradient, g);
      net.run({.learning_rate = 0.0078125f, .seed = 5, .step = 9, .threads = threads});
      const values found = net.read(u.weight);
      if (want.empty()) want = found;
      CHECK(found == want);
      i32 changed = 0;
      for (std::size_t i = 0; i < w.size(); ++i) changed += found[i] != w[i] ? 1 : 0;
      CHECK(changed > count / 4);
    }
  }
}

TEST_CASE("updates of halves are right on average where each is too small to see", "[agreement]") {
  // From 1 the next half below is 4.9e-4 away, a step is 1e-5: rounded to nearest, nothing moves.
  constexpr i32 count = 4096;
  for (const float momentum : {0.0f, 0.5f}) {
    const half_update u(count, rule_called(optimizer_kind::sgd, momentum));
    for (const graph_backend& backend : backends()) {
      INFO(backend.name << ", momentum " << momentum);
      interpreter net(u.g, backend.find);
      net.write(u.weight, values(count, 1));
      net.write(u.gradient, values(count, 1));
      for (u64 step = 0; step < 100; ++step) {
        net.run({.learning_rate = 1e-5f, .seed = 11, .step = step});
      }
      double sum = 0;
      for (const double v : net.read(u.weight)) sum += 1 - v;
      // Steps by chance have a variance of at most (4.9e-4)^2 / 4 each: 100 of them in 4,096
      // elements give a mean that is known to 3.8e-5, three times over 1.2e-4.
      const double moved = momentum == 0 ? 100e-5 : 2e-5 * (100 - 1);
      CHECK(std::abs(sum / count - moved) < 1.2e-4);
    }
  }
}

TEST_CASE("Adam on halves keeps its moments in 32 bits", "[agreement]") {
  const half_update u(64, rule_called(optimizer_kind::adam, 0));
  for (const operation& op : u.g.operations) {
    CHECK(u.g.tensors[op.out[0]].type == element::f16);
    for (const i32 slot : {1, 2}) CHECK(u.g.tensors[op.out[slot]].type == element::f32);
  }
  for (const graph_backend& backend : backends()) {
    INFO(backend.name);
    interpreter net(u.g, backend.find);
    net.write(u.weight, values(64, 1));
    net.write(u.gradient, values(64, 0.5));
    for (u64 step = 0; step < 10; ++step)
      net.run({.learning_rate = 0.01f, .seed = 1, .step = step});
    for (const double v : net.read(u.weight)) CHECK(v == Approx(0.9).margin(0.004));
  }
}
