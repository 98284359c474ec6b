// Trains LeNet-5 (or a multi-layer perceptron) on handwritten digits.
//
// You see a line per epoch, then the confusion table over the test digits and one line of results.
// With --data DIR (the original MNIST files, plain or gz) it trains on MNIST, otherwise on digits
// that it draws itself.
//
//   mnist --data DIR --epochs 5                      98.9 % or better
//   mnist --precision fp16                           half the memory, the same accuracy
//   mnist --backend model --epochs 1                 on a model of an accelerator, priced in cycles

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "support/allocations.hpp"
#include "support/options.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 3_MiB

using lenet5 =
    ts::network<ts::image<1, 28, 28>,  //
                ts::conv<6, 5, ts::pad<2>>, ts::tanh, ts::max_pool<2>, ts::conv<16, 5>, ts::tanh,
                ts::max_pool<2>,  //
                ts::flatten, ts::dense<120>, ts::tanh, ts::dense<84>, ts::tanh, ts::dense<10>>;

using mlp = ts::network<ts::image<1, 28, 28>, ts::flatten, ts::dense<500>, ts::relu, ts::dense<250>,
                        ts::relu, ts::dense<10>>;

template <class Network, class Precision>
using job = ts::training<Network, ts::softmax_cross_entropy, ts::adam, ts::batch<32>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(job<lenet5, ts::fp32>::memory.total_bytes < 3_MiB);  // all that training needs
static_assert(job<lenet5, mixed>::memory.arena_bytes < 720_KiB);
static_assert(ts::fits<job<lenet5, mixed>, ts::accelerator::ipu_mk1>);  // every tile's SRAM

/// What the report says of a run.
struct figures {
  double seconds = 0;  // in training steps
  ts::i64 steps = 0;
  ts::i64 allocations_per_step = 0;
  double train_loss = 0;
};

template <class Trainer>
figures train(Trainer& trainer, const ts::data::split& digits, const examples::options& o) {
  using clock = std::chrono::steady_clock;
  figures f;
  auto resumed = clock::now();
  ts::i64 allocated = examples::allocations;
  const auto after_step = [&](const ts::progress& p) {
    f.seconds += std::chrono::duration<double>(clock::now() - resumed).count();
    ++f.steps;
    if (p.step > 1) {  // the first step of an epoch follows an evaluation
      f.allocations_per_step = std::max(f.allocations_per_step, examples::allocations - allocated);
    }
    if (!o.quiet) ts::bar(p);
    if (p.epoch_ends()) {
      f.train_loss = p.loss;
      const ts::metrics test = trainer.evaluate(digits.test);
      if (p.epoch == 1) std::cout << "epoch  train loss   test loss   test accuracy   samples/s\n";
      std::printf("%5d %11.4f %11.4f %13.2f %% %11.0f\n", p.epoch, p.loss, test.loss,
                  100 * test.accuracy,
                  static_cast<double>(f.steps * trainer.batch_size) / f.seconds);
      std::fflush(stdout);
    }
    allocated = examples::allocations;
    resumed = clock::now();
  };
  trainer.fit(
      digits.train,
      {.epochs = o.epochs, .learning_rate = ts::cosine_rate(2e-3, 0, 200), .progress = after_step});
  return f;
}

template <class Job, class Backend>
void run(const ts::data::split& digits, const examples::options& o) {
  const auto trainer =
      std::make_unique<ts::trainer<Job, Backend>>(ts::seed{o.seed}, ts::threads{o.threads});
  std::cout << Job::parameter_count << " parameters, " << Job::memory.total_bytes
            << " bytes for a whole training step of " << trainer->batch_size << "\n";
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  figures f;
  if (o.epochs > 0) f = train(*trainer, digits, o);
  const ts::metrics test = trainer->evaluate(digits.test);
  ts::report(std::cout, test);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());

  const double samples = static_cast<double>(f.steps) * trainer->batch_size;
  const double rate = f.seconds > 0 ? samples / f.seconds : 0;
  if (!o.report.empty()) {
    ts::io::json j{
        {"example", "mnist"},
        {"model", o.model},
        {"data", o.data.empty() ? "drawn" : "mnist"},
        {"backend", o.backend},
        {"precision", o.precision},
        {"seed", o.seed},
        {"epochs", o.epochs},
        {"samples_per_second", rate},
        {"step_microseconds", f.steps > 0 ? 1e6 * f.seconds / static_cast<double>(f.steps) : 0},
        {"train_loss", f.train_loss},
        {"test_loss", test.loss},
        {"test_accuracy", test.accuracy},
        {"heap_allocations_per_step", f.allocations_per_step}};
    j.update(ts::to_json(Job::memory));
    if (o.backend == "model") {
      j["step_cycles"] = ts::cost<Job, ts::accelerator::ipu_mk1>.cycles();
      j["step_energy_fJ"] = ts::cost<Job, ts::accelerator::ipu_mk1>.energy_fJ;
    }
    ts::io::write_json(o.report, j);
  }
  std::printf("%s %s %s: test accuracy %.2f %%, loss %.4f, %.0f samples/s, arena %lld bytes\n",
              o.model.c_str(), o.backend.c_str(), o.precision.c_str(), 100 * test.accuracy,
              test.loss, rate, static_cast<long long>(Job::memory.arena_bytes));
}

template <class Network>
void choose(const ts::data::split& digits, const examples::options& o) {
  if (o.backend == "model") {
    examples::check_choice("--machine", o.machine, {"ipu_mk1"});
    if (o.precision != "fp16") {
      throw ts::error("--precision: this example runs the model in fp16, got \"" + o.precision +
                      "\"");
    }
    return run<job<Network, mixed>, ts::on<ts::accelerator::ipu_mk1>>(digits, o);
  }
  if (o.precision == "fp32") return run<job<Network, ts::fp32>, ts::host_backend>(digits, o);
  if (o.precision == "fp16") return run<job<Network, mixed>, ts::host_backend>(digits, o);
  throw ts::error("--precision: this example is built for fp32 and fp16, got \"" + o.precision +
                  "\"");
}

int main(int argc, char** argv) {
  return examples::run("mnist", [&] {
    examples::options defaults;
    defaults.epochs = 5;
    defaults.precision = "";  // what the backend does best
    defaults.model = "lenet5";
    examples::options o = examples::parse(argc, argv, defaults, "mnist");
    if (o.precision.empty()) o.precision = o.backend == "model" ? "fp16" : "fp32";
    examples::check_choice("--model", o.model, {"lenet5", "mlp"});
    const ts::data::split digits =
        o.data.empty() ? ts::data::drawn_digits(60000, 10000, 1) : ts::data::mnist(o.data);
    std::cout << (o.data.empty() ? std::string("drawn digits") : "MNIST from " + o.data) << ": "
              << digits.train.size() << " to train on, " << digits.test.size() << " to test\n";
    if (o.model == "lenet5") {
      choose<lenet5>(digits, o);
    } else {
      choose<mlp>(digits, o);
    }
  });
}
