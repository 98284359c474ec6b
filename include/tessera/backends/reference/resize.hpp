#pragma once

// Adaptive pooling, up-sampling and unpooling as plain loops (ops/resize.hpp states what they
// mean).

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/resize.hpp>
#include <limits>

namespace tessera::reference {

/// Sizes, layouts and axes of a resized image.
struct resize_places {
  resize_sizes n;
  ops::resized_axis rows;
  ops::resized_axis columns;
  image_layout x;
  image_layout y;

  explicit resize_places(const signature& s)
      : n(resize_sizes::of(s)),
        rows(ops::axis_of(s.what, n, 0)),
        columns(ops::axis_of(s.what, n, 1)),
        x(s, n.batch, n.channels, n.in_height, n.in_width),
        y(s, n.batch, n.channels, n.out_height, n.out_width) {}

  /// visit(sample, channel, row, column) for all places of the large or the small image.
  template <class Visit>
  void for_all(i64 height, i64 width, const Visit& visit) const {
    for (i64 sample = 0; sample < n.batch; ++sample)
      for (i64 channel = 0; channel < n.channels; ++channel)
        for (i64 h = 0; h < height; ++h)
          for (i64 w = 0; w < width; ++w) visit(sample, channel, h, w);
  }

  /// What a mean divides by: 1 unless this is pooling.
  template <class Real>
  Real divisor(const ops::axis_span& down, const ops::axis_span& across) const {
    return rows.pools() ? static_cast<Real>(down.count) * static_cast<Real>(across.count) : Real(1);
  }
};

/// The weight of `cell` among those that `position` reads; 1 where this is no blend.
template <class Real>
Real weight_of(const ops::resized_axis& axis, i64 position, i64 cell) {
  if (!axis.blends()) return Real(1);
  return axis.cells_of(static_cast<i32>(position)).weight<Real>(static_cast<i32>(cell));
}

/// adaptive_avg_pool2d, upsample_nearest, upsample_bilinear.
template <class Real>
void resize(const call& c) {
  const resize_places at(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  at.for_all(at.n.out_height, at.n.out_width, [&](i64 sample, i64 channel, i64 p, i64 q) {
    const ops::axis_span down = at.rows.cells_of(static_cast<i32>(p));
    const ops::axis_span across = at.columns.cells_of(static_cast<i32>(q));
    Real sum = 0;
    for (i64 w = across.begin; w < across.end(); ++w) {
      Real column = 0;
      for (i64 h = down.begin; h < down.end(); ++h) {
        column += weight_of<Real>(at.rows, p, h) * x[at.x.at(sample, channel, h, w)];
      }
      sum += weight_of<Real>(at.columns, q, w) * column;
    }
    y.set(at.y.at(sample, channel, p, q), sum / at.divisor<Real>(down, across));
  });
}

template <class Real>
void resize_gradient(const call& c) {
  const resize_places at(*c.sizes);
  const auto dy = in<Real>(c, 0);
  const auto dx = out<Real>(c, 0);
  at.for_all(at.n.in_height, at.n.in_width, [&](i64 sample, i64 channel, i64 h, i64 w) {
    const ops::axis_span down = at.rows.readers_of(static_cast<i32>(h));
    const ops::axis_span across = at.columns.readers_of(static_cast<i32>(w));
    Real sum = 0;
    for (i64 p = down.begin; p < down.end(); ++p)
      for (i64 q = across.begin; q < across.end(); ++q) {
        const Real divisor = at.divisor<Real>(at.rows.cells_of(static_cast<i32>(p)),
                                              at.columns.cells_of(static_cast<i32>(q)));
        sum += weight_of<Real>(at.rows, p, h) * weight_of<Real>(at.columns, q, w) *
               (dy[at.y.at(sample, channel, p, q)] / divisor);
      }
    dx.set(at.x.at(sample, channel, h, w), sum);
  });
}

/// Out 1, where present: the winner's place in its window, row-major in the widest one.
template <class Real>
void adaptive_max_pool2d(const call& c) {
  const resize_places at(*c.sizes);
  const i64 widest = at.columns.most_cells();
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  const auto index = out<double>(c, 1);
  at.for_all(at.n.out_height, at.n.out_width, [&](i64 sample, i64 channel, i64 p, i64 q) {
    const ops::axis_span down = at.rows.cells_of(static_cast<i32>(p));
    const ops::axis_span across = at.columns.cells_of(static_cast<i32>(q));
    Real best = x[at.x.at(sample, channel, down.begin, across.begin)];
    i64 winner = 0;
    for (i64 h = down.begin; h < down.end(); ++h)
      for (i64 w = across.begin; w < across.end(); ++w) {
        const Real value = x[at.x.at(sample, channel, h, w)];
        if (!(value > best)) continue;
        best = value;
        winner = (h - down.begin) * widest + w - across.begin;
      }
    const i64 e = at.y.at(sample, channel, p, q);
    y.set(e, best);
    if (index) index.set(e, static_cast<double>(winner));
  });
}

template <class Real>
void adaptive_max_pool2d_gradient(const call& c) {
  const resize_places at(*c.sizes);
  const i64 widest = at.columns.most_cells();
  const auto dy = in<Real>(c, 0);
  const auto index = in<double>(c, 1);
  const auto dx = out<Real>(c, 0);
  at.for_all(at.n.in_height, at.n.in_width, [&](i64 sample, i64 channel, i64 h, i64 w) {
    const ops::axis_span down = at.rows.readers_of(static_cast<i32>(h));
    const ops::axis_span across = at.columns.readers_of(static_cast<i32>(w));
    Real sum = 0;
    for (i64 p = down.begin; p < down.end(); ++p)
      for (i64 q = across.begin; q < across.end(); ++q) {
        const i64 e = at.y.at(sample, channel, p, q);
        const i64 place = (h - at.rows.cells_of(static_cast<i32>(p)).begin) * widest + w -
                          at.columns.cells_of(static_cast<i32>(q)).begin;
        if (static_cast<i64>(index[e]) == place) sum += dy[e];
      }
    dx.set(at.x.at(sample, channel, h, w), sum);
  });
}

/// Flat places only: with those in windows the operation is max_pool2d_gradient.
template <class Real>
void max_unpool2d(const call& c) {
  const pool_sizes n = pool_sizes::of(*c.sizes);
  const image_layout small(*c.sizes, n.batch, n.channels, n.out_height, n.out_width);
  const image_layout large(*c.sizes, n.batch, n.channels, n.in_height, n.in_width);
  const auto x = in<Real>(c, 0);
  const i32* indices = c.input<i32>(1);
  const auto y = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel) {
      for (i64 h = 0; h < n.in_height; ++h)
        for (i64 w = 0; w < n.in_width; ++w) y.set(large.at(sample, channel, h, w), Real(0));
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          const i64 e = small.at(sample, channel, p, q);
          const i64 place = unpooled_place(n, p, q, indices[e]);
          if (place < 0) continue;
          const i64 to = large.at(sample, channel, place / n.in_width, place % n.in_width);
          y.set(to, y[to] + x[e]);
        }
    }
}

template <class Real>
void max_unpool2d_gradient(const call& c) {
  const pool_sizes n = pool_sizes::of(*c.sizes);
  const image_layout small(*c.sizes, n.batch, n.channels, n.out_height, n.out_width);
  const image_layout large(*c.sizes, n.batch, n.channels, n.in_height, n.in_width);
  const auto dy = in<Real>(c, 0);
  const auto indices = in<double>(c, 1);
  const auto dx = out<Real>(c, 0);
  for (i64 sample = 0; sample < n.batch; ++sample)
    for (i64 channel = 0; channel < n.channels; ++channel)
      for (i64 p = 0; p < n.out_height; ++p)
        for (i64 q = 0; q < n.out_width; ++q) {
          const i64 e = small.at(sample, channel, p, q);
          const i64 place = unpooled_place(n, p, q, static_cast<i64>(indices[e]));
          dx.set(e, place < 0
                        ? Real(0)
                        : dy[large.at(sample, channel, place / n.in_width, place % n.in_width)]);
        }
}

}  // namespace tessera::reference
