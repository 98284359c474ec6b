#pragma once

// Optimizers on pieces of a gradient, and where such pieces go.
//
//   kernel that computes a weight gradient ---> gradient_sink ---> stored in its tensor
//                         piece by piece                     |---> tested for overflow
//                                                            |---> applied to the parameter
//
// The plain and the fused forms of a weight gradient share one kernel that way, and all updates
// share one optimizer. A piece is a few hundred to a few thousand floats on the caller's stack.
// Formulas: ir/attributes.hpp; rounding, scaling and skipping: ops/update.hpp.

#include <atomic>
#include <cmath>
#include <limits>

#include <tessera/backends/host/parallel.hpp>
#include <tessera/backends/host/simd.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/update.hpp>

namespace tessera::host {

/// The numbers of one optimizer step, the same for every element of a parameter.
struct update_constants {
  optimizer_kind what;
  bool keeps_velocity;  // sgd with momentum
  bool first;           // sgd: the velocity starts as the gradient
  bool nesterov;
  bool amsgrad;
  bool divides;  // the loss scale is no power of two
  float scale;   // g / scale where `divides`, else g * inverse_scale: both exact alike
  float inverse_scale;
  float rate;
  float weight_decay;
  float momentum;
  float new_share;  // 1 - dampening
  float beta1, rest1, beta2, rest2;
  float adam_rate;        // learning rate / (1 - beta1^t)
  float root_correction;  // sqrt(1 - beta2^t)
  float epsilon;
};

/// `applied`: how many updates the parameter has had.
inline update_constants constants_of(const update_rule& rule, float rate, i32 applied,
                                     float scale) {
  update_constants k{};
  k.what = rule.what;
  k.keeps_velocity = rule.momentum != 0;
  k.first = applied == 0;
  k.nesterov = rule.nesterov;
  k.amsgrad = rule.amsgrad;
  int exponent = 0;
  const float inverse = 1 / scale;
  k.divides = std::frexp(scale, &exponent) != 0.5f || !std::isnormal(inverse);
  k.scale = scale;
  k.inverse_scale = inverse;
  k.rate = rate;
  k.weight_decay = rule.weight_decay;
  k.momentum = rule.momentum;
  k.new_share = 1 - rule.dampening;
  if (rule.what != optimizer_kind::adam) return k;
  // In double: 1 - beta^t loses what float has of beta.
  k.beta1 = rule.beta1;
  k.beta2 = rule.beta2;
  k.rest1 = 1 - rule.beta1;
  k.rest2 = 1 - rule.beta2;
  const double t = applied + 1.0;
  const double correction1 = 1 - std::pow(static_cast<double>(rule.beta1), t);
  const double correction2 = 1 - std::pow(static_cast<double>(rule.beta2), t);
  k.adam_rate = static_cast<float>(rate / correction1);
  k.root_correction = static_cast<float>(std::sqrt(correction2));
  k.epsilon = rule.epsilon;
  return k;
}

/// A parameter, its optimizer's states, all f32.
struct parameter_block {
  float* weight = nullptr;
  float* state[3] = {nullptr, nullptr, nullptr};
};

namespace detail {

inline simd::vec scaled(const update_constants& k, simd::vec g) {
  return k.divides ? g / simd::set(k.scale) : g * simd::set(k.inverse_scale);
}

/// One vector of SGD; `v` is ignored without momentum.
inline void sgd_step(const update_constants& k, simd::vec g, simd::vec& w, simd::vec& v) {
  using namespace simd;
  g = fma(set(k.weight_decay), w, scaled(k, g));
  if (k.keeps_velocity) {
    v = k.first ? g : fma(set(k.momentum), v, set(k.new_share) * g);
    g = k.nesterov ? fma(set(k.momentum), v, g) : v;
  }
  w = fnma(set(k.rate), g, w);
}

inline void adam_step(const update_constants& k, simd::vec g, simd::vec& w, simd::vec& m,
                      simd::vec& v, simd::vec& largest) {
  using namespace simd;
  g = fma(set(k.weight_decay), w, scaled(k, g));
  m = fma(set(k.beta1), m, set(k.rest1) * g);
  v = fma(set(k.beta2), v, set(k.rest2) * g * g);
  vec second = v;
  if (k.amsgrad) second = largest = larger(largest, v);
  const vec divisor = root(second) / set(k.root_correction) + set(k.epsilon);
  w = w - set(k.adam_rate) * m / divisor;
}

}  // namespace detail

/// One optimizer step on n elements from `at` on, with the gradient g[0..n).
[[gnu::noinline]] inline void apply_update(const update_constants& k, const parameter_block& p,
                                           const float* g, i64 at, i64 n) {
  using namespace simd;
  float* const w = p.weight + at;
  if (k.what == optimizer_kind::sgd) {
    float* const v = k.keeps_velocity ? p.state[0] + at : w;
    i64 i = 0;
    for (; i + lanes <= n; i += lanes) {
      vec wi = load(w + i);
      vec vi = load(v + i);
      detail::sgd_step(k, load(g + i), wi, vi);
      if (k.keeps_velocity) store(v + i, vi);
      store(w + i, wi);
    }
    if (i < n) {
      const i32 rest = static_cast<i32>(n - i);
      vec wi = load_partial(w + i, rest);
      vec vi = load_partial(v + i, rest);
      detail::sgd_step(k, load_partial(g + i, rest), wi, vi);
      if (k.keeps_velocity) store_partial(v + i, vi, rest);
      store_partial(w + i, wi, rest);
    }
    return;
  }
  if (k.what != optimizer_kind::adam) return;
  float* const m = p.state[0] + at;
  float* const v = p.state[1] + at;
  float* const largest = k.amsgrad ? p.state[2] + at : v;
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    vec wi = load(w + i);
    vec mi = load(m + i);
    vec vi = load(v + i);
    vec li = load(largest + i);
    detail::adam_step(k, load(g + i), wi, mi, vi, li);
    store(w + i, wi);
    store(m + i, mi);
    if (k.amsgrad) store(largest + i, li);
    store(v + i, vi);
  }
  if (i < n) {
    const i32 rest = static_cast<i32>(n - i);
    vec wi = load_partial(w + i, rest);
    vec mi = load_partial(m + i, rest);
    vec vi = load_partial(v + i, rest);
    vec li = load_partial(largest + i, rest);
    detail::adam_step(k, load_partial(g + i, rest), wi, mi, vi, li);
    store_partial(w + i, wi, rest);
    store_partial(m + i, mi, rest);
    if (k.amsgrad) store_partial(largest + i, li, rest);
    store_partial(v + i, vi, rest);
  }
}

