// Random training steps with loops on all backends: they agree, and memory reuse changes nothing.
//
// Slices of stacks begin at any element, kernels are called with other addresses in each trip.
// Layers are smooth; loops in each other run up to 64 times and bounded values go through every
// trip, so that differences of 2^-24 grow by what a network amplifies: results may differ by 1e-3
// of the largest change of a weight in f32.

#include <support/backends.hpp>
#include <support/reference_kernels.hpp>
#include <support/catch.hpp>
#include <support/random_graph.hpp>

#include <algorithm>
#include <cmath>

namespace {

using namespace tessera;
using namespace tessera::testing;
using values = std::vector<double>;

/// All parameters after some steps, one after another.
values train(const graph& g, const graph_backend& b, u64 seed, bool in_place, u64 steps) {
  interpreter net(g, b.find, {.in_place = in_place});
  fill_randomly(net, seed);
  for (u64 step = 0; step < steps; ++step) {
    net.run({.learning_rate = 0.01f, .seed = seed, .step = step, .valid = g.batch});
  }
  values all;
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    if (t.of >= 0 || t.what != role::parameter) continue;
    const values v = net.read(id);
    all.insert(all.end(), v.begin(), v.end());
  }
  return all;
}

double largest_difference(const values& a, const values& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = std::abs(a[i] - b[i]);
    if (std::isnan(off)) return INFINITY;
    most = std::max(most, off);
  }
  return most;
}

TEST_CASE("random loops train alike on all backends, with and without memory reuse",
          "[agreement]") {
  i32 with_loops = 0;
  for (u64 seed = 1; seed <= 60; ++seed) {
    random_graph_options o;
    o.may_be_mixed = false;
    o.may_loop = o.smooth = true;
    o.only_sgd = true;
    o.most_layers = 5;
    const graph g = random_graph(seed, o).make();
    if (g.bodies.size() == 1) continue;
    ++with_loops;
    const values first = train(g, reference_backend, seed, true, 0);
    const values want = train(g, reference_backend, seed, true, 3);
    const double change = largest_difference(want, first);
    for (const graph_backend& b : backends()) {
      const bool last = g.tensors[g.inputs[0]].batch_last;
      if (last && !b.any_batch_last && !ops::batch_goes_last(g.batch)) continue;
      INFO("seed " << seed << ", " << b.name);
      const values got = train(g, b, seed, true, 3);
      CHECK(largest_difference(got, want) <= 1e-3 * change);
      CHECK(train(g, b, seed, false, 3) == got);
    }
  }
  CHECK(with_loops > 20);
}

}  // namespace
