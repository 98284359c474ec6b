#pragma once

// Threads that kernels may use, and who runs their work.

#include <tessera/core/types.hpp>

namespace tessera {

/// Runs the pieces of a kernel's work on the caller's own threads, in place of OpenMP's.
///
/// `run(state, count, work, context)` calls work(context, i) once for every i < count, on any
/// threads and in any order, and returns when all calls have returned. It must not throw. Pieces
/// are of nearly equal size and never call `run` themselves.
struct executor {
  using piece = void (*)(const void* context, i32 index);

  void (*run)(void* state, i32 count, piece work, const void* context) = nullptr;
  void* state = nullptr;
};

/// How many threads kernels share their work out to: OpenMP's, or those of `on`, which must live as
/// long as what it was given to. No result depends on either.
struct threads {
  i32 count = 1;
  const executor* on = nullptr;

  constexpr threads(i32 how_many = 1, const executor* runs = nullptr)
      : count(how_many < 1 ? 1 : how_many), on(runs) {}

  /// One thread where the work is not worth more.
  constexpr threads when(bool worth) const { return worth ? *this : threads(); }
};

}  // namespace tessera
