#pragma once

// Normalization as plain loops (ops/norm.hpp and ops/response_norm.hpp state what it means).
//
// For each statistic the elements that it is over: the mean is their sum divided by their number,
// the variance the sum of squares about that mean. Sums run over samples, then rows, features and
// positions, one term after the other, in the compute type.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/norm.hpp>
#include <cmath>

namespace tessera::reference {

/// Which elements share a statistic, and which a scale.
struct norm_places {
  norm_sizes n;
  batch_layout x;
  bool batch;   // one statistic for each feature, over samples; else for each sample and row
  bool groups;  // every row has scales of its own
  i64 valid;    // samples that count in statistics over samples

  explicit norm_places(const call& c) : n(norm_sizes::of(*c.sizes)) {
    const kind what = c.sizes->what;
    x = {c.sizes->batch_last, n.batch, n.sample()};
    batch = what == kind::batch_norm || what == kind::batch_norm_gradient ||
            what == kind::batch_norm_inference || what == kind::batch_norm_inference_gradient;
    groups = what == kind::group_norm || what == kind::group_norm_gradient;
    const bool counted = what == kind::batch_norm || what == kind::batch_norm_gradient;
    valid = counted ? c.step->valid : n.batch;
  }

  i64 at(i64 sample, i64 row, i64 feature, i64 inner) const {
    return x.at(sample, (row * n.features + feature) * n.inner + inner);
  }
  i64 scale(i64 row, i64 feature) const { return groups ? row * n.features + feature : feature; }
  i64 statistic(i64 sample, i64 row, i64 feature) const {
    if (batch) return feature;
    return x.last ? row * n.batch + sample : sample * n.rows + row;
  }
  i64 statistics() const { return batch ? n.features : i64{n.batch} * n.rows; }

  i64 scales() const { return i64{n.features} * (groups ? n.rows : 1); }

  /// visit(element, scale) for all that statistic `s` is over, of the first `samples`.
  template <class Visit>
  void over(i64 s, i64 samples, Visit visit) const {
    if (batch) {
      for (i64 sample = 0; sample < samples; ++sample)
        for (i64 i = 0; i < n.inner; ++i) visit(at(sample, 0, s, i), s);
      return;
    }
    const i64 sample = x.last ? s % n.batch : s / n.rows;
    const i64 row = x.last ? s / n.batch : s % n.rows;
    for (i64 feature = 0; feature < n.features; ++feature)
      for (i64 i = 0; i < n.inner; ++i) visit(at(sample, row, feature, i), scale(row, feature));
  }

  /// visit(element, statistic) for all that count and have scale `k`.
  template <class Visit>
  void with_scale(i64 k, Visit visit) const {
    const i64 feature = k % n.features;
    for (i64 sample = 0; sample < valid; ++sample)
      for (i64 row = groups ? k / n.features : 0; row < (groups ? k / n.features + 1 : n.rows);
           ++row)
        for (i64 i = 0; i < n.inner; ++i)
          visit(at(sample, row, feature, i), statistic(sample, row, feature));
  }
};

/// 1 where there is no gamma, 0 where there is no beta.
template <class Real>
Real scale_or(const numbers<Real>& scales, i64 i, Real otherwise) {
  return scales ? scales[i] : otherwise;
}

/// batch_norm, group_norm, layer_norm, rms_norm. What is saved is used as it is stored.
template <class Real>
void norm(const call& c) {
  const norm_places at(c);
  const auto x = in<Real>(c, 0);
  const auto gamma = in<Real>(c, 1);
  const auto beta = in<Real>(c, 2);
  const auto y = out<Real>(c, 0);
  const auto running_mean = out<Real>(c, 1);
  const auto running_variance = out<Real>(c, 2);
  const auto saved_mean = out<Real>(c, 3);
  const auto saved_inverse = out<Real>(c, 4);
  const norm_attributes& attr = c.attr->norm;
  for (i64 s = 0; s < at.statistics(); ++s) {
    Real count = 0;
    Real mean = 0;
    at.over(s, at.valid, [&](i64 e, i64) {
      count += 1;
      mean += x[e];
    });
    mean = c.sizes->what == kind::rms_norm ? Real(0) : mean / count;
    Real squares = 0;
    at.over(s, at.valid, [&](i64 e, i64) { squares += (x[e] - mean) * (x[e] - mean); });
    const Real inverse = 1 / std::sqrt(squares / count + static_cast<Real>(attr.epsilon));
    if (saved_mean) saved_mean.set(s, mean);
    if (saved_inverse) saved_inverse.set(s, inverse);
    const Real part = static_cast<Real>(attr.momentum);
    if (running_mean) running_mean.set(s, (1 - part) * running_mean[s] + part * mean);
    if (running_variance) {
      const Real unbiased = squares / (count > 1 ? count - 1 : 1);
      running_variance.set(s, (1 - part) * running_variance[s] + part * unbiased);
    }
    at.over(s, at.n.batch, [&](i64 e, i64 scale) {
      const Real h = (x[e] - mean) * inverse;
      y.set(e, h * scale_or<Real>(gamma, scale, 1) + scale_or<Real>(beta, scale, 0));
    });
  }
}

template <class Real>
void batch_norm_inference(const call& c) {
  const norm_places at(c);
  const auto x = in<Real>(c, 0);
  const auto gamma = in<Real>(c, 1);
  const auto beta = in<Real>(c, 2);
  const auto mean = in<Real>(c, 3);
  const auto variance = in<Real>(c, 4);
  const auto y = out<Real>(c, 0);
  for (i64 s = 0; s < at.statistics(); ++s) {
    const Real spread = scale_or<Real>(variance, s, 1) + static_cast<Real>(c.attr->norm.epsilon);
    at.over(s, at.n.batch, [&](i64 e, i64 scale) {
      const Real h = (x[e] - scale_or<Real>(mean, s, 0)) / std::sqrt(spread);
      y.set(e, h * scale_or<Real>(gamma, scale, 1) + scale_or<Real>(beta, scale, 0));
    });
  }
}

/// All gradients. The sums over a scale's elements run in the order of `all`.
template <class Real>
void norm_gradient(const call& c) {
  const norm_places at(c);
  const kind what = c.sizes->what;
  const bool running = what == kind::batch_norm_inference_gradient;
  const auto x = in<Real>(c, 0);
  const auto dy = in<Real>(c, 1);
  const auto gamma = in<Real>(c, 2);
  const auto mean = in<Real>(c, 3);
  const auto spread = in<Real>(c, 4);
  const auto dx = out<Real>(c, 0);
  const auto dgamma = out<Real>(c, 1);
  const auto dbeta = out<Real>(c, 2);
  const auto inverse = [&](i64 s) {
    if (!running) return spread[s];
    const Real variance = scale_or<Real>(spread, s, 1);
    return 1 / std::sqrt(variance + static_cast<Real>(c.attr->norm.epsilon));
  };
  const auto h = [&](i64 e, i64 s) { return (x[e] - scale_or<Real>(mean, s, 0)) * inverse(s); };
  for (i64 wanted = 0; wanted < at.scales() && (dgamma || dbeta); ++wanted) {
    Real sum_h = 0;
    Real sum = 0;
    at.with_scale(wanted, [&](i64 e, i64 s) {
      sum_h += dy[e] * h(e, s);
      sum += dy[e];
    });
    if (dgamma) dgamma.set(wanted, sum_h);
    if (dbeta) dbeta.set(wanted, sum);
  }
  if (!dx) return;
  for (i64 s = 0; s < at.statistics(); ++s) {
    Real count = 0;
    Real sum = 0;
    Real sum_h = 0;
    at.over(s, at.valid, [&](i64 e, i64 scale) {
      const Real g = dy[e] * scale_or<Real>(gamma, scale, 1);
      count += 1;
      sum += g;
      sum_h += g * h(e, s);
    });
    if (what == kind::rms_norm_gradient) sum = 0;
    if (running) sum = sum_h = 0;
    i64 left = static_cast<i64>(count);  // those that count come first
    at.over(s, at.n.batch, [&](i64 e, i64 scale) {
      const Real g = dy[e] * scale_or<Real>(gamma, scale, 1);
      const Real d = inverse(s) * (g - sum / count - h(e, s) * sum_h / count);
      dx.set(e, left-- > 0 ? d : Real(0));
    });
  }
}

/// Neighbours [first, last] of channel c, and d^-beta of ops/response_norm.hpp.
template <class Real>
struct response_places {
  response_sizes n;
  batch_layout x;
  response_attributes r;

