#pragma once

// permute (ops/permute.hpp states what it means): bytes of any element type.
//
//   x runs on along y's innermost axis   rows are copied
//   else                                 tiles of 16 x 16 elements between y's innermost axis and
//   the
//                                        one along which x runs on: each cache line is read and
//                                        written once while it is near; 8 x 8 in registers for f32
//
// Threads share the rows of y. Cost, measured as in broadcast.hpp: a transposition 130 to 140 ps an
// element, rows of 392 elements 98; a copy 71.

#include <tessera/backends/host/broadcast.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// to[i * to_step + j] = from[i + j * from_step] for i < rows, j < columns.
template <class E>
void move_tile(const E* from, i64 from_step, E* to, i64 to_step, i64 rows, i64 columns) {
  for (i64 i = 0; i < rows; ++i) {
    for (i64 j = 0; j < columns; ++j) to[i * to_step + j] = from[i + j * from_step];
  }
}
inline void move_tile(const float* from, i64 from_step, float* to, i64 to_step, i64 rows,
                      i64 columns) {
  i64 i = 0;
  for (; i + 8 <= rows; i += 8) {
    i64 j = 0;
    for (; j + 8 <= columns; j += 8) {
      simd::transpose_8x8(from + i + j * from_step, from_step, to + i * to_step + j, to_step);
    }
    for (; j < columns; ++j) {
      for (i64 k = i; k < i + 8; ++k) to[k * to_step + j] = from[k + j * from_step];
    }
  }
  for (; i < rows; ++i) {
    for (i64 j = 0; j < columns; ++j) to[i * to_step + j] = from[i + j * from_step];
  }
}

/// Elements of type E, whatever they stand for.
template <class E>
void permute_elements(const call& c, const permute_sizes& n) {
  const E* const x = c.input<E>(0);
  E* const y = c.output<E>(0);
  const i32 inner = n.axes - 1;
  const i64 length = n.extent[inner];
  i64 y_step[permute_sizes::max_axes] = {};
  i64 count = 1;
  i32 runs_on = inner;  // the axis of y along which x runs on; tiles have it and the innermost
  for (i32 axis = inner; axis >= 0; --axis) {
    y_step[axis] = count;
    count *= n.extent[axis];
    if (n.step[axis] == 1) runs_on = axis;
  }
  constexpr i64 tile = 16;
  const i64 height = runs_on == inner ? 1 : n.extent[runs_on];  // rows of a tile's axis
  const i64 bands = (height + tile - 1) / tile;
  const i64 items = count / length / height * bands;
  parallel_for(c.step->threads.when(count >= 4096), static_cast<i32>(items), [&](i32 item) {
    i64 rest = item / bands;
    i64 from = item % bands * tile * (runs_on == inner ? 0 : n.step[runs_on]);
    i64 to = item % bands * tile * (runs_on == inner ? 0 : y_step[runs_on]);
    for (i32 axis = inner - 1; axis >= 0; --axis) {
      if (axis == runs_on) continue;
      from += rest % n.extent[axis] * n.step[axis];
      to += rest % n.extent[axis] * y_step[axis];
      rest /= n.extent[axis];
    }
    if (runs_on == inner) {
      std::memcpy(y + to, x + from, static_cast<std::size_t>(length) * sizeof(E));
      return;
    }
    const i64 left = height - item % bands * tile;
    const i64 rows = left < tile ? left : tile;
    for (i64 j = 0; j < length; j += tile) {
      move_tile(x + from + j * n.step[inner], n.step[inner], y + to + j, y_step[runs_on], rows,
                length - j < tile ? length - j : tile);
    }
  });
}

inline void permute(const call& c) {
  const permute_sizes n = permute_sizes::of(*c.sizes);
  switch (bytes_of(c.sizes->output_type(0))) {
    case 8: return permute_elements<u64>(c, n);
    case 4: return permute_elements<float>(c, n);
    case 2: return permute_elements<u16>(c, n);
    default: return permute_elements<u8>(c, n);
  }
}

}  // namespace tessera::host
