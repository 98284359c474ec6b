#include <tessera/data/mel.hpp>

#include <tessera/core/random.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<float> wave(double hertz, std::size_t samples, double loud = 0.5) {
  std::vector<float> x(samples);
  for (std::size_t n = 0; n < samples; ++n) {
    x[n] = static_cast<float>(
        loud * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(n) / 8000));
  }
  return x;
}

/// The features of one frame by the formulas, in double, with the DFT as a sum.
std::vector<double> by_formula(const std::vector<float>& x, const data::log_mel_options& o,
                               std::size_t window, std::size_t transform) {
  std::vector<double> frame(window);
  for (std::size_t n = 0; n < window; ++n) {
    const double hann =
        0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(n) / double(window));
    frame[n] = (x[n] - o.pre_emphasis * x[n > 0 ? n - 1 : 0]) * hann;
  }
  std::vector<double> power;
  for (std::size_t k = 0; k <= transform / 2; ++k) {
    std::complex<double> sum = 0;
    for (std::size_t n = 0; n < window; ++n) {
      sum += frame[n] * std::polar(1.0, -2 * std::numbers::pi * double(n * k) / double(transform));
    }
    power.push_back(std::norm(sum));
  }
  const auto mel = [](double f) { return 1127.0104803 * std::log1p(f / 700); };  // 2595 / ln 10
  const double low = mel(o.lowest);
  const double high = mel(o.rate / 2.0);
  std::vector<double> bands;
  for (int b = 0; b < o.bands; ++b) {
    const auto edge = [&](int i) { return low + (high - low) * i / (o.bands + 1); };
    double sum = 0;
    for (std::size_t k = 0; k < power.size(); ++k) {
      const double m = mel(double(k) * o.rate / double(transform));
      const double up = (m - edge(b)) / (edge(b + 1) - edge(b));
      const double down = (edge(b + 2) - m) / (edge(b + 2) - edge(b + 1));
      sum += std::max(0.0, std::min(up, down)) * power[k];
    }
    bands.push_back(std::log(std::max(sum, 1e-8)));
  }
  return bands;
}

std::string refusal(const data::log_mel_options& options) {
  return error_of([&] { data::log_mel{options}; });
}

}  // namespace

TEST_CASE("1000 hertz are 1000 mel", "[data]") {
  CHECK(data::to_mel(1000) == Approx(1000).epsilon(2e-5));
  CHECK(data::to_mel(0) == 0);
  for (const double f : {20.0, 440.0, 3999.0}) {
    CHECK(data::from_mel(data::to_mel(f)) == Approx(f));
  }
}

TEST_CASE("features are those of the formulas", "[data]") {
  random_stream random(5);
  for (const double emphasis : {0.0, 0.97}) {
    const data::log_mel_options options{.bands = 23, .lowest = 60, .pre_emphasis = emphasis};
    data::log_mel features(options);
    REQUIRE(features.window() == 200);
    REQUIRE(features.hop() == 80);
    std::vector<float> x = wave(700, 360);
    for (float& v : x) v += 0.1f * random.next_normal();
    REQUIRE(features.frames(360) == 3);
    std::vector<float> found(3 * 23);
    features.compute(x, found.data());
    for (std::size_t f = 0; f < 3; ++f) {
      const std::vector<float> frame(x.begin() + static_cast<std::ptrdiff_t>(f * 80), x.end());
      const std::vector<double> expected = by_formula(frame, options, 200, 256);
      for (std::size_t b = 0; b < 23; ++b) {
        CHECK(found[f * 23 + b] == Approx(expected[b]).margin(2e-3));
      }
    }
  }
}

TEST_CASE("between the tops of the outer bands all weights of a frequency add up to 1", "[data]") {
  const data::log_mel features({});
  for (i32 bin = 0; bin <= 128; ++bin) {
    float sum = 0;
    for (i32 band = 0; band < features.bands(); ++band) sum += features.weight(band, bin);
    const double mel = data::to_mel(bin * 8000 / 256.0);
    const double spacing = (data::to_mel(4000) - data::to_mel(20)) / 41;
    const bool inside = mel >= data::to_mel(20) + spacing && mel <= data::to_mel(4000) - spacing;
    CAPTURE(bin);
    if (inside) CHECK(sum == Approx(1).epsilon(1e-5));
    CHECK(sum <= 1.00001f);
  }
}

