#pragma once

// Loops over independent pieces of an output, by several threads where the caller allows it.
//
// Pieces never share an output element, and how a piece is computed does not depend on who computes
// it: results are the same for every number of threads. One thread enters no OpenMP code at all.

#include <tessera/core/types.hpp>

namespace tessera::host {

/// body(i) for i < count.
template <class Body>
void parallel_for(i32 threads, i32 count, const Body& body) {
#ifdef _OPENMP
  if (threads > 1 && count > 1) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i32 i = 0; i < count; ++i) body(i);
    return;
  }
#else
  static_cast<void>(threads);
#endif
  for (i32 i = 0; i < count; ++i) body(i);
}

/// Splits `count` elements into one range a thread, starting at multiples of 64: body(first, last).
template <class Body>
void parallel_ranges(i32 threads, i64 count, const Body& body) {
  if (threads <= 1 || count < 4096) {
    body(i64{0}, count);
    return;
  }
  const i64 piece = ((count + threads - 1) / threads + 63) / 64 * 64;
  parallel_for(threads, threads, [&](i32 i) {
    const i64 first = i * piece;
    const i64 last = first + piece < count ? first + piece : count;
    if (first < last) body(first, last);
  });
}

}  // namespace tessera::host
