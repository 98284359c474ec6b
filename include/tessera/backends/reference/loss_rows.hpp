#pragma once

// Losses row by row and their gradients as plain loops (ops/loss_rows.hpp has the formulas). Sums
// run over samples, then positions; within a row over classes or features in their order.

#include <tessera/backends/reference/loss.hpp>
#include <tessera/ops/loss_kinds.hpp>

namespace tessera::reference {

/// W of the losses that divide by the number of rows.
template <class Real>
Real row_divisor(const entropy_terms<Real>& terms, reduction reduce) {
  const bool mean = reduce == reduction::mean || reduce == reduction::batch_mean;
  return mean ? terms.rows_that_count() : Real(1);
}

/// The same where rows whose class is ignored do not count.
template <class Real>
Real class_row_divisor(const entropy_terms<Real>& terms, reduction reduce) {
  if (reduce != reduction::mean) return row_divisor(terms, reduce);
  Real rows = 0;
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) rows += terms.counts(s, i) ? Real(1) : Real(0);
  return rows;
}

/// Adds up, or stores, what `row(sample, position)` gives; 0 for rows that do not count.
template <class Real, class Counts, class Row>
void run_rows(const call& c, const entropy_terms<Real>& terms, Real divisor, const Counts& counts,
              const Row& row) {
  const auto loss = out<Real>(c, 0);
  const loss_attributes& attr = c.attr->loss;
  Real total = 0;
  for (i64 sample = 0; sample < terms.n.batch; ++sample)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const Real one = counts(sample, i) ? row(sample, i) : Real(0);
      if (attr.reduce == reduction::none)
        loss.set(terms.target_at(sample, i), attr.weight * one);
      else
        total += one;
    }
  if (attr.reduce != reduction::none) loss.set(0, attr.weight * total / divisor);
}

/// The factor on the slopes of the row whose loss is number `row`.
template <class Real>
Real row_factor(const call& c, Real divisor, i64 row) {
  const Real common = loss_scale<Real>(c, 2) * c.attr->loss.weight / divisor;
  return common * incoming(in<Real>(c, 4), c.attr->loss.reduce, row);
}

// --- nll
// ------------------------------------------------------------------------------------------

template <class Real>
void nll(const call& c) {
  const entropy_terms<Real> terms(c);
  run_rows(
      c, terms, terms.divisor(), [&](i64 s, i64 i) { return terms.counts(s, i); },
      [&](i64 s, i64 i) {
        const i32 t = terms.target(s, i);
        const Real weight = terms.target_weight(t);
        return std::isnan(weight) ? weight : -weight * terms.logit(s, t, i);
      });
}

template <class Real>
void nll_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const auto dx = out<Real>(c, 0);
  const Real divisor = terms.divisor();
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const i32 t = terms.target(s, i);
      const bool counts = terms.counts(s, i);
      const Real weight = terms.target_weight(t);
      const Real hard = -row_factor(c, divisor, terms.target_at(s, i)) * weight;
      for (i64 k = 0; k < terms.n.classes; ++k) {
        const bool hit = counts && (k == t || std::isnan(weight));
        dx.set(terms.logit_at(s, k, i), hit ? hard : Real(0));
      }
    }
}

// --- multiclass hinge
// -----------------------------------------------------------------------------

template <class Real>
void multiclass_hinge(const call& c) {
  const entropy_terms<Real> terms(c);
  const loss_attributes& attr = c.attr->loss;
  run_rows(
      c, terms, class_row_divisor(terms, attr.reduce),
      [&](i64 s, i64 i) { return terms.counts(s, i); },
      [&](i64 s, i64 i) {
        const i32 t = terms.target(s, i);
        const Real weight = terms.target_weight(t);
        if (std::isnan(weight)) return weight;
        Real sum = 0;
        for (i64 k = 0; k < terms.n.classes; ++k) {
          if (k == t) continue;
          const Real h = attr.margin - terms.logit(s, t, i) + terms.logit(s, k, i);
          if (h > 0 || std::isnan(h)) sum += attr.power == 1 ? h : h * h;
        }
        return weight * sum / static_cast<Real>(terms.n.classes);
      });
}

