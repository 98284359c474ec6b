#pragma once

// What a restricted Boltzmann machine says of data: free energies, and for small machines the exact
// partition function and log-likelihood.
//
//   F(v)     = -b.v - sum softplus(c + w v)                          binary visible units
//            = |v - b|^2 / 2 - sum softplus(c + w v)                 gaussian ones
//   log Z    = log sum over h of exp(c.h) prod (1 + exp(b + w^T h))  binary, or the like over v
//            = log sum over h of exp(c.h + sum (b a + a^2 / 2)) + visible / 2 log 2 pi, a = w^T h
//   log p(v) = -F(v) - log Z
//
// In double. Configurations of the smaller layer are enumerated in Gray code, one unit flips at a
// time: O(2^units x other units) for units of at most 25. Sums of exponentials keep the largest
// exponent apart, so nothing overflows. A binary machine of which the smaller layer is enumerated
// gives the same log Z whichever that is.
// Source: Freund, Haussler 1992 (free energy); Salakhutdinov, Murray 2008 (partition functions).

#include <tessera/core/error.hpp>
#include <tessera/nn/rbm.hpp>
#include <tessera/runtime/weights.hpp>
#include <bit>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace tessera {

/// log(1 + exp(x)) without overflow.
inline double softplus_of(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

/// A machine's values in double.
struct rbm_values {
  rbm_shape units;
  std::vector<double> weight;        // (hidden, visible)
  std::vector<double> hidden_bias;   // (hidden)
  std::vector<double> visible_bias;  // (visible)

  double w(i32 h, i32 v) const { return weight[static_cast<std::size_t>(h * units.visible + v)]; }
};

/// The values of a machine's trainer: read_rbm<rbm<784, 500>>(t.weights()).
///
/// Errors   a list without the three weights of such a machine
template <machine_type Machine>
rbm_values read_rbm(const weight_list& weights) {
  rbm_values m{Machine::units, {}, {}, {}};
  const auto read = [&](const char* name, i64 count) {
    for (const weight& w : weights) {
      if (w.name == name && w.about.dims.count() == count) {
        return read_tensor(w.about, w.bytes.data());
      }
    }
    throw error("rbm: expected " + std::to_string(count) + " values of \"" + name + "\"");
  };
  m.weight = read("rbm.weight", i64{m.units.hidden} * m.units.visible);
  m.hidden_bias = read("rbm.hidden_bias", m.units.hidden);
  m.visible_bias = read("rbm.visible_bias", m.units.visible);
  return m;
}

/// F(v) of one sample of `visible` values.
inline double free_energy(const rbm_values& m, std::span<const double> v) {
  double energy = 0;
  for (i32 i = 0; i < m.units.visible; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double off = v[at] - m.visible_bias[at];
    energy += m.units.gaussian ? off * off / 2 : -m.visible_bias[at] * v[at];
  }
  for (i32 h = 0; h < m.units.hidden; ++h) {
    double sum = m.hidden_bias[static_cast<std::size_t>(h)];
    for (i32 i = 0; i < m.units.visible; ++i) sum += m.w(h, i) * v[static_cast<std::size_t>(i)];
    energy -= softplus_of(sum);
  }
  return energy;
}

namespace detail {

/// log sum of exponentials, one exponent after another.
class log_sum {
 public:
  void add(double exponent) {
    if (exponent <= largest_) {
      sum_ += std::exp(exponent - largest_);
    } else {
      sum_ = sum_ * std::exp(largest_ - exponent) + 1;
      largest_ = exponent;
    }
  }
  double value() const { return largest_ + std::log(sum_); }

 private:
  double largest_ = -1e300;
  double sum_ = 0;
};

}  // namespace detail

/// log Z by enumeration.
///
/// Errors   more than 25 units in the layer that is enumerated: the smaller one, the hidden one
///          where visible units are gaussian
inline double log_partition(const rbm_values& m) {
  const bool over_hidden = m.units.gaussian || m.units.hidden <= m.units.visible;
  const i32 units = over_hidden ? m.units.hidden : m.units.visible;
  const i32 others = over_hidden ? m.units.visible : m.units.hidden;
  if (units > 25) {
    throw error("rbm: expected at most 25 units to enumerate, got " + std::to_string(units));
  }
  const std::vector<double>& bias = over_hidden ? m.hidden_bias : m.visible_bias;
  const std::vector<double>& other_bias = over_hidden ? m.visible_bias : m.hidden_bias;
  std::vector<double> input(static_cast<std::size_t>(others));  // what the others get from units on
  std::vector<bool> on(static_cast<std::size_t>(units));
  double own = 0;  // of the units that are on
  detail::log_sum sum;
  for (u64 index = 0; index < (u64{1} << units); ++index) {
    if (index > 0) {  // Gray code: the unit that flips is the number of trailing zeros
      const i32 flip = std::countr_zero(index);
      const auto at = static_cast<std::size_t>(flip);
      const double sign = on[at] ? -1 : 1;
      on[at] = !on[at];
      own += sign * bias[at];
      for (i32 o = 0; o < others; ++o) {
        input[static_cast<std::size_t>(o)] += sign * (over_hidden ? m.w(flip, o) : m.w(o, flip));
      }
    }
    double exponent = own;
    for (std::size_t o = 0; o < input.size(); ++o) {
      exponent += m.units.gaussian ? other_bias[o] * input[o] + input[o] * input[o] / 2
                                   : softplus_of(other_bias[o] + input[o]);
    }
    sum.add(exponent);
  }
  const double gaussian = m.units.gaussian ? 0.5 * others * std::log(2 * std::numbers::pi) : 0;
  return sum.value() + gaussian;
}

/// The mean of log p(v) over samples of `visible` values, one after another: exact.
///
/// Errors   as log_partition; values that are no whole samples, or none
inline double log_likelihood(const rbm_values& m, std::span<const double> samples) {
  const auto visible = static_cast<std::size_t>(m.units.visible);
  if (samples.empty() || samples.size() % visible != 0) {
    throw error("rbm: expected samples of " + std::to_string(visible) + " values, got " +
                std::to_string(samples.size()) + " values");
  }
  double sum = 0;
  for (std::size_t at = 0; at < samples.size(); at += visible) {
    sum -= free_energy(m, samples.subspan(at, visible));
  }
  return sum / static_cast<double>(samples.size() / visible) - log_partition(m);
}

}  // namespace tessera
