#pragma once

// Activations and their derivatives with the functions of the standard library, straight from
// their definitions (ops/activation.hpp): what the shared formulas of the other backends are
// compared with. One rounding when an element is stored.

#include <tessera/backends/reference/elementwise.hpp>
#include <tessera/ops/activation.hpp>

namespace tessera::reference {

template <class Real>
Real normal_below(Real x) {
  return std::erfc(-x / std::sqrt(Real(2))) / 2;
}

/// 2 z of gelu_tanh and its derivative.
template <class Real>
Real twice_gelu_argument(Real x) {
  return 2 * std::sqrt(2 / std::acos(Real(-1))) * (x + Real(0.044715) * x * x * x);
}
template <class Real>
Real twice_gelu_slope(Real x) {
  return 2 * std::sqrt(2 / std::acos(Real(-1))) * (1 + 3 * Real(0.044715) * x * x);
}

/// A function whose limit at minus infinity is 0, of what is never infinite.
template <class Real>
Real times_or_0(Real x, Real vanishing) {
  return vanishing == 0 ? Real(0) : x * vanishing;
}

template <class Real>
Real activation_of(kind what, const activation_attributes& a, Real x) {
  const Real alpha = a.alpha, scale = a.scale, beta = a.beta, low = a.low, high = a.high;
  switch (what) {
    case kind::relu: return x < 0 ? Real(0) : x;
    case kind::tanh: return std::tanh(x);
    case kind::sigmoid: return logistic(x);
    case kind::leaky_relu: return x > 0 ? x : alpha * x;
    case kind::elu: return x > 0 ? scale * x : scale * alpha * std::expm1(x);
    case kind::gelu_erf: return times_or_0(x, normal_below(x));
    case kind::gelu_tanh: return times_or_0(x, logistic(twice_gelu_argument(x)));
    case kind::silu: return times_or_0(x, logistic(x));
    case kind::softplus:
      if (beta * x > Real(a.threshold)) return x;
      if (beta * x > 0) return x + std::log1p(std::exp(-beta * x)) / beta;
      return std::log1p(std::exp(beta * x)) / beta;
    case kind::hardswish: return x <= -3 ? Real(0) : x >= 3 ? x : x * (x + 3) / 6;
    case kind::hardsigmoid: return x <= -3 ? Real(0) : x >= 3 ? Real(1) : (x + 3) / 6;
    case kind::hardtanh: return x > high ? high : x < low ? low : x;
    case kind::mish: return x > 20 ? x : times_or_0(x, std::tanh(std::log1p(std::exp(x))));
    case kind::softsign: return x / (1 + std::abs(x));
    case kind::exp: return std::exp(x);
    case kind::square: return x * x;
    case kind::abs: return std::abs(x);
    default: return x;
  }
}

/// The derivative, read from y or x as ops::keeps_output says.
template <class Real>
Real derivative_of(kind what, const activation_attributes& a, Real v) {
  const Real alpha = a.alpha, scale = a.scale, beta = a.beta, low = a.low, high = a.high;
  switch (what) {
    case kind::relu: return v > 0 ? Real(1) : Real(0);
    case kind::tanh: return 1 - v * v;
    case kind::sigmoid: return v * (1 - v);
    case kind::leaky_relu: return v > 0 ? Real(1) : alpha;
    case kind::elu:
      if (v > 0) return scale;
      return ops::keeps_output(what, a) ? v + scale * alpha : scale * alpha * std::exp(v);
    case kind::gelu_erf: {
      const Real density = std::exp(-v * v / 2) / std::sqrt(2 * std::acos(Real(-1)));
      return normal_below(v) + times_or_0(v, density);
    }
    case kind::gelu_tanh: {
      const Real s = logistic(twice_gelu_argument(v));
      if (s == 0 || s == 1) return s;
      return s + v * s * (1 - s) * twice_gelu_slope(v);
    }
    case kind::silu: {
      const Real s = logistic(v);
      return s + times_or_0(v, s * (1 - s));
    }
    case kind::softplus:
      if (beta * v > Real(a.threshold)) return 1;
      return ops::keeps_output(what, a) ? -std::expm1(-beta * v) : logistic(beta * v);
    case kind::hardswish: return v < -3 ? Real(0) : v >= 3 ? Real(1) : v / 3 + Real(0.5);
    case kind::hardsigmoid: return v <= 0 || v >= 1 ? Real(0) : Real(1) / 6;
    case kind::hardtanh: return v <= low || v >= high ? Real(0) : Real(1);
    case kind::mish: {
      if (v > 20) return 1;
      const Real t = std::tanh(std::log1p(std::exp(v)));
      return t + times_or_0(v, (1 - t * t) * logistic(v));
    }
    case kind::softsign: return (1 - std::abs(v)) * (1 - std::abs(v));
    case kind::exp: return v;
    case kind::square: return 2 * v;
    case kind::abs: return v > 0 ? Real(1) : v < 0 ? Real(-1) : Real(0);
    default: return 1;
  }
}

template <class Real>
void activation(const call& c) {
  map<Real>(c, [&](Real x) { return activation_of(c.sizes->what, c.attr->activation, x); });
}

template <class Real>
void activation_gradient(const call& c) {
  const kind what = ops::activation_kind(c.sizes->what);
  map2<Real>(c, [&](Real saved, Real dy) {
    return what == kind::relu && !(saved > 0) ? Real(0)
                                              : dy * derivative_of(what, c.attr->activation, saved);
  });
}

}  // namespace tessera::reference