  explicit response_places(const call& c)
      : n(response_sizes::of(*c.sizes)),
        x{c.sizes->batch_last, n.batch, i64{n.channels} * n.inner},
        r(c.attr->response) {}

  i64 at(i64 sample, i64 channel, i64 i) const { return x.at(sample, channel * n.inner + i); }
  i64 first(i64 channel) const { return channel < r.size / 2 ? 0 : channel - r.size / 2; }
  i64 last(i64 channel) const {
    const i64 end = channel + (r.size - 1) / 2;
    return end < n.channels ? end : n.channels - 1;
  }
  Real divisor(const numbers<Real>& from, i64 sample, i64 channel, i64 i) const {
    Real sum = 0;
    for (i64 j = first(channel); j <= last(channel); ++j) {
      const Real value = from[at(sample, j, i)];
      sum += value * value;
    }
    return static_cast<Real>(r.k) + static_cast<Real>(r.alpha) / static_cast<Real>(r.size) * sum;
  }
};

template <class Real>
void local_response_norm(const call& c) {
  const response_places<Real> at(c);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  const Real beta = static_cast<Real>(at.r.beta);
  for (i64 sample = 0; sample < at.n.batch; ++sample)
    for (i64 channel = 0; channel < at.n.channels; ++channel)
      for (i64 i = 0; i < at.n.inner; ++i) {
        const i64 e = at.at(sample, channel, i);
        y.set(e, x[e] * std::pow(at.divisor(x, sample, channel, i), -beta));
      }
}

template <class Real>
void local_response_norm_gradient(const call& c) {
  const response_places<Real> at(c);
  const auto x = in<Real>(c, 0);
  const auto dy = in<Real>(c, 1);
  const auto dx = out<Real>(c, 0);
  const Real beta = static_cast<Real>(at.r.beta);
  const Real factor = 2 * static_cast<Real>(at.r.alpha) * beta / static_cast<Real>(at.r.size);
  for (i64 sample = 0; sample < at.n.batch; ++sample)
    for (i64 channel = 0; channel < at.n.channels; ++channel)
      for (i64 i = 0; i < at.n.inner; ++i) {
        const i64 e = at.at(sample, channel, i);
        Real through = 0;  // the divisors of the channels that see this one
        for (i64 j = 0; j < at.n.channels; ++j) {
          if (channel < at.first(j) || channel > at.last(j)) continue;
          const i64 other = at.at(sample, j, i);
          through += dy[other] * x[other] * std::pow(at.divisor(x, sample, j, i), -beta - 1);
        }
        const Real own = dy[e] * std::pow(at.divisor(x, sample, channel, i), -beta);
        dx.set(e, own - factor * x[e] * through);
      }
}

}  // namespace tessera::reference
