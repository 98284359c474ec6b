#pragma once

// Losses row by row and their gradients (ops/loss_rows.hpp has the formulas).
//
// Vectors hold rows, one in each lane, so nothing is summed across lanes: rows side by side in
// memory (samples with the batch last, positions of an image) are loaded as they lie, others
// element by element. Sums over classes or features run in order in f32. The losses of rows are
// summed in f64, in at most 64 pieces whose rows are in order: the result depends neither on the
// vector width nor on the threads.

#include <tessera/backends/host/loss.hpp>

namespace tessera::host {

/// Up to a vector of rows.
struct row_group {
  i64 first;  // address of element 0 of the first row
  i64 row;    // number of the first row
  i32 rows;
};

/// The rows of a loss and what all its kernels read.
class row_view {
 public:
  explicit row_view(const call& c)
      : n(loss_sizes::of(*c.sizes)),
        attr(c.attr->loss),
        x(c, 0),
        other(c, 1),
        third(c, 3),
        step(c.sizes->batch_last ? i64{n.inner} * n.batch : n.inner),
        row_step_(!c.sizes->batch_last && n.inner == 1 ? n.classes : 1),
        target_(c.input<i32>(1)),
        batch_last_(c.sizes->batch_last),
        valid_(c.step->valid) {}

  const loss_sizes n;
  const loss_attributes attr;
  const loss_operand x, other, third;  // operands 0, 1, 3
  const i64 step;                      // from an element of a row to the next

  /// Rows of one group lie side by side, or all `classes` apart.
  bool one_run() const { return batch_last_ || n.inner == 1; }
  i64 groups() const {
    constexpr i64 lanes = simd::lanes;
    if (one_run()) return (n.rows() + lanes - 1) / lanes;
    return n.batch * ((n.inner + lanes - 1) / lanes);
  }
  row_group group(i64 i) const {
    constexpr i64 lanes = simd::lanes;
    if (one_run()) {
      const i64 row = i * lanes;
      return {row * row_step_, row, at_most_lanes(n.rows() - row)};
    }
    const i64 of_sample = (n.inner + lanes - 1) / lanes;
    const i64 sample = i / of_sample;
    const i64 position = i % of_sample * lanes;
    return {sample * n.classes * n.inner + position, sample * n.inner + position,
            at_most_lanes(n.inner - position)};
  }

  simd::vec load(const loss_operand& from, const row_group& g, i32 k) const {
    return from.load(g.first + k * step, g.rows, row_step_);
  }
  void store(const loss_output& to, const row_group& g, i32 k, simd::vec y) const {
    to.store(g.first + k * step, y, g.rows, row_step_);
  }
  /// Element k of row number i of a group.
  i64 at(const row_group& g, i32 i, i32 k) const { return g.first + k * step + i * row_step_; }

  /// No padding.
  bool is_real(i64 row) const {
    if (attr.samples > 0) return row % attr.samples < valid_;
    return (batch_last_ ? row % n.batch : row / n.inner) < valid_;
  }
  i32 target(i64 row) const { return target_[row]; }
  bool counts(i64 row) const { return is_real(row) && target(row) != attr.ignore_index; }
  float class_weight(i32 k) const { return third ? third[k] : 1.0f; }
  bool exists(i64 row) const { return target(row) >= 0 && target(row) < n.classes; }
  float target_weight(i64 row) const {
    return exists(row) ? class_weight(target(row)) : std::numeric_limits<float>::quiet_NaN();
  }

  double rows_that_count() const { return static_cast<double>(n.counted_rows(attr, valid_)); }
  /// W of the losses that divide by rows.
  double divisor() const {
    const bool mean = attr.reduce == reduction::mean || attr.reduce == reduction::batch_mean;
    return mean ? rows_that_count() : 1;
  }
  /// W of the losses whose targets are classes: the sum of their weights, or their number.
  double class_divisor(bool weighted) const {
    if (attr.reduce != reduction::mean) return divisor();
    double sum = 0;
    for (i64 row = 0; row < n.rows(); ++row) {
      if (counts(row)) sum += weighted ? static_cast<double>(target_weight(row)) : 1.0;
    }
    return sum;
  }

