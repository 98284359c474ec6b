// Rounding to 16 bits in every mode against whole-number arithmetic: a sample of all floats at
// every run, all 2^32 of them in the slow tier; and the statistics of rounding by chance.

#include <tessera/core/convert_by_chance.hpp>

#include <support/catch.hpp>

#include <tessera/core/convert.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

using namespace tessera;

namespace {

/// A 16-bit format: its fraction's bits, and the exponent of its smallest number's unit.
struct format {
  i32 fraction;  // explicit bits of the significand
  i32 least;     // the smallest subnormal is 2^least
  u32 infinity;  // its bits
};
constexpr format binary16{10, -24, 0x7c00};
constexpr format brain{7, -133, 0x7f80};

/// A float between two neighbours of a format, all whole numbers: x = (low + part / 2^shift) units.
struct neighbours {
  bool nan = false;
  bool infinite = false;
  u32 sign = 0;
  u32 low = 0;    // bits of the neighbour towards zero, without sign; `infinity` from there on
  u64 part = 0;   // below 2^shift
  i32 shift = 0;  // 0 to 125
};

/// By definition: the unit in the last place of a magnitude in [2^e, 2^(e+1)) is 2^(e - fraction),
/// at least 2^least; bits count those units on through all binades.
neighbours find(u32 bits, const format& f) {
  neighbours n;
  n.sign = bits >> 31 << 15;
  const u32 exponent = (bits >> 23) & 0xff;
  const u32 mantissa = bits & 0x7fffff;
  n.nan = exponent == 255 && mantissa != 0;
  n.infinite = exponent == 255 && mantissa == 0;
  if (exponent == 255) return n;
  const u64 whole = exponent == 0 ? mantissa : mantissa + 0x800000u;  // times 2^place
  const i32 place = (exponent == 0 ? 1 : static_cast<i32>(exponent)) - 150;
  if (whole == 0) return n;
  const i32 top = place + 63 - std::countl_zero(whole);  // 2^top <= x
  const i32 unit = std::max(top - f.fraction, f.least);
  n.shift = std::max(unit - place, 0);
  const u64 count =  // whole units
      unit <= place  ? whole << (place - unit)
      : n.shift < 64 ? whole >> n.shift
                     : 0;
  n.part = n.shift < 64 ? whole & ((u64{1} << n.shift) - 1) : whole;
  // Binade number k, from the subnormal one on, begins at bits k 2^fraction.
  const u64 binade = count >= (u64{1} << f.fraction) ? static_cast<u64>(unit - f.least) : 0;
  const u64 found = (binade << f.fraction) + count;
  n.low = found >= f.infinity ? f.infinity : static_cast<u32>(found);
  if (n.low == f.infinity) n.part = 0;
  return n;
}

u32 nan_of(u32 bits, const format& f) {
  const i32 cut = 23 - f.fraction;
  return (bits >> 31 << 15) | f.infinity | (1u << (f.fraction - 1)) | ((bits & 0x7fffff) >> cut);
}

enum class mode { nearest, toward_zero, added, compared };

/// What `bits` must become, with `random` where the mode asks for it.
u32 expected(u32 bits, const neighbours& n, const format& f, mode how, u32 random) {
  if (n.nan) return nan_of(bits, f);
  if (n.infinite) return n.sign | f.infinity;
  if (n.low == f.infinity) {
    return n.sign | (how == mode::toward_zero ? f.infinity - 1 : f.infinity);
  }
  bool up = false;
  if (n.part != 0) {
    switch (how) {
      case mode::toward_zero: break;
      case mode::nearest: {
        if (n.shift > 40) break;  // part is below 2^24
        const u64 tie = u64{1} << (n.shift - 1);
        up = n.part > tie || (n.part == tie && n.low % 2 == 1);
        break;
      }
      case mode::added:
        up = n.shift <= 31 && n.part + (random & ((u64{1} << n.shift) - 1)) >> n.shift != 0;
        break;
      case mode::compared:  // part / 2^shift > random / 2^32
        up = n.shift <= 32   ? n.part << (32 - n.shift) > random
             : n.shift >= 64 ? random == 0
                             : n.part > static_cast<u64>(random) << (n.shift - 32);
        break;
    }
  }
  return n.sign | (n.low + (up ? 1 : 0));
}

/// Counts what differs, in blocks of floats: single conversions and arrays of them.
struct comparison {
  i64 wrong = 0;
  u32 example = 0;

