// Training on sequences of words: whole numbers in, an embedding and a recurrence over it.

#include <tessera/nn/embedding.hpp>
#include <tessera/nn/recurrent.hpp>
#include <tessera/train/trainer.hpp>

#include <support/catch.hpp>

#include <tessera/network.hpp>

#include <cstring>
#include <vector>

namespace {

using namespace tessera;

constexpr i32 steps = 9;
constexpr i32 words = 12;

/// Sentences of random words; what is wanted is the class of the first: it has to be remembered.
struct sentences {
  i64 size() const { return 320; }
  shape sample_shape() const { return shape(steps); }
  i32 word(i64 index, i32 t) const {
    random_stream random(11, static_cast<u64>(index * steps + t));
    return static_cast<i32>(random.next_below(words - 1));  // the last one never comes
  }
  void read(i64 index, i32* out) const {
    for (i32 t = 0; t < steps; ++t) out[t] = word(index, t);
  }
  i32 label(i64 index) const { return word(index, 0) % 3; }
};

template <class Cell>
using net = network<tokens<steps>, embedding<words, 6>, Cell, dense<3>>;

template <class Cell, class... Options>
using job = training<net<Cell>, softmax_cross_entropy, adam, batch<32>, Options...>;

template <class Job>
std::vector<float> table(const trainer<Job>& t) {
  for (const weight& w : t.weights()) {
    if (w.name != "embedding1.weight") continue;
    std::vector<float> values(w.bytes.size() / sizeof(float));
    std::memcpy(values.data(), w.bytes.data(), w.bytes.size());
    return values;
  }
  FAIL("no table");
  return {};
}

template <class Job>
void check_learns() {
  trainer<Job> t{seed{2}};
  const std::vector<float> before = table(t);
  CHECK(t.evaluate(sentences{}).accuracy < 0.6);
  t.fit(sentences{}, {.epochs = 40, .learning_rate = 0.01f});
  CHECK(t.evaluate(sentences{}).accuracy > 0.97);
  const std::vector<float> after = table(t);
  for (i32 row = 0; row < words; ++row) {
    const bool same =
        std::equal(after.begin() + row * 6, after.begin() + row * 6 + 6, before.begin() + row * 6);
    CHECK(same == (row == words - 1));  // a word that never comes has gradient 0
  }
}

TEST_CASE("an LSTM over words remembers the first", "[train]") {
  check_learns<job<lstm<16, last_output>>>();
}

TEST_CASE("a GRU over words remembers the first in half precision", "[train]") {
  check_learns<job<gru<16, last_output>, mixed<fp16>>>();
}

TEST_CASE("words reach the embedding whole whatever the precision", "[train]") {
  using narrow = job<gru<16, last_output>, mixed<fp16>>;
  STATIC_REQUIRE(narrow::memory.input_bytes == 32 * steps * 4);
  STATIC_REQUIRE(narrow::memory.input_bytes == job<gru<16, last_output>>::memory.input_bytes);
}

}  // namespace
