#pragma once

// Max and average pooling as plain loops (ops/pool.hpp states what they mean).
//
// The largest value is exact. A mean is the sum over the window's rows and columns divided by the
// divisor; a gradient is the sum over the windows that hold the cell, from the first on.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>
#include <limits>

namespace tessera::reference {

/// Sizes, layouts and the cells of a pooling window.
struct pool_places {
  pool_sizes n;
  image_layout x;
  image_layout y;

  explicit pool_places(const signature& s)
      : n(pool_sizes::of(s)),
        x(s, n.batch, n.channels, n.in_height, n.in_width),
        y(s, n.batch, n.channels, n.out_height, n.out_width) {}

  i64 row(i64 p, i64 r) const { return p * n.stride_height + r * n.dilation_height - n.pad_top; }
  i64 column(i64 q, i64 s) const { return q * n.stride_width + s * n.dilation_width - n.pad_left; }
  bool in_image(i64 h, i64 w) const {
    return h >= 0 && h < n.in_height && w >= 0 && w < n.in_width;
  }
  /// In the image or its padding; ceil_mode lets windows reach further.
  bool in_padded(i64 h, i64 w) const {
    return h < n.in_height + n.pad_bottom && w < n.in_width + n.pad_right;
  }
  bool counts(i64 h, i64 w) const {
    return n.count_include_pad != 0 ? in_padded(h, w) : in_image(h, w);
  }

  /// How many cells of window (p, q) an average divides by; at least 1.
  i64 divisor(i64 p, i64 q) const {
    i64 count = 0;
    for (i64 r = 0; r < n.kernel_height; ++r)
      for (i64 s = 0; s < n.kernel_width; ++s) count += counts(row(p, r), column(q, s)) ? 1 : 0;
    return count > 0 ? count : 1;
  }
};

/// Out 1, where present: the winner's place in its window. A window without a cell in the image
/// gives -infinity and place 0.
template <class Real>
void max_pool2d(const call& c) {
  const pool_places at(*c.sizes);
  const pool_sizes& n = at.n;
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  const auto index = out<double>(c, 1);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel)
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          Real best = -std::numeric_limits<Real>::infinity();
          i64 winner = -1;
          for (i64 r = 0; r < n.kernel_height; ++r)
            for (i64 s = 0; s < n.kernel_width; ++s) {
              const i64 h = at.row(p, r);
              const i64 w = at.column(q, s);
              if (!at.in_image(h, w)) continue;
              const Real value = x[at.x.at(sample, channel, h, w)];
              if (winner >= 0 && !(value > best)) continue;
              best = value;
              winner = r * n.kernel_width + s;
            }
          y.set(at.y.at(sample, channel, p, q), best);
          if (index)
            index.set(at.y.at(sample, channel, p, q), static_cast<double>(winner < 0 ? 0 : winner));
        }
}

/// Calls visit(p, q, place in the window) for every window that holds cell (h, w).
template <class Visit>
void for_windows_on(const pool_sizes& n, i64 h, i64 w, Visit visit) {
  for (i64 r = n.kernel_height - 1; r >= 0; --r)
    for (i64 s = n.kernel_width - 1; s >= 0; --s) {
      const i64 top = h + n.pad_top - r * n.dilation_height;
      const i64 left = w + n.pad_left - s * n.dilation_width;
      if (top < 0 || left < 0 || top % n.stride_height != 0 || left % n.stride_width != 0) continue;
      const i64 p = top / n.stride_height;
      const i64 q = left / n.stride_width;
      if (p < n.out_height && q < n.out_width) visit(p, q, r * n.kernel_width + s);
    }
}

template <class Real>
void max_pool2d_gradient(const call& c) {
  const pool_places at(*c.sizes);
  const pool_sizes& n = at.n;
  const auto dy = in<Real>(c, 0);
  const auto index = in<double>(c, 1);
  const auto dx = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel)
      for (i64 h = 0; h < n.in_height; ++h)
        for (i64 w = 0; w < n.in_width; ++w) {
          Real sum = 0;
          for_windows_on(n, h, w, [&](i64 p, i64 q, i64 place) {
            const i64 e = at.y.at(sample, channel, p, q);
            if (static_cast<i64>(index[e]) == place) sum += dy[e];
          });
          dx.set(at.x.at(sample, channel, h, w), sum);
        }
}

template <class Real>
void avg_pool2d(const call& c) {
  const pool_places at(*c.sizes);
  const pool_sizes& n = at.n;
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel)
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          Real sum = 0;
          for (i64 r = 0; r < n.kernel_height; ++r)
            for (i64 s = 0; s < n.kernel_width; ++s) {
              const i64 h = at.row(p, r);
              const i64 w = at.column(q, s);
              if (at.in_image(h, w)) sum += x[at.x.at(sample, channel, h, w)];
            }
          y.set(at.y.at(sample, channel, p, q), sum / static_cast<Real>(at.divisor(p, q)));
        }
}

template <class Real>
void avg_pool2d_gradient(const call& c) {
  const pool_places at(*c.sizes);
  const pool_sizes& n = at.n;
  const auto dy = in<Real>(c, 0);
  const auto dx = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel)
      for (i64 h = 0; h < n.in_height; ++h)
        for (i64 w = 0; w < n.in_width; ++w) {
          Real sum = 0;
          for_windows_on(n, h, w, [&](i64 p, i64 q, i64) {
            sum += dy[at.y.at(sample, channel, p, q)] / static_cast<Real>(at.divisor(p, q));
          });
          dx.set(at.x.at(sample, channel, h, w), sum);
        }
}

}  // namespace tessera::reference
