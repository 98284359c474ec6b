#pragma once

// First values of parameters.

#include <tessera/core/random.hpp>
#include <tessera/ir/graph.hpp>
#include <cmath>
#include <span>

namespace tessera {

/// What an initializer draws from: uniform in +-bound, or normal with the standard deviation.
///
/// glorot   variance 2 / (fan_in + fan_out)     Glorot, Bengio 2010
/// he       variance 2 / fan_in                 He et al. 2015
/// torch    uniform in +-1 / sqrt(fan_in)       what PyTorch's linear and convolution layers do
struct distribution {
  bool normal = false;
  double deviation = 0;
  double bound = 0;
};

inline distribution distribution_of(initializer init, i32 fan_in, i32 fan_out) {
  double variance = 0;
  switch (init) {
    case initializer::zeros:
    case initializer::ones:
    case initializer::quarter: return {};
    case initializer::glorot_uniform:
    case initializer::glorot_normal: variance = 2.0 / (fan_in + fan_out); break;
    case initializer::he_uniform:
    case initializer::he_normal: variance = 2.0 / fan_in; break;
    case initializer::torch_uniform: variance = 1.0 / (3.0 * fan_in); break;
  }
  const double deviation = std::sqrt(variance);
  const bool normal = init == initializer::glorot_normal || init == initializer::he_normal;
  return {normal, deviation, normal ? 0 : deviation * std::sqrt(3.0)};
}

/// Fills `values`; the same stream gives the same values.
inline void initialize(initializer init, i32 fan_in, i32 fan_out, random_stream& random,
                       std::span<double> values) {
  const distribution d = distribution_of(init, fan_in, fan_out);
  for (double& v : values) {
    if (d.normal) {
      v = d.deviation * static_cast<double>(random.next_normal());
    } else if (d.bound > 0) {
      v = d.bound * (2.0 * static_cast<double>(random.next_uniform()) - 1.0);
    } else {
      v = init == initializer::ones ? 1.0 : init == initializer::quarter ? 0.25 : 0.0;
    }
  }
}

}  // namespace tessera