template <class Real>
void multiclass_hinge_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const loss_attributes& attr = c.attr->loss;
  const auto dx = out<Real>(c, 0);
  const Real divisor = class_row_divisor(terms, attr.reduce);
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      if (!terms.counts(s, i)) {
        for (i64 k = 0; k < terms.n.classes; ++k) dx.set(terms.logit_at(s, k, i), 0);
        continue;
      }
      const i32 t = terms.target(s, i);
      const Real weight = terms.target_weight(t);
      const Real factor = row_factor(c, divisor, terms.target_at(s, i)) * weight /
                          static_cast<Real>(terms.n.classes);
      const Real wanted = std::isnan(weight) ? weight : terms.logit(s, t, i);
      Real sum = 0;
      for (i64 k = 0; k < terms.n.classes; ++k) {
        if (k == t) continue;
        const Real h = attr.margin - wanted + terms.logit(s, k, i);
        Real slope = 0;
        if (h > 0 || std::isnan(h)) slope = attr.power == 1 ? h / h : 2 * h;
        if (attr.power == 1 && std::isinf(h) && h > 0) slope = 1;
        sum += slope;
        dx.set(terms.logit_at(s, k, i), factor * slope);
      }
      if (t >= 0 && t < terms.n.classes) dx.set(terms.logit_at(s, t, i), -factor * sum);
    }
}

// --- distributions as targets
// ---------------------------------------------------------------------

/// v[c] q[c] of soft_cross_entropy.
template <class Real>
Real soft_weight(const call& c, const entropy_terms<Real>& terms, i64 s, i64 k, i64 i) {
  const Real smoothing = c.attr->loss.label_smoothing;
  const Real t = in<Real>(c, 1)[terms.logit_at(s, k, i)];
  return terms.weight(k) * ((1 - smoothing) * t + smoothing / static_cast<Real>(terms.n.classes));
}

template <class Real>
void soft_cross_entropy(const call& c) {
  const entropy_terms<Real> terms(c);
  run_rows(
      c, terms, row_divisor(terms, c.attr->loss.reduce),
      [&](i64 s, i64 i) { return terms.is_real(s, i); },
      [&](i64 s, i64 i) {
        const Real log_sum = terms.log_sum(s, i);
        Real sum = 0;
        for (i64 k = 0; k < terms.n.classes; ++k)
          sum += soft_weight(c, terms, s, k, i) * (log_sum - terms.logit(s, k, i));
        return sum;
      });
}

template <class Real>
void soft_cross_entropy_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const auto dz = out<Real>(c, 0);
  const Real divisor = row_divisor(terms, c.attr->loss.reduce);
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const bool real = terms.is_real(s, i);
      const Real factor = real ? row_factor(c, divisor, terms.target_at(s, i)) : Real(0);
      const Real log_sum = terms.log_sum(s, i);
      Real all = 0;
      for (i64 k = 0; k < terms.n.classes; ++k) all += soft_weight(c, terms, s, k, i);
      for (i64 k = 0; k < terms.n.classes; ++k) {
        const Real p = std::exp(terms.logit(s, k, i) - log_sum);
        const Real g = factor * (p * all - soft_weight(c, terms, s, k, i));
        dz.set(terms.logit_at(s, k, i), real ? g : Real(0));
      }
    }
}

/// Softmax of one row of numbers at a temperature, as logarithms.
template <class Real>
struct tempered {
  numbers<Real> z;
  const entropy_terms<Real>& terms;
  Real temperature;

  Real at(i64 s, i64 k, i64 i) const { return z[terms.logit_at(s, k, i)] / temperature; }
  /// log sum exp of the row.
  Real log_sum(i64 s, i64 i) const {
    Real largest = at(s, 0, i);
    for (i64 k = 1; k < terms.n.classes; ++k)
      if (at(s, k, i) > largest) largest = at(s, k, i);
    Real sum = 0;
    for (i64 k = 0; k < terms.n.classes; ++k) sum += std::exp(at(s, k, i) - largest);
    return largest + std::log(sum);
  }
};