/// True where all n are finite.
inline bool all_finite(const float* p, i64 n) {
  using namespace simd;
  // x - x is 0 where x is finite, and NaN otherwise: NaN stays in a sum.
  vec sum_of_differences = zero();
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    const vec x = load(p + i);
    sum_of_differences = sum_of_differences + (x - x);
  }
  float rest = sum(sum_of_differences);
  for (; i < n; ++i) rest += p[i] - p[i];
  return rest == 0;
}

/// Where a kernel delivers the pieces of a gradient.
class gradient_sink {
 public:
  enum class goal : u8 { store_float, store_half, test, apply };

  static gradient_sink storing(float* to) {
    gradient_sink sink(goal::store_float, false);
    sink.floats_ = to;
    return sink;
  }
  static gradient_sink storing(half* to) {
    gradient_sink sink(goal::store_half, true);
    sink.halves_ = to;
    return sink;
  }
  /// `rounds`: elements become halves first, as if they had been stored.
  static gradient_sink testing(bool rounds) { return gradient_sink(goal::test, rounds); }
  static gradient_sink applying(bool rounds, const update_constants& k, const parameter_block& p) {
    gradient_sink sink(goal::apply, rounds);
    sink.constants_ = &k;
    sink.parameter_ = p;
    return sink;
  }

