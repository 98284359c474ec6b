// Trains an autoencoder on handwritten digits: pictures through a narrow middle and back.
//
// You see a line per epoch with the mean squared error of test pictures, then one line of results;
// with --sheet FILE.png (or .pgm) a picture of test digits, each above what came back. With --data
// DIR (the original MNIST files, plain or gz) it trains on MNIST, otherwise on digits that it draws
// itself.
//
//   1x28x28  ->  16x14x14  ->  4x7x7: a quarter of the numbers  ->  16x14x14  ->  1x28x28
//
//   autoencoder --data DIR --epochs 5 --sheet digits.png
//   autoencoder --epochs 0 --load FILE --sheet digits.pgm     only shows

#include <tessera/data.hpp>
#include <tessera/models/autoencoder.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <algorithm>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/image.hpp"
#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 8_MiB

using autoencoder = ts::network<ts::image<1, 28, 28>, ts::models::conv_autoencoder<1, 16, 4>>;

template <class Precision>
using job = ts::training<autoencoder, ts::mse, ts::adam, ts::batch<32>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(job<ts::fp32>::memory.arena_bytes < 8_MiB);
static_assert(ts::fits<job<mixed>, ts::accelerator::ipu_mk1>);

/// Digits that are their own targets: ink from 0 to 1, as the network's last layer gives it.
class own_targets {
 public:
  explicit own_targets(ts::data::dataset digits) : digits_(std::move(digits)) {}

  ts::i64 size() const { return digits_.size(); }
  ts::shape sample_shape() const { return digits_.sample_shape(); }
  std::span<const ts::u8> bytes(ts::i64 index) const { return digits_.bytes(index); }
  void read(ts::i64 index, float* out) const {
    for (const ts::u8 byte : digits_.bytes(index)) *out++ = static_cast<float>(byte) / 255.0f;
  }
  void target(ts::i64 index, float* out) const { read(index, out); }

 private:
  ts::data::dataset digits_;
};

/// The mean squared error of a picture that is the mean of all, whatever goes in.
double mean_picture_error(const own_targets& digits) {
  const auto pixels = static_cast<std::size_t>(digits.sample_shape().count());
  std::vector<double> sum(pixels);
  std::vector<double> squares(pixels);
  std::vector<float> digit(pixels);
  for (ts::i64 i = 0; i < digits.size(); ++i) {
    digits.read(i, digit.data());
    for (std::size_t k = 0; k < pixels; ++k) {
      sum[k] += digit[k];
      squares[k] += double{digit[k]} * digit[k];
    }
  }
  const auto n = static_cast<double>(digits.size());
  double error = 0;
  for (std::size_t k = 0; k < pixels; ++k) error += squares[k] / n - sum[k] * sum[k] / (n * n);
  return error / static_cast<double>(pixels);
}

/// A row of digits, a row of what the network makes of them, and so on.
examples::image draw_sheet(const ts::weight_list& weights, const own_targets& digits) {
  constexpr ts::i32 columns = 16;
  constexpr ts::i32 lines = 4;
  using both_ways = ts::predictor<ts::inference<autoencoder, ts::batch<columns>>>;
  const auto network = std::make_unique<both_ways>();
  examples::copy_weights(weights, network->weights());
  constexpr ts::i64 pixels = both_ways::output.count();
  std::vector<float> in(columns * pixels);
  std::vector<float> out(columns * pixels);
  examples::sheet all(2 * lines, columns, both_ways::output);
  for (ts::i32 line = 0; line < lines; ++line) {
    for (ts::i32 c = 0; c < columns; ++c) {
      digits.read((line * columns + c) % digits.size(), in.data() + c * pixels);
    }
    network->run(in, out);
    for (ts::i32 c = 0; c < columns; ++c) {
      all.put(2 * line, c, in.data() + c * pixels);
      all.put(2 * line + 1, c, out.data() + c * pixels);
    }
  }
  return all.picture();
}

template <class Job, class Backend>
void run(const own_targets& digits, const own_targets& test, const std::string& sheet,
         const examples::options& o) {
  const auto trainer =
      std::make_unique<ts::trainer<Job, Backend>>(ts::seed{o.seed}, ts::threads{o.threads});
  examples::say_size<Job>();
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    f = examples::train(*trainer, digits, o, ts::cosine_rate(3e-3, 0, 200),
                        [&](const ts::progress& p, const examples::figures& so_far) {
                          const double error = trainer->evaluate(test).loss;
                          if (p.epoch == 1)
                            std::cout << "epoch   train mse    test mse   samples/s\n";
                          std::printf("%5d %11.5f %11.5f %11.0f\n", p.epoch, p.loss, error,
                                      so_far.samples_per_second());
                        });
  }
  const double error = trainer->evaluate(test).loss;
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (!sheet.empty()) examples::save_image(sheet, draw_sheet(trainer->weights(), test));
  const double of_mean = mean_picture_error(test);
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("autoencoder", o, f);
    j["test_mse"] = error;
    j["mean_picture_mse"] = of_mean;
    examples::add_price<Job>(j, o);
    ts::io::write_json(o.report, j);
  }
  char metric[96];
  std::snprintf(metric, sizeof(metric), "test mse %.5f (the mean picture: %.5f)", error, of_mean);
  examples::say_results<Job>("autoencoder", o, f, metric);
}

int main(int argc, char** argv) {
  return examples::run("autoencoder", [&] {
    examples::options o;
    o.epochs = 5;
    std::string sheet;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(argc, argv, o, "mnist",
                        {examples::samples_option(samples),
                         {"--sheet", "FILE", "where to draw digits and what comes back (PNG, PGM)",
                          [&](const std::string& value) {
                            examples::check_folder("--sheet", value);
                            sheet = value;
                          }}});
    examples::check_job(o, {"fp32", "fp16"}, {"fp16"});
    const ts::data::split found = o.data.empty()
                                      ? ts::data::drawn_digits(std::min<ts::i64>(60000, samples),
                                                               std::min<ts::i64>(10000, samples), 1)
                                      : examples::first_of(ts::data::mnist(o.data), samples);
    examples::say_data(o, "drawn digits", "MNIST", found.train.size(), found.test.size());
    const own_targets digits(found.train);
    const own_targets test(found.test);
    if (o.backend == "model") {
      run<job<mixed>, ts::on<ts::accelerator::ipu_mk1>>(digits, test, sheet, o);
    } else if (o.precision == "fp16") {
      run<job<mixed>, ts::host_backend>(digits, test, sheet, o);
    } else {
      run<job<ts::fp32>, ts::host_backend>(digits, test, sheet, o);
    }
  });
}