template <class Real>
void distillation(const call& c) {
  const entropy_terms<Real> terms(c);
  const Real temperature = c.attr->loss.temperature;
  const tempered<Real> student{in<Real>(c, 0), terms, temperature};
  const tempered<Real> teacher{in<Real>(c, 1), terms, temperature};
  run_rows(
      c, terms, row_divisor(terms, c.attr->loss.reduce),
      [&](i64 s, i64 i) { return terms.is_real(s, i); },
      [&](i64 s, i64 i) {
        const Real log_q = student.log_sum(s, i);
        const Real log_p = teacher.log_sum(s, i);
        Real sum = 0;
        for (i64 k = 0; k < terms.n.classes; ++k) {
          const Real log_share = teacher.at(s, k, i) - log_p;
          const Real p = std::exp(log_share);
          if (p != 0) sum += p * (log_share - (student.at(s, k, i) - log_q));
        }
        return sum;
      });
}

template <class Real>
void distillation_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const Real temperature = c.attr->loss.temperature;
  const tempered<Real> student{in<Real>(c, 0), terms, temperature};
  const tempered<Real> teacher{in<Real>(c, 1), terms, temperature};
  const auto dz = out<Real>(c, 0);
  const Real divisor = row_divisor(terms, c.attr->loss.reduce);
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const bool real = terms.is_real(s, i);
      const Real factor = real ? row_factor(c, divisor, terms.target_at(s, i)) : Real(0);
      const Real log_q = student.log_sum(s, i);
      const Real log_p = teacher.log_sum(s, i);
      for (i64 k = 0; k < terms.n.classes; ++k) {
        const Real q = std::exp(student.at(s, k, i) - log_q);
        const Real p = std::exp(teacher.at(s, k, i) - log_p);
        dz.set(terms.logit_at(s, k, i), real ? factor * (q - p) / temperature : Real(0));
      }
    }
}

// --- vectors that are compared
// --------------------------------------------------------------------

template <class Real>
struct cosine_terms {
  Real dot = 0;
  Real a = Real(1e-12);  // squared norms
  Real b = Real(1e-12);

  cosine_terms(const call& c, const entropy_terms<Real>& terms, i64 s, i64 i) {
    for (i64 k = 0; k < terms.n.classes; ++k) {
      const Real x = in<Real>(c, 0)[terms.logit_at(s, k, i)];
      const Real y = in<Real>(c, 1)[terms.logit_at(s, k, i)];
      dot += x * y;
      a += x * x;
      b += y * y;
    }
  }
  Real cosine() const { return dot / std::sqrt(a * b); }
};

template <class Real>
void cosine_embedding(const call& c) {
  const entropy_terms<Real> terms(c);
  run_rows(
      c, terms, row_divisor(terms, c.attr->loss.reduce),
      [&](i64 s, i64 i) { return terms.is_real(s, i); },
      [&](i64 s, i64 i) {
        const Real cosine = cosine_terms<Real>(c, terms, s, i).cosine();
        const Real t = in<Real>(c, 3)[terms.target_at(s, i)];
        if (t == 1) return 1 - cosine;
        if (t != -1) return t - t;
        const Real h = cosine - c.attr->loss.margin;
        return h > 0 || std::isnan(h) ? h : Real(0);
      });
}

template <class Real>
void cosine_embedding_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const Real divisor = row_divisor(terms, c.attr->loss.reduce);
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const cosine_terms<Real> sums(c, terms, s, i);
      const Real t = in<Real>(c, 3)[terms.target_at(s, i)];
      const Real h = sums.cosine() - c.attr->loss.margin;
      Real sign = t - t;  // NaN stays
      if (t == 1) sign = -1;
      if (t == -1) sign = h > 0 ? Real(1) : std::isnan(h) ? h : Real(0);
      const bool real = terms.is_real(s, i);
      const Real factor = real ? sign * row_factor(c, divisor, terms.target_at(s, i)) : Real(0);
      const Real root = std::sqrt(sums.a * sums.b);
      for (i64 k = 0; k < terms.n.classes; ++k) {
        const i64 e = terms.logit_at(s, k, i);
        const Real x = in<Real>(c, 0)[e];
        const Real y = in<Real>(c, 1)[e];
        const Real dx = factor * (y / root - x * sums.cosine() / sums.a);
        const Real dy = factor * (x / root - y * sums.cosine() / sums.b);
        if (c.sizes->has_output(0)) out<Real>(c, 0).set(e, real && sign != 0 ? dx : Real(0));
        if (c.sizes->has_output(1)) out<Real>(c, 1).set(e, real && sign != 0 ? dy : Real(0));
      }
    }
}

