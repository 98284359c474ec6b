#pragma once

// Max and average pooling and their gradients (ops/pool.hpp states what they mean).
//
// One code for both layouts: with the batch last, a cell is a row of samples that fill vectors;
// with the batch first, a cell is a single number and every sample a plane of its own. Windows
// whose taps are all inside have kernels of their own: of neighbouring ones with the batch first
// (pool_first.hpp), averages and gradients with the batch last (pool_last.hpp). Gradients of
// windows that overlap gather: a cell of dx sums over the windows that hold it, from the first on,
// so they need no buffer and 16-bit results are rounded once.
// With the batch last, 2x2 windows of f32 in the second-level cache on Zen 4 take their largest at
// 0.6 of the pace of memory; its gradient runs at 0.5.

#include <algorithm>
#include <limits>
#include <numeric>
#include <type_traits>

#include <tessera/backends/host/pool_first.hpp>
#include <tessera/backends/host/pool_last.hpp>
#include <tessera/backends/host/pool_planes.hpp>
#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// A window without clipped taps: where they lie from its first cell on.
struct window_offsets {
  static constexpr i32 most = 64;
  i32 count = 0;
  i64 at[most];

  explicit window_offsets(const pool_planes& v) {
    const pool_sizes& n = v.n;
    if (n.kernel_height * n.kernel_width > most) return;
    for (i32 r = 0; r < n.kernel_height; ++r) {
      for (i32 s = 0; s < n.kernel_width; ++s) {
        at[count++] = (i64{r} * n.dilation_height * n.in_width + s * n.dilation_width) * v.inner;
      }
    }
  }
};

/// One output cell of max pooling whose taps are all inside. `first`: the window's first cell.
template <class Lanes, class T, class Index>
void max_pool_whole(const window_offsets& window, const T* first, T* y, Index* index, i64 inner) {
  for (i64 i = 0; i < inner; i += Lanes::width) {
    auto best = Lanes::load(first + i);
    auto winner = Lanes::set(0);
    for (i32 tap = 1; tap < window.count; ++tap) {
      const auto value = Lanes::load(first + window.at[tap] + i);
      const auto wins = value > best;
      best = Lanes::select(wins, value, best);
      winner = Lanes::select(wins, Lanes::set(static_cast<float>(tap)), winner);
    }
    Lanes::store(y + i, best);
    if (index != nullptr) Lanes::store_index(index + i, winner);
  }
}

/// Index may be null: then only the largest values are wanted. `done`: windows to leave out.
template <class Lanes, class T, class Index>
void max_pool_row(const window_offsets& window, const pool_planes& v, const T* x, T* y,
                  Index* index, i32 p, const whole_windows& done) {
  const pool_sizes& n = v.n;
  const tap_span rows = rows_of(n, p);
  for (i32 q = 0; q < n.out_width; ++q) {
    if (done.has(q)) {
      q = done.last - 1;
      continue;
    }
    const tap_span columns = columns_of(n, q);
    const i64 out = (i64{p} * n.out_width + q) * v.inner;
    if (window.count > 0 &&
        rows.last - rows.first + columns.last - columns.first == n.kernel_height + n.kernel_width) {
      const T* const first = x + (i64{rows.start} * n.in_width + columns.start) * v.inner;
      max_pool_whole<Lanes>(window, first, y + out, index == nullptr ? nullptr : index + out,
                            v.inner);
      continue;
    }
    for (i64 i = 0; i < v.inner; i += Lanes::width) {
      typename Lanes::value best = Lanes::set(-std::numeric_limits<float>::infinity());
      typename Lanes::value winner = Lanes::set(0);
      bool found = false;
      for (i32 r = rows.first; r < rows.last; ++r) {
        const T* const line =
            x + i64{rows.start + r * n.dilation_height} * n.in_width * v.inner + i;
        for (i32 s = columns.first; s < columns.last; ++s) {
          const auto value =
              Lanes::load(line + i64{columns.start + s * n.dilation_width} * v.inner);
          const auto place = Lanes::set(static_cast<float>(r * n.kernel_width + s));
          if (!found) {
            best = value;
            winner = place;
            found = true;
            continue;
          }
          const auto wins = value > best;
          best = Lanes::select(wins, value, best);
          winner = Lanes::select(wins, place, winner);
        }
      }
      Lanes::store(y + out + i, best);
      if (index != nullptr) Lanes::store_index(index + out + i, winner);
    }
  }
}

