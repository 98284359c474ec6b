#include <tessera/network/precision.hpp>

#include <support/catch.hpp>

#include <tessera/data/digits.hpp>
#include <tessera/models/lenet.hpp>
#include <tessera/tessera.hpp>

#include <memory>

namespace {

using namespace tessera;

using net = network<image<1, 28, 28>, models::lenet5<>>;

// All that LeNet-5 needs to train: 61,706 weights of 2 bytes, optimizer state, activations and
// gradients of one sample, and the sample.
using smallest = training<net, softmax_cross_entropy, sgd, batch<1>, pure<fp16, skip_tensor>>;
static_assert(smallest::memory.total_bytes < 160'000);
static_assert(smallest::memory.parameter_bytes < 125'000);
static_assert(smallest::memory.working_bytes == 0);

}  // namespace

TEST_CASE("LeNet-5 trains in halves, one sample at a time", "[train]") {
  const data::split digits = data::drawn_digits(3000, 500, 1);
  const auto t = std::make_unique<trainer<smallest>>(seed{1});
  t->fit(digits.train, {.epochs = 1, .learning_rate = constant_rate(0.02f)});
  // Chance finds one in ten.
  CHECK(t->evaluate(digits.test).accuracy > 0.85);
}

TEST_CASE("training in halves gives the same bits for a seed", "[train]") {
  using job =
      training<net, softmax_cross_entropy, momentum_sgd, batch<16>, pure<fp16, skip_tensor>>;
  const data::split digits = data::drawn_digits(320, 16, 1);
  std::vector<std::vector<std::byte>> all;
  for (const i32 workers : {1, 2}) {
    const auto t = std::make_unique<trainer<job>>(seed{4}, threads{workers});
    t->fit(digits.train, {.epochs = 1, .learning_rate = constant_rate(0.05f)});
    std::vector<std::byte> bytes;
    for (const weight& w : t->weights()) bytes.insert(bytes.end(), w.bytes.begin(), w.bytes.end());
    all.push_back(bytes);
  }
  CHECK(all[0] == all[1]);
}
