#pragma once

// Operations over axes as plain loops: what broadcasts, reductions, glu and permute. Their meanings
// stand in ops/broadcast.hpp, reduce.hpp, glu.hpp and permute.hpp.
//
// Sums start at 0 and run over the elements as they lie in memory, in the compute type, and are
// rounded once when stored.

#include <tessera/backends/reference/activation.hpp>
#include <tessera/backends/reference/move.hpp>
#include <tessera/ops/reduce.hpp>
#include <limits>

namespace tessera::reference {

template <class Real>
Real broadcast_of(kind what, Real a, Real b, Real dy) {
  switch (what) {
    case kind::broadcast_add: return a + b;
    case kind::broadcast_subtract: return a - b;
    case kind::broadcast_multiply: return a * b;
    case kind::divide: return a / b;
    case kind::maximum: return a != a ? a : a > b ? a : b;
    case kind::minimum: return a != a ? a : a < b ? a : b;
    case kind::divide_gradient: return -dy * a / (b * b);
    case kind::maximum_gradient: return a > b ? dy : a == b ? dy / 2 : Real(0);
    case kind::minimum_gradient: return a < b ? dy : a == b ? dy / 2 : Real(0);
    default: return 0;
  }
}

template <class Real>
void broadcast(const call& c) {
  const auto n = axes_sizes::of(*c.sizes);
  const auto a = in<Real>(c, 0);
  const auto b = in<Real>(c, 1);
  const auto dy = in<Real>(c, 2);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < n.count(); ++i) {
    y.set(i, broadcast_of(c.sizes->what, a[n.at(0, i)], b[n.at(1, i)], dy ? dy[i] : Real(0)));
  }
}

/// visit(element of x) for every element that belongs to element `o` of y, in order.
template <class Visit>
void for_reduced(const axes_sizes& n, i64 o, Visit visit) {
  axes_sizes reduced = n;  // has[1]: the axes that y has not
  reduced.has[1] = ~n.has[0];
  i64 start = 0;
  for (i32 axis = n.axes - 1; axis >= 0; --axis) {
    if (!n.has_axis(0, axis)) continue;
    i64 step = 1;
    for (i32 later = axis + 1; later < n.axes; ++later) step *= n.extent[later];
    start += o % n.extent[axis] * step;
    o /= n.extent[axis];
  }
  for (i64 k = 0; k < n.times(0); ++k) {
    i64 place = start;
    i64 rest = k;
    i64 step = 1;
    for (i32 axis = n.axes - 1; axis >= 0; --axis) {
      if (reduced.has_axis(1, axis)) {
        place += rest % n.extent[axis] * step;
        rest /= n.extent[axis];
      }
      step *= n.extent[axis];
    }
    visit(place);
  }
}

template <class Real>
void reduce(const call& c) {
  const auto n = axes_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  const bool largest = c.sizes->what == kind::reduce_amax;
  for (i64 o = 0; o < n.count_of(0); ++o) {
    Real all = largest ? -std::numeric_limits<Real>::infinity() : Real(0);
    for_reduced(n, o, [&](i64 i) {
      if (!largest) {
        all += x[i];
      } else if (x[i] > all || x[i] != x[i]) {
        all = x[i];
      }
    });
    if (c.sizes->what == kind::reduce_mean) all /= static_cast<Real>(n.times(0));
    y.set(o, all);
  }
}

/// expand and reduce_mean_gradient.
template <class Real>
void expand(const call& c) {
  const auto n = axes_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  const bool mean = c.sizes->what == kind::reduce_mean_gradient;
  const auto over = static_cast<Real>(mean ? n.times(0) : 1);
  for (i64 i = 0; i < n.count(); ++i) y.set(i, x[n.at(0, i)] / over);
}

template <class Real>
void reduce_amax_gradient(const call& c) {
  const auto n = axes_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = in<Real>(c, 1);
  const auto dy = in<Real>(c, 2);
  const auto dx = out<Real>(c, 0);
  for (i64 o = 0; o < n.count_of(0); ++o) {
    Real ties = 0;
    for_reduced(n, o, [&](i64 i) { ties += x[i] == y[o] ? Real(1) : Real(0); });
    for_reduced(n, o, [&](i64 i) { dx.set(i, x[i] == y[o] ? dy[o] / ties : Real(0)); });
  }
}

template <class Real>
void glu(const call& c) {
  const auto n = gate_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for (i64 row = 0; row < n.rows; ++row)
    for (i64 i = 0; i < n.run; ++i) {
      const i64 at = row * 2 * n.run + i;
      y.set(row * n.run + i, x[at] * logistic(x[at + n.run]));
    }
}

template <class Real>
void glu_gradient(const call& c) {
  const auto n = gate_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto dy = in<Real>(c, 1);
  const auto dx = out<Real>(c, 0);
  for (i64 row = 0; row < n.rows; ++row)
    for (i64 i = 0; i < n.run; ++i) {
      const i64 at = row * 2 * n.run + i;
      const Real a = x[at];
      const Real s = logistic(x[at + n.run]);
      const Real g = dy[row * n.run + i];
      dx.set(at, g * s);
      dx.set(at + n.run, g * a * s * (1 - s));
    }
}

inline void permute(const call& c) {
  const auto n = permute_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.count(); ++i) {
    i64 from = 0;
    i64 rest = i;
    for (i32 axis = n.axes - 1; axis >= 0; --axis) {
      from += rest % n.extent[axis] * n.step[axis];
      rest /= n.extent[axis];
    }
    move_element(c.in[0], from, c.out[0], i, c.sizes->output_type(0));
  }
}

}  // namespace tessera::reference
