#pragma once

// SIMD: about 30 operations on vectors of floats.
//
//   simd_vector.hpp   arithmetic, selection   + - * / and comparisons, fma, larger, select, ...
//   simd_memory.hpp   load and store          16-bit types, bytes, the rest of a row, rounded<T>
//   simd_across.hpp   across lanes            sum, sums, largest_lane, transpose_8x8
//   simd_pairs.hpp    pairs of bfloat16       dot_pairs, pack_pairs

#include <tessera/backends/host/simd_across.hpp>
#include <tessera/backends/host/simd_memory.hpp>
#include <tessera/backends/host/simd_pairs.hpp>
#include <tessera/backends/host/simd_vector.hpp>
