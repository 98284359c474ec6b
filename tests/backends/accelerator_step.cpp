// Whole training steps on the model: counters equal the constants, bits do not depend on threads.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>

#include <tessera/tessera.hpp>
#include <cstring>
#include <vector>

namespace ts = tessera;

namespace {

using lenet = ts::network<ts::image<1, 28, 28>, ts::conv<6, 5, ts::pad<2>>, ts::tanh,
                          ts::max_pool<2>, ts::conv<16, 5>, ts::tanh, ts::max_pool<2>, ts::flatten,
                          ts::dense<120>, ts::tanh, ts::dense<84>, ts::tanh, ts::dense<10>>;

using narrow =
    ts::training<lenet, ts::softmax_cross_entropy, ts::adam, ts::batch<32>, ts::mixed<ts::fp16>>;
using wide = ts::training<lenet, ts::softmax_cross_entropy, ts::adam, ts::batch<8>>;

/// Pictures that are the same everywhere, with labels.
struct stripes {
  ts::i64 size() const { return 64; }
  ts::shape sample_shape() const { return ts::shape(1, 28, 28); }
  void read(ts::i64 index, float* to) const {
    for (ts::i32 i = 0; i < 784; ++i) {
      to[i] = static_cast<float>((i * (label(index) + 3) + index * 7) % 29) / 29.0f;
    }
  }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index % 10); }
};

using reader =
    ts::training<ts::network<ts::sequence<7, 6>, ts::lstm<24, ts::last_output>, ts::dense<4>>,
                 ts::softmax_cross_entropy, ts::adam, ts::batch<16>, ts::mixed<ts::fp16>>;

/// Sequences that are the same everywhere, with labels.
struct waves {
  ts::i64 size() const { return 64; }
  ts::shape sample_shape() const { return ts::shape(7, 6); }
  void read(ts::i64 index, float* to) const {
    for (ts::i32 i = 0; i < 42; ++i) to[i] = static_cast<float>((i * (label(index) + 3)) % 11) / 11;
  }
  ts::i32 label(ts::i64 index) const { return static_cast<ts::i32>(index % 4); }
};

/// Weights after some steps, and what they cost.
struct outcome {
  std::vector<float> weights;
  ts::accelerator::operation_price spent;
  double loss;
};

template <class Job, ts::machine M, class Source = stripes>
outcome train(ts::i32 steps, ts::i32 threads) {
  ts::trainer<Job, ts::on<M>> t(ts::seed{3}, ts::threads{threads});
  const Source source;
  std::vector<ts::i32> indices(static_cast<std::size_t>(Job::options.batch));
  for (ts::i32 step = 0; step < steps; ++step) {
    for (std::size_t i = 0; i < indices.size(); ++i) {
      indices[i] = static_cast<ts::i32>((i + static_cast<std::size_t>(step) * 11) % 64);
    }
    t.load(source, indices);
    t.step(0.01f);
  }
  outcome result{{}, t.counters().total, t.loss()};
  for (const auto& w : t.weights()) {
    const auto* first = reinterpret_cast<const float*>(w.bytes.data());
    result.weights.insert(result.weights.end(), first, first + w.about.dims.count());
  }
  return result;
}

// The same bits on every host: g++ and clang, AVX2 and AVX-512, and SSE2 without fused instructions
// found the numbers below. They change with mappings, the order of sums or initial weights only.
ts::u64 hash_of(const outcome& o) {
  ts::u64 hash = 14695981039346656037u;
  for (const float w : o.weights) hash = (hash ^ std::bit_cast<ts::u32>(w)) * 1099511628211u;
  return hash;
}

}  // namespace

TEST_CASE("the counters of whole steps read what the compiler priced", "[backends]") {
  constexpr ts::accelerator::step_price price = ts::cost<narrow, ts::accelerator::ipu_mk1>;
  STATIC_REQUIRE(ts::fits<narrow, ts::accelerator::ipu_mk1>);
  const outcome three = train<narrow, ts::accelerator::ipu_mk1>(3, 1);
  ts::accelerator::step_price expected;
  for (ts::i32 step = 0; step < 3; ++step) expected += price;
  CHECK(three.spent == expected);

  constexpr ts::accelerator::step_price wide_price = ts::cost<wide, ts::accelerator::small_array>;
  CHECK(train<wide, ts::accelerator::small_array>(1, 1).spent == wide_price);
}

