#pragma once

// Elementwise operations as plain loops (ops/elementwise.hpp states what they mean): one
// expression in the compute type per element, one rounding when it is stored. Every output may lie
// in an input's bytes, since element i is read before it is written.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/elementwise.hpp>  // dropout_words
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

/// out[i] = f(in 0 [i])
template <class Real, class Function>
void map(const call& c, Function f) {
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) y.set(i, f(x[i]));
}

/// out[i] = f(in 0 [i], in 1 [i])
template <class Real, class Function>
void map2(const call& c, Function f) {
  const auto a = in<Real>(c, 0);
  const auto b = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) y.set(i, f(a[i], b[i]));
}

template <class Real>
void cast(const call& c) {
  map<Real>(c, [](Real x) { return x; });
}

template <class Real>
void add(const call& c) {
  map2<Real>(c, [](Real a, Real b) { return a + b; });
}

template <class Real>
void subtract(const call& c) {
  map2<Real>(c, [](Real a, Real b) { return a - b; });
}

template <class Real>
void multiply(const call& c) {
  map2<Real>(c, [](Real a, Real b) { return a * b; });
}

/// Dropout and its gradient.
template <class Real>
void dropout(const call& c) {
  const ops::dropout_words words(c);
  const float rate = c.attr->rate;
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    const bool drop = uniform(words(i / 4)[static_cast<i32>(i % 4)]) < rate;
    y.set(i, drop ? Real(0) : x[i] / static_cast<Real>(1 - rate));
  }
}

}  // namespace tessera::reference
