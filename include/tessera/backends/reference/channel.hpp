#pragma once

// bias_add, channel_scale and its gradient as plain loops (ops/channel.hpp states what they mean).
//
// One expression and one rounding an element, which may overwrite its input. The gradient is one
// sum a channel over rows, then positions, in the compute type, rounded when it is stored.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

/// out[i] = f(in 0 [i], in 1 [channel of i])
template <class Real, class Function>
void map_channels(const call& c, Function f) {
  const auto n = bias_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto v = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < i64{n.batch} * n.channels * n.inner; ++i)
    y.set(i, f(x[i], v[i / n.inner % n.channels]));
}

template <class Real>
void bias_add(const call& c) {
  map_channels<Real>(c, [](Real x, Real b) { return x + b; });
}

template <class Real>
void channel_scale(const call& c) {
  map_channels<Real>(c, [](Real x, Real s) { return x * s; });
}

template <class Real>
void channel_scale_gradient(const call& c) {
  const auto n = bias_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto dy = in<Real>(c, 1);
  const auto ds = out<Real>(c, 0);
  for (i64 channel = 0; channel < n.channels; ++channel) {
    Real sum = 0;
    for (i64 row = 0; row < n.batch; ++row)
      for (i64 i = 0; i < n.inner; ++i) {
        const i64 at = (row * n.channels + channel) * n.inner + i;
        sum += x[at] * dy[at];
      }
    ds.set(channel, sum);
  }
}

}  // namespace tessera::reference
