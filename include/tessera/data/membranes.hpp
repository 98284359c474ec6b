#pragma once

// Drawn membranes: pictures like those of an electron microscope, with the class of every pixel,
// made here, for where there is no data to read.
//
//   a site for each cell, on an uneven grid
//     -> a smooth displacement bends space: borders are no straight lines
//     -> a pixel belongs to its nearest site; near the border to the next cell it is membrane
//     -> cells grey, each its own, uneven inside; dark granules in some of them
//     -> membranes dark, here more, there less
//     -> blur, grain
//
// A granule is as dark as a membrane and is none: brightness alone does not tell them apart.
//
// Picture i is a function of (seed, i). All arithmetic is on integers, so a seed means the same
// bytes on every compiler, with every flag.
// Cost: about 7 ms for a picture of 256 x 256 (g++ 12 -O2, one core, 2 pictures).
// Source: nearest-site cells after Worley 1996, A Cellular Texture Basis Function.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/drawing.hpp>
#include <tessera/data/segments.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

namespace detail {

/// One slide, used again for every picture.
class membrane_drawing {
 public:
  /// Draws picture `index` of `seed` to side x side bytes, and to `classes` 0 for membrane and 1
  /// for cell.
  void draw(u64 seed, u64 index, i32 side, u8* image, u8* classes) {
    // The upper part says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x63656c6c} << 32;
    random_stream random(seed, purpose + index);
    settle(random, side);
    constexpr i32 bend = 5 * 256;
    bend_x_.draw(random, side, side, bend);
    bend_y_.draw(random, side, side, bend);
    texture_.draw(random, side, side, 22);
    pressure_.draw(random, side, side, 40);
    const i32 half_width = between(random, 300, 460);  // of a membrane
    for (i32 row = 0; row < side; ++row) {
      for (i32 column = 0; column < side; ++column) {
        const i32 y = row * 256 + bend_y_.at(row, column);
        const i32 x = column * 256 + bend_x_.at(row, column);
        const found_cell found = look(x, y, half_width);
        const i32 i = row * side + column;
        classes[i] = found.membrane ? 0 : 1;
        i32 grey = found.grey + texture_.at(row, column);
        if (found.granule) grey = 70 + texture_.at(row, column);
        if (found.membrane) grey = 75 + pressure_.at(row, column);
        image[i] = static_cast<u8>(std::clamp(grey, 0, 255));
      }
    }
    blur(image, side);
    add_grain(random, image, i64{side} * side, between(random, 15, 35));
  }

 private:
  struct site {
    i32 x = 0;
    i32 y = 0;
    i32 grey = 0;
    i32 granule_x = 0;
    i32 granule_y = 0;
    i32 granule_radius = 0;  // 0: no granule
  };

  struct found_cell {
    i32 grey = 0;
    bool membrane = false;
    bool granule = false;
  };

  // A site in every field of a grid that reaches beyond the picture by two fields.
  void settle(random_stream& random, i32 side) {
    pitch_ = between(random, 24 * 256, 36 * 256);
    across_ = side * 256 / pitch_ + 1 + 2 * beyond;
    sites_.resize(static_cast<std::size_t>(across_ * across_));
    for (i32 j = 0; j < across_; ++j) {
      for (i32 i = 0; i < across_; ++i) {
        site& at = sites_[static_cast<std::size_t>(j * across_ + i)];
        const i32 reach = pitch_ * 2 / 5;
        at.x = (i - beyond) * pitch_ + pitch_ / 2 + between(random, -reach, reach);
        at.y = (j - beyond) * pitch_ + pitch_ / 2 + between(random, -reach, reach);
        at.grey = between(random, 140, 200);
        at.granule_x = at.x + between(random, -pitch_ / 5, pitch_ / 5);
        at.granule_y = at.y + between(random, -pitch_ / 5, pitch_ / 5);
        at.granule_radius =
            between(random, 0, 2) == 0 ? 0 : between(random, 2 * 256, 4 * 256 + 128);
      }
    }
  }

