#pragma once

// Rules beside sgd and adam, and what clips gradients, as plain loops (ops/update_rules.hpp and
// ops/update.hpp state what they mean).
//
// Arithmetic is in the parameter's compute type; what is the same for all elements of a call, and
// sums over tensors, in double.

#include <tessera/backends/reference/update.hpp>
#include <tessera/ops/update_rules.hpp>

namespace tessera::reference {

/// One step of a rule: its operands by name, then a function for each rule. `g` has its weight
/// decay where the rule says so.
template <class Real>
class rule_step {
 public:
  rule_step(const call& c, i32 applied, Real carried)
      : rule_(c.attr->update),
        t_(applied + 1),
        lr_(c.step->learning_rate),
        carried_(carried),
        w_(c),
        a_(out<Real>(c, 1)),
        b_(out<Real>(c, 2)),
        c_(out<Real>(c, 3)) {}

  Real decayed(i64 i, Real g) const { return g + Real(rule_.weight_decay) * w_[i]; }

  void rmsprop(i64 i, Real g) const {
    g = decayed(i, g);
    a_.set(i, mixed(rule_.beta2, a_[i], g * g));
    Real square = a_[i];
    if (rule_.centered) {
      b_.set(i, mixed(rule_.beta2, b_[i], g));
      square = std::max(square - b_[i] * b_[i], Real(0));
    }
    Real d = g / (std::sqrt(square) + Real(rule_.epsilon));
    if (rule_.momentum != 0) {
      const cells<Real>& buffer = rule_.centered ? c_ : b_;
      d += Real(rule_.momentum) * buffer[i];
      buffer.set(i, d);
    }
    w_.set(i, w_[i] - Real(lr_) * d);
  }

  void adagrad(i64 i, Real g) const {
    g = decayed(i, g);
    a_.set(i, (t_ == 1 ? Real(rule_.start) : a_[i]) + g * g);
    const double rate = lr_ / (1 + (t_ - 1) * static_cast<double>(rule_.slowing));
    w_.set(i, w_[i] - Real(rate) * g / (std::sqrt(a_[i]) + Real(rule_.epsilon)));
  }

  void adadelta(i64 i, Real g) const {
    g = decayed(i, g);
    const Real epsilon = rule_.epsilon;
    a_.set(i, mixed(rule_.beta2, a_[i], g * g));
    const Real d = std::sqrt(b_[i] + epsilon) / std::sqrt(a_[i] + epsilon) * g;
    b_.set(i, mixed(rule_.beta2, b_[i], d * d));
    w_.set(i, w_[i] - Real(lr_) * d);
  }

  void adamax(i64 i, Real g) const {
    g = decayed(i, g);
    a_.set(i, mixed(rule_.beta1, a_[i], g));
    const Real size = std::abs(g) + Real(rule_.epsilon);
    const Real old = Real(rule_.beta2) * b_[i];
    b_.set(i, old > size ? old : size);
    w_.set(i, w_[i] - Real(lr_ / correction(rule_.beta1)) * a_[i] / b_[i]);
  }

  /// nadam: mu of step t.
  double momentum(i32 t) const {
    return rule_.beta1 * (1 - 0.5 * std::pow(0.96, t * static_cast<double>(rule_.slowing)));
  }
  double product() const { return (t_ == 1 ? 1 : static_cast<double>(carried_)) * momentum(t_); }

  void nadam(i64 i, Real g) const {
    g = decayed(i, g);
    take_moments(i, g);
    const double of_fresh = lr_ * (1 - momentum(t_)) / (1 - product());
    const double of_mean = lr_ * momentum(t_ + 1) / (1 - product() * momentum(t_ + 1));
    const Real root = std::sqrt(b_[i] / Real(correction(rule_.beta2))) + Real(rule_.epsilon);
    w_.set(i, w_[i] - Real(of_fresh) * g / root - Real(of_mean) * a_[i] / root);
  }

