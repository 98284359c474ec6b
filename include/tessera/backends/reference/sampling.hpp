#pragma once

// bernoulli, gaussian_noise and weigh_samples as plain loops (ops/sampling.hpp states what they
// mean).

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sampling.hpp>

namespace tessera::reference {

template <class Real>
void bernoulli(const call& c) {
  const ops::dropout_words words(c);
  const auto p = in<Real>(c, 0);
  const auto u = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    const Real drawn = u ? u[i] : static_cast<Real>(uniform(words(i / 4)[static_cast<i32>(i % 4)]));
    y.set(i, drawn < p[i] ? Real(1) : Real(0));
  }
}

template <class Real>
void gaussian_noise(const call& c) {
  const ops::dropout_words words(c);
  const auto x = in<Real>(c, 0);
  const auto z = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    Real drawn = 0;
    if (z) {
      drawn = z[i];
    } else {
      const random_block block = words(i / 4);
      const i32 first = i % 4 < 2 ? 0 : 2;
      const normal_pair pair =
          normal(ops::radius_word(block[first]), ops::angle_word(block[first + 1]));
      drawn = static_cast<Real>(i % 2 == 0 ? pair.first : pair.second);
    }
    y.set(i, x[i] + static_cast<Real>(c.attr->rate) * drawn);
  }
}

template <class Real>
void weigh_samples(const call& c) {
  const auto n = weighing_sizes::of(*c.sizes);
  const ops::sample_weights weights(c, c.sizes->has_input(1) ? c.input<float>(1) : nullptr);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for (i64 i = 0; i < n.count; ++i) {
    const bool counts = n.sample(c.sizes->batch_last, i) < weights.counting;
    y.set(i, counts ? static_cast<Real>(weights.factor) * x[i] : Real(0));
  }
}

/// The kernel of a kind of the family.
template <class Real>
void sampling(const call& c) {
  switch (c.sizes->what) {
    case kind::bernoulli: return bernoulli<Real>(c);
    case kind::gaussian_noise: return gaussian_noise<Real>(c);
    default: return weigh_samples<Real>(c);
  }
}

}  // namespace tessera::reference
