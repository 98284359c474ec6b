#pragma once

// The sizes in a signature of operations over axes: what broadcasts, reductions, permute, glu.

#include <tessera/ops/sizes.hpp>

namespace tessera {

/// glu and its gradient. x is `rows` rows of two runs of `run` elements, y of one.
struct gate_sizes {
  i32 rows, run;

  static constexpr gate_sizes of(const signature& s) { return {s.n[0], s.n[1]}; }
  constexpr void write(signature& s) const { s.n[0] = rows, s.n[1] = run; }
  constexpr i32 count() const { return rows * run; }
};

/// Operands of which one has all axes and others only some: operations that broadcast, reductions,
/// expand. Axes as they lie in memory, outermost first, neighbours that nobody tells apart joined,
/// extents of 1 left out; where nothing is left, one axis of extent 1.
struct axes_sizes {
  static constexpr i32 max_axes = 7;

  i32 axes = 1;
  i32 extent[max_axes] = {1, 0, 0, 0, 0, 0, 0};
  u32 has[2] = {1, 1};  // bit i: operand 0, 1 has axis i, else one value stands for all of it

  static constexpr axes_sizes of(const signature& s) {
    axes_sizes sizes;
    sizes.axes = s.n[0];
    for (i32 i = 0; i < max_axes; ++i) sizes.extent[i] = s.n[1 + i];
    for (i32 i = 0; i < 2; ++i) sizes.has[i] = static_cast<u32>(s.n[8 + i]);
    return sizes;
  }
  constexpr void write(signature& s) const {
    s.n[0] = axes;
    for (i32 i = 0; i < max_axes; ++i) s.n[1 + i] = extent[i];
    for (i32 i = 0; i < 2; ++i) s.n[8 + i] = static_cast<i32>(has[i]);
  }
  /// Elements of what has all axes.
  constexpr i64 count() const {
    i64 n = 1;
    for (i32 i = 0; i < axes; ++i) n *= extent[i];
    return n;
  }
  constexpr bool has_axis(i32 operand, i32 axis) const { return (has[operand] >> axis & 1) != 0; }
  /// Elements of an operand.
  constexpr i64 count_of(i32 operand) const {
    i64 n = 1;
    for (i32 i = 0; i < axes; ++i) n *= has_axis(operand, i) ? extent[i] : 1;
    return n;
  }
  /// How many elements of the whole stand for one of an operand.
  constexpr i64 times(i32 operand) const { return count() / count_of(operand); }
  /// How far neighbours along an axis are apart in an operand: 0 where it has not the axis.
  constexpr i64 step(i32 operand, i32 axis) const {
    if (!has_axis(operand, axis)) return 0;
    i64 n = 1;
    for (i32 i = axis + 1; i < axes; ++i) n *= has_axis(operand, i) ? extent[i] : 1;
    return n;
  }
  /// Where the value of an operand lies that belongs to element `i` of the whole.
  constexpr i64 at(i32 operand, i64 i) const {
    i64 place = 0;
    for (i32 axis = axes - 1; axis >= 0; --axis) {
      place += i % extent[axis] * step(operand, axis);
      i /= extent[axis];
    }
    return place;
  }
};

/// permute: extents of y as they lie in memory, and how far neighbours along each are apart in x.
struct permute_sizes {
  static constexpr i32 max_axes = 7;

  i32 axes = 1;
  i32 extent[max_axes] = {1, 0, 0, 0, 0, 0, 0};
  i32 step[max_axes] = {1, 0, 0, 0, 0, 0, 0};

  static constexpr permute_sizes of(const signature& s) {
    permute_sizes sizes;
    sizes.axes = s.n[0];
    for (i32 i = 0; i < max_axes; ++i) sizes.extent[i] = s.n[1 + i], sizes.step[i] = s.n[8 + i];
    return sizes;
  }
  constexpr void write(signature& s) const {
    s.n[0] = axes;
    for (i32 i = 0; i < max_axes; ++i) s.n[1 + i] = extent[i], s.n[8 + i] = step[i];
  }
  constexpr i64 count() const {
    i64 n = 1;
    for (i32 i = 0; i < axes; ++i) n *= extent[i];
    return n;
  }
};

}  // namespace tessera
