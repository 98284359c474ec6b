#pragma once

// Drawn digits: pictures like MNIST's, made here, for where there is no data to read.
//
//   habit of writing   ->  an unsteady hand moves its points
//                      ->  size, width, slant, rotation        (a matrix)
//                      ->  a smooth random displacement        (elastic distortion)
//                      ->  place in the 28 x 28 picture
//                      ->  a round pen of changing width, antialiased
//                      ->  blur, pressure, grain
//
// Sample i is a function of (seed, i): any part of a set can be made again without the rest. All
// arithmetic is on integers (lengths in 1/256 pixel), so a seed means the same bytes on every
// compiler, with every flag.
//
// The digits move, lean and swell so much that no template per class fits them: trained on 10,000
// to convergence, softmax regression on the pixels knows 84.4 % of 2,000 fresh digits, where
// LeNet-5 knows 96.8 % after 1 epoch and 99.3 % after 5 (seed 1; tests/data/digits.cpp holds the
// former).
//
// Cost: about 14 microseconds and 784 bytes a sample: 60,000 in 0.8 s (g++ 12 -O2, one core of a
// Zen 3).
// Source: elastic distortion after Simard, Steinkraus, Platt 2003, Best Practices for Convolutional
// Neural Networks, here a cubic B-spline over random nodes that moves the pen instead of the
// pixels.

#include <tessera/core/error.hpp>
#include <tessera/core/random.hpp>
#include <tessera/core/shape.hpp>
#include <tessera/core/types.hpp>
#include <tessera/data/dataset.hpp>
#include <tessera/data/glyphs.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace tessera::data {

/// Height and width of a drawn digit's picture.
constexpr i32 digit_pixels = 28;

namespace detail {

constexpr i32 pixel = 256;  // lengths are in 1/256 of a pixel

// A place of the pen's centre, and the pen's radius there.
struct pen_mark {
  i32 x = 0;
  i32 y = 0;
  i32 radius = 0;
};

/// One sheet of paper, used again for every digit.
class digit_drawing {
 public:
  /// Draws sample `index` of `seed` to 28 x 28 bytes at `image` (0 paper, 255 ink); returns its
  /// label.
  i32 draw(u64 seed, u64 index, u8* image) {
    // The upper part says what the stream is for, so that no other use of the seed shares it.
    constexpr u64 purpose = u64{0x64696769} << 32;
    random_stream random(seed, purpose + index);
    const i32 digit = below(random, 10);
    const auto habits = glyphs_of(digit);
    const glyph& habit = habits[random.next_below(static_cast<u32>(habits.size()))];
    write(habit, random);
    distort(random);
    put_in_place(random);
    ink(image);
    develop(image, random);
    return digit;
  }

 private:
  static constexpr i32 cells = 4;  // of the displacement field, in each direction
  static constexpr i32 nodes = cells + 3;

  static i32 below(random_stream& random, i32 n) {
    return static_cast<i32>(random.next_below(static_cast<u32>(n)));
  }

  // In [low, high], all equally likely.
  static i32 between(random_stream& random, i32 low, i32 high) {
    return low + below(random, high - low + 1);
  }

  // In [-reach, reach], small values more likely (a triangle).
  static i32 around_zero(random_stream& random, i32 reach) {
    const i32 first = below(random, reach + 1);
    const i32 second = below(random, reach + 1);
    return first - second;
  }

  // The pen's marks, around a centre of 0, 0.
  void write(const glyph& habit, random_stream& random) {
    // Pixels/256 for each of the 100 units of the box: 20 pixels high is 51.
    const i32 height = between(random, 40, 58);
    const i32 width = height * between(random, 72, 118) / 100;
    // 4096 is 1. Positive slant leans to the right, as most people do.
    const i32 slant = 350 + around_zero(random, 1500);
    const i32 angle = around_zero(random, 1300);
    const i32 cosine = 4096 - angle * angle / 8192;
    const i32 sine = angle - angle * angle / 4096 * angle / (6 * 4096);
    const i32 radius = between(random, 190, 400);

    marks_.clear();
    for (const pen_stroke& stroke : habit.stroke) {
      if (stroke.count == 0) continue;
      pen_point at[pen_stroke::max_points];
      for (i32 i = 0; i < stroke.count; ++i) {
        if (i > 0 && stroke.point[i] == stroke.point[i - 1]) {
          at[i] = at[i - 1];  // a corner stays a corner
          continue;
        }
        const i32 x = (stroke.point[i].x - 50) * 16 + around_zero(random, 6 * 16);
        const i32 y = (stroke.point[i].y - 50) * 16 + around_zero(random, 6 * 16);
        const i32 tall = y * height / 16;
        const i32 wide = x * width / 16 - tall * slant / 4096;
        at[i].x = (wide * cosine - tall * sine) / 4096;
        at[i].y = (wide * sine + tall * cosine) / 4096;
      }
      const i32 start = radius + around_zero(random, 70);
      const i32 end = radius + around_zero(random, 70);
      follow(at, stroke.count, start, end);
    }
  }

