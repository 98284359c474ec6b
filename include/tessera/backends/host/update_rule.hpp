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
#include <bit>
#include <cmath>
#include <limits>

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/core/convert_by_chance.hpp>
#include <tessera/core/split_float.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/update.hpp>

namespace tessera::host {

/// The numbers of one optimizer step, the same for every element of a parameter.
struct update_constants {
  optimizer_kind what;
  bool keeps_velocity;  // sgd with momentum
  bool nesterov;
  bool amsgrad;
  bool divides;  // the loss scale is no power of two
  float scale;   // g / scale where `divides`, else g * inverse_scale: both exact alike
  float inverse_scale;
  float rate;
  float weight_decay;
  float momentum;
  float old_share;  // what the velocity keeps of itself, and takes of the gradient
  float new_share;
  float beta1, rest1, beta2, rest2;
  float adam_rate;    // learning rate / (1 - beta1^t)
  float root_factor;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float keep;  // adam: what the weight keeps of itself; 1 but for decoupled weight decay
};

/// How gradients are freed of their loss scale, and clipped by `factor`.
constexpr void set_scale(update_constants& k, float scale, float factor) {
  // A power of two with a normal inverse: one mantissa bit, and neither inf nor 0 comes out.
  const u32 bits = std::bit_cast<u32>(scale);
  const i32 exponent = static_cast<i32>(bits >> 23) - 127;
  k.divides = (bits & 0x7fffff) != 0 || exponent <= -126 || exponent > 126;
  k.scale = scale;
  k.inverse_scale = (k.divides ? 1 : 1 / scale) * factor;  // divided before, where it divides
}

/// `applied`: how many updates the parameter has had.
inline update_constants constants_of(const update_rule& rule, float rate, i32 applied, float scale,
                                     float factor = 1) {
  update_constants k{};
  k.what = rule.what;
  k.keeps_velocity = rule.momentum != 0;
  k.nesterov = rule.nesterov;
  k.amsgrad = rule.amsgrad;
  set_scale(k, scale, factor * rule.share);
  k.rate = rule.fixed_rate != 0 ? rule.fixed_rate : rate;
  k.weight_decay = rule.weight_decay;
  // The velocity starts as the gradient.
  k.momentum = rule.momentum;
  k.old_share = applied == 0 ? 0 : rule.momentum;
  k.new_share = applied == 0 ? 1 : 1 - rule.dampening;
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
  k.root_factor = static_cast<float>(1 / std::sqrt(correction2));
  k.epsilon = rule.epsilon;
  k.keep = 1;
  if (rule.decoupled) {
    k.keep = 1 - rate * rule.weight_decay;
    k.weight_decay = 0;
  }
  return k;
}

/// A parameter of 16 bits: rounded by chance, or with 16 more bits of each.
struct short_parameter {
  half* halves = nullptr;         // null: the parameter is no such
  bfloat16* bfloat16s = nullptr;  // likewise
  u16* rests = nullptr;           // null: by chance
  element_words words{};

  short_parameter() = default;
  explicit short_parameter(const call& c) {
    const element type = c.sizes->output_type(0);
    if (bytes_of(type) != 2) return;
    if (type == element::f16) halves = c.output<half>(0);
    if (type == element::bf16) bfloat16s = c.output<bfloat16>(0);
    rests = c.output<u16>(ops::rest_slot);
    words = ops::rounding_words(c);
  }

  explicit operator bool() const { return halves != nullptr || bfloat16s != nullptr; }

  /// Elements [at, at + n) as floats, and back.
  [[gnu::noinline]] void fetch(i64 at, float* to, i64 n) const {
    return halves != nullptr ? fetch_from(halves + at, at, to, n)
                             : fetch_from(bfloat16s + at, at, to, n);
  }
  [[gnu::noinline]] void put(const float* from, i64 at, i64 n) const {
    return halves != nullptr ? put_into(halves + at, from, at, n)
                             : put_into(bfloat16s + at, from, at, n);
  }

 private:
  template <class T>
  void fetch_from(const T* tops, i64 at, float* to, i64 n) const {
    if (rests == nullptr) return widen(tops, to, n);
    join_floats(tops, rests + at, to, n);
  }
  template <class T>
  void put_into(T* tops, const float* from, i64 at, i64 n) const {
    if (rests == nullptr) return narrow_by_chance(from, tops, n, words, at);
    split_floats(from, tops, rests + at, n);
  }
};

/// A parameter and its optimizer's states, all f32; or the parameter in 16 bits.
struct parameter_block {
  float* weight = nullptr;
  float* state[3] = {nullptr, nullptr, nullptr};
  const short_parameter* shorts = nullptr;
};

struct update_constants;
void apply_divided(const update_constants& k, const parameter_block& p, const float* g, i64 at,
                   i64 n);

namespace detail {

/// sgd as vectors see it; Momentum and Nesterov are constants of the loop. Plain: no loss scale,
/// decay or dampening, whose three operations would take longer than the memory in L1.
template <bool Momentum, bool Nesterov, bool Plain = false>
struct sgd_step {
  static constexpr i32 states = Momentum ? 1 : 0;

