#pragma once

// copy, zero, concat and split on the model: bytes of any element type.
//
// copy and zero run where their operands lie, like elementwise operations. concat and split are all
// exchange: every vertex receives the elements that will lie on its tile, consecutive in the
// output, for split one output after another. ops/move.hpp has the meanings.

#include <tessera/backends/accelerator/elementwise.hpp>

namespace tessera::accelerator {

/// copy; zero, which has no input.
inline void run_copy(const machine& m, const call& c) {
  const i64 bytes = bytes_of(c.sizes->output_type(0));
  const std::byte* const x = c.sizes->has_input(0) ? c.in[0] : nullptr;
  std::byte* const y = c.out[0];
  for_elements(m, c, [&](i64 first, i64 count) {
    const auto size = static_cast<std::size_t>(count * bytes);
    if (x == nullptr) {
      std::memset(y + first * bytes, 0, size);
    } else {
      std::memmove(y + first * bytes, x + first * bytes, size);  // y may lie in x's bytes
    }
  });
}

/// Elements [first, first + count) of the whole, piece by piece of its parts.
inline void run_concat(const machine& m, const call& c) {
  const move_sizes n = move_sizes::of(*c.sizes);
  const i64 bytes = bytes_of(c.sizes->output_type(0));
  const i64 row = n.row();
  for_elements(m, c, [&](i64 first, i64 count) {
    const i64 last = first + count;
    for (i64 o = first / row; o * row < last; ++o) {
      i64 start = o * row;  // of the part, in the whole
      for (i32 p = 0; p < move_sizes::max_parts; start += n.width[p++]) {
        const i64 begin = start > first ? start : first;
        const i64 end = start + n.width[p] < last ? start + n.width[p] : last;
        if (begin >= end) continue;
        std::byte* const to = c.out[0] + begin * bytes;
        const auto size = static_cast<std::size_t>((end - begin) * bytes);
        if (c.sizes->has_input(p)) {
          std::memcpy(to, c.in[p] + (o * n.width[p] + begin - start) * bytes, size);
        } else {
          std::memset(to, 0, size);
        }
      }
    }
  });
}

/// Elements [first, first + count) of the outputs, counted one output after another.
inline void run_split(const machine& m, const call& c) {
  const move_sizes n = move_sizes::of(*c.sizes);
  const i64 bytes = bytes_of(c.sizes->input_type(0));
  const i64 row = n.row();
  for_elements(m, c, [&](i64 first, i64 count) {
    i64 start = 0;   // of the part, among the outputs' elements
    i64 column = 0;  // of the part, in a row of the whole
    for (i32 p = 0; p < move_sizes::max_parts; column += n.width[p++]) {
      if (!c.sizes->has_output(p)) continue;
      const i64 width = n.width[p];
      const i64 elements = n.outer * width;
      const i64 end = first + count - start < elements ? first + count - start : elements;
      for (i64 i = first > start ? first - start : 0; i < end;) {
        const i64 o = i / width;
        const i64 piece = (o + 1) * width < end ? (o + 1) * width - i : end - i;
        std::memcpy(c.out[p] + i * bytes, c.in[0] + (o * row + column + i - o * width) * bytes,
                    static_cast<std::size_t>(piece * bytes));
        i += piece;
      }
      start += elements;
    }
  });
}

}  // namespace tessera::accelerator
