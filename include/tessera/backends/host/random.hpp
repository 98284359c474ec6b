#pragma once

// Random numbers in bulk: the words of core/random.hpp, many blocks at a time.

#include <tessera/backends/host/simd.hpp>
#include <tessera/ops/elementwise.hpp>  // dropout_words

namespace tessera::host {

/// Uniform numbers in [0, 1) of elements `first` to `first + count - 1`, `first` a multiple of 4;
/// `to` has room for a multiple of 4.
inline void fill_uniform(const ops::dropout_words& words, i64 first, i32 count, float* to) {
  for (i32 k = 0; k < count; k += 4) {
    const random_block block = words((first + k) / 4);
    for (i32 word = 0; word < 4; ++word) to[k + word] = uniform(block[word]);
  }
}

}  // namespace tessera::host
