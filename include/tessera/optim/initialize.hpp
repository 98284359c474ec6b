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
    case initializer::quarter:
    case initializer::sinusoidal: return {};
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

/// Feature `i` of `features` of the position at time `t`: sines at even ones, cosines at odd ones,
/// of wave lengths from 2 pi to 20000 pi. (Vaswani et al. 2017)
inline double sinusoidal_position(i64 t, i64 i, i64 features) {
  const double rate =
      std::pow(10000.0, -static_cast<double>(i / 2 * 2) / static_cast<double>(features));
  const double angle = static_cast<double>(t) * rate;
  return i % 2 == 0 ? std::sin(angle) : std::cos(angle);
}

/// Fills `values`; the same stream gives the same values.
inline void initialize(initializer init, i32 fan_in, i32 fan_out, random_stream& random,
                       std::span<double> values) {
  if (init == initializer::sinusoidal) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const i64 e = static_cast<i64>(i);
      values[i] = sinusoidal_position(e / fan_in, e % fan_in, fan_in);
    }
    return;
  }
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
