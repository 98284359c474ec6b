#pragma once

// Losses element by element on the model, in f32: a value and a slope for each
// (ops/loss_elements.hpp has the formulas). A vertex takes consecutive elements.

#include <tessera/backends/accelerator/loss_operand.hpp>

namespace tessera::accelerator {

/// Value of loss `what` at x with target t. `positive` is the weight of positives.
inline lanes element_value(kind what, const loss_attributes& a, lanes x, lanes t, lanes positive) {
  const lanes d = x - t;
  const lanes size = magnitude_of(d);
  const lanes one = set(1.0f);
  const auto bounded_log = [](lanes p) {
    const lanes y = log(p);
    return select(y < set(-100.0f), set(-100.0f), y);
  };
  switch (what) {
    case kind::mse: return d * d;
    case kind::l1: return size;
    case kind::smooth_l1:
      return select(size < set(a.delta), d * d / set(2 * a.delta), size - set(a.delta * 0.5f));
    case kind::huber:
      return select(size <= set(a.delta), d * d * set(0.5f),
                    set(a.delta) * (size - set(a.delta * 0.5f)));
    case kind::bce_with_logits:
      return fma(fma(positive - one, t, one), softplus_of_minus(x), (one - t) * x);
    case kind::bce: return fma(-t, bounded_log(x), (t - one) * bounded_log(one - x));
    case kind::kl_div: {
      if (a.log_target) return exp(t) * (t - x);
      return select(t == set(0.0f), select(x != x, x, set(0.0f)), t * (log(t) - x));
    }
    case kind::binary_hinge: {
      const lanes h = above_zero(fma(-t, x, set(a.margin)));
      return a.power == 1 ? h : h * h;
    }
    default: {  // hinge_embedding
      const lanes h = above_zero(set(a.margin) - x);
      return select(t == set(-1.0f), set(0.0f), x) + select(t == one, set(0.0f), h) + (t - t);
    }
  }
}

/// Its derivative by x.
inline lanes element_slope(kind what, const loss_attributes& a, lanes x, lanes t, lanes positive) {
  const lanes d = x - t;
  const lanes one = set(1.0f);
  switch (what) {
    case kind::mse: return d + d;
    case kind::l1: return slope_sign(d);
    case kind::smooth_l1:
      return select(magnitude_of(d) < set(a.delta), d / set(a.delta), slope_sign(d));
    case kind::huber:
      return select(magnitude_of(d) <= set(a.delta), d, set(a.delta) * slope_sign(d));
    case kind::bce_with_logits: return fma(-fma(positive - one, t, one), sigmoid(-x), one - t);
    case kind::bce: {
      const lanes variance = x * (one - x);
      return d / select(variance < set(1e-12f), set(1e-12f), variance);
    }
    case kind::kl_div: return -(a.log_target ? exp(t) : t);
    case kind::binary_hinge: {
      const lanes h = above_zero(fma(-t, x, set(a.margin)));
      if (a.power == 2) return set(-2.0f) * t * h;
      return select(h > set(0.0f), -t, h);
    }
    default: {  // hinge_embedding
      const lanes h = slope_sign(above_zero(set(a.margin) - x));
      return select(t == set(-1.0f), set(0.0f), one) - select(t == one, set(0.0f), h) + (t - t);
    }
  }
}

/// The operands of a loss over elements.
struct model_elements {
  element_loss_sizes n;
  loss_attributes attr;
  i32 valid;
  kind loss;
  model_operand x, target, weights, positive_weights;

  explicit model_elements(const call& c)
      : n(element_loss_sizes::of(*c.sizes)),
        attr(c.attr->loss),
        valid(c.step->valid),
        loss(loss_of(c.sizes->what)),
        x(c, 0),
        target(c, 1),
        weights(c, 3),
        positive_weights(c, 5) {}

  bool counts(i64 e) const { return e % n.period < n.counted_of_period(valid); }
  float divisor() const { return static_cast<float>(n.divisor(attr.reduce, valid)); }

  lanes positive(i64 first, i64 count) const {
    lanes p = set(1.0f);
    if (!positive_weights) return p;
    for (i64 j = 0; j < count; ++j) {
      p[j] = positive_weights[(first + j) / n.channel_step % n.channels];
    }
    return p;
  }
  lanes weight(i64 first, i64 count) const {
    return weights ? weights.load(first, count) : set(1.0f);
  }
};

inline void run_element_loss(const machine& m, const call& c) {
  const model_elements all(c);
  run_model_loss(m, c, all.divisor(), all.n.count, [&](i64 first, i64 count, float* to) {
    const lanes y = element_value(all.loss, all.attr, all.x.load(first, count),
                                  all.target.load(first, count), all.positive(first, count));
    store(to, all.weight(first, count) * y);
    for (i64 j = 0; j < count; ++j) {
      if (!all.counts(first + j)) to[j] = 0;
    }
  });
}

inline void run_element_loss_gradient(const machine& m, const call& c) {
  const model_elements all(c);
  const model_output dx(m, c, 0);
  run_model_gradient(m, c, all.divisor(), [&](i64 first, i64 count, lanes factors) {
    const lanes slope = element_slope(all.loss, all.attr, all.x.load(first, count),
                                      all.target.load(first, count), all.positive(first, count));
    const lanes g = factors * all.weight(first, count) * slope;
    for (i64 j = 0; j < count; ++j) dx.set(first + j, all.counts(first + j) ? g[j] : 0.0f);
  });
}

}  // namespace tessera::accelerator