TEST_CASE("weights of a recurrent layer are received once for all steps in time", "[backends]") {
  using namespace ts::accelerator;
  constexpr step_price price = ts::cost<reader, ipu_mk1>;
  const outcome two = train<reader, ipu_mk1, waves>(2, 1);
  step_price expected = price;
  expected += price;
  CHECK(two.spent == expected);

  // The same step, but for an exchange of weights in every trip: of all products in the loop.
  ts::i64 bytes = 0;
  ts::i64 cycles = 0;
  ts::i32 products = 0;
  for (ts::i32 i = 0; i < reader::operation_count; ++i) {
    const ts::signature& s = reader::plan::signatures.of_operation.items[i];
    const ts::i64 kept = reader::plan::kept_runs[i];
    if (kept == 0 || family_of(s.what) > family::data_gradient) continue;
    ++products;
    CHECK(reader::plan::runs[i] == 7);
    CHECK(kept == 6);
    const operation_price first = ts::accelerator::price(ipu_mk1, s);
    const operation_price later = ts::accelerator::price(ipu_mk1, s, {.kept_weights = true});
    CHECK(first.compute_cycles == later.compute_cycles);
    bytes += kept * (first.exchange_bytes - later.exchange_bytes);
    cycles += kept * (first.exchange_cycles - later.exchange_cycles);
  }
  CHECK(products >= 2);  // h U forward, dz U backward
  CHECK(bytes > 0);
  CHECK(cycles > 0);
  step_price every_time;
  for (ts::i32 i = 0; i < reader::operation_count; ++i) {
    if (reader::plan::signatures.kernel_of[i] < 0) continue;
    every_time += ts::accelerator::price(ipu_mk1, reader::plan::signatures.of_operation.items[i])
                      .times(reader::plan::runs[i]);
  }
  CHECK(every_time.exchange_bytes - price.exchange_bytes == bytes);
  CHECK(every_time.cycles() - price.cycles() == cycles);
}

TEST_CASE("a run repeats bit for bit, with any number of threads", "[backends]") {
  const outcome first = train<narrow, ts::accelerator::ipu_mk1>(10, 1);
  const outcome again = train<narrow, ts::accelerator::ipu_mk1>(10, 1);
  const outcome threaded = train<narrow, ts::accelerator::ipu_mk1>(10, 2);
  REQUIRE(first.weights.size() == 61706);
  CHECK(first.weights == again.weights);
  CHECK(first.weights == threaded.weights);
  CHECK(first.spent == threaded.spent);
  CHECK(first.loss < 2.5);
  CHECK(hash_of(first) == 0x909a381a83e99a24u);
}

TEST_CASE("a machine that rounds by chance trains, with the same bits for a seed", "[backends]") {
  constexpr ts::machine by_chance = [] {
    ts::machine m = ts::accelerator::ipu_mk1;
    m.matrix.round = ts::rounding::stochastic;
    m.matrix.numbers.saturate = m.matrix.numbers.flush_outputs = true;
    return m;
  }();
  const outcome first = train<narrow, by_chance>(10, 1);
  const outcome threaded = train<narrow, by_chance>(10, 2);
  CHECK(first.weights == threaded.weights);
  CHECK(first.spent == threaded.spent);
  CHECK(first.loss < 2.5);
  const outcome nearest = train<narrow, ts::accelerator::ipu_mk1>(10, 1);
  CHECK(first.weights != nearest.weights);
  CHECK(hash_of(first) == 0x6d1c227e0f61cf73u);
  CHECK(first.spent == nearest.spent);
}

TEST_CASE("bfloat16 trains on a machine that is made for it", "[backends]") {
  using job = ts::training<lenet, ts::softmax_cross_entropy, ts::adam, ts::batch<16>,
                           ts::mixed<ts::bf16, ts::static_scale<1>>>;
  constexpr ts::accelerator::step_price price = ts::cost<job, ts::accelerator::tpu_v2_core>;
  const outcome one = train<job, ts::accelerator::tpu_v2_core>(1, 1);
  CHECK(one.spent == price);
  const outcome some = train<job, ts::accelerator::tpu_v2_core>(20, 2);
  CHECK(some.weights == train<job, ts::accelerator::tpu_v2_core>(20, 1).weights);
  CHECK(some.loss < 0.8 * one.loss);
  CHECK(hash_of(some) == 0x8dc3f00d43450417u);
}
