#pragma once

// Packing operands of matrix products: from any strides and storage type to floats side by side.
//
// What lies along the wanted direction is copied by vectors; what lies across it is transposed in
// squares of 8. Cost on AVX-512: 4 and 20 cycles for 64 floats from L1.

#include <tessera/backends/host/gemm_tile.hpp>
#include <tessera/backends/host/simd.hpp>

namespace tessera::host {

using simd::store_number;

/// n neighbours as floats.
template <class T>
void copy_floats(const T* from, float* to, i32 n) {
  i32 i = 0;
  for (; i + simd::lanes <= n; i += simd::lanes) simd::store(to + i, simd::load(from + i));
  if (i < n) simd::store_partial(to + i, simd::load_partial(from + i, n - i), n - i);
}

/// to[o][i] = from[o * outer_step + i * inner_step] as floats, for i < inner; rows of `to` are
/// `to_step` floats, and what is behind `inner` up to `filled` is zeros.
template <class T>
void pack(const T* from, i32 outer, i64 outer_step, i32 inner, i64 inner_step, float* to,
          i64 to_step, i32 filled) {
  if (inner_step == 1) {
    for (i32 o = 0; o < outer; ++o) {
      float* const t = to + o * to_step;
      copy_floats(from + o * outer_step, t, inner);
      for (i32 i = inner; i < filled; ++i) t[i] = 0;
    }
    return;
  }
  i32 done = 0;  // columns of `to` that squares of 8 have filled
  if (outer_step == 1 && outer >= 8 && inner >= 8) {
    // Two squares side by side fill whole lines of `to`. The last ones reach back over what is
    // filled already.
    for (; done < inner; done += 16) {
      const i32 low = done + 8 <= inner ? done : inner - 8;
      const i32 high = done + 16 <= inner ? done + 8 : inner - 8;
      for (i32 o = 0; o < outer; o += 8) {
        const i32 top = o + 8 <= outer ? o : outer - 8;
        float* const t = to + top * to_step;
        simd::transpose_8x8(from + top + low * inner_step, inner_step, t + low, to_step);
        if (high != low) {
          simd::transpose_8x8(from + top + high * inner_step, inner_step, t + high, to_step);
        }
      }
    }
    done = inner;
    if (inner == filled) return;
  }
  for (i32 o = 0; o < outer; ++o) {
    for (i32 i = done; i < inner; ++i) {
      to[o * to_step + i] = simd::as_float(from[o * outer_step + i * inner_step]);
    }
    for (i32 i = inner; i < filled; ++i) to[o * to_step + i] = 0;
  }
}

/// Rows of a side by side, in panels of gemm_tile_size::panel_rows of them, step after step:
/// from[term * term_step + r * row_step]. Writes up to a vector past the last panel.
template <class T>
void pack_panels(const T* from, i32 rows, i64 row_step, i32 terms, i64 term_step, float* to) {
  using namespace simd;
  constexpr i32 wide = gemm_tile_size::panel_rows;
  for (i32 r = 0; r < rows; r += wide, from += wide * row_step, to += wide * steps_of<T>(terms)) {
    const i32 here = rows - r < wide ? rows - r : wide;
    if (row_step != 1) {
      if constexpr (in_pairs<T>) {
        pack_pairs(from, terms, term_step, here, row_step, to, wide, here);
      } else {
        pack(from, terms, term_step, here, row_step, to, wide, here);
      }
      continue;
    }
    const T* of_terms = from;
    float* step = to;
    for (i32 k = 0; k < terms; k += terms_of_step<T>) {
      TESSERA_UNROLL
      for (i32 i = 0; i < wide; i += lanes) {
        const i32 left = here - i < lanes ? here - i : lanes;
        if (left <= 0) break;
        // What a store writes behind the panel, the next one writes over.
        if constexpr (in_pairs<T>) {
          const T* const odd = k + 1 < terms ? of_terms + term_step + i : nullptr;
          store(step + i, load_pairs(of_terms + i, odd, left));
        } else {
          const bool whole = rows - r - i >= lanes;  // with the first of the next panel
          store(step + i, whole ? load(of_terms + i) : load_partial(of_terms + i, left));
        }
      }
      of_terms += terms_of_step<T> * term_step;
      step += wide;
    }
  }
}

}  // namespace tessera::host
