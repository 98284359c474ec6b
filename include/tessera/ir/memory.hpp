#pragma once

// Plan values: where every tensor's bytes are, and what a whole step needs.

#include <tessera/core/grow.hpp>
#include <tessera/core/types.hpp>

namespace tessera {

/// All tensors start on multiples of this, so that no vector load crosses a cache line needlessly.
inline constexpr i64 tensor_alignment = 64;

constexpr i64 aligned(i64 bytes) {
  return (bytes + tensor_alignment - 1) / tensor_alignment * tensor_alignment;
}

/// Which block of memory an offset counts from. Parameters outlive a program and are shared by the
/// training and the inference program of a network.
enum class region : u8 {
  none,
  arena,
  parameters,
  working,
  state,
  input,
  target,
  constant,
  scratchpad
};
inline constexpr i32 region_count = 9;

struct location {
  static constexpr i32 max_depth = 3;

  region where = region::none;
  i64 offset = 0;            // in the first trip of all loops around
  i64 step[max_depth] = {};  // bytes from trip to trip of the loop at each depth, outermost first

  constexpr bool moves() const { return step[0] != 0 || step[1] != 0 || step[2] != 0; }
};

/// A piece of the arena: the bytes of one tensor and of all that are in place of it or view it.
/// Needed from operation `born` to operation `dies`, both included.
struct buffer {
  i32 tensor = -1;  // the first that lies there
  i64 bytes = 0;    // aligned
  i32 born = 0;
  i32 dies = 0;
  i64 offset = 0;
  i32 pool = 0;  // the memory it lies in: 0 the arena, 1 the scratchpad
};

/// What a step needs, in bytes. All are multiples of the alignment.
struct memory_summary {
  i64 arena_bytes = 0;        // activations, gradients, indices, results
  i64 lower_bound_bytes = 0;  // the most bytes alive at once: no placement needs less
  i64 no_reuse_bytes = 0;     // every tensor in bytes of its own
  i64 parameter_bytes = 0;
  i64 working_bytes = 0;  // 16-bit copies of the parameters
  i64 state_bytes = 0;    // optimizer state, counters, loss scale
  i64 input_bytes = 0;    // one batch, as the network reads it
  i64 target_bytes = 0;
  i64 constant_bytes = 0;
  i64 scratchpad_bytes = 0;    // a fast memory for a part of what else is in the arena
  i64 scratchpad_traffic = 0;  // bytes that a step reads and writes there,
  i64 arena_traffic = 0;       // and in the arena beside it; 0 where there is no scratchpad
  i64 total_bytes = 0;  // all of the above that exist: what a trainer allocates, once
};

/// What a program needs that shares all regions with another: `m`, with the larger arena and the
/// larger scratchpad of both.
constexpr memory_summary together(memory_summary m, const memory_summary& other) {
  const auto raise = [&](i64& mine, i64 theirs) {
    if (theirs <= mine) return;
    m.total_bytes += theirs - mine;
    mine = theirs;
  };
  raise(m.arena_bytes, other.arena_bytes);
  raise(m.scratchpad_bytes, other.scratchpad_bytes);
  return m;
}

}  // namespace tessera
