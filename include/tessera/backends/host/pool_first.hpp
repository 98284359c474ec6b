#pragma once

// Pooling with the batch first: windows whose taps are all inside, a vector of neighbouring ones of
// a row at a time, and the gradient of max pooling from the winners' places.
//
// Cost: a load with a step for each tap and vector of windows; backward a load, an addition and a
// store for each window.

#include <type_traits>

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/host/simd_strided.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// The windows of an axis whose taps are all inside: [first, last).
struct whole_windows {
  i32 first = 0;
  i32 last = 0;

  whole_windows() = default;
  whole_windows(i32 in, i32 out, i32 kernel, i32 stride, i32 pad, i32 dilation) {
    first = (pad + stride - 1) / stride;
    const i32 room = in + pad - (kernel - 1) * dilation - 1;  // of a window's first tap
    last = room < 0 ? 0 : room / stride + 1;
    if (last > out) last = out;
    if (first > last) first = last;
  }
  bool has(i32 window) const { return window >= first && window < last; }
};

struct window_winners {
  simd::vec best, place;
};

/// Up to a vector of windows of one row, from the first of them on: the largest value, and the
/// number of the tap that had it first.
template <i32 Step, class T>
window_winners largest_of_windows(const pool_sizes& n, const T* first, i32 windows) {
  using namespace simd;
  vec best = load_apart<Step>(first, n.stride_width, windows);
  vec winner = zero();
  i32 tap = 0;
  for (i32 r = 0; r < n.kernel_height; ++r) {
    const T* const line = first + i64{r} * n.dilation_height * n.in_width;
    for (i32 s = 0; s < n.kernel_width; ++s, ++tap) {
      if (tap == 0) continue;
      const vec value = load_apart<Step>(line + i64{s} * n.dilation_width, n.stride_width, windows);
      const mask wins = value > best;
      best = select(wins, value, best);
      winner = select(wins, set(static_cast<float>(tap)), winner);
    }
  }
  return {best, winner};
}

/// The sum of up to a vector of windows, tap by tap.
template <i32 Step, class T>
simd::vec sum_of_windows(const pool_sizes& n, const T* first, i32 windows) {
  using namespace simd;
  vec sum = zero();
  for (i32 r = 0; r < n.kernel_height; ++r) {
    const T* const line = first + i64{r} * n.dilation_height * n.in_width;
    for (i32 s = 0; s < n.kernel_width; ++s) {
      sum = sum + load_apart<Step>(line + i64{s} * n.dilation_width, n.stride_width, windows);
    }
  }
  return sum;
}

inline void store_places(u8* p, simd::vec x, i32 n) {
  if (n == simd::lanes) return simd::store_u8(p, x);
  u8 all[simd::lanes];
  simd::store_u8(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
}
inline void store_places(i32* p, simd::vec x, i32 n) {
  if (n == simd::lanes) return simd::store_i32(p, x);
  i32 all[simd::lanes];
  simd::store_i32(all, x);
  for (i32 i = 0; i < n; ++i) p[i] = all[i];
}

template <class T>
void store_windows(T* p, simd::vec x, i32 n) {
  n == simd::lanes ? simd::store(p, x) : simd::store_partial(p, x, n);
}

/// body of the stride as a constant: 1, 2, or 0 for any other.
template <class Body>
void with_step(i32 stride, const Body& body) {
  if (stride == 2) return body(std::integral_constant<i32, 2>());
  if (stride == 1) return body(std::integral_constant<i32, 1>());
  body(std::integral_constant<i32, 0>());
}

/// body(first, count) for the vectors of [first, last): the last one over those before, unless
/// there are too few.
template <class Body>
void for_vectors(i32 first, i32 last, const Body& body) {
  const i32 count = last - first;
  if (count < simd::lanes) {
    if (count > 0) body(first, count);
    return;
  }
  for (i32 i = first; i < last; i += simd::lanes) {
    body(i + simd::lanes <= last ? i : last - simd::lanes, simd::lanes);
  }
}

/// dx of a plane from dy and the places of the winners, window by window: `dx` holds zeros. Where
/// windows lie apart every cell is written once.
template <bool Apart, class T, class To, class Index>
void scatter_gradient(const pool_sizes& n, const T* dy, const Index* places, To* dx) {
  for (i32 p = 0; p < n.out_height; ++p) {
    const i32 top = p * n.stride_height - n.pad_top;
    i32 left = -n.pad_left;
    for (i32 q = 0; q < n.out_width; ++q, left += n.stride_width, ++dy, ++places) {
      const u32 place = static_cast<u32>(*places);
      const u32 r = place / static_cast<u32>(n.kernel_width);
      const u32 s = place - r * static_cast<u32>(n.kernel_width);
      const i32 h = top + static_cast<i32>(r) * n.dilation_height;
      const i32 w = left + static_cast<i32>(s) * n.dilation_width;
      // A window of nothing but padding has no winner.
      if (h < 0 || h >= n.in_height || w < 0 || w >= n.in_width) continue;
      To& cell = dx[i64{h} * n.in_width + w];
      if constexpr (Apart) {
        cell = *dy;
      } else {
        cell += simd::as_float(*dy);
      }
    }
  }
}

}  // namespace tessera::host
