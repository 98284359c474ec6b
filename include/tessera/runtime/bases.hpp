#pragma once

// Where each region of a plan starts, cut out of one block of memory.

#include <tessera/ir/memory.hpp>
#include <tessera/runtime/memory_block.hpp>

namespace tessera {

struct region_bases {
  std::byte* base[region_count] = {};

  std::byte*& operator[](region where) { return base[static_cast<i32>(where)]; }
  std::byte* at(const location& l) const {
    return l.where == region::none ? nullptr : base[static_cast<i32>(l.where)] + l.offset;
  }
};

/// Regions one after another in `block`, which holds at least `memory.total_bytes`.
inline region_bases cut_regions(std::byte* block, const memory_summary& memory) {
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
  return bases;
}

}  // namespace tessera