  // Marks along the spline through the points, about half a pixel apart.
  void follow(const pen_point* at, i32 count, i32 start_radius, i32 end_radius) {
    for (i32 i = 0; i + 1 < count; ++i) {
      const pen_point a = at[std::max(i - 1, 0)];
      const pen_point b = at[i];
      const pen_point c = at[i + 1];
      const pen_point d = at[std::min(i + 2, count - 1)];
      const i32 chord = std::max(std::abs(c.x - b.x), std::abs(c.y - b.y));
      const i32 steps = chord / (pixel / 2) + 1;
      for (i32 step = 0; step < steps + (i + 2 == count); ++step) {
        const i32 t = step * 256 / steps;
        const i32 radius =
            start_radius + (end_radius - start_radius) * (i * 256 + t) / ((count - 1) * 256);
        marks_.push_back({spline(a.x, b.x, c.x, d.x, t), spline(a.y, b.y, c.y, d.y, t), radius});
      }
    }
  }

  // Catmull and Rom's spline between b (t = 0) and c (t = 256).
  static i32 spline(i64 a, i64 b, i64 c, i64 d, i64 t) {
    const i64 cubic = 3 * (b - c) + d - a;
    const i64 square = 2 * a - 5 * b + 4 * c - d;
    return static_cast<i32>(b + (((cubic * t / 256 + square) * t / 256 + c - a) * t) / 512);
  }

  // Moves every mark by a field that is smooth over some 8 pixels.
  void distort(random_stream& random) {
    constexpr i32 reach = 3 * pixel;  // of a node; what is left after smoothing is about 1 pixel
    for (auto& row : move_x_) {
      for (i32& node : row) node = between(random, -reach, reach);
    }
    for (auto& row : move_y_) {
      for (i32& node : row) node = between(random, -reach, reach);
    }
    for (pen_mark& mark : marks_) {
      i32 weight_x[4];
      i32 weight_y[4];
      const i32 cell_x = locate(mark.x, weight_x);
      const i32 cell_y = locate(mark.y, weight_y);
      i64 move_x = 0;
      i64 move_y = 0;
      for (i32 j = 0; j < 4; ++j) {
        i32 along_x = 0;
        i32 along_y = 0;
        for (i32 i = 0; i < 4; ++i) {
          along_x += weight_x[i] * move_x_[cell_y + j][cell_x + i];
          along_y += weight_x[i] * move_y_[cell_y + j][cell_x + i];
        }
        move_x += i64{along_x} * weight_y[j];
        move_y += i64{along_y} * weight_y[j];
      }
      mark.x += static_cast<i32>(move_x / (4096 * 4096));
      mark.y += static_cast<i32>(move_y / (4096 * 4096));
    }
  }

  // The field's cell and the four weights (of 4096) of a cubic B-spline there.
  static i32 locate(i32 at, i32 (&weight)[4]) {
    constexpr i32 cell_width = 8 * pixel;
    const i32 from_left = std::clamp(at + cells * cell_width / 2, 0, cells * cell_width - 1);
    const i32 t = from_left % cell_width / (cell_width / 16);  // of 16: cubes are of 4096
    const i32 u = 16 - t;
    weight[0] = u * u * u / 6;
    weight[3] = t * t * t / 6;
    weight[1] = (3 * t * t * t - 6 * 16 * t * t + 4 * 4096) / 6;
    weight[2] = 4096 - weight[0] - weight[1] - weight[3];
    return from_left / cell_width;
  }

  // Moves the marks to the middle of the picture and a little off it, but not over the edge where
  // they fit.
  void put_in_place(random_stream& random) {
    i32 left = marks_[0].x, right = left, top = marks_[0].y, bottom = top;
    for (const pen_mark& mark : marks_) {
      left = std::min(left, mark.x - mark.radius);
      right = std::max(right, mark.x + mark.radius);
      top = std::min(top, mark.y - mark.radius);
      bottom = std::max(bottom, mark.y + mark.radius);
    }
    const i32 move_x = placement(left, right, around_zero(random, 4 * pixel));
    const i32 move_y = placement(top, bottom, around_zero(random, 4 * pixel));
    for (pen_mark& mark : marks_) {
      mark.x += move_x;
      mark.y += move_y;
    }
  }

  static i32 placement(i32 low, i32 high, i32 wish) {
    constexpr i32 margin = pixel;
    const i32 room = std::max(0, (digit_pixels * pixel - 2 * margin - (high - low)) / 2);
    return digit_pixels * pixel / 2 - (low + high) / 2 + std::clamp(wish, -room, room);
  }

