// Trains a residual network of 20 layers on small colour pictures.
//
// You see a line per epoch, then the confusion table over the test pictures and one line of
// results. With --data DIR (CIFAR-10's binary files, plain or gz) it trains on CIFAR-10, otherwise
// on shapes that it draws itself. Every epoch shows each picture padded, cropped again at a random
// place and in half of the cases mirrored.
//
//   resnet_cifar --data DIR --epochs 30 --threads 2
//   resnet_cifar --data DIR --epochs 0 --load resnet20.safetensors     only evaluates
//   resnet_cifar --data DIR --hold-out 1000                            to choose settings by
//
// Weights have the names of the PyTorch model of the paper's network, so that files of pretrained
// weights load as they are; pictures are scaled by ImageNet's channels, as those expect.
// Source: He, Zhang, Ren, Sun 2016, Deep Residual Learning, section 4.2 (shortcut option A).

#include <tessera/data.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <iostream>
#include <memory>

#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 64_MiB

template <ts::i32 Channels, ts::i32 Stride, class... Shortcut>
using block = ts::chain<
    ts::residual<
        ts::named<"conv1", ts::conv<Channels, 3, ts::pad<1>, ts::stride<Stride>, ts::no_bias>>,
        ts::named<"bn1", ts::batch_norm>, ts::relu,
        ts::named<"conv2", ts::conv<Channels, 3, ts::pad<1>, ts::no_bias>>,
        ts::named<"bn2", ts::batch_norm>, Shortcut...>,
    ts::relu>;

/// The first block halves height and width and doubles the channels.
template <ts::i32 Channels>
using stage =
    ts::chain<ts::scope<"0", block<Channels, 2, ts::project<ts::shortcut_a<Channels, 2>>>>,
              ts::repeat_from<1, 2, block<Channels, 1>>>;

using resnet20 = ts::network<ts::image<3, 32, 32>,  //
                             ts::named<"conv1", ts::conv<16, 3, ts::pad<1>, ts::no_bias>>,
                             ts::named<"bn1", ts::batch_norm>, ts::relu,
                             ts::scope<"layer1", ts::repeat_from<0, 3, block<16, 1>>>,
                             ts::scope<"layer2", stage<32>>, ts::scope<"layer3", stage<64>>,  //
                             ts::avg_pool<8>, ts::flatten, ts::named<"linear", ts::dense<10>>>;

/// As in the paper: momentum 0.9, weight decay 1e-4.
struct optimizer : ts::nesterov_sgd {
  static constexpr float weight_decay = 5e-4f;
};

template <class Precision>
using job = ts::training<resnet20, ts::softmax_cross_entropy, optimizer, ts::batch<32>, Precision>;

using pictures = ts::data::normalized<ts::data::dataset>;

struct sets {
  pictures train;
  pictures test;
};

template <class Job>
void run(const sets& data, const examples::options& o) {
  const auto trainer = std::make_unique<ts::trainer<Job>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    const ts::data::augmented<pictures> seen(data.train, {.seed = o.seed});
    f = examples::train(*trainer, seen, o, ts::cosine_rate(5e-2, 0, 300),
                        examples::accuracy_table(*trainer, data.test));
  }
  const ts::metrics test = trainer->evaluate(data.test);
  ts::report(std::cout, test);
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("resnet_cifar", o, f);
    j["test_loss"] = test.loss;
    j["test_accuracy"] = test.accuracy;
    ts::io::write_json(o.report, j);
  }
  examples::say_results<Job>("resnet20", o, f, examples::spell_accuracy(test));
}

int main(int argc, char** argv) {
  return examples::run("resnet_cifar", [&] {
    examples::options o;
    o.epochs = 30;
    ts::i32 hold_out = 0;
    o = examples::parse(argc, argv, o, "cifar-10",
                        {{"--hold-out", "N", "judge by the last N training pictures instead",
                          [&](const std::string& value) {
                            hold_out = examples::parse_number<ts::i32>("--hold-out", value, 0);
                          }}});
    examples::check_job(o, {"fp32"}, {});
    ts::data::split found =
        o.data.empty() ? ts::data::drawn_shapes(10000, 1000, 1) : ts::data::cifar10(o.data);
    if (hold_out > 0) {
      const ts::i64 count = found.train.size();
      if (hold_out >= count) {
        throw ts::error("--hold-out: expected less than the " + std::to_string(count) +
                        " training pictures, got " + std::to_string(hold_out));
      }
      found.test = found.train.subset(count - hold_out, count);
      found.train = found.train.subset(0, count - hold_out);
    }
    examples::say_data(o, "drawn shapes", "CIFAR-10", found.train.size(), found.test.size());
    const sets data{pictures(found.train, ts::data::imagenet_channels),
                    pictures(found.test, ts::data::imagenet_channels)};
    run<job<ts::fp32>>(data, o);
  });
}
