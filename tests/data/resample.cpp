#include <tessera/data/resample.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<float> wave(double hertz, double rate, std::size_t samples) {
  std::vector<float> x(samples);
  for (std::size_t n = 0; n < samples; ++n) {
    x[n] =
        static_cast<float>(std::sin(2 * std::numbers::pi * hertz * static_cast<double>(n) / rate));
  }
  return x;
}

/// The largest difference, or value of one, away from the edges.
float most_off(const std::vector<float>& a, const std::vector<float>& b, std::size_t edge) {
  float most = 0;
  for (std::size_t i = edge; i + edge < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(a[i] - b[i]));
  }
  return most;
}

}  // namespace

TEST_CASE("a wave keeps its frequency and loudness at another rate", "[data]") {
  for (const auto& [from, to] :
       {std::pair{8000, 16000}, {16000, 8000}, {44100, 8000}, {8000, 11025}, {48000, 44100}}) {
    CAPTURE(from, to);
    for (const double hertz : {100.0, 1000.0, 3000.0}) {
      const auto count = static_cast<std::size_t>(from) / 10;
      const std::vector<float> y = data::resample(wave(hertz, from, count), from, to);
      CHECK(y.size() ==
            (count * static_cast<std::size_t>(to) + static_cast<std::size_t>(from) - 1) /
                static_cast<std::size_t>(from));
      CHECK(most_off(y, wave(hertz, to, y.size()), y.size() / 6) < 4e-3f);
    }
  }
}

TEST_CASE("what the lower rate cannot hold is taken out", "[data]") {
  const std::vector<float> y = data::resample(wave(6000, 16000, 3200), 16000, 8000);
  CHECK(most_off(y, std::vector<float>(y.size()), 100) < 4e-3f);
}

TEST_CASE("a constant stays one, the same rate is the same sound, nothing is nothing", "[data]") {
  const std::vector<float> one(500, 0.75f);
  for (const float v : data::resample(one, 8000, 8000)) CHECK(v == 0.75f);
  const std::vector<float> y = data::resample(one, 7000, 8000);
  CHECK(most_off(y, std::vector<float>(y.size(), 0.75f), 60) < 1e-5f);
  CHECK(data::resample({}, 8000, 16000).empty());
  CHECK(data::resample(std::vector<float>{1.0f}, 8000, 16000).size() == 2);
  CHECK(data::resample(std::vector<float>{1.0f}, 16000, 8000).size() == 1);
}

TEST_CASE("rates that are none are refused", "[data]") {
  CHECK(error_of([] { data::resample({}, 0, 8000); }) ==
        "resample: expected rates of 1 to 1000000, got 0 and 8000");
  CHECK(error_of([] { data::resample({}, 8000, 2'000'000); }) ==
        "resample: expected rates of 1 to 1000000, got 8000 and 2000000");
}
