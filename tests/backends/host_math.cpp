#include <tessera/backends/host/math.hpp>

#include <tessera/backends/host/stream_math.hpp>

#include "host_support.hpp"

// exp, tanh and sigmoid against double precision, over all floats in steps of a prime number of
// representations, and at the ends of their ranges. Stated errors, measured with a step of 97 on
// AVX2: exp 1.03, tanh 1.98, sigmoid 1.47 units of the last place, log 1.76; without fused
// multiply-adds tanh 2.04, sigmoid 2.14.

using namespace tessera;
using namespace tessera::testing;
namespace simd = tessera::host::simd;

namespace {

/// The largest error in units of the last place of the right float; 1e9 where a special value is
/// wrong.
template <class Function, class Wanted>
double worst_error(Function f, Wanted wanted) {
  constexpr u64 step = 997;
  double worst = 0;
  for (u64 first = 0; first < (u64{1} << 32); first += step * simd::lanes) {
    float x[simd::lanes];
    float y[simd::lanes];
    for (i32 i = 0; i < simd::lanes; ++i) {
      x[i] = std::bit_cast<float>(static_cast<u32>(first + step * static_cast<u64>(i)));
    }
    simd::store(y, f(simd::load(x)));
    for (i32 i = 0; i < simd::lanes; ++i) {
      const double exact = wanted(static_cast<double>(x[i]));
      const float nearest = static_cast<float>(exact);
      if (std::isnan(nearest)) {
        if (!std::isnan(y[i])) return 1e9;
        continue;
      }
      if (std::isinf(nearest) || std::isinf(y[i])) {
        if (y[i] != nearest) return 1e9;
        continue;
      }
      const float size = std::abs(nearest);
      const double unit =
          static_cast<double>(std::nextafter(size, HUGE_VALF)) - static_cast<double>(size);
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / unit);
    }
  }
  return worst;
}

float first_of(simd::vec x) {
  float all[simd::lanes];
  simd::store(all, x);
  return all[0];
}

}  // namespace

TEST_CASE("exp, tanh and sigmoid are within 2 units of the last place everywhere",
          "[backends][host]") {
  CHECK(worst_error([](simd::vec x) { return host::exp(x); },
                    [](double x) { return std::exp(x); }) < 1.1);
  CHECK(worst_error([](simd::vec x) { return host::tanh(x); },
                    [](double x) { return std::tanh(x); }) < 2.05);
  CHECK(worst_error([](simd::vec x) { return host::sigmoid(x); },
                    [](double x) { return 1 / (1 + std::exp(-x)); }) < 2);
}

TEST_CASE("log is within 2 units of the last place for normal numbers above 0",
          "[backends][host]") {
  const auto log_or_0 = [](simd::vec x) {
    const simd::vec one = simd::set(1.0f);
    const simd::vec above = simd::select(x < simd::set(0x1p-126f), one, x);
    return host::log(simd::select(above < simd::set(HUGE_VALF), above, one));
  };
  const auto wanted = [](double x) { return x >= 0x1p-126 && x < HUGE_VAL ? std::log(x) : 0.0; };
  CHECK(worst_error(log_or_0, wanted) < 1.8);
  CHECK(first_of(host::log(simd::set(1.0f))) == 0);
}

TEST_CASE("exp, tanh and sigmoid reach their limits", "[backends][host]") {
  const float infinity = HUGE_VALF;
  CHECK(first_of(host::exp(simd::set(infinity))) == infinity);
  CHECK(first_of(host::exp(simd::set(-infinity))) == 0);
  CHECK(first_of(host::exp(simd::set(0.0f))) == 1);
  CHECK(first_of(host::exp(simd::set(88.7228f))) == Approx(3.4027e38).epsilon(1e-4));
  CHECK(first_of(host::exp(simd::set(88.7229f))) == infinity);
  CHECK(first_of(host::tanh(simd::set(infinity))) == 1);
  CHECK(first_of(host::tanh(simd::set(-infinity))) == -1);
  CHECK(std::signbit(first_of(host::tanh(simd::set(-0.0f)))));
  CHECK(first_of(host::sigmoid(simd::set(infinity))) == 1);
  CHECK(first_of(host::sigmoid(simd::set(-infinity))) == 0);
  CHECK(first_of(host::sigmoid(simd::set(0.0f))) == 0.5f);
}

TEST_CASE("the functions of streams are as exact as they say", "[backends][host]") {
  // Sigmoids below -86.6 stay where they are.
  const auto bounded = [](simd::vec x) { return simd::larger(simd::set(-86.0f), x); };
  const auto wanted_sigmoid = [](double x) { return 1 / (1 + std::exp(-(x < -86 ? -86 : x))); };
  const auto wanted_tanh = [](double x) { return std::tanh(x); };
  const simd::mask gates = simd::zero() < simd::set(1.0f);
  const simd::mask none = simd::set(1.0f) < simd::zero();
  const auto check = [&]<class Math>(Math, double tanh, double sigmoid, double mixed) {
    const simd::vec before = simd::set(Math::before_sigmoid);
    CHECK(worst_error([](simd::vec x) { return Math::tanh(x); }, wanted_tanh) < tanh);
    CHECK(worst_error([&](simd::vec x) { return Math::sigmoid(bounded(x) * before); },
                      wanted_sigmoid) < sigmoid);
    CHECK(worst_error([&](simd::vec x) { return Math::mixed(x, none); }, wanted_tanh) < mixed);
    CHECK(worst_error([&](simd::vec x) { return Math::mixed(bounded(x) * before, gates); },
                      wanted_sigmoid) < sigmoid);
  };
  const double tanh = simd::tables_are_registers ? 1.9 : 2;  // elsewhere it is host::tanh
  check(host::accurate_math{}, tanh, 2.02, tanh);
  check(host::quick_math{}, 2.5, 4.5, 7);
  CHECK(first_of(host::accurate_math::tanh(simd::set(HUGE_VALF))) == 1);
  CHECK(first_of(host::accurate_math::sigmoid(simd::set(HUGE_VALF))) == 1);
}