  // Every pixel takes the deepest ink that a mark leaves on it: half at the pen's edge, and from
  // none to full over about a pixel across it. The edge is judged by squared distances.
  void ink(u8* image) const {
    std::fill(image, image + digit_pixels * digit_pixels, u8{0});
    for (const pen_mark& mark : marks_) {
      const i32 reach = mark.radius + pixel;
      const i32 left = std::max(0, (mark.x - reach) / pixel);
      const i32 right = std::min(digit_pixels - 1, (mark.x + reach) / pixel);
      const i32 top = std::max(0, (mark.y - reach) / pixel);
      const i32 bottom = std::min(digit_pixels - 1, (mark.y + reach) / pixel);
      const i32 square = mark.radius * mark.radius;
      const i32 gain = (255 << 16) / (2 * mark.radius * pixel);
      for (i32 row = top; row <= bottom; ++row) {
        const i32 dy = row * pixel + pixel / 2 - mark.y;
        for (i32 column = left; column <= right; ++column) {
          const i32 dx = column * pixel + pixel / 2 - mark.x;
          const i32 depth = 128 + (square - dx * dx - dy * dy) * gain / 65536;
          u8& there = image[row * digit_pixels + column];
          there = static_cast<u8>(std::max<i32>(there, std::min(depth, 255)));
        }
      }
    }
  }

  // Blur (3 x 3, binomial), pressure and grain.
  void develop(u8* image, random_stream& random) {
    constexpr i32 n = digit_pixels;
    const i32 blur = below(random, 257);
    const i32 pressure = between(random, 170, 256);
    const i32 grain = below(random, 49);
    std::array<i32, n * n> across;
    for (i32 row = 0; row < n; ++row) {
      const u8* from = image + row * n;
      i32* to = across.data() + row * n;
      to[0] = 2 * from[0] + from[1];
      for (i32 column = 1; column + 1 < n; ++column) {
        to[column] = from[column - 1] + 2 * from[column] + from[column + 1];
      }
      to[n - 1] = from[n - 2] + 2 * from[n - 1];
    }
    for (i32 row = 0; row < n; ++row) {
      const i32 above = row > 0 ? -n : 0;
      const i32 under = row + 1 < n ? n : 0;
      u32 word = 0;
      for (i32 column = 0; column < n; ++column) {
        const i32 i = row * n + column;
        const auto at = across.begin() + i;
        const i32 smooth = (at[above] + 2 * at[0] + at[under]) / 16;
        const i32 mixed = (smooth * blur + image[i] * (256 - blur)) / 256;
        if (column % 4 == 0) word = random.next_u32();
        const i32 noise = static_cast<i32>(word & 255) * grain / 256 - grain / 2;
        word >>= 8;
        image[i] = static_cast<u8>(std::clamp(mixed * pressure / 256 + noise, 0, 255));
      }
    }
  }

  std::vector<pen_mark> marks_;
  i32 move_x_[nodes][nodes] = {};
  i32 move_y_[nodes][nodes] = {};
};

}  // namespace detail

/// `train` and `test` drawn digits, 1x28x28, 10 classes, about equally many of each. Training digit
/// i depends on (seed, i) alone; test digits are others than any training digit of the same seed.
///
/// Values   scaled to mean 0 and deviation 1 over the training images, the same for the test images
/// Errors   fewer than 1 training digit, fewer than 0 test digits, more than 2^31 - 1 of either
inline split drawn_digits(i64 train, i64 test, u64 seed) {
  constexpr i64 most = (i64{1} << 31) - 1;
  if (train < 1 || test < 0 || train > most || test > most) {
    throw error("drawn_digits: expected 1 to 2147483647 training and 0 to 2147483647 test digits" +
                std::string(", got ") + std::to_string(train) + " and " + std::to_string(test));
  }
  detail::digit_drawing drawing;
  const auto make = [&](i64 count, u64 first, std::vector<i32>& labels) {
    constexpr i64 sample = digit_pixels * digit_pixels;
    std::vector<u8> bytes(static_cast<std::size_t>(count * sample));
    labels.resize(static_cast<std::size_t>(count));
    for (i64 i = 0; i < count; ++i) {
      labels[static_cast<std::size_t>(i)] =
          drawing.draw(seed, first + static_cast<u64>(i), bytes.data() + i * sample);
    }
    return bytes;
  };
  std::vector<i32> train_labels;
  std::vector<i32> test_labels;
  std::vector<u8> train_bytes = make(train, 0, train_labels);
  std::vector<u8> test_bytes = make(test, u64{1} << 31, test_labels);
  const scaling meaning = standard_scaling(train_bytes);
  const shape sample(1, digit_pixels, digit_pixels);
  return {dataset(sample, std::move(train_bytes), std::move(train_labels), 10, meaning),
          dataset(sample, std::move(test_bytes), std::move(test_labels), 10, meaning)};
}

}  // namespace tessera::data
