#pragma once

// Losses row by row on the model, in f32 (ops/loss_rows.hpp has the formulas). A vertex takes
// consecutive rows as they lie in memory; lanes are rows, sums over classes or features run in
// order.

#include <tessera/backends/accelerator/loss_operand.hpp>

namespace tessera::accelerator {

/// The rows of a loss with its operands.
struct model_rows {
  loss_rows rows;
  model_operand x, other, third;  // operands 0, 1, 3

  explicit model_rows(const call& c) : rows(loss_rows_of(c)), x(c, 0), other(c, 1), third(c, 3) {}

  i64 at(i64 row, i64 k) const { return rows.first_logit(row) + k * rows.class_stride(); }
  lanes load(const model_operand& from, i64 first, i64 count, i64 k) const {
    lanes z{};
    for (i64 j = 0; j < count; ++j) z[j] = from[at(first + j, k)];
    return z;
  }
  void store(const model_output& to, i64 first, i64 count, i64 k, lanes y) const {
    for (i64 j = 0; j < count; ++j) to.set(at(first + j, k), y[j]);
  }
  /// y where rows are no padding, else 0.
  lanes of_real(i64 first, i64 count, lanes y) const {
    for (i64 j = 0; j < count; ++j) {
      if (!rows.is_real(first + j)) y[j] = 0;
    }
    return y;
  }
  lanes of_counting(i64 first, i64 count, lanes y) const {
    for (i64 j = 0; j < count; ++j) {
      if (!rows.counts(first + j)) y[j] = 0;
    }
    return y;
  }
  bool exists(i64 row) const {
    return rows.targets[row] >= 0 && rows.targets[row] < rows.n.classes;
  }
  /// Rows that count, of losses whose targets are classes and are not weighted in the mean.
  float class_row_divisor() const {
    if (rows.attr->reduce != reduction::mean) return rows.row_divisor();
    float sum = 0;
    for (i64 row = 0; row < rows.count(); ++row) sum += rows.counts(row) ? 1.0f : 0.0f;
    return sum;
  }
};

// --- targets are classes
// --------------------------------------------------------------------------

inline void run_nll(const machine& m, const call& c) {
  const model_rows v(c);
  run_model_loss(m, c, v.rows.divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    for (i64 j = 0; j < count; ++j) {
      const i64 row = first + j;
      to[j] = v.rows.counts(row) ? -v.rows.target_weight(row) : 0.0f;
      if (v.rows.counts(row) && v.exists(row)) to[j] *= v.x[v.at(row, v.rows.targets[row])];
    }
  });
}

inline void run_nll_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output dx(m, c, 0);
  run_model_gradient(m, c, v.rows.divisor(), [&](i64 first, i64 count, lanes factors) {
    for (i64 j = 0; j < count; ++j) {
      const i64 row = first + j;
      const float hard = v.rows.counts(row) ? factors[j] * -v.rows.target_weight(row) : 0.0f;
      const bool none = v.rows.counts(row) && !v.exists(row);
      for (i64 k = 0; k < v.rows.n.classes; ++k) {
        dx.set(v.at(row, k), none || k == v.rows.targets[row] ? hard : 0.0f);
      }
    }
  });
}

/// The logit, number and weight (over C) of the class of each row; rows without one weigh NaN.
struct model_hinge {
  lanes wanted{}, target{}, weight{};

  model_hinge(const model_rows& v, i64 first, i64 count) {
    for (i64 j = 0; j < count; ++j) {
      const i64 row = first + j;
      if (!v.rows.counts(row)) continue;
      target[j] = static_cast<float>(v.rows.targets[row]);
      weight[j] = v.rows.target_weight(row) / static_cast<float>(v.rows.n.classes);
      if (v.exists(row)) wanted[j] = v.x[v.at(row, v.rows.targets[row])];
    }
  }
  /// h_c of class k, 0 where it is the target.
  lanes hinge(const model_rows& v, i64 first, i64 count, i64 k) const {
    const lanes h = above_zero(set(v.rows.attr->margin) - wanted + v.load(v.x, first, count, k));
    return select(target == set(static_cast<float>(k)), set(0.0f), h);
  }
};

inline void run_multiclass_hinge(const machine& m, const call& c) {
  const model_rows v(c);
  const i32 power = v.rows.attr->power;
  run_model_loss(m, c, v.class_row_divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    const model_hinge rows(v, first, count);
    lanes sum{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes h = rows.hinge(v, first, count, k);
      sum = power == 1 ? sum + h : fma(h, h, sum);
    }
    store(to, v.of_counting(first, count, rows.weight * sum));
  });
}