  static bool serves(const update_constants& k) {
    return !Plain || (k.inverse_scale == 1 && k.weight_decay == 0 && k.new_share == 1);
  }

  explicit sgd_step(const update_constants& k)
      : scale(k.inverse_scale),
        rate(k.rate),
        decay(k.weight_decay),
        momentum(k.momentum),
        old_share(k.old_share),
        new_share(k.new_share) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    if constexpr (!Plain) g = simd::fma(decay, w, scale * g);
    if constexpr (Momentum) {
      state[0] = simd::fma(old_share, state[0], Plain ? g : new_share * g);
      g = Nesterov ? simd::fma(momentum, state[0], g) : state[0];
    }
    w = simd::fnma(rate, g, w);
  }

  simd::vec scale, rate, decay, momentum, old_share, new_share;
};

template <bool Amsgrad>
struct adam_step {
  static constexpr i32 states = Amsgrad ? 3 : 2;

  explicit adam_step(const update_constants& k)
      : scale(k.inverse_scale),
        rate(k.adam_rate),
        decay(k.weight_decay),
        beta1(k.beta1),
        rest1(k.rest1),
        beta2(k.beta2),
        rest2(k.rest2),
        root_factor(k.root_factor),
        epsilon(k.epsilon),
        kept(k.keep) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = simd::fma(decay, w, scale * g);
    state[0] = simd::fma(beta1, state[0], rest1 * g);
    state[1] = simd::fma(beta2, state[1], rest2 * g * g);
    simd::vec second = state[1];
    if constexpr (Amsgrad) second = state[2] = simd::larger(state[2], state[1]);
    const simd::vec divisor = simd::fma(root_factor, simd::root(second), epsilon);
    w = simd::fma(kept, w, -(rate * state[0] / divisor));
  }

  simd::vec scale, rate, decay, beta1, rest1, beta2, rest2, root_factor, epsilon, kept;
};

/// The gradient of an update, row by row and vector by vector: from memory, or the outer product of
/// dy and x, rounded as they are stored.
template <class T>
struct gradient_in_memory {
  const T* g;

  static constexpr i64 rows() { return 1; }
  gradient_in_memory row(i64) const { return *this; }
  simd::vec all(i64 i) const { return simd::load(g + i); }
  simd::vec some(i64 i, i32 n) const { return simd::load_partial(g + i, n); }
};
template <class T>
gradient_in_memory(const T*) -> gradient_in_memory<T>;

template <class T>
struct outer_row {
  const T* x;
  simd::vec factor;

  simd::vec all(i64 i) const { return simd::rounded<T>(factor * simd::load(x + i)); }
  simd::vec some(i64 i, i32 n) const {
    return simd::rounded<T>(factor * simd::load_partial(x + i, n));
  }
};
template <class T>
struct outer_product {
  const T* x;
  const T* dy;
  i64 outs;

  i64 rows() const { return outs; }
  outer_row<T> row(i64 o) const { return {x, simd::set(simd::as_float(dy[o]))}; }
};

/// Rows of n elements, the first at `at`. By value, so that the constants stay in registers.
template <class Step, class Gradient>
void run_update(const Step step, const parameter_block p, const Gradient gradient, i64 at, i64 n) {
  using namespace simd;
  for (i64 row = 0; row < gradient.rows(); ++row, at += n) {
    const auto g = gradient.row(row);
    float* const w = p.weight + at;
    float* state[3] = {};
    TESSERA_UNROLL
    for (i32 s = 0; s < Step::states; ++s) state[s] = p.state[s] + at;
    vec values[3] = {zero(), zero(), zero()};
    i64 i = 0;
    for (; i + lanes <= n; i += lanes) {
      vec weight = load(w + i);
      TESSERA_UNROLL
      for (i32 s = 0; s < Step::states; ++s) values[s] = load(state[s] + i);
      step(g.all(i), weight, values);
      TESSERA_UNROLL
      for (i32 s = 0; s < Step::states; ++s) store(state[s] + i, values[s]);
      store(w + i, weight);
    }
    if (i == n) continue;
    const i32 rest = static_cast<i32>(n - i);
    vec weight = load_partial(w + i, rest);
    TESSERA_UNROLL
    for (i32 s = 0; s < Step::states; ++s) values[s] = load_partial(state[s] + i, rest);
    step(g.some(i, rest), weight, values);
    TESSERA_UNROLL
    for (i32 s = 0; s < Step::states; ++s) store_partial(state[s] + i, values[s], rest);
    store_partial(w + i, weight, rest);
  }
}

