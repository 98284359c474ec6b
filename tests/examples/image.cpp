#include "../../examples/support/image.hpp"
#include "../../examples/support/membranes.hpp"

#include <support/catch.hpp>
#include <support/data_sets.hpp>
#include <support/idx_files.hpp>  // write_bytes, error_of
#include <support/paths.hpp>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

examples::image counted(i32 width, i32 height, i32 channels) {
  examples::image picture(width, height, channels);
  for (std::size_t i = 0; i < picture.bytes.size(); ++i) {
    picture.bytes[i] = static_cast<u8>(i * i % 251);
  }
  return picture;
}

byte_string contents(const std::string& path) {
  const auto bytes = io::read_file(path);
  byte_string result;
  for (const std::byte each : bytes) result.push_back(static_cast<u8>(each));
  return result;
}

}  // namespace

TEST_CASE("a picture written as PNG is read again as it was", "[examples]") {
  const scratch_folder folder;
  for (const i32 channels : {1, 3}) {
    const examples::image picture = counted(7, 5, channels);
    examples::save_png(folder.file("a.png"), picture);
    const examples::image again = examples::load_image(folder.file("a.png"), channels);
    CHECK(again.width == 7);
    CHECK(again.height == 5);
    CHECK(again.bytes == picture.bytes);
  }
  examples::save_png(folder.file("grey.png"), counted(3, 2, 1));
  const examples::image colored = examples::load_image(folder.file("grey.png"), 3);
  for (i32 c = 0; c < 3; ++c) CHECK(colored.at(1, 2, c) == 25);
}

TEST_CASE("PGM is a line of text and the bytes", "[examples]") {
  const scratch_folder folder;
  examples::image picture(2, 3, 1);
  picture.bytes = {1, 2, 3, 4, 5, 6};
  examples::save_image(folder.file("a.pgm"), picture);
  const std::string expected = std::string("P5 2 3 255\n") + "\1\2\3\4\5\6";
  CHECK(contents(folder.file("a.pgm")) == byte_string(expected.begin(), expected.end()));
  CHECK(error_of([&] { examples::save_image(folder.file("b.pgm"), counted(2, 2, 3)); }) ==
        folder.file("b.pgm") + ": PGM takes grey pictures only");
}

TEST_CASE("what is wrong with a picture file is said in one line", "[examples]") {
  const scratch_folder folder;
  const std::string name = folder.file("a.png");
  CHECK(error_of([&] { examples::load_image(name, 1); }) ==
        name + ": cannot open: No such file or directory");
  write_bytes(name, {1, 2, 3, 4});
  CHECK(error_of([&] { examples::load_image(name, 1); }) == name + ": is no PNG or JPEG picture");
  write_bytes(name, {});
  CHECK(error_of([&] { examples::load_image(name, 1); }) == name + ": is no PNG or JPEG picture");
  examples::save_png(name, counted(40, 40, 3));
  byte_string bytes = contents(name);
  bytes.resize(bytes.size() / 2);
  write_bytes(name, bytes);
  CHECK_THAT(error_of([&] { examples::load_image(name, 1); }),
             starts_with(name + ": damaged or truncated picture ("));
  const std::string nowhere = folder.file("none/a.png");
  CHECK_THAT(error_of([&] { examples::save_png(nowhere, counted(2, 2, 1)); }),
             starts_with(nowhere + ": cannot write"));
}

TEST_CASE("the square in the middle is cut out", "[examples]") {
  const examples::image wide = counted(9, 4, 3);
  const examples::image square = examples::center_square(wide);
  CHECK(square.width == 4);
  CHECK(square.height == 4);
  for (i32 y = 0; y < 4; ++y) {
    for (i32 x = 0; x < 4; ++x) {
      for (i32 c = 0; c < 3; ++c) CHECK(square.at(y, x, c) == wide.at(y, x + 2, c));
    }
  }
  const examples::image high = counted(3, 8, 1);
  CHECK(examples::center_square(high).at(0, 1) == high.at(2, 1));
}

