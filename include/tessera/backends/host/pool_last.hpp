#pragma once

// Averages with samples innermost, and the gradients of windows that lie apart.
//
// A cell is a row of samples. One or two vectors of them at a time go through a window's taps, in
// order. A gradient of windows that lie apart reads each window once and writes its cells; cells
// between windows are zeroed before. Averages divide once; by powers of two they multiply, which is
// the same.
//
// Cost: a load and an addition a tap; back, a store a tap. On Zen 4 a vector of 2x2 windows takes
// 18 to 21 cycles either way: 50 % of what memory would allow where all lies in the second-level
// cache.

#include <algorithm>

#include <tessera/backends/host/pool_planes.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>

namespace tessera::host {

/// The taps of a window that lie in the image: how far they are from its first cell, and their
/// numbers. A list is one loop; of nested loops of two or three trips each end is guessed wrong.
struct window_taps {
  static constexpr i32 most = 256;
  i32 count = 0;
  i64 at[most];
  float number[most];

  window_taps() {}  // arrays stay as they are
  void list(const pool_planes& v, const tap_span& rows, const tap_span& columns) {
    const pool_sizes& n = v.n;
    count = 0;
    for (i32 r = rows.first; r < rows.last; ++r) {
      for (i32 s = columns.first; s < columns.last; ++s) {
        number[count] = static_cast<float>(r * n.kernel_width + s);
        at[count++] = (i64{r} * n.dilation_height * n.in_width + s * n.dilation_width) * v.inner;
      }
    }
  }
};

/// All taps of a window.
inline window_taps taps_inside(const pool_planes& v) {
  window_taps taps;
  taps.list(v, tap_span(0, v.n.kernel_height, v.n.kernel_height, 1, 0, 1),
            tap_span(0, v.n.kernel_width, v.n.kernel_width, 1, 0, 1));
  return taps;
}

/// True where the kernels of this file serve: windows of few enough taps.
inline bool taps_are_listed(const pool_sizes& n) {
  return n.kernel_height * n.kernel_width <= window_taps::most;
}

/// Calls body(taps, where the window's first cell lies, p, q, number of its first sample) for every
/// window of a plane. Windows that are all inside share one list.
template <class Body>
[[gnu::always_inline]] inline void for_windows(const pool_planes& v, const window_taps& inside,
                                               const Body& body) {
  const pool_sizes& n = v.n;
  const whole_rectangle whole(n);
  window_taps clipped;
  i64 at = 0;
  for (i32 p = 0; p < n.out_height; ++p) {
    const i64 row = i64{p * n.stride_height - n.pad_top} * n.in_width - n.pad_left;
    const bool row_inside = whole.rows.has(p);
    for (i32 q = 0; q < n.out_width; ++q, at += v.inner) {
      const i64 first = (row + q * n.stride_width) * v.inner;
      const window_taps* taps = &inside;
      if (!row_inside || !whole.columns.has(q)) {
        clipped.list(v, rows_of(n, p), columns_of(n, q));
        taps = &clipped;
      }
      body(*taps, first, p, q, at);
    }
  }
}

/// Calls body<2 or 1 vectors>(number of the first sample) until all samples had it.
template <class Body>
[[gnu::always_inline]] inline void in_pairs_of_vectors(i64 samples, const Body& body) {
  i64 i = 0;
  for (; i + 2 * simd::lanes <= samples; i += 2 * simd::lanes) {
    body.template operator()<2>(i);
  }
  if (i < samples) body.template operator()<1>(i);
}

/// x / divisor, by a multiplication where that is exact.
class exact_quotient {
 public:
  void divide_by(float divisor) {
    if (divisor == divisor_) return;
    divisor_ = divisor;
    const i32 whole = static_cast<i32>(divisor);
    inverse_ = (whole & (whole - 1)) == 0 ? 1.0f / divisor : 0;
  }
  simd::vec operator()(simd::vec x) const {
    return inverse_ != 0 ? x * simd::set(inverse_) : x / simd::set(divisor_);
  }

