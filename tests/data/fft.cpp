#include <tessera/data/fft.hpp>

#include <tessera/core/random.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

/// The sum of the definition, in double.
std::complex<double> direct(const std::vector<float>& x, std::size_t k) {
  std::complex<double> sum = 0;
  const auto size = static_cast<double>(x.size());
  for (std::size_t n = 0; n < x.size(); ++n) {
    const double turns = static_cast<double>(k * n % x.size()) / size;
    sum += static_cast<double>(x[n]) * std::polar(1.0, -2 * std::numbers::pi * turns);
  }
  return sum;
}

}  // namespace

TEST_CASE("a transform is the sum of its definition", "[data]") {
  random_stream random(3);
  for (i32 size = 2; size <= 1024; size *= 2) {
    CAPTURE(size);
    const data::real_fft fft(size);
    REQUIRE(fft.bins() == size / 2 + 1);
    std::vector<float> x(static_cast<std::size_t>(size));
    double energy = 0;
    for (float& v : x) {
      v = random.next_normal();
      energy += double{v} * v;
    }
    std::vector<std::complex<float>> spectrum(static_cast<std::size_t>(fft.bins()));
    fft.transform(x, spectrum);
    double power = 0;
    for (std::size_t k = 0; k < spectrum.size(); ++k) {
      const std::complex<double> expected = direct(x, k);
      const std::complex<double> found = spectrum[k];
      // Rounding: a few units of 2^-24 in each of log2(size) levels of the root of the energy.
      CHECK(std::abs(found - expected) < 1e-6 * std::sqrt(energy * size));
      power += (k == 0 || k + 1 == spectrum.size() ? 1 : 2) * std::norm(found);
    }
    CHECK(power == Approx(energy * size).epsilon(1e-5));  // Parseval
  }
}

TEST_CASE("an impulse has a flat spectrum, a wave has one line", "[data]") {
  const data::real_fft fft(16);
  std::vector<float> x(16);
  std::vector<std::complex<float>> spectrum(9);
  x[0] = 1;
  fft.transform(x, spectrum);
  for (const auto& value : spectrum) CHECK(std::abs(value - 1.0f) < 1e-6f);
  for (std::size_t n = 0; n < 16; ++n) {
    x[n] = static_cast<float>(std::cos(2 * std::numbers::pi * 3 * static_cast<double>(n) / 16));
  }
  fft.transform(x, spectrum);
  for (std::size_t k = 0; k < 9; ++k) {
    CHECK(std::abs(spectrum[k] - (k == 3 ? 8.0f : 0.0f)) < 1e-5f);
  }
}

TEST_CASE("sizes that are no power of two are refused", "[data]") {
  for (const i32 size : {-4, 0, 1, 3, 12, 1 << 21}) {
    CHECK(error_of([&] { data::real_fft{size}; }) ==
          "real_fft: expected a power of two from 2 to 1048576, got " + std::to_string(size));
  }
}