template <class Lanes, class T, class Index>
void max_pool_planes(const call& c) {
  const pool_planes v(*c.sizes, Lanes::width > 1);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  Index* const index = c.output<Index>(1);
  const window_offsets window(v);
  whole_rectangle whole;
  if constexpr (Lanes::width == 1) whole = whole_rectangle(v.n);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const from = x + plane * v.x_plane();
    T* const to = y + plane * v.y_plane();
    Index* const places = index == nullptr ? nullptr : index + plane * v.y_plane();
    if constexpr (Lanes::width == 1) {
      with_step(v.n.stride_width, [&](auto step) {
        if (places == nullptr) {
          pool_windows<step>(v.n, whole, from, largest_of_taps<false, T, Index>{to, places});
        } else {
          pool_windows<step>(v.n, whole, from, largest_of_taps<true, T, Index>{to, places});
        }
      });
      if (whole.all_of(v.n)) return;
    }
    for (i32 p = 0; p < v.n.out_height; ++p) {
      max_pool_row<Lanes>(window, v, from, to, places, p,
                          whole.rows.has(p) ? whole.columns : whole_windows());
    }
  });
}

template <bool BatchLast>
using pool_lanes = std::conditional_t<BatchLast, sample_lanes, single_lane>;

template <class T, bool BatchLast>
void max_pool2d(const call& c) {
  const pool_sizes n = pool_sizes::of(*c.sizes);
  if (n.kernel_height * n.kernel_width <= 256) {
    max_pool_planes<pool_lanes<BatchLast>, T, u8>(c);
  } else {
    max_pool_planes<pool_lanes<BatchLast>, T, i32>(c);
  }
}

/// Windows that hold cell h of an axis: window `first` with tap `tap`, then every window_step
/// windows further, tap_step taps earlier; `count` of them.
struct window_span {
  i32 first = 0;
  i32 tap = 0;
  i32 count = 0;

  window_span(i32 cell, i32 out, i32 kernel, i32 stride, i32 pad, i32 dilation) {
    for (i32 t = kernel - 1; t >= 0; --t) {
      const i32 start = cell + pad - t * dilation;
      if (start < 0 || start % stride != 0 || start / stride >= out) continue;
      if (count == 0) {
        first = start / stride;
        tap = t;
      }
      ++count;
    }
  }
};

/// dx = sum over windows of term(address of the window's first number, place in it, divisor).
template <class Lanes, class T, class Term>
void pool_gradient_planes(const call& c, const Term& term) {
  const pool_planes v(*c.sizes, Lanes::width > 1);
  const pool_sizes& n = v.n;
  T* const dx = c.output<T>(0);
  const i32 tap_down = n.stride_height / std::gcd(n.stride_height, n.dilation_height);
  const i32 tap_across = n.stride_width / std::gcd(n.stride_width, n.dilation_width);
  const i32 step_down = n.dilation_height * tap_down / n.stride_height;
  const i32 step_across = n.dilation_width * tap_across / n.stride_width;
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    for (i32 h = 0; h < n.in_height; ++h) {
      const window_span down(h, n.out_height, n.kernel_height, n.stride_height, n.pad_top,
                             n.dilation_height);
      for (i32 w = 0; w < n.in_width; ++w) {
        const window_span across(w, n.out_width, n.kernel_width, n.stride_width, n.pad_left,
                                 n.dilation_width);
        T* const to = dx + plane * v.x_plane() + (i64{h} * n.in_width + w) * v.inner;
        for (i64 i = 0; i < v.inner; i += Lanes::width) {
          typename Lanes::value sum = Lanes::set(0);
          for (i32 a = 0; a < down.count; ++a) {
            const i32 p = down.first + a * step_down;
            for (i32 b = 0; b < across.count; ++b) {
              const i32 q = across.first + b * step_across;
              const i32 place =
                  (down.tap - a * tap_down) * n.kernel_width + across.tap - b * tap_across;
              sum = sum + term(plane * v.y_plane() + (i64{p} * n.out_width + q) * v.inner + i,
                               place, p, q);
            }
          }
          Lanes::store(to + i, sum);
        }
      }
    }
  });
}

