#pragma once

// Memory of a kernel's own, for packed panels that are too large for the stack.
//
// One block a thread, zero pages until a kernel touches them: a constant of the program, like the
// arena, and not part of it, since what kernels pack depends on the processor.

#include <cstddef>

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/core/types.hpp>

namespace tessera::host {

/// Bytes a thread's block has.
inline constexpr i64 workspace_bytes = machine_blocks.workspace_bytes;

class workspace {
 public:
  static constexpr i64 capacity = workspace_bytes / static_cast<i64>(sizeof(float));

  /// `capacity` floats at a multiple of 64 bytes, with what the last user left in them. One user at
  /// a time: a kernel never calls another one while it uses the block.
  static float* floats() {
    alignas(64) static thread_local float block[capacity];
    return block;
  }
};

}  // namespace tessera::host
