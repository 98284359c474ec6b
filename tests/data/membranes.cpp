#include <tessera/data/membranes.hpp>

#include <support/catch.hpp>
#include <support/data_sets.hpp>  // digest
#include <support/idx_files.hpp>  // error_of

#include <algorithm>
#include <cmath>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("drawn membranes come in the count and size asked for", "[data]") {
  const data::segmented_images slides = data::drawn_membranes(3, 64, 1);
  CHECK(slides.size() == 3);
  CHECK(slides.picture_shape() == shape(1, 64, 64));
  CHECK(slides.classes() == 2);
  CHECK(error_of([] { data::drawn_membranes(0, 64, 1); }) ==
        "drawn_membranes: expected 1 to 10000 pictures of 16x16 to 4096x4096, got 0 of 64x64");
  CHECK(error_of([] { data::drawn_membranes(1, 15, 1); }) ==
        "drawn_membranes: expected 1 to 10000 pictures of 16x16 to 4096x4096, got 1 of 15x15");
}

TEST_CASE("a picture of membranes depends on seed and index alone", "[data]") {
  const data::segmented_images few = data::drawn_membranes(2, 48, 5);
  const data::segmented_images many = data::drawn_membranes(4, 48, 5);
  const data::segmented_images other = data::drawn_membranes(2, 48, 6);
  const auto same = [](std::span<const u8> a, std::span<const u8> b) {
    return std::equal(a.begin(), a.end(), b.begin());
  };
  for (i64 i = 0; i < 2; ++i) {
    CHECK(same(few.bytes(i), many.bytes(i)));
    CHECK(same(few.pixel_classes(i), many.pixel_classes(i)));
    CHECK_FALSE(same(few.bytes(i), other.bytes(i)));
    CHECK_FALSE(same(few.pixel_classes(i), many.pixel_classes(i + 2)));
  }
}

TEST_CASE("a seed means the same membranes with every compiler", "[data]") {
  // Got with g++ 12 -O2; clang++ 16 -O0 and g++ 12 -O3 -march=native -ffast-math agreed.
  const data::segmented_images slides = data::drawn_membranes(2, 100, 1);
  digest all;
  for (i64 i = 0; i < 2; ++i) all.add(slides.bytes(i)).add(slides.pixel_classes(i));
  CHECK(all.value() == 0x5fab1f70a5f7f371u);
}

TEST_CASE("cells take most of a picture and membranes part them", "[data]") {
  const data::segmented_images slides = data::drawn_membranes(8, 128, 2);
  for (i64 i = 0; i < 8; ++i) {
    const std::span<const u8> classes = slides.pixel_classes(i);
    const auto cells = std::count(classes.begin(), classes.end(), u8{1});
    const double share = static_cast<double>(cells) / static_cast<double>(classes.size());
    CHECK((share > 0.70 && share < 0.92));
    // Cells are flooded from their pixels: as many as the picture has room for, none of them much
    // larger than a field of the grid.
    std::vector<i32> cell(classes.size(), 0);
    std::vector<i32> stack;
    std::vector<i32> size;
    for (i32 start = 0; start < 128 * 128; ++start) {
      if (classes[static_cast<std::size_t>(start)] == 0 || cell[static_cast<std::size_t>(start)]) {
        continue;
      }
      size.push_back(0);
      const i32 number = static_cast<i32>(size.size());
      cell[static_cast<std::size_t>(start)] = number;
      stack.push_back(start);
      while (!stack.empty()) {
        const i32 at = stack.back();
        stack.pop_back();
        ++size.back();
        const i32 x = at % 128, y = at / 128;
        for (const auto& [dx, dy] : {std::pair{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
          if (x + dx < 0 || x + dx > 127 || y + dy < 0 || y + dy > 127) continue;
          const std::size_t to = static_cast<std::size_t>((y + dy) * 128 + x + dx);
          if (classes[to] == 0 || cell[to]) continue;
          cell[to] = number;
          stack.push_back(static_cast<i32>(to));
        }
      }
    }
    CHECK(size.size() >= 12);
    CHECK(*std::max_element(size.begin(), size.end()) < 4000);
  }
}

TEST_CASE("membranes are dark, but brightness alone does not tell them", "[data]") {
  const data::segmented_images slides = data::drawn_membranes(6, 128, 3);
  std::vector<double> dark(256), bright(256);
  for (i64 i = 0; i < 6; ++i) {
    for (std::size_t k = 0; k < 128 * 128; ++k) {
      ++(slides.pixel_classes(i)[k] == 0 ? dark : bright)[slides.bytes(i)[k]];
    }
  }
  const double pixels = 6 * 128 * 128;
  double membranes = 0;
  for (const double each : dark) membranes += each;
  // The best threshold, found by trying all: its errors, and what always saying "cell" makes.
  double wrong = membranes, best = wrong;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    wrong += bright[byte] - dark[byte];
    best = std::min(best, wrong);
  }
  CAPTURE(best / pixels, membranes / pixels);
  CHECK(best < 0.75 * membranes);  // there is something to see
  CHECK(best > 0.04 * pixels);     // and something to learn
}
