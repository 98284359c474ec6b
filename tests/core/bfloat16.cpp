#include <tessera/core/bfloat16.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

using namespace tessera;

namespace {

float from_bits(u32 bits) { return std::bit_cast<float>(bits); }

// The value by its definition, in double.
double value_of(u32 bits) {
  const i32 exponent = static_cast<i32>((bits >> 7) & 255);
  const double mantissa = bits & 127;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128.0 + mantissa, exponent - 134);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// Nearest by distance in double: 8 significant bits, or multiples of 2^-133 where those are
// coarser. nearbyint rounds ties to even in the default mode.
double nearest_value(float x) {
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude == 0) return x;
  const i32 unit = std::max(std::ilogb(magnitude) - 7, -133);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(magnitude, -unit)), unit);
  const double limited = rounded >= 0x1p128 ? std::numeric_limits<double>::infinity() : rounded;
  return std::copysign(limited, static_cast<double>(x));
}

double truncated_value(float x) {
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude == 0) return x;
  const i32 unit = std::max(std::ilogb(magnitude) - 7, -133);
  return std::copysign(std::ldexp(std::floor(std::ldexp(magnitude, -unit)), unit),
                       static_cast<double>(x));
}

struct xorshift {
  u32 state = 88675123u;

  u32 operator()() {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
  }
};

bool same(bfloat16 got, double expected) {
  const double value = static_cast<double>(to_float(got));
  return value == expected && std::signbit(value) == std::signbit(expected);
}

}  // namespace

TEST_CASE("known bfloat16 numbers convert in constant expressions", "[core]") {
  STATIC_REQUIRE(sizeof(bfloat16) == 2);
  STATIC_REQUIRE(to_bfloat16(1.0f) == bfloat16{0x3f80});
  STATIC_REQUIRE(to_bfloat16(-0.0f) == bfloat16{0x8000});
  STATIC_REQUIRE(to_bfloat16(1.0f / 3.0f) == bfloat16{0x3eab});
  STATIC_REQUIRE(to_bfloat16_toward_zero(1.0f / 3.0f) == bfloat16{0x3eaa});
  STATIC_REQUIRE(to_bfloat16(1.0f + 0x1p-8f) == bfloat16{0x3f80});  // tie, to even below
  STATIC_REQUIRE(to_bfloat16(1.0f + 0x3p-8f) == bfloat16{0x3f82});  // tie, to even above
  STATIC_REQUIRE(to_bfloat16(0x1.ffp0f) == bfloat16{0x4000});       // tie that carries into 2
  STATIC_REQUIRE(to_bfloat16(std::numeric_limits<float>::max()) == bfloat16{0x7f80});
  STATIC_REQUIRE(to_bfloat16_toward_zero(std::numeric_limits<float>::max()) == bfloat16{0x7f7f});
  STATIC_REQUIRE(to_bfloat16(0x1p-133f) == bfloat16{0x0001});
  STATIC_REQUIRE(to_bfloat16(0x1p-134f) == bfloat16{0x0000});
  STATIC_REQUIRE(to_float(bfloat16{0x3eab}) == 0.333984375f);
  STATIC_REQUIRE(to_float(bfloat16{0x0001}) == 0x1p-133f);
}

TEST_CASE("every bfloat16 has the value its bits define and comes back from it", "[core]") {
  i32 wrong_values = 0;
  i32 wrong_trips = 0;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 x{static_cast<u16>(bits)};
    if (!is_finite(x)) continue;
    wrong_values += !same(x, value_of(bits));
    wrong_trips += to_bfloat16(to_float(x)) != x;
    wrong_trips += to_bfloat16_toward_zero(to_float(x)) != x;
    wrong_trips += to_bfloat16_stochastic(to_float(x), 0xffffffff) != x;
  }
  CHECK(wrong_values == 0);
  CHECK(wrong_trips == 0);
}