inline void run_multiclass_hinge_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output dx(m, c, 0);
  const i32 power = v.rows.attr->power;
  run_model_gradient(m, c, v.class_row_divisor(), [&](i64 first, i64 count, lanes factors) {
    const model_hinge rows(v, first, count);
    const lanes scale = factors * rows.weight;
    lanes sum{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes h = rows.hinge(v, first, count, k);
      const lanes slope = power == 1 ? slope_sign(h) : h + h;
      sum += slope;
      v.store(dx, first, count, k, v.of_counting(first, count, scale * slope));
    }
    const lanes of_target = -scale * sum;
    for (i64 j = 0; j < count; ++j) {
      if (!v.rows.counts(first + j) || !v.exists(first + j)) continue;
      dx.set(v.at(first + j, v.rows.targets[first + j]), of_target[j]);
    }
  });
}

// --- targets are distributions
// --------------------------------------------------------------------

/// The largest of the rows' logits times `scale` and the sum of exp of what they are below it.
inline softmax_sums softmax_sums_of(const model_rows& v, const model_operand& z, i64 first,
                                    i64 count, lanes scale) {
  softmax_sums s{v.load(z, first, count, 0) * scale, lanes{}};
  for (i64 k = 1; k < v.rows.n.classes; ++k) {
    const lanes one = v.load(z, first, count, k) * scale;
    s.largest = select(one > s.largest, one, s.largest);
  }
  for (i64 k = 0; k < v.rows.n.classes; ++k) {
    s.sum += exp(fma(v.load(z, first, count, k), scale, -s.largest));
  }
  return s;
}

/// v[c] q[c] of soft_cross_entropy.
inline lanes soft_weight(const model_rows& v, i64 first, i64 count, i64 k) {
  const float smoothing = v.rows.attr->label_smoothing;
  const lanes q = fma(set(1.0f - smoothing), v.load(v.other, first, count, k),
                      set(smoothing / static_cast<float>(v.rows.n.classes)));
  return set(v.rows.weight(k)) * q;
}

inline void run_soft_cross_entropy(const machine& m, const call& c) {
  const model_rows v(c);
  run_model_loss(m, c, v.rows.row_divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    const softmax_sums s = softmax_sums_of(v, v.x, first, count, set(1.0f));
    lanes all{};
    lanes below{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes q = soft_weight(v, first, count, k);
      all = fma(q, set(1.0f), all);
      below = fma(q, s.largest - v.load(v.x, first, count, k), below);
    }
    store(to, v.of_real(first, count, fma(all, log(s.sum), below)));
  });
}

inline void run_soft_cross_entropy_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output dz(m, c, 0);
  run_model_gradient(m, c, v.rows.row_divisor(), [&](i64 first, i64 count, lanes factors) {
    const softmax_sums s = softmax_sums_of(v, v.x, first, count, set(1.0f));
    lanes all{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      all = fma(soft_weight(v, first, count, k), set(1.0f), all);
    }
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes p = exp(v.load(v.x, first, count, k) - s.largest) / s.sum;
      const lanes slope = fma(p, all, -soft_weight(v, first, count, k));
      v.store(dz, first, count, k, v.of_real(first, count, factors * slope));
    }
  });
}

inline void run_distillation(const machine& m, const call& c) {
  const model_rows v(c);
  const lanes scale = set(1.0f / v.rows.attr->temperature);
  run_model_loss(m, c, v.rows.row_divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    const softmax_sums student = softmax_sums_of(v, v.x, first, count, scale);
    const softmax_sums teacher = softmax_sums_of(v, v.other, first, count, scale);
    const lanes log_q = log(student.sum);
    const lanes log_p = log(teacher.sum);
    lanes sum{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes below = fma(v.load(v.other, first, count, k), scale, -teacher.largest);
      const lanes p = exp(below) / teacher.sum;
      const lanes q = fma(v.load(v.x, first, count, k), scale, -student.largest) - log_q;
      const lanes added = fma(p, below - log_p - q, sum);
      sum = select(p == set(0.0f), sum, added);
    }
    store(to, v.of_real(first, count, sum));
  });
}

inline void run_distillation_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output dz(m, c, 0);
  const lanes scale = set(1.0f / v.rows.attr->temperature);
  run_model_gradient(m, c, v.rows.row_divisor(), [&](i64 first, i64 count, lanes factors) {
    const softmax_sums student = softmax_sums_of(v, v.x, first, count, scale);
    const softmax_sums teacher = softmax_sums_of(v, v.other, first, count, scale);
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes q = exp(fma(v.load(v.x, first, count, k), scale, -student.largest)) / student.sum;
      const lanes p =
          exp(fma(v.load(v.other, first, count, k), scale, -teacher.largest)) / teacher.sum;
      v.store(dz, first, count, k, v.of_real(first, count, factors * scale * (q - p)));
    }
  });
}

// --- vectors that are compared
// --------------------------------------------------------------------

struct model_cosine {
  lanes a = set(1e-12f), b = set(1e-12f), inverse, cosine;

  model_cosine(const model_rows& v, i64 first, i64 count) {
    lanes dot{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes x = v.load(v.x, first, count, k);
      const lanes y = v.load(v.other, first, count, k);
      dot = fma(x, y, dot);
      a = fma(x, x, a);
      b = fma(y, y, b);
    }
    inverse = set(1.0f) / (square_root(a) * square_root(b));
    cosine = dot * inverse;
  }
};