/// The gradient of windows that lie apart: each is read once and its cells written, the cells
/// between windows zeroed before. part(dy vector's address, divisor) gives what term(place) needs.
template <class Lanes, class T, class Part>
void pool_gradient_apart(const call& c, const Part& part) {
  const pool_planes v(*c.sizes, Lanes::width > 1);
  const pool_sizes& n = v.n;
  const bool covered = windows_cover(n);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    T* const dx = c.output<T>(0) + plane * v.x_plane();
    if (!covered) std::fill_n(dx, v.x_plane(), T{});
    for (i32 p = 0; p < n.out_height; ++p) {
      const tap_span rows = rows_of(n, p);
      for (i32 q = 0; q < n.out_width; ++q) {
        const tap_span columns = columns_of(n, q);
        const i64 at = plane * v.y_plane() + (i64{p} * n.out_width + q) * v.inner;
        const i64 cell = (i64{rows.start} * n.in_width + columns.start) * v.inner;
        for (i64 i = 0; i < v.inner; i += Lanes::width) {
          const auto term = part(at + i, p, q);
          for (i32 r = rows.first; r < rows.last; ++r) {
            T* const line = dx + cell + i64{r} * n.in_width * v.inner + i;
            for (i32 s = columns.first; s < columns.last; ++s) {
              Lanes::store(line + s * v.inner, term(r * n.kernel_width + s));
            }
          }
        }
      }
    }
  });
}

/// The gradient of max pooling with the batch first: from the winners' places, plane by plane. Sums
/// of 16-bit cells wait in floats.
template <class T, class Index>
void max_pool_gradient_first(const call& c, bool apart) {
  const pool_planes v(*c.sizes, false);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const dy = c.input<T>(0) + plane * v.y_plane();
    const Index* const places = c.input<Index>(1) + plane * v.y_plane();
    T* const dx = c.output<T>(0) + plane * v.x_plane();
    if (apart) {
      std::fill_n(dx, v.x_plane(), T{});
      return scatter_gradient<true>(v.n, dy, places, dx);
    }
    float* sums = nullptr;
    if constexpr (sizeof(T) == 4) {
      sums = dx;
    } else {
      sums = workspace::floats();
    }
    std::fill_n(sums, v.x_plane(), 0.0f);
    scatter_gradient<false>(v.n, dy, places, sums);
    if constexpr (sizeof(T) == 2) narrow(sums, dx, v.x_plane());
  });
}

template <class Lanes, class T, class Index>
void max_pool_gradient_planes(const call& c) {
  const T* const dy = c.input<T>(0);
  if constexpr (Lanes::width == 1) {
    const pool_sizes n = pool_sizes::of(*c.sizes);
    const bool apart = windows_apart(n);
    if (sizeof(T) == 4 || apart || i64{n.in_height} * n.in_width <= workspace::capacity) {
      return max_pool_gradient_first<T, Index>(c, apart);
    }
  }
  if constexpr (Lanes::width > 1 && sizeof(Index) == 1) {
    const pool_sizes n = pool_sizes::of(*c.sizes);
    if (windows_apart(n) && taps_are_listed(n)) return pool_gradient_last<T, true>(c);
  }
  const Index* const index = c.input<Index>(1);
  pool_gradient_planes<Lanes, T>(c, [&](i64 at, i32 place, i32, i32) {
    const auto wins = Lanes::load_index(index + at) == Lanes::set(static_cast<float>(place));
    return Lanes::select(wins, Lanes::load(dy + at), Lanes::set(0));
  });
}

