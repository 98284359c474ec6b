#pragma once

// Softmax cross entropy and its gradient (ops/loss_rows.hpp has the formulas).
//
// Softmax cross entropy works on columns: the logits of one target, `class_step` apart. Columns of
// one position lie side by side (samples with the batch last, positions of an image), so vectors
// hold whole columns and nothing is summed across lanes; with the batch first and one target a
// sample, each column is taken through a vector of its own. Losses of columns are summed in double,
// in the order of the columns: the result does not depend on the vector width.

#include <cmath>
#include <limits>

#include <tessera/backends/host/loss_operand.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>
#include <tessera/ops/update.hpp>

namespace tessera::host {

/// Columns of logits side by side, at most a vector of them.
struct column_group {
  i64 logits;  // address of the first column's first logit
  i64 target;  // of the first column
  i32 columns;
};

/// What a softmax loss and its gradient share.
template <class T>
struct entropy_view {
  loss_sizes n;
  loss_attributes attr;
  const T* logits;
  const i32* target;
  const float* class_weights;
  bool batch_last;
  i32 valid;
  i64 class_step;

  explicit entropy_view(const call& c)
      : n(loss_sizes::of(*c.sizes)),
        attr(c.attr->loss),
        logits(c.input<T>(0)),
        target(c.input<i32>(1)),
        class_weights(c.input<float>(3)),
        batch_last(c.sizes->batch_last),
        valid(c.step->valid),
        class_step(batch_last ? i64{n.inner} * n.batch : n.inner) {}

  i64 columns() const { return i64{n.batch} * n.inner; }
  i32 sample_of(i64 column) const {
    if (attr.samples > 0) return static_cast<i32>(column % attr.samples);
    return static_cast<i32>(batch_last ? column % n.batch : column / n.inner);
  }
  bool counts(i64 column) const {
    return sample_of(column) < valid && target[column] != attr.ignore_index;
  }
  float class_weight(i32 k) const { return class_weights == nullptr ? 1.0f : class_weights[k]; }
  /// The weight of a target's class, NaN where there is no such class.
  float target_weight(i64 column) const {
    const i32 t = target[column];
    if (t < 0 || t >= n.classes) return std::numeric_limits<float>::quiet_NaN();
    return class_weight(t);
  }

  /// W of the formulas.
  double divisor() const {
    if (attr.reduce == reduction::batch_mean) {
      return static_cast<double>(n.counted_rows(attr, valid));
    }
    if (attr.reduce != reduction::mean) return 1;
    double sum = 0;
    for (i64 column = 0; column < columns(); ++column) {
      if (counts(column)) sum += static_cast<double>(target_weight(column));
    }
    return sum;
  }

  /// Sum over the classes of eps / C v[c].
  float smoothing_sum() const {
    if (attr.label_smoothing == 0) return 0;
    float sum = 0;
    for (i32 k = 0; k < n.classes; ++k) sum += smoothing(k);
    return sum;
  }
  float smoothing(i32 k) const {
    return attr.label_smoothing / static_cast<float>(n.classes) * class_weight(k);
  }

  /// f(group) for all columns in order, in groups that lie side by side.
  template <class Function>
  void for_groups(const Function& f) const {
    if (batch_last) {
      for (i64 column = 0; column < columns(); column += simd::lanes) {
        f(column_group{column, column, simd::lanes});
      }
      return;
    }
    for (i64 sample = 0; sample < n.batch; ++sample) {
      for (i64 i = 0; i < n.inner; i += simd::lanes) {
        const i64 rest = n.inner - i;
        f(column_group{sample * n.classes * n.inner + i, sample * n.inner + i,
                       rest < simd::lanes ? static_cast<i32>(rest) : simd::lanes});
      }
    }
  }

  simd::vec load_class(const column_group& g, i32 k) const {
    const T* const p = logits + g.logits + k * class_step;
    return g.columns == simd::lanes ? simd::load(p) : simd::load_partial(p, g.columns);
  }

  /// The largest logit and the sum of exp(logit - largest), for each column of a group.
  void softmax_terms(const column_group& g, float* largest, float* sum) const {
    using namespace simd;
    if (g.columns == 1 && class_step == 1) {  // along the classes
      softmax_terms_along(logits + g.logits, largest, sum);
      return;
    }
    vec most = load_class(g, 0);
    for (i32 k = 1; k < n.classes; ++k) {
      const vec z = load_class(g, k);
      most = select(z > most, z, most);
    }
    vec total = zero();
    for (i32 k = 0; k < n.classes; ++k) total = total + host::exp(load_class(g, k) - most);
    store(largest, most);
    store(sum, total);
  }

