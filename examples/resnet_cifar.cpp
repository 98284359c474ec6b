// Trains a residual network of 20 layers on small colour pictures.
//
// You see a line per epoch, then the confusion table over the test pictures and one line of
// results. With --data DIR (CIFAR-10's binary files, plain or gz) it trains on CIFAR-10, otherwise
// on shapes that it draws itself. Every epoch shows each picture padded, cropped again at a random
// place and in half of the cases mirrored.
//
//   resnet_cifar --data DIR --epochs 15 --threads 2
//   resnet_cifar --data DIR --epochs 0 --load resnet20.safetensors     only evaluates
//   resnet_cifar --data DIR --hold-out 1000                            to choose settings by
//
// Weights have the names of the PyTorch model of the paper's network, so that files of pretrained
// weights load as they are; pictures are scaled by ImageNet's channels, as those expect.
// Source: He, Zhang, Ren, Sun 2016, Deep Residual Learning, section 4.2 (shortcut option A).

#include <tessera/data.hpp>
#include <tessera/models/resnet.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <algorithm>
#include <iostream>
#include <memory>

#include "support/options.hpp"
#include "support/picture.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 54_MiB

using resnet20 = ts::network<ts::image<3, 32, 32>, ts::models::cifar_resnet<20>>;

/// The paper has plain momentum of 0.9 and a weight decay of 1e-4 for five times as many pictures.
struct optimizer : ts::nesterov_sgd {
  static constexpr float weight_decay = 5e-4f;
};

template <class Precision>
using job = ts::training<resnet20, ts::softmax_cross_entropy, optimizer, ts::batch<32>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;
using brain = ts::mixed<ts::bf16, ts::skip_tensor, ts::static_scale<1>>;  // has f32's range

static_assert(job<ts::fp32>::memory.arena_bytes < 54_MiB);
static_assert(job<mixed>::memory.arena_bytes < 27_MiB);

using pictures = ts::data::normalized<ts::data::dataset>;

struct sets {
  pictures train;
  pictures test;
};

template <class Job>
void run(const sets& data, const std::string& picture, const examples::options& o) {
  const auto trainer = std::make_unique<ts::trainer<Job>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  examples::show_network<Job>(picture);
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
    o.epochs = 15;
    ts::i32 hold_out = 0;
    std::string picture;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(argc, argv, o, "cifar-10",
                        {examples::samples_option(samples),
                         examples::picture_option(picture),
                         {"--hold-out", "N", "judge by the last N training pictures instead",
                          [&](const std::string& value) {
                            hold_out = examples::parse_number<ts::i32>("--hold-out", value, 0);
                          }}});
    examples::check_job(o, {"fp32", "fp16", "bf16"}, {});
    ts::data::split found = o.data.empty()
                                ? ts::data::drawn_shapes(std::min<ts::i64>(10000, samples),
                                                         std::min<ts::i64>(1000, samples), 1)
                                : examples::first_of(ts::data::cifar10(o.data), samples);
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
    if (o.precision == "fp16") {
      run<job<mixed>>(data, picture, o);
    } else if (o.precision == "bf16") {
      run<job<brain>>(data, picture, o);
    } else {
      run<job<ts::fp32>>(data, picture, o);
    }
  });
}