template <class T, bool BatchLast>
void max_pool2d_gradient(const call& c) {
  const pool_sizes n = pool_sizes::of(*c.sizes);
  if (n.kernel_height * n.kernel_width <= 256) {
    max_pool_gradient_planes<pool_lanes<BatchLast>, T, u8>(c);
  } else {
    max_pool_gradient_planes<pool_lanes<BatchLast>, T, i32>(c);
  }
}

template <class T, bool BatchLast>
void avg_pool2d(const call& c) {
  if constexpr (BatchLast) {
    if (taps_are_listed(pool_sizes::of(*c.sizes))) return avg_pool_last<T>(c);
  }
  using Lanes = pool_lanes<BatchLast>;
  const pool_planes v(*c.sizes, BatchLast);
  const pool_sizes& n = v.n;
  whole_rectangle whole;
  if constexpr (!BatchLast) whole = whole_rectangle(n);
  parallel_for(c.step->threads, v.planes, [&](i32 plane) {
    const T* const x = c.input<T>(0) + plane * v.x_plane();
    T* const y = c.output<T>(0) + plane * v.y_plane();
    if constexpr (!BatchLast) {
      const auto taps = static_cast<float>(n.kernel_height * n.kernel_width);
      with_step(n.stride_width, [&](auto step) {
        pool_windows<step>(n, whole, x, mean_of_taps<T>{y, simd::set(taps)});
      });
      if (whole.all_of(n)) return;
    }
    for (i32 p = 0; p < n.out_height; ++p) {
      const tap_span rows = rows_of(n, p);
      const whole_windows done = whole.rows.has(p) ? whole.columns : whole_windows();
      for (i32 q = 0; q < n.out_width; ++q) {
        if (done.has(q)) {
          q = done.last - 1;
          continue;
        }
        const tap_span columns = columns_of(n, q);
        const auto divisor = Lanes::set(divisor_of(n, p, q));
        for (i64 i = 0; i < v.inner; i += Lanes::width) {
          typename Lanes::value sum = Lanes::set(0);
          for (i32 r = rows.first; r < rows.last; ++r) {
            for (i32 s = columns.first; s < columns.last; ++s) {
              const i64 cell = i64{rows.start + r * n.dilation_height} * n.in_width +
                               columns.start + s * n.dilation_width;
              sum = sum + Lanes::load(x + cell * v.inner + i);
            }
          }
          Lanes::store(y + (i64{p} * n.out_width + q) * v.inner + i, sum / divisor);
        }
      }
    }
  });
}

template <class T, bool BatchLast>
void avg_pool2d_gradient(const call& c) {
  using Lanes = pool_lanes<BatchLast>;
  const T* const dy = c.input<T>(0);
  const pool_sizes n = pool_sizes::of(*c.sizes);
  const window_divisors divisors(n);
  if constexpr (BatchLast) {
    if (windows_apart(n) && taps_are_listed(n)) return pool_gradient_last<T, false>(c);
  } else if (windows_apart(n)) {
    return pool_gradient_apart<single_lane, T>(c, [&](i64 at, i32 p, i32 q) {
      const float value = single_lane::load(dy + at) / divisors.at(p, q);
      return [value](i32) { return value; };
    });
  }
  pool_gradient_planes<Lanes, T>(c, [&](i64 at, i32, i32 p, i32 q) {
    return Lanes::load(dy + at) / Lanes::set(divisors.at(p, q));
  });
}

}  // namespace tessera::host
