#pragma once

// Drawn shapes: colour pictures of the size of CIFAR-10's, made here, for where there is no data to
// read.
//
//   0 disc   1 ring   2 square   3 triangle   4 cross   5 crescent      a shape on a background
//   6 stripes   7 checks   8 dots   9 waves                             a pattern all over
//
//   two colours, each a little uneven  ->  place, size, rotation of the shape or pattern
//                                      ->  a smooth displacement  ->  2 x 2 samples a pixel  ->
//                                      grain
//
// Colours say nothing of the class, dark on light is as likely as light on dark, and places and
// angles are random: so the pixels of a class have the mean of all classes, and a linear model has
// nothing to hold on to. What tells the classes apart is edges and how they meet.
//
// Sample i is a function of (seed, i). All arithmetic is on integers, so a seed means the same
// bytes on every compiler, with every flag.
//
// Trained on 4,000, softmax regression on the pixels knows 16 % of 1,000 fresh shapes
// (tests/data/shapes.cpp holds it under 30 %). Three convolutions of 16, 32 and 64 channels and a
// dense layer, trained on 8,000 by Adam, know 92.1 to 95.5 % of 2,000 fresh ones after 5 epochs and
// 96.8 to 99.0 % after 10 (drawing seed 1, three seeds of training, each with and without
// `augmented`).
//
// Cost: about 60 microseconds and 3,072 bytes a sample (g++ 12 -O2, one core, 2,000 samples).

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/drawing.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tessera::data {

/// The classes in the order of their labels.
inline constexpr std::array<std::string_view, 10> shape_names{
    "disc",     "ring",    "square", "triangle", "cross",
    "crescent", "stripes", "checks", "dots",     "waves"};

/// Height and width of a drawn shape's picture.
constexpr i32 shape_pixels = 32;

namespace detail {

/// One sheet of paper, used again for every picture.
class shape_drawing {
 public:
  /// Draws sample `index` of `seed` to 3 x 32 x 32 bytes; returns its label.
  i32 draw(u64 seed, u64 index, u8* image) {
    // The upper part says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x73686170} << 32;
    random_stream random(seed, purpose + index);
    const i32 label = between(random, 0, 9);
    arrange(label, random);
    color(random);
    for (i32 row = 0; row < n; ++row) {
      for (i32 column = 0; column < n; ++column) {
        const i32 x = column * 256 + bend_x_.at(row, column);
        const i32 y = row * 256 + bend_y_.at(row, column);
        i32 inside = 0;  // of 4
        for (const i32 dy : {64, 192}) {
          for (const i32 dx : {64, 192}) inside += covers(label, x + dx, y + dy);
        }
        const i32 shade_back = shade_back_.at(row, column);
        const i32 shade_front = shade_front_.at(row, column);
        for (i32 c = 0; c < 3; ++c) {
          const i32 back = back_[c] + shade_back;
          const i32 front = front_[c] + shade_front;
          image[(c * n + row) * n + column] =
              static_cast<u8>(std::clamp((front * inside + back * (4 - inside)) / 4, 0, 255));
        }
      }
    }
    add_grain(random, image, 3 * n * n, between(random, 0, 20));
    return label;
  }

 private:
  static constexpr i32 n = shape_pixels;

  void arrange(i32 label, random_stream& random) {
    const i32 angle = between(random, 0, 255);
    cosine_ = cosine(angle);
    sine_ = sine(angle);
    if (label < 6) {
      size_ = between(random, 7 * 256, 12 * 256);
      const i32 room = n * 256 / 2 - size_ + 2 * 256;  // up to 2 pixels over the edge
      center_x_ = n * 256 / 2 + between(random, -room, room);
      center_y_ = n * 256 / 2 + between(random, -room, room);
    } else {
      size_ = between(random, 2 * 256 + 128, 5 * 256);
      center_x_ = between(random, 0, n * 256);
      center_y_ = between(random, 0, n * 256);
    }
    bend_x_.draw(random, n, n, 200);
    bend_y_.draw(random, n, n, 200);
  }

  // Each channel of one colour is 60 to 196 from the other's on a circle of 256, so that front and
  // back differ in every channel by at least 60, either way.
  void color(random_stream& random) {
    for (i32 c = 0; c < 3; ++c) {
      back_[c] = between(random, 0, 255);
      front_[c] = (back_[c] + between(random, 60, 196)) & 255;
    }
    shade_back_.draw(random, n, n, 25);
    shade_front_.draw(random, n, n, 25);
  }

  bool covers(i32 label, i32 x, i32 y) const {
    const i64 r = size_;
    const i64 dx = x - center_x_;
    const i64 dy = y - center_y_;
    const i64 u = (dx * cosine_ + dy * sine_) / 4096;
    const i64 v = (dy * cosine_ - dx * sine_) / 4096;
    const i64 square = u * u + v * v;
    const i64 across = std::abs(u);
    const i64 along = std::abs(v);
    switch (label) {
      case 0: return square < r * r;
      case 1: return square < r * r && square * 9 > r * r * 4;  // a hole of 2/3
      case 2: return std::max(across, along) * 8 < r * 7;
      case 3:  // equilateral; its corners are 1.25 r from the centre; 1774 is the root of 3 x 1024
        return v * 8 > -r * 5 && v * 1024 + across * 1774 < r * 1280;
      case 4: return std::max(across, along) < r && std::min(across, along) * 7 < r * 2;
      case 5: {
        const i64 moved = u - r / 2;
        return square < r * r && (moved * moved + v * v) * 16 > r * r * 11;
      }
      case 6: return odd(u, r);
      case 7: return odd(u, r) != odd(v, r);
      case 8: {
        const i64 pitch = 2 * r;
        const i64 from_u = remainder(u, pitch) - r;
        const i64 from_v = remainder(v, pitch) - r;
        return (from_u * from_u + from_v * from_v) * 100 < r * r * 40;
      }
      default: return root(square) / r % 2 != 0;
    }
  }

  // At least 0, for negative numbers as well.
  static i32 remainder(i64 a, i64 b) {
    const i32 rest = static_cast<i32>(a) % static_cast<i32>(b);  // 64 bits divide much slower
    return rest < 0 ? rest + static_cast<i32>(b) : rest;
  }

  // Whether an odd number of whole steps lie between 0 and `a`.
  static bool odd(i64 a, i64 step) { return remainder(a, 2 * step) >= step; }

  i32 cosine_ = 4096;
  i32 sine_ = 0;
  i32 size_ = 0;
  i32 center_x_ = 0;
  i32 center_y_ = 0;
  i32 back_[3] = {};
  i32 front_[3] = {};
  smooth_field<8> bend_x_;
  smooth_field<8> bend_y_;
  smooth_field<16> shade_back_;
  smooth_field<16> shade_front_;
};

}  // namespace detail

/// `train` and `test` drawn shapes, 3x32x32, 10 classes, about equally many of each. Training shape
/// i depends on (seed, i) alone; test shapes are others than any training shape of the same seed.
///
/// Values   0 to 1; `normalized` gives every channel its mean and deviation
/// Errors   fewer than 1 training shape, fewer than 0 test shapes, more than 2^31 - 1 of either
inline split drawn_shapes(i64 train, i64 test, u64 seed) {
  constexpr i64 most = (i64{1} << 31) - 1;
  if (train < 1 || test < 0 || train > most || test > most) {
    throw error("drawn_shapes: expected 1 to 2147483647 training and 0 to 2147483647 test shapes" +
                std::string(", got ") + std::to_string(train) + " and " + std::to_string(test));
  }
  detail::shape_drawing drawing;
  const shape sample(3, shape_pixels, shape_pixels);
  const auto make = [&](i64 count, u64 first) {
    std::vector<u8> bytes(static_cast<std::size_t>(count * sample.count()));
    std::vector<i32> labels(static_cast<std::size_t>(count));
    for (i64 i = 0; i < count; ++i) {
      labels[static_cast<std::size_t>(i)] =
          drawing.draw(seed, first + static_cast<u64>(i), bytes.data() + i * sample.count());
    }
    return dataset(sample, std::move(bytes), std::move(labels), 10, scaling{});
  };
  dataset first = make(train, 0);
  return {std::move(first), make(test, u64{1} << 31)};
}

}  // namespace tessera::data
