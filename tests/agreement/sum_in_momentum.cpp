#include <tessera/passes/sum_in_momentum.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/random_graph.hpp>

#include <tessera/network/make.hpp>
#include <tessera/nn.hpp>
#include <tessera/optim/optimizer.hpp>
#include <tessera/passes/locate.hpp>

#include <cmath>

// Gradients of loops added up in the momentum: the same updates but for rounding, and no buffers.

namespace {

using namespace tessera;
using namespace tessera::testing;

using tagger = network<sequence<9, 5>, lstm<7>, each_step<dense<4>>>;

struct decaying_sgd : momentum_sgd {
  static constexpr float weight_decay = 0.1f;
};
struct decaying_summing_sgd : summing_sgd {
  static constexpr float weight_decay = 0.1f;
};
struct summing_nesterov : summing_sgd {
  static constexpr bool nesterov = true;
};

template <class Network, class Optimizer>
graph step_of(i32 batch, const precision_policy& precision) {
  graph g = make_forward<Network, softmax_cross_entropy>(batch, purpose::training);
  REQUIRE_FALSE(g.wrong.wrong());
  complete_training_graph(g, precision, rule_of<Optimizer>());
  return g;
}

i32 buffers_of_gradients(const graph& g) {
  const passes::tensor_uses uses = passes::find_uses(g);
  i32 count = 0;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    const bool gradient = t.what == role::gradient && t.parameter >= 0 && t.of < 0;
    count += gradient && uses.first[id] >= 0 ? 1 : 0;
  }
  return count;
}

float* floats(interpreter& t, i32 id) { return reinterpret_cast<float*>(t.data(id)); }

/// Fills a step; labels are classes that there are.
void fill(interpreter& t) {
  fill_randomly(t, 7);
  const graph& g = t.network();
  const tensor& target = g.tensors[g.targets[0]];
  for (i64 i = 0; i < target.dims.count(); ++i) {
    reinterpret_cast<i32*>(t.data(g.targets[0]))[i] = static_cast<i32>(i * i % 4);
  }
}

/// Parameters and momenta after some steps, by tensor of the step itself.
std::vector<std::vector<float>> run(const graph& g, kernel_finder find, i32 steps, float scale) {
  interpreter t(g, find);
  fill(t);
  if (g.scaler >= 0) floats(t, g.scaler)[ops::scaler_scale] = scale;
  for (i32 step = 0; step < steps; ++step) {
    t.run({.learning_rate = 0.05f, .seed = 7, .step = static_cast<u64>(step), .valid = g.batch});
  }
  std::vector<std::vector<float>> all;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& p = g.tensors[id];
    if (p.of >= 0 || (p.what != role::parameter && p.what != role::state)) continue;
    if (p.type != element::f32) continue;
    const float* const x = floats(t, id);
    all.emplace_back(x, x + p.dims.count());
  }
  return all;
}

double distance(const std::vector<std::vector<float>>& a,
                const std::vector<std::vector<float>>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].size() == b[i].size());
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      const auto x = static_cast<double>(a[i][k]);
      const double d = std::abs(x - static_cast<double>(b[i][k])) / (1 + std::abs(x));
      if (!(d <= worst)) worst = d;  // also where it is no number
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("gradients of loops have no buffers where they are summed in the momentum", "[agreement]") {
  for (const precision_policy& precision : {fp32::policy, mixed<fp16, skip_tensor>::policy}) {
    CHECK(buffers_of_gradients(step_of<tagger, summing_sgd>(3, precision)) == 0);
    CHECK(buffers_of_gradients(step_of<tagger, momentum_sgd>(3, precision)) > 0);
  }
  // Where the rule cannot, they do.
  CHECK(buffers_of_gradients(step_of<tagger, summing_nesterov>(3, fp32::policy)) > 0);
  CHECK(buffers_of_gradients(step_of<tagger, summing_sgd>(3, mixed<fp16, skip_step>::policy)) > 0);
}

TEST_CASE("sums in the momentum give the same updates on every backend", "[agreement]") {
  for (const graph_backend& backend : backends()) {
    INFO(backend.name);
    for (const i32 batch : {3, 16}) {
      // f32: rounding of 9 trips over 3 steps. f16: gradients of trips, and their sums, have 11
      // bits.
      const auto compare = [&]<class Plain, class Summing>(Plain*, Summing*,
                                                           const precision_policy& precision) {
        return distance(
            run(step_of<tagger, Plain>(batch, precision), reference_backend.find, 3, 1024),
            run(step_of<tagger, Summing>(batch, precision), backend.find, 3, 1024));
      };
      constexpr momentum_sgd* plain = nullptr;
      constexpr summing_sgd* summing = nullptr;
      CHECK(compare(plain, summing, fp32::policy) < 1e-5);
      CHECK(compare(plain, summing, mixed<fp16, skip_tensor>::policy) < 2e-3);
      constexpr decaying_sgd* decaying = nullptr;
      constexpr decaying_summing_sgd* decaying_summing = nullptr;
      CHECK(compare(decaying, decaying_summing, fp32::policy) < 1e-5);
    }
  }
}

TEST_CASE("a trip whose gradient overflows is left out of the sum", "[agreement]") {
  const graph g = step_of<tagger, summing_sgd>(16, mixed<fp16, skip_tensor>::policy);
  for (const graph_backend& backend : backends()) {
    INFO(backend.name);
    const auto all = run(g, backend.find, 2, 0x1p30f);
    for (const std::vector<float>& values : all) {
      for (const float x : values) CHECK(std::isfinite(x));
    }
    interpreter t(g, backend.find);
    fill(t);
    floats(t, g.scaler)[ops::scaler_scale] = 0x1p30f;
    t.run({.learning_rate = 0.05f, .seed = 7, .step = 0, .valid = g.batch});
    CHECK(floats(t, g.scaler)[ops::scaler_scale] == 0x1p29f);
    CHECK(floats(t, g.scaler)[ops::scaler_skipped] == 1);
  }
}