  void radam(i64 i, Real g) const {
    g = decayed(i, g);
    take_moments(i, g);
    const double beta2 = rule_.beta2;
    const double longest = 2 / (1 - beta2) - 1;
    const double length = longest - 2 * t_ * std::pow(beta2, t_) / correction(rule_.beta2);
    const Real mean = a_[i] / Real(correction(rule_.beta1));
    if (length <= 5) return w_.set(i, w_[i] - Real(lr_) * mean);
    const double rectified =
        std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length));
    const Real root = std::sqrt(b_[i]) + Real(rule_.epsilon);
    const Real adaptive = Real(std::sqrt(correction(rule_.beta2))) / root;
    w_.set(i, w_[i] - Real(lr_) * mean * adaptive * Real(rectified));
  }

  void rprop(i64 i, Real g) const {
    g = decayed(i, g);
    Real size = t_ == 1 ? Real(lr_) : b_[i];
    const Real agree = g * a_[i];
    if (agree > 0) size *= Real(rule_.growth);
    if (agree < 0) size *= Real(rule_.shrink);
    size = std::min(std::max(size, Real(rule_.smallest)), Real(rule_.largest));
    if (agree < 0) g = 0;
    a_.set(i, g);
    b_.set(i, size);
    w_.set(i, w_[i] - sign(g) * size);
  }

  void lion(i64 i, Real g) const {
    const Real u = mixed(rule_.beta1, a_[i], g);
    a_.set(i, mixed(rule_.beta2, a_[i], g));
    const Real kept = w_[i] * (1 - Real(lr_) * Real(rule_.weight_decay));
    w_.set(i, kept - Real(lr_) * sign(u));
  }

  void take_moments(i64 i, Real g) const {
    a_.set(i, mixed(rule_.beta1, a_[i], g));
    b_.set(i, mixed(rule_.beta2, b_[i], g * g));
  }

  /// lamb: the direction of element i, whose moments have been taken.
  Real direction(i64 i) const {
    const Real mean = a_[i] / Real(rule_.corrected ? correction(rule_.beta1) : 1);
    const Real square = b_[i] / Real(rule_.corrected ? correction(rule_.beta2) : 1);
    return decayed(i, mean / (std::sqrt(square) + Real(rule_.epsilon)));
  }
  void lamb(i64 i, double ratio) const { w_.set(i, w_[i] - Real(lr_ * ratio) * direction(i)); }

  void lars(i64 i, Real g, double local) const {
    Real v = Real(lr_ * local) * decayed(i, g);
    if (rule_.momentum != 0) {
      v += Real(rule_.momentum) * a_[i];
      a_.set(i, v);
    }
    w_.set(i, w_[i] - v);
  }

  Real weight(i64 i) const { return w_[i]; }

 private:
  /// A running mean with its next value.
  static Real mixed(float share, Real old, Real next) {
    return Real(share) * old + (1 - Real(share)) * next;
  }
  double correction(float beta) const { return 1 - std::pow(static_cast<double>(beta), t_); }
  static Real sign(Real x) { return x > 0 ? Real(1) : x < 0 ? Real(-1) : x; }

  update_rule rule_;
  i32 t_;
  double lr_;
  Real carried_;
  updated_cells<Real> w_;
  cells<Real> a_, b_, c_;
};

/// lamb and lars on one slice: norms first, then the step.
template <class Real, class Gradient>
void norm_update(const update_rule& rule, const rule_step<Real>& step, const Gradient& g, i64 first,
                 i64 count) {
  const bool lamb = rule.what == optimizer_kind::lamb;
  double weight = 0;
  double other = 0;
  for (i64 i = first; i < first + count; ++i) {
    if (lamb) step.take_moments(i, g(i));
    const double w = step.weight(i);
    const double x = lamb ? step.direction(i) : g(i);
    weight += w * w;
    other += x * x;
  }
  weight = std::sqrt(weight);
  other = std::sqrt(other);
  double ratio = 1;
  if (rule.adapts && weight != 0 && other != 0) {
    ratio = lamb ? weight / other
                 : static_cast<double>(rule.trust) * weight /
                       (other + static_cast<double>(rule.weight_decay) * weight);
  }
  for (i64 i = first; i < first + count; ++i) {
    if (lamb) {
      step.lamb(i, ratio);
    } else {
      step.lars(i, g(i), ratio);
    }
  }
}

