#include <tessera/data/segments.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <algorithm>
#include <cstdlib>
#include <set>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

// Pictures of one channel whose pixel (y, x) is 16 y + x, with class y mod 2 + 2 (x mod 2).
data::segmented_images counted(i32 pictures, i32 height, i32 width, i32 channels = 1) {
  std::vector<u8> bytes, classes;
  for (i32 p = 0; p < pictures; ++p) {
    for (i32 c = 0; c < channels; ++c) {
      for (i32 y = 0; y < height; ++y) {
        for (i32 x = 0; x < width; ++x) {
          bytes.push_back(static_cast<u8>(16 * y + x + 100 * c));
          if (c == 0) classes.push_back(static_cast<u8>(y % 2 + 2 * (x % 2)));
        }
      }
    }
  }
  return data::segmented_images(shape(channels, height, width), bytes, classes, 4, {0.0, 1.0});
}

std::vector<float> values(const data::tiles& source, i64 index) {
  std::vector<float> out(static_cast<std::size_t>(source.sample_shape().count()));
  source.read(index, out.data());
  return out;
}

std::vector<i32> classes(const data::tiles& source, i64 index) {
  std::vector<i32> out(static_cast<std::size_t>(source.target_shape().count()));
  source.targets(index, out.data());
  std::vector<float> floats(out.size());
  source.target(index, floats.data());
  CHECK(std::vector<i32>(floats.begin(), floats.end()) == out);
  return out;
}

}  // namespace

TEST_CASE("tiles lie on a grid whose last row and column are moved inside", "[data]") {
  const data::tiles source(counted(2, 5, 7), {.tile = 3});
  REQUIRE(source.size() == 2 * 2 * 3);
  CHECK(source.sample_shape() == shape(1, 3, 3));
  CHECK(source.target_shape() == shape(3, 3));
  using place = data::tiles::place;
  CHECK(source.locate(0) == place{0, 0, 0, 0});
  CHECK(source.locate(1) == place{0, 0, 3, 0});
  CHECK(source.locate(2) == place{0, 0, 4, 0});
  CHECK(source.locate(5) == place{0, 2, 4, 0});
  CHECK(source.locate(9) == place{1, 2, 0, 0});
  CHECK(values(source, 5) == std::vector<float>{36, 37, 38, 52, 53, 54, 68, 69, 70});
  CHECK(classes(source, 5) == std::vector<i32>{0, 2, 0, 1, 3, 1, 0, 2, 0});
  CHECK(data::tiles(counted(1, 6, 6), {.tile = 3}).size() == 4);
  CHECK(data::tiles(counted(1, 6, 6), {.tile = 3, .stride = 1}).size() == 16);
  CHECK(data::tiles(counted(1, 6, 6), {.tile = 6}).size() == 1);
}

TEST_CASE("a margin is seen and not judged, mirrored beyond the picture", "[data]") {
  const data::tiles source(counted(1, 4, 4, 2), {.tile = 2, .margin = 1});
  REQUIRE(source.size() == 4);
  CHECK(source.sample_shape() == shape(2, 4, 4));
  const std::vector<float> got = values(source, 0);
  const std::vector<float> expected{17, 16, 17, 18,  //
                                    1,  0,  1,  2,   //
                                    17, 16, 17, 18,  //
                                    33, 32, 33, 34};
  CHECK(std::vector<float>(got.begin(), got.begin() + 16) == expected);
  for (std::size_t i = 0; i < 16; ++i) CHECK(got[16 + i] == expected[i] + 100);
  CHECK(values(source, 3)[15] == 16 * 2 + 2);
  CHECK(classes(source, 0) == std::vector<i32>{0, 2, 1, 3});
}

TEST_CASE("a turned tile and its classes are turned alike", "[data]") {
  // 1 and 2 mirror, 4 exchanges rows and columns of what is mirrored.
  const std::vector<float> eight[]{{0, 1, 16, 17}, {1, 0, 17, 16}, {16, 17, 0, 1}, {17, 16, 1, 0},
                                   {0, 16, 1, 17}, {1, 17, 0, 16}, {16, 0, 17, 1}, {17, 1, 16, 0}};
  const data::tiles source(counted(1, 2, 2), {.tile = 2, .turn = true});
  std::vector<i32> met(8);
  for (i64 epoch = 0; epoch < 800; ++epoch) {
    source.start_epoch(epoch);
    const i32 turned = source.locate(0).turned;
    ++met[static_cast<std::size_t>(turned)];
    const std::vector<float> got = values(source, 0);
    REQUIRE(got == eight[turned]);
    const std::vector<i32> found = classes(source, 0);
    for (std::size_t i = 0; i < 4; ++i) {
      const i32 byte = static_cast<i32>(got[i]);
      CHECK(found[i] == byte / 16 % 2 + 2 * (byte % 2));
    }
  }
  // 100 of each expected, standard deviation 9; five of them allowed.
  for (const i32 count : met) CHECK(std::abs(count - 100) < 47);
}