  void softmax_terms_along(const T* z, float* largest, float* sum) const {
    using namespace simd;
    float most = simd::as_float(z[0]);
    i32 k = 0;
    if (n.classes >= lanes) {
      vec wide = load(z);
      for (k = lanes; k + lanes <= n.classes; k += lanes) wide = larger(load(z + k), wide);
      most = largest_lane(wide);
    }
    for (; k < n.classes; ++k) {
      if (simd::as_float(z[k]) > most) most = simd::as_float(z[k]);
    }
    vec total = zero();
    for (k = 0; k + lanes <= n.classes; k += lanes) {
      total = total + host::exp(load(z + k) - set(most));
    }
    float terms[lanes];
    float rest = 0;
    if (k < n.classes) {
      store(terms, host::exp(load_partial(z + k, n.classes - k) - set(most)));
      for (i32 i = 0; i < n.classes - k; ++i) rest += terms[i];
    }
    *largest = most;
    *sum = simd::sum(total) + rest;
  }
};

template <class T>
void softmax_cross_entropy(const call& c) {
  const entropy_view<T> v(c);
  float* const loss = c.output<float>(0);
  double total = 0;
  v.for_groups([&](const column_group& g) {
    float largest[simd::lanes];
    float sum[simd::lanes];
    v.softmax_terms(g, largest, sum);
    for (i32 i = 0; i < g.columns; ++i) {
      const i64 column = g.target + i;
      float one = 0;
      if (v.counts(column)) {
        const auto logit = [&](i32 k) {
          return simd::as_float(v.logits[g.logits + i + k * v.class_step]);
        };
        // -log p[k] = (largest - z[k]) + log sum: near 0 both parts are small.
        const float log_sum = std::log(sum[i]);
        one = (1 - v.attr.label_smoothing) * v.target_weight(column);
        if (!std::isnan(one)) one *= largest[i] - logit(v.target[column]) + log_sum;
        if (v.attr.label_smoothing != 0) {
          for (i32 k = 0; k < v.n.classes; ++k) {
            one = std::fma(v.smoothing(k), largest[i] - logit(k) + log_sum, one);
          }
        }
      }
      if (v.attr.reduce == reduction::none) {
        loss[column] = v.attr.weight * one;
      } else {
        total += static_cast<double>(one);
      }
    }
  });
  if (v.attr.reduce != reduction::none) {
    *loss = static_cast<float>(static_cast<double>(v.attr.weight) * total / v.divisor());
  }
}

template <class T>
void softmax_cross_entropy_gradient(const call& c) {
  using namespace simd;
  const entropy_view<T> v(c);
  T* const dz = c.output<T>(0);
  const float scale = c.in[2] == nullptr ? 1.0f : c.input<float>(2)[ops::scaler_scale];
  const float common = static_cast<float>(static_cast<double>(scale) *
                                          static_cast<double>(v.attr.weight) / v.divisor());
  const float smoothing_sum = v.smoothing_sum();
  v.for_groups([&](const column_group& g) {
    // Per column: factor (p (hard + smoothing sum) - hard [k = t] - smoothing[k]).
    float largest[lanes] = {};
    float sum[lanes] = {};
    float factor[lanes] = {};
    float hard[lanes] = {};
    float spread[lanes] = {};
    i32 target[lanes] = {};
    v.softmax_terms(g, largest, sum);
    for (i32 i = 0; i < g.columns; ++i) {
      const i64 column = g.target + i;
      if (!v.counts(column)) continue;
      target[i] = v.target[column];
      factor[i] = common;
      if (c.in[4] != nullptr) {
        const i64 at = v.attr.reduce == reduction::none ? column : 0;
        factor[i] *= number_at(c.in[4], c.sizes->input_type(4), at);
      }
      hard[i] = (1 - v.attr.label_smoothing) * v.target_weight(column);
      spread[i] = (hard[i] + smoothing_sum) / sum[i];
    }
    if (g.columns == 1 && v.class_step == 1) {
      const T* const z = v.logits + g.logits;
      T* const to = dz + g.logits;
      const bool counts = v.counts(g.target);
      for (i32 k = 0; k < v.n.classes; k += lanes) {
        const i32 rest = v.n.classes - k < lanes ? v.n.classes - k : lanes;
        const vec e = host::exp(load_partial(z + k, rest) - set(largest[0]));
        float out[lanes];
        store(out, e * set(spread[0]));
        for (i32 i = 0; i < rest; ++i) {
          float one = out[i] - (k + i == target[0] ? hard[0] : 0.0f);
          if (v.attr.label_smoothing != 0) one -= v.smoothing(k + i);
          out[i] = counts ? factor[0] * one : 0.0f;
        }
        store_partial(to + k, load(out), rest);
      }
      return;
    }
    const vec most = load(largest);
    const vec factors = load(factor);
    const vec spreads = load(spread);
    const vec hards = load(hard);
    const vec targets = load_i32(target);
    // Columns that do not count stay exactly 0, whatever their logits.
    float counting[lanes] = {};
    for (i32 i = 0; i < g.columns; ++i) counting[i] = v.counts(g.target + i) ? 1.0f : 0.0f;
    const mask counts = load(counting) > zero();
    for (i32 k = 0; k < v.n.classes; ++k) {
      vec one = host::exp(v.load_class(g, k) - most) * spreads;
      one = one - select(targets == set(static_cast<float>(k)), hards, zero());
      if (v.attr.label_smoothing != 0) one = one - set(v.smoothing(k));
      const vec out = select(counts, factors * one, zero());
      T* const to = dz + g.logits + k * v.class_step;
      if (g.columns == lanes) {
        store(to, out);
      } else {
        store_partial(to, out, g.columns);
      }
    }
  });
}

}  // namespace tessera::host
