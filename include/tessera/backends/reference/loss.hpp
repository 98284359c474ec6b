#pragma once

// Softmax cross entropy and its gradient as plain loops, and what losses share (ops/loss_rows.hpp
// has the formulas).
//
// Sums run over samples, then positions, then classes. log p[c] = z[c] - m - log sum exp(z - m)
// with m the largest logit, so nothing overflows.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>
#include <tessera/ops/update.hpp>  // scaler_scale
#include <limits>

namespace tessera::reference {

/// What a loss and its gradient share: sizes, layouts, targets and their weights.
template <class Real>
class entropy_terms {
 public:
  explicit entropy_terms(const call& c)
      : n(loss_sizes::of(*c.sizes)),
        attr_(c.attr->loss),
        valid_(c.step->valid),
        logits_(in<Real>(c, 0)),
        target_(c.input<i32>(1)),
        class_weights_(in<Real>(c, 3)),
        in_logits{c.sizes->batch_last, n.batch, i64{n.classes} * n.inner},
        in_target{c.sizes->batch_last, n.batch, n.inner} {}

  const loss_sizes n;

  i32 target(i64 sample, i64 position) const { return target_[in_target.at(sample, position)]; }

  /// Not padding.
  bool is_real(i64 sample, i64 position) const {
    const i64 row = sample * n.inner + position;
    return (attr_.samples > 0 ? row % attr_.samples : sample) < valid_;
  }

  bool counts(i64 sample, i64 position) const {
    return is_real(sample, position) && target(sample, position) != attr_.ignore_index;
  }

  Real weight(i64 c) const { return class_weights_ ? class_weights_[c] : Real(1); }

  /// The weight of a target's class; NaN where there is no such class.
  Real target_weight(i32 t) const {
    return t < 0 || t >= n.classes ? std::numeric_limits<Real>::quiet_NaN() : weight(t);
  }

  /// W of the formulas.
  Real divisor() const {
    if (attr_.reduce == reduction::batch_mean) return rows_that_count();
    if (attr_.reduce != reduction::mean) return 1;
    Real sum = 0;
    for (i64 sample = 0; sample < n.batch; ++sample)
      for (i64 i = 0; i < n.inner; ++i)
        if (counts(sample, i)) sum += target_weight(target(sample, i));
    return sum;
  }

  /// Rows that are no padding.
  Real rows_that_count() const {
    return static_cast<Real>(n.counted_rows(attr_, static_cast<i32>(valid_)));
  }

  i64 logit_at(i64 sample, i64 c, i64 position) const {
    return in_logits.at(sample, c * n.inner + position);
  }
  i64 target_at(i64 sample, i64 position) const { return in_target.at(sample, position); }

  Real logit(i64 sample, i64 c, i64 position) const {
    return logits_[logit_at(sample, c, position)];
  }

  /// m + log sum exp(z - m): log p[c] is z[c] minus this.
  Real log_sum(i64 sample, i64 position) const {
    Real largest = logit(sample, 0, position);
    for (i64 c = 1; c < n.classes; ++c) {
      const Real z = logit(sample, c, position);
      if (z > largest) largest = z;
    }
    Real sum = 0;
    for (i64 c = 0; c < n.classes; ++c) sum += std::exp(logit(sample, c, position) - largest);
    return largest + std::log(sum);
  }

 private:
  loss_attributes attr_;
  i64 valid_;
  numbers<Real> logits_;
  const i32* target_;
  numbers<Real> class_weights_;

 public:
  const batch_layout in_logits;
  const batch_layout in_target;
};

template <class Real>
void softmax_cross_entropy(const call& c) {
  const entropy_terms<Real> terms(c);
  const loss_attributes& attr = c.attr->loss;
  const auto loss = out<Real>(c, 0);
  const Real smoothing = attr.label_smoothing;
  const Real classes = static_cast<Real>(terms.n.classes);
  Real total = 0;
  for (i64 sample = 0; sample < terms.n.batch; ++sample)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      Real one = 0;
      if (terms.counts(sample, i)) {
        const i32 t = terms.target(sample, i);
        const Real weight = terms.target_weight(t);
        const Real log_sum = terms.log_sum(sample, i);
        // An impossible target has a weight of NaN and no logit to be read.
        one = weight * (1 - smoothing);
        if (!std::isnan(weight)) one *= log_sum - terms.logit(sample, t, i);
        if (smoothing != 0) {
          Real spread = 0;
          for (i64 k = 0; k < terms.n.classes; ++k)
            spread += terms.weight(k) * (log_sum - terms.logit(sample, k, i));
          one += smoothing / classes * spread;
        }
      }
      if (attr.reduce == reduction::none)
        loss.set(terms.target_at(sample, i), attr.weight * one);
      else
        total += one;
    }
  if (attr.reduce != reduction::none) loss.set(0, attr.weight * total / terms.divisor());
}

/// S, the loss scale; 1 without loss scaling.
template <class Real>
Real loss_scale(const call& c, i32 slot) {
  return c.in[slot] == nullptr ? Real(1)
                               : static_cast<Real>(c.input<float>(slot)[ops::scaler_scale]);
}

/// The gradient that comes in from above for target `i`; one number for all where the loss is one.
template <class Real>
Real incoming(const numbers<Real>& from_above, reduction reduce, i64 i) {
  if (!from_above) return 1;
  return from_above[reduce == reduction::none ? i : 0];
}

template <class Real>
void softmax_cross_entropy_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const loss_attributes& attr = c.attr->loss;
  const auto from_above = in<Real>(c, 4);
  const auto dz = out<Real>(c, 0);
  const Real smoothing = attr.label_smoothing;
  const Real classes = static_cast<Real>(terms.n.classes);
  const Real factor = loss_scale<Real>(c, 2) * attr.weight / terms.divisor();
  for (i64 sample = 0; sample < terms.n.batch; ++sample)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      if (!terms.counts(sample, i)) {
        for (i64 k = 0; k < terms.n.classes; ++k) dz.set(terms.logit_at(sample, k, i), 0);
        continue;
      }
      const i32 t = terms.target(sample, i);
      const Real hard = (1 - smoothing) * terms.target_weight(t);
      Real all = hard;
      if (smoothing != 0)
        for (i64 k = 0; k < terms.n.classes; ++k) all += smoothing / classes * terms.weight(k);
      const Real log_sum = terms.log_sum(sample, i);
      const Real above = incoming(from_above, attr.reduce, terms.target_at(sample, i));
      // dz may lie in the bytes of the logits: each is read once more, then overwritten.
      for (i64 k = 0; k < terms.n.classes; ++k) {
        Real g = std::exp(terms.logit(sample, k, i) - log_sum) * all;
        if (k == t) g -= hard;
        if (smoothing != 0) g -= smoothing / classes * terms.weight(k);
        dz.set(terms.logit_at(sample, k, i), factor * above * g);
      }
    }
}

}  // namespace tessera::reference
