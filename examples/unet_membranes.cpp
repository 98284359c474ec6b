// Finds the membranes between cells in pictures of an electron microscope: a class for each pixel.
//
// You see a line per epoch with accuracy and overlap on pictures held out, then how good it is to
// guess by brightness alone, and one line of results; with --sheet FILE.png (or .pgm) a picture of
// inputs, true and predicted classes. With --data DIR (image/N.png beside label/N.png, as of the
// ISBI 2012 challenge; of 30 pairs the last 6 are held out) it trains on those, otherwise on
// membranes that it draws itself.
//
//   unet_membranes --data DIR --epochs 20 --threads 2 --sheet cells.png
//   unet_membranes --epochs 0 --load FILE --sheet cells.png      only shows
//
// A U-Net of 3 poolings and 8 channels in its first level sees tiles of 64 x 64, cut anywhere and
// turned in the eight ways of a square; the same weights then judge tiles of 128 x 128.
// Source: Ronneberger, Fischer, Brox 2015; data: Arganda-Carreras et al. 2015.

#include <tessera/data.hpp>
#include <tessera/models/unet.hpp>
#include <tessera/report.hpp>
#include <tessera/tessera.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "support/image.hpp"
#include "support/membranes.hpp"
#include "support/options.hpp"
#include "support/training.hpp"

namespace ts = tessera;
using namespace ts::literals;  // 40_MiB

/// For tiles of Side x Side; the weights are the same for all of them.
template <ts::i32 Side>
using unet = ts::network<ts::image<1, Side, Side>, ts::models::unet<2, 8, 3>>;

constexpr ts::i32 seen = 64;     // height and width of a tile to train on
constexpr ts::i32 judged = 128;  // of one to be judged

template <class Precision>
using job = ts::training<unet<seen>, ts::pixel_cross_entropy, ts::adam, ts::batch<16>, Precision>;

using mixed = ts::mixed<ts::fp16, ts::skip_tensor>;

static_assert(job<ts::fp32>::memory.arena_bytes < 40_MiB);
static_assert(job<mixed>::memory.arena_bytes < 20_MiB);

/// Classes of the pixels of pictures, one picture after another.
using class_maps = std::vector<ts::u8>;

/// What the network with these weights makes of pictures, tile by tile.
class judge {
 public:
  explicit judge(ts::i32 threads) : network_(std::make_unique<predictor>(threads)) {}

  class_maps look(const ts::weight_list& weights, const ts::data::segmented_images& pictures) {
    examples::copy_weights(weights, network_->weights());
    const ts::shape size = pictures.picture_shape();
    const ts::data::tiles tiles(pictures, {.tile = judged});
    class_maps found(static_cast<std::size_t>(pictures.size() * size.count()));
    for (ts::i64 first = 0; first < tiles.size(); first += batch) {
      const ts::i64 count = std::min(ts::i64{batch}, tiles.size() - first);
      for (ts::i64 i = 0; i < count; ++i) tiles.read(first + i, in_.data() + i * pixels);
      const auto n = static_cast<std::size_t>(count);
      network_->run(std::span(in_).first(n * pixels), std::span(out_).first(n * 2 * pixels));
      for (ts::i64 i = 0; i < count; ++i) {
        const auto at = tiles.locate(first + i);
        const float* const membrane = out_.data() + i * 2 * pixels;
        const float* const cell = membrane + pixels;
        ts::u8* const corner =
            found.data() + at.picture * size.count() + at.top * size[2] + at.left;
        for (ts::i32 y = 0; y < judged; ++y) {
          for (ts::i32 x = 0; x < judged; ++x) {
            const ts::i32 k = y * judged + x;
            corner[ts::i64{y} * size[2] + x] = cell[k] > membrane[k] ? 1 : 0;
          }
        }
      }
    }
    return found;
  }

 private:
  static constexpr ts::i32 batch = 16;
  static constexpr ts::i64 pixels = ts::i64{judged} * judged;

