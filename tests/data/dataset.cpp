#include <tessera/data/dataset.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <cmath>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::vector<float> values(const data::dataset& set, i64 index) {
  std::vector<float> out(static_cast<std::size_t>(set.sample_shape().count()));
  set.read(index, out.data());
  return out;
}

}  // namespace

TEST_CASE("the scaling of bytes is their mean and standard deviation", "[data]") {
  // Mean 5, deviations -3 -1 -1 -1 0 0 2 4: squares sum to 32, by 8 is 4.
  const std::vector<u8> bytes{2, 4, 4, 4, 5, 5, 7, 9};
  const data::scaling scaling = data::standard_scaling(bytes);
  CHECK(scaling.mean == 5.0);
  CHECK(scaling.deviation == 2.0);
}

TEST_CASE("bytes that are all equal are only moved", "[data]") {
  const std::vector<u8> bytes(1000, u8{77});
  CHECK(data::standard_scaling(bytes) == data::scaling{77.0, 1.0});
  CHECK(data::standard_scaling({}) == data::scaling{0.0, 255.0});
}

TEST_CASE("bytes become floats by their scaling", "[data]") {
  const data::dataset set(shape(1, 2, 2), {0, 255, 5, 9, 1, 2, 3, 4}, {1, 0}, 2, {5.0, 2.0});
  CHECK(set.size() == 2);
  CHECK(set.classes == 2);
  CHECK(set.sample_shape() == shape(1, 2, 2));
  CHECK(values(set, 0) == std::vector<float>{-2.5f, 125.0f, 0.0f, 2.0f});
  CHECK(values(set, 1) == std::vector<float>{-2.0f, -1.5f, -1.0f, -0.5f});
  CHECK(set.label(0) == 1);
  CHECK(set.label(1) == 0);
  CHECK(set.bytes(1).size() == 4);
  CHECK(set.bytes(1)[3] == 4);
}

TEST_CASE("scaled training bytes have mean 0 and deviation 1", "[data]") {
  std::vector<u8> bytes(10'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * i % 251);
  const data::scaling meaning = data::standard_scaling(bytes);
  const data::dataset set(shape(100), bytes, std::vector<i32>(100), 1, meaning);
  double sum = 0, squares = 0;
  for (i64 i = 0; i < 100; ++i) {
    for (const float x : values(set, i)) {
      sum += x;
      squares += static_cast<double>(x) * x;
    }
  }
  // Each value is rounded to 2^-24 of itself at most 4 large; errors of 10,000 values partly
  // cancel.
  CHECK(std::abs(sum / 10'000) < 1e-7);
  CHECK(std::abs(squares / 10'000 - 1) < 1e-6);
}

TEST_CASE("floats are read as they are", "[data]") {
  const data::dataset set(shape(2), {0.5f, -1.0f, 3.25f, 7.0f}, {0, 4}, 5);
  CHECK(values(set, 0) == std::vector<float>{0.5f, -1.0f});
  CHECK(values(set, 1) == std::vector<float>{3.25f, 7.0f});
  CHECK(set.label(1) == 4);
  CHECK(set.bytes(0).empty());
}

TEST_CASE("a data set of nothing is empty", "[data]") {
  const data::dataset set;
  CHECK(set.size() == 0);
  CHECK(set.subset(0, 0).size() == 0);
}

TEST_CASE("a subset of a subset begins where it says", "[data]") {
  const data::dataset set(shape(1), {10, 11, 12, 13, 14, 15}, {0, 1, 2, 3, 4, 5}, 6, {0.0, 1.0});
  const data::dataset part = set.subset(1, 6).subset(2, 4);
  CHECK(part.size() == 2);
  CHECK(part.classes == 6);
  CHECK(part.label(0) == 3);
  CHECK(part.label(1) == 4);
  CHECK(values(part, 1) == std::vector<float>{14.0f});
  CHECK(part.bytes(0)[0] == 13);
  CHECK(part.sample_shape() == set.sample_shape());
}

TEST_CASE("a subset that reaches beyond the set is refused", "[data]") {
  const data::dataset set(shape(1), {1, 2, 3}, {0, 0, 0}, 1, {});
  CHECK(error_of([&] { set.subset(1, 4); }) ==
        "dataset: expected a range within 0 to 3, got 1 to 4");
  CHECK(error_of([&] { set.subset(-1, 2); }) ==
        "dataset: expected a range within 0 to 3, got -1 to 2");
  CHECK(error_of([&] { set.subset(2, 1); }) ==
        "dataset: expected a range within 0 to 3, got 2 to 1");
  CHECK(set.subset(3, 3).size() == 0);
}

TEST_CASE("samples and labels that do not agree are refused", "[data]") {
  CHECK(error_of([] {
          data::dataset set(shape(2), {1, 2, 3}, {0, 0}, 1, {});
        }) == "dataset: expected 2 values for each of 2 labels, got 3 values");
  CHECK(error_of([] {
          data::dataset set(shape(1), {1.0f, 2.0f}, {0, 3}, 3);
        }) == "dataset: expected labels of 0 to 2, got 3 at sample 1");
  CHECK(error_of([] { data::dataset set(shape(1), {1.0f}, {-1}, 3); }) ==
        "dataset: expected labels of 0 to 2, got -1 at sample 0");
}
