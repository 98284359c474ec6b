#pragma once

// Update rules beside sgd and adam, which ir/attributes.hpp states. Each is an operation of its
// own, on a gradient that lies in memory. t counts the updates of the parameter, from 1; g is the
// gradient, with weight_decay w added where the rule says L2; b1, b2, eps, wd, mu stand for beta1,
// beta2, epsilon, weight_decay, momentum.
//
//   rmsprop   L2; v = b2 v + (1 - b2) g^2; d = g / (sqrt(v) + eps)
//             centered: a = b2 a + (1 - b2) g; the root is of max(v - a^2, 0)
//             mu != 0: d = buffer = mu buffer + d;    w -= lr d           (Tieleman, Hinton 2012)
//   adagrad   L2; s += g^2, from `start` on; w -= lr / (1 + (t - 1) slowing) g / (sqrt(s) + eps)
//                                                                     (Duchi, Hazan, Singer 2011)
//   adadelta  L2; v = b2 v + (1 - b2) g^2; d = sqrt(u + eps) / sqrt(v + eps) g;
//             u = b2 u + (1 - b2) d^2; w -= lr d                                     (Zeiler 2012)
//   adamax    L2; m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps); w -= lr / (1 - b1^t) m / u
//                                                                             (Kingma, Ba 2015)
//   nadam     L2; m and v as adam; mu_t = b1 (1 - 0.96^(t slowing) / 2), P_t = mu_1 ... mu_t;
//             w -= lr ((1 - mu_t) / (1 - P_t) g + mu_(t+1) / (1 - P_(t+1)) m) /
//                  (sqrt(v / (1 - b2^t)) + eps)                                      (Dozat 2016)
//   radam     L2; m and v as adam; w -= lr r sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps) with
//             Liu's rectification r, from where its length rho_t > 5; before, w -= lr m / (1 -
//             b1^t)
//                                                                               (Liu et al. 2020)
//   rprop     step *= growth where g has the sign it had, shrink where it has the other, then g
//             counts as 0; first step lr, always in [smallest, largest]; w -= sign(g) step; L2
//                                                                    (Riedmiller, Braun 1993)
//   lion      w *= 1 - lr wd; w -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g
//                                                                              (Chen et al. 2023)
//   lamb      m and v as adam, `corrected`: over 1 - b1^t and 1 - b2^t; u = m / (sqrt(v) + eps) +
//   wd w;
//             w -= lr |w| / |u| u                                                (You et al. 2020)
//   lars      local = trust |w| / (|g| + wd |w|); v = mu v + lr local (g + wd w); w -= v
//                                                                 (You, Gitman, Ginsburg 2017)
//
// Norms are Euclidean, over one parameter tensor; of a stack (the weights of repeated blocks) over
// each slice. Where one of the two is 0, or the rule does not adapt, the ratio (the local rate)
// is 1. They are summed in f32 over pieces and in f64 over these, in an order that no number of
// threads changes.
//
// An element whose gradient is not a number becomes none; with lamb and lars the whole tensor does.

#include <tessera/ops/update.hpp>
#include <cmath>

namespace tessera::ops {

/// What PyTorch calls state number `i` of a rule.
constexpr const char* state_name(const update_rule& rule, i32 i) {
  switch (rule.what) {
    case optimizer_kind::none: return "";
    case optimizer_kind::sgd:
    case optimizer_kind::lars: return "momentum_buffer";
    case optimizer_kind::rmsprop:
      if (i == 0) return "square_avg";
      return i == 1 && rule.centered ? "grad_avg" : "momentum_buffer";
    case optimizer_kind::adagrad: return "sum";
    case optimizer_kind::adadelta: return i == 0 ? "square_avg" : "acc_delta";
    case optimizer_kind::adamax: return i == 0 ? "exp_avg" : "exp_inf";
    case optimizer_kind::rprop: return i == 0 ? "prev" : "step_size";
    default: return i == 0 ? "exp_avg" : i == 1 ? "exp_avg_sq" : "max_exp_avg_sq";
  }
}

/// True where a rule carries one more number from step to step: nadam the product of its momenta.
constexpr bool carries_number(optimizer_kind rule) { return rule == optimizer_kind::nadam; }

/// 1 - beta^t in double. Squares are taken one by one, so that the bits do not depend on a
/// mathematical library; fma keeps the last product from being rounded as a compiler likes.
inline double bias_correction(float beta, i32 t) {
  double result = 1;
  double square = static_cast<double>(beta);
  for (u32 rest = static_cast<u32>(t); rest > 1; rest >>= 1) {
    if ((rest & 1) != 0) result *= square;
    square *= square;
  }
  return t > 0 ? std::fma(-result, square, 1.0) : 0.0;
}

/// The numbers of one step that are the same for every element. Computed in double: 1 - b^t loses
/// what float has of b. Products that feed a sum are explicit fma: the bits do not depend on the
/// compiler.
struct rule_numbers {
  float rate = 0;         // times what is subtracted: the learning rate, corrections included
  float fresh_rate = 0;   // nadam: of the gradient beside its mean
  float root_factor = 1;  // of sqrt(v) in the divisor
  float root_shift = 0;   // added to it
  float keep = 1;         // lion: what the weight keeps of itself
  float carried = 1;      // nadam: the product of momenta after this step
  bool first = false;     // the parameter has had no update