 private:
  static i32 at_most_lanes(i64 rows) {
    return rows < simd::lanes ? static_cast<i32>(rows) : simd::lanes;
  }

  i64 row_step_;
  const i32* target_;
  bool batch_last_;
  i32 valid_;
};

/// The loss from `value(group, losses)`, which writes a number for each row; rows that
/// `counts(row)` denies are left out.
template <class Counts, class Value>
void run_row_loss(const call& c, const row_view& view, double divisor, const Counts& counts,
                  const Value& value) {
  float* const loss = c.output<float>(0);
  const float weight = view.attr.weight;
  const bool each = view.attr.reduce == reduction::none;
  const auto run = [&](i64 first, i64 last) {
    double sum = 0;
    for (i64 i = first; i < last; ++i) {
      const row_group g = view.group(i);
      float losses[simd::lanes] = {};
      value(g, losses);
      for (i32 lane = 0; lane < g.rows; ++lane) {
        const float one = counts(g.row + lane) ? losses[lane] : 0.0f;
        if (each) {
          loss[g.row + lane] = weight * one;
        } else {
          sum += static_cast<double>(one);
        }
      }
    }
    return sum;
  };
  constexpr i32 pieces = 64;
  const i64 groups = view.groups();
  double total = 0;
  if (groups * view.n.classes >= pieces * 64) {
    double part[pieces];
    parallel_for(c.step->threads, pieces,
                 [&](i32 i) { part[i] = run(groups * i / pieces, groups * (i + 1) / pieces); });
    for (const double one : part) total += one;
  } else {
    total = run(0, groups);
  }
  if (!each) *loss = static_cast<float>(static_cast<double>(weight) * total / divisor);
}

/// `gradient(group, factor, counts)` stores the slopes times `factor` where `counts`, else zeros.
template <class Counts, class Gradient>
void run_row_gradient(const call& c, const row_view& view, double divisor, const Counts& counts,
                      const Gradient& gradient) {
  const float common = loss_factor(c, divisor);
  const loss_operand above(c, 4);
  const bool each = view.attr.reduce == reduction::none;
  const auto run = [&](i64 first, i64 last) {
    for (i64 i = first; i < last; ++i) {
      const row_group g = view.group(i);
      float factor[simd::lanes] = {};
      float counting[simd::lanes] = {};
      for (i32 lane = 0; lane < g.rows; ++lane) {
        if (!counts(g.row + lane)) continue;
        counting[lane] = 1;
        factor[lane] = above ? common * above[each ? g.row + lane : 0] : common;
      }
      gradient(g, simd::load(factor), simd::load(counting) > simd::zero());
    }
  };
  const i64 groups = view.groups();
  const threads workers = c.step->threads.when(groups * view.n.classes >= 64 * 64);
  if (workers.count <= 1) return run(0, groups);
  constexpr i32 pieces = 64;
  parallel_for(workers, pieces,
               [&](i32 i) { run(groups * i / pieces, groups * (i + 1) / pieces); });
}

// --- targets are classes
// --------------------------------------------------------------------------

inline void nll(const call& c) {
  const row_view v(c);
  run_row_loss(
      c, v, v.class_divisor(true), [&](i64 row) { return v.counts(row); },
      [&](const row_group& g, float* losses) {
        for (i32 i = 0; i < g.rows; ++i) {
          const i64 row = g.row + i;
          if (!v.counts(row)) continue;
          losses[i] = v.target_weight(row);
          if (v.exists(row)) losses[i] *= -v.x[v.at(g, i, v.target(row))];
        }
      });
}

inline void nll_gradient(const call& c) {
  const row_view v(c);
  const loss_output dx(c, 0);
  run_row_gradient(
      c, v, v.class_divisor(true), [&](i64 row) { return v.counts(row); },
      [&](const row_group& g, simd::vec factor, simd::mask) {
        float hard[simd::lanes];
        float fill[simd::lanes] = {};  // NaN for rows without a class
        simd::store(hard, factor);
        for (i32 i = 0; i < g.rows; ++i) {
          if (!v.counts(g.row + i)) continue;
          hard[i] *= -v.target_weight(g.row + i);
          if (!v.exists(g.row + i)) fill[i] = hard[i];
        }
        const simd::vec rest = simd::load(fill);
        for (i32 k = 0; k < v.n.classes; ++k) v.store(dx, g, k, rest);
        for (i32 i = 0; i < g.rows; ++i) {
          if (v.counts(g.row + i) && v.exists(g.row + i)) {
            dx.set(v.at(g, i, v.target(g.row + i)), hard[i]);
          }
        }
      });
}

/// What a group of the multiclass hinge needs: the logit, number and weight of each row's class.
struct hinge_rows {
  simd::vec wanted, target, weight;

