#pragma once

// Products of one frame with weights, all sizes constants (stream_layout.hpp has their order).
//
//   y = bias + sum over k of x[k] row[k]     x[k] in all lanes, rows of as many vectors as fit the
//                                            registers; several chains of sums where one would wait
//
// Floor: every weight is read once, 64 bytes a cycle from the first-level cache on Zen 4 (which
// also has one multiply-add of 16 lanes a cycle), twice that on Zen 5. Order of each sum: chain c
// takes the numbers c, c + chains, ... of each operand; then chains are added from the first to the
// last.

#include <tessera/backends/activation_formulas.hpp>
#include <tessera/backends/host/stream_layout.hpp>
#include <tessera/backends/host/stream_math.hpp>
#include <tessera/backends/host/vector_math.hpp>

#define TESSERA_STREAM_INLINE [[gnu::always_inline]] inline

// Loops over many numbers: with 32 short turns their ends are guessed wrong in every step (LSTM of
// 32 units on Zen 4: 586 cycles, with 8 long ones 478).
#if defined(__clang__)
#define TESSERA_STREAM_UNROLL _Pragma("clang loop unroll_count(4)")
#else
#define TESSERA_STREAM_UNROLL _Pragma("GCC unroll 4")
#endif

namespace tessera::host {

/// Chains of sums for blocks of so many vectors over `numbers`: 8 sums hide the latency of a
/// multiply-add at two a cycle.
constexpr i32 chains_for(i32 vectors, i32 numbers) {
  i32 chains = stream_block / vectors >= 4 ? 4 : stream_block / vectors >= 2 ? 2 : 1;
  while (chains > 1 && numbers < 2 * chains) chains /= 2;
  return chains;
}

/// sum[v] += sum over k < Numbers of x[k] w[k][v]; w moves on behind what was read.
template <i32 Numbers, i32 Vectors>
TESSERA_STREAM_INLINE void add_products(simd::vec (&sum)[Vectors], const float*& w,
                                        const float* x) {
  using namespace simd;
  constexpr i32 chains = chains_for(Vectors, Numbers);
  vec more[chains][Vectors];
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) more[0][v] = sum[v];
  TESSERA_UNROLL
  for (i32 c = 1; c < chains; ++c) {
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) more[c][v] = zero();
  }
  const auto add = [&](i32 k, auto& into) {
    const vec number = set(x[k]);
    TESSERA_UNROLL
    for (i32 v = 0; v < Vectors; ++v) {
      into[v] = fma(load(w + (k * Vectors + v) * lanes), number, into[v]);
    }
  };
  constexpr i32 whole = Numbers / chains * chains;
  if constexpr (Numbers <= 16) {
    TESSERA_UNROLL
    for (i32 k = 0; k < Numbers; ++k) add(k, more[k % chains]);
  } else {
    TESSERA_STREAM_UNROLL
    for (i32 k = 0; k < whole; k += chains) {
      TESSERA_UNROLL
      for (i32 c = 0; c < chains; ++c) add(k + c, more[c]);
    }
    TESSERA_UNROLL
    for (i32 k = whole; k < Numbers; ++k) add(k, more[k - whole]);
  }
  w += Numbers * Vectors * lanes;
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) {
    if constexpr (chains == 4) more[2][v] = more[2][v] + more[3][v];
    if constexpr (chains >= 2) more[0][v] = more[0][v] + more[1][v];
    sum[v] = chains == 4 ? more[0][v] + more[chains / 2][v] : more[0][v];
  }
}

/// A row of vectors.
template <i32 Vectors>
TESSERA_STREAM_INLINE void read_row(simd::vec (&row)[Vectors], const float*& w) {
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) row[v] = simd::load(w + v * simd::lanes);
  w += Vectors * simd::lanes;
}

/// An activation of a vector; none: the vector.
template <class Math, kind What>
TESSERA_STREAM_INLINE simd::vec activate(simd::vec x, const activation_attributes& constants) {
  if constexpr (What == kind::none) {
    return x;
  } else if constexpr (What == kind::tanh) {
    return Math::tanh(x);
  } else if constexpr (What == kind::sigmoid) {
    return Math::sigmoid(x * simd::set(Math::before_sigmoid));
  } else {
    const formulas::activation_formula<What, vector_math> formula(constants);
    return formula.value(x);
  }
}

