#include <tessera/core/half.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

using namespace tessera;

namespace {

float from_bits(u32 bits) { return std::bit_cast<float>(bits); }

half negative(half x) { return half{static_cast<u16>(x.bits | 0x8000)}; }

// The value by its definition, in double.
double value_of(u32 half_bits) {
  const i32 exponent = static_cast<i32>((half_bits >> 10) & 31);
  const double mantissa = half_bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
  return (half_bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// All finite magnitudes in order; the last entry, 65536, is where infinity's bits come in line.
const std::vector<double>& magnitudes() {
  static const std::vector<double> table = [] {
    std::vector<double> t;
    for (u32 bits = 0; bits <= 0x7c00; ++bits) t.push_back(value_of(bits));
    return t;
  }();
  return table;
}

// The two neighbours of a magnitude, found by search; `above` is 0 where it is a half itself.
struct bracket {
  u32 low;       // bits of the largest half not above
  double above;  // distance from it
  double gap;    // distance between the neighbours
};

bracket find_bracket(double magnitude) {
  const std::vector<double>& table = magnitudes();
  const auto next = std::upper_bound(table.begin(), table.end() - 1, magnitude);
  return {static_cast<u32>(next - table.begin()) - 1, magnitude - next[-1], *next - next[-1]};
}

half with_sign_of(float x, u32 magnitude) {
  return half{static_cast<u16>(magnitude | (std::signbit(x) ? 0x8000u : 0u))};
}

half nearest_by_search(float x) {
  if (std::isnan(x)) {
    const u32 payload = (std::bit_cast<u32>(x) >> 13) & 0x1ff;
    return with_sign_of(x, 0x7e00 | payload);
  }
  if (std::fabs(x) >= 65536.0f) return with_sign_of(x, 0x7c00);
  const bracket b = find_bracket(std::fabs(static_cast<double>(x)));
  const bool up = b.above * 2 > b.gap || (b.above * 2 == b.gap && b.low % 2 == 1);
  return with_sign_of(x, b.low + (up ? 1 : 0));
}

half toward_zero_by_search(float x) {
  if (std::isnan(x)) return nearest_by_search(x);
  if (std::isinf(x)) return with_sign_of(x, 0x7c00);
  if (std::fabs(x) >= 65536.0f) return with_sign_of(x, 0x7bff);
  return with_sign_of(x, find_bracket(std::fabs(static_cast<double>(x))).low);
}

// A fixed sequence of bit patterns that shares nothing with core/random.hpp (Marsaglia 2003).
struct xorshift {
  u32 state = 2463534242u;

  u32 operator()() {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
  }
};

// Around every half and every midpoint between two: the value itself and the floats beside it.
std::vector<float> carry_cases() {
  std::vector<float> cases;
  for (u32 bits = 0; bits < 0x7c00; ++bits) {
    const double low = magnitudes()[bits];
    const double middle = (low + magnitudes()[bits + 1]) / 2;
    for (const double value : {low, middle}) {
      const float x = static_cast<float>(value);
      cases.push_back(x);
      cases.push_back(std::nextafter(x, 1e9f));
      if (x > 0) cases.push_back(std::nextafter(x, 0.0f));
    }
  }
  for (const float x : {65520.0f, std::nextafter(65520.0f, 0.0f), 65535.996f, 65536.0f, 1e30f,
                        std::numeric_limits<float>::max(), std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::denorm_min(), 0.0f})
    cases.push_back(x);
  return cases;
}

// Counts, so that millions of comparisons cost one assertion; remembers one that failed.
struct tally {
  i64 wrong = 0;
  u32 example = 0;

  void check(bool right, u32 input) {
    if (right) return;
    ++wrong;
    example = input;
  }
};

}  // namespace

TEST_CASE("a half is two bytes and can be a template argument", "[core]") {
  STATIC_REQUIRE(sizeof(half) == 2);
  STATIC_REQUIRE(std::is_trivially_copyable_v<half>);
  STATIC_REQUIRE(std::is_same_v<std::integral_constant<half, half{0x3c00}>::value_type, half>);
}

TEST_CASE("known halves convert in constant expressions", "[core]") {
  STATIC_REQUIRE(to_half(0.0f) == half{0x0000});
  STATIC_REQUIRE(to_half(-0.0f) == half{0x8000});
  STATIC_REQUIRE(to_half(1.0f) == half{0x3c00});
  STATIC_REQUIRE(to_half(-2.0f) == half{0xc000});
  STATIC_REQUIRE(to_half(1.0f / 3.0f) == half{0x3555});
  STATIC_REQUIRE(to_half(65504.0f) == half{0x7bff});
  STATIC_REQUIRE(to_half(65519.996f) == half{0x7bff});
  STATIC_REQUIRE(to_half(65520.0f) == half{0x7c00});
  STATIC_REQUIRE(to_half(0x1p-14f) == half{0x0400});
  STATIC_REQUIRE(to_half(0x1p-24f) == half{0x0001});
  STATIC_REQUIRE(to_half(0x1p-25f) == half{0x0000});
  STATIC_REQUIRE(to_half(0x1.000002p-25f) == half{0x0001});
  STATIC_REQUIRE(to_half(1.0f + 0x1p-11f) == half{0x3c00});  // tie, to even below
  STATIC_REQUIRE(to_half(1.0f + 0x3p-11f) == half{0x3c02});  // tie, to even above
  STATIC_REQUIRE(to_half(0x1.ff8p-15f) == half{0x03ff});     // the largest subnormal
  STATIC_REQUIRE(to_half(0x1.ffcp-15f) == half{0x0400});     // tie that carries into normals
  STATIC_REQUIRE(to_half(1e-45f) == half{0x0000});

  STATIC_REQUIRE(to_half_toward_zero(1.0f / 3.0f) == half{0x3555});
  STATIC_REQUIRE(to_half_toward_zero(2.0f / 3.0f) == half{0x3955});
  STATIC_REQUIRE(to_half(2.0f / 3.0f) == half{0x3955});
  STATIC_REQUIRE(to_half_toward_zero(-1e30f) == half{0xfbff});
  STATIC_REQUIRE(to_half_toward_zero(0x1.fffffep-24f) == half{0x0001});

  STATIC_REQUIRE(to_float(half{0x3555}) == 0.333251953125f);
  STATIC_REQUIRE(to_float(half{0x0001}) == 0x1p-24f);
  STATIC_REQUIRE(to_float(half{0x03ff}) == 0x3ffp-24f);
  STATIC_REQUIRE(to_float(half{0xfbff}) == -65504.0f);
  STATIC_REQUIRE(to_float(half{0x7c00}) == std::numeric_limits<float>::infinity());
}

TEST_CASE("every half has the value its bits define and comes back from it", "[core]") {
  tally values;
  tally trips;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const half x{static_cast<u16>(bits)};
    if (!is_finite(x)) continue;
    values.check(static_cast<double>(to_float(x)) == value_of(bits), bits);
    values.check(static_cast<double>(portable::to_float(x)) == value_of(bits), bits);
    trips.check(to_half(to_float(x)) == x, bits);
    trips.check(to_half_toward_zero(to_float(x)) == x, bits);
    trips.check(to_half_stochastic_add(to_float(x), 0xffffffff) == x, bits);
    trips.check(to_half_stochastic_compare(to_float(x), 0) == x, bits);
  }
  CAPTURE(values.example, trips.example);
  CHECK(values.wrong == 0);
  CHECK(trips.wrong == 0);
  CHECK(std::bit_cast<u32>(to_float(half{0x8000})) == 0x80000000);
}

TEST_CASE("infinities and every NaN survive the way to float and back", "[core]") {
  for (const u32 sign : {0u, 0x8000u}) {
    const half infinity{static_cast<u16>(sign | 0x7c00)};
    CHECK(std::bit_cast<u32>(to_float(infinity)) == ((sign << 16) | 0x7f800000));
    CHECK(to_half(to_float(infinity)) == infinity);
    CHECK(to_half_toward_zero(to_float(infinity)) == infinity);
    tally wide;
    tally back;
    for (u32 payload = 1; payload < 1024; ++payload) {
      const half x{static_cast<u16>(infinity.bits | payload)};
      const u32 expected = (sign << 16) | 0x7fc00000 | (payload << 13);
      wide.check(std::bit_cast<u32>(to_float(x)) == expected, x.bits);
      wide.check(std::bit_cast<u32>(portable::to_float(x)) == expected, x.bits);
      back.check(to_half(to_float(x)).bits == (x.bits | 0x200), x.bits);
    }
    CHECK(wide.wrong == 0);
    CHECK(back.wrong == 0);
  }
}

TEST_CASE("a signalling NaN never becomes infinite", "[core]") {
  // Only payload bits that fall away are set.
  const float signalling = from_bits(0x7f800001);
  CHECK(to_half(signalling) == half{0x7e00});
  CHECK(portable::to_half(signalling) == half{0x7e00});
  CHECK(to_half_toward_zero(signalling) == half{0x7e00});
  CHECK(to_half_stochastic_add(signalling, 0) == half{0x7e00});
  CHECK(to_half_stochastic_compare(from_bits(0xff802001), 0) == half{0xfe01});
}

TEST_CASE("rounding agrees with a search among the neighbours at every carry", "[core]") {
  tally nearest;
  tally truncated;
  for (const float magnitude : carry_cases())
    for (const float x : {magnitude, -magnitude}) {
      const u32 bits = std::bit_cast<u32>(x);
      const half expected = nearest_by_search(x);
      nearest.check(to_half(x) == expected, bits);
      nearest.check(portable::to_half(x) == expected, bits);
      const half cut = toward_zero_by_search(x);
      truncated.check(to_half_toward_zero(x) == cut, bits);
      truncated.check(portable::to_half_toward_zero(x) == cut, bits);
    }
  CAPTURE(nearest.example, truncated.example);
  CHECK(nearest.wrong == 0);
  CHECK(truncated.wrong == 0);
}

TEST_CASE("rounding agrees with a search for random floats", "[core]") {
  xorshift random;
  tally nearest;
  tally truncated;
  for (i32 i = 0; i < 2'000'000; ++i) {
    u32 bits = random();
    // Three of four in the exponents that halves have, and a little around them.
    if (i % 4 != 0) bits = (bits & 0x807fffff) | ((98 + (random() >> 8) % 48) << 23);
    const float x = from_bits(bits);
    const half expected = nearest_by_search(x);
    nearest.check(to_half(x) == expected, bits);
    nearest.check(portable::to_half(x) == expected, bits);
    truncated.check(to_half_toward_zero(x) == toward_zero_by_search(x), bits);
    truncated.check(portable::to_half_toward_zero(x) == toward_zero_by_search(x), bits);
  }
  CAPTURE(nearest.example, truncated.example);
  CHECK(nearest.wrong == 0);
  CHECK(truncated.wrong == 0);
}

TEST_CASE("stochastic rounding by addition goes up for the dropped share of all draws", "[core]") {
  // 2^13 low parts for a normal, 2^17 for one of exponent -18; each once, under high bits that must
  // not matter.
  for (const auto& [x, draws] : {std::pair{1.0003f, u32{1} << 13},
                                 {-3.14159f, u32{1} << 13},
                                 {65510.0f, u32{1} << 13},
                                 {0x1.2345p-18f, u32{1} << 17}}) {
    const bracket b = find_bracket(std::fabs(static_cast<double>(x)));
    u32 ups = 0;
    u32 downs = 0;
    for (u32 low = 0; low < draws; ++low) {
      const half y = to_half_stochastic_add(x, 0x79a00000 + low);
      if (y == with_sign_of(x, b.low + 1)) ++ups;
      if (y == with_sign_of(x, b.low)) ++downs;
    }
    CHECK(ups == static_cast<u32>(b.above / b.gap * draws));
    CHECK(ups + downs == draws);
  }
}

TEST_CASE("both stochastic rules agree with their definitions in double", "[core]") {
  xorshift random;
  tally added;
  tally compared;
  for (i32 i = 0; i < 1'000'000; ++i) {
    const u32 draw = random();
    // Exponents from the smallest floats to 2^15; every eighth draw is 0 or small.
    const u32 r = i % 16 == 0 ? 0 : (i % 16 == 8 ? draw & 0xff : draw);
    const u32 exponent = i % 3 == 0 ? (random() >> 8) % 143 : 98 + (random() >> 8) % 45;
    const float x = from_bits((random() & 0x807fffff) | (exponent << 23));
    const double magnitude = std::fabs(static_cast<double>(x));
    const bracket b = find_bracket(magnitude);

    const bool up_by_compare = b.above / b.gap > r * 0x1p-32;
    compared.check(
        to_half_stochastic_compare(x, r) == with_sign_of(x, b.low + (up_by_compare ? 1 : 0)),
        std::bit_cast<u32>(x));

    // In units of the float's last place: the gap is 2^shift of them.
    const double unit = std::ldexp(1.0, static_cast<i32>(std::max(exponent, 1u)) - 150);
    const double shift = std::log2(b.gap / unit);
    const double low_part = shift > 31 ? 0 : std::fmod(static_cast<double>(r), b.gap / unit);
    const bool up_by_add = shift <= 31 && b.above / unit + low_part >= b.gap / unit;
    added.check(to_half_stochastic_add(x, r) == with_sign_of(x, b.low + (up_by_add ? 1 : 0)),
                std::bit_cast<u32>(x));
  }
  CAPTURE(added.example, compared.example);
  CHECK(added.wrong == 0);
  CHECK(compared.wrong == 0);
}

TEST_CASE("stochastic rounding overflows where it rounds 65504 up", "[core]") {
  STATIC_REQUIRE(to_half_stochastic_add(65520.0f, 0x0fff) == half{0x7bff});
  STATIC_REQUIRE(to_half_stochastic_add(65520.0f, 0x1000) == half{0x7c00});
  STATIC_REQUIRE(to_half_stochastic_compare(65520.0f, 0x7fffffff) == half{0x7c00});
  STATIC_REQUIRE(to_half_stochastic_compare(65520.0f, 0x80000000) == half{0x7bff});
  STATIC_REQUIRE(to_half_stochastic_add(-65536.0f, 0) == half{0xfc00});
  STATIC_REQUIRE(to_half_stochastic_compare(65536.0f, 0xffffffff) == half{0x7c00});
}

TEST_CASE("stochastic rounding of the smallest floats follows each rule", "[core]") {
  // 2^-149: by comparison up only for 0; by addition never, its shift of 125 is past 31.
  STATIC_REQUIRE(to_half_stochastic_compare(0x1p-149f, 0) == half{1});
  STATIC_REQUIRE(to_half_stochastic_compare(0x1p-149f, 1) == half{0});
  STATIC_REQUIRE(to_half_stochastic_add(0x1p-149f, 0xffffffff) == half{0});
  // 2^-33: shift 32, one more than addition knows.
  STATIC_REQUIRE(to_half_stochastic_add(0x1p-33f, 0xffffffff) == half{0});
  // 2^-32: shift 31; the draw's 31 low bits must reach 2^31 - 2^23.
  STATIC_REQUIRE(to_half_stochastic_add(0x1p-32f, 0x7f800000) == half{1});
  STATIC_REQUIRE(to_half_stochastic_add(0x1p-32f, 0x7f7fffff) == half{0});
}

TEST_CASE("halves know whether they are finite, infinite or NaN", "[core]") {
  STATIC_REQUIRE(is_finite(half{0x7bff}));
  STATIC_REQUIRE(!is_finite(half{0xfc00}));
  STATIC_REQUIRE(!is_finite(half{0x7c01}));
  i32 finite = 0;
  i32 infinite = 0;
  i32 nan = 0;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const half x{static_cast<u16>(bits)};
    finite += is_finite(x);
    infinite += is_infinite(x);
    nan += is_nan(x);
    if (is_nan(x) != std::isnan(to_float(x)) || is_infinite(x) != std::isinf(to_float(x)))
      FAIL("bits " << bits);
  }
  CHECK(finite == 65536 - 2048);
  CHECK(infinite == 2);
  CHECK(nan == 2046);
}

TEST_CASE("equality of halves is equality of their bits", "[core]") {
  STATIC_REQUIRE(half{0x7e00} == half{0x7e00});
  STATIC_REQUIRE(half{0x0000} != half{0x8000});
  CHECK(negative(half{0x3c00}) == to_half(-1.0f));
}

TEST_CASE("halves saturate and flush, keeping their signs", "[core]") {
  STATIC_REQUIRE(saturated(half{0x7c00}) == half{0x7bff});
  STATIC_REQUIRE(saturated(half{0xfc00}) == half{0xfbff});
  STATIC_REQUIRE(flushed(half{0x83ff}) == half{0x8000});
  STATIC_REQUIRE(flushed(half{0x0400}) == half{0x0400});
  i32 subnormal = 0;
  for (u32 bits = 0; bits < 0x10000; ++bits) {
    const half x{static_cast<u16>(bits)};
    const float value = std::fabs(to_float(x));
    const bool small = value > 0 && value < 0x1p-14f;
    subnormal += is_subnormal(x);
    if (is_subnormal(x) != small || (flushed(x) == x) == small ||
        (saturated(x) == x) == is_infinite(x))
      FAIL("bits " << bits);
  }
  CHECK(subnormal == 2 * 1023);
}
