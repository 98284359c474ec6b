// Where bytes lie changes no bit on any backend: random steps, loops among them, with and without
// working in place, with and without poison in all bytes that nobody needs.

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/random_graph.hpp>

#include <cstring>

namespace {

using namespace tessera;
using namespace tessera::testing;

/// What is there after some steps: parameters, their gradients' effect on states, results.
bool stays(const tensor& t) {
  const bool lasting =
      t.what == role::parameter || t.what == role::state || t.what == role::statistic;
  return t.of < 0 && t.body == 0 && (lasting || t.what == role::result);
}

void run_steps(interpreter& net, u64 seed) {
  fill_randomly(net, seed);
  for (u64 step = 0; step < 2; ++step) {
    net.run({.learning_rate = 0.01f,
             .seed = seed,
             .step = step,
             .valid = net.network().batch,
             .threads = 2});
  }
}

}  // namespace

TEST_CASE("dead bytes full of NaNs and tensors in bytes of their own change nothing",
          "[agreement]") {
  for (const graph_backend& backend : backends()) {
    i32 compared = 0;
    for (u64 seed = 1; seed < 60; ++seed) {
      const graph g = random_graph(seed, {.most_layers = 8, .may_loop = seed % 2 == 0}).make();
      const bool last = g.tensors[g.inputs[0]].batch_last;
      if (!backend.any_batch_last && !ops::batch_goes_last(g.batch) && last) continue;
      interpreter plain(g, backend.find);
      run_steps(plain, seed);
      for (const bool in_place : {true, false}) {
        interpreter other(g, backend.find, {.in_place = in_place, .poison = true});
        run_steps(other, seed);
        for (i32 id = 0; id < g.tensors.size(); ++id) {
          if (!stays(g.tensors[id])) continue;
          ++compared;
          INFO(backend.name << ", seed " << seed << ", in place " << in_place << ", tensor " << id);
          const auto bytes = static_cast<std::size_t>(g.tensors[id].bytes());
          CHECK(std::memcmp(plain.data(id), other.data(id), bytes) == 0);
        }
      }
    }
    INFO(backend.name);
    CHECK(compared > 200);
  }
}
