// Learns digits from many pictures and few labels: a deep belief network.
//
// Two restricted Boltzmann machines learn, one on top of the other, what the training pictures look
// like; nobody tells them which digit is which. Their weights become the lower layers of a network
// that then sees 1,000 labelled pictures. The same network from random weights sees the same 1,000.
// You see both learn, and the test error of either. With --data DIR (the original MNIST files) it
// trains on MNIST, otherwise on digits that it draws itself.
//
//   784 - 500 - 500        machines, on all pictures, by contrastive divergence
//   784 - 500 - 500 - 10   networks, on the labelled ones
//
//   dbn_mnist --data DIR --filters filters.png     and what the first machine looks for
//   dbn_mnist --pretrain 0                         random weights only
//   dbn_mnist --epochs 0 --load FILE               only evaluates
//
// Rates (1e-3 to 2e-2) and epochs (30 to 100) are those with the fewest errors on 10,000 training
// pictures, held out while they were sought, for each of the two networks on its own.

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>
#include <tessera/train/dbn.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "support/image.hpp"
#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;

using stack = ts::dbn<ts::rbm<784, 500>, ts::rbm<500, 500>>;

template <class Precision>
using job = ts::training<stack::classifier<10>, ts::softmax_cross_entropy, ts::adam, ts::batch<32>,
                         Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(ts::fits<job<mixed>, ts::accelerator::ipu_mk1>);

/// What a network of either kind is trained with, found on held-out training pictures.
struct recipe {
  ts::i32 epochs;
  double rate;
};
constexpr recipe for_pretrained{60, 6e-3};
constexpr recipe for_random{60, 1e-2};

/// What this example's own options say.
struct choices {
  ts::i32 pretrain = 10;  // epochs of each machine
  ts::i64 labels = 1000;
  ts::i64 samples = examples::all_samples;
  std::string filters;
};

/// Ink from 0 to 1, as probabilities of binary units.
class ink {
 public:
  explicit ink(ts::data::dataset digits) : digits_(std::move(digits)) {}

  ts::i64 size() const { return digits_.size(); }
  ts::shape sample_shape() const { return digits_.sample_shape(); }
  ts::i32 label(ts::i64 index) const { return digits_.label(index); }
  void read(ts::i64 index, float* out) const {
    for (const ts::u8 byte : digits_.bytes(index)) *out++ = static_cast<float>(byte) / 255.0f;
  }

 private:
  ts::data::dataset digits_;
};

/// The weights of the first 200 units of the lowest layer, each as a picture: grey is 0.
examples::image draw_filters(const ts::weight_list& weights) {
  constexpr ts::i32 rows = 10;
  constexpr ts::i32 columns = 20;
  constexpr ts::i64 pixels = 784;
  const std::vector<double> all = ts::read_tensor(weights[0].about, weights[0].bytes.data());
  examples::sheet sheet(rows, columns, ts::shape(1, 28, 28));
  for (ts::i32 unit = 0; unit < rows * columns; ++unit) {
    const double* const from = all.data() + unit * pixels;
    double largest = 1e-6;
    for (ts::i64 i = 0; i < pixels; ++i) largest = std::max(largest, std::abs(from[i]));
    std::vector<float> picture;
    for (ts::i64 i = 0; i < pixels; ++i) {
      picture.push_back(static_cast<float>(0.5 + 0.5 * from[i] / largest));
    }
    sheet.put(unit / columns, unit % columns, picture.data());
  }
  return sheet.picture();
}

/// Trains the machines on pictures; says how well they give them back.
template <class Precision, class Backend>
ts::dbn_weights learn_pictures(const ink& pictures, const choices& own,
                               const examples::options& o) {
  ts::fit_options fit{.epochs = own.pretrain, .learning_rate = 0.05};
  if (!o.quiet) fit.progress = ts::bar;
  return ts::pretrain<stack, ts::cd<1>, ts::momentum_sgd, ts::batch<32>, Precision>(
      pictures, fit, ts::seed{o.seed}, ts::threads{o.threads},
      [](ts::i32 machine, ts::i32 count, double error) {
        std::printf("machine %d of %d: mean squared error %.4f of its reconstructions\n",
                    machine + 1, count, error);
        std::fflush(stdout);
      },
      Backend{});
}

struct outcome {
  examples::figures figures;
  ts::metrics test;

  double error() const { return 100 * (1 - test.accuracy); }
};