/// One frame of the operand of a product, or several: `taps` frames `apart` floats from each other
/// in the past, the last one being `now`.
struct frame_operand {
  const float* now = nullptr;
  const float* past = nullptr;
};

/// Outputs [First, First + Vectors) of a product, in vectors.
template <class Math, kind After, i32 Vectors, i32 Taps, i32 In0, i32 In1, i64 Apart>
TESSERA_STREAM_INLINE void product_block(const float*& w, frame_operand first, const float* second,
                                         float* y, const activation_attributes& constants) {
  simd::vec sum[Vectors];
  read_row(sum, w);
  TESSERA_UNROLL
  for (i32 tap = 0; tap + 1 < Taps; ++tap) add_products<In0>(sum, w, first.past + tap * Apart);
  add_products<In0>(sum, w, first.now);
  if constexpr (In1 > 0) add_products<In1>(sum, w, second);
  TESSERA_UNROLL
  for (i32 v = 0; v < Vectors; ++v) {
    simd::store(y + v * simd::lanes, activate<Math, After>(sum[v], constants));
  }
}

/// sum of the products of a row of weights with a frame, lane by lane.
template <i32 Numbers>
TESSERA_STREAM_INLINE simd::vec add_dot(simd::vec sum, const float* w, const float* x) {
  constexpr i32 whole = Numbers / simd::lanes * simd::lanes;
  for (i32 k = 0; k < whole; k += simd::lanes) {
    sum = simd::fma(simd::load(w + k), simd::load(x + k), sum);
  }
  if constexpr (whole < Numbers) {
    const simd::vec rest = simd::load_partial(x + whole, Numbers - whole);
    sum = simd::fma(simd::load(w + whole), rest, sum);
  }
  return sum;
}

/// y = after(b + w0 x0 [+ w1 x1]): a dense layer, or a convolution along time.
template <class Math, kind After, i32 Outs, i32 Taps, i32 In0, i32 In1, i64 Apart>
TESSERA_STREAM_INLINE void stream_product(const float* w, frame_operand first, const float* second,
                                          float* y, const activation_attributes& constants) {
  constexpr product_layout layout{Outs, Taps, {In0, In1}};
  if constexpr (layout.dot()) {
    TESSERA_UNROLL
    for (i32 o = 0; o < Outs; ++o) {
      const float* row = w + to_lanes(Outs) + o * layout.dot_row();
      simd::vec sum = simd::zero();
      for (i32 tap = 0; tap < Taps; ++tap) {
        const float* const x = tap + 1 < Taps ? first.past + tap * Apart : first.now;
        sum = add_dot<In0>(sum, row + tap * to_lanes(In0), x);
      }
      if constexpr (In1 > 0) sum = add_dot<In1>(sum, row + Taps * to_lanes(In0), second);
      const simd::vec made = simd::set(simd::sum(sum) + w[o]);
      simd::store_partial(y + o, activate<Math, After>(made, constants), 1);
    }
  } else {
    constexpr i32 blocks = layout.vectors() / stream_block;
    constexpr i32 rest = layout.vectors() % stream_block;
    for (i32 b = 0; b < blocks; ++b) {
      product_block<Math, After, stream_block, Taps, In0, In1, Apart>(
          w, first, second, y + b * stream_block * simd::lanes, constants);
    }
    if constexpr (rest > 0) {
      product_block<Math, After, rest, Taps, In0, In1, Apart>(
          w, first, second, y + blocks * stream_block * simd::lanes, constants);
    }
  }
}

/// y[c] = after(b[c] + sum over taps of w[tap][c] x[tap][c]): every channel by itself.
template <class Math, kind After, i32 Channels, i32 Taps, i64 Apart>
TESSERA_STREAM_INLINE void stream_depthwise(const float* w, frame_operand x, float* y,
                                            const activation_attributes& constants) {
  constexpr i32 row = to_lanes(Channels);
  for (i32 c = 0; c < Channels; c += simd::lanes) {
    const i32 here = Channels - c < simd::lanes ? Channels - c : simd::lanes;
    simd::vec sum = simd::load(w + c);
    for (i32 tap = 0; tap < Taps; ++tap) {
      const float* const from = tap + 1 < Taps ? x.past + tap * Apart : x.now;
      sum = simd::fma(simd::load(w + (1 + tap) * row + c), simd::load_partial(from + c, here), sum);
    }
    simd::store(y + c, activate<Math, After>(sum, constants));
  }
}

}  // namespace tessera::host
