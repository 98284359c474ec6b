#pragma once

// Updates of parameters and of the loss scale as plain loops (ops/update.hpp and
// ir/attributes.hpp state what they mean).
//
// Arithmetic is in the parameter's compute type; Adam's two bias corrections, one number per call,
// are computed in double, because 1 - beta^t cancels: in float it would be off by 6e-5 at the first
// step with beta 0.999. A fused update under skip_rule::tensor computes its gradient twice, once to
// look for overflows and once to apply it, and so needs no buffer.

#include <tessera/backends/reference/product.hpp>
#include <tessera/core/split_float.hpp>
#include <tessera/ops/update.hpp>

namespace tessera::reference {

/// Sets the overflow mark where `gradient` (an object with count() and (i)) is not finite anywhere.
template <class Gradient>
bool overflows(const Gradient& gradient) {
  for (i64 i = 0; i < gradient.count(); ++i)
    if (!std::isfinite(gradient(i))) return true;
  return false;
}

/// A stored gradient: input 0.
template <class Real>
class stored_gradient {
 public:
  explicit stored_gradient(const call& c)
      : count_(elementwise_sizes::of(*c.sizes).count), values_(in<Real>(c, 0)) {}

  i64 count() const { return count_; }
  element type() const { return values_.type(); }
  Real operator()(i64 i) const { return values_[i]; }

 private:
  i64 count_;
  numbers<Real> values_;
};

/// A gradient as its own type would have stored it.
template <class Gradient>
struct as_stored {
  Gradient gradient;

  i64 count() const { return gradient.count(); }
  auto operator()(i64 i) const { return rounded_to(gradient.type(), gradient(i)); }
};

/// The parameter of an update: 16-bit ones are rounded by chance, to the next one up or down, or
/// have 16 bits more in a tensor of their own.
template <class Real>
struct updated_cells {
  cells<Real> values;
  element_words words;
  std::byte* bytes;
  u16* rests;

  explicit updated_cells(const call& c)
      : values(out<Real>(c, 0)),
        words(ops::rounding_words(c)),
        bytes(c.out[0]),
        rests(c.output<u16>(ops::rest_slot)) {}

  Real operator[](i64 i) const {
    if (rests == nullptr) return values[i];
    if (values.type() == element::f16) return join_float(at<half>(i), rests[i]);
    return join_float(at<bfloat16>(i), rests[i]);
  }
  void set(i64 i, Real value) const {
    const float x = static_cast<float>(value);
    if (rests != nullptr) {
      if (values.type() == element::f16) return split_float(x, at<half>(i), rests[i]);
      return split_float(x, at<bfloat16>(i), rests[i]);
    }
    if (values.type() == element::f16) {
      reinterpret_cast<half*>(bytes)[i] = to_half_stochastic_add(x, words.of(i));
    } else if (values.type() == element::bf16) {
      reinterpret_cast<bfloat16*>(bytes)[i] = to_bfloat16_stochastic(x, words.of(i));
    } else {
      values.set(i, value);
    }
  }

 private:
  template <class T>
  T& at(i64 i) const {
    return reinterpret_cast<T*>(bytes)[i];
  }
};

/// One step of SGD for element i.
template <class Real>
struct sgd_step {
  explicit sgd_step(const call& c, i32 applied)
      : rule(c.attr->update),
        rate(rule.fixed_rate != 0 ? rule.fixed_rate : c.step->learning_rate),
        first(applied == 0),
        w(c),
        v(out<Real>(c, 1)) {}

  void operator()(i64 i, Real g) const {
    g += static_cast<Real>(rule.weight_decay) * w[i];
    if (rule.momentum != 0) {
      const Real old = first ? Real(0) : v[i];
      const Real now = first ? g
                             : static_cast<Real>(rule.momentum) * old +
                                   (1 - static_cast<Real>(rule.dampening)) * g;
      v.set(i, now);
      g = rule.nesterov ? g + static_cast<Real>(rule.momentum) * now : now;
    }
    w.set(i, w[i] - rate * g);
  }