/// Trains a network on the labelled pictures, where there are epochs to train it for.
template <class Trainer>
outcome learn_labels(Trainer& trainer, const ink& labelled, const ink& test, recipe how,
                     examples::options o) {
  outcome result;
  if (o.epochs < 0) o.epochs = how.epochs;
  if (o.epochs > 0) {
    result.figures = examples::train(trainer, labelled, o, ts::cosine_rate(how.rate),
                                     [](const ts::progress&, const examples::figures&) {});
  }
  result.test = trainer.evaluate(test);
  return result;
}

template <class Precision, class Backend>
void run(const ts::data::split& digits, const choices& own, const examples::options& o) {
  using trainer = ts::trainer<job<Precision>, Backend>;
  const ink pictures(digits.train);
  const ink labelled(digits.train.subset(0, std::min(own.labels, digits.train.size())));
  const ink test(digits.test);
  const auto network = std::make_unique<trainer>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<job<Precision>>();
  double pretrain_seconds = 0;
  if (!o.load.empty()) {
    ts::load(o.load, network->weights());
  } else if (own.pretrain > 0 && o.epochs != 0) {
    const auto start = std::chrono::steady_clock::now();
    learn_pictures<Precision, Backend>(pictures, own, o).copy_to(network->weights());
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    pretrain_seconds = spent.count();
  }
  if (!own.filters.empty()) examples::save_image(own.filters, draw_filters(network->weights()));
  const outcome pretrained = learn_labels(*network, labelled, test, for_pretrained, o);
  if (!o.save.empty()) ts::save(o.save, network->weights());

  const auto other = std::make_unique<trainer>(ts::seed{o.seed}, ts::threads{o.threads});
  const outcome random = learn_labels(*other, labelled, test, for_random, o);

  ts::report(std::cout, pretrained.test);
  std::printf(
      "test error with %lld labels: %.2f %% after pretraining, %.2f %% from random weights\n",
      static_cast<long long>(labelled.size()), pretrained.error(), random.error());
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<job<Precision>>("dbn_mnist", o, pretrained.figures);
    j["epochs"] = o.epochs < 0 ? for_pretrained.epochs : o.epochs;
    j["pretrain_epochs"] = o.load.empty() ? own.pretrain : 0;
    j["pretrain_seconds"] = pretrain_seconds;
    j["pictures"] = pictures.size();
    j["labelled"] = labelled.size();
    j["test_accuracy"] = pretrained.test.accuracy;
    j["test_accuracy_from_random_weights"] = random.test.accuracy;
    j["test_error"] = pretrained.error() / 100;
    j["test_error_from_random_weights"] = random.error() / 100;
    examples::add_price<job<Precision>>(j, o);
    ts::io::write_json(o.report, j);
  }
  char metric[96];
  std::snprintf(metric, sizeof(metric), "test error %.2f %%, from random weights %.2f %%",
                pretrained.error(), random.error());
  examples::say_results<job<Precision>>("dbn", o, pretrained.figures, metric);
}

int main(int argc, char** argv) {
  return examples::run("dbn_mnist", [&] {
    examples::options o;
    o.epochs = -1;  // each network its own number
    choices own;
    o = examples::parse(
        argc, argv, o, "mnist",
        {examples::samples_option(own.samples),
         {"--pretrain", "N", "epochs of each machine; 0: none, both networks start at random",
          [&](const std::string& value) {
            own.pretrain = examples::parse_number<ts::i32>("--pretrain", value, 0);
          }},
         {"--labels", "N", "labelled pictures",
          [&](const std::string& value) {
            own.labels = examples::parse_number<ts::i64>("--labels", value, 1);
          }},
         {"--filters", "FILE", "where to draw the lowest weights (PNG, PGM)",
          [&](const std::string& value) {
            examples::check_folder("--filters", value);
            own.filters = value;
          }}});
    examples::check_job(o, {"fp32", "fp16"}, {"fp16"});
    const ts::data::split digits = [&] {
      if (o.data.empty()) {
        return ts::data::drawn_digits(std::min<ts::i64>(60000, own.samples),
                                      std::min<ts::i64>(10000, own.samples), 1);
      }
      return examples::first_of(ts::data::mnist(o.data), own.samples);
    }();
    examples::say_data(o, "drawn digits", "MNIST", digits.train.size(), digits.test.size());
    if (o.backend == "model") {
      run<mixed, ts::on<ts::accelerator::ipu_mk1>>(digits, own, o);
    } else if (o.precision == "fp16") {
      run<mixed, ts::host_backend>(digits, own, o);
    } else {
      run<ts::fp32, ts::host_backend>(digits, own, o);
    }
  });
}
