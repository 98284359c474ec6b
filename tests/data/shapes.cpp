#include <tessera/data/shapes.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>  // digest
#include <support/idx_files.hpp>  // error_of
#include <support/softmax_regression.hpp>

#include <algorithm>
#include <cstdlib>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

bool same_sample(const data::dataset& a, i64 i, const data::dataset& b, i64 j) {
  const auto left = a.bytes(i);
  const auto right = b.bytes(j);
  return a.label(i) == b.label(j) && std::equal(left.begin(), left.end(), right.begin());
}

}  // namespace

TEST_CASE("drawn shapes come in the counts and form asked for", "[data]") {
  const data::split shapes = data::drawn_shapes(30, 7, 1);
  CHECK(shapes.train.size() == 30);
  CHECK(shapes.test.size() == 7);
  CHECK(shapes.train.classes == 10);
  CHECK(shapes.train.sample_shape() == shape(3, 32, 32));
  CHECK(shapes.train.meaning() == data::scaling{});
  CHECK(data::drawn_shapes(1, 0, 1).test.size() == 0);
  CHECK(error_of([] { data::drawn_shapes(0, 10, 1); }) ==
        "drawn_shapes: expected 1 to 2147483647 training and 0 to 2147483647 test shapes, got 0 "
        "and 10");
}

TEST_CASE("a drawn shape depends on seed and index alone", "[data]") {
  const data::split few = data::drawn_shapes(20, 10, 42);
  const data::split many = data::drawn_shapes(60, 30, 42);
  const data::split other = data::drawn_shapes(20, 10, 43);
  for (i64 i = 0; i < 20; ++i) {
    CHECK(same_sample(few.train, i, many.train, i));
    CHECK_FALSE(same_sample(few.train, i, other.train, i));
    for (i64 j = 0; j < 30; ++j) CHECK_FALSE(same_sample(few.train, i, many.test, j));
  }
  for (i64 i = 0; i < 10; ++i) CHECK(same_sample(few.test, i, many.test, i));
}

TEST_CASE("a seed means the same shapes with every compiler", "[data]") {
  // Got with g++ 12 -O2; clang++ 16 -O0 and g++ 12 -O3 -march=native -ffast-math agreed.
  const data::split shapes = data::drawn_shapes(300, 100, 1);
  digest all;
  for (const data::dataset& part : {shapes.train, shapes.test}) {
    for (i64 i = 0; i < part.size(); ++i) {
      all.add(part.bytes(i)).add(std::vector<i32>{part.label(i)});
    }
  }
  CHECK(all.value() == 0xb4de648e87cc98a0u);
}

TEST_CASE("each shape is drawn about equally often", "[data]") {
  // 2,000 samples: each class expected 200 times, standard deviation 13; 5 of them allowed.
  const data::split shapes = data::drawn_shapes(2000, 0, 3);
  std::vector<i32> count(10);
  for (i64 i = 0; i < 2000; ++i) ++count[static_cast<std::size_t>(shapes.train.label(i))];
  for (const i32 each : count) CHECK(std::abs(each - 200) < 67);
}

TEST_CASE("a linear classifier learns next to nothing of drawn shapes", "[data]") {
  const data::split shapes = data::drawn_shapes(4000, 1000, 1);
  const data::scaling meaning = {127.5, 127.5};
  const auto centered = [&](const data::dataset& set) {
    std::vector<u8> bytes;
    std::vector<i32> labels;
    for (i64 i = 0; i < set.size(); ++i) {
      bytes.insert(bytes.end(), set.bytes(i).begin(), set.bytes(i).end());
      labels.push_back(set.label(i));
    }
    return data::dataset(set.sample_shape(), bytes, labels, 10, meaning);
  };
  softmax_regression linear(3 * 32 * 32);
  linear.train(centered(shapes.train), 5, 0.002f);
  const double fresh = linear.accuracy(centered(shapes.test));
  CAPTURE(fresh);
  CHECK(fresh < 0.30);
}
