#pragma once

// Random numbers in bulk: the words of dropout (ops/elementwise.hpp), many blocks at a time.

#include <tessera/backends/host/simd_philox.hpp>
#include <tessera/ops/elementwise.hpp>  // dropout_words

namespace tessera::host {

/// Uniform numbers in [0, 1) of elements `first` to `first + count - 1`, `first` a multiple of 4;
/// `to` has room for a multiple of 64.
inline void fill_uniform(const ops::dropout_words& words, i64 first, i32 count, float* to) {
  constexpr u64 lanes = simd::philox_blocks;
  for (i32 k = 0; k < count; k += static_cast<i32>(4 * lanes)) {
    const u64 block = words.first + static_cast<u64>((first + k) / 4);
    if ((block & 0xffffffff) <= 0xffffffff - lanes) {
      simd::philox_uniform(words.generator, block, to + k);
      continue;
    }
    for (u64 lane = 0; lane < lanes; ++lane) {  // the low half overflows on the way
      const random_block one = words.generator(block + lane);
      for (i32 word = 0; word < 4; ++word)
        to[k + static_cast<i32>(4 * lane) + word] = uniform(one[word]);
    }
  }
}

}  // namespace tessera::host
