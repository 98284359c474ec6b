#include <tessera/data/drawing.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstdlib>
#include <vector>

using namespace tessera;
using namespace tessera::data::detail;

TEST_CASE("sines are the nearest of 4096ths", "[data]") {
  for (i32 angle = -300; angle < 600; ++angle) {
    const double exact = 4096 * std::sin(angle * 3.14159265358979323846 / 128);
    CHECK(std::abs(sine(angle) - exact) <= 0.5 + 1e-9);
    CHECK(std::abs(cosine(angle) - 4096 * std::cos(angle * 3.14159265358979323846 / 128)) <=
          0.5 + 1e-9);
  }
  STATIC_REQUIRE(sine(64) == 4096);
  STATIC_REQUIRE(sine(0) == 0);
}

TEST_CASE("a root is the largest whole number whose square is not above", "[data]") {
  for (i64 r : {0, 1, 2, 3, 10, 46340, 46341, 1'000'000, 1'073'741'823}) {
    CHECK(root(r * r) == r);
    CHECK(root(r * r + 2 * r) == r);
    if (r > 0) CHECK(root(r * r - 1) == r - 1);
  }
}

TEST_CASE("a smooth field is smooth and stays in its reach", "[data]") {
  random_stream random(1);
  smooth_field<8> field;
  field.draw(random, 40, 50, 1000);
  i32 low = 0, high = 0;
  for (i32 y = 0; y + 1 < 40; ++y) {
    for (i32 x = 0; x + 1 < 50; ++x) {
      low = std::min(low, field.at(y, x));
      high = std::max(high, field.at(y, x));
      // The weights' steepest step is 1.5 / 8 of the difference of two nodes, 2,000 at most.
      CHECK(std::abs(field.at(y, x + 1) - field.at(y, x)) <= 376);
      CHECK(std::abs(field.at(y + 1, x) - field.at(y, x)) <= 376);
    }
  }
  CHECK((low >= -1000 && low < -500));
  CHECK((high <= 1000 && high > 500));
}

TEST_CASE("grain reaches as far as it may, either way alike", "[data]") {
  random_stream random(2);
  std::vector<u8> bytes(21'000, u8{100});
  add_grain(random, bytes.data(), 21'000, 3);
  std::vector<i32> count(7);
  for (const u8 byte : bytes) {
    REQUIRE((byte >= 97 && byte <= 103));
    ++count[static_cast<std::size_t>(byte - 97)];
  }
  // 256 words on 7 values: 36 or 37 each, so 2,953 to 3,035; standard deviation 51, five allowed.
  for (const i32 each : count) CHECK(std::abs(each - 3000) < 300);
  std::vector<u8> ends{0, 255, 0, 255};
  add_grain(random, ends.data(), 4, 10);
  CHECK(ends[0] <= 10);
  CHECK(ends[1] >= 245);
}
