#pragma once

// Learning-rate schedules: the rate of step t = 0, 1, ... as values.
//
//   constant_rate         base
//   step_rate             base gamma^floor(t / period)
//   multistep_rate        base gamma^(number of milestones at or before t)
//   exponential_rate      base gamma^t
//   cosine_rate           half a cosine from base to lowest, after a linear rise over warm_up
//   steps:
//                         t < warm_up: base (t + 1) / warm_up, then with s = t - warm_up of
//                         length = total - warm_up: lowest + (base - lowest)
//                         (1 + cos(pi min(1, s / length))) / 2     (Loshchilov, Hutter 2017;
//                         warm-up: Goyal et al. 2017)
//   cosine_restart_rate   half cosines of period, period factor, period factor^2, ... steps
//                         (Loshchilov, Hutter 2017)
//   one_cycle_rate        from highest / start_divisor up to highest at rising total - 1, down to
//                         highest / start_divisor / end_divisor at total - 1, along cosines or
//                         lines; in three phases, back to the start before it falls to the end
//                         (Smith, Topin 2018, with PyTorch's step numbers)
//   polynomial_rate       lowest + (base - lowest) (1 - min(t, total) / total)^power
//   noam_rate             base width^-1/2 min((t + 1)^-1/2, (t + 1) warm_up^-3/2)
//                         (Vaswani et al. 2017)
//
// A total of 0 stands for the steps of the fit that uses the schedule. A step is a batch; schedules
// by epochs count batches: step_rate(0.1, 30 * batches, 0.1).

#include <tessera/core/types.hpp>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

namespace tessera {

/// How a rate goes from one value to another.
enum class anneal : u8 { cosine, linear };

/// The rate as a function of the step. Made by the functions below; reading it allocates nothing.
struct schedule {
  enum class form : u8 {
    constant,
    step,
    multistep,
    exponential,
    cosine,
    cosine_restarts,
    one_cycle,
    polynomial,
    noam
  };

  schedule(double constant = 0) : base(constant) {}  // NOLINT: a number is a constant rate

  form what = form::constant;
  double base = 0;            // one_cycle: the highest rate
  i64 period = 1;             // step, cosine_restarts
  i64 growth = 1;             // cosine_restarts: of the period
  double gamma = 1;           // step, multistep, exponential
  std::vector<i64> steps;     // multistep: the milestones, in any order
  i64 warm_up = 0;            // cosine, noam
  i64 total = 0;              // cosine, one_cycle, polynomial; 0: the steps of the fit
  double lowest = 0;          // cosine, cosine_restarts, polynomial
  double power = 1;           // polynomial
  double width = 1;           // noam: of the model
  double rising = 0.3;        // one_cycle: share of the steps
  double start_divisor = 25;  // one_cycle
  double end_divisor = 1e4;   // one_cycle
  anneal along = anneal::cosine;
  bool three_phases = false;  // one_cycle

  double at(i64 t) const {
    switch (what) {
      case form::constant: return base;
      case form::step: return base * std::pow(gamma, static_cast<double>(t / period));
      case form::multistep: {
        i64 passed = 0;
        for (const i64 milestone : steps) passed += milestone <= t ? 1 : 0;
        return base * std::pow(gamma, static_cast<double>(passed));
      }
      case form::exponential: return base * std::pow(gamma, static_cast<double>(t));
      case form::cosine: {
        if (t < warm_up) return base * static_cast<double>(t + 1) / static_cast<double>(warm_up);
        return between(base, lowest, part_of(t - warm_up, total - warm_up), anneal::cosine);
      }
      case form::cosine_restarts: {
        i64 length = period;
        while (t >= length) {
          t -= length;
          length *= growth;
        }
        return between(base, lowest, part_of(t, length), anneal::cosine);
      }
      case form::one_cycle: return one_cycle(static_cast<double>(t));
      case form::polynomial:
        return lowest + (base - lowest) * std::pow(1 - part_of(t, total), power);
      case form::noam: break;
    }
    const auto n = static_cast<double>(t + 1);
    const double rise = n * std::pow(static_cast<double>(warm_up), -1.5);
    const double fall = 1 / std::sqrt(n);
    return base / std::sqrt(width) * (rise < fall ? rise : fall);
  }

 private:
  /// How much of `length` steps has passed, at most 1; a length of 0 counts as 1.
  static double part_of(i64 t, i64 length) {
    if (length < 1) length = 1;
    return t < length ? static_cast<double>(t) / static_cast<double>(length) : 1.0;
  }

  static double between(double from, double to, double part, anneal how) {
    if (how == anneal::linear) return from + (to - from) * part;
    return to + (from - to) * (1 + std::cos(std::numbers::pi * part)) / 2;
  }

  double one_cycle(double t) const {
    const double start = base / start_divisor;
    const double end = start / end_divisor;
    const auto all = static_cast<double>(total);
    const double top = rising * all - 1;
    const double last = all - 1;
    const auto phase = [&](double from, double to, double first, double until) {
      const double part = until > first ? (t - first) / (until - first) : 1;
      return between(from, to, part < 1 ? part : 1, along);
    };
    if (t <= top) return phase(start, base, 0, top);
    if (!three_phases) return phase(base, end, top, last);
    const double middle = 2 * rising * all - 2;
    if (t <= middle) return phase(base, start, top, middle);
    return phase(start, end, middle, last);
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

/// Multiplies the rate by `gamma` at each of the steps named; twice at one named twice.
inline schedule multistep_rate(double base, std::vector<i64> milestones, double gamma = 0.1) {
  schedule s(base);
  s.what = schedule::form::multistep;
  s.steps = std::move(milestones);
  s.gamma = gamma;
  return s;
}

/// Multiplies the rate by `gamma` after every step.
inline schedule exponential_rate(double base, double gamma) {
  schedule s(base);
  s.what = schedule::form::exponential;
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

/// Half cosines from `base` towards `lowest`, the first over `period` steps, each next one `growth`
/// times as long.
inline schedule cosine_restart_rate(double base, i64 period, i64 growth = 1, double lowest = 0) {
  schedule s(base);
  s.what = schedule::form::cosine_restarts;
  s.period = period;
  s.growth = growth;
  s.lowest = lowest;
  return s;
}

/// Up to `highest` and down again. `total` 0: the steps of the fit. Shares, divisors and phases are
/// members of what it returns.
inline schedule one_cycle_rate(double highest, i64 total = 0, anneal along = anneal::cosine) {
  schedule s(highest);
  s.what = schedule::form::one_cycle;
  s.total = total;
  s.along = along;
  return s;
}

/// Down to `lowest` at step `total` (0: the steps of the fit), and from there on.
inline schedule polynomial_rate(double base, double power = 1, i64 total = 0, double lowest = 0) {
  schedule s(base);
  s.what = schedule::form::polynomial;
  s.power = power;
  s.total = total;
  s.lowest = lowest;
  return s;
}

/// The transformer's: a linear rise over `warm_up` steps, then as one over the root of the step.
/// `width`: of the model. `base` is a factor, usually 1.
inline schedule noam_rate(double base, i64 width, i64 warm_up) {
  schedule s(base);
  s.what = schedule::form::noam;
  s.width = static_cast<double>(width);
  s.warm_up = warm_up;
  return s;
}

}  // namespace tessera
