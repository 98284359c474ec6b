// Training of composed networks as compiled programs: frozen weights stay as they are and cost no
// memory, shared ones stay one, an operation of a user's own runs on every backend at its price.

#include <tessera/tessera.hpp>

#include <support/catch.hpp>
#include <support/reference_kernels.hpp>
#include <support/swish.hpp>
#include <tessera/backends/reference.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace {

namespace ts = tessera;

struct reference_backend {
  template <ts::signature S>
  static constexpr ts::kernel kernel_of = ts::reference::kernel_of<S>;
};

/// Patterns of 4 classes on 2x8x8, the same everywhere.
struct patterns {
  ts::i64 size() const { return 96; }
  ts::shape sample_shape() const { return ts::shape(2, 8, 8); }
  void read(ts::i64 index, float* out) const {
    ts::random_stream random(5, static_cast<ts::u64>(index));
    for (ts::i32 i = 0; i < 128; ++i) {
      const bool lit = (i / 9 + i) % 4 == label(index);
      out[i] = (lit ? 1.0f : 0.0f) + 0.2f * random.next_normal();
    }
  }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index * 7 % 4); }
};

/// The weights of a trainer, by name.
template <class Trainer>
std::vector<float> weight(const Trainer& t, const std::string& name) {
  for (const ts::weight& w : t.weights()) {
    if (w.name != name) continue;
    std::vector<float> values(w.bytes.size() / 4);
    std::memcpy(values.data(), w.bytes.data(), w.bytes.size());
    return values;
  }
  FAIL("no weight " + name);
  return {};
}

template <int C>
using same = ts::conv<C, 3, ts::pad<1>>;
using body = ts::scope<"body", same<6>, ts::tanh, same<6>, ts::tanh, ts::max_pool<2>>;
using head = ts::chain<ts::flatten, ts::named<"head", ts::dense<4>>>;
using whole = ts::network<ts::image<2, 8, 8>, body, head>;
using transfer = ts::network<ts::image<2, 8, 8>, ts::frozen<body>, head>;

template <class Network>
using job = ts::training<Network, ts::softmax_cross_entropy, ts::adam, ts::batch<16>>;

TEST_CASE("Frozen weights stay bit for bit, and their gradients take no memory", "[train]") {
  STATIC_REQUIRE(job<transfer>::parameter_count == 96 * 4 + 4);
  STATIC_REQUIRE(job<whole>::parameter_count ==
                 job<transfer>::parameter_count + 6 * 18 + 6 + 6 * 54 + 6);
  STATIC_REQUIRE(job<transfer>::memory.parameter_bytes == job<whole>::memory.parameter_bytes);
  STATIC_REQUIRE(job<transfer>::memory.arena_bytes < job<whole>::memory.arena_bytes);
  STATIC_REQUIRE(job<transfer>::memory.state_bytes < job<whole>::memory.state_bytes);
  STATIC_REQUIRE(job<transfer>::operation_count < job<whole>::operation_count);

  ts::trainer<job<transfer>> t{ts::seed{3}};
  const auto body_before = weight(t, "body.conv2.weight");
  const auto head_before = weight(t, "head.weight");
  const double before = t.evaluate(patterns{}).loss;
  t.fit(patterns{}, {.epochs = 8, .learning_rate = 0.02f});
  CHECK(weight(t, "body.conv2.weight") == body_before);
  CHECK(weight(t, "head.weight") != head_before);
  CHECK(t.evaluate(patterns{}).loss < 0.5 * before);
}

TEST_CASE("A frozen body takes over the weights of a trained one", "[train]") {
  ts::trainer<job<whole>> first{ts::seed{3}};
  first.fit(patterns{}, {.epochs = 2, .learning_rate = 0.02f});
  ts::trainer<job<transfer>> second{ts::seed{4}};
  for (const ts::weight& from : first.weights()) {
    for (const ts::weight& to : second.weights()) {
      if (to.name == from.name) std::memcpy(to.bytes.data(), from.bytes.data(), from.bytes.size());
    }
  }
  CHECK(second.evaluate(patterns{}).loss == first.evaluate(patterns{}).loss);
}

