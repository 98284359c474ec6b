#pragma once

// What the kernels of pooling share: cells and planes of both layouts, the taps of a window that
// lie in the image, what an average divides by.

#include <tessera/backends/host/pool_first.hpp>  // whole_rectangle
#include <tessera/backends/host/simd.hpp>
#include <tessera/ir/signature.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// A cell's numbers as vectors (samples), or as one float.
struct sample_lanes {
  using value = simd::vec;
  static constexpr i32 width = simd::lanes;
  template <class T>
  static value load(const T* p) {
    return simd::load(p);
  }
  template <class T>
  static void store(T* p, value x) {
    simd::store(p, x);
  }
  static value load_index(const u8* p) { return simd::load_u8(p); }
  static value load_index(const i32* p) { return simd::load_i32(p); }
  static void store_index(u8* p, value x) { simd::store_u8(p, x); }
  static void store_index(i32* p, value x) { simd::store_i32(p, x); }
  static value set(float x) { return simd::set(x); }
  static value select(simd::mask m, value a, value b) { return simd::select(m, a, b); }
};

struct single_lane {
  using value = float;
  static constexpr i32 width = 1;
  template <class T>
  static value load(const T* p) {
    return simd::as_float(*p);
  }
  template <class T>
  static void store(T* p, value x) {
    simd::store_number(p, x);
  }
  template <class I>
  static value load_index(const I* p) {
    return static_cast<float>(*p);
  }
  template <class I>
  static void store_index(I* p, value x) {
    *p = static_cast<I>(x);
  }
  static value set(float x) { return x; }
  static value select(bool m, value a, value b) { return m ? a : b; }
};

/// Planes of cells: channels with rows of samples, or channels of every sample.
struct pool_planes {
  pool_sizes n;
  i32 planes;
  i64 inner;  // numbers a cell

  pool_planes(const signature& s, bool batch_last)
      : n(pool_sizes::of(s)),
        planes(batch_last ? n.channels : n.batch * n.channels),
        inner(batch_last ? n.batch : 1) {}

  i64 x_plane() const { return i64{n.in_height} * n.in_width * inner; }
  i64 y_plane() const { return i64{n.out_height} * n.out_width * inner; }
};

/// Indices [first, last) of the taps of window p that lie in the image, along one axis.
struct tap_span {
  i32 first, last;
  i32 start;  // where tap 0 lies

  tap_span(i32 p, i32 in, i32 kernel, i32 stride, i32 pad, i32 dilation)
      : first(0), last(kernel), start(p * stride - pad) {
    while (first < last && start + first * dilation < 0) ++first;
    while (last > first && start + (last - 1) * dilation >= in) --last;
  }
};
inline tap_span rows_of(const pool_sizes& n, i32 p) {
  return tap_span(p, n.in_height, n.kernel_height, n.stride_height, n.pad_top, n.dilation_height);
}
inline tap_span columns_of(const pool_sizes& n, i32 q) {
  return tap_span(q, n.in_width, n.kernel_width, n.stride_width, n.pad_left, n.dilation_width);
}

/// What an average over window (p, q) divides by.
inline float divisor_of(const pool_sizes& n, i32 p, i32 q) {
  tap_span rows = rows_of(n, p);
  tap_span columns = columns_of(n, q);
  if (n.count_include_pad != 0) {
    rows.first = columns.first = 0;
    rows.last = n.kernel_height;
    columns.last = n.kernel_width;
    const i32 bottom = n.in_height + n.pad_bottom;
    const i32 right = n.in_width + n.pad_right;
    while (rows.last > 0 && rows.start + (rows.last - 1) * n.dilation_height >= bottom) --rows.last;
    while (columns.last > 0 && columns.start + (columns.last - 1) * n.dilation_width >= right) {
      --columns.last;
    }
  }
  const i32 count = (rows.last - rows.first) * (columns.last - columns.first);
  return static_cast<float>(count > 0 ? count : 1);
}

/// What averages over windows divide by; whole windows are told apart by two comparisons.
class window_divisors {
 public:
  explicit window_divisors(const pool_sizes& n)
      : n_(n), whole_(n), taps_(static_cast<float>(n.kernel_height * n.kernel_width)) {}

  float at(i32 p, i32 q) const {
    return whole_.rows.has(p) && whole_.columns.has(q) ? taps_ : divisor_of(n_, p, q);
  }

 private:
  const pool_sizes& n_;
  whole_rectangle whole_;
  float taps_;
};

/// True where no cell belongs to two windows.
inline bool windows_apart(const pool_sizes& n) {
  return n.dilation_height == 1 && n.dilation_width == 1 && n.kernel_height <= n.stride_height &&
         n.kernel_width <= n.stride_width;
}

/// True where windows that lie apart leave no cell between them.
inline bool windows_cover(const pool_sizes& n) {
  return n.kernel_height == n.stride_height && n.kernel_width == n.stride_width && n.pad_top == 0 &&
         n.pad_left == 0 && n.out_height * n.stride_height >= n.in_height &&
         n.out_width * n.stride_width >= n.in_width;
}

}  // namespace tessera::host