/// Targets of rows; NaN for all but 1 and -1.
inline lanes signs_of_rows(const model_rows& v, i64 first, i64 count) {
  lanes t = v.third.load(first, count);
  for (i64 j = 0; j < count; ++j) {
    if (t[j] != 1 && t[j] != -1) t[j] = __builtin_nanf("");
  }
  return t;
}

inline void run_cosine_embedding(const machine& m, const call& c) {
  const model_rows v(c);
  run_model_loss(m, c, v.rows.row_divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    const model_cosine rows(v, first, count);
    const lanes t = signs_of_rows(v, first, count);
    // cosine is a product: kept apart from the sums that follow, or a compiler may join them
    const lanes below = fma(set(-1.0f), rows.cosine, set(1.0f));
    const lanes apart = above_zero(fma(set(1.0f), rows.cosine, set(-v.rows.attr->margin)));
    const lanes y = select(t > set(0.0f), below, select(t < set(0.0f), apart, t));
    store(to, v.of_real(first, count, y));
  });
}

inline void run_cosine_embedding_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output da(m, c, 0);
  const model_output db(m, c, 1);
  run_model_gradient(m, c, v.rows.row_divisor(), [&](i64 first, i64 count, lanes factors) {
    const model_cosine rows(v, first, count);
    const lanes t = signs_of_rows(v, first, count);
    const lanes apart =
        slope_sign(above_zero(fma(set(1.0f), rows.cosine, set(-v.rows.attr->margin))));
    const lanes sign = select(t > set(0.0f), set(-1.0f), select(t < set(0.0f), apart, t));
    const lanes scale = factors * sign;
    const whole_lanes none = scale == set(0.0f);
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes x = v.load(v.x, first, count, k);
      const lanes y = v.load(v.other, first, count, k);
      const lanes dx = fma(-x, scale * rows.cosine / rows.a, y * (scale * rows.inverse));
      const lanes dy = fma(-y, scale * rows.cosine / rows.b, x * (scale * rows.inverse));
      if (da) v.store(da, first, count, k, v.of_real(first, count, select(none, lanes{}, dx)));
      if (db) v.store(db, first, count, k, v.of_real(first, count, select(none, lanes{}, dy)));
    }
  });
}

struct model_triplet {
  lanes near, far, hinge;

  static lanes difference(const model_rows& v, const model_operand& to, i64 first, i64 count,
                          i64 k) {
    return v.load(v.x, first, count, k) - v.load(to, first, count, k) + set(v.rows.attr->epsilon);
  }
  static lanes length(const model_rows& v, const model_operand& to, i64 first, i64 count) {
    lanes sum{};
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes d = difference(v, to, first, count, k);
      sum = v.rows.attr->power == 1 ? sum + magnitude_of(d) : fma(d, d, sum);
    }
    return v.rows.attr->power == 1 ? sum : square_root(sum);
  }
  model_triplet(const model_rows& v, i64 first, i64 count)
      : near(length(v, v.other, first, count)),
        far(length(v, v.third, first, count)),
        hinge(above_zero(near - far + set(v.rows.attr->margin))) {}
};

inline void run_triplet(const machine& m, const call& c) {
  const model_rows v(c);
  run_model_loss(m, c, v.rows.row_divisor(), v.rows.count(), [&](i64 first, i64 count, float* to) {
    const model_triplet rows(v, first, count);
    store(to, v.of_real(first, count, rows.hinge));
  });
}

inline void run_triplet_gradient(const machine& m, const call& c) {
  const model_rows v(c);
  const model_output da(m, c, 0);
  const model_output dp(m, c, 1);
  const model_output dn(m, c, 2);
  run_model_gradient(m, c, v.rows.row_divisor(), [&](i64 first, i64 count, lanes factors) {
    const model_triplet rows(v, first, count);
    const lanes scale = factors * slope_sign(rows.hinge);
    const whole_lanes none = scale == set(0.0f);
    const auto slope = [&](const model_operand& to, lanes size, i64 k) {
      const lanes d = model_triplet::difference(v, to, first, count, k);
      if (v.rows.attr->power == 1) return slope_sign(d);
      return select(size == set(0.0f), set(0.0f), d / size);
    };
    const auto put_out = [&](const model_output& to, i64 k, lanes y) {
      if (to) v.store(to, first, count, k, v.of_real(first, count, select(none, lanes{}, y)));
    };
    for (i64 k = 0; k < v.rows.n.classes; ++k) {
      const lanes u = slope(v.other, rows.near, k);
      const lanes w = slope(v.third, rows.far, k);
      put_out(da, k, scale * (u - w));
      put_out(dp, k, -scale * u);
      put_out(dn, k, scale * w);
    }
  });
}

}  // namespace tessera::accelerator
