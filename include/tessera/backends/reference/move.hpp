#pragma once

// copy, zero, concat and split, element by element (ops/move.hpp states what they mean).
//
// Bytes move, whatever they stand for: nothing is rounded, NaNs keep their bits.

#include <cstring>

#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

/// Element `from_at` of `from` to place `to_at`; zero where `from` is null.
inline void move_element(const std::byte* from, i64 from_at, std::byte* to, i64 to_at,
                         element type) {
  const auto bytes = static_cast<std::size_t>(bytes_of(type));
  if (from == nullptr) {
    std::memset(to + to_at * bytes_of(type), 0, bytes);
  } else {
    std::memmove(to + to_at * bytes_of(type), from + from_at * bytes_of(type), bytes);
  }
}

inline void copy(const call& c) {
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i)
    move_element(c.in[0], i, c.out[0], i, c.sizes->output_type(0));
}

inline void zero(const call& c) {
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i)
    move_element(nullptr, i, c.out[0], i, c.sizes->output_type(0));
}

/// visit(part, element of the part, element of the whole)
template <class Visit>
void for_parts(const move_sizes& n, Visit visit) {
  i64 start = 0;
  for (i32 p = 0; p < move_sizes::max_parts; ++p) {
    for (i64 row = 0; row < n.outer; ++row)
      for (i64 i = 0; i < n.width[p]; ++i)
        visit(p, row * n.width[p] + i, row * n.row() + start + i);
    start += n.width[p];
  }
}

inline void concat(const call& c) {
  for_parts(move_sizes::of(*c.sizes), [&](i32 p, i64 in_part, i64 in_whole) {
    move_element(c.sizes->has_input(p) ? c.in[p] : nullptr, in_part, c.out[0], in_whole,
                 c.sizes->output_type(0));
  });
}

inline void split(const call& c) {
  for_parts(move_sizes::of(*c.sizes), [&](i32 p, i64 in_part, i64 in_whole) {
    if (!c.sizes->has_output(p)) return;
    move_element(c.in[0], in_whole, c.out[p], in_part, c.sizes->input_type(0));
  });
}

}  // namespace tessera::reference