  void check(u32 found, u32 wanted, u32 input) {
    if (found == wanted) return;
    ++wrong;
    example = input;
  }
};

constexpr i64 block = 4096;

/// All modes for `block` floats, whose bits are start, start + step, ...
void compare_block(u32 start, u32 step, comparison& c) {
  static std::vector<float> x(block);
  static std::vector<half> nearest(block), chance(block);
  static std::vector<bfloat16> near_brain(block), chance_brain(block);
  for (i64 i = 0; i < block; ++i) {
    x[static_cast<std::size_t>(i)] = std::bit_cast<float>(start + static_cast<u32>(i) * step);
  }
  const element_words words{{start, 17}, u64{start} << 20};
  narrow(x.data(), nearest.data(), block);
  narrow(x.data(), near_brain.data(), block);
  narrow_by_chance(x.data(), chance.data(), block, words, 0);
  narrow_by_chance(x.data(), chance_brain.data(), block, words, 0);
  random_block random;
  for (i64 i = 0; i < block; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float value = x[at];
    const u32 bits = start + static_cast<u32>(i) * step;
    if (i % 4 == 0) random = words(i / 4);
    const u32 word = random[static_cast<i32>(i % 4)];
    const neighbours h = find(bits, binary16);
    const u32 even = expected(bits, h, binary16, mode::nearest, 0);
    c.check(nearest[at].bits, even, bits);  // by instructions where there are any
    c.check(portable::to_half(value).bits, even, bits);
    const u32 cut = expected(bits, h, binary16, mode::toward_zero, 0);
    c.check(to_half_toward_zero(value).bits, cut, bits);
    c.check(portable::to_half_toward_zero(value).bits, cut, bits);
    c.check(chance[at].bits, expected(bits, h, binary16, mode::added, word), bits);
    for (const u32 r : {0u, 0xffffffffu}) {
      c.check(to_half_stochastic_add(value, r).bits, expected(bits, h, binary16, mode::added, r),
              bits);
      c.check(to_half_stochastic_compare(value, r).bits,
              expected(bits, h, binary16, mode::compared, r), bits);
    }
    const neighbours b = find(bits, brain);
    c.check(near_brain[at].bits, expected(bits, b, brain, mode::nearest, 0), bits);
    c.check(to_bfloat16_toward_zero(value).bits, expected(bits, b, brain, mode::toward_zero, 0),
            bits);
    c.check(chance_brain[at].bits, expected(bits, b, brain, mode::added, word), bits);
    for (const u32 r : {0u, 0xffffffffu}) {
      c.check(to_bfloat16_stochastic(value, r).bits, expected(bits, b, brain, mode::added, r),
              bits);
    }
  }
}

/// How often each of `x`'s two neighbours comes out of `draws` elements.
template <class T>
i64 count_ups(float x, i64 draws, u64 seed, u16 low) {
  std::vector<float> from(4096, x);
  std::vector<T> to(4096);
  i64 ups = 0;
  for (i64 i = 0; i < draws; i += 4096) {
    narrow_by_chance(from.data(), to.data(), 4096, {{seed, 3}, 0}, i);
    for (const T& y : to) {
      if ((y.bits & 0x7fff) == low + 1) ++ups;
      if ((y.bits & 0x7fff) != low + 1 && (y.bits & 0x7fff) != low) return -1;
    }
  }
  return ups;
}

}  // namespace

TEST_CASE("every rounding of a sample of all floats is what whole numbers say", "[core]") {
  comparison c;
  // 2^32 / 8209 floats, all exponents alike; then all that lie at and around carries.
  constexpr u32 step = 8209;  // a prime
  for (u64 start = 0; start < u64{1} << 32; start += block * step) {
    compare_block(static_cast<u32>(start), step, c);
  }
  for (const u32 sign : {0u, 0x80000000u}) {
    for (u32 exponent = 0; exponent < 256; ++exponent) {
      // Just below and from a power of two on: full mantissas carry into the exponent.
      compare_block((sign | (exponent << 23)) - block / 2, 1, c);
    }
    compare_block((sign | 0x477fe000) - block / 2, 1, c);  // 65504
    compare_block((sign | 0x477ff000) - block / 2, 1, c);  // 65520
    compare_block((sign | 0x7f7f8000) - block / 2, 1, c);  // between bfloat16's last and infinity
  }
  CAPTURE(c.example);
  CHECK(c.wrong == 0);
}