 private:
  float divisor_ = 1;
  float inverse_ = 1;
};

/// The mean of each sample's taps, of vectors of samples from x and y on.
template <i32 Vectors, class T>
[[gnu::always_inline]] inline void mean_of_samples(const window_taps& w,
                                                   const exact_quotient& quotient, const T* x,
                                                   T* y) {
  using namespace simd;
  vec sum[Vectors];
  TESSERA_UNROLL
  for (i32 k = 0; k < Vectors; ++k) sum[k] = zero();
  for (i32 tap = 0; tap < w.count; ++tap) {
    TESSERA_UNROLL
    for (i32 k = 0; k < Vectors; ++k) sum[k] = sum[k] + load(x + w.at[tap] + k * lanes);
  }
  TESSERA_UNROLL
  for (i32 k = 0; k < Vectors; ++k) store(y + k * lanes, quotient(sum[k]));
}

template <class T>
void avg_pool_last(const call& c) {
  const pool_planes v(*c.sizes, true);
  const window_taps inside = taps_inside(v);
  const window_divisors divisors(v.n);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const x = c.input<T>(0) + plane * v.x_plane();
    T* const y = c.output<T>(0) + plane * v.y_plane();
    exact_quotient quotient;
    for_windows(v, inside, [&](const window_taps& window, i64 first, i32 p, i32 q, i64 at) {
      quotient.divide_by(divisors.at(p, q));
      in_pairs_of_vectors(v.inner, [&]<i32 Vectors>(i64 i) {
        mean_of_samples<Vectors>(window, quotient, x + first + i, y + at + i);
      });
    });
  });
}

/// dx of windows that lie apart from their dy, and with `Largest` the numbers of their winners.
template <bool Largest, i32 Vectors, class T>
[[gnu::always_inline]] inline void spread_to_taps(const window_taps& w,
                                                  const exact_quotient& quotient, const T* dy,
                                                  const u8* index, T* dx) {
  using namespace simd;
  vec value[Vectors];
  vec winner[Vectors];
  TESSERA_UNROLL
  for (i32 k = 0; k < Vectors; ++k) {
    value[k] = load(dy + k * lanes);
    if constexpr (Largest) {
      winner[k] = sample_lanes::load_index(index + k * lanes);
    } else {
      value[k] = quotient(value[k]);
    }
  }
  for (i32 tap = 0; tap < w.count; ++tap) {
    TESSERA_UNROLL
    for (i32 k = 0; k < Vectors; ++k) {
      store(dx + w.at[tap] + k * lanes,
            Largest ? select(winner[k] == set(w.number[tap]), value[k], zero()) : value[k]);
    }
  }
}

/// The gradient of windows that lie apart, of max pooling (`Largest`) or of averages.
template <class T, bool Largest>
void pool_gradient_last(const call& c) {
  const pool_planes v(*c.sizes, true);
  const window_taps inside = taps_inside(v);
  const window_divisors divisors(v.n);
  const bool covered = windows_cover(v.n);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const dy = c.input<T>(0) + plane * v.y_plane();
    const u8* index = nullptr;
    if constexpr (Largest) index = c.input<u8>(1) + plane * v.y_plane();
    T* const dx = c.output<T>(0) + plane * v.x_plane();
    if (!covered) std::fill_n(dx, v.x_plane(), T{});
    exact_quotient quotient;
    for_windows(v, inside, [&](const window_taps& window, i64 first, i32 p, i32 q, i64 at) {
      if constexpr (!Largest) quotient.divide_by(divisors.at(p, q));
      in_pairs_of_vectors(v.inner, [&]<i32 Vectors>(i64 i) {
        const u8* const winners = Largest ? index + at + i : nullptr;
        spread_to_taps<Largest, Vectors>(window, quotient, dy + at + i, winners, dx + first + i);
      });
    });
  });
}

}  // namespace tessera::host