TEST_CASE("a turned margin stays around its tile", "[data]") {
  const data::tiles source(counted(1, 9, 9), {.tile = 3, .margin = 2, .move = true, .turn = true});
  const data::tiles inner(counted(1, 9, 9), {.tile = 3, .move = true, .turn = true});
  for (i64 epoch = 0; epoch < 50; ++epoch) {
    source.start_epoch(epoch);
    inner.start_epoch(epoch);
    const std::vector<float> with = values(source, 4);
    const std::vector<float> without = values(inner, 4);
    for (std::size_t y = 0; y < 3; ++y) {
      for (std::size_t x = 0; x < 3; ++x) {
        CHECK(with[(y + 2) * 7 + x + 2] == without[y * 3 + x]);
      }
    }
  }
}

TEST_CASE("a moving tile lies anywhere in its picture, as often as elsewhere", "[data]") {
  const data::tiles source(counted(2, 5, 6), {.tile = 3, .move = true});
  const data::tiles again(counted(2, 5, 6), {.tile = 3, .move = true});
  std::vector<i32> met(3 * 4);
  for (i64 epoch = 0; epoch < 300; ++epoch) {
    source.start_epoch(epoch);
    for (i64 i = 0; i < source.size(); ++i) {
      const auto at = source.locate(i);
      CHECK(at.picture == i / 4);
      CHECK(at.turned == 0);
      REQUIRE((at.top >= 0 && at.top < 3 && at.left >= 0 && at.left < 4));
      ++met[static_cast<std::size_t>(at.top * 4 + at.left)];
    }
    CHECK(values(source, 1)[0] == 16.0f * static_cast<float>(source.locate(1).top) +
                                      static_cast<float>(source.locate(1).left));
  }
  // 2,400 draws, 200 of each expected, standard deviation 14; five of them allowed.
  for (const i32 count : met) CHECK(std::abs(count - 200) < 68);
  again.start_epoch(299);
  for (i64 i = source.size() - 1; i >= 0; --i) CHECK(again.locate(i) == source.locate(i));
}

TEST_CASE("a part of the pictures begins where it says", "[data]") {
  std::vector<u8> bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, labels(12, 1);
  labels[4] = 0;
  const data::segmented_images all(shape(1, 2, 2), bytes, labels, 2, {0.0, 2.0});
  const data::segmented_images part = all.part(1, 3);
  CHECK(part.size() == 2);
  CHECK(part.bytes(0)[0] == 5);
  CHECK(part.pixel_classes(0)[0] == 0);
  CHECK(values(data::tiles(part, {.tile = 2}), 1) == std::vector<float>{4.5f, 5, 5.5f, 6});
  CHECK(error_of([&] { all.part(2, 4); }) ==
        "segmented_images: expected a range within 0 to 3, got 2 to 4");
}

TEST_CASE("pictures, classes and tiles that do not fit are refused", "[data]") {
  const auto make = [](const shape& picture, std::size_t bytes, std::size_t labels, u8 label) {
    return error_of([&] {
      data::segmented_images(picture, std::vector<u8>(bytes), std::vector<u8>(labels, label), 2,
                             {});
    });
  };
  CHECK(make(shape(3, 2, 2), 24, 8, 1) == "(no error)");
  CHECK(make(shape(3, 2, 2), 24, 7, 1) ==
        "segmented_images: expected 12 bytes and 4 classes for each picture, got 24 and 7");
  CHECK(make(shape(3, 2, 2), 0, 0, 1) ==
        "segmented_images: expected 12 bytes and 4 classes for each picture, got 0 and 0");
  CHECK(make(shape(3, 2, 2), 12, 4, 2) == "segmented_images: expected classes of 0 to 1, got 2");
  CHECK(make(shape(2, 2), 4, 4, 0) ==
        "segmented_images: expected pictures of channels x height x width");
  CHECK(error_of([] { data::tiles(counted(1, 4, 6), {.tile = 5}); }) ==
        "tiles: expected a tile of 1 to 4 for pictures of 4x6, got 5");
  CHECK(error_of([] { data::tiles(counted(1, 4, 6), {.tile = 2, .stride = -1}); }) ==
        "tiles: expected a stride of at least 1, got -1");
  CHECK(error_of([] { data::tiles(counted(1, 4, 6), {.tile = 2, .margin = 4}); }) ==
        "tiles: expected a margin of 0 to 3 for pictures of 4x6, got 4");
}
