// Steps whose memory is spread over a fast and a slow one: the same bits.

#include <support/catch.hpp>

#include <tessera/report/plan.hpp>
#include <tessera/tessera.hpp>

#include <support/plan_validator.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace {

using namespace tessera;

struct noise {
  i64 size() const { return 40; }
  shape sample_shape() const { return shape(2, 8, 8); }
  void read(i64 index, float* out) const {
    random_stream random(6, static_cast<u64>(index));
    for (i64 i = 0; i < 128; ++i) {
      out[i] = random.next_normal() + static_cast<float>(label(index)) * 0.3f;
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 5 % 4); }
};

using cnn = network<image<2, 8, 8>, conv<8, 3, pad<1>>, batch_norm, relu, max_pool<2>, flatten,
                    dropout<20>, dense<4>>;
template <class... Options>
using job = training<cnn, softmax_cross_entropy, adam, batch<16>, Options...>;
using plain = job<>;
using small = job<scratchpad<40'000>>;

static_assert(small::memory.scratchpad_bytes <= 40'000);
static_assert(small::memory.scratchpad_bytes > 30'000);
static_assert(small::memory.arena_bytes < plain::memory.arena_bytes);
static_assert(small::memory.lower_bound_bytes == plain::memory.lower_bound_bytes);
static_assert(plain::memory.scratchpad_bytes == 0 && plain::memory.arena_traffic == 0);
// Half of the bytes get 65 % of the traffic.
static_assert(small::memory.scratchpad_bytes * 100 < 53 * plain::memory.arena_bytes);
static_assert(small::memory.scratchpad_traffic * 5 > small::memory.arena_traffic * 9);

template <class Job>
std::vector<std::byte> train(scratchpad_memory fast = {}) {
  const auto t = std::make_unique<trainer<Job>>(seed{4}, threads{}, fast);
  t->fit(noise{}, {.epochs = 2, .learning_rate = 0.05f});
  CHECK(t->evaluate(noise{}).samples == 40);
  std::vector<std::byte> all;
  for (const weight& w : t->weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

TEST_CASE("A step that is spread over two memories gives the same bits", "[train]") {
  const std::vector<std::byte> want = train<plain>();
  CHECK(train<small>() == want);
  CHECK(train<job<scratchpad<40'000>, plan_at_start>>() == want);
  CHECK(train<job<scratchpad<1 << 20>>>() == want);
  alignas(tensor_alignment) static std::byte fast[40'000];
  CHECK(train<small>({fast, sizeof fast}) == want);
  bool used = false;
  for (const std::byte b : fast) used = used || b != std::byte{0};
  CHECK(used);
  CHECK_THROWS_WITH(train<small>({fast, 640}), testing::contains("scratchpad: the step needs") &&
                                                   testing::contains("got 640"));
  CHECK_THROWS_WITH(train<small>({fast + 4, sizeof fast - 4}),
                    testing::contains("a multiple of 64"));
}

TEST_CASE("A plan over two memories keeps every value until it is read", "[train]") {
  using plan = small::plan;
  const graph g = graph_of<small>();
  CHECK(testing::fault_of(g, plan::locations(), small::memory) == "");
  i32 in_scratchpad = 0;
  for (const placed_tensor& t : list_plan<small>()) {
    in_scratchpad += t.at.where == region::scratchpad ? 1 : 0;
  }
  CHECK(in_scratchpad > 3);
}

}  // namespace
