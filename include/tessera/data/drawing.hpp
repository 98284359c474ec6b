#pragma once

// Integer arithmetic for drawing pictures: the same bits with every compiler and flag.
//
// Lengths are in 1/256 of a pixel, angles in 1/256 of a turn, sines in 1/4096.

#include <tessera/core/random.hpp>
#include <tessera/core/types.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace tessera::data::detail {

/// In [low, high], all equally likely.
constexpr i32 between(random_stream& random, i32 low, i32 high) {
  return low + static_cast<i32>(random.next_below(static_cast<u32>(high - low + 1)));
}

/// Largest whole number whose square is not above `square`.
constexpr i32 root(i64 square) {
  i64 result = 0;
  for (i64 bit = i64{1} << 30; bit > 0; bit >>= 1) {
    if ((result + bit) * (result + bit) <= square) result += bit;
  }
  return static_cast<i32>(result);
}

// Taylor's series, summed by the compiler: 11 terms are exact to double's last places up to pi.
constexpr auto sine_table = [] {
  std::array<i32, 256> table{};
  for (i32 angle = 0; angle < 256; ++angle) {
    const double x = (angle - 128) * (3.14159265358979323846 / 128);
    double term = x;
    double sum = x;
    for (i32 k = 1; k < 20; ++k) {
      term *= -x * x / ((2 * k) * (2 * k + 1));
      sum += term;
    }
    const double scaled = -4096 * sum;  // half a turn on
    table[static_cast<std::size_t>(angle)] = static_cast<i32>(scaled + (scaled < 0 ? -0.5 : 0.5));
  }
  return table;
}();

constexpr i32 sine(i32 angle) { return sine_table[static_cast<std::size_t>(angle & 255)]; }
constexpr i32 cosine(i32 angle) { return sine(angle + 64); }

/// A value that changes smoothly over a picture: random at the nodes of a grid, and between them a
/// mixture of four whose weights have no corners (3 t^2 - 2 t^3). `Cell` pixels from node to node.
template <i32 Cell>
class smooth_field {
 public:
  /// Draws the nodes for a picture of `height` x `width` pixels.
  void draw(random_stream& random, i32 height, i32 width, i32 reach) {
    columns_ = width / Cell + 2;
    node_.resize(static_cast<std::size_t>(columns_ * (height / Cell + 2)));
    for (i32& node : node_) node = between(random, -reach, reach);
  }

  /// The value at a pixel, from -reach to reach.
  i32 at(i32 row, i32 column) const {
    const i32 wy = weight(row % Cell);
    const i32 wx = weight(column % Cell);
    const i32* const node = node_.data() + row / Cell * columns_ + column / Cell;
    const i64 above = i64{node[0]} * (4096 - wx) + i64{node[1]} * wx;
    const i64 under = i64{node[columns_]} * (4096 - wx) + i64{node[columns_ + 1]} * wx;
    return static_cast<i32>((above * (4096 - wy) + under * wy) / (4096 * 4096));
  }

 private:
  // Of 4096, `step` pixels on from a node.
  static i32 weight(i32 step) {
    const i32 t = 256 * step / Cell;
    return t * t * (3 * 256 - 2 * t) / 4096;
  }

  i32 columns_ = 0;
  std::vector<i32> node_;
};

/// Adds grain of -reach to reach, all equally likely, to a picture's bytes.
inline void add_grain(random_stream& random, u8* bytes, i64 count, i32 reach) {
  u32 word = 0;
  for (i64 i = 0; i < count; ++i) {
    if (i % 4 == 0) word = random.next_u32();
    const i32 noise = static_cast<i32>((word & 255) * static_cast<u32>(2 * reach + 1) >> 8) - reach;
    word >>= 8;
    bytes[i] = static_cast<u8>(std::clamp(bytes[i] + noise, 0, 255));
  }
}

}  // namespace tessera::data::detail
