#pragma once

// First values of parameters.

#include <tessera/core/random.hpp>
#include <tessera/ir/graph.hpp>
#include <cmath>
#include <span>

namespace tessera {

/// What an initializer draws from: uniform in +-bound, or normal with the standard deviation.
///
/// glorot            variance 2 / (fan_in + fan_out)            Glorot, Bengio 2010
/// he                variance 2 / (1 + number^2) / fan_in       He et al. 2015; number: the slope
/// of he_..._out        the same by fan_out                        a leaky ReLU below 0, 0 for ReLU
/// lecun             variance 1 / fan_in                        LeCun et al. 1998
/// torch_uniform     uniform in +-1 / sqrt(fan_in)       what PyTorch's linear and convolution
///                                                       layers do
/// constant          number
/// uniform_in        in +-number
/// normal_with       deviation `number`
/// truncated_normal  the same, draws beyond 2 deviations drawn again
/// sinusoidal        no draw: positions of sequences, fan_in features (sinusoidal_position)
/// orthogonal        number Q: Q has orthonormal rows, or columns where there are more rows than
///                   columns (the first extent counts rows)     Saxe, McClelland, Ganguli 2014
struct distribution {
  bool normal = false;
  double deviation = 0;
  double bound = 0;
};

inline distribution distribution_of(initializer init, i32 fan_in, i32 fan_out) {
  const double number = init.number;
  double variance = 0;
  bool normal = false;
  switch (init.what) {
    case initializer::zeros:
    case initializer::ones:
    case initializer::constant:
    case initializer::sinusoidal: return {};
    case initializer::uniform_in: return {false, number / std::sqrt(3.0), number};
    case initializer::normal_with:
    case initializer::truncated_normal: return {true, number, 0};
    case initializer::orthogonal: return {true, 1, 0};  // of what is made orthogonal
    case initializer::glorot_normal: normal = true; [[fallthrough]];
    case initializer::glorot_uniform: variance = 2.0 / (fan_in + fan_out); break;
    case initializer::he_normal: normal = true; [[fallthrough]];
    case initializer::he_uniform: variance = 2.0 / (1 + number * number) / fan_in; break;
    case initializer::he_normal_out: normal = true; [[fallthrough]];
    case initializer::he_uniform_out: variance = 2.0 / (1 + number * number) / fan_out; break;
    case initializer::lecun_normal: normal = true; [[fallthrough]];
    case initializer::lecun_uniform: variance = 1.0 / fan_in; break;
    case initializer::torch_uniform: variance = 1.0 / (3.0 * fan_in); break;
  }
  const double deviation = std::sqrt(variance);
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

namespace detail {

/// Makes `count` vectors of `length` numbers orthonormal, one after another (Gram, Schmidt, each
/// twice, so that rounding does not add up). Vector v, number i: values[v * apart + i * step].
/// Vectors of independent normal numbers then are any orthonormal ones, all equally likely.
inline void make_orthonormal(std::span<double> values, i64 count, i64 length, i64 apart, i64 step) {
  const auto at = [&](i64 v, i64 i) -> double& {
    return values[static_cast<std::size_t>(v * apart + i * step)];
  };
  for (i64 v = 0; v < count; ++v) {
    for (i32 again = 0; again < 2; ++again) {
      for (i64 other = 0; other < v; ++other) {
        double along = 0;
        for (i64 i = 0; i < length; ++i) along += at(v, i) * at(other, i);
        for (i64 i = 0; i < length; ++i) at(v, i) -= along * at(other, i);
      }
    }
    double square = 0;
    for (i64 i = 0; i < length; ++i) square += at(v, i) * at(v, i);
    for (i64 i = 0; i < length; ++i) at(v, i) /= std::sqrt(square);
  }
}

}  // namespace detail

/// Fills `values`; the same stream gives the same values. `rows`, the first extent, matters to
/// orthogonal ones, which take rows x columns x the smaller of both steps.
inline void initialize(initializer init, i32 fan_in, i32 fan_out, random_stream& random,
                       std::span<double> values, i64 rows = 1) {
  if (init.what == initializer::sinusoidal) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const i64 e = static_cast<i64>(i);
      values[i] = sinusoidal_position(e / fan_in, e % fan_in, fan_in);
    }
    return;
  }
  const distribution d = distribution_of(init, fan_in, fan_out);
  for (double& v : values) {
    if (d.normal) {
      do {
        v = static_cast<double>(random.next_normal());
      } while (init.what == initializer::truncated_normal && std::abs(v) > 2);
      v *= d.deviation;
    } else if (d.bound > 0) {
      v = d.bound * (2.0 * static_cast<double>(random.next_uniform()) - 1.0);
    } else {
      v = init.what == initializer::ones       ? 1.0
          : init.what == initializer::constant ? static_cast<double>(init.number)
                                               : 0.0;
    }
  }
  if (init.what != initializer::orthogonal || values.empty()) return;
  const i64 columns = static_cast<i64>(values.size()) / rows;
  if (rows <= columns) {
    detail::make_orthonormal(values, rows, columns, columns, 1);
  } else {
    detail::make_orthonormal(values, columns, rows, 1, columns);
  }
  for (double& v : values) v *= static_cast<double>(init.number);
}

}  // namespace tessera
