#pragma once

// The formulas of activations, one a kind, for vectors of the host and lanes of the model alike.
//
//   activation_formula<kind::silu, Math> f(attributes);
//   f.value(x)                  the function
//   f.gradient(saved, dy)       dy times the derivative; `saved` is x or y, see ops/activation.hpp
//
// ops/activation.hpp states what they mean and counts their steps; the reference backend has plain
// forms of its own. Every product that feeds a sum is an explicit fma.

#include <tessera/backends/vector_functions.hpp>
#include <tessera/ops/activation.hpp>
#include <type_traits>

namespace tessera::formulas {

/// All formulas over a Math, each a type of its own.
template <class Math>
struct activation_formulas {
  using vec = typename Math::vec;

  static vec set(float x) { return Math::set(x); }
  static vec one() { return Math::set(1.0f); }
  static vec zero() { return Math::set(0.0f); }

  /// A formula without constants.
  struct plain {
    explicit plain(const activation_attributes&) {}
  };

  struct relu : plain {
    using plain::plain;
    vec value(vec x) const { return Math::select(x < zero(), zero(), x); }  // -0 and NaN stay
    vec gradient(vec y, vec dy) const { return Math::select(y > zero(), dy, zero()); }
  };

  struct tanh : plain {
    using plain::plain;
    vec value(vec x) const { return Math::tanh(x); }
    vec gradient(vec y, vec dy) const { return dy * Math::fma(-y, y, one()); }
  };

  struct sigmoid : plain {
    using plain::plain;
    vec value(vec x) const { return Math::sigmoid(x); }
    vec gradient(vec y, vec dy) const { return (dy * y) * (one() - y); }
  };

  struct leaky_relu : plain {
    vec alpha;
    explicit leaky_relu(const activation_attributes& a) : plain(a), alpha(set(a.alpha)) {}
    vec value(vec x) const { return Math::select(x > zero(), x, x * alpha); }
    vec gradient(vec saved, vec dy) const { return Math::select(saved > zero(), dy, dy * alpha); }
  };

  struct elu : plain {
    vec scale;
    vec limit;  // scale alpha
    bool from_output;
    explicit elu(const activation_attributes& a)
        : plain(a),
          scale(set(a.scale)),
          limit(set(a.scale * a.alpha)),
          from_output(ops::keeps_output(kind::elu, a)) {}
    vec value(vec x) const {
      return Math::select(x > zero(), x * scale, expm1_below<Math>(x) * limit);
    }
    vec gradient(vec saved, vec dy) const {
      const vec below = from_output ? saved + limit : Math::exp(saved) * limit;
      return dy * Math::select(saved > zero(), scale, below);
    }
  };

  struct gelu_erf : plain {
    using plain::plain;
    vec value(vec x) const { return Math::larger(set(-15.0f), x) * normal<Math>(x).below; }
    vec gradient(vec x, vec dy) const {
      const normal<Math> n(x);
      const vec bounded = Math::larger(set(-15.0f), Math::smaller(set(15.0f), x));
      return dy * Math::fma(bounded * set(0.398942280f), n.exponential, n.below);
    }
  };

  struct gelu_tanh : plain {
    using plain::plain;
    static constexpr float twice_root = 1.59576912f;  // 2 sqrt(2 / pi)
    static constexpr float cubic = 0.0713548163f;     // 0.044715 times it
    // Beyond 12 the sigmoid is 1, or the product 0.
    static vec bounded(vec x) { return Math::larger(set(-12.0f), Math::smaller(set(12.0f), x)); }
    vec value(vec x) const {
      const vec b = bounded(x);
      const vec e = Math::exp(-(b * Math::fma(b * b, set(cubic), set(twice_root))));
      return Math::larger(set(-12.0f), x) / (e + one());
    }
    vec gradient(vec x, vec dy) const {
      const vec b = bounded(x);
      const vec square = b * b;
      const vec z = b * Math::fma(square, set(cubic), set(twice_root));
      const sigmoid_pair<Math> s(z);
      const vec inner = Math::fma(square, set(3 * cubic), set(twice_root));
      return dy * Math::fma((b * s.value) * s.rest, inner, s.value);
    }
  };

  struct silu : plain {
    using plain::plain;
    vec value(vec x) const { return Math::larger(set(-110.0f), x) / (Math::exp(-x) + one()); }
    vec gradient(vec x, vec dy) const {
      const sigmoid_pair<Math> s(x);
      const vec b = Math::larger(set(-110.0f), Math::smaller(set(110.0f), x));
      return (dy * s.value) * Math::fma(b, s.rest, one());
    }
  };

  struct softplus : plain {
    vec beta;
    vec inverse;
    vec threshold;
    bool from_output;
    explicit softplus(const activation_attributes& a)
        : plain(a),
          beta(set(a.beta)),
          inverse(set(1.0f / a.beta)),
          threshold(set(a.threshold)),
          from_output(ops::keeps_output(kind::softplus, a)) {}
    vec value(vec x) const {
      const vec z = x * beta;
      const vec small = log1p_of_exp<Math>(Math::exp(-Math::absolute(z)));
      const vec bent = (Math::larger(zero(), z) + small) * inverse;  // NaN comes through `small`
      return Math::select(z > threshold, x, bent);
    }
    vec gradient(vec saved, vec dy) const {
      const vec z = saved * beta;
      const vec bent = from_output ? -expm1_below<Math>(-z) : Math::sigmoid(z);
      return Math::select(z > threshold, dy, dy * bent);
    }
  };