TEST_CASE("a wave is loudest in the band that it lies in, twice as loud is log 4 more", "[data]") {
  data::log_mel features({.pre_emphasis = 0});
  std::vector<float> once(40), twice(40);
  for (const double hertz : {300.0, 1000.0, 3000.0}) {
    features.compute(wave(hertz, 200, 0.25), once.data());
    features.compute(wave(hertz, 200, 0.5), twice.data());
    const auto top = std::max_element(once.begin(), once.end()) - once.begin();
    const double spacing = (data::to_mel(4000) - data::to_mel(20)) / 41;
    const double expected = (data::to_mel(hertz) - data::to_mel(20)) / spacing - 1;
    CHECK(std::abs(static_cast<double>(top) - expected) <= 1.0);
    const auto at = static_cast<std::size_t>(top);
    CHECK(twice[at] - once[at] == Approx(std::log(4.0)).epsilon(1e-4));
  }
}

TEST_CASE("silence is finite, a short sound is one frame, none is none", "[data]") {
  data::log_mel features({.bands = 10});
  std::vector<float> out(10, 7.0f);
  features.compute(std::vector<float>(200), out.data());
  for (const float v : out) CHECK(v == Approx(std::log(1e-8)));
  CHECK(features.frames(0) == 0);
  CHECK(features.frames(1) == 1);
  CHECK(features.frames(200) == 1);
  CHECK(features.frames(279) == 1);
  CHECK(features.frames(280) == 2);
  features.compute({}, out.data());
  // A sound of one sample is that sample with zeros behind: under the window's first value, 0.
  features.compute(std::vector<float>{1.0f}, out.data());
  for (const float v : out) CHECK(v == Approx(std::log(1e-8)));
  data::log_mel plain({.bands = 10, .pre_emphasis = 0});
  std::vector<float> beginning = wave(500, 120);
  plain.compute(beginning, out.data());
  beginning.resize(200);
  std::vector<float> filled(10);
  plain.compute(beginning, filled.data());
  CHECK(out == filled);
}

TEST_CASE("options that make no features are refused", "[data]") {
  CHECK(refusal({.hop_seconds = 0}) ==
        "log_mel: expected a window and a hop of 1 to 1048576 samples, got 0.000000");
  CHECK(refusal({.rate = -8000}) ==
        "log_mel: expected a window and a hop of 1 to 1048576 samples, got -200.000000");
  CHECK(refusal({.transform = 128}) ==
        "log_mel: expected a transform of at least the window's 200 samples, got 128");
  CHECK(refusal({.transform = 300}) ==
        "real_fft: expected a power of two from 2 to 1048576, got 300");
  CHECK(refusal({.bands = 0}) ==
        "log_mel: expected bands within 0 to 4000 Hz, got 0 from 20.000000 to 4000.000000");
  CHECK(refusal({.highest = 5000}) ==
        "log_mel: expected bands within 0 to 4000 Hz, got 40 from 20.000000 to 5000.000000");
  CHECK(refusal({.lowest = 4000}) ==
        "log_mel: expected bands within 0 to 4000 Hz, got 40 from 4000.000000 to 4000.000000");
  CHECK(refusal({.bands = 200}) ==
        "log_mel: no frequency of the transform lies in band 2; use fewer bands or a longer "
        "transform");
  CHECK(refusal({.pre_emphasis = 1.5}) ==
        "log_mel: expected a pre-emphasis of 0 to 1, got 1.500000");
}

TEST_CASE("slopes stand behind the features", "[data]") {
  // Two features: 3 t and a constant.
  std::vector<float> features;
  for (int t = 0; t < 7; ++t) {
    features.push_back(static_cast<float>(3 * t));
    features.push_back(5);
  }
  const std::vector<float> both = data::with_deltas(features, 2);
  REQUIRE(both.size() == 28);
  for (std::size_t t = 0; t < 7; ++t) {
    CHECK(both[4 * t] == features[2 * t]);
    CHECK(both[4 * t + 1] == 5);
    CHECK(both[4 * t + 3] == 0);
    if (t >= 2 && t < 5) CHECK(both[4 * t + 2] == Approx(3));
  }
  // At the edge frames repeat: (1 (3 - 0) + 2 (6 - 0)) / 10.
  CHECK(both[2] == Approx(1.5));
  CHECK(both[26] == Approx(1.5));
  CHECK(data::with_deltas({}, 3).empty());
  CHECK(error_of([&] { data::with_deltas(features, 3); }) ==
        "with_deltas: expected frames of 3 values and a reach of at least 1, got 14 values and a "
        "reach of 2");
}
