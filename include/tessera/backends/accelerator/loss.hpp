#pragma once

// Softmax cross entropy on the model, in f32, and what losses share (ops/loss_rows.hpp has the
// formulas).
//
// Rows (sample, position) are numbered as they lie in memory; a vertex takes consecutive rows. Its
// share of the loss is summed over its rows in order, the shares of the vertices in the order of
// their blocks. Lanes are rows. Sums over classes run in order.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/functions.hpp>
#include <tessera/ops/update.hpp>  // scaler_scale
#include <cmath>

namespace tessera::accelerator {

/// The loss scale in input `slot`, 1 where there is none.
inline float loss_scale_of(const call& c, i32 slot) {
  return c.sizes->has_input(slot) ? c.input<float>(slot)[ops::scaler_scale] : 1.0f;
}

/// The gradient from above of element `e`: one for all targets unless the loss is not reduced.
template <class T>
float gradient_from_above(const call& c, i64 e) {
  if (!c.sizes->has_input(4)) return 1.0f;
  const i64 at = c.attr->loss.reduce == reduction::none ? e : 0;
  if (c.sizes->input_type(4) == element::f32) return c.input<float>(4)[at];
  return fetch(c.input<T>(4)[at]);
}

/// The rows of a loss over classes: which sample, which logits.
struct loss_rows {
  loss_sizes n;
  bool batch_last;
  const i32* targets;
  const float* class_weights;  // may be null
  const loss_attributes* attr;
  i32 valid;

  i64 sample(i64 row) const {
    if (attr->samples > 0) return row % attr->samples;
    return batch_last ? row % n.batch : row / n.inner;
  }
  i64 first_logit(i64 row) const {
    if (batch_last) return row;
    return row / n.inner * n.classes * n.inner + row % n.inner;
  }
  i64 class_stride() const { return batch_last ? i64{n.inner} * n.batch : n.inner; }
  i64 count() const { return i64{n.batch} * n.inner; }

