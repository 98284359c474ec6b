// Whole trainings: LeNet-5 on digits, on the host and on the accelerator model.

#include <tessera/data.hpp>
#include <tessera/tessera.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace ts = tessera;

namespace {

using lenet5 =
    ts::network<ts::image<1, 28, 28>,  //
                ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::max_pool<2>, ts::conv<16, 5>, ts::tanh,
                ts::max_pool<2>,  //
                ts::flatten, ts::dense<120>, ts::tanh, ts::dense<84>, ts::tanh, ts::dense<10>>;

template <class Precision>
using job = ts::training<lenet5, ts::softmax_cross_entropy, ts::adam, ts::batch<32>, Precision>;

using full = job<ts::fp32>;
using half = job<ts::mixed<ts::fp16, ts::skip_tensor>>;
using model = ts::on<ts::accelerator::ipu_mk1>;

// What the README states of its first network.
using first = job<ts::mixed<ts::fp16>>;
static_assert(first::memory.total_bytes < 3 << 20);
static_assert(ts::fits<first, ts::accelerator::ipu_mk1>);
static_assert(ts::cost<first, ts::accelerator::ipu_mk1>.cycles() < 100'000);

/// What a training leaves: all weights as bytes, and how good they are.
struct outcome {
  std::vector<std::byte> weights;
  double accuracy = 0;
};

template <class Job, class Backend>
outcome train(const ts::data::split& digits, ts::i32 epochs, ts::i32 threads = 1) {
  const auto t = std::make_unique<ts::trainer<Job, Backend>>(ts::seed{1}, ts::threads{threads});
  t->fit(digits.train, {.epochs = epochs, .learning_rate = ts::cosine_rate(2e-3, 0, 200)});
  outcome result;
  for (const ts::weight& w : t->weights()) {
    result.weights.insert(result.weights.end(), w.bytes.begin(), w.bytes.end());
  }
  result.accuracy = t->evaluate(digits.test).accuracy;
  return result;
}

std::optional<ts::data::split> real_digits() {
  const char* const folder = std::getenv("TESSERA_DATA");
  if (folder == nullptr || !std::filesystem::is_directory(std::string(folder) + "/mnist")) {
    WARN("skipped: TESSERA_DATA names no folder with mnist in it");
    return std::nullopt;
  }
  return ts::data::mnist(std::string(folder) + "/mnist");
}

}  // namespace

TEST_CASE("a few thousand drawn digits teach LeNet-5 on every backend and precision",
          "[end_to_end]") {
  const ts::data::split digits = ts::data::drawn_digits(6400, 1000, 1);
  const outcome fp32 = train<full, ts::host_backend>(digits, 2);
  const outcome mixed = train<half, ts::host_backend>(digits, 2);
  const outcome on_model = train<half, model>(digits, 2);
  CAPTURE(fp32.accuracy, mixed.accuracy, on_model.accuracy);
  CHECK(fp32.accuracy > 0.93);  // a linear classifier stays under 0.9
  CHECK(std::abs(mixed.accuracy - fp32.accuracy) < 0.015);
  CHECK(std::abs(on_model.accuracy - mixed.accuracy) < 0.015);
}

TEST_CASE("a training repeats bit for bit, with one thread or two", "[end_to_end]") {
  const ts::data::split digits = ts::data::drawn_digits(333, 32, 1);  // the last batch is not full
  const outcome host = train<half, ts::host_backend>(digits, 1);
  CHECK(host.weights == train<half, ts::host_backend>(digits, 1).weights);
  CHECK(host.weights == train<half, ts::host_backend>(digits, 1, 2).weights);
  const outcome on_model = train<half, model>(digits, 1);
  CHECK(on_model.weights == train<half, model>(digits, 1).weights);
  CHECK(on_model.weights == train<half, model>(digits, 1, 2).weights);
  CHECK(on_model.weights != host.weights);  // the machines sum in different orders
}

TEST_CASE("the counters of a step read its price", "[end_to_end]") {
  const ts::data::split digits = ts::data::drawn_digits(32, 32, 1);
  ts::trainer<half, model> t(ts::seed{1});
  std::vector<ts::i32> all(32);
  for (ts::i32 i = 0; i < 32; ++i) all[static_cast<std::size_t>(i)] = i;
  t.load(digits.train, all);
  for (int step = 1; step <= 3; ++step) {
    t.counters().clear();
    t.step(1e-3f);
    CHECK(t.counters().total == ts::cost<half, ts::accelerator::ipu_mk1>);
  }
}

TEST_CASE("saved weights load back bit for bit and predict the same", "[end_to_end]") {
  const ts::data::split digits = ts::data::drawn_digits(320, 1, 1);
  ts::trainer<full> t(ts::seed{3});
  t.fit(digits.train, {.learning_rate = 1e-3});
  const std::string path =
      (std::filesystem::temp_directory_path() / "tessera_end_to_end.safetensors").string();
  ts::save(path, t.weights());
  ts::predictor<ts::inference<lenet5, ts::batch<1>>> p;
  ts::load(path, p.weights());
  const auto trained = t.weights();
  const auto loaded = p.weights();
  REQUIRE(trained.size() == loaded.size());
  for (std::size_t i = 0; i < trained.size(); ++i) {
    CHECK(trained[i].name == loaded[i].name);
    CHECK(std::memcmp(trained[i].bytes.data(), loaded[i].bytes.data(), trained[i].bytes.size()) ==
          0);
  }
  std::filesystem::remove(path);
  float pixels[784];
  float scores[10];
  int right = 0;
  for (ts::i64 i = 0; i < 100; ++i) {
    digits.train.read(i, pixels);
    p.run(pixels, scores);
    const auto best = std::max_element(scores, scores + 10) - scores;
    right += best == digits.train.label(i) ? 1 : 0;
  }
  CHECK(right > 50);
}

TEST_CASE("five epochs of MNIST reach 98.9 % in fp32 and mixed", "[end_to_end][slow]") {
  const auto digits = real_digits();
  if (!digits) return;
  const outcome fp32 = train<full, ts::host_backend>(*digits, 5);
  const outcome mixed = train<half, ts::host_backend>(*digits, 5);
  CAPTURE(fp32.accuracy, mixed.accuracy);
  CHECK(fp32.accuracy >= 0.989);
  CHECK(mixed.accuracy >= 0.989);
  CHECK(std::abs(fp32.accuracy - mixed.accuracy) <= 0.003);
}

TEST_CASE("after one epoch of MNIST the model is as good as the host", "[end_to_end][slow]") {
  const auto digits = real_digits();
  if (!digits) return;
  const outcome host = train<half, ts::host_backend>(*digits, 1);
  const outcome on_model = train<half, model>(*digits, 1);
  CAPTURE(host.accuracy, on_model.accuracy);
  CHECK(on_model.accuracy > 0.975);
  CHECK(std::abs(host.accuracy - on_model.accuracy) <= 0.003);
}

TEST_CASE("three epochs of MNIST in halves on the model reach 98.5 %", "[end_to_end][slow]") {
  const auto digits = real_digits();
  if (!digits) return;
  // No 32-bit weight anywhere: updates are rounded by chance.
  using halves = job<ts::pure<ts::fp16, ts::skip_tensor>>;
  static_assert(halves::memory.working_bytes == 0);
  CHECK(train<halves, model>(*digits, 3).accuracy >= 0.985);
}
