// Training with recomputation as compiled programs: the same bits in fewer bytes.

#include <support/catch.hpp>

#include <tessera/models/transformer.hpp>
#include <tessera/tessera.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace {

namespace ts = tessera;
using ts::i32;
using ts::i64;

/// Noise of four kinds.
template <i32... Dims>
struct noise {
  i64 size() const { return 64; }
  ts::shape sample_shape() const { return ts::shape(Dims...); }
  void read(i64 index, float* out) const {
    ts::random_stream random(5, static_cast<ts::u64>(index));
    for (i64 i = 0; i < sample_shape().count(); ++i) {
      out[i] = random.next_normal() + static_cast<float>(label(index)) * 0.3f;
    }
  }
  i32 label(i64 index) const { return static_cast<i32>(index * 7 % 4); }
};

/// All that is trained or saved, byte after byte.
template <class Trainer>
std::vector<std::byte> state_of(const Trainer& t) {
  std::vector<std::byte> all;
  for (const ts::weight& w : t.weights()) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  return all;
}

template <class Job, class Source>
std::vector<std::byte> train(const Source& source) {
  const auto t = std::make_unique<ts::trainer<Job>>(ts::seed{3});
  t->fit(source, {.epochs = 2, .learning_rate = 0.05f});
  return state_of(*t);
}

/// Trains with and without recomputation.
template <class Network, class Source, class... Options>
void check(const Source& source) {
  using plain =
      ts::training<Network, ts::softmax_cross_entropy, ts::momentum_sgd, ts::batch<16>, Options...>;
  using least = ts::training<Network, ts::softmax_cross_entropy, ts::momentum_sgd, ts::batch<16>,
                             Options..., ts::least_memory>;
  STATIC_REQUIRE(plain::recompute.operations == 0);
  STATIC_REQUIRE(least::recompute.operations > 0);
  STATIC_REQUIRE(least::recompute.extra_macs > 0);
  STATIC_REQUIRE(least::recompute.share() < 3);
  STATIC_REQUIRE(least::memory.arena_bytes < plain::memory.arena_bytes);
  STATIC_REQUIRE(least::memory.lower_bound_bytes == least::recompute.bound_bytes);
  STATIC_REQUIRE(least::memory.parameter_bytes == plain::memory.parameter_bytes);
  CHECK(train<plain>(source) == train<least>(source));
}

using cnn = ts::network<ts::image<2, 8, 8>, ts::conv<8, 3, ts::pad<1>>, ts::batch_norm, ts::relu,
                        ts::residual<ts::conv<8, 3, ts::pad<1>>, ts::batch_norm, ts::gelu,
                                     ts::conv<8, 3, ts::pad<1>>, ts::batch_norm>,
                        ts::relu, ts::dropout<30>, ts::max_pool<2>, ts::flatten, ts::dense<4>>;
using mlp = ts::network<ts::input<12>, ts::dense<24>, ts::layer_norm<>, ts::gelu, ts::dropout<20>,
                        ts::dense<24>, ts::layer_norm<>, ts::silu, ts::dense<4>>;
using reader = ts::network<ts::sequence<24, 6>, ts::lstm<8, ts::last_output>, ts::dense<4>>;

using deep = ts::network<ts::input<12>, ts::dense<16>, ts::relu,
                         ts::repeat<12, ts::dense<16>, ts::tanh>, ts::dense<4>>;

/// Names of all weights, in order.
template <class Trainer>
std::vector<std::string> names_of(const Trainer& t) {
  std::vector<std::string> names;
  for (const ts::weight& w : t.weights()) names.push_back(w.name);
  return names;
}

}  // namespace

TEST_CASE("Repeated blocks that are gone over in pieces keep their weights and names", "[train]") {
  check<deep>(noise<12>{});
  using plain = ts::training<deep, ts::softmax_cross_entropy, ts::adam, ts::batch<16>>;
  using least =
      ts::training<deep, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::least_memory>;
  CHECK(names_of(ts::trainer<plain>{ts::seed{1}}) == names_of(ts::trainer<least>{ts::seed{1}}));
}

TEST_CASE("A convolutional network trains to the same bits in fewer bytes", "[train]") {
  check<cnn>(noise<2, 8, 8>{});
  check<cnn, noise<2, 8, 8>, ts::mixed<ts::fp16, ts::skip_tensor>>(noise<2, 8, 8>{});
}

TEST_CASE("A perceptron trains to the same bits in fewer bytes", "[train]") {
  check<mlp>(noise<12>{});
}

TEST_CASE("A recurrent network trains to the same bits in fewer bytes", "[train]") {
  check<reader>(noise<24, 6>{});
}

TEST_CASE("A budget is a constant that the arena keeps", "[train]") {
  using plain = ts::training<cnn, ts::softmax_cross_entropy, ts::adam, ts::batch<16>>;
  using least =
      ts::training<cnn, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::least_memory>;
  constexpr i64 bytes = (plain::memory.arena_bytes + least::memory.arena_bytes) / 2;
  using kept =
      ts::training<cnn, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::budget<bytes>>;
  STATIC_REQUIRE(kept::memory.arena_bytes <= bytes);
  STATIC_REQUIRE(kept::recompute.extra_macs <= least::recompute.extra_macs);
  using ample = ts::training<cnn, ts::softmax_cross_entropy, ts::adam, ts::batch<16>,
                             ts::budget<plain::memory.arena_bytes>>;
  STATIC_REQUIRE(ample::recompute.operations == 0);
}