  // The cell at a place: that of the nearest site. Membrane is what lies within `half_width` of the
  // line in the middle between that site and any other; the distance to that line is the difference
  // of the squared distances by twice the distance of the sites, compared here in squares. Sites
  // stay in their own field, so all that count are in the 5 x 5 fields around.
  found_cell look(i32 x, i32 y, i64 half_width) const {
    const i32 field_x = std::clamp(floor_divide(x, pitch_) + beyond, 2, across_ - 3);
    const i32 field_y = std::clamp(floor_divide(y, pitch_) + beyond, 2, across_ - 3);
    const site* const corner = sites_.data() + (field_y - 2) * across_ + field_x - 2;
    i64 square[5][5];
    const site* nearest = corner;
    i64 least = distance(corner->x - x, corner->y - y);
    for (i32 j = 0; j < 5; ++j) {
      for (i32 i = 0; i < 5; ++i) {
        const site& at = corner[j * across_ + i];
        square[j][i] = distance(at.x - x, at.y - y);
        if (square[j][i] < least) {
          nearest = &at;
          least = square[j][i];
        }
      }
    }
    found_cell found{nearest->grey, false, false};
    for (i32 j = 0; j < 5; ++j) {
      for (i32 i = 0; i < 5; ++i) {
        const site& at = corner[j * across_ + i];
        const i64 more = square[j][i] - least;
        const i64 apart = distance(at.x - nearest->x, at.y - nearest->y);
        found.membrane |= &at != nearest && more * more < 4 * half_width * half_width * apart;
      }
    }
    const i64 radius = nearest->granule_radius;
    found.granule = distance(nearest->granule_x - x, nearest->granule_y - y) < radius * radius;
    return found;
  }

  static i64 distance(i64 dx, i64 dy) { return dx * dx + dy * dy; }

  static i32 floor_divide(i32 a, i32 b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

  // 3 x 3, binomial.
  void blur(u8* image, i32 side) {
    sharp_.assign(image, image + i64{side} * side);
    const auto at = [&](i32 row, i32 column) {
      row = std::clamp(row, 0, side - 1);
      column = std::clamp(column, 0, side - 1);
      return static_cast<i32>(sharp_[static_cast<std::size_t>(row * side + column)]);
    };
    const auto along = [&](i32 row, i32 column) {
      return at(row, column - 1) + 2 * at(row, column) + at(row, column + 1);
    };
    for (i32 row = 0; row < side; ++row) {
      for (i32 column = 0; column < side; ++column) {
        const i32 sum = along(row - 1, column) + 2 * along(row, column) + along(row + 1, column);
        image[row * side + column] = static_cast<u8>(sum / 16);
      }
    }
  }

  static constexpr i32 beyond = 2;

  i32 pitch_ = 256;
  i32 across_ = 0;
  std::vector<site> sites_;
  std::vector<u8> sharp_;
  smooth_field<16> bend_x_;
  smooth_field<16> bend_y_;
  smooth_field<5> texture_;
  smooth_field<24> pressure_;
};

}  // namespace detail

/// `count` drawn pictures of `side` x `side`, grey, with classes 0 (membrane) and 1 (cell). Picture
/// i depends on (seed, side, i) alone.
///
/// Values   scaled to mean 0 and deviation 1 over all pictures
/// Errors   fewer than 1 or more than 10,000 pictures; a side not of 16 to 4096
inline segmented_images drawn_membranes(i64 count, i32 side, u64 seed) {
  if (count < 1 || count > 10'000 || side < 16 || side > 4096) {
    throw error("drawn_membranes: expected 1 to 10000 pictures of 16x16 to 4096x4096, got " +
                std::to_string(count) + " of " + std::to_string(side) + "x" + std::to_string(side));
  }
  const i64 pixels = i64{side} * side;
  std::vector<u8> bytes(static_cast<std::size_t>(count * pixels));
  std::vector<u8> classes(bytes.size());
  detail::membrane_drawing drawing;
  for (i64 i = 0; i < count; ++i) {
    drawing.draw(seed, static_cast<u64>(i), side, bytes.data() + i * pixels,
                 classes.data() + i * pixels);
  }
  const scaling meaning = standard_scaling(bytes);
  return segmented_images(shape(1, side, side), std::move(bytes), std::move(classes), 2, meaning);
}

}  // namespace tessera::data
