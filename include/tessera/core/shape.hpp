#pragma once

// Shapes: the extents of a tensor, outermost first; (batch, channels, height, width) for images.

#include <tessera/core/types.hpp>

namespace tessera {

/// Up to 7 extents. A scalar has rank 0 and one element.
struct shape {
  static constexpr i32 max_rank = 7;

  i32 rank = 0;
  i32 extent[max_rank] = {};

  constexpr shape() = default;

  template <class... Extents>
  requires(sizeof...(Extents) <= max_rank &&
           sizeof...(Extents) > 0) constexpr explicit(sizeof...(Extents) == 1)
      shape(Extents... extents)
      : rank(static_cast<i32>(sizeof...(Extents))), extent{static_cast<i32>(extents)...} {}

  constexpr i32 operator[](i32 axis) const { return extent[axis]; }
  constexpr i32& operator[](i32 axis) { return extent[axis]; }

  /// Number of elements.
  constexpr i64 count() const {
    i64 n = 1;
    for (i32 axis = 0; axis < rank; ++axis) n *= extent[axis];
    return n;
  }

  /// The shape without its first extent: that of one sample of a batch.
  constexpr shape sample() const {
    shape s;
    s.rank = rank - 1;
    for (i32 axis = 0; axis < s.rank; ++axis) s.extent[axis] = extent[axis + 1];
    return s;
  }

  /// The shape with `first` put before its extents: a batch of such samples.
  constexpr shape batch_of(i32 first) const {
    shape s;
    s.rank = rank + 1;
    s.extent[0] = first;
    for (i32 axis = 0; axis < rank; ++axis) s.extent[axis + 1] = extent[axis];
    return s;
  }

  friend constexpr bool operator==(const shape&, const shape&) = default;
};

}  // namespace tessera