  update_rule rule;
  Real rate;
  bool first;
  updated_cells<Real> w;
  cells<Real> v;
};

/// One step of Adam for element i.
template <class Real>
struct adam_step {
  explicit adam_step(const call& c, i32 applied)
      : rule(c.attr->update),
        rate(static_cast<Real>(c.step->learning_rate /
                               (1 - std::pow(static_cast<double>(rule.beta1), applied + 1)))),
        root_correction(static_cast<Real>(
            std::sqrt(1 - std::pow(static_cast<double>(rule.beta2), applied + 1)))),
        keep(1 - static_cast<Real>(c.step->learning_rate) * static_cast<Real>(rule.weight_decay)),
        w(c),
        m(out<Real>(c, 1)),
        v(out<Real>(c, 2)),
        largest(out<Real>(c, 3)) {}

  void operator()(i64 i, Real g) const {
    const Real beta1 = rule.beta1;
    const Real beta2 = rule.beta2;
    if (!rule.decoupled) g += static_cast<Real>(rule.weight_decay) * w[i];
    m.set(i, beta1 * m[i] + (1 - beta1) * g);
    v.set(i, beta2 * v[i] + (1 - beta2) * g * g);
    Real second = v[i];
    if (rule.amsgrad) {
      if (largest[i] > second) second = largest[i];
      largest.set(i, second);
    }
    const Real root = std::sqrt(second) / root_correction + static_cast<Real>(rule.epsilon);
    const Real kept = rule.decoupled ? w[i] * keep : w[i];
    w.set(i, kept - rate * m[i] / root);
  }

  update_rule rule;
  Real rate;
  Real root_correction;
  Real keep;
  updated_cells<Real> w;
  cells<Real> m, v, largest;
};

/// False where the overflow of a scaled gradient forbids the update; marks those found here.
template <class Gradient>
bool may_update(const call& c, const Gradient& gradient) {
  float* const scaler = reinterpret_cast<float*>(c.in[2]);
  const skip_rule skip = scaler == nullptr ? skip_rule::none : c.attr->scaling.skip;
  if (skip == skip_rule::step) return scaler[ops::scaler_overflow] == 0;
  if (skip == skip_rule::none || !overflows(gradient)) return true;
  scaler[ops::scaler_overflow] = 1;
  return false;
}

/// A gradient without its loss scale, clipped by the norm of all.
template <class Real, class Gradient>
struct as_applied {
  Gradient gradient;
  Real scale = 1;
  Real factor = 1;

  as_applied(const call& c, const Gradient& stored) : gradient(stored) {
    if (c.in[2] != nullptr) scale = static_cast<Real>(c.input<float>(2)[ops::scaler_scale]);
    if (const numbers<Real> clip = in<Real>(c, 3)) factor = clip[ops::clip_factor];
    factor *= static_cast<Real>(c.attr->update.share);
  }
  i64 count() const { return gradient.count(); }
  Real operator()(i64 i) const { return gradient(i) / scale * factor; }
};

template <class Real, class Gradient>
void update_by(const call& c, const as_stored<Gradient>& gradient) {
  if (!may_update(c, gradient)) return;
  i32 uncounted = 0;
  i32& applied = c.out[4] == nullptr ? uncounted : *c.output<i32>(4);
  const as_applied<Real, as_stored<Gradient>> g(c, gradient);
  const auto apply = [&](const auto& step) {
    for (i64 i = 0; i < g.count(); ++i) step(i, g(i));
  };
  if (c.attr->update.what == optimizer_kind::sgd) apply(sgd_step<Real>(c, applied));
  if (c.attr->update.what == optimizer_kind::adam) apply(adam_step<Real>(c, applied));
  ++applied;
}

/// update and its fused forms: `Gradient` says where the gradient comes from.
template <class Real, template <class> class Gradient>
void update(const call& c) {
  update_by<Real>(c, as_stored<Gradient<Real>>{Gradient<Real>(c)});
}

template <class Real>
void overflow_test(const call& c) {
  if (overflows(stored_gradient<Real>(c))) c.output<float>(0)[ops::scaler_overflow] = 1;
}

inline void scaler_update(const call& c) { ops::adapt_scale(c.output<float>(0), c.attr->scaling); }

}  // namespace tessera::reference
