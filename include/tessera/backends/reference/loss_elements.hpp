#pragma once

// Losses element by element and their gradients as plain loops (ops/loss_elements.hpp has the
// formulas). Sums run over the elements in the order of memory.

#include <tessera/backends/reference/loss.hpp>
#include <tessera/ops/loss_kinds.hpp>

namespace tessera::reference {

template <class Real>
Real hinge(Real margin) {
  return margin > 0 || std::isnan(margin) ? margin : Real(0);
}

/// The loss of one element; `positive` is the weight of positives.
template <class Real>
Real element_loss_value(kind what, const loss_attributes& attr, Real x, Real t, Real positive) {
  const Real d = x - t;
  const Real size = std::abs(d);
  const Real delta = attr.delta;
  const Real margin = attr.margin;
  switch (what) {
    case kind::mse: return d * d;
    case kind::l1: return size;
    case kind::smooth_l1: return size < delta ? d * d / (2 * delta) : size - delta / 2;
    case kind::huber: return size <= delta ? d * d / 2 : delta * (size - delta / 2);
    case kind::bce_with_logits: {
      const Real below = std::log1p(std::exp(-std::abs(x))) + (x < 0 ? -x : Real(0));
      return (1 - t) * x + (1 + (positive - 1) * t) * below;
    }
    case kind::bce: {
      const auto bounded_log = [](Real p) {
        const Real y = std::log(p);
        return y < -100 ? Real(-100) : y;
      };
      return -t * bounded_log(x) - (1 - t) * bounded_log(1 - x);
    }
    case kind::kl_div:
      if (attr.log_target) return std::exp(t) * (t - x);
      return t == 0 && !std::isnan(x) ? Real(0) : t * (std::log(t) - x);
    case kind::binary_hinge: {
      const Real h = hinge(margin - t * x);
      return attr.power == 1 ? h : h * h;
    }
    case kind::hinge_embedding:
      if (std::isnan(t)) return t;
      return (t != -1 ? x : Real(0)) + (t != 1 ? hinge(margin - x) : Real(0));
    default: return 0;
  }
}

/// Its derivative by x.
template <class Real>
Real element_loss_slope(kind what, const loss_attributes& attr, Real x, Real t, Real positive) {
  const Real d = x - t;
  const Real sign = d > 0 ? Real(1) : d < 0 ? Real(-1) : d;  // NaN stays
  const Real delta = attr.delta;
  const Real margin = attr.margin;
  switch (what) {
    case kind::mse: return 2 * d;
    case kind::l1: return sign;
    case kind::smooth_l1: return std::abs(d) < delta ? d / delta : sign;
    case kind::huber: return std::abs(d) <= delta ? d : delta * sign;
    case kind::bce_with_logits: {
      const Real below = x < 0 ? 1 / (1 + std::exp(x)) : std::exp(-x) / (1 + std::exp(-x));
      return 1 - t - (1 + (positive - 1) * t) * below;
    }
    case kind::bce: {
      const Real slope = x * (1 - x);
      return (x - t) / (slope < Real(1e-12) ? Real(1e-12) : slope);
    }
    case kind::kl_div: return attr.log_target ? -std::exp(t) : -t;
    case kind::binary_hinge: {
      const Real h = hinge(margin - t * x);
      if (attr.power == 2) return -2 * t * h;
      return h > 0 ? -t : h;
    }
    case kind::hinge_embedding: {
      const Real h = hinge(margin - x);
      if (std::isnan(t)) return t;
      return (t != -1 ? Real(1) : Real(0)) - (t != 1 ? (h > 0 ? Real(1) : h) : Real(0));
    }
    default: return 0;
  }
}

/// What a loss and its gradient share.
template <class Real>
struct element_terms {
  element_loss_sizes n;
  loss_attributes attr;
  i64 valid;
  kind loss;
  numbers<Real> x, target, weights, positive_weights;

  explicit element_terms(const call& c)
      : n(element_loss_sizes::of(*c.sizes)),
        attr(c.attr->loss),
        valid(c.step->valid),
        loss(loss_of(c.sizes->what)),
        x(in<Real>(c, 0)),
        target(in<Real>(c, 1)),
        weights(in<Real>(c, 3)),
        positive_weights(in<Real>(c, 5)) {}

  bool counts(i64 e) const { return e % n.period < valid * n.unit; }
  Real weight(i64 e) const { return weights ? weights[e] : Real(1); }
  Real positive(i64 e) const {
    return positive_weights ? positive_weights[e / n.channel_step % n.channels] : Real(1);
  }
  Real divisor() const {
    return static_cast<Real>(n.divisor(attr.reduce, static_cast<i32>(valid)));
  }
};

template <class Real>
void element_loss(const call& c) {
  const element_terms<Real> terms(c);
  const auto loss = out<Real>(c, 0);
  Real total = 0;
  for (i64 e = 0; e < terms.n.count; ++e) {
    Real one = 0;
    if (terms.counts(e)) {
      one = terms.weight(e) * element_loss_value(terms.loss, terms.attr, terms.x[e],
                                                 terms.target[e], terms.positive(e));
    }
    if (terms.attr.reduce == reduction::none)
      loss.set(e, terms.attr.weight * one);
    else
      total += one;
  }
  if (terms.attr.reduce != reduction::none)
    loss.set(0, terms.attr.weight * total / terms.divisor());
}

template <class Real>
void element_loss_gradient(const call& c) {
  const element_terms<Real> terms(c);
  const auto from_above = in<Real>(c, 4);
  const auto dx = out<Real>(c, 0);
  const Real factor = loss_scale<Real>(c, 2) * terms.attr.weight / terms.divisor();
  for (i64 e = 0; e < terms.n.count; ++e) {
    Real g = 0;
    if (terms.counts(e)) {
      g = factor * incoming(from_above, terms.attr.reduce, e) * terms.weight(e) *
          element_loss_slope(terms.loss, terms.attr, terms.x[e], terms.target[e],
                             terms.positive(e));
    }
    dx.set(e, g);
  }
}

template <class Real>
void run_element_loss(const call& c) {
  is_loss(c.sizes->what) ? element_loss<Real>(c) : element_loss_gradient<Real>(c);
}

}  // namespace tessera::reference
