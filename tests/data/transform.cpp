#include <tessera/data/transform.hpp>

#include <support/catch.hpp>
#include <support/idx_files.hpp>  // error_of

#include <cmath>
#include <cstdlib>
#include <numeric>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

// Pictures of 2 channels, byte i of all being i mod 256.
data::dataset counted(i64 pictures, i32 height, i32 width, const data::scaling& meaning) {
  std::vector<u8> bytes(static_cast<std::size_t>(pictures * 2 * height * width));
  std::iota(bytes.begin(), bytes.end(), u8{0});
  return data::dataset(shape(2, height, width), bytes,
                       std::vector<i32>(static_cast<std::size_t>(pictures), 1), 3, meaning);
}

template <class Source>
std::vector<float> values(const Source& source, i64 index) {
  std::vector<float> out(static_cast<std::size_t>(source.sample_shape().count()));
  source.read(index, out.data());
  return out;
}

// A plain second way: the padded picture is made, and the crop copied out of it.
std::vector<float> cropped(const std::vector<float>& picture, const shape& size, i32 pad,
                           float fill, i32 down, i32 right, bool flip) {
  const i32 height = size[1], width = size[2];
  std::vector<float> result;
  for (i32 c = 0; c < size[0]; ++c) {
    for (i32 y = 0; y < height; ++y) {
      for (i32 x = 0; x < width; ++x) {
        const i32 from_y = y + down - pad;
        const i32 from_x = (flip ? width - 1 - x : x) + right - pad;
        const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
        result.push_back(
            inside ? picture[static_cast<std::size_t>((c * height + from_y) * width + from_x)]
                   : fill);
      }
    }
  }
  return result;
}

}  // namespace

TEST_CASE("each channel is scaled by its own mean and deviation", "[data]") {
  const std::vector<data::channel_scaling> channels{{1.0f, 2.0f}, {-2.0f, 0.5f}};
  const data::normalized source(counted(2, 1, 2, {0.0, 1.0}), channels);
  CHECK(values(source, 0) == std::vector<float>{-0.5f, 0.0f, 8.0f, 10.0f});
  CHECK(values(source, 1) == std::vector<float>{1.5f, 2.0f, 16.0f, 18.0f});
  CHECK(source.size() == 2);
  CHECK(source.label(0) == 1);
  CHECK(source.sample_shape() == shape(2, 1, 2));
  CHECK(source.channels() == channels);
}

TEST_CASE("channels get mean 0 and deviation 1 by their standard scaling", "[data]") {
  std::vector<u8> bytes(3 * 16 * 50);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<u8>(i / 16 % 3 == 2 ? 77 : i * i % 97 + 40 * (i / 16 % 3));
  }
  const data::dataset set(shape(3, 4, 4), bytes, std::vector<i32>(50), 1, {});
  const auto channels = data::standard_channels(set);
  REQUIRE(channels.size() == 3);
  CHECK(channels[2] == data::channel_scaling{static_cast<float>(77 / 255.0), 1.0f});
  const data::normalized source(set, channels);
  for (std::size_t c = 0; c < 2; ++c) {
    double sum = 0, squares = 0;
    for (i64 i = 0; i < 50; ++i) {
      const auto picture = values(source, i);
      for (std::size_t k = c * 16; k < c * 16 + 16; ++k) {
        sum += picture[k];
        squares += static_cast<double>(picture[k]) * picture[k];
      }
    }
    // Bytes, mean and deviation are rounded to 2^-24 each, 4 deviations or less from the mean.
    CHECK(std::abs(sum / 800) < 1e-6);
    CHECK(std::abs(squares / 800 - 1) < 1e-5);
  }
}

TEST_CASE("scalings that do not fit the pictures are refused", "[data]") {
  const std::vector<data::channel_scaling> one(1);
  CHECK(error_of([&] { data::normalized source(counted(1, 2, 2, {}), one); }) ==
        "normalized: expected a scaling for each of 2 channels, got 1");
  const std::vector<data::channel_scaling> flat{{0, 1}, {0, 0}};
  CHECK(error_of([&] { data::normalized source(counted(1, 2, 2, {}), flat); }) ==
        "normalized: expected deviations above 0");
  const data::dataset row(shape(4), {1, 2, 3, 4}, {0}, 1, {});
  CHECK(error_of([&] { data::normalized source(row, one); }) ==
        "transform: expected pictures of channels x height x width, got samples of rank 1");
  CHECK(error_of([&] { data::standard_channels(row); }) ==
        "standard_channels: expected pictures of bytes");
}