/// All of them: (gradient, -, scaler, clip) -> parameter, states, applied, carried.
template <class Real>
void rule_update(const call& c) {
  const as_stored<stored_gradient<Real>> stored{stored_gradient<Real>(c)};
  if (!may_update(c, stored)) return;
  const as_applied<Real, as_stored<stored_gradient<Real>>> g(c, stored);
  i32& applied = *c.output<i32>(4);
  const cells<Real> carried = out<Real>(c, 5);
  const update_rule& rule = c.attr->update;
  const rule_step<Real> step(c, applied, carried ? carried[0] : Real(1));
  if (ops::is_norm_update(c.sizes->what)) {
    const auto n = norm_update_sizes::of(*c.sizes);
    for (i64 s = 0; s < n.slices; ++s) norm_update(rule, step, g, s * n.slice, n.slice);
  }
  for (i64 i = 0; i < g.count(); ++i) {
    switch (c.sizes->what) {
      case kind::rmsprop_update: step.rmsprop(i, g(i)); break;
      case kind::adagrad_update: step.adagrad(i, g(i)); break;
      case kind::adadelta_update: step.adadelta(i, g(i)); break;
      case kind::adamax_update: step.adamax(i, g(i)); break;
      case kind::nadam_update: step.nadam(i, g(i)); break;
      case kind::radam_update: step.radam(i, g(i)); break;
      case kind::rprop_update: step.rprop(i, g(i)); break;
      case kind::lion_update: step.lion(i, g(i)); break;
      default: break;
    }
  }
  if (carried) carried.set(0, Real(step.product()));
  ++applied;
}

/// (gradient, parameter, scaler) -> gradient.
template <class Real>
void adjust_gradient(const call& c) {
  const numbers<Real> g = in<Real>(c, 0);
  const numbers<Real> w = in<Real>(c, 1);
  const cells<Real> adjusted = out<Real>(c, 0);
  const bool scaled = c.in[2] != nullptr;
  const Real scale = scaled ? static_cast<Real>(c.input<float>(2)[ops::scaler_scale]) : Real(1);
  const Real penalty = scale * static_cast<Real>(c.attr->update.l1);
  const Real limit = scale * static_cast<Real>(c.attr->limits.value);
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    Real value = g[i];
    if (!scaled || std::isfinite(value)) {
      if (w) value += w[i] > 0 ? penalty : w[i] < 0 ? -penalty : 0;
      if (limit > 0 && value > limit) value = limit;
      if (limit > 0 && value < -limit) value = -limit;
    }
    adjusted.set(i, value);
  }
}

/// (-, gradient) -> norm.
template <class Real>
void gradient_norm(const call& c) {
  const numbers<Real> g = in<Real>(c, 1);
  const double order = c.attr->limits.order;
  double sum = 0;
  for (i64 i = 0; i < bias_sizes::of(*c.sizes).count(); ++i) {
    const double size = std::abs(static_cast<double>(g[i]));
    if (std::isinf(order)) {
      if (!(size <= sum)) sum = size;
      if (std::isnan(sum)) break;
    } else {
      sum += std::pow(size, order);
    }
  }
  out<Real>(c, 0).set(0, static_cast<Real>(std::isinf(order) ? sum : std::pow(sum, 1 / order)));
}

/// (norms, -, scaler) -> norm of all, factor.
template <class Real>
void clip_factor(const call& c) {
  const numbers<Real> norms = in<Real>(c, 0);
  const double order = c.attr->limits.order;
  double sum = 0;
  for (i64 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    const double norm = norms[i];
    if (std::isinf(order)) {
      if (!(norm <= sum) && !std::isnan(sum)) sum = norm;
    } else {
      sum += std::pow(norm, order);
    }
  }
  double norm = std::isinf(order) ? sum : std::pow(sum, 1 / order);
  if (c.in[2] != nullptr) norm /= static_cast<double>(c.input<float>(2)[ops::scaler_scale]);
  const cells<Real> clip = out<Real>(c, 0);
  clip.set(ops::clip_norm, static_cast<Real>(norm));
  clip.set(ops::clip_factor, static_cast<Real>(ops::clip_factor_of(c.attr->limits, norm)));
}

}  // namespace tessera::reference
