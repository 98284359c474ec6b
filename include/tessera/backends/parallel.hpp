#pragma once

// Loops over independent pieces of an output, by several threads where the caller allows it.
//
// Pieces never share an output element, and how a piece is computed does not depend on who computes
// it: results are the same for every number of threads. One thread enters no OpenMP code at all;
// without OpenMP and without an executor everything runs on the caller's thread.

#include <tessera/ir/threads.hpp>

namespace tessera {

/// body(i) for i < count.
template <class Body>
void parallel_for(threads workers, i32 count, const Body& body) {
  if (workers.count > 1 && count > 1) {
    if (workers.on != nullptr) {
      const auto piece = [](const void* context, i32 i) {
        (*static_cast<const Body*>(context))(i);
      };
      workers.on->run(workers.on->state, count, piece, &body);
      return;
    }
#ifdef _OPENMP
#pragma omp parallel for num_threads(workers.count) schedule(static)
    for (i32 i = 0; i < count; ++i) body(i);
    return;
#endif
  }
  for (i32 i = 0; i < count; ++i) body(i);
}

/// Splits `count` elements into one range a thread, starting at multiples of 64: body(first, last).
template <class Body>
void parallel_ranges(threads workers, i64 count, const Body& body) {
  if (workers.count <= 1 || count < 4096) {
    body(i64{0}, count);
    return;
  }
  const i64 piece = ((count + workers.count - 1) / workers.count + 63) / 64 * 64;
  parallel_for(workers, workers.count, [&](i32 i) {
    const i64 first = i * piece;
    const i64 last = first + piece < count ? first + piece : count;
    if (first < last) body(first, last);
  });
}

}  // namespace tessera