/// An update of 16-bit weights: piece by piece in floats.
template <class Gradient>
void update_shorts(const update_constants& k, const parameter_block& p, const Gradient& gradient,
                   i64 at, i64 n) {
  using namespace simd;
  for (i64 row = 0; row < gradient.rows(); ++row, at += n) {
    const auto g = gradient.row(row);
    for (i64 i = 0; i < n; i += 256) {
      const i64 count = n - i < 256 ? n - i : 256;
      alignas(64) float piece[256];
      alignas(64) float weights[256];
      i64 j = 0;
      for (; j + lanes <= count; j += lanes) store(piece + j, g.all(i + j));
      if (j < count) {
        const i32 rest = static_cast<i32>(count - j);
        store_partial(piece + j, g.some(i + j, rest), rest);
      }
      p.shorts->fetch(at + i, weights, count);
      parameter_block floats{weights};
      for (i32 s = 0; s < 3; ++s) {
        floats.state[s] = p.state[s] == nullptr ? nullptr : p.state[s] + at + i;
      }
      apply_divided(k, floats, piece, 0, count);
      p.shorts->put(weights, at + i, count);
    }
  }
}

template <class Gradient>
void choose_update(const update_constants& k, const parameter_block& p, const Gradient& g, i64 at,
                   i64 n) {
  if (p.shorts != nullptr) return update_shorts(k, p, g, at, n);
  if (k.what == optimizer_kind::sgd) {
    if (!k.keeps_velocity) return run_update(sgd_step<false, false>(k), p, g, at, n);
    using plain = sgd_step<true, false, true>;
    if (!k.nesterov && plain::serves(k)) return run_update(plain(k), p, g, at, n);
    if (!k.nesterov) return run_update(sgd_step<true, false>(k), p, g, at, n);
    return run_update(sgd_step<true, true>(k), p, g, at, n);
  }
  if (k.what != optimizer_kind::adam) return;
  if (k.amsgrad) return run_update(adam_step<true>(k), p, g, at, n);
  run_update(adam_step<false>(k), p, g, at, n);
}

}  // namespace detail

/// One optimizer step on n elements from `at` on, with the gradient g[0..n), which has been divided
/// where `k.divides`.
[[gnu::noinline]] inline void apply_divided(const update_constants& k, const parameter_block& p,
                                            const float* g, i64 at, i64 n) {
  detail::choose_update(k, p, detail::gradient_in_memory<float>{g}, at, n);
}

/// The same with a gradient as it is, which it may change.
inline void apply_update(const update_constants& k, const parameter_block& p, float* g, i64 at,
                         i64 n) {
  if (k.divides) {
    for (i64 i = 0; i < n; ++i) g[i] /= k.scale;
  }
  apply_divided(k, p, g, at, n);
}

/// True where all n are finite, of any storage type.
template <class T>
bool all_finite(const T* p, i64 n) {
  using namespace simd;
  // x - x is 0 where x is finite, and NaN otherwise: NaN stays in a sum. Four of them, since each
  // waits for the addition before.
  vec differences[4] = {zero(), zero(), zero(), zero()};
  i64 i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    TESSERA_UNROLL
    for (i32 k = 0; k < 4; ++k) {
      const vec x = load(p + i + k * lanes);
      differences[k] = differences[k] + (x - x);
    }
  }
  for (; i < n; i += lanes) {
    const i32 rest = n - i < lanes ? static_cast<i32>(n - i) : lanes;
    const vec x = load_partial(p + i, rest);
    differences[0] = differences[0] + (x - x);
  }
  return sum((differences[0] + differences[1]) + (differences[2] + differences[3])) == 0;
}

/// Where a kernel delivers the pieces of a gradient.
class gradient_sink {
 public:
  enum class goal : u8 { store, test, apply };

  template <class T>
  static gradient_sink storing(T* to) {
    gradient_sink sink(goal::store, stored_as<T>);
    sink.stored_ = to;
    return sink;
  }
  /// Elements become `type` first, as if they had been stored.
  static gradient_sink testing(element type) { return gradient_sink(goal::test, type); }
  static gradient_sink applying(element type, const update_constants& k, const parameter_block& p) {
    gradient_sink sink(goal::apply, type);
    sink.constants_ = &k;
    sink.parameter_ = p;
    return sink;
  }

  /// Elements [at, at + n) of the gradient. May be called by several threads for different ones;
  /// changes `g` where it rounds.
  void take(float* g, i64 at, i64 n) {
    if (goal_ == goal::store) return store(g, at, n);
    if (type_ != element::f32) round(g, n);
    if (goal_ == goal::apply) return apply_update(*constants_, parameter_, g, at, n);
    if (!all_finite(g, n)) overflow_.store(true, std::memory_order_relaxed);
  }

