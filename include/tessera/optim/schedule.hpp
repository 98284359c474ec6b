#pragma once

// Learning-rate schedules: the rate of step t = 0, 1, ...

#include <cmath>
#include <numbers>
#include <tessera/core/types.hpp>

namespace tessera {

/// The rate as a function of the step. Made by the functions below.
///
/// constant        base
/// step            base gamma^floor(t / period)
/// cosine          t < warm_up: base (t + 1) / warm_up; then
///                 lowest + (base - lowest) (1 + cos(pi min(1, (t - warm_up) / (total - warm_up)))) / 2
/// Source          Loshchilov, Hutter 2017 (cosine); Goyal et al. 2017 (warm-up)
struct schedule {
  enum class form : u8 { constant, step, cosine };

  form what = form::constant;
  double base = 0;
  i64 period = 1;  // step
  double gamma = 1;
  i64 warm_up = 0;  // cosine
  i64 total = 1;
  double lowest = 0;

  double at(i64 t) const {
    switch (what) {
      case form::constant: return base;
      case form::step: return base * std::pow(gamma, static_cast<double>(t / period));
      case form::cosine: break;
    }
    if (t < warm_up) return base * static_cast<double>(t + 1) / static_cast<double>(warm_up);
    const double length = static_cast<double>(total > warm_up ? total - warm_up : 1);
    const double part = static_cast<double>(t - warm_up) / length;
    const double angle = std::numbers::pi * (part < 1 ? part : 1);
    return lowest + (base - lowest) * (1 + std::cos(angle)) / 2;
  }
};

inline schedule constant_rate(double base) { return {.base = base}; }

/// Multiplies the rate by `gamma` after every `period` steps.
inline schedule step_rate(double base, i64 period, double gamma) {
  return {.what = schedule::form::step, .base = base, .period = period, .gamma = gamma};
}

/// Half a cosine from `base` down to `lowest` at step `total`, after a linear rise over `warm_up`.
inline schedule cosine_rate(double base, i64 total, i64 warm_up = 0, double lowest = 0) {
  return {.what = schedule::form::cosine,
          .base = base,
          .warm_up = warm_up,
          .total = total,
          .lowest = lowest};
}

}  // namespace tessera