TEST_CASE("every rounding of all 2^32 floats is what whole numbers say", "[core][slow]") {
  comparison c;
  for (u64 start = 0; start < u64{1} << 32; start += block) {
    compare_block(static_cast<u32>(start), 1, c);
  }
  CAPTURE(c.example);
  CHECK(c.wrong == 0);
}

TEST_CASE("arrays rounded by chance are the same in any pieces, and single ones", "[core]") {
  std::vector<float> x(1000);
  random_stream random(9);
  for (float& v : x) v = std::bit_cast<float>(random.next_u32());
  // The low half of a block's number overflows within the array.
  const element_words words{{5, 6}, (u64{7} << 32) - 40};
  std::vector<half> whole(1000), parts(1000);
  narrow_by_chance(x.data(), whole.data(), 1000, words, 3);
  for (i64 i = 0, n = 1; i < 1000; i += n, n = n % 37 + 3) {
    narrow_by_chance(x.data() + i, parts.data() + i, std::min<i64>(n, 1000 - i), words, 3 + i);
  }
  CHECK(whole == parts);
  i32 wrong = 0;
  for (i64 i = 0; i < 1000; ++i) {
    const auto at = static_cast<std::size_t>(i);
    wrong += whole[at] != to_half_stochastic_add(x[at], words.of(3 + i));
  }
  CHECK(wrong == 0);
}

TEST_CASE("a seed gives the same roundings again, another seed others", "[core]") {
  std::vector<float> x(4096, 1.0f + 0x1p-11f);
  std::vector<half> a(4096), b(4096), other(4096);
  narrow_by_chance(x.data(), a.data(), 4096, {{1, 2}, 3}, 0);
  narrow_by_chance(x.data(), b.data(), 4096, {{1, 2}, 3}, 0);
  narrow_by_chance(x.data(), other.data(), 4096, {{2, 2}, 3}, 0);
  CHECK(a == b);
  i32 differ = 0;
  for (std::size_t i = 0; i < 4096; ++i) differ += a[i] != other[i];
  CHECK(std::abs(differ - 2048) < 5 * 32);  // of 4,096 fair coins, deviation 32
}

TEST_CASE("rounding by chance goes up as often as the part that does not fit", "[core]") {
  constexpr i64 draws = 1 << 18;
  double chi = 0;
  double error = 0;
  i32 cases = 0;
  const auto judge = [&](i64 ups, double p) {
    REQUIRE(ups >= 0);
    const double off = static_cast<double>(ups) - p * draws;
    chi += off * off / (draws * p * (1 - p));
    error += off / draws;
    ++cases;
  };
  for (i32 k = 1; k < 64; ++k) {
    // 1 + (k / 64 of a unit); the same in a subnormal of two units; in bfloat16.
    const double p = k / 64.0;
    const float normal = 1 + static_cast<float>(p) * 0x1p-10f;
    const float subnormal = (2 + static_cast<float>(p)) * 0x1p-24f;
    const float brain_number = -(1 + static_cast<float>(p) * 0x1p-7f);
    const u64 seed = static_cast<u64>(k);
    judge(count_ups<half>(normal, draws, seed, 0x3c00), p);
    judge(count_ups<half>(subnormal, draws, seed + 100, 2), p);
    judge(count_ups<bfloat16>(brain_number, draws, seed + 200, 0x3f80), p);
  }
  // Sums of squares of 189 standard normal numbers: mean 189, deviation sqrt(2 x 189) = 19.4.
  CHECK(std::abs(chi - cases) < 5 * 19.4);
  // The mean error, in units of the last place; its deviation is at most 0.5 / sqrt(189 x 2^18).
  CHECK(std::abs(error / cases) < 5 * 0.5 / std::sqrt(189.0 * draws));
}
