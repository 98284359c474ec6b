#pragma once

// bias_add, channel_scale, prelu and their gradients as plain loops (ops/channel.hpp states what
// they mean).
//
// One expression and one rounding an element, which may overwrite its input. The gradients of what
// has one number a channel are one sum each over rows, then positions, in the compute type, rounded
// when it is stored.

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
void prelu(const call& c) {
  map_channels<Real>(c, [](Real x, Real a) { return x > 0 ? x : a * x; });
}

/// (x, slope, dy) -> dx
template <class Real>
void prelu_gradient(const call& c) {
  const auto n = bias_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto slope = in<Real>(c, 1);
  const auto dy = in<Real>(c, 2);
  const auto dx = out<Real>(c, 0);
  for (i64 i = 0; i < i64{n.batch} * n.channels * n.inner; ++i)
    dx.set(i, x[i] > 0 ? dy[i] : slope[i / n.inner % n.channels] * dy[i]);
}

/// out[channel] = the sum of f(in 0) in 1 over the channel
template <class Real, class Function>
void sum_channels(const call& c, Function f) {
  const auto n = bias_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto dy = in<Real>(c, 1);
  const auto ds = out<Real>(c, 0);
  for (i64 channel = 0; channel < n.channels; ++channel) {
    Real sum = 0;
    for (i64 row = 0; row < n.batch; ++row)
      for (i64 i = 0; i < n.inner; ++i) {
        const i64 at = (row * n.channels + channel) * n.inner + i;
        sum += f(x[at]) * dy[at];
      }
    ds.set(channel, sum);
  }
}

template <class Real>
void channel_scale_gradient(const call& c) {
  sum_channels<Real>(c, [](Real x) { return x; });
}

template <class Real>
void prelu_slope_gradient(const call& c) {
  sum_channels<Real>(c, [](Real x) { return x > 0 ? Real(0) : x; });
}

}  // namespace tessera::reference
