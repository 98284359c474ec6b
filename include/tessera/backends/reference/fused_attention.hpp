#pragma once

// attention and its gradient as plain loops (ops/attention.hpp states what they mean).

#include <tessera/backends/reference/attention.hpp>

namespace tessera::reference {

/// One head of one sample: its scores, and where its operands begin.
template <class Real>
class attention_head {
 public:
  attention_head(const call& c, i64 sample, i64 head)
      : c_(c), n_(attention_sizes::of(*c.sizes)), sample_(sample), head_(head) {}

  i64 q(i64 i, i64 f) const { return place(n_.q, n_.features, i, f); }
  i64 k(i64 j, i64 f) const { return place(n_.k, n_.features, j, f); }
  i64 v(i64 j, i64 f) const { return place(n_.v, n_.value_features, j, f); }
  i64 y(i64 i, i64 f) const { return place(n_.y, n_.value_features, i, f); }
  i64 statistic(i64 i) const {
    const batch_layout at{c_.sizes->batch_last, n_.samples, i64{n_.heads} * n_.queries};
    return at.at(sample_, head_ * n_.queries + i);
  }
  Real scale() const { return static_cast<Real>(c_.attr->product.scale); }
  /// Of the keys that query i sees, the first `seen(i)`.
  i64 seen(i64 i) const {
    const auto lengths = in<Real>(c_, 3);
    i64 count = n_.keys;
    if (lengths && lengths[sample_] < static_cast<Real>(count)) {
      count = lengths[sample_] < 0 ? 0 : static_cast<i64>(lengths[sample_]);
    }
    return c_.attr->causal && i + 1 < count ? i + 1 : count;
  }
  Real score(i64 i, i64 j) const {
    Real sum = 0;
    for (i64 f = 0; f < n_.features; ++f)
      sum += in<Real>(c_, 0)[q(i, f)] * in<Real>(c_, 1)[k(j, f)];
    return scale() * sum;
  }

 private:
  i64 place(const i32 (&step)[3], i64 features, i64 time, i64 f) const {
    return sample_ * step[0] + time * step[1] + (head_ * features + f) * step[2];
  }

  const call& c_;
  attention_sizes n_;
  i64 sample_;
  i64 head_;
};

template <class Real>
void attention(const call& c) {
  const auto n = attention_sizes::of(*c.sizes);
  const auto v = in<Real>(c, 2);
  const auto y = out<Real>(c, 0), logs = out<Real>(c, 1);
  for (i64 task = 0; task < i64{n.samples} * n.heads; ++task) {
    const attention_head<Real> at(c, task / n.heads, task % n.heads);
    for (i64 i = 0; i < n.queries; ++i) {
      const i64 seen = at.seen(i);
      Real most, sum;
      softmax_terms(
          seen, [&](i64 j) { return at.score(i, j); }, most, sum);
      const bool empty = nothing_takes_part(most, sum);
      for (i64 f = 0; f < n.value_features; ++f) {
        Real value = 0;
        for (i64 j = 0; j < seen && !empty; ++j) {
          value += std::exp(at.score(i, j) - most) * v[at.v(j, f)];
        }
        y.set(at.y(i, f), std::isnan(sum) ? sum : empty ? Real(0) : value / sum);
      }
      if (!logs) continue;
      logs.set(at.statistic(i), std::isnan(sum) ? sum
                                : empty         ? std::numeric_limits<Real>::infinity()
                                                : most + std::log(sum));
    }
  }
}

template <class Real>
void attention_gradient(const call& c) {
  const auto n = attention_sizes::of(*c.sizes);
  const auto q = in<Real>(c, 0), k = in<Real>(c, 1), v = in<Real>(c, 2);
  const auto y = in<Real>(c, 4), logs = in<Real>(c, 5), dy = in<Real>(c, 6);
  const auto dq = out<Real>(c, 0), dk = out<Real>(c, 1), dv = out<Real>(c, 2);
  for (i64 task = 0; task < i64{n.samples} * n.heads; ++task) {
    const attention_head<Real> at(c, task / n.heads, task % n.heads);
    const auto weight = [&](i64 i, i64 j) {
      return j < at.seen(i) ? std::exp(at.score(i, j) - logs[at.statistic(i)]) : Real(0);
    };
    const auto score_gradient = [&](i64 i, i64 j) {
      Real sum = 0;
      for (i64 f = 0; f < n.value_features; ++f) {
        sum += dy[at.y(i, f)] * (v[at.v(j, f)] - y[at.y(i, f)]);
      }
      return at.scale() * weight(i, j) * sum;
    };
    for (i64 i = 0; dq && i < n.queries; ++i) {
      for (i64 f = 0; f < n.features; ++f) {
        Real sum = 0;
        for (i64 j = 0; j < at.seen(i); ++j) sum += score_gradient(i, j) * k[at.k(j, f)];
        dq.set(at.q(i, f), sum);
      }
    }
    for (i64 j = 0; j < n.keys; ++j) {
      for (i64 f = 0; dk && f < n.features; ++f) {
        Real sum = 0;
        for (i64 i = 0; i < n.queries; ++i) {
          if (j < at.seen(i)) sum += score_gradient(i, j) * q[at.q(i, f)];
        }
        dk.set(at.k(j, f), sum);
      }
      for (i64 f = 0; dv && f < n.value_features; ++f) {
        Real sum = 0;
        for (i64 i = 0; i < n.queries; ++i) {
          if (j < at.seen(i)) sum += weight(i, j) * dy[at.y(i, f)];
        }
        dv.set(at.v(j, f), sum);
      }
    }
  }
}

}  // namespace tessera::reference
