#pragma once

// One row times a matrix whose columns lie side by side: nothing is packed.
//
//   y[c] = scale sum over k of a[k] b[k][c] + bias[c]
//
// Up to 8 vectors of columns stay in registers over all rows of b, which are read once, in runs of
// 512 bytes. Columns left over take fewer vectors and as many more chains, which are added up at
// the end: 8 x 1, 4 x 2, 2 x 4, 1 x 4. A chain has the terms of k, k + chains, ... in order.
// Floor: the bytes of b; 1 MiB in L2 at 51 GFLOP/s on the machine it was written on.

#include <tessera/backends/host/gemm_pack.hpp>

namespace tessera::host {

template <class T>
struct row_operands {
  const float* a = nullptr;
  const T* b = nullptr;
  i64 b_row = 0;
  i32 depth = 0;
  const T* bias = nullptr;
  T* y = nullptr;
  float scale = 1;
};

/// Columns [c, c + Vectors * lanes); `last` lanes of the last vector.
template <i32 Vectors, i32 Chains, bool Partial, class T>
[[gnu::always_inline]] inline void row_tile_of(const row_operands<T>& p, i32 c, i32 last) {
  using namespace simd;
  const auto read = [&](const T* from) { return Partial ? load_partial(from, last) : load(from); };
  vec sum[Chains][Vectors];
  TESSERA_UNROLL
  for (i32 i = 0; i < Chains; ++i) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) sum[i][v] = zero();
  }
  const T* b = p.b + c;
  const i64 step = p.b_row;
  i32 k = 0;
  for (; k + Chains <= p.depth; k += Chains) {
    TESSERA_UNROLL
    for (i32 i = 0; i < Chains; ++i, b += step) {
      const vec w = set(p.a[k + i]);
      TESSERA_UNROLL
      for (i32 v = 0; v < Vectors; ++v) sum[i][v] = fma(w, read(b + v * lanes), sum[i][v]);
    }
  }
  for (; k < p.depth; ++k, b += step) {
    const vec w = set(p.a[k]);
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) sum[0][v] = fma(w, read(b + v * lanes), sum[0][v]);
  }
  const vec scale = set(p.scale);
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) {
    vec all = sum[0][v];
    TESSERA_UNROLL
    for (i32 i = 1; i < Chains; ++i) all = all + sum[i][v];
    all = all * scale;
    if (p.bias != nullptr) all = all + read(p.bias + c + v * lanes);
    T* const y = p.y + c + v * lanes;
    if constexpr (Partial) {
      store_partial(y, all, last);
    } else {
      store(y, all);
    }
  }
}

template <class T, i32 Vectors, i32 Chains, bool Partial>
[[gnu::noinline]] void row_tile(const row_operands<T>& p, i32 c, i32 last) {
  row_tile_of<Vectors, Chains, Partial>(p, c, last);
}

/// Columns [first, last); `first` is a multiple of 8 vectors. Inlined: where sizes are constants.
template <bool Inlined, class T>
[[gnu::always_inline]] inline void row_of_columns(const row_operands<T>& p, i32 first, i32 last) {
  constexpr i32 lanes = simd::lanes;
  const auto run = [&]<i32 Vectors, i32 Chains, bool Partial>(i32 c, i32 rest) {
    if constexpr (Inlined) {
      row_tile_of<Vectors, Chains, Partial>(p, c, rest);
    } else {
      row_tile<T, Vectors, Chains, Partial>(p, c, rest);
    }
  };
  i32 c = first;
  for (; c + 8 * lanes <= last; c += 8 * lanes) run.template operator()<8, 1, false>(c, 0);
  if (c + 4 * lanes <= last) run.template operator()<4, 2, false>(c, 0), c += 4 * lanes;
  if (c + 2 * lanes <= last) run.template operator()<2, 4, false>(c, 0), c += 2 * lanes;
  for (; c < last; c += lanes) {
    run.template operator()<1, 4, true>(c, last - c < lanes ? last - c : lanes);
  }
}

template <class T>
void run_row(const row_operands<T>& p, i32 first, i32 last) {
  row_of_columns<false>(p, first, last);
}

}  // namespace tessera::host