using normalized = ts::scope<"body", same<6>, ts::batch_norm, ts::relu, ts::dropout<50>>;

/// The bytes of all weights and statistics whose names start alike.
template <class Trainer>
std::vector<std::byte> saved(const Trainer& t, const std::string& prefix) {
  std::vector<std::byte> all;
  for (const ts::weight& w : t.weights()) {
    if (w.name.starts_with(prefix)) all.insert(all.end(), w.bytes.begin(), w.bytes.end());
  }
  return all;
}

TEST_CASE("Frozen normalization takes and keeps its running statistics", "[train]") {
  using net = ts::network<ts::image<2, 8, 8>, ts::frozen<normalized>, head>;
  using free = ts::network<ts::image<2, 8, 8>, normalized, head>;
  STATIC_REQUIRE(job<net>::memory.parameter_bytes == job<free>::memory.parameter_bytes);
  ts::trainer<job<net>> t{ts::seed{3}};
  const auto before = saved(t, "body.");
  CHECK(before.size() == 4 * (6 * 18 + 6 + 4 * 6));
  t.fit(patterns{}, {.epochs = 2, .learning_rate = 0.02f});
  CHECK(saved(t, "body.") == before);
  ts::trainer<job<free>> u{ts::seed{3}};
  const auto mean = saved(u, "body.bn1.running_mean");
  REQUIRE(mean.size() == 6 * 4);
  u.fit(patterns{}, {.epochs = 1, .learning_rate = 0.02f});
  CHECK(saved(u, "body.bn1.running_mean") != mean);
}

using siamese =
    ts::network<ts::image<2, 8, 8>, ts::flatten, ts::branch<ts::dense<32>, ts::dense<32>>,
                ts::each<ts::chain<ts::dense<16>, ts::tanh>>, ts::join_concat,
                ts::scope<"out", ts::residual<ts::dense<32>, ts::tanh>, ts::dense<4>>>;

TEST_CASE("A network of branches learns, with one set of shared weights", "[train]") {
  STATIC_REQUIRE(job<siamese>::parameter_count ==
                 2 * (128 * 32 + 32) + 32 * 16 + 16 + (32 * 32 + 32) + 32 * 4 + 4);
  ts::trainer<job<siamese>> t{ts::seed{3}};
  const double before = t.evaluate(patterns{}).loss;
  t.fit(patterns{}, {.epochs = 8, .learning_rate = 0.01f});
  CHECK(t.evaluate(patterns{}).loss < 0.5 * before);
}

TEST_CASE("A composed network learns in 16 bits as well", "[train]") {
  using net = ts::network<
      ts::image<2, 8, 8>,
      ts::residual<same<6>, ts::batch_norm, ts::relu, same<6>, ts::project<ts::conv<6, 1>>>,
      ts::relu, ts::skip<ts::concat<ts::conv<3, 1>, same<3>>, ts::relu>,
      ts::add<ts::chain<ts::conv<16, 3, ts::pad<1>, ts::stride<2>>, ts::relu>,
              ts::shortcut_a<16, 2>>,
      ts::flatten, ts::multiply<ts::dense<4>, ts::chain<ts::dense<4>, ts::sigmoid>>>;
  using narrow =
      ts::training<net, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::mixed<ts::fp16>>;
  ts::trainer<narrow> t{ts::seed{3}};
  const double before = t.evaluate(patterns{}).loss;
  t.fit(patterns{}, {.epochs = 8, .learning_rate = 0.01f});
  CHECK(t.evaluate(patterns{}).loss < 0.5 * before);

  ts::trainer<job<net>> host{ts::seed{3}};
  ts::trainer<job<net>, ts::on<ts::accelerator::ipu_mk1>> model{ts::seed{3}};
  std::vector<ts::i32> indices(16);
  for (std::size_t i = 0; i < 16; ++i) indices[i] = static_cast<ts::i32>(i);
  host.load(patterns{}, indices);
  model.load(patterns{}, indices);
  for (ts::i32 step = 0; step < 2; ++step) {
    host.step(0.001f);
    model.step(0.001f);
    CHECK(model.loss() == Approx(host.loss()).epsilon(1e-4));
  }
  CHECK(model.counters().total == ts::cost<job<net>, ts::accelerator::ipu_mk1>.times(2));
}