  hinge_rows(const row_view& v, const row_group& g) {
    float x[simd::lanes] = {};
    float t[simd::lanes] = {};
    float w[simd::lanes] = {};
    for (i32 i = 0; i < g.rows; ++i) {
      if (!v.counts(g.row + i)) continue;
      t[i] = static_cast<float>(v.target(g.row + i));
      w[i] = v.target_weight(g.row + i) / static_cast<float>(v.n.classes);
      if (v.exists(g.row + i)) x[i] = v.x[v.at(g, i, v.target(g.row + i))];
    }
    wanted = simd::load(x);
    target = simd::load(t);
    weight = simd::load(w);
  }
  /// h_c of class k, 0 where it is the target.
  simd::vec hinge(const row_view& v, const row_group& g, i32 k) const {
    const simd::vec h = above_zero(simd::set(v.attr.margin) - wanted + v.load(v.x, g, k));
    return simd::select(target == simd::set(static_cast<float>(k)), simd::zero(), h);
  }
};

inline void multiclass_hinge(const call& c) {
  const row_view v(c);
  run_row_loss(
      c, v, v.class_divisor(false), [&](i64 row) { return v.counts(row); },
      [&](const row_group& g, float* losses) {
        const hinge_rows rows(v, g);
        simd::vec sum = simd::zero();
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec h = rows.hinge(v, g, k);
          sum = sum + (v.attr.power == 1 ? h : h * h);
        }
        simd::store(losses, rows.weight * sum);
      });
}

inline void multiclass_hinge_gradient(const call& c) {
  const row_view v(c);
  const loss_output dx(c, 0);
  run_row_gradient(
      c, v, v.class_divisor(false), [&](i64 row) { return v.counts(row); },
      [&](const row_group& g, simd::vec factor, simd::mask counts) {
        const hinge_rows rows(v, g);
        const simd::vec scale = simd::select(counts, factor * rows.weight, simd::zero());
        simd::vec sum = simd::zero();
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec h = rows.hinge(v, g, k);
          const simd::vec slope = v.attr.power == 1 ? slope_sign(h) : h + h;
          sum = sum + slope;
          v.store(dx, g, k, simd::select(counts, scale * slope, simd::zero()));
        }
        float of_target[simd::lanes];
        simd::store(of_target, simd::zero() - scale * sum);
        for (i32 i = 0; i < g.rows; ++i) {
          if (v.counts(g.row + i) && v.exists(g.row + i)) {
            dx.set(v.at(g, i, v.target(g.row + i)), of_target[i]);
          }
        }
      });
}

// --- targets are distributions
// --------------------------------------------------------------------

/// The largest of a group's logits times `scale` and the sum of exp of what they are below it.
struct softmax_rows {
  simd::vec largest, sum;

  softmax_rows(const row_view& v, const loss_operand& z, const row_group& g, simd::vec scale) {
    largest = v.load(z, g, 0) * scale;
    for (i32 k = 1; k < v.n.classes; ++k) {
      const simd::vec one = v.load(z, g, k) * scale;
      largest = simd::select(one > largest, one, largest);
    }
    sum = simd::zero();
    for (i32 k = 0; k < v.n.classes; ++k) {
      sum = sum + host::exp(v.load(z, g, k) * scale - largest);
    }
  }
};

/// v[c] q[c] of soft_cross_entropy.
inline simd::vec soft_weight(const row_view& v, const row_group& g, i32 k) {
  const float smoothing = v.attr.label_smoothing;
  const simd::vec t = v.load(v.other, g, k);
  if (smoothing == 0 && !v.third) return t;
  const simd::vec q = simd::fma(simd::set(1 - smoothing), t,
                                simd::set(smoothing / static_cast<float>(v.n.classes)));
  return simd::set(v.class_weight(k)) * q;
}

