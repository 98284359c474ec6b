#pragma once

// Learning-rate schedules: the rate of step t = 0, 1, ...

#include <tessera/core/types.hpp>
#include <cmath>
#include <numbers>

namespace tessera {

/// The rate as a function of the step. Made by the functions below.
///
/// constant        base
/// step            base gamma^floor(t / period)
/// cosine          t < warm_up: base (t + 1) / warm_up; then
///                 lowest + (base - lowest) (1 + cos(pi min(1, (t - warm_up) / (total - warm_up))))
///                 / 2
/// Source          Loshchilov, Hutter 2017 (cosine); Goyal et al. 2017 (warm-up)
struct schedule {
  enum class form : u8 { constant, step, cosine };

  schedule(double constant = 0) : base(constant) {}  // NOLINT: a number is a constant rate

  form what = form::constant;
  double base = 0;
  i64 period = 1;  // step
  double gamma = 1;
  i64 warm_up = 0;  // cosine
  i64 total = 0;    // cosine; 0: as many steps as the fit that uses it
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

inline schedule constant_rate(double base) { return base; }

/// Multiplies the rate by `gamma` after every `period` steps.
inline schedule step_rate(double base, i64 period, double gamma) {
  schedule s(base);
  s.what = schedule::form::step;
  s.period = period;
  s.gamma = gamma;
  return s;
}

/// Half a cosine from `base` down to `lowest` at step `total`, after a linear rise over `warm_up`
/// steps. `total` 0: the steps of the fit.
inline schedule cosine_rate(double base, i64 total = 0, i64 warm_up = 0, double lowest = 0) {
  schedule s(base);
  s.what = schedule::form::cosine;
  s.total = total;
  s.warm_up = warm_up;
  s.lowest = lowest;
  return s;
}

}  // namespace tessera
