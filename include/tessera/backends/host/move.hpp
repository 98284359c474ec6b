#pragma once

// copy, zero, concat and split (ops/move.hpp states what they mean).
//
// Runs of bytes, by the C library's copy: one kernel serves all element types and layouts. Threads
// share the rows of concat and split, or where there is one row its parts' bytes.
// Cost: 2 bytes of traffic for each that moves, 1 for each that becomes zero.

#include <cstring>

#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// `bytes` bytes from `from`, zeros where it is null, by all threads.
inline void move_run(const call& c, const std::byte* from, std::byte* to, i64 bytes) {
  if (from == to) return;  // in place
  parallel_ranges(c.step->threads, bytes, [&](i64 first, i64 last) {
    const auto size = static_cast<std::size_t>(last - first);
    if (from == nullptr) {
      std::memset(to + first, 0, size);
    } else {
      std::memcpy(to + first, from + first, size);
    }
  });
}

inline void copy(const call& c) {
  move_run(c, c.in[0], c.out[0],
           elementwise_sizes::of(*c.sizes).count * bytes_of(c.sizes->output_type(0)));
}

inline void zero(const call& c) {
  move_run(c, nullptr, c.out[0],
           elementwise_sizes::of(*c.sizes).count * bytes_of(c.sizes->output_type(0)));
}

/// Calls piece(part, its row, place in the whole, bytes) for every row of every part.
template <class Piece>
void for_pieces(const call& c, element type, const Piece& piece) {
  const move_sizes n = move_sizes::of(*c.sizes);
  const i64 row = i64{n.row()} * bytes_of(type);
  parallel_for(c.step->threads, n.outer, [&](i32 o) {
    i64 at = o * row;
    for (i32 p = 0; p < move_sizes::max_parts; ++p) {
      const i64 bytes = i64{n.width[p]} * bytes_of(type);
      if (bytes > 0) piece(p, o * bytes, at, bytes);
      at += bytes;
    }
  });
}

inline void concat(const call& c) {
  const bool one_row = move_sizes::of(*c.sizes).outer == 1;
  for_pieces(c, c.sizes->output_type(0), [&](i32 p, i64 in_part, i64 in_whole, i64 bytes) {
    std::byte* const to = c.out[0] + in_whole;
    const std::byte* const from = c.in[p] == nullptr ? nullptr : c.in[p] + in_part;
    if (one_row) {
      move_run(c, from, to, bytes);
    } else if (from == nullptr) {
      std::memset(to, 0, static_cast<std::size_t>(bytes));
    } else {
      std::memcpy(to, from, static_cast<std::size_t>(bytes));
    }
  });
}

inline void split(const call& c) {
  const bool one_row = move_sizes::of(*c.sizes).outer == 1;
  for_pieces(c, c.sizes->input_type(0), [&](i32 p, i64 in_part, i64 in_whole, i64 bytes) {
    if (c.out[p] == nullptr) return;
    if (one_row) {
      move_run(c, c.in[0] + in_whole, c.out[p] + in_part, bytes);
    } else {
      std::memcpy(c.out[p] + in_part, c.in[0] + in_whole, static_cast<std::size_t>(bytes));
    }
  });
}

}  // namespace tessera::host