  /// No padding.
  bool is_real(i64 row) const { return sample(row) < valid; }
  bool counts(i64 row) const { return is_real(row) && targets[row] != attr->ignore_index; }
  float weight(i64 c) const { return class_weights != nullptr ? class_weights[c] : 1.0f; }
  /// NaN for a target outside the classes.
  float target_weight(i64 row) const {
    const i32 t = targets[row];
    return t < 0 || t >= n.classes ? __builtin_nanf("") : weight(t);
  }
  /// W where rows are counted, padding or not.
  float row_divisor() const {
    const bool mean = attr->reduce == reduction::mean || attr->reduce == reduction::batch_mean;
    return mean ? static_cast<float>(n.counted_rows(*attr, valid)) : 1.0f;
  }
  /// W of the formulas, summed over the rows in order.
  float divisor() const {
    if (attr->reduce != reduction::mean) return row_divisor();
    float sum = 0;
    for (i64 row = 0; row < count(); ++row) {
      if (counts(row)) sum += target_weight(row);
    }
    return sum;
  }
};

inline loss_rows loss_rows_of(const call& c) {
  return {loss_sizes::of(*c.sizes),
          c.sizes->batch_last,
          c.input<i32>(1),
          c.sizes->has_input(3) ? c.input<float>(3) : nullptr,
          &c.attr->loss,
          c.step->valid};
}

/// Up to one lane of rows each: the logits of class `k`.
template <class T>
lanes logits_of(const loss_rows& rows, const T* logits, i64 first, i64 count, i64 k) {
  lanes z{};
  for (i64 j = 0; j < count; ++j) {
    z[j] = fetch(logits[rows.first_logit(first + j) + k * rows.class_stride()]);
  }
  return z;
}

struct softmax_sums {
  lanes largest;
  lanes sum;  // of exp(z - largest)
};

template <class T>
softmax_sums softmax_sums_of(const loss_rows& rows, const T* logits, i64 first, i64 count) {
  softmax_sums s{logits_of(rows, logits, first, count, 0), lanes{}};
  for (i64 k = 1; k < rows.n.classes; ++k) {
    const lanes z = logits_of(rows, logits, first, count, k);
    s.largest = select(z > s.largest, z, s.largest);
  }
  for (i64 k = 0; k < rows.n.classes; ++k) {
    s.sum += exp(logits_of(rows, logits, first, count, k) - s.largest);
  }
  return s;
}

/// Runs a loss of `per_row` elements per row: `add_loss(e, sum)` is `sum` with the loss of element
/// e added. `factor` multiplies the sum, or every loss where they are not reduced.
template <class Add>
void run_loss(const machine& m, const call& c, i64 per_row, float factor, const Add& add_loss) {
  execution run(m, c);
  const mapping& map = run.blocks();
  const i32 vertices = map.count(axis_b);
  float* loss = c.output<float>(0);
  // One tile adds up the shares; a loss is too small to be worth threads.
  run.run(1, [&](i64, i64, recorder& r) {
    float total = 0;
    for (i32 i = 0; i < vertices; ++i) {
      vertex v;
      for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
      v.place(map, axis_b, i);
      r.add(v, i + 1 == vertices);
      float share = 0;
      for (i64 row = v.begin[axis_b]; row < v.begin[axis_b] + v.size[axis_b]; ++row) {
        for (i64 e = row * per_row; e < (row + 1) * per_row; ++e) {
          if (c.attr->loss.reduce == reduction::none) {
            loss[e] = factor * add_loss(e, 0.0f);
          } else {
            share = add_loss(e, share);
          }
        }
      }
      total = i == 0 ? share : total + share;
    }
    if (c.attr->loss.reduce != reduction::none) loss[0] = factor * total;
  });
}

template <class T>
void run_softmax_cross_entropy(const machine& m, const call& c) {
  const loss_rows rows = loss_rows_of(c);
  const loss_attributes& attr = c.attr->loss;
  const T* logits = c.input<T>(0);
  const float spread = attr.label_smoothing / static_cast<float>(rows.n.classes);
  alignas(64) float values[lane_count];
  i64 known = -1;  // the first of the rows in `values`
  const auto add_loss = [&](i64 row, float sum) {
    if (!rows.counts(row)) return sum;
    const i64 first = row / lane_count * lane_count;
    if (known != first) {
      known = first;
      const i64 count = rows.count() - first < lane_count ? rows.count() - first : lane_count;
      const softmax_sums s = softmax_sums_of(rows, logits, first, count);
      const lanes log_sum = s.largest + log(s.sum);
      lanes z{};
      lanes weight{};
      for (i64 j = 0; j < count; ++j) {
        const i32 t = rows.targets[first + j];
        const bool exists = t >= 0 && t < rows.n.classes;
        if (exists) z[j] = fetch(logits[rows.first_logit(first + j) + t * rows.class_stride()]);
        weight[j] = (1.0f - attr.label_smoothing) * rows.target_weight(first + j);
      }
      lanes y = weight * (log_sum - z);
      if (attr.label_smoothing != 0) {
        for (i64 k = 0; k < rows.n.classes; ++k) {
          const lanes below = log_sum - logits_of(rows, logits, first, count, k);
          y = fma(set(spread * rows.weight(k)), below, y);
        }
      }
      store(values, y);
    }
    return sum + values[row - first];
  };
  run_loss(m, c, 1, attr.weight / rows.divisor(), add_loss);
}

template <class T>
void run_softmax_cross_entropy_gradient(const machine& m, const call& c) {
  const loss_rows rows = loss_rows_of(c);
  const loss_attributes& attr = c.attr->loss;
  const T* logits = c.input<T>(0);
  T* dz = c.output<T>(0);
  const float spread = attr.label_smoothing / static_cast<float>(rows.n.classes);
  const float factor = loss_scale_of(c, 2) * attr.weight / rows.divisor();
  float smoothed = 0;  // eps / C sum v
  for (i64 k = 0; k < rows.n.classes; ++k) smoothed = std::fma(spread, rows.weight(k), smoothed);
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 begin, i64 end, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = begin; i < end; ++i) {
      v.place(map, axis_b, static_cast<i32>(i));
      r.add(v, true);
      const i64 last = i64{v.begin[axis_b]} + v.size[axis_b];
      for (i64 first = v.begin[axis_b]; first < last; first += lane_count) {
        const i64 count = last - first < lane_count ? last - first : lane_count;
        const softmax_sums s = softmax_sums_of(rows, logits, first, count);
        alignas(64) float hard[lane_count] = {};
        alignas(64) float above[lane_count] = {};
        for (i64 j = 0; j < count; ++j) {
          hard[j] = (1.0f - attr.label_smoothing) * rows.target_weight(first + j);
          above[j] = factor * gradient_from_above<T>(c, first + j);
        }
        const lanes all = load(hard) + set(smoothed);
        // dz may lie in the bytes of the logits: each is read once more, then overwritten.
        for (i64 k = 0; k < rows.n.classes; ++k) {
          const lanes p = exp(logits_of(rows, logits, first, count, k) - s.largest) / s.sum;
          alignas(64) float off[lane_count];
          for (i64 j = 0; j < lane_count; ++j) {
            const bool is_target = j < count && rows.targets[first + j] == k;
            off[j] = is_target ? hard[j] : 0.0f;
          }
          const lanes minus = fma(set(-spread), set(rows.weight(k)), -load(off));
          const lanes g = fma(p, all, minus) * load(above);
          for (i64 j = 0; j < count; ++j) {
            const float one = rows.counts(first + j) ? g[j] : 0.0f;
            put(storing(m, c), &one, dz + rows.first_logit(first + j) + k * rows.class_stride(), 1);
          }
        }
      }
    }
  });
}

}  // namespace tessera::accelerator