/// |x - y + eps|, over a row.
template <class Real>
Real distance(const call& c, const entropy_terms<Real>& terms, i32 x, i32 y, i64 s, i64 i) {
  Real sum = 0;
  for (i64 k = 0; k < terms.n.classes; ++k) {
    const i64 e = terms.logit_at(s, k, i);
    const Real d = in<Real>(c, x)[e] - in<Real>(c, y)[e] + c.attr->loss.epsilon;
    sum += c.attr->loss.power == 1 ? std::abs(d) : d * d;
  }
  return c.attr->loss.power == 1 ? sum : std::sqrt(sum);
}

template <class Real>
void triplet(const call& c) {
  const entropy_terms<Real> terms(c);
  run_rows(
      c, terms, row_divisor(terms, c.attr->loss.reduce),
      [&](i64 s, i64 i) { return terms.is_real(s, i); },
      [&](i64 s, i64 i) {
        const Real h =
            distance(c, terms, 0, 1, s, i) - distance(c, terms, 0, 3, s, i) + c.attr->loss.margin;
        return h > 0 || std::isnan(h) ? h : Real(0);
      });
}

template <class Real>
void triplet_gradient(const call& c) {
  const entropy_terms<Real> terms(c);
  const loss_attributes& attr = c.attr->loss;
  const Real divisor = row_divisor(terms, attr.reduce);
  const auto slope = [&](Real d, Real size) {
    if (attr.power == 1) return d > 0 ? Real(1) : d < 0 ? Real(-1) : d;
    return size > 0 || std::isnan(size) ? d / size : Real(0);
  };
  for (i64 s = 0; s < terms.n.batch; ++s)
    for (i64 i = 0; i < terms.n.inner; ++i) {
      const Real near = distance(c, terms, 0, 1, s, i);
      const Real far = distance(c, terms, 0, 3, s, i);
      const Real h = near - far + attr.margin;
      const bool real = terms.is_real(s, i);
      Real factor = 0;
      if (real && h > 0) factor = row_factor(c, divisor, terms.target_at(s, i));
      if (real && std::isnan(h)) factor = h;
      for (i64 k = 0; k < terms.n.classes; ++k) {
        const i64 e = terms.logit_at(s, k, i);
        const Real x = in<Real>(c, 0)[e];
        const Real u = slope(x - in<Real>(c, 1)[e] + attr.epsilon, near);
        const Real w = slope(x - in<Real>(c, 3)[e] + attr.epsilon, far);
        const bool any = factor != 0;
        if (c.sizes->has_output(0)) out<Real>(c, 0).set(e, any ? factor * (u - w) : Real(0));
        if (c.sizes->has_output(1)) out<Real>(c, 1).set(e, any ? -factor * u : Real(0));
        if (c.sizes->has_output(2)) out<Real>(c, 2).set(e, any ? factor * w : Real(0));
      }
    }
}

template <class Real>
void run_row_loss(const call& c) {
  switch (c.sizes->what) {
    case kind::softmax_cross_entropy: return softmax_cross_entropy<Real>(c);
    case kind::softmax_cross_entropy_gradient: return softmax_cross_entropy_gradient<Real>(c);
    case kind::soft_cross_entropy: return soft_cross_entropy<Real>(c);
    case kind::soft_cross_entropy_gradient: return soft_cross_entropy_gradient<Real>(c);
    case kind::nll: return nll<Real>(c);
    case kind::nll_gradient: return nll_gradient<Real>(c);
    case kind::multiclass_hinge: return multiclass_hinge<Real>(c);
    case kind::multiclass_hinge_gradient: return multiclass_hinge_gradient<Real>(c);
    case kind::distillation: return distillation<Real>(c);
    case kind::distillation_gradient: return distillation_gradient<Real>(c);
    case kind::cosine_embedding: return cosine_embedding<Real>(c);
    case kind::cosine_embedding_gradient: return cosine_embedding_gradient<Real>(c);
    case kind::triplet: return triplet<Real>(c);
    case kind::triplet_gradient: return triplet_gradient<Real>(c);
    default: return;
  }
}

}  // namespace tessera::reference