  struct hardswish : plain {
    using plain::plain;
    vec value(vec x) const {
      const vec gate = Math::larger(zero(), Math::smaller(set(6.0f), x + set(3.0f)));
      return Math::larger(set(-3.0f), x) * (gate * set(1.0f / 6));
    }
    vec gradient(vec x, vec dy) const {
      const vec slope = Math::fma(x, set(1.0f / 3), set(0.5f));
      const vec above = Math::select(x >= set(3.0f), one(), slope);
      return dy * Math::select(x < set(-3.0f), zero(), above);
    }
  };

  struct hardsigmoid : plain {
    using plain::plain;
    vec value(vec x) const {
      return Math::larger(zero(), Math::smaller(set(6.0f), x + set(3.0f))) * set(1.0f / 6);
    }
    vec gradient(vec y, vec dy) const {
      return Math::select((y <= zero()) | (y >= one()), zero(), dy * set(1.0f / 6));
    }
  };

  struct hardtanh : plain {
    vec low;
    vec high;
    explicit hardtanh(const activation_attributes& a)
        : plain(a), low(set(a.low)), high(set(a.high)) {}
    vec value(vec x) const { return Math::smaller(high, Math::larger(low, x)); }
    vec gradient(vec y, vec dy) const { return Math::select((y <= low) | (y >= high), zero(), dy); }
  };

  /// With e = exp(x) and n = e (e + 2), tanh(log(1 + e)) is n / (n + 2). From 20 on that is 1.
  struct mish : plain {
    using plain::plain;
    vec value(vec x) const {
      const vec e = Math::exp(Math::smaller(set(20.0f), x));
      const vec n = e * (e + set(2.0f));
      return Math::larger(set(-110.0f), x) * (n / (n + set(2.0f)));
    }
    vec gradient(vec x, vec dy) const {
      const vec b = Math::larger(set(-110.0f), Math::smaller(set(20.0f), x));
      const vec e = Math::exp(b);
      const vec n = e * (e + set(2.0f));
      const vec w = one() / (n + set(2.0f));
      const vec change = (set(4.0f) * e) * ((e + one()) * w);  // of n / (n + 2), over w
      return dy * (w * Math::fma(b, change, n));
    }
  };

  struct softsign : plain {
    using plain::plain;
    vec value(vec x) const { return x / (Math::absolute(x) + one()); }
    vec gradient(vec y, vec dy) const {
      const vec rest = one() - Math::absolute(y);
      return dy * (rest * rest);
    }
  };

  struct exp : plain {
    using plain::plain;
    vec value(vec x) const { return Math::exp(x); }
    vec gradient(vec y, vec dy) const { return dy * y; }
  };

  struct square : plain {
    using plain::plain;
    vec value(vec x) const { return x * x; }
    vec gradient(vec x, vec dy) const { return dy * (x + x); }
  };

  struct abs : plain {
    using plain::plain;
    vec value(vec x) const { return Math::absolute(x); }
    vec gradient(vec x, vec dy) const {
      return Math::select(x > zero(), dy, Math::select(x < zero(), -dy, zero()));
    }
  };
};

namespace detail {

template <kind What, class Math>
constexpr auto choose_formula() {
  using all = activation_formulas<Math>;
  if constexpr (What == kind::relu) return std::type_identity<typename all::relu>{};
  if constexpr (What == kind::tanh) return std::type_identity<typename all::tanh>{};
  if constexpr (What == kind::sigmoid) return std::type_identity<typename all::sigmoid>{};
  if constexpr (What == kind::leaky_relu) return std::type_identity<typename all::leaky_relu>{};
  if constexpr (What == kind::elu) return std::type_identity<typename all::elu>{};
  if constexpr (What == kind::gelu_erf) return std::type_identity<typename all::gelu_erf>{};
  if constexpr (What == kind::gelu_tanh) return std::type_identity<typename all::gelu_tanh>{};
  if constexpr (What == kind::silu) return std::type_identity<typename all::silu>{};
  if constexpr (What == kind::softplus) return std::type_identity<typename all::softplus>{};
  if constexpr (What == kind::hardswish) return std::type_identity<typename all::hardswish>{};
  if constexpr (What == kind::hardsigmoid) return std::type_identity<typename all::hardsigmoid>{};
  if constexpr (What == kind::hardtanh) return std::type_identity<typename all::hardtanh>{};
  if constexpr (What == kind::mish) return std::type_identity<typename all::mish>{};
  if constexpr (What == kind::softsign) return std::type_identity<typename all::softsign>{};
  if constexpr (What == kind::exp) return std::type_identity<typename all::exp>{};
  if constexpr (What == kind::square) return std::type_identity<typename all::square>{};
  if constexpr (What == kind::abs) return std::type_identity<typename all::abs>{};
}

}  // namespace detail

/// The formula of an activation.
template <kind What, class Math>
using activation_formula = typename decltype(detail::choose_formula<What, Math>())::type;

}  // namespace tessera::formulas