  using predictor = ts::predictor<ts::inference<unet<judged>, ts::batch<batch>>>;

  std::unique_ptr<predictor> network_;
  std::vector<float> in_ = std::vector<float>(batch * pixels);
  std::vector<float> out_ = std::vector<float>(batch * 2 * pixels);
};

/// How well classes of pixels agree.
struct agreement {
  double accuracy = 0;      // share of pixels
  double intersection = 0;  // over union, the mean of both classes
};

agreement compare(const ts::data::segmented_images& pictures, const class_maps& found) {
  ts::confusion counts(2);
  auto predicted = found.begin();
  for (ts::i64 i = 0; i < pictures.size(); ++i) {
    for (const ts::u8 truth : pictures.pixel_classes(i)) counts.add(truth, *predicted++);
  }
  const auto right0 = static_cast<double>(counts(0, 0));
  const auto right1 = static_cast<double>(counts(1, 1));
  const auto wrong = static_cast<double>(counts(0, 1) + counts(1, 0));
  return {(right0 + right1) / static_cast<double>(found.size()),
          (right0 / std::max(1.0, right0 + wrong) + right1 / std::max(1.0, right1 + wrong)) / 2};
}

/// The classes by brightness alone: cell from the byte on that is best on pictures to train on.
class_maps threshold(const ts::data::segmented_images& train,
                     const ts::data::segmented_images& pictures) {
  std::array<std::array<ts::i64, 256>, 2> count{};
  for (ts::i64 i = 0; i < train.size(); ++i) {
    const auto classes = train.pixel_classes(i);
    const auto bytes = train.bytes(i);
    for (std::size_t k = 0; k < bytes.size(); ++k) ++count[classes[k]][bytes[k]];
  }
  ts::i64 right = std::accumulate(count[1].begin(), count[1].end(), ts::i64{0});
  ts::i64 most = right;
  std::size_t from = 0;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    right += count[0][byte] - count[1][byte];
    if (right > most) {
      most = right;
      from = byte + 1;
    }
  }
  class_maps found;
  for (ts::i64 i = 0; i < pictures.size(); ++i) {
    for (const ts::u8 byte : pictures.bytes(i)) found.push_back(byte >= from ? 1 : 0);
  }
  return found;
}

/// A line for each picture: what goes in, what is true, what is found.
examples::image draw_sheet(const ts::data::segmented_images& pictures, const class_maps& found) {
  const auto lines = static_cast<ts::i32>(std::min<ts::i64>(3, pictures.size()));
  examples::sheet all(lines, 3, pictures.picture_shape());
  const auto paint = [](std::span<const ts::u8> classes) {
    std::vector<ts::u8> bytes;
    for (const ts::u8 each : classes) bytes.push_back(each == 0 ? 0 : 255);
    return bytes;
  };
  const auto pixels = static_cast<std::size_t>(pictures.picture_shape().count());
  for (ts::i32 line = 0; line < lines; ++line) {
    const std::span of_line =
        std::span(found).subspan(static_cast<std::size_t>(line) * pixels, pixels);
    all.put(line, 0, pictures.bytes(line).data());
    all.put(line, 1, paint(pictures.pixel_classes(line)).data());
    all.put(line, 2, paint(of_line).data());
  }
  return all.picture();
}

struct sets {
  ts::data::segmented_images train;
  ts::data::segmented_images test;
};

