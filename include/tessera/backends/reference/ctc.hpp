#pragma once

// CTC and its gradient as plain loops (ops/ctc.hpp has the formulas): sample by sample, frame by
// frame, state by state, in double throughout.

#include <tessera/backends/reference/loss.hpp>

namespace tessera::reference {

inline constexpr double impossible = -1e30;

inline double log_add(double a, double b) {
  if (std::isnan(a) || std::isnan(b)) return a + b;
  const double most = a > b ? a : b;
  const double sum = most + std::log(std::exp(a - most) + std::exp(b - most));
  return sum < impossible ? impossible : sum;
}

/// One sample: its labels and frames.
template <class Real>
struct ctc_sample {
  const call& c;
  ctc_sizes n;
  loss_attributes attr;
  i64 sample;
  i32 frames, labels;

  ctc_sample(const call& call_, i64 number)
      : c(call_),
        n(ctc_sizes::of(*call_.sizes)),
        attr(call_.attr->loss),
        sample(number),
        frames(call_.input<i32>(3)[number]),
        labels(call_.input<i32>(5)[number]) {}

  i32 label(i32 u) const {
    const batch_layout at{c.sizes->batch_last, n.batch, n.labels};
    return c.input<i32>(1)[at.at(sample, u)];
  }
  bool makes_sense() const {
    if (frames < 0 || frames > n.time || labels < 0 || labels > n.labels) return false;
    for (i32 u = 0; u < labels; ++u)
      if (label(u) < 0 || label(u) >= n.classes || label(u) == attr.blank) return false;
    return attr.blank >= 0 && attr.blank < n.classes;
  }

  i32 states() const { return 2 * labels + 1; }
  i32 class_of(i32 s) const { return s % 2 == 0 ? attr.blank : label(s / 2); }
  /// May a way go from state s - 2 to s?
  bool skips(i32 s) const {
    return s >= 2 && s < states() && s % 2 == 1 && label(s / 2) != label(s / 2 - 1);
  }

  i64 logit_at(i64 t, i64 k) const {
    return n.first(c.sizes->batch_last, t, sample) + k * n.class_step(c.sizes->batch_last);
  }
  double logit(i64 t, i64 k) const { return static_cast<double>(in<Real>(c, 0)[logit_at(t, k)]); }
  double log_sum(i64 t) const {
    double most = logit(t, 0);
    for (i64 k = 1; k < n.classes; ++k) most = std::max(most, logit(t, k));
    double sum = 0;
    for (i64 k = 0; k < n.classes; ++k) sum += std::exp(logit(t, k) - most);
    return most + std::log(sum);
  }
  i64 alpha_at(i64 t, i64 s) const {
    return (sample * n.time + t) * n.state_row() + ctc_sizes::margin + s;
  }
  i64 sum_at(i64 t) const { return t * n.batch + sample; }