inline void soft_cross_entropy(const call& c) {
  const row_view v(c);
  run_row_loss(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, float* losses) {
        const softmax_rows rows(v, v.x, g, simd::set(1.0f));
        simd::vec all = simd::zero();
        simd::vec below = simd::zero();
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec q = soft_weight(v, g, k);
          all = all + q;
          below = simd::fma(q, rows.largest - v.load(v.x, g, k), below);
        }
        simd::store(losses, simd::fma(all, log_of_any(rows.sum), below));
      });
}

inline void soft_cross_entropy_gradient(const call& c) {
  const row_view v(c);
  const loss_output dz(c, 0);
  run_row_gradient(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, simd::vec factor, simd::mask real) {
        const softmax_rows rows(v, v.x, g, simd::set(1.0f));
        simd::vec all = simd::zero();
        for (i32 k = 0; k < v.n.classes; ++k) all = all + soft_weight(v, g, k);
        const simd::vec spread = all / rows.sum;
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec e = host::exp(v.load(v.x, g, k) - rows.largest);
          const simd::vec slope = simd::fma(e, spread, simd::zero() - soft_weight(v, g, k));
          v.store(dz, g, k, simd::select(real, factor * slope, simd::zero()));
        }
      });
}

inline void distillation(const call& c) {
  const row_view v(c);
  const simd::vec scale = simd::set(1 / v.attr.temperature);
  run_row_loss(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, float* losses) {
        const softmax_rows student(v, v.x, g, scale);
        const softmax_rows teacher(v, v.other, g, scale);
        const simd::vec log_q = log_of_any(student.sum);
        const simd::vec log_p = log_of_any(teacher.sum);
        simd::vec sum = simd::zero();
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec below = v.load(v.other, g, k) * scale - teacher.largest;
          const simd::vec p = host::exp(below) / teacher.sum;
          const simd::vec q = v.load(v.x, g, k) * scale - student.largest - log_q;
          const simd::vec one = p * (below - log_p - q);
          sum = sum + simd::select(p == simd::zero(), simd::zero(), one);
        }
        simd::store(losses, sum);
      });
}

inline void distillation_gradient(const call& c) {
  const row_view v(c);
  const loss_output dz(c, 0);
  const simd::vec scale = simd::set(1 / v.attr.temperature);
  run_row_gradient(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, simd::vec factor, simd::mask real) {
        const softmax_rows student(v, v.x, g, scale);
        const softmax_rows teacher(v, v.other, g, scale);
        for (i32 k = 0; k < v.n.classes; ++k) {
          const simd::vec q = host::exp(v.load(v.x, g, k) * scale - student.largest) / student.sum;
          const simd::vec p =
              host::exp(v.load(v.other, g, k) * scale - teacher.largest) / teacher.sum;
          v.store(dz, g, k, simd::select(real, factor * scale * (q - p), simd::zero()));
        }
      });
}

// --- vectors that are compared
// --------------------------------------------------------------------

struct cosine_rows {
  simd::vec a, b, inverse, cosine;  // squared norms, 1 / their root, what they make of the product

  cosine_rows(const row_view& v, const row_group& g) {
    simd::vec dot = simd::zero();
    a = b = simd::set(1e-12f);
    for (i32 k = 0; k < v.n.classes; ++k) {
      const simd::vec x = v.load(v.x, g, k);
      const simd::vec y = v.load(v.other, g, k);
      dot = simd::fma(x, y, dot);
      a = simd::fma(x, x, a);
      b = simd::fma(y, y, b);
    }
    inverse = simd::set(1.0f) / (simd::root(a) * simd::root(b));
    cosine = dot * inverse;
  }
};

/// Targets of the rows of a group; NaN for all but 1 and -1.
inline simd::vec signs_of_rows(const row_view& v, const row_group& g) {
  const simd::vec t = v.third.load(g.row, g.rows);
  const simd::vec one = simd::set(1.0f);
  const simd::vec other = simd::select(t == simd::zero() - one, t, t - t);
  return simd::select(t == one, t, other);
}