template <class Job>
void run(const sets& pictures, const std::string& sheet, const examples::options& o) {
  const auto trainer = std::make_unique<ts::trainer<Job>>(ts::seed{o.seed}, ts::threads{o.threads});
  judge judges(o.threads);
  examples::say_size<Job>();
  if (!o.load.empty()) ts::load(o.load, trainer->weights());
  examples::figures f;
  if (o.epochs > 0) {
    const ts::data::tiles tiles(pictures.train,
                                {.tile = seen, .move = true, .turn = true, .seed = o.seed});
    f = examples::train(
        *trainer, tiles, o, ts::cosine_rate(3e-3, 0, 100),
        [&](const ts::progress& p, const examples::figures& so_far) {
          const agreement now =
              compare(pictures.test, judges.look(trainer->weights(), pictures.test));
          if (p.epoch == 1)
            std::cout << "epoch  train loss   test accuracy   test overlap   tiles/s\n";
          std::printf("%5d %11.4f %13.2f %% %12.2f %% %9.0f\n", p.epoch, p.loss, 100 * now.accuracy,
                      100 * now.intersection, so_far.samples_per_second());
        });
  }
  const class_maps found = judges.look(trainer->weights(), pictures.test);
  const agreement all = compare(pictures.test, found);
  const agreement majority = compare(pictures.test, class_maps(found.size(), 1));
  const agreement bright = compare(pictures.test, threshold(pictures.train, pictures.test));
  if (!o.save.empty()) ts::save(o.save, trainer->weights());
  if (!sheet.empty()) examples::save_image(sheet, draw_sheet(pictures.test, found));
  std::printf(
      "all cell: accuracy %.2f %%, overlap %.2f %%\n"
      "by brightness: accuracy %.2f %%, overlap %.2f %%\n",
      100 * majority.accuracy, 100 * majority.intersection, 100 * bright.accuracy,
      100 * bright.intersection);
  if (!o.report.empty()) {
    ts::io::json j = examples::begin_report<Job>("unet_membranes", o, f);
    j["test_accuracy"] = all.accuracy;
    j["test_mean_intersection_over_union"] = all.intersection;
    j["majority_accuracy"] = majority.accuracy;
    j["threshold_accuracy"] = bright.accuracy;
    j["threshold_mean_intersection_over_union"] = bright.intersection;
    ts::io::write_json(o.report, j);
  }
  char metric[96];
  std::snprintf(metric, sizeof(metric), "test accuracy %.2f %%, overlap %.2f %%",
                100 * all.accuracy, 100 * all.intersection);
  examples::say_results<Job>("unet_membranes", o, f, metric);
}

/// A fifth of all is held out.
sets read(const std::string& folder, ts::i64 samples) {
  const bool made = folder.empty();
  const ts::data::segmented_images all =
      made ? ts::data::drawn_membranes(samples < 16 ? 2 * samples : 20, 256, 1)
           : examples::load_membranes(folder);
  const ts::shape size = all.picture_shape();
  if (all.size() < 2 || size[1] < judged || size[2] < judged) {
    throw ts::error(folder + ": expected at least 2 pictures of at least " +
                    std::to_string(judged) + "x" + std::to_string(judged) + ", got " +
                    std::to_string(all.size()) + " of " + std::to_string(size[1]) + "x" +
                    std::to_string(size[2]));
  }
  const ts::i64 train = all.size() - (all.size() + 4) / 5;
  return {all.part(0, std::min(train, samples)),
          all.part(train, std::min(train + samples, all.size()))};
}

int main(int argc, char** argv) {
  return examples::run("unet_membranes", [&] {
    examples::options o;
    o.epochs = 20;
    std::string sheet;
    ts::i64 samples = examples::all_samples;
    o = examples::parse(
        argc, argv, o, "isbi2012-membrane",
        {examples::samples_option(samples),
         {"--sheet", "FILE", "where to draw inputs, true and found classes (PNG, PGM)",
          [&](const std::string& value) {
            examples::check_folder("--sheet", value);
            sheet = value;
          }}});
    examples::check_job(o, {"fp32", "fp16"}, {});
    const sets pictures = read(o.data, samples);
    examples::say_data(o, "drawn membranes", "membranes", pictures.train.size(),
                       pictures.test.size());
    if (o.precision == "fp16") {
      run<job<mixed>>(pictures, sheet, o);
    } else {
      run<job<ts::fp32>>(pictures, sheet, o);
    }
  });
}
