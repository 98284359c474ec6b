#include <tessera/data/digits.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of
#include <support/softmax_regression.hpp>

#include <algorithm>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

bool same_sample(const data::dataset& a, i64 i, const data::dataset& b, i64 j) {
  const auto left = a.bytes(i);
  const auto right = b.bytes(j);
  return a.label(i) == b.label(j) && std::equal(left.begin(), left.end(), right.begin());
}

// FNV-1a over pictures and labels: 64 bits that any change changes.
u64 digest(const data::dataset& set) {
  u64 hash = 14695981039346656037u;
  const auto add = [&](u64 byte) { hash = (hash ^ byte) * 1099511628211u; };
  for (i64 i = 0; i < set.size(); ++i) {
    for (const u8 byte : set.bytes(i)) add(byte);
    add(static_cast<u64>(set.label(i)));
  }
  return hash;
}

struct bounding_box {
  i32 left = 28, right = -1, top = 28, bottom = -1;
};

// Of the pixels with clear ink.
bounding_box ink_of(std::span<const u8> image) {
  bounding_box box;
  for (i32 row = 0; row < 28; ++row) {
    for (i32 column = 0; column < 28; ++column) {
      if (image[static_cast<std::size_t>(row * 28 + column)] < 64) continue;
      box.left = std::min(box.left, column);
      box.right = std::max(box.right, column);
      box.top = std::min(box.top, row);
      box.bottom = std::max(box.bottom, row);
    }
  }
  return box;
}

}  // namespace

TEST_CASE("drawn digits come in the counts and form asked for", "[data]") {
  const data::split digits = data::drawn_digits(300, 70, 1);
  CHECK(digits.train.size() == 300);
  CHECK(digits.test.size() == 70);
  CHECK(digits.train.classes == 10);
  CHECK(digits.train.sample_shape() == shape(1, 28, 28));
  CHECK(digits.test.sample_shape() == shape(1, 28, 28));
  CHECK(digits.test.meaning() == digits.train.meaning());
  CHECK(data::drawn_digits(1, 0, 1).test.size() == 0);
}

TEST_CASE("a drawn digit depends on seed and index alone", "[data]") {
  const data::split few = data::drawn_digits(20, 10, 42);
  const data::split many = data::drawn_digits(200, 100, 42);
  for (i64 i = 0; i < 20; ++i) CHECK(same_sample(few.train, i, many.train, i));
  for (i64 i = 0; i < 10; ++i) CHECK(same_sample(few.test, i, many.test, i));

  const data::split other = data::drawn_digits(20, 10, 43);
  for (i64 i = 0; i < 20; ++i) {
    CHECK_FALSE(same_sample(few.train, i, other.train, i));
    for (i64 j = 0; j < 100; ++j) CHECK_FALSE(same_sample(few.train, i, many.test, j));
    for (i64 j = 0; j < 200; ++j) CHECK(same_sample(few.train, i, many.train, j) == (i == j));
  }
}

TEST_CASE("a seed means the same pictures with every compiler", "[data]") {
  // Got with g++ 12 -O2; clang++ 16 -O0 and g++ 12 -O3 -march=native -ffast-math agreed.
  const data::split digits = data::drawn_digits(1000, 500, 1);
  CHECK(digest(digits.train) == 0x10c1eafae602ef36u);
  CHECK(digest(digits.test) == 0x1a1088ed6f4fa1fcu);
}

TEST_CASE("each digit is drawn about equally often", "[data]") {
  // 5,000 samples: each digit expected 500 times, standard deviation 21; 5 of them allowed.
  const data::split digits = data::drawn_digits(5000, 0, 3);
  std::vector<int> count(10);
  for (i64 i = 0; i < 5000; ++i) ++count[static_cast<std::size_t>(digits.train.label(i))];
  for (const int each : count) CHECK(std::abs(each - 500) < 107);
}

TEST_CASE("a drawn digit is ink on empty paper, well inside the picture", "[data]") {
  const data::split digits = data::drawn_digits(2000, 0, 5);
  i32 moved = 0;
  i32 at_edge = 0;
  for (i64 i = 0; i < 2000; ++i) {
    const auto image = digits.train.bytes(i);
    CAPTURE(i, digits.train.label(i));
    const auto inked = std::count_if(image.begin(), image.end(), [](u8 b) { return b >= 64; });
    CHECK(inked >= 15);
    CHECK(inked <= 784 / 2);
    const bounding_box box = ink_of(image);
    CHECK(box.bottom - box.top >= 8);
    at_edge += box.left == 0 || box.right == 27 || box.top == 0 || box.bottom == 27;
    moved += std::abs(box.left + box.right - 27) > 3;
  }
  CHECK(moved > 200);    // not all in the middle
  CHECK(at_edge < 100);  // of the largest and thickest
}

TEST_CASE("every habit of writing is within its box and has points for a curve", "[data]") {
  i32 total = 0;
  for (i32 digit = 0; digit < 10; ++digit) {
    const auto habits = data::glyphs_of(digit);
    CHECK(habits.size() >= 2);
    CHECK(habits.size() <= 3);
    total += static_cast<i32>(habits.size());
    for (const data::glyph& habit : habits) {
      CHECK(habit.digit == digit);
      CHECK(habit.stroke[0].count >= 2);
      for (const data::pen_stroke& stroke : habit.stroke) {
        CHECK(stroke.count != 1);
        CHECK(stroke.count <= data::pen_stroke::max_points);
        for (i32 i = 0; i < stroke.count; ++i) {
          CHECK((stroke.point[i].x >= 0 && stroke.point[i].x <= 100));
          CHECK((stroke.point[i].y >= 0 && stroke.point[i].y <= 100));
        }
      }
    }
  }
  CHECK(total == static_cast<i32>(data::glyphs().size()));
  CHECK(data::glyphs_of(10).empty());
}

TEST_CASE("a linear classifier stays under 90 percent on drawn digits", "[data]") {
  const data::split digits = data::drawn_digits(10'000, 2'000, 1);
  softmax_regression linear(784);
  linear.train(digits.train, 10, 0.002f);
  const double learned = linear.accuracy(digits.train);
  const double fresh = linear.accuracy(digits.test);
  CAPTURE(learned, fresh);
  CHECK(learned > 0.80);  // it has learned what it can
  CHECK(fresh > 0.50);
  CHECK(fresh < 0.90);
}

TEST_CASE("impossible counts of digits are refused", "[data]") {
  CHECK(error_of([] { data::drawn_digits(0, 10, 1); }) ==
        "drawn_digits: expected 1 to 2147483647 training and 0 to 2147483647 test digits, got 0 "
        "and 10");
  CHECK(error_of([] { data::drawn_digits(1, -1, 1); }) ==
        "drawn_digits: expected 1 to 2147483647 training and 0 to 2147483647 test digits, got 1 "
        "and -1");
}