TEST_CASE("resizing keeps what is even, halves by averages and doubles by mixing", "[examples]") {
  const examples::image same = examples::resize(counted(6, 4, 3), 6, 4);
  CHECK(same.bytes == counted(6, 4, 3).bytes);
  const examples::image flat = examples::resize(examples::image(10, 7, 3, 99), 23, 3);
  for (const u8 byte : flat.bytes) CHECK(byte == 99);

  examples::image row(2, 1, 1);
  row.bytes = {0, 100};
  // Centres at 0.25, 0.75, 1.25, 1.75 of two pixels centred at 0.5 and 1.5.
  CHECK(examples::resize(row, 4, 1).bytes == byte_string{0, 25, 75, 100});
  examples::image four(4, 1, 1);
  four.bytes = {0, 80, 160, 240};
  // A triangle of 2 pixels either way around 1: weights 3, 3, 1 of 7, the edge being cut off.
  const byte_string half{static_cast<u8>(std::lround((3 * 80 + 160) / 7.0)),
                         static_cast<u8>(std::lround((80 + 3 * 160 + 3 * 240) / 7.0))};
  CHECK(examples::resize(four, 2, 1).bytes == half);
}

TEST_CASE("planes are the channels one after the other", "[examples]") {
  examples::image picture(2, 1, 3);
  picture.bytes = {1, 2, 3, 4, 5, 6};
  CHECK(examples::planar(picture) == std::vector<u8>{1, 4, 2, 5, 3, 6});
}

TEST_CASE("a sheet holds pictures in rows, with lines between them", "[examples]") {
  examples::sheet sheet(2, 3, shape(1, 2, 2));
  CHECK(sheet.picture().width == 3 * 4 + 2);
  CHECK(sheet.picture().height == 2 * 4 + 2);
  const float values[]{0.0f, 1.0f, 0.5f, -3.0f};
  sheet.put(1, 2, values);
  CHECK(sheet.picture().at(6, 10) == 0);
  CHECK(sheet.picture().at(6, 11) == 255);
  CHECK(sheet.picture().at(7, 10) == 128);
  CHECK(sheet.picture().at(7, 11) == 0);
  const u8 bytes[]{9, 8, 7, 6};
  sheet.put(0, 0, bytes);
  CHECK(sheet.picture().at(3, 2) == 7);
  CHECK(sheet.picture().at(0, 0) == 128);
  examples::sheet color(1, 1, shape(3, 1, 1));
  const float pixel[]{-1.0f, 0.0f, 1.0f};
  color.put(0, 0, pixel, {100.0, 50.0});
  CHECK(color.picture().at(2, 2, 0) == 50);
  CHECK(color.picture().at(2, 2, 1) == 100);
  CHECK(color.picture().at(2, 2, 2) == 150);
}

TEST_CASE("membranes are read from pairs of pictures", "[examples]") {
  const scratch_folder folder;
  const auto path = std::filesystem::path(folder.file("x")).parent_path();
  CHECK(error_of([&] { examples::load_membranes(path); }) ==
        path.string() + ": no image/0.png in it, expected image/N.png and label/N.png");
  std::filesystem::create_directory(path / "image");
  std::filesystem::create_directory(path / "label");
  examples::save_png(folder.file("image/0.png"), counted(4, 3, 1));
  CHECK(error_of([&] { examples::load_membranes(path); }) ==
        folder.file("label/0.png") + ": cannot open: No such file or directory");
  examples::image label(4, 3, 1, 255);
  label.at(1, 2) = 0;
  examples::save_png(folder.file("label/0.png"), label);
  const data::segmented_images slides = examples::load_membranes(path);
  REQUIRE(slides.size() == 1);
  CHECK(slides.picture_shape() == shape(1, 3, 4));
  CHECK(slides.bytes(0)[5] == 25);
  CHECK(slides.pixel_classes(0)[6] == 0);
  CHECK(slides.pixel_classes(0)[7] == 1);
  examples::save_png(folder.file("label/0.png"), counted(3, 4, 1));
  CHECK(error_of([&] { examples::load_membranes(path); }) ==
        folder.file("label/0.png") + ": is 3x4, expected 4x3 as the first picture");
}

TEST_CASE("the membranes of ISBI 2012 themselves are read", "[examples]") {
  const auto folder = data_set("isbi2012-membrane");
  if (folder.empty()) return;
  const data::segmented_images slides = examples::load_membranes(folder);
  CHECK(slides.size() == 30);
  CHECK(slides.picture_shape() == shape(1, 512, 512));
  double cells = 0;
  for (i64 i = 0; i < 30; ++i) {
    for (const u8 each : slides.pixel_classes(i)) cells += each;
  }
  CHECK(std::abs(cells / (30.0 * 512 * 512) - 0.780) < 0.001);
}
