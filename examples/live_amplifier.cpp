// Learns the sound of an amplifier from a recording, then plays through it live, sample by sample.
//
// You see the error of the network after each epoch, then a line of results: how much of the
// amplifier's signal it gets wrong, how long one sample takes, how often real time at 48 kHz that
// is, that playing allocates nothing, and how far the live signal is from what the network makes of
// whole recordings.
//
//   live_amplifier                      12 epochs on 24 made recordings of half a second
//   live_amplifier --epochs 40 --save amplifier.safetensors
//   live_amplifier --epochs 0 --load amplifier.safetensors       only plays
//
// The amplifier is made, too: a filter, a valve that bends the two halves of a wave differently,
// and a filter behind it. Recordings are plucked notes. Training reads pieces of 2,048 samples;
// the same type without a length is what plays: its windows only look back.

#include <tessera/runtime/stream.hpp>
#include <tessera/tessera.hpp>
#include <tessera/train/copy_weights.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "support/allocations.hpp"
#include "support/command_words.hpp"

namespace ts = tessera;

constexpr ts::i32 piece_samples = 2048;
constexpr ts::i32 rate = 48000;

using amplifier =
    ts::network<ts::signal<1, piece_samples>, ts::conv1d<8, 3, ts::pad_ends<2, 0>>, ts::tanh,
                ts::conv1d<8, 3, ts::pad_ends<4, 0>, ts::dilation<2>>, ts::tanh,
                ts::conv1d<8, 3, ts::pad_ends<8, 0>, ts::dilation<4>>, ts::tanh, ts::conv1d<1, 1>>;
using job = ts::training<amplifier, ts::mse, ts::adam, ts::batch<16>>;
using whole = ts::predictor<ts::inference<amplifier, ts::batch<1>>>;

// All that playing needs: weights, packed for the vectors of this machine, and past samples.
static_assert(sizeof(ts::stream<amplifier>) < 16 * 1024);

/// A plucked string: partials that die away, the higher the sooner.
std::vector<float> pluck(float hertz, ts::i32 samples) {
  std::vector<float> x(static_cast<std::size_t>(samples));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float t = static_cast<float>(i) / rate;
    for (ts::i32 k = 1; k <= 6; ++k) {
      const float partial = static_cast<float>(k);
      x[i] +=
          0.5f / partial * std::exp(-3 * partial * t) * std::sin(6.2831853f * hertz * partial * t);
    }
  }
  return x;
}

/// What the amplifier makes of a signal.
std::vector<float> amplified(const std::vector<float>& x) {
  std::vector<float> y;
  float before = 0;
  float behind = 0;
  for (const float sample : x) {
    before += 0.6f * (sample - before);
    const float bent = before > 0 ? std::tanh(3 * before) : 0.7f * std::tanh(5 * before);
    behind += 0.4f * (bent - behind);
    y.push_back(behind);
  }
  return y;
}

/// Pieces of recordings, with what the amplifier made of them.
struct recordings {
  std::vector<float> played;
  std::vector<float> heard;

  recordings(ts::i32 notes, float lowest) {
    for (ts::i32 n = 0; n < notes; ++n) {
      const float hertz = lowest * std::exp2(static_cast<float>(n * 5 % 24) / 12);
      const auto x = pluck(hertz, rate / 2 / piece_samples * piece_samples);
      const auto y = amplified(x);
      played.insert(played.end(), x.begin(), x.end());
      heard.insert(heard.end(), y.begin(), y.end());
    }
  }
  ts::i64 size() const { return static_cast<ts::i64>(played.size()) / piece_samples; }
  ts::shape sample_shape() const { return {1, piece_samples}; }
  void read(ts::i64 i, float* out) const {
    std::copy_n(played.data() + i * piece_samples, piece_samples, out);
  }
  void target(ts::i64 i, float* out) const {
    std::copy_n(heard.data() + i * piece_samples, piece_samples, out);
  }
};

struct options {
  ts::i32 epochs = 12;
  ts::u64 seed = 1;
  std::string load, save;
  bool quiet = false;
};

void play(const options& o) {
  const recordings training(24, 82.4f);
  const recordings test(6, 110);
  ts::trainer<job> trainer{ts::seed{o.seed}};
  if (!o.load.empty()) ts::load(o.load, trainer.weights());
  ts::fit_options fit;
  fit.epochs = o.epochs;
  fit.learning_rate = 4e-3;
  fit.progress = [&](const ts::progress& p) {
    if (!o.quiet && p.epoch_ends()) {
      std::printf("epoch %2d  mean squared error %.6f\n", p.epoch, p.loss);
    }
  };
  if (o.epochs > 0) trainer.fit(training, fit);
  if (!o.save.empty()) ts::save(o.save, trainer.weights());

  const auto live = std::make_unique<ts::stream<amplifier>>(trainer.weights());
  std::vector<float> output(test.played.size());
  const ts::i64 allocated = examples::allocations;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < output.size(); ++i) output[i] = live->step(test.played[i]);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const ts::i64 made = examples::allocations - allocated;

  double wrong = 0;
  double signal = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double d = static_cast<double>(output[i] - test.heard[i]);
    wrong += d * d;
    signal += static_cast<double>(test.heard[i]) * static_cast<double>(test.heard[i]);
  }

  // Piece by piece from silence, live and as a whole.
  whole predictor;
  const ts::weight_list from = trainer.weights();
  ts::copy_weights(from, predictor.weights());
  std::vector<float> want(piece_samples);
  float difference = 0;
  for (ts::i64 p = 0; p < test.size(); ++p) {
    const std::span<const float> samples(test.played.data() + p * piece_samples, piece_samples);
    predictor.run(samples, std::span<float>(want));
    live->reset();
    for (std::size_t i = 0; i < want.size(); ++i) {
      difference = std::max(difference, std::abs(live->step(samples[i]) - want[i]));
    }
  }
  const double each = seconds / static_cast<double>(output.size());
  std::printf(
      "live_amplifier: error %.2f %% of the signal; %.1f ns a sample, %.0f times real time, %lld "
      "allocations; live and whole differ by at most %.1e; %zu bytes\n",
      100 * std::sqrt(wrong / signal), 1e9 * each, 1 / (each * rate), static_cast<long long>(made),
      static_cast<double>(difference), sizeof(*live));
}

int main(int argc, char** argv) {
  return examples::run("live_amplifier", [&] {
    options o;
    examples::command_words words(argc, argv,
                                  "  --epochs N   12; 0 only plays\n"
                                  "  --seed N     1\n"
                                  "  --load FILE, --save FILE\n"
                                  "  --quiet\n");
    while (words.next()) {
      if (words.name() == "--epochs") {
        words.number(o.epochs, 0);
      } else if (words.name() == "--seed") {
        words.number(o.seed, 0);
      } else if (words.name() == "--load") {
        o.load = words.value();
      } else if (words.name() == "--save") {
        words.file(o.save);
      } else if (words.name() == "--quiet") {
        o.quiet = true;
      } else {
        words.refuse();
      }
    }
    play(o);
  });
}
