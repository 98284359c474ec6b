#pragma once

// Log-mel features: how loud a sound is, band by band, frame by frame.
//
//   samples   ........................................
//   frames    [ 25 ms    ]                              a Hann window each, the next 10 ms on
//                 [ 25 ms    ]
//   frame  -> power spectrum |X[k]|^2 -> bands: weighted sums -> log
//
//   weight    1   /\  /\  /\      triangles, evenly spaced and straight on the mel scale:
//             0  /  \/  \/  \     neighbours add up to 1 between their tops
//
// mel(f) = 2595 log10(1 + f / 700). Sums run in f32 from low to high frequencies; logarithms are
// natural ones, of at least log(1e-8): below the noise of 16 bits.
//
// Cost: 2.1 us a frame of 200 samples, 256 bins, 40 bands (g++ 12 -O2, Zen 3).
// Source: the scale O'Shaughnessy 1987, Speech Communication; triangles Davis, Mermelstein 1980;
// as HTK computes them (Young et al., The HTK Book, sections 5.4 and 5.6; deltas 5.9).

#include <tessera/core/error.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/fft.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace tessera::data {

/// Hertz to mel and back.
inline double to_mel(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
inline double from_mel(double mel) { return 700 * (std::pow(10.0, mel / 2595) - 1); }

/// How `log_mel` looks at sound.
struct log_mel_options {
  i32 rate = 8000;  // samples a second
  double window_seconds = 0.025;
  double hop_seconds = 0.010;
  i32 transform = 0;           // numbers of a transform; 0: the least that holds a window
  i32 bands = 40;              //
  double lowest = 20;          // hertz, where the first band begins
  double highest = 0;          // where the last one ends; 0: half the rate
  double pre_emphasis = 0.97;  // a of x[n] - a x[n - 1]; 0: none
};

/// Features of one kind. Owns its tables and room for a frame: computing allocates nothing, and is
/// for one thread at a time.
class log_mel {
 public:
  /// Errors   a rate, window or hop of less than a sample; a transform shorter than the window; no
  ///          bands; bounds that are not 0 <= lowest < highest <= rate / 2; a band so narrow that
  ///          no frequency of the transform lies in it; a pre-emphasis not of 0 to 1
  explicit log_mel(const log_mel_options& options)
      : window_(samples_of(options.window_seconds, options.rate)),
        hop_(samples_of(options.hop_seconds, options.rate)),
        bands_(options.bands),
        emphasis_(static_cast<float>(options.pre_emphasis)),
        fft_(transform_of(options, window_)) {
    if (!(options.pre_emphasis >= 0 && options.pre_emphasis <= 1)) {
      throw error("log_mel: expected a pre-emphasis of 0 to 1, got " +
                  std::to_string(options.pre_emphasis));
    }
    for (i32 n = 0; n < window_; ++n) {
      const double s = std::sin(std::numbers::pi * n / window_);
      hann_.push_back(static_cast<float>(s * s));
    }
    make_bands(options);
    frame_.resize(static_cast<std::size_t>(fft_.size()));
    spectrum_.resize(static_cast<std::size_t>(fft_.bins()));
  }

  i32 bands() const { return bands_; }
  i32 window() const { return window_; }  // in samples
  i32 hop() const { return hop_; }

  /// Frames of a sound: all whole windows; one, filled up with zeros, of a shorter sound.
  i64 frames(i64 samples) const {
    if (samples < 1) return 0;
    return samples <= window_ ? 1 : 1 + (samples - window_) / hop_;
  }

  /// Stores frames(samples.size()) x bands values.
  void compute(std::span<const float> samples, float* out) {
    const i64 count = frames(static_cast<i64>(samples.size()));
    for (i64 f = 0; f < count; ++f, out += bands_) {
      const std::size_t begin = static_cast<std::size_t>(f * hop_);
      const std::size_t length = std::min(samples.size() - begin, hann_.size());
      look(samples.subspan(begin, length), out);
    }
  }

  /// The weight of bin `bin` of the transform in band `band`.
  float weight(i32 band, i32 bin) const {
    const triangle& t = triangles_[static_cast<std::size_t>(band)];
    if (bin < t.first || bin >= t.first + t.count) return 0;
    return weights_[static_cast<std::size_t>(t.start + bin - t.first)];
  }

 private:
  struct triangle {
    i32 first = 0;  // bin
    i32 count = 0;
    i32 start = 0;  // of its weights
  };

  static i32 samples_of(double seconds, i32 rate) {
    const double samples = std::round(seconds * rate);
    if (!(samples >= 1 && samples <= 1 << 20)) {
      throw error("log_mel: expected a window and a hop of 1 to 1048576 samples, got " +
                  std::to_string(samples));
    }
    return static_cast<i32>(samples);
  }

  static i32 transform_of(const log_mel_options& options, i32 window) {
    if (options.transform == 0) {
      return std::max(2, static_cast<i32>(std::bit_ceil(static_cast<u32>(window))));
    }
    if (options.transform < window) {
      throw error("log_mel: expected a transform of at least the window's " +
                  std::to_string(window) + " samples, got " + std::to_string(options.transform));
    }
    return options.transform;
  }

  void make_bands(const log_mel_options& options) {
    const double highest = options.highest > 0 ? options.highest : options.rate / 2.0;
    if (bands_ < 1 || !(options.lowest >= 0 && options.lowest < highest) ||
        highest > options.rate / 2.0) {
      throw error("log_mel: expected bands within 0 to " + std::to_string(options.rate / 2) +
                  " Hz, got " + std::to_string(bands_) + " from " + std::to_string(options.lowest) +
                  " to " + std::to_string(highest));
    }
    const double begin = to_mel(options.lowest);
    const double spacing = (to_mel(highest) - begin) / (bands_ + 1);
    for (i32 b = 0; b < bands_; ++b) {
      const double top = begin + (b + 1) * spacing;
      triangle t{0, 0, static_cast<i32>(weights_.size())};
      for (i32 k = 0; k < fft_.bins(); ++k) {
        const double mel = to_mel(static_cast<double>(k) * options.rate / fft_.size());
        const double w = 1 - std::abs(mel - top) / spacing;
        if (w <= 0) continue;
        if (t.count++ == 0) t.first = k;
        weights_.push_back(static_cast<float>(w));
      }
      if (t.count == 0) {
        throw error("log_mel: no frequency of the transform lies in band " + std::to_string(b) +
                    "; use fewer bands or a longer transform");
      }
      triangles_.push_back(t);
    }
  }

  void look(std::span<const float> samples, float* out) {
    float before = samples[0];
    for (std::size_t n = 0; n < samples.size(); ++n) {
      frame_[n] = (samples[n] - emphasis_ * before) * hann_[n];
      before = samples[n];
    }
    std::fill(frame_.begin() + static_cast<std::ptrdiff_t>(samples.size()), frame_.end(), 0.0f);
    fft_.transform(frame_, spectrum_);
    for (std::size_t k = 0; k < spectrum_.size(); ++k) frame_[k] = std::norm(spectrum_[k]);
    for (const triangle& t : triangles_) {
      const float* const w = weights_.data() + t.start;
      const float* const power = frame_.data() + t.first;
      float sum = 0;
      for (i32 k = 0; k < t.count; ++k) sum += w[k] * power[k];
      *out++ = std::log(std::max(sum, 1e-8f));
    }
  }

  i32 window_;
  i32 hop_;
  i32 bands_;
  float emphasis_;
  real_fft fft_;
  std::vector<float> hann_;
  std::vector<triangle> triangles_;
  std::vector<float> weights_;
  std::vector<float>
      frame_;  // the windowed frame, then its power: size / 2 + 1 <= size for 2 and up
  std::vector<std::complex<float>> spectrum_;
};

/// Features with their slopes over time behind them, frame by frame: `width` of the first, `width`
/// of the second. The slope at t is the line through t - reach to t + reach by least squares;
/// before the first and behind the last frame these repeat.
inline std::vector<float> with_deltas(std::span<const float> features, i32 width, i32 reach = 2) {
  if (width < 1 || reach < 1 || features.size() % static_cast<std::size_t>(width) != 0) {
    throw error("with_deltas: expected frames of " + std::to_string(width) +
                " values and a reach of at least 1, got " + std::to_string(features.size()) +
                " values and a reach of " + std::to_string(reach));
  }
  const i64 frames = static_cast<i64>(features.size()) / width;
  float squares = 0;
  for (i32 n = 1; n <= reach; ++n) squares += 2.0f * static_cast<float>(n * n);
  std::vector<float> both;
  both.reserve(2 * features.size());
  for (i64 t = 0; t < frames; ++t) {
    const auto at = [&](i64 frame, i32 k) {
      return features[static_cast<std::size_t>(std::clamp<i64>(frame, 0, frames - 1) * width + k)];
    };
    for (i32 k = 0; k < width; ++k) both.push_back(at(t, k));
    for (i32 k = 0; k < width; ++k) {
      float slope = 0;
      for (i32 n = 1; n <= reach; ++n) {
        slope += static_cast<float>(n) * (at(t + n, k) - at(t - n, k));
      }
      both.push_back(slope / squares);
    }
  }
  return both;
}

}  // namespace tessera::data
