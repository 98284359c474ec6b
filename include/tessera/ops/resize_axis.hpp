#pragma once

// Which cells of an image a position of a resized one reads, along one axis.
//
//   adaptive pooling     floor(i in / out) up to ceil((i + 1) in / out), all alike
//   upsample_nearest     floor(i in / out)
//   upsample_bilinear    the two cells around u = max(0, (i + 1/2) in / out - 1/2), with corners
//                        aligned u = i (in - 1) / (out - 1), by their distance from u
//
//   adaptive, 7 to 3     |0 1 2|            bilinear, 3 to 6      0     1     2
//                            |2 3 4|                              0 0 1 1 2 2
//                                |4 5 6|                            \| \| |/   shares 3/4, 1/4
//
// Whole numbers throughout, a share is made of them at the end: which cells are read never depends
// on an element type. Begins and ends never fall, so the positions that read a cell are
// consecutive. `what` is the forward kind or its gradient.

#include <tessera/ir/kind.hpp>

namespace tessera::ops {

/// Consecutive cells or positions.
struct axis_span {
  i32 begin = 0;
  i32 count = 0;
  double share = 0;  // upsample_bilinear: the weight of the second of two cells

  constexpr i32 end() const { return begin + count; }
  /// The weight of cell or position `i`.
  template <class Real>
  constexpr Real weight(i32 i) const {
    return static_cast<Real>(count < 2 ? 1.0 : i == begin ? 1.0 - share : share);
  }
};

/// One axis of a resized image.
struct resized_axis {
  kind what;
  i32 in;
  i32 out;
  bool align_corners = false;

  constexpr bool pools() const {
    return what <= kind::adaptive_max_pool2d_gradient && what >= kind::adaptive_avg_pool2d;
  }
  constexpr bool blends() const {
    return what == kind::upsample_bilinear || what == kind::upsample_bilinear_gradient;
  }

  /// The cells that position `i` reads.
  constexpr axis_span cells_of(i32 i) const {
    if (pools()) {
      const i32 begin = static_cast<i32>(i64{i} * in / out);
      return {begin, static_cast<i32>(((i64{i} + 1) * in + out - 1) / out) - begin};
    }
    if (!blends()) return {static_cast<i32>(i64{i} * in / out), 1};
    i64 numerator = i64{i} * (in - 1);
    i64 denominator = out - 1;
    if (!align_corners) {
      numerator = (2 * i64{i} + 1) * in - out;
      denominator = 2 * i64{out};
    }
    if (numerator <= 0 || denominator <= 0) return {0, 1};
    const i64 rest = numerator % denominator;
    const i32 begin = static_cast<i32>(numerator / denominator);
    if (begin >= in - 1) return {in - 1, 1};
    if (rest == 0) return {begin, 1};
    return {begin, 2, static_cast<double>(rest) / static_cast<double>(denominator)};
  }

  /// The positions that read cell `j`.
  constexpr axis_span readers_of(i32 j) const {
    i32 first = static_cast<i32>(i64{j} * out / in);
    while (first > 0 && cells_of(first - 1).end() > j) --first;
    while (first < out && cells_of(first).end() <= j) ++first;
    i32 end = first;
    while (end < out && cells_of(end).begin <= j) ++end;
    return {first, end - first};
  }

  /// The most cells that a position reads, and all positions together.
  constexpr i32 most_cells() const {
    if (!pools()) return blends() && in > 1 ? 2 : 1;
    i32 most = 0;
    for (i32 i = 0; i < out; ++i) {
      if (cells_of(i).count > most) most = cells_of(i).count;
    }
    return most;
  }
  constexpr i64 all_cells() const {
    i64 sum = 0;
    for (i32 i = 0; i < out; ++i) sum += cells_of(i).count;
    return sum;
  }
  /// The most positions that read a cell.
  constexpr i32 most_readers() const {
    i32 most = 0;
    for (i32 j = 0; j < in; ++j) {
      const i32 count = readers_of(j).count;
      if (count > most) most = count;
    }
    return most;
  }
};

}  // namespace tessera::ops
