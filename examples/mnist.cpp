// Trains LeNet-5 (or a multi-layer perceptron) on handwritten digits.
//
// You see a line per epoch, then the confusion table over the test digits and one line of results.
// With --data DIR (the original MNIST files, plain or gz) it trains on MNIST, otherwise on digits
// that it draws itself.
//
//   mnist --data DIR --epochs 5                      98.9 % or better
//   mnist --precision fp16                           half the memory, the same accuracy
//   mnist --picture step.svg                         the layers as a table, the step as a picture
//   mnist --precision half                           no 32-bit weights: updates rounded by chance
//   mnist --backend model --epochs 1                 on a model of an accelerator, priced in cycles
//   mnist --backend model --precision half           both

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>

#include "support/options.hpp"
#include "support/picture.hpp"
#include "support/training.hpp"

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
using half = ts::pure<ts::fp16, ts::skip_tensor>;
using brain = ts::mixed<ts::bf16, ts::skip_tensor, ts::static_scale<1>>;  // has f32's range

static_assert(job<lenet5, ts::fp32>::memory.total_bytes < 3_MiB);  // all that training needs
static_assert(job<lenet5, mixed>::memory.arena_bytes < 720_KiB);
static_assert(ts::fits<job<lenet5, mixed>, ts::accelerator::ipu_mk1>);  // every tile's SRAM

template <class Job, class Backend>
void run(const ts::data::split& digits, const std::string& model, const std::string& picture,
         const examples::options& o) {
  const auto trainer =
      std::make_unique<ts::trainer<Job, Backend>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  examples::show_network<Job>(picture);
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    f = examples::train(*trainer, digits.train, o, ts::cosine_rate(2e-3, 0, 200),
                        examples::accuracy_table(*trainer, digits.test));
  }
  const ts::metrics test = trainer->evaluate(digits.test);
  ts::report(std::cout, test);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("mnist", o, f);
    j["model"] = model;
    j["test_loss"] = test.loss;
    j["test_accuracy"] = test.accuracy;
    examples::add_price<Job>(j, o);
    ts::io::write_json(o.report, j);
  }
  examples::say_results<Job>(model, o, f, examples::spell_accuracy(test));
}

template <class Network>
void choose(const ts::data::split& digits, const std::string& model, const std::string& picture,
            const examples::options& o) {
  if (o.backend == "model") {
    using machine = ts::on<ts::accelerator::ipu_mk1>;
    if (o.precision == "half") return run<job<Network, half>, machine>(digits, model, picture, o);
    if (o.precision == "bf16") return run<job<Network, brain>, machine>(digits, model, picture, o);
    return run<job<Network, mixed>, machine>(digits, model, picture, o);
  }
  if (o.precision == "half")
    return run<job<Network, half>, ts::host_backend>(digits, model, picture, o);
  if (o.precision == "bf16")
    return run<job<Network, brain>, ts::host_backend>(digits, model, picture, o);
  if (o.precision == "fp16")
    return run<job<Network, mixed>, ts::host_backend>(digits, model, picture, o);
  return run<job<Network, ts::fp32>, ts::host_backend>(digits, model, picture, o);
}

int main(int argc, char** argv) {
  return examples::run("mnist", [&] {
    examples::options o;
    o.epochs = 5;
    std::string model = "lenet5";
    std::string picture;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(argc, argv, o, "mnist",
                        {examples::samples_option(samples),
                         examples::picture_option(picture),
                         {"--model", "M", "lenet5, mlp (a multi-layer perceptron)",
                          [&](const std::string& value) { model = value; }}});
    examples::check_choice("--model", model, {"lenet5", "mlp"});
    examples::check_job(o, {"fp32", "fp16", "bf16", "half"}, {"fp16", "bf16", "half"});
    const ts::data::split digits =
        o.data.empty() ? ts::data::drawn_digits(std::min<ts::i64>(60000, samples),
                                                std::min<ts::i64>(10000, samples), 1)
                       : examples::first_of(ts::data::mnist(o.data), samples);
    examples::say_data(o, "drawn digits", "MNIST", digits.train.size(), digits.test.size());
    if (model == "lenet5") {
      choose<lenet5>(digits, model, picture, o);
    } else {
      choose<mlp>(digits, model, picture, o);
    }
  });
}
