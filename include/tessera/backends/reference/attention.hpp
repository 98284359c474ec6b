#pragma once

// Products of activations, softmax and additive scores as plain loops (ops/matmul.hpp,
// ops/softmax.hpp and ops/additive.hpp state what they mean).

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/sizes.hpp>
#include <initializer_list>
#include <limits>

namespace tessera::reference {

template <class Real>
void matmul(const call& c) {
  const auto n = matmul_sizes::of(*c.sizes);
  const auto a = in<Real>(c, 0), b = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  const Real scale = static_cast<Real>(c.attr->product.scale);
  const auto at = [](const i32(&stride)[4], i64 s, i64 h, i64 r, i64 k) {
    return s * stride[0] + h * stride[1] + r * stride[2] + k * stride[3];
  };
  const i64 sum_s = n.summed_samples();
  const i64 sum_h = n.summed_heads();
  for (i64 s = 0; s < n.samples; s += sum_s) {
    for (i64 h = 0; h < n.heads; h += sum_h) {
      for (i64 r = 0; r < n.rows; ++r) {
        for (i64 k = 0; k < n.columns; ++k) {
          Real sum = 0;
          for (i64 ss = s; ss < s + sum_s; ++ss) {
            for (i64 hh = h; hh < h + sum_h; ++hh) {
              for (i64 i = 0; i < n.inner; ++i) {
                sum += a[at(n.a, ss, hh, r, i)] * b[at(n.b, ss, hh, i, k)];
              }
            }
          }
          y.set(at(n.y, s, h, r, k), scale * sum);
        }
      }
    }
  }
}

/// What remains of exp(x - most) and its sum where a row has no finite largest: see
/// ops/softmax.hpp.
template <class Real>
bool nothing_takes_part(Real most, Real sum) {
  return most == -std::numeric_limits<Real>::infinity() && sum == 0;
}

/// The largest of `count` numbers and the sum of their exponentials from it. Of a row of -infinity
/// the sum is 0; a NaN makes it NaN.
template <class Real, class Number>
void softmax_terms(i64 count, const Number& number, Real& most, Real& sum) {
  most = -std::numeric_limits<Real>::infinity();
  bool nan = false;
  for (i64 i = 0; i < count; ++i) {
    nan = nan || std::isnan(number(i));
    if (number(i) > most) most = number(i);
  }
  sum = nan ? std::numeric_limits<Real>::quiet_NaN() : Real(0);
  if (nan || most == -std::numeric_limits<Real>::infinity()) return;
  for (i64 i = 0; i < count; ++i) sum += std::exp(number(i) - most);
}

/// visit(first, step) for every row.
template <class Visit>
void for_softmax_rows(const softmax_sizes& n, const Visit& visit) {
  for (i64 o = 0; o < n.outer; ++o) {
    for (i64 i = 0; i < n.inner; ++i) visit(o * n.along * n.inner + i, i64{n.inner});
  }
}

template <class Real, bool Log>
void softmax(const call& c) {
  const auto n = softmax_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0);
  const auto y = out<Real>(c, 0);
  for_softmax_rows(n, [&](i64 first, i64 step) {
    Real most, sum;
    softmax_terms(
        n.along, [&](i64 k) { return x[first + k * step]; }, most, sum);
    const bool empty = nothing_takes_part(most, sum);
    const Real log_sum = std::log(sum);
    for (i64 k = 0; k < n.along; ++k) {
      const i64 e = first + k * step;
      if (empty) {
        y.set(e, Log ? -std::numeric_limits<Real>::infinity() : Real(0));
      } else if (std::isnan(sum)) {
        y.set(e, sum);
      } else {
        y.set(e, Log ? x[e] - most - log_sum : std::exp(x[e] - most) / sum);
      }
    }
  });
}

