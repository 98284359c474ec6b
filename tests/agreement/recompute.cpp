// Recomputation changes no bit on any backend: random steps with and without it, side by side.

#include <tessera/passes/recompute.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/random_graph.hpp>

#include <cstring>

namespace {

using namespace tessera;
using namespace tessera::testing;

bool lasts(const tensor& t) {
  return t.of < 0 && t.body == 0 &&
         (t.what == role::parameter || t.what == role::state || t.what == role::statistic);
}

}  // namespace

TEST_CASE("recomputation changes no bit on any backend", "[agreement]") {
  for (const graph_backend& backend : backends()) {
    i32 compared = 0;
    for (u64 seed = 1; seed < 60; ++seed) {
      graph plain = random_graph(seed, {.most_layers = 8, .may_loop = true}).make_unfinished();
      if (!backend.any_batch_last && !ops::batch_goes_last(plain.batch) &&
          plain.tensors[plain.inputs[0]].batch_last) {
        continue;
      }
      graph again = plain;
      const recompute_summary s = passes::recompute(again, {.goal = recompute_goal::least});
      if (s.operations == 0) continue;
      passes::write_into_slots(plain);
      passes::write_into_slots(again);
      interpreter a(plain, backend.find);
      interpreter b(again, backend.find);
      fill_randomly(a, seed);
      fill_randomly(b, seed);
      for (u64 step = 0; step < 3; ++step) {
        const step_values values{
            .learning_rate = 0.01f, .seed = seed, .step = step, .valid = plain.batch};
        a.run(values);
        b.run(values);
      }
      for (i32 id = 0; id < plain.tensors.size(); ++id) {
        const tensor& t = plain.tensors[id];
        if (!lasts(t)) continue;
        ++compared;
        INFO(backend.name << ", seed " << seed << ", tensor " << id);
        CHECK(std::memcmp(a.data(id), b.data(id), static_cast<std::size_t>(t.bytes())) == 0);
      }
    }
    INFO(backend.name);
    CHECK(compared > 50);
  }
}