inline void cosine_embedding(const call& c) {
  const row_view v(c);
  run_row_loss(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, float* losses) {
        const cosine_rows rows(v, g);
        const simd::vec t = signs_of_rows(v, g);
        const simd::vec apart = above_zero(rows.cosine - simd::set(v.attr.margin));
        const simd::vec other = simd::select(t < simd::zero(), apart, t);
        simd::store(losses, simd::select(t > simd::zero(), simd::set(1.0f) - rows.cosine, other));
      });
}

inline void cosine_embedding_gradient(const call& c) {
  const row_view v(c);
  const loss_output da(c, 0);
  const loss_output db(c, 1);
  run_row_gradient(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, simd::vec factor, simd::mask real) {
        using namespace simd;
        const cosine_rows rows(v, g);
        const vec t = signs_of_rows(v, g);
        const vec apart = slope_sign(above_zero(rows.cosine - set(v.attr.margin)));
        vec scale = select(t < zero(), apart, t);
        scale = factor * select(t > zero(), set(-1.0f), scale);
        const mask some = is_nan(scale) | (absolute(scale) > zero());
        const vec cross = scale * rows.inverse;
        const vec of_a = scale * rows.cosine / rows.a;
        const vec of_b = scale * rows.cosine / rows.b;
        for (i32 k = 0; k < v.n.classes; ++k) {
          const vec x = v.load(v.x, g, k);
          const vec y = v.load(v.other, g, k);
          const vec dx = select(some, fnma(x, of_a, y * cross), zero());
          const vec dy = select(some, fnma(y, of_b, x * cross), zero());
          if (da) v.store(da, g, k, select(real, dx, zero()));
          if (db) v.store(db, g, k, select(real, dy, zero()));
        }
      });
}

struct triplet_rows {
  simd::vec near, far, hinge;

  static simd::vec length(const row_view& v, const loss_operand& to, const row_group& g) {
    simd::vec sum = simd::zero();
    for (i32 k = 0; k < v.n.classes; ++k) {
      const simd::vec d = difference(v, to, g, k);
      sum = v.attr.power == 1 ? sum + simd::absolute(d) : simd::fma(d, d, sum);
    }
    return v.attr.power == 1 ? sum : simd::root(sum);
  }
  static simd::vec difference(const row_view& v, const loss_operand& to, const row_group& g,
                              i32 k) {
    return v.load(v.x, g, k) - v.load(to, g, k) + simd::set(v.attr.epsilon);
  }

  triplet_rows(const row_view& v, const row_group& g)
      : near(length(v, v.other, g)),
        far(length(v, v.third, g)),
        hinge(above_zero(near - far + simd::set(v.attr.margin))) {}
};

inline void triplet(const call& c) {
  const row_view v(c);
  run_row_loss(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, float* losses) { simd::store(losses, triplet_rows(v, g).hinge); });
}

inline void triplet_gradient(const call& c) {
  const row_view v(c);
  const loss_output da(c, 0);
  const loss_output dp(c, 1);
  const loss_output dn(c, 2);
  run_row_gradient(
      c, v, v.divisor(), [&](i64 row) { return v.is_real(row); },
      [&](const row_group& g, simd::vec factor, simd::mask real) {
        using namespace simd;
        const triplet_rows rows(v, g);
        const vec scale = select(real, factor * slope_sign(rows.hinge), zero());
        const mask some = is_nan(scale) | (absolute(scale) > zero());
        const auto slope = [&](vec d, vec size) {
          if (v.attr.power == 1) return slope_sign(d);
          return select(size == zero(), zero(), d / size);
        };
        for (i32 k = 0; k < v.n.classes; ++k) {
          const vec u = slope(triplet_rows::difference(v, v.other, g, k), rows.near);
          const vec w = slope(triplet_rows::difference(v, v.third, g, k), rows.far);
          if (da) v.store(da, g, k, select(some, scale * (u - w), zero()));
          if (dp) v.store(dp, g, k, select(some, zero() - scale * u, zero()));
          if (dn) v.store(dn, g, k, select(some, scale * w, zero()));
        }
      });
}

}  // namespace tessera::host
