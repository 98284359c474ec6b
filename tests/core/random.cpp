#include <tessera/core/random.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

using namespace tessera;

namespace {

// Sum of (observed - expected)^2 / expected over equally likely cells.
double chi_square(const std::vector<i64>& counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), i64{0}));
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const i64 count : counts) {
    const double difference = static_cast<double>(count) - expected;
    sum += difference * difference / expected;
  }
  return sum;
}

// Chi-square of k degrees of freedom has mean k and variance 2 k. The seeds are fixed: a
// generator that is right passes always, and 5 deviations leave one in a million to bad luck.
bool is_plausible(double chi, std::size_t cells) {
  const double freedom = static_cast<double>(cells - 1);
  return std::fabs(chi - freedom) < 5 * std::sqrt(2 * freedom);
}

constexpr std::array<i32, 8> shuffled_digits(u64 seed) {
  std::array<i32, 8> digits = {0, 1, 2, 3, 4, 5, 6, 7};
  random_stream random(seed);
  shuffle(digits, random);
  return digits;
}

}  // namespace

TEST_CASE("philox gives the published answers", "[core]") {
  // The known-answer vectors of Random123's philox4x32-10: zeros, ones, digits of pi.
  STATIC_REQUIRE(philox{.seed = 0, .stream = 0}(0) ==
                 random_block{{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  constexpr u64 ones = ~u64{0};
  STATIC_REQUIRE(philox{.seed = ones, .stream = ones}(ones) ==
                 random_block{{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  STATIC_REQUIRE(
      philox{.seed = 0x299f31d0a4093822, .stream = 0x0370734413198a2e}(0x85a308d3243f6a88) ==
      random_block{{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST_CASE("a stream reads its generator's blocks in order", "[core]") {
  random_stream stream(7, 3);
  const philox generator{.seed = 7, .stream = 3};
  for (u64 index = 0; index < 10; ++index)
    for (i32 i = 0; i < 4; ++i) REQUIRE(stream.next_u32() == generator(index)[i]);

  random_stream copy = stream;
  CHECK(copy.next_u32() == generator(10)[0]);
  CHECK(stream.next_u32() == generator(10)[0]);
}

TEST_CASE("seeds, streams and indices each give other numbers", "[core]") {
  STATIC_REQUIRE(philox{1, 0}(0) != philox{0, 0}(0));
  STATIC_REQUIRE(philox{0, 1}(0) != philox{0, 0}(0));
  STATIC_REQUIRE(philox{0, 0}(1) != philox{0, 0}(0));
  STATIC_REQUIRE(philox{u64{1} << 32, 0}(0) != philox{1, 0}(0));
  STATIC_REQUIRE(philox{0, u64{1} << 32}(0) != philox{0, 1}(0));
  STATIC_REQUIRE(philox{0, 0}(u64{1} << 32) != philox{0, 0}(1));
}

TEST_CASE("uniform keeps the upper 24 bits and stays below 1", "[core]") {
  STATIC_REQUIRE(uniform(0) == 0.0f);
  STATIC_REQUIRE(uniform(0xff) == 0.0f);
  STATIC_REQUIRE(uniform(0x100) == 0x1p-24f);
  STATIC_REQUIRE(uniform(0x80000000) == 0.5f);
  STATIC_REQUIRE(uniform(0xffffffff) == 0x0.ffffffp0f);
}

TEST_CASE("uniform numbers fill equal cells equally, singly and in pairs", "[core]") {
  random_stream random(1);
  std::vector<i64> cells(256);
  std::vector<i64> pairs(32 * 32);
  for (i32 i = 0; i < 200'000; ++i) {
    const float x = random.next_uniform();
    const float y = random.next_uniform();
    ++cells[static_cast<std::size_t>(x * 256)];
    ++pairs[static_cast<std::size_t>(x * 32) * 32 + static_cast<std::size_t>(y * 32)];
  }
  CHECK(is_plausible(chi_square(cells), cells.size()));
  CHECK(is_plausible(chi_square(pairs), pairs.size()));
}

TEST_CASE("every bit of a word is set half of the time", "[core]") {
  random_stream random(5, 9);
  std::array<i32, 32> set = {};
  constexpr i32 draws = 100'000;
  for (i32 i = 0; i < draws; ++i) {
    const u32 word = random.next_u32();
    for (u32 bit = 0; bit < 32; ++bit) set[bit] += (word >> bit) & 1;
  }
  // 5 deviations of a fair coin: 5 sqrt(draws) / 2 = 791.
  for (const i32 count : set) CHECK(std::abs(count - draws / 2) < 791);
}

TEST_CASE("the normal transform has its limits where the formula has them", "[core]") {
  // u = 2^-32 is the smallest: a radius of sqrt(64 ln 2) = 6.6604.
  CHECK(normal(0, 0).first == Approx(6.66044).epsilon(1e-5));
  CHECK(normal(0, 0).second == 0.0f);
  CHECK(normal(0xffffffff, 12345).first == 0.0f);
  // u = 1/2, a quarter and an eighth of the circle: sqrt(2 ln 2) = 1.17741.
  CHECK(normal(0x7fffffff, 0x40000000).second == Approx(1.17741).epsilon(1e-5));
  CHECK(std::fabs(normal(0x7fffffff, 0x40000000).first) < 1e-6f);
  CHECK(normal(0x7fffffff, 0x20000000).first == Approx(0.832555).epsilon(1e-5));
  CHECK(normal(0x7fffffff, 0xe0000000).second == Approx(-0.832555).epsilon(1e-5));
}

TEST_CASE("normal numbers have the moments and the tails of their distribution", "[core]") {
  random_stream random(11);
  constexpr i32 n = 200'000;
  std::array<double, 5> moments = {};
  double neighbours = 0;
  double before = 0;
  std::vector<i64> cells(16);
  for (i32 i = 0; i < n; ++i) {
    const double x = random.next_normal();
    for (std::size_t k = 1; k <= 4; ++k) moments[k] += std::pow(x, static_cast<double>(k)) / n;
    neighbours += x * before / n;
    before = x;
    // Its own distribution function makes it uniform.
    const double p = 0.5 * std::erfc(-x / std::sqrt(2.0));
    ++cells[std::min<std::size_t>(15, static_cast<std::size_t>(p * 16))];
  }
  // 5 deviations of each mean: x^k has variance 1, 2, 15, 96; the neighbours' product 1.
  const double deviation = 5 / std::sqrt(static_cast<double>(n));
  CHECK(std::fabs(moments[1]) < deviation);
  CHECK(std::fabs(moments[2] - 1) < deviation * std::sqrt(2.0));
  CHECK(std::fabs(moments[3]) < deviation * std::sqrt(15.0));
  CHECK(std::fabs(moments[4] - 3) < deviation * std::sqrt(96.0));
  CHECK(std::fabs(neighbours) < deviation);
  CHECK(is_plausible(chi_square(cells), cells.size()));
}

TEST_CASE("next_below stays below its limit and favours no number", "[core]") {
  random_stream random(3);
  for (const u32 n : {1u, 2u, 3u, 7u, 10u, 100u}) {
    std::vector<i64> cells(n);
    i32 beyond = 0;
    for (i32 i = 0; i < 50'000; ++i) {
      const u32 x = random.next_below(n);
      if (x < n) {
        ++cells[x];
      } else {
        ++beyond;
      }
    }
    CHECK(beyond == 0);
    if (n > 1) CHECK(is_plausible(chi_square(cells), cells.size()));
  }
  CHECK(random.next_below(0) == 0);
}

TEST_CASE("next_below is unbiased where multiplying alone would not be", "[core]") {
  // For n = 3 * 2^30 a plain product gives each multiple of 3 twice the chance of the others.
  random_stream random(17);
  std::vector<i64> cells(3);
  for (i32 i = 0; i < 60'000; ++i) ++cells[random.next_below(0xc0000000) % 3];
  CHECK(is_plausible(chi_square(cells), cells.size()));
}

TEST_CASE("a shuffle keeps every item and follows from the seed", "[core]") {
  constexpr std::array<i32, 8> first = shuffled_digits(1);
  STATIC_REQUIRE(first == shuffled_digits(1));
  STATIC_REQUIRE(first != shuffled_digits(2));

  for (const std::size_t n : {0u, 1u, 2u, 3u, 1000u}) {
    std::vector<i32> items(n);
    std::iota(items.begin(), items.end(), 0);
    const std::vector<i32> sorted = items;
    random_stream random(21, n);
    shuffle(items, random);
    CHECK((n < 1000 || items != sorted));
    std::sort(items.begin(), items.end());
    CHECK(items == sorted);
  }
}

TEST_CASE("all orders of four items come up equally often", "[core]") {
  std::map<std::array<i32, 4>, i64> seen;
  random_stream random(8);
  for (i32 i = 0; i < 48'000; ++i) {
    std::array<i32, 4> items = {0, 1, 2, 3};
    shuffle(items, random);
    ++seen[items];
  }
  std::vector<i64> cells;
  for (const auto& [order, count] : seen) cells.push_back(count);
  CHECK(cells.size() == 24);
  CHECK(is_plausible(chi_square(cells), cells.size()));
}

TEST_CASE("seed 1 shuffles eight digits into the order written here", "[core]") {
  // Written out so that a change of the sequence, which would change every trained network, shows.
  STATIC_REQUIRE(shuffled_digits(1) == std::array<i32, 8>{1, 0, 4, 2, 5, 3, 6, 7});
}
