#pragma once

// How many rows of something go together.

#include <tessera/core/types.hpp>

namespace tessera::host {

/// `total` rows in blocks of nearly equal height, at most `highest`: 16 in 6 + 5 + 5 rather than
/// 6 + 6 + 4.
struct row_blocks {
  i32 count;
  i32 total;

  constexpr row_blocks(i32 rows, i32 highest)
      : count((rows + highest - 1) / highest), total(rows) {}
  constexpr i32 first(i32 block) const {
    const i32 base = total / count;
    const i32 higher = total % count;
    return block * base + (block < higher ? block : higher);
  }
  constexpr i32 rows(i32 block) const { return first(block + 1) - first(block); }
};

}  // namespace tessera::host
