#include <tessera/core/quantization.hpp>

#include <support/catch.hpp>
#include <cmath>
#include <limits>

namespace {

using namespace tessera;

TEST_CASE("rounding is half away from zero", "[core]") {
  STATIC_REQUIRE(round_half_away(0.5) == 1);
  STATIC_REQUIRE(round_half_away(-0.5) == -1);
  STATIC_REQUIRE(round_half_away(2.5) == 3);
  STATIC_REQUIRE(round_half_away(-2.4999) == -2);
  STATIC_REQUIRE(round_half_away(0.49999999999999994) == 0);  // plus 0.5 would round up to 1
  STATIC_REQUIRE(round_half_away(1e300) == i64{1} << 53);
}

TEST_CASE("what no number stands for becomes an end of the range, NaN the zero point", "[core]") {
  STATIC_REQUIRE(quantize_value(1e30f, 0.5f, 3) == 127);
  STATIC_REQUIRE(quantize_value(-1e30f, 0.5f, 3) == -128);
  CHECK(quantize_value(std::numeric_limits<float>::infinity(), 1, 0) == 127);
  CHECK(quantize_value(std::nanf(""), 1, -5) == -5);
  STATIC_REQUIRE(quantize_wide(1e30, 1) == 2147483647);
  STATIC_REQUIRE(rescale(2147483647, {1 << 30, 8}) == 1 << 30);  // the shift to the left saturates
}

TEST_CASE("an affine rule holds 0 exactly and spans the range", "[core]") {
  STATIC_REQUIRE(choose_affine(-1, 1).zero_point == -1);
  STATIC_REQUIRE(choose_affine(0.5, 2) == choose_affine(0, 2));
  STATIC_REQUIRE(choose_affine(0, 0) == affine{1, 0});
  CHECK(choose_affine(std::nan(""), 1).zero_point == -128);
  for (const double low : {-0.01, -3.0, -100.0}) {
    for (const double high : {0.0, 0.7, 31.0}) {
      const affine a = choose_affine(low, high);
      CHECK(dequantize_value(quantize_value(0, a.scale, a.zero_point), a.scale, a.zero_point) == 0);
      const float back = dequantize_value(
          quantize_value(static_cast<float>(high), a.scale, a.zero_point), a.scale, a.zero_point);
      CHECK(std::abs(static_cast<double>(back) - high) <= static_cast<double>(a.scale));
    }
  }
}

TEST_CASE("multiplier and shift are the factor to 31 bits", "[core]") {
  STATIC_REQUIRE(choose_multiplier(1) == fixed_multiplier{1 << 30, 1});
  STATIC_REQUIRE(choose_multiplier(0.5) == fixed_multiplier{1 << 30, 0});
  STATIC_REQUIRE(choose_multiplier(0.99999999999) == fixed_multiplier{1 << 30, 1});
  STATIC_REQUIRE(choose_multiplier(0) == fixed_multiplier{});
  STATIC_REQUIRE(choose_multiplier(1e-30) == fixed_multiplier{});
  for (double real = 1e-6; real < 1e4; real *= 1.37) {
    const fixed_multiplier m = choose_multiplier(real);
    CHECK(std::abs(std::ldexp(m.multiplier, m.shift - 31) / real - 1) < 1e-9);
    // Two roundings: at most half and what the first leaves, before the shift to the right.
    for (const i32 sum : {0, 1, -1, 77, -12345, 1000003}) {
      const double exact = sum * real;
      if (std::abs(exact) > 2e9) continue;
      const double allowed =
          0.5 + std::ldexp(0.5, m.shift > 0 ? 0 : m.shift) + 1e-6 * std::abs(exact);
      CHECK(std::abs(rescale(sum, m) - exact) <= allowed);
    }
  }
}

TEST_CASE("a power of two rounds once, half away from zero", "[core]") {
  STATIC_REQUIRE(rescale_by_power(5, -1) == 3);
  STATIC_REQUIRE(rescale_by_power(-5, -1) == -3);
  STATIC_REQUIRE(rescale_by_power(-4, -3) == -1);
  STATIC_REQUIRE(rescale_by_power(7, 2) == 28);
  STATIC_REQUIRE(rescale_by_power(-2147483647 - 1, -31) == -1);
  STATIC_REQUIRE(rescale_by_power(1 << 20, 30) == 2147483647);
}

TEST_CASE("the fractional length leaves room for the largest magnitude", "[core]") {
  STATIC_REQUIRE(choose_fractional_length(1.0) == 7);  // and saturates at 127 / 128
  STATIC_REQUIRE(choose_fractional_length(1.001) == 6);
  STATIC_REQUIRE(choose_fractional_length(0.5) == 8);
  STATIC_REQUIRE(choose_fractional_length(-100.0) == 0);
  STATIC_REQUIRE(choose_fractional_length(0) == 7);
  STATIC_REQUIRE(fixed_point_scale(6) == 0.015625f);
  STATIC_REQUIRE(fixed_point_scale(-3) == 8);
}

}  // namespace
