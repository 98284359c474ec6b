#pragma once

// Where each region of a plan starts, cut out of one block of memory; the scratchpad out of
// another, where the caller has one.

#include <tessera/core/error.hpp>
#include <tessera/ir/memory.hpp>
#include <tessera/runtime/memory_block.hpp>
#include <cstdint>
#include <string>

namespace tessera {

struct region_bases {
  std::byte* base[region_count] = {};

  std::byte*& operator[](region where) { return base[static_cast<i32>(where)]; }
  std::byte* at(const location& l) const {
    return l.where == region::none ? nullptr : base[static_cast<i32>(l.where)] + l.offset;
  }
};

/// Fast memory that the caller owns, for jobs with the option scratchpad: at a multiple of
/// tensor_alignment, kept as long as the program that works in it.
struct scratchpad_memory {
  std::byte* data = nullptr;
  i64 bytes = 0;

  /// Whether a step's scratchpad lies here. Throws `error` where it should, and cannot.
  bool holds(const memory_summary& memory) const {
    if (data == nullptr) return false;
    if (bytes < memory.scratchpad_bytes) {
      throw error("scratchpad: the step needs " + std::to_string(memory.scratchpad_bytes) +
                  " bytes, got " + std::to_string(bytes));
    }
    if (reinterpret_cast<std::uintptr_t>(data) % tensor_alignment != 0) {
      throw error("scratchpad: expected an address that is a multiple of " +
                  std::to_string(tensor_alignment));
    }
    return true;
  }
};

/// Bytes of the block that cut_regions cuts.
inline i64 block_bytes(const memory_summary& memory, const scratchpad_memory& fast) {
  return memory.total_bytes - (fast.holds(memory) ? memory.scratchpad_bytes : 0);
}

/// Regions one after another in `block`, which holds at least `block_bytes`.
inline region_bases cut_regions(std::byte* block, const memory_summary& memory,
                                const scratchpad_memory& fast = {}) {
  region_bases bases;
  const auto take = [&](region where, i64 bytes) {
    bases[where] = block;
    block += bytes;
  };
  take(region::parameters, memory.parameter_bytes);
  take(region::working, memory.working_bytes);
  take(region::state, memory.state_bytes);
  take(region::input, memory.input_bytes);
  take(region::target, memory.target_bytes);
  take(region::constant, memory.constant_bytes);
  take(region::arena, memory.arena_bytes);
  if (fast.holds(memory)) block = fast.data;
  take(region::scratchpad, memory.scratchpad_bytes);
  return bases;
}

}  // namespace tessera