  /// Elements [at, at + n) of the gradient. May be called by several threads for different ones;
  /// changes `g` where it rounds.
  void take(float* g, i64 at, i64 n) {
    if (goal_ == goal::store_float) {
      std::memcpy(floats_ + at, g, static_cast<std::size_t>(n) * sizeof(float));
      return;
    }
    if (goal_ == goal::store_half) return narrow(g, halves_ + at, n);
    if (rounds_) round(g, n);
    if (goal_ == goal::apply) return apply_update(*constants_, parameter_, g, at, n);
    if (!all_finite(g, n)) overflow_.store(true, std::memory_order_relaxed);
  }

  /// A block of rows, `step` apart in the gradient and `g_step` in `g`.
  void take_rows(float* g, i64 g_step, i64 at, i64 step, i32 rows, i64 n) {
    if (g_step == n && step == n) return take(g, at, rows * n);
    for (i32 r = 0; r < rows; ++r) take(g + r * g_step, at + r * step, n);
  }

  bool overflow() const { return overflow_.load(std::memory_order_relaxed); }

  gradient_sink(const gradient_sink& other)
      : goal_(other.goal_),
        rounds_(other.rounds_),
        floats_(other.floats_),
        halves_(other.halves_),
        constants_(other.constants_),
        parameter_(other.parameter_) {}

 private:
  gradient_sink(goal what, bool rounds) : goal_(what), rounds_(rounds) {}

  static void round(float* g, i64 n) {
    half stored[256];
    for (i64 i = 0; i < n; i += 256) {
      const i64 count = n - i < 256 ? n - i : 256;
      narrow(g + i, stored, count);
      widen(stored, g + i, count);
    }
  }

  goal goal_;
  bool rounds_;
  float* floats_ = nullptr;
  half* halves_ = nullptr;
  const update_constants* constants_ = nullptr;
  parameter_block parameter_;
  std::atomic<bool> overflow_{false};
};

/// The update of `c`, whose gradient of `count` elements `produce(sink)` delivers. Gradients that
/// skip_rule::tensor has to see whole before it applies them are kept on the stack where they fit,
/// and computed twice otherwise, unless `bounded()` proves that none can overflow.
template <class Produce, class Bounded>
void update_with(const call& c, i64 count, bool rounds, const Produce& produce,
                 const Bounded& bounded) {
  const loss_scaling& scaling = c.attr->scaling;
  float* const scaler = reinterpret_cast<float*>(c.in[2]);
  if (scaler != nullptr && scaling.skip == skip_rule::step && scaler[ops::scaler_overflow] != 0) {
    return;
  }
  i32& applied = *c.output<i32>(4);
  const float scale = scaler == nullptr ? 1.0f : scaler[ops::scaler_scale];
  const update_constants k =
      constants_of(c.attr->update, c.step->learning_rate, applied, scale);
  const parameter_block parameter{
      c.output<float>(0), {c.output<float>(1), c.output<float>(2), c.output<float>(3)}};
  if (scaler != nullptr && scaling.skip == skip_rule::tensor) {
    constexpr i64 kept = 8192;
    if (count <= kept) {
      float whole[kept];
      gradient_sink keep = gradient_sink::storing(whole);
      produce(keep);
      gradient_sink test = gradient_sink::testing(rounds);
      test.take(whole, 0, count);
      if (test.overflow()) {
        scaler[ops::scaler_overflow] = 1;
        return;
      }
      apply_update(k, parameter, whole, 0, count);
      ++applied;
      return;
    }
    if (!bounded()) {
      gradient_sink test = gradient_sink::testing(rounds);
      produce(test);
      if (test.overflow()) {
        scaler[ops::scaler_overflow] = 1;
        return;
      }
    }
  }
  gradient_sink apply = gradient_sink::applying(rounds, k, parameter);
  produce(apply);
  ++applied;
}

}  // namespace tessera::host
