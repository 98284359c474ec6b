// Concat and split as views give the bits that copies give, on every backend: kernels write and
// read slices that start anywhere.

#include <tessera/passes/join_parts.hpp>

#include <support/backends.hpp>
#include <support/catch.hpp>
#include <support/random_graph.hpp>

#include <tessera/nn.hpp>
#include <tessera/optim/optimizer.hpp>

#include <cstring>

namespace {

using namespace tessera;
using namespace tessera::testing;

using branch = chain<conv<3, 3, pad<1>>, relu>;
using net = network<image<3, 7, 7>, branch,
                    concat<branch, conv<5, 1>, chain<max_pool<3, stride<1>, pad<1>>, branch>>,
                    concat<chain<>, batch_norm>, conv<4, 1>, relu, flatten, dense<5>>;

}  // namespace

TEST_CASE("parts that lie in their whole give the bits of copies", "[agreement]") {
  for (const graph_backend& backend : backends()) {
    for (const bool mixed_precision : {false, true}) {
      for (const i32 batch : {1, 16}) {
        INFO(backend.name << ", batch " << batch << ", mixed " << mixed_precision);
        job_options o;
        o.batch = batch;
        if (mixed_precision) o.precision = mixed<fp16, skip_tensor>::policy;
        const graph copied =
            make_unfinished_training<net, softmax_cross_entropy>(o, rule_of<momentum_sgd>(), false);
        graph joined = copied;
        passes::write_into_slots(joined);
        REQUIRE(joined.operations.size() < copied.operations.size());
        interpreter a(copied, backend.find);
        interpreter b(joined, backend.find, {.poison = true});
        for (interpreter* each : {&a, &b}) {
          fill_randomly(*each, 3);
          for (u64 step = 0; step < 2; ++step) {
            each->run(
                {.learning_rate = 0.01f, .seed = 2, .step = step, .valid = batch, .threads = 2});
          }
        }
        for (i32 id = 0; id < copied.tensors.size(); ++id) {
          const tensor& t = copied.tensors[id];
          if (t.of >= 0 || (t.what != role::parameter && t.what != role::state)) continue;
          INFO("tensor " << id);
          const auto bytes = static_cast<std::size_t>(t.bytes());
          CHECK(std::memcmp(a.data(id), b.data(id), bytes) == 0);
        }
      }
    }
  }
}