template <class Real>
void masked_softmax(const call& c) {
  const auto n = masked_softmax_sizes::of(*c.sizes);
  const auto x = in<Real>(c, 0), lengths = in<Real>(c, 3);
  const auto y = out<Real>(c, 0);
  const Real left_out = -std::numeric_limits<Real>::infinity();
  const i64 row_size = n.columns;
  const batch_layout at{c.sizes->batch_last, n.samples, i64{n.heads} * n.rows * row_size};
  for (i64 s = 0; s < n.samples; ++s) {
    i64 length = n.columns;
    if (lengths && lengths[s] < static_cast<Real>(length)) length = static_cast<i64>(lengths[s]);
    for (i64 h = 0; h < n.heads; ++h) {
      for (i64 q = 0; q < n.rows; ++q) {
        const auto place = [&](i64 k) { return at.at(s, (h * n.rows + q) * row_size + k); };
        const i64 limit = n.causal != 0 && q + 1 < length ? q + 1 : length;
        const auto takes_part = [&](i64 k) {
          if (k >= limit) return false;
          for (const i32 m : {0, 1}) {
            const auto mask = in<Real>(c, 1 + m);
            const i32* t = n.mask[m];
            if (!mask) continue;
            const bool chooses = mask.type() == element::uint8 || mask.type() == element::int32;
            const Real value = mask[s * t[0] + h * t[1] + q * t[2] + k * t[3]];
            if (chooses ? value != 0 : value == left_out) return false;
          }
          return true;
        };
        const auto score = [&](i64 k) {
          if (!takes_part(k)) return left_out;
          Real value = x[place(k)];
          for (const i32 m : {0, 1}) {
            const auto mask = in<Real>(c, 1 + m);
            const i32* t = n.mask[m];
            if (!mask || mask.type() == element::uint8 || mask.type() == element::int32) continue;
            value += mask[s * t[0] + h * t[1] + q * t[2] + k * t[3]];
          }
          return value;
        };
        Real most, sum;
        softmax_terms(n.columns, score, most, sum);
        for (i64 k = 0; k < n.columns; ++k) {
          Real value = 0;
          if (std::isnan(sum)) {
            if (k < limit) value = sum;
          } else if (takes_part(k) && !nothing_takes_part(most, sum)) {
            value = std::exp(score(k) - most) / sum;
          }
          y.set(place(k), value);
        }
      }
    }
  }
}

template <class Real, bool Log>
void softmax_gradient(const call& c) {
  const auto n = softmax_sizes::of(*c.sizes);
  const auto y = in<Real>(c, 0), dy = in<Real>(c, 1);
  const auto dx = out<Real>(c, 0);
  for_softmax_rows(n, [&](i64 first, i64 step) {
    Real sum = 0;
    for (i64 k = 0; k < n.along; ++k) {
      const i64 e = first + k * step;
      sum += Log ? dy[e] : dy[e] * y[e];
    }
    for (i64 k = 0; k < n.along; ++k) {
      const i64 e = first + k * step;
      dx.set(e, Log ? dy[e] - std::exp(y[e]) * sum : y[e] * (dy[e] - sum));
    }
  });
}

/// visit(q, k, e) with the first elements of a query and a key, and the place of their score.
template <class Visit>
void for_additive_pairs(const additive_sizes& n, const Visit& visit) {
  for (i64 s = 0; s < n.samples; ++s) {
    for (i64 i = 0; i < n.queries; ++i) {
      for (i64 j = 0; j < n.keys; ++j) {
        visit(s * n.q[0] + i * n.q[1], s * n.k[0] + j * n.k[1],
              s * n.e[0] + i * n.e[1] + j * n.e[2]);
      }
    }
  }
}

template <class Real>
void additive_scores(const call& c) {
  const auto n = additive_sizes::of(*c.sizes);
  const auto q = in<Real>(c, 0), k = in<Real>(c, 1), v = in<Real>(c, 2);
  const auto e = out<Real>(c, 0);
  for_additive_pairs(n, [&](i64 from_q, i64 from_k, i64 to) {
    Real sum = 0;
    for (i64 a = 0; a < n.features; ++a) {
      sum += v[a] * std::tanh(q[from_q + a * n.q[2]] + k[from_k + a * n.k[2]]);
    }
    e.set(to, sum);
  });
}

template <class Real>
void additive_scores_gradient(const call& c) {
  const auto n = additive_sizes::of(*c.sizes);
  const auto q = in<Real>(c, 0), k = in<Real>(c, 1), v = in<Real>(c, 2), de = in<Real>(c, 3);
  const auto dq = out<Real>(c, 0), dk = out<Real>(c, 1), dv = out<Real>(c, 2);
  for (i64 a = 0; a < n.features; ++a) {
    const auto unit = [&](i64 s, i64 i, i64 j) {
      return std::tanh(q[s * n.q[0] + i * n.q[1] + a * n.q[2]] +
                       k[s * n.k[0] + j * n.k[1] + a * n.k[2]]);
    };
    const auto score = [&](i64 s, i64 i, i64 j) {
      return de[s * n.e[0] + i * n.e[1] + j * n.e[2]];
    };
    Real sum_v = 0;
    for (i64 s = 0; s < n.samples; ++s) {
      for (i64 j = 0; j < n.keys; ++j) {
        Real sum = 0;
        for (i64 i = 0; i < n.queries; ++i) {
          const Real t = unit(s, i, j);
          sum += score(s, i, j) * (1 - t * t);
          sum_v += score(s, i, j) * t;
        }
        if (dk) dk.set(s * n.k[0] + j * n.k[1] + a * n.k[2], v[a] * sum);
      }
      for (i64 i = 0; dq && i < n.queries; ++i) {
        Real sum = 0;
        for (i64 j = 0; j < n.keys; ++j) {
          const Real t = unit(s, i, j);
          sum += score(s, i, j) * (1 - t * t);
        }
        dq.set(s * n.q[0] + i * n.q[1] + a * n.q[2], v[a] * sum);
      }
    }
    if (dv) dv.set(a, sum_v);
  }
}

}  // namespace tessera::reference