  /// A block of rows, `step` apart in the gradient and `g_step` in `g`.
  void take_rows(float* g, i64 g_step, i64 at, i64 step, i32 rows, i64 n) {
    if (g_step == n && step == n) return take(g, at, rows * n);
    for (i32 r = 0; r < rows; ++r) take(g + r * g_step, at + r * step, n);
  }

  /// Where the gradient is to lie, if that is all; else null.
  float* stored_floats() const {
    return goal_ == goal::store && type_ == element::f32 ? static_cast<float*>(stored_) : nullptr;
  }

  /// True where pieces are applied at once and need no division by an odd loss scale.
  bool applies() const { return goal_ == goal::apply && !constants_->divides; }

  /// Elements [at, at + n) of a gradient that stays as it is; only where `applies`.
  void take_stored(const float* g, i64 at, i64 n) {
    apply_divided(*constants_, parameter_, g, at, n);
  }
  template <class T>
  void take_stored(const T* g, i64 at, i64 n) {
    detail::choose_update(*constants_, parameter_, detail::gradient_in_memory<T>{g}, at, n);
  }

  /// The whole gradient as the outer product of dy and x; only where `applies`.
  template <class T>
  void take_outer(const T* dy, i64 outs, const T* x, i64 in) {
    detail::choose_update(*constants_, parameter_, detail::outer_product<T>{x, dy, outs}, 0, in);
  }

  bool overflow() const { return overflow_.load(std::memory_order_relaxed); }

  gradient_sink(const gradient_sink& other)
      : goal_(other.goal_),
        type_(other.type_),
        stored_(other.stored_),
        constants_(other.constants_),
        parameter_(other.parameter_) {}

 private:
  gradient_sink(goal what, element type) : goal_(what), type_(type) {}

  [[gnu::noinline]] void store(const float* g, i64 at, i64 n) const {
    if (type_ == element::f16) return narrow(g, static_cast<half*>(stored_) + at, n);
    if (type_ == element::bf16) return narrow(g, static_cast<bfloat16*>(stored_) + at, n);
    std::memcpy(static_cast<float*>(stored_) + at, g, static_cast<std::size_t>(n) * sizeof(float));
  }
  [[gnu::noinline]] void round(float* g, i64 n) const {
    return type_ == element::f16 ? round_as<half>(g, n) : round_as<bfloat16>(g, n);
  }
  template <class T>
  static void round_as(float* g, i64 n) {
    T stored[256];
    for (i64 i = 0; i < n; i += 256) {
      const i64 count = n - i < 256 ? n - i : 256;
      narrow(g + i, stored, count);
      widen(stored, g + i, count);
    }
  }

  goal goal_;
  element type_;
  void* stored_ = nullptr;
  const update_constants* constants_ = nullptr;
  parameter_block parameter_;
  std::atomic<bool> overflow_{false};
};

/// The update of `c`, whose gradient of `count` elements `produce(sink)` delivers. Gradients that
/// skip_rule::tensor has to see whole before it applies them are kept on the stack where they fit,
/// and computed twice otherwise, unless `bounded()` proves that none can overflow. Gradients are
/// rounded to `type`, as if they had been stored.
template <class Produce, class Bounded>
void update_with(const call& c, i64 count, element type, const Produce& produce,
                 const Bounded& bounded) {
  const loss_scaling& scaling = c.attr->scaling;
  float* const scaler = reinterpret_cast<float*>(c.in[2]);
  if (scaler != nullptr && scaling.skip == skip_rule::step && scaler[ops::scaler_overflow] != 0) {
    return;
  }
  i32 uncounted = 0;
  i32& applied = c.out[4] == nullptr ? uncounted : *c.output<i32>(4);
  const float scale = scaler == nullptr ? 1.0f : scaler[ops::scaler_scale];
  const float factor = c.in[3] == nullptr ? 1.0f : c.input<float>(3)[ops::clip_factor];
  const update_constants k =
      constants_of(c.attr->update, c.step->learning_rate, applied, scale, factor);
  parameter_block parameter{c.output<float>(0),
                            {c.output<float>(1), c.output<float>(2), c.output<float>(3)}};
  const short_parameter shorts(c);
  if (shorts) parameter.shorts = &shorts;
  if (scaler != nullptr && scaling.skip == skip_rule::tensor) {
    constexpr i64 kept = 8192;
    if (count <= kept) {
      float whole[kept];
      gradient_sink keep = gradient_sink::storing(whole);
      produce(keep);
      gradient_sink test = gradient_sink::testing(type);
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
      gradient_sink test = gradient_sink::testing(type);
      produce(test);
      if (test.overflow()) {
        scaler[ops::scaler_overflow] = 1;
        return;
      }
    }
  }
  gradient_sink apply = gradient_sink::applying(type, k, parameter);
  produce(apply);
  ++applied;
}

}  // namespace tessera::host