// --- an operation of a user's own ----------------------------------------------------------------

using own = ts::network<ts::image<2, 8, 8>, ts::flatten, ts::dense<24>, ts::testing::swish_layer,
                        ts::testing::scaled_layer, ts::dense<4>>;

template <class Backend>
std::vector<float> steps(ts::trainer<job<own>, Backend>& t) {
  std::vector<ts::i32> indices(16);
  for (ts::i32 step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < 16; ++i) indices[i] = step * 16 + static_cast<ts::i32>(i);
    t.load(patterns{}, indices);
    t.step(0.01f);
  }
  std::vector<float> all = weight(t, "dense1.weight");
  all.push_back(weight(t, "factor1.weight")[0]);
  return all;
}

TEST_CASE("A user's operation trains alike on every backend, at the price it states", "[train]") {
  ts::trainer<job<own>, reference_backend> reference{ts::seed{3}};
  ts::trainer<job<own>> host{ts::seed{3}};
  ts::trainer<job<own>, ts::on<ts::accelerator::ipu_mk1>> model{ts::seed{3}};
  const auto want = steps(reference);
  const auto on_host = steps(host);
  const auto on_model = steps(model);
  for (std::size_t i = 0; i < want.size(); ++i) {
    CHECK(on_host[i] == Approx(want[i]).epsilon(1e-4).margin(1e-5));
    CHECK(on_model[i] == Approx(want[i]).epsilon(1e-4).margin(1e-5));
  }
  CHECK(want.back() != 1.0f);

  constexpr auto price = ts::cost<job<own>, ts::accelerator::ipu_mk1>;
  CHECK(model.counters().total == price.times(3));
  // 16 x 24 elements: 4 operations each forward and 6.5 backward; 1 and 3 of the other.
  const auto& c = model.counters();
  CHECK(c.of(ts::kind::user).vector_ops == 3 * 16 * 24 * (4 + 1));
  CHECK(c.of(ts::kind::user_gradient).vector_ops == 3 * 16 * 24 * 19 / 2);
  // Read and written: x, y; x and the factor on every tile, y. Backward: x, dy, dx twice, the
  // factor's gradient, and the factor again.
  const ts::i64 tiles = 16 * 24 / 32;
  CHECK(c.of(ts::kind::user).sram_bytes == 3 * 4 * (16 * 24 * 4 + tiles));
  CHECK(c.of(ts::kind::user).exchange_bytes == 3 * 4 * tiles);
  CHECK(c.of(ts::kind::user_gradient).sram_bytes == 3 * 4 * (16 * 24 * 6 + 2 * tiles));
}

TEST_CASE("A backend has no kernel for a user's operation on 16 bits", "[train]") {
  using half_job =
      ts::training<own, ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::mixed<ts::fp16>>;
  ts::i32 missing = 0;
  for (const ts::signature& s : half_job::plan::kernels) {
    if (!ts::host::supports(s)) ++missing;
  }
  CHECK(missing > 0);
}

TEST_CASE("The output in place of a user's input takes no bytes of its own", "[train]") {
  ts::i32 in_place = 0;
  for (ts::i32 id = 0; id < ts::inference<own, ts::batch<16>>::tensor_count; ++id) {
    const auto p = ts::inference<own, ts::batch<16>>::placement(id);
    if (std::string(p.name.layer) == "scaled" && !p.own_bytes) ++in_place;
  }
  CHECK(in_place == 1);
}

}  // namespace
