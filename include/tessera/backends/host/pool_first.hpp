#pragma once

// Pooling with the batch first: windows whose taps are all inside, a vector of neighbouring ones of
// a row at a time, and the gradient of max pooling from the winners' places.
//
// Cost: a load with a step for each tap and vector of windows, two loads for two taps where the
// stride is 2; backward a load, an addition and a store for each window.

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

inline void store_places(u8* p, simd::vec x, i32 n) {
  n == simd::lanes ? simd::store_u8(p, x) : simd::store_u8_partial(p, x, n);
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

/// The windows of an image whose taps are all inside.
struct whole_rectangle {
  whole_windows rows, columns;

  whole_rectangle() = default;
  explicit whole_rectangle(const pool_sizes& n)
      : rows(n.in_height, n.out_height, n.kernel_height, n.stride_height, n.pad_top,
             n.dilation_height),
        columns(n.in_width, n.out_width, n.kernel_width, n.stride_width, n.pad_left,
                n.dilation_width) {}
  bool all_of(const pool_sizes& n) const {
    return rows.first == 0 && columns.first == 0 && rows.last == n.out_height &&
           columns.last == n.out_width;
  }
};

/// What is made of the taps of a vector of windows: the largest value and, unless `index` is null,
/// the number of the tap that had it first.
template <bool Places, class T, class Index>
struct largest_of_taps {
  T* y;
  Index* index;
  simd::vec best = simd::zero();
  simd::vec place = simd::zero();

  [[gnu::always_inline]] void take(i32 tap, simd::vec value) {
    if (tap == 0) {
      best = value;
      if constexpr (Places) place = simd::zero();
    } else if constexpr (Places) {
      const simd::mask wins = value > best;
      best = simd::select(wins, value, best);
      place = simd::select(wins, simd::set(static_cast<float>(tap)), place);
    } else {
      best = simd::larger(value, best);
    }
  }
  [[gnu::always_inline]] void put(i64 to, i32 windows) const {
    store_windows(y + to, best, windows);
    if constexpr (Places) store_places(index + to, place, windows);
  }
};

/// The mean: summed up tap by tap, divided by their number.
template <class T>
struct mean_of_taps {
  T* y;
  simd::vec taps;
  simd::vec sum = simd::zero();

  [[gnu::always_inline]] void take(i32 tap, simd::vec value) {
    sum = tap == 0 ? value : sum + value;
  }
  [[gnu::always_inline]] void put(i64 to, i32 windows) const {
    store_windows(y + to, sum / taps, windows);
  }
};

/// All whole windows of a plane, vector by vector of a row: the last one over those before, unless
/// there are too few.
template <i32 Step, class T, class What>
[[gnu::noinline]] void pool_windows(const pool_sizes& n, const whole_rectangle& whole, const T* x,
                                    What what) {
  const i32 first = whole.columns.first;
  const i32 last = whole.columns.last;
  const i32 count = last - first < simd::lanes ? last - first : simd::lanes;
  if (count <= 0) return;
  const i32 kernel_height = n.kernel_height;
  const i32 kernel_width = n.kernel_width;
  const i64 tap_down = i64{n.dilation_height} * n.in_width;
  const i64 across = n.dilation_width;
  const i64 stride = n.stride_width;
  for (i32 p = whole.rows.first; p < whole.rows.last; ++p) {
    const T* const line = x + i64{p * n.stride_height - n.pad_top} * n.in_width - n.pad_left;
    for (i32 i = first; i < last; i += simd::lanes) {
      const i32 q = i + count <= last ? i : last - count;
      const T* row = line + q * stride;
      i32 tap = 0;
      for (i32 r = 0; r < kernel_height; ++r, row += tap_down) {
        i32 s = 0;
        if constexpr (Step == 2) {
          for (; across == 1 && s + 2 <= kernel_width; s += 2, tap += 2) {
            simd::vec even, odd;
            simd::load_pairs(row + s, count, even, odd);
            what.take(tap, even);
            what.take(tap + 1, odd);
          }
        }
        for (; s < kernel_width; ++s, ++tap) {
          what.take(tap, simd::load_apart<Step>(row + s * across, stride, count));
        }
      }
      what.put(i64{p} * n.out_width + q, count);
    }
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