TEST_CASE("bfloat16 infinities stay and every NaN stays NaN and comes out quiet", "[core]") {
  for (const u32 sign : {0u, 0x8000u}) {
    const bfloat16 infinity{static_cast<u16>(sign | 0x7f80)};
    CHECK(std::isinf(to_float(infinity)));
    CHECK(to_bfloat16(to_float(infinity)) == infinity);
    CHECK(to_bfloat16_toward_zero(to_float(infinity)) == infinity);
    CHECK(to_bfloat16_stochastic(to_float(infinity), 0xffff) == infinity);
    i32 wrong = 0;
    for (u32 payload = 1; payload < 128; ++payload) {
      const bfloat16 x{static_cast<u16>(infinity.bits | payload)};
      wrong += !std::isnan(to_float(x));
      wrong += to_bfloat16(to_float(x)).bits != (x.bits | 0x40);
    }
    CHECK(wrong == 0);
  }
  // Payloads that fall away or would carry past infinity.
  CHECK(to_bfloat16(from_bits(0x7f800001)) == bfloat16{0x7fc0});
  CHECK(to_bfloat16(from_bits(0x7fffffff)) == bfloat16{0x7fff});
  CHECK(to_bfloat16_toward_zero(from_bits(0xff800001)) == bfloat16{0xffc0});
  CHECK(to_bfloat16_stochastic(from_bits(0xffffffff), 0xffff) == bfloat16{0xffff});
}

TEST_CASE("bfloat16 rounding agrees with rounding in double", "[core]") {
  // All upper halves with the low halves around carries and ties, then random ones.
  const u32 low_parts[] = {0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff};
  i64 wrong_nearest = 0;
  i64 wrong_truncated = 0;
  u32 example = 0;
  auto check = [&](u32 bits) {
    const float x = from_bits(bits);
    if (!std::isfinite(x)) return;
    if (!same(to_bfloat16(x), nearest_value(x))) ++wrong_nearest, example = bits;
    if (!same(to_bfloat16_toward_zero(x), truncated_value(x))) ++wrong_truncated, example = bits;
  };
  for (u32 high = 0; high < 0x10000; ++high)
    for (const u32 low : low_parts) check(high << 16 | low);
  xorshift random;
  for (i32 i = 0; i < 1'000'000; ++i) check(random());
  CAPTURE(example);
  CHECK(wrong_nearest == 0);
  CHECK(wrong_truncated == 0);
}

TEST_CASE("stochastic bfloat16 rounding goes up for the dropped share of all draws", "[core]") {
  for (const u32 bits : {0x3f801234u, 0xc0490fdbu, 0x00008001u, 0x7f7fffffu, 0x3f800000u}) {
    u32 ups = 0;
    u32 downs = 0;
    for (u32 low = 0; low < 0x10000; ++low) {
      const bfloat16 y = to_bfloat16_stochastic(from_bits(bits), 0x5a5a0000 | low);
      ups += y.bits == (bits >> 16) + 1;
      downs += y.bits == bits >> 16;
    }
    CHECK(ups == (bits & 0xffff));
    CHECK(ups + downs == 0x10000);
  }
}

TEST_CASE("bfloat16 numbers know whether they are finite, infinite or NaN", "[core]") {
  i32 finite = 0;
  i32 infinite = 0;
  i32 nan = 0;
  i32 wrong = 0;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 x{static_cast<u16>(bits)};
    finite += is_finite(x);
    infinite += is_infinite(x);
    nan += is_nan(x);
    wrong += is_nan(x) != std::isnan(to_float(x));
    wrong += is_infinite(x) != std::isinf(to_float(x));
  }
  CHECK(wrong == 0);
  CHECK(finite == 65536 - 256);
  CHECK(infinite == 2);
  CHECK(nan == 2 * 127);
}

TEST_CASE("bfloat16 numbers saturate and flush, keeping their signs", "[core]") {
  STATIC_REQUIRE(saturated(bfloat16{0x7f80}) == bfloat16{0x7f7f});
  STATIC_REQUIRE(saturated(bfloat16{0xff80}) == bfloat16{0xff7f});
  STATIC_REQUIRE(saturated(bfloat16{0x7fc0}) == bfloat16{0x7fc0});
  STATIC_REQUIRE(flushed(bfloat16{0x807f}) == bfloat16{0x8000});
  STATIC_REQUIRE(flushed(bfloat16{0x0080}) == bfloat16{0x0080});
  i32 subnormal = 0;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 x{static_cast<u16>(bits)};
    subnormal += is_subnormal(x);
    if ((flushed(x) == x) == is_subnormal(x)) FAIL("bits " << bits);
  }
  CHECK(subnormal == 2 * 127);
}
