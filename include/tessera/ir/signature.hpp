#pragma once

// Signatures: what decides which kernel runs an operation, and nothing else.
//
// Kind, element types and sizes, without offsets, names or positions, so that equal operations
// share one kernel. A signature is a template argument where its sizes are `fixed`, and a run-time
// value otherwise: every kernel has a run-time form, which a backend may specialize. Kept small,
// because its digits become part of symbol names.

#include <tessera/core/element.hpp>
#include <tessera/core/types.hpp>
#include <tessera/ir/kind.hpp>

namespace tessera {

struct signature {
  static constexpr i32 max_sizes = 18;
  static constexpr u64 absent = 15;

  kind what = kind::none;
  bool fixed = false;       // the sizes below are known while compiling
  bool batch_last = false;  // samples are innermost in every batched operand
  u64 types = ~u64{0};    // 4 bits an operand, inputs in bits 0..31, outputs in 32..63; 15: absent
  i32 n[max_sizes] = {};  // the meaning is the family's, see ops/sizes.hpp

  constexpr bool has_input(i32 slot) const { return ((types >> (4 * slot)) & 15) != absent; }
  constexpr bool has_output(i32 slot) const { return has_input(8 + slot); }
  constexpr element input_type(i32 slot) const {
    return static_cast<element>((types >> (4 * slot)) & 15);
  }
  constexpr element output_type(i32 slot) const { return input_type(8 + slot); }
  constexpr void set_type(i32 slot, element type) {
    types &= ~(u64{15} << (4 * slot));
    types |= static_cast<u64>(type) << (4 * slot);
  }

  friend constexpr bool operator==(const signature&, const signature&) = default;
};

}  // namespace tessera