  /// `applied`: updates before this one; `carried`: what the last of them left.
  rule_numbers(const update_rule& rule, float learning_rate, i32 applied, double carried_before) {
    const double lr = learning_rate;
    const i32 t = applied + 1;
    first = applied == 0;
    rate = learning_rate;
    root_shift = rule.epsilon;
    const auto correct_root = [&] {
      root_factor = static_cast<float>(1 / std::sqrt(bias_correction(rule.beta2, t)));
    };
    switch (rule.what) {
      case optimizer_kind::adagrad:
        rate = static_cast<float>(lr / std::fma(applied, static_cast<double>(rule.slowing), 1.0));
        break;
      case optimizer_kind::adamax:
        rate = static_cast<float>(lr / bias_correction(rule.beta1, t));
        break;
      case optimizer_kind::nadam: {
        const auto momentum = [&](i32 step) {
          return static_cast<double>(rule.beta1) *
                 (1 - 0.5 * std::pow(0.96, step * static_cast<double>(rule.slowing)));
        };
        const double before = first ? 1 : carried_before;
        const double now = momentum(t);
        const double next = momentum(t + 1);
        carried = static_cast<float>(before * now);
        fresh_rate = static_cast<float>(lr * (1 - now) / std::fma(-before, now, 1.0));
        rate = static_cast<float>(lr * next / std::fma(-before * now, next, 1.0));
        correct_root();
        break;
      }
      case optimizer_kind::radam: {
        const double correction = bias_correction(rule.beta2, t);
        const double longest = 2 / (1 - static_cast<double>(rule.beta2)) - 1;
        const double length = longest - 2 * t * (1 - correction) / correction;
        double corrected = lr / bias_correction(rule.beta1, t);
        if (length > 5) {
          corrected *= std::sqrt((length - 4) * (length - 2) * longest /
                                 ((longest - 4) * (longest - 2) * length) * correction);
        } else {
          root_factor = 0;
          root_shift = 1;
        }
        rate = static_cast<float>(corrected);
        break;
      }
      case optimizer_kind::lion:
        keep = static_cast<float>(1 - lr * static_cast<double>(rule.weight_decay));
        break;
      case optimizer_kind::lamb:  // of the direction; its length comes later
        rate = rule.corrected ? static_cast<float>(1 / bias_correction(rule.beta1, t)) : 1.0f;
        if (rule.corrected) correct_root();
        break;
      default: break;
    }
  }
};

/// lamb: what the direction u is multiplied by, from the squares of both norms.
inline float lamb_rate(const update_rule& rule, float learning_rate, double weight, double u) {
  if (!rule.adapts || weight == 0 || u == 0) return learning_rate;
  return static_cast<float>(learning_rate * std::sqrt(weight / u));
}

/// lars: lr times the local rate, from the squares of both norms.
inline float lars_rate(const update_rule& rule, float learning_rate, double weight, double g) {
  if (!rule.adapts || weight == 0 || g == 0) return learning_rate;
  const double w = std::sqrt(weight);
  const double by = std::fma(static_cast<double>(rule.weight_decay), w, std::sqrt(g));
  return static_cast<float>(learning_rate * (static_cast<double>(rule.trust) * w / by));
}

}  // namespace tessera::ops