  /// W of the sample's loss.
  double divisor() const {
    const double valid = c.step->valid;
    if (attr.reduce == reduction::mean) return valid * (labels > 1 ? labels : 1);
    return attr.reduce == reduction::batch_mean ? valid : 1;
  }
};

template <class Real>
double ctc_loss_of(const call& c, const ctc_sample<Real>& x) {
  if (!x.makes_sense()) return std::numeric_limits<double>::quiet_NaN();
  const auto alpha = out<Real>(c, 1);
  const auto sums = out<Real>(c, 2);
  double shift = 0;  // what the stored frames have lost
  for (i32 t = 0; t < x.frames; ++t) {
    const double log_sum = x.log_sum(t);
    sums.set(x.sum_at(t), static_cast<Real>(log_sum));
    double most = std::numeric_limits<double>::quiet_NaN();
    for (i32 s = 0; s < x.states(); ++s) {
      double a = impossible;
      if (t == 0) {
        if (s < 2) a = 0;
      } else {
        const auto before = [&](i32 state) {
          return static_cast<double>(alpha[x.alpha_at(t - 1, state)]);
        };
        a = before(s);
        if (s >= 1) a = log_add(a, before(s - 1));
        if (x.skips(s)) a = log_add(a, before(s - 2));
      }
      a += x.logit(t, x.class_of(s)) - log_sum;
      if (a < impossible) a = impossible;
      alpha.set(x.alpha_at(t, s), static_cast<Real>(a));
      if (!(a <= most)) most = a;  // NaN stays until the first number
    }
    if (most < impossible / 2) continue;
    shift += most;
    for (i32 s = 0; s < x.states(); ++s) {
      const double a = static_cast<double>(alpha[x.alpha_at(t, s)]) - most;
      alpha.set(x.alpha_at(t, s), static_cast<Real>(a < impossible ? impossible : a));
    }
  }
  double end = x.labels == 0 ? 0 : impossible;
  if (x.frames > 0) {
    end = static_cast<double>(alpha[x.alpha_at(x.frames - 1, x.states() - 1)]);
    if (x.labels > 0)
      end = log_add(end, static_cast<double>(alpha[x.alpha_at(x.frames - 1, x.states() - 2)]));
  }
  if (end < impossible / 2) return std::numeric_limits<double>::infinity();
  return -(end + shift);
}

template <class Real>
void ctc(const call& c) {
  const auto n = ctc_sizes::of(*c.sizes);
  const loss_attributes& attr = c.attr->loss;
  const auto loss = out<Real>(c, 0);
  double total = 0;
  for (i64 sample = 0; sample < n.batch; ++sample) {
    const ctc_sample<Real> x(c, sample);
    double one = sample < c.step->valid ? ctc_loss_of(c, x) : 0;
    out<Real>(c, 2).set(x.sum_at(n.time), static_cast<Real>(one));
    if (attr.zero_infinity && std::isinf(one)) one = 0;
    one *= static_cast<double>(attr.weight);
    if (attr.reduce == reduction::none)
      loss.set(sample, static_cast<Real>(one));
    else if (sample < c.step->valid)
      total += one / x.divisor();
  }
  if (attr.reduce != reduction::none) loss.set(0, static_cast<Real>(total));
}

template <class Real>
void ctc_gradient_of(const call& c, const ctc_sample<Real>& x, double factor) {
  const auto alpha = in<Real>(c, 6);
  const auto dz = out<Real>(c, 0);
  const auto room = out<Real>(c, 1);
  const i64 first = x.sample * x.n.room_row();
  const i64 first_class = first + x.n.state_row();
  const auto later = [&](i32 s) {  // beta of the frame after, with what that frame gives
    return s < x.states() ? static_cast<double>(room[first + s]) : impossible;
  };
  for (i32 t = x.frames - 1; t >= 0; --t) {
    const double log_sum = static_cast<double>(in<Real>(c, 7)[x.sum_at(t)]);
    for (i32 s = 0; s < x.states(); ++s) {  // ascending: what is read lies ahead
      double beta = s >= x.states() - 2 ? 0 : impossible;
      if (t + 1 < x.frames) {
        beta = log_add(later(s), later(s + 1));
        if (x.skips(s + 2)) beta = log_add(beta, later(s + 2));
      }
      room.set(first + s, static_cast<Real>(beta));
    }
    double most = impossible;
    for (i32 s = 0; s < x.states(); ++s) {
      const double way = static_cast<double>(alpha[x.alpha_at(t, s)]) + later(s);
      if (!(way <= most)) most = way;
    }
    double all = 0;
    for (i64 k = 0; k < x.n.classes; ++k) room.set(first_class + k, 0);
    for (int pass = 0; pass < 2; ++pass)
      for (i32 s = 0; s < x.states(); ++s) {
        const double way = std::exp(static_cast<double>(alpha[x.alpha_at(t, s)]) + later(s) - most);
        if (pass == 0) {
          all += way;
          continue;
        }
        const i64 k = first_class + x.class_of(s);
        room.set(k, static_cast<Real>(static_cast<double>(room[k]) + way / all));
      }
    double largest = impossible;
    for (i32 s = 0; s < x.states(); ++s) {
      double beta = later(s) + x.logit(t, x.class_of(s)) - log_sum;
      if (beta < impossible) beta = impossible;
      room.set(first + s, static_cast<Real>(beta));
      if (!(beta <= largest)) largest = beta;
    }
    for (i32 s = 0; s < x.states(); ++s) {
      const double beta = later(s) - largest;
      room.set(first + s, static_cast<Real>(beta < impossible ? impossible : beta));
    }
    // dz may lie in the bytes of the logits: the frame's have all been read but for these.
    for (i64 k = 0; k < x.n.classes; ++k) {
      const double p = std::exp(x.logit(t, k) - log_sum);
      const double g = factor * (p - static_cast<double>(room[first_class + k]));
      dz.set(x.logit_at(t, k), static_cast<Real>(g));
    }
  }
}

template <class Real>
void ctc_gradient(const call& c) {
  const auto n = ctc_sizes::of(*c.sizes);
  const loss_attributes& attr = c.attr->loss;
  const auto from_above = in<Real>(c, 4);
  const double scale =
      static_cast<double>(loss_scale<Real>(c, 2)) * static_cast<double>(attr.weight);
  for (i64 sample = 0; sample < n.batch; ++sample) {
    const ctc_sample<Real> x(c, sample);
    const auto loss = static_cast<double>(in<Real>(c, 7)[x.sum_at(n.time)]);
    const bool sense = sample < c.step->valid && x.makes_sense();
    const bool learns = sense && !std::isinf(loss) && !std::isnan(loss);
    const double above = static_cast<double>(incoming(from_above, attr.reduce, sample));
    const double factor = scale / x.divisor() * above;
    for (i32 t = 0; t < n.time; ++t) {
      if (learns && t < x.frames) continue;
      // Senseless numbers of frames: all of them.
      const bool nan = sample < c.step->valid && std::isnan(loss) && (!sense || t < x.frames);
      for (i64 k = 0; k < n.classes; ++k)
        out<Real>(c, 0).set(x.logit_at(t, k), nan ? static_cast<Real>(loss) : Real(0));
    }
    if (learns) ctc_gradient_of(c, x, factor);
  }
}

}  // namespace tessera::reference
