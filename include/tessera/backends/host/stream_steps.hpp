#pragma once

// Runs a network's steps on one frame (ir/frame_program.hpp), inlined into one function: sizes,
// places and weights' places are constants in it.
//
// A frame's values lie padded to whole vectors, which steps read and write as such; what the
// padding holds is finite and multiplied by nothing but zeros. A ring holds past frames twice,
// `frames` apart, so that the window of the past is one piece from the position on:
//
//   position 2 of 4      c d a b c d a b      the past, oldest first: a b c d
//                            |-----|

#include <tessera/backends/host/stream_cells.hpp>
#include <tessera/backends/host/stream_pack.hpp>
#include <utility>

namespace tessera::host {

/// What the steps work on.
struct stream_memory {
  float* values = nullptr;
  float* rings = nullptr;
  i32* positions = nullptr;  // by ring: where its oldest frame is
  const float* weights = nullptr;
  i32 token = 0;
};

template <class List>
constexpr step_sizes sizes_of_step(const List& list, const frame_step& s) {
  const auto size = [&](i32 v) { return v < 0 ? 0 : list.values[v].size; };
  return {{size(s.in[0]), s.inputs > 1 ? size(s.in[1]) : 0}, size(s.out[0])};
}

/// y[i] = f(a[i], ...) for a frame of `Size`, whole vectors.
template <i32 Size, class Function>
TESSERA_STREAM_INLINE void map_frame(float* y, const Function& f) {
  for (i32 i = 0; i < Size; i += simd::lanes) simd::store(y + i, f(i));
}

/// Appends a frame to a ring whose oldest it replaces.
template <i32 Frames, i32 Channels, i32 Stride>
TESSERA_STREAM_INLINE void push_frame(float* ring, i32& position, const float* x) {
  float* const slot = ring + i64{position} * Stride;
  for (i32 k = 0; k < Channels; k += simd::lanes) {
    const i32 here = Channels - k < simd::lanes ? Channels - k : simd::lanes;
    const simd::vec part = simd::load(x + k);
    simd::store_partial(slot + k, part, here);
    simd::store_partial(slot + Frames * Stride + k, part, here);
  }
  position = position + 1 == Frames ? 0 : position + 1;
}

/// A recurrent cell over the states that it replaces; where others still read those, over copies.
template <class P, class Math, i32 I>
TESSERA_STREAM_INLINE void run_cell(const stream_memory& m, const float* w) {
  static constexpr frame_step s = P::list.steps[I];
  constexpr step_sizes n = sizes_of_step(P::list, s);
  const auto at = [&](i32 v) { return m.values + P::list.values[v].at; };
  const auto carry_over = [&](i32 from, i32 to) {
    if (from == to) return;
    float* const y = at(to);
    const float* const x = at(from);
    map_frame<n.out>(y, [&](i32 i) { return simd::load(x + i); });
  };
  carry_over(s.in[1], s.out[0]);
  if constexpr (s.what == kind::lstm_cell) {
    carry_over(s.in[2], s.out[1]);
    stream_lstm<Math, n.in[0], n.out>(w, at(s.in[0]), at(s.out[0]), at(s.out[1]));
  } else {
    stream_gru<Math, n.in[0], n.out>(w, at(s.in[0]), at(s.out[0]));
  }
}

/// Step number `I` of a program: `P::list` and, for each step, where its weights are.
template <class P, class Math, i32 I>
TESSERA_STREAM_INLINE void run_step(const stream_memory& m) {
  using simd::load;
  static constexpr frame_step s = P::list.steps[I];
  constexpr step_sizes n = sizes_of_step(P::list, s);
  const float* const w = m.weights + P::weights_at[I];
  const auto at = [&](i32 v) { return m.values + P::list.values[v].at; };
  float* const y = at(s.out[0]);
  const float* const x = at(s.in[0]);
  if constexpr (s.what == kind::dense) {
    constexpr i32 in1 = s.inputs > 1 ? n.in[1] : 0;
    const float* const second = s.inputs > 1 ? at(s.in[s.inputs - 1]) : nullptr;
    stream_product<Math, s.after, n.out, 1, n.in[0], in1, 0>(w, {x, nullptr}, second, y,
                                                             s.after_activation);
  } else if constexpr (s.what == kind::conv2d) {
    constexpr frame_ring ring = s.ring < 0 ? frame_ring{0, n.in[0], 0} : P::list.rings[s.ring];
    constexpr i64 apart = i64{s.dilation} * ring.stride();
    float* const past = m.rings + ring.at;
    frame_operand operand{x, past};
    if constexpr (s.ring >= 0) operand.past += i64{m.positions[s.ring]} * ring.stride();
    if constexpr (is_depthwise(s, n)) {
      stream_depthwise<Math, s.after, n.out, s.taps, apart>(w, operand, y, s.after_activation);
    } else {
      stream_product<Math, s.after, n.out, s.taps, n.in[0], 0, apart>(w, operand, nullptr, y,
                                                                      s.after_activation);
    }
    if constexpr (s.ring >= 0) {
      push_frame<ring.frames, ring.channels, ring.stride()>(past, m.positions[s.ring], x);
    }
  } else if constexpr (s.what == kind::lstm_cell || s.what == kind::gru_cell) {
    run_cell<P, Math, I>(m, w);
  } else if constexpr (s.what == kind::embedding) {
    const bool row = m.token >= 0 && m.token < s.rows;  // any other: zeros
    const float* const from = w + (row ? i64{m.token} * to_frame(n.out) : 0);
    map_frame<n.out>(y, [&](i32 i) { return row ? load(from + i) : simd::zero(); });
  } else if constexpr (s.what == kind::concat) {
    i32 next = 0;
    TESSERA_UNROLL
    for (i32 k = 0; k < s.inputs; ++k) {
      const frame_value& part = P::list.values[s.in[k]];
      for (i32 i = 0; i < part.size; i += simd::lanes) {
        const i32 here = part.size - i < simd::lanes ? part.size - i : simd::lanes;
        simd::store_partial(y + next + i, load(m.values + part.at + i), here);
      }
      next += part.size;
    }
  } else {
    const float* const b = at(s.in[s.inputs > 1 ? 1 : 0]);
    map_frame<n.out>(y, [&](i32 i) {
      const simd::vec a = load(x + i);
      if constexpr (s.what == kind::copy) {
        return a;
      } else if constexpr (s.what == kind::add) {
        return a + load(b + i);
      } else if constexpr (s.what == kind::subtract) {
        return a - load(b + i);
      } else if constexpr (s.what == kind::multiply) {
        return a * load(b + i);
      } else if constexpr (s.what == kind::bias_add) {
        return a + load(w + i);
      } else if constexpr (s.what == kind::channel_scale) {
        return a * load(w + i);
      } else if constexpr (s.what == kind::prelu) {
        return simd::select(a > simd::zero(), a, a * load(w + i));
      } else if constexpr (s.what == kind::batch_norm_inference) {
        return simd::fma(a, load(w + i), load(w + to_frame(n.out) + i));
      } else {
        return activate<Math, s.what>(a, s.activation);
      }
    });
  }
}

/// Steps First to First + Count - 1.
template <class P, class Math, i32 First, i32 Count>
TESSERA_STREAM_INLINE void run_steps(const stream_memory& m) {
  if constexpr (Count == 1) {
    run_step<P, Math, First>(m);
  } else if constexpr (Count > 1) {
    run_steps<P, Math, First, Count / 2>(m);
    run_steps<P, Math, First + Count / 2, Count - Count / 2>(m);
  }
}

}  // namespace tessera::host