TEST_CASE("a picture is padded, cropped and mirrored as the choice says", "[data]") {
  // Height, width and padding that differ, and every place of the crop.
  const shape size(2, 4, 6);
  const data::augmented source(counted(2000, 4, 6, {0.0, 1.0}), {.pad = 3, .fill = -7.0f});
  std::vector<i32> met(49 * 2);
  for (i64 i = 0; i < source.size(); ++i) {
    const auto how = source.choose(i);
    ++met[static_cast<std::size_t>((how.down * 7 + how.right) * 2 + how.flip)];
    CHECK(values(source, i) ==
          cropped(values(source.source(), i), size, 3, -7.0f, how.down, how.right, how.flip));
  }
  // 98 outcomes of 2,000 draws: 20 each, standard deviation 4.5.
  for (const i32 count : met) CHECK((count > 0 && count < 48));
}

TEST_CASE("the drawing of a crop is what comes out", "[data]") {
  // a to i are 1 to 9; down 2, right 0 of a padding of 1.
  const data::dataset set(shape(1, 3, 3), {1, 2, 3, 4, 5, 6, 7, 8, 9}, {0}, 1, {0.0, 1.0});
  data::augmented source(set, {.pad = 1});
  bool plain = false, mirrored = false;
  for (i64 epoch = 0; epoch < 400; ++epoch) {
    source.start_epoch(epoch);
    const auto how = source.choose(0);
    if (how.down != 2 || how.right != 0) continue;
    (how.flip ? mirrored : plain) = true;
    CHECK(values(source, 0) == (how.flip ? std::vector<float>{5, 4, 0, 8, 7, 0, 0, 0, 0}
                                         : std::vector<float>{0, 4, 5, 0, 7, 8, 0, 0, 0}));
  }
  CHECK((plain && mirrored));
}

TEST_CASE("places and mirrors are all equally likely", "[data]") {
  const data::augmented source(counted(18'000, 5, 5, {}), {.pad = 4, .seed = 3});
  std::vector<i32> down(9), right(9);
  i32 flips = 0;
  for (i64 i = 0; i < source.size(); ++i) {
    const auto how = source.choose(i);
    ++down[static_cast<std::size_t>(how.down)];
    ++right[static_cast<std::size_t>(how.right)];
    flips += how.flip;
  }
  // 2,000 of each place expected, standard deviation 42; 9,000 flips, 67; five of them allowed.
  for (std::size_t i = 0; i < 9; ++i) {
    CHECK(std::abs(down[i] - 2000) < 210);
    CHECK(std::abs(right[i] - 2000) < 210);
  }
  CHECK(std::abs(flips - 9000) < 335);
}

TEST_CASE("augmentation depends on seed, epoch and sample and on nothing else", "[data]") {
  const data::dataset set = counted(40, 8, 8, {});
  const data::augmented first(set, {.seed = 5});
  std::vector<std::vector<float>> expected;
  for (i64 epoch = 0; epoch < 3; ++epoch) {
    first.start_epoch(epoch);
    for (i64 i = 0; i < 40; ++i) expected.push_back(values(first, i));
  }
  const data::augmented again(set, {.seed = 5});
  const data::augmented other(set, {.seed = 6});
  i32 same_epoch = 0, same_seed = 0;
  for (const i64 epoch : {2, 0, 1}) {
    again.start_epoch(epoch);
    other.start_epoch(epoch);
    for (i64 i = 39; i >= 0; --i) {
      const auto& wanted = expected[static_cast<std::size_t>(epoch * 40 + i)];
      CHECK(values(again, i) == wanted);
      same_seed += values(other, i) == wanted;
      same_epoch += epoch > 0 && wanted == expected[static_cast<std::size_t>(i)];
    }
  }
  CHECK(same_seed < 10);  // by chance one of 162
  CHECK(same_epoch < 10);
}

TEST_CASE("without padding and mirrors a picture stays as it is", "[data]") {
  const data::augmented source(counted(20, 3, 4, {}), {.pad = 0, .flip = false});
  for (i64 i = 0; i < 20; ++i) CHECK(values(source, i) == values(source.source(), i));
}

TEST_CASE("a padding that leaves nothing of a picture is refused", "[data]") {
  CHECK(error_of([] { data::augmented source(counted(1, 4, 9, {}), {.pad = 4}); }) ==
        "augmented: expected a padding of 0 to 3 for pictures of 4x9, got 4");
  CHECK(error_of([] { data::augmented source(counted(1, 4, 9, {}), {.pad = -1}); }) ==
        "augmented: expected a padding of 0 to 3 for pictures of 4x9, got -1");
}

TEST_CASE("the epoch reaches the source below", "[data]") {
  const data::dataset set = counted(30, 8, 8, {});
  const data::augmented inner(set, {.pad = 2, .seed = 9});
  const std::vector<data::channel_scaling> none(2);
  const data::normalized outer(inner, none);
  outer.start_epoch(4);
  inner.start_epoch(4);
  for (i64 i = 0; i < 30; ++i) CHECK(values(outer, i) == values(inner, i));
}
