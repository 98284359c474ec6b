#pragma once

// Update rules beside sgd and adam on stored gradients (ops/update_rules.hpp states them).
//
//   rule_update<T, What>   one pass: each element by itself
//   norm_update<T, What>   lamb, lars: a pass that finds two norms, then one that applies them; the
//                          order of sums stands in gradient_limits.hpp
//
// A program compiles the rules that it uses. On 8 million values, which no cache holds, every rule
// takes 0.9 to 1.05 of what a plain pass over the same arrays takes (benchmarks/host/updates.cpp;
// lamb reads its moments and weights twice, lars weight and gradient); within a cache roots and
// divisions show: 0.3 ns a value for adam and most others, 0.8 for lamb, of 0.1 to 0.4 of memory.

#include <tessera/backends/host/gradient_limits.hpp>
#include <tessera/ops/update_rules.hpp>

namespace tessera::host {

namespace detail {

/// What all steps start with: the gradient freed of its scale, with weight decay in it.
struct scaled_gradient {
  simd::vec scale, decay;

  scaled_gradient(const update_constants& k, const update_rule& rule)
      : scale(k.inverse_scale), decay(rule.weight_decay) {}

  simd::vec plain(simd::vec g) const { return scale * g; }
  simd::vec decayed(simd::vec g, simd::vec w) const { return simd::fma(decay, w, scale * g); }
};

/// A running mean and its next value.
struct running_mean {
  simd::vec share, rest;

  explicit running_mean(float share_of_old) : share(share_of_old), rest(1 - share_of_old) {}

  simd::vec operator()(simd::vec old, simd::vec x) const { return simd::fma(share, old, rest * x); }
  simd::vec of_square(simd::vec old, simd::vec x) const {
    return simd::fma(share, old, rest * x * x);
  }
};

inline simd::vec sign_of(simd::vec x) {  // 0 and NaN stay
  return simd::select(x > simd::zero(), simd::set(1.0f),
                      simd::select(x < simd::zero(), simd::set(-1.0f), x));
}

template <bool Centered, bool Momentum>
struct rmsprop_step {
  static constexpr i32 states = 1 + (Centered ? 1 : 0) + (Momentum ? 1 : 0);
  scaled_gradient gradient;
  running_mean mean;
  simd::vec epsilon, momentum, rate;

  rmsprop_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r), mean(r.beta2), epsilon(r.epsilon), momentum(r.momentum), rate(n.rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.decayed(g, w);
    state[0] = mean.of_square(state[0], g);
    simd::vec square = state[0];
    if constexpr (Centered) {
      state[1] = mean(state[1], g);
      square = simd::larger(simd::zero(), simd::fnma(state[1], state[1], square));
    }
    simd::vec d = g / (simd::root(square) + epsilon);
    if constexpr (Momentum) {
      simd::vec& buffer = state[Centered ? 2 : 1];
      d = buffer = simd::fma(momentum, buffer, d);
    }
    w = simd::fnma(rate, d, w);
  }
};

struct adagrad_step {
  static constexpr i32 states = 1;
  scaled_gradient gradient;
  simd::vec start, epsilon, rate;

  adagrad_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r), start(n.first ? r.start : 0), epsilon(r.epsilon), rate(n.rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.decayed(g, w);
    state[0] = simd::fma(g, g, start + state[0]);
    w = simd::fnma(rate, g / (simd::root(state[0]) + epsilon), w);
  }
};

struct adadelta_step {
  static constexpr i32 states = 2;
  scaled_gradient gradient;
  running_mean mean;
  simd::vec epsilon, rate;

  adadelta_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r), mean(r.beta2), epsilon(r.epsilon), rate(n.rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.decayed(g, w);
    state[0] = mean.of_square(state[0], g);
    const simd::vec d = simd::root(state[1] + epsilon) / simd::root(state[0] + epsilon) * g;
    state[1] = mean.of_square(state[1], d);
    w = simd::fnma(rate, d, w);
  }
};

struct adamax_step {
  static constexpr i32 states = 2;
  scaled_gradient gradient;
  running_mean mean;
  simd::vec beta2, epsilon, rate;

  adamax_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r), mean(r.beta1), beta2(r.beta2), epsilon(r.epsilon), rate(n.rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.decayed(g, w);
    state[0] = mean(state[0], g);
    state[1] = simd::larger(beta2 * state[1], simd::absolute(g) + epsilon);
    w = simd::fnma(rate, state[0] / state[1], w);
  }
};

/// nadam and radam: moments as adam's; the mean, and the gradient beside it, over a divisor.
struct moments_step {
  static constexpr i32 states = 2;
  scaled_gradient gradient;
  running_mean first, second;
  simd::vec root_factor, root_shift, rate, fresh_rate;

  moments_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r),
        first(r.beta1),
        second(r.beta2),
        root_factor(n.root_factor),
        root_shift(n.root_shift),
        rate(n.rate),
        fresh_rate(n.fresh_rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.decayed(g, w);
    state[0] = first(state[0], g);
    state[1] = second.of_square(state[1], g);
    const simd::vec divisor = simd::fma(root_factor, simd::root(state[1]), root_shift);
    w = w - simd::fma(fresh_rate, g, rate * state[0]) / divisor;
  }
};

struct rprop_step {
  static constexpr i32 states = 2;
  scaled_gradient gradient;
  simd::vec start, growth, shrink, smallest, largest;
  bool first;

  rprop_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r),
        start(n.rate),
        growth(r.growth),
        shrink(r.shrink),
        smallest(r.smallest),
        largest(r.largest),
        first(n.first) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    const simd::vec one(1.0f);
    g = gradient.decayed(g, w);
    const simd::vec agree = g * state[0];
    const simd::mask turned = agree < simd::zero();
    simd::vec size = first ? start : state[1];
    size = size * simd::select(agree > simd::zero(), growth, simd::select(turned, shrink, one));
    size = simd::smaller(simd::larger(size, smallest), largest);
    g = simd::select(turned, simd::zero(), g);
    state[0] = g;
    state[1] = size;
    w = simd::fnma(sign_of(g), size, w);
  }
};

struct lion_step {
  static constexpr i32 states = 1;
  scaled_gradient gradient;
  running_mean direction, mean;
  simd::vec keep, rate;

  lion_step(const update_constants& k, const update_rule& r, const ops::rule_numbers& n)
      : gradient(k, r), direction(r.beta1), mean(r.beta2), keep(n.keep), rate(n.rate) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    g = gradient.plain(g);
    const simd::vec u = sign_of(direction(state[0], g));
    state[0] = mean(state[0], g);
    w = simd::fma(keep, w, -(rate * u));
  }
};

template <bool Momentum>
struct lars_step {
  static constexpr i32 states = Momentum ? 1 : 0;
  scaled_gradient gradient;
  simd::vec momentum, rate;

  lars_step(const update_constants& k, const update_rule& r, float local)
      : gradient(k, r), momentum(r.momentum), rate(local) {}

  void operator()(simd::vec g, simd::vec& w, simd::vec (&state)[3]) const {
    simd::vec v = rate * gradient.decayed(g, w);
    if constexpr (Momentum) v = state[0] = simd::fma(momentum, state[0], v);
    w = w - v;
  }
};

/// lamb: the direction from the moments.
struct lamb_direction {
  running_mean first, second;
  simd::vec root_factor, root_shift, rate, decay;

  lamb_direction(const update_rule& r, const ops::rule_numbers& n)
      : first(r.beta1),
        second(r.beta2),
        root_factor(n.root_factor),
        root_shift(n.root_shift),
        rate(n.rate),
        decay(r.weight_decay) {}

  simd::vec operator()(simd::vec w, simd::vec mean, simd::vec square) const {
    const simd::vec divisor = simd::fma(root_factor, simd::root(square), root_shift);
    return simd::fma(decay, w, rate * mean / divisor);
  }
};

}  // namespace detail

/// The operands of an update whose gradient is stored, and how it is scaled.
template <class T>
class stored_update {
 public:
  explicit stored_update(const call& c)
      : rule(c.attr->update),
        weight(c.output<float>(0)),
        shorts(c),
        applied(*c.output<i32>(4)),
        gradient_(c.input<T>(0)) {
    const float* const scaler = c.input<float>(2);
    const float* const clip = c.input<float>(3);
    set_scale(scale, scaler == nullptr ? 1.0f : scaler[ops::scaler_scale],
              clip == nullptr ? 1.0f : clip[ops::clip_factor]);
  }

  /// False where the overflow of a scaled gradient forbids it; marks those found here.
  static bool may_run(const call& c) {
    if (c.in[2] == nullptr) return true;
    float* const scaler = reinterpret_cast<float*>(c.in[2]);
    if (c.attr->scaling.skip == skip_rule::step) return scaler[ops::scaler_overflow] == 0;
    gradient_sink test = gradient_sink::testing(element::f32);
    stored_gradient<T>(c, test);
    if (test.overflow()) scaler[ops::scaler_overflow] = 1;
    return !test.overflow();
  }

  /// Gradients [i, i + n) as floats, n <= sum_blocks::piece: where they lie, or in `buffer`. Those
  /// whose scale is no power of two are divided by it.
  const float* floats(i64 i, i64 n, float* buffer) const {
    if constexpr (sizeof(T) == 4) {
      if (!scale.divides) return gradient_ + i;
      std::memcpy(buffer, gradient_ + i, static_cast<std::size_t>(n) * sizeof(float));
    } else {
      widen(gradient_ + i, buffer, n);
    }
    if (scale.divides) {
      for (i64 k = 0; k < n; ++k) buffer[k] /= scale.scale;
    }
    return buffer;
  }

  /// Weights [i, i + n) as floats: where they lie, or, of 16 bits, in `buffer`.
  float* weights(i64 i, i64 n, float* buffer) const {
    if (!shorts) return weight + i;
    shorts.fetch(i, buffer, n);
    return buffer;
  }
  /// Puts changed weights back where they belong.
  void put_weights(const float* x, i64 i, i64 n) const {
    if (shorts) shorts.put(x, i, n);
  }

  update_rule rule;
  update_constants scale{};
  float* weight;
  short_parameter shorts;
  i32& applied;

 private:
  const T* gradient_;
};

/// Applies `step` to elements [first, last).
template <class T, class Step>
void run_rule(const call& c, const stored_update<T>& u, const Step& step, i64 first, i64 last) {
  const parameter_block p{u.weight, {c.output<float>(1), c.output<float>(2), c.output<float>(3)}};
  if (sizeof(T) == 4 && !u.scale.divides && !u.shorts) {
    detail::run_update(step, p, detail::gradient_in_memory{u.floats(first, 0, nullptr)}, first,
                       last - first);
    return;
  }
  float buffer[sum_blocks::piece];
  float wide[sum_blocks::piece];
  for (i64 i = first; i < last; i += sum_blocks::piece) {
    const i64 n = last - i < sum_blocks::piece ? last - i : sum_blocks::piece;
    parameter_block piece{u.weights(i, n, wide)};
    for (i32 s = 0; s < 3; ++s) piece.state[s] = p.state[s] == nullptr ? nullptr : p.state[s] + i;
    detail::run_update(step, piece, detail::gradient_in_memory{u.floats(i, n, buffer)}, 0, n);
    u.put_weights(wide, i, n);
  }
}

/// All rules but lamb and lars: (gradient, -, scaler, clip) -> parameter, states, applied, carried.
template <class T, kind What>
void rule_update(const call& c) {
  if (!stored_update<T>::may_run(c)) return;
  const stored_update<T> u(c);
  float* const carried = c.output<float>(5);
  const ops::rule_numbers numbers(u.rule, c.step->learning_rate, u.applied,
                                  carried == nullptr ? 1.0 : static_cast<double>(*carried));
  const auto run = [&]<class Step>(Step*) {
    const Step step(u.scale, u.rule, numbers);
    parallel_ranges(c.step->threads, elementwise_sizes::of(*c.sizes).count,
                    [&](i64 first, i64 last) { run_rule(c, u, step, first, last); });
  };
  using namespace detail;
  if constexpr (What == kind::rmsprop_update) {
    const bool momentum = u.rule.momentum != 0;
    if (u.rule.centered) {
      momentum ? run(static_cast<rmsprop_step<true, true>*>(nullptr))
               : run(static_cast<rmsprop_step<true, false>*>(nullptr));
    } else {
      momentum ? run(static_cast<rmsprop_step<false, true>*>(nullptr))
               : run(static_cast<rmsprop_step<false, false>*>(nullptr));
    }
  }
  if constexpr (What == kind::adagrad_update) run(static_cast<adagrad_step*>(nullptr));
  if constexpr (What == kind::adadelta_update) run(static_cast<adadelta_step*>(nullptr));
  if constexpr (What == kind::adamax_update) run(static_cast<adamax_step*>(nullptr));
  if constexpr (What == kind::nadam_update || What == kind::radam_update) {
    run(static_cast<moments_step*>(nullptr));
  }
  if constexpr (What == kind::rprop_update) run(static_cast<rprop_step*>(nullptr));
  if constexpr (What == kind::lion_update) run(static_cast<lion_step*>(nullptr));
  if (carried != nullptr) *carried = numbers.carried;
  ++u.applied;
}

namespace detail {

/// Squares of two norms: of the weight, and of lamb's direction or the gradient.
struct two_sums {
  double weight = 0;
  double other = 0;
};

/// Adds up pieces of [first, first + count): piece(i, n, buffer, sums).
template <class Piece>
two_sums sum_pieces(threads workers, i64 first, i64 count, const Piece& piece) {
  const sum_blocks blocks(count);
  two_sums all[sum_blocks::most];
  parallel_for(workers, blocks.blocks(), [&](i32 b) {
    float buffer[3][sum_blocks::piece];
    blocks.pieces(b, [&](i64 i, i64 n) { piece(first + i, n, buffer, all[b]); });
  });
  two_sums total;
  for (i32 b = 0; b < blocks.blocks(); ++b) {
    total.weight += all[b].weight;
    total.other += all[b].other;
  }
  return total;
}

inline double squares_of(const float* x, i64 n) {
  return static_cast<double>(reduce_along(x, n, add_square{}, plus));
}

/// Takes the moments of n elements with gradients g and puts their directions into `u`.
[[gnu::noinline]] inline void take_moments(const lamb_direction& how, float factor, const float* g,
                                           const float* w, float* m, float* v, float* u, i64 n) {
  using namespace simd;
  const lamb_direction step = how;  // by value: in registers
  const vec scale(factor);
  for (i64 i = 0; i < n; i += lanes) {
    const bool whole = i + lanes <= n;
    const i32 rest = static_cast<i32>(n - i);
    const auto read = [&](const float* p) {
      return whole ? load(p + i) : load_partial(p + i, rest);
    };
    const auto write = [&](float* p, vec x) {
      whole ? store(p + i, x) : store_partial(p + i, x, rest);
    };
    const vec x = scale * read(g);
    const vec mean = step.first(read(m), x);
    const vec square = step.second.of_square(read(v), x);
    write(m, mean);
    write(v, square);
    write(u, step(read(w), mean, square));
  }
}

/// w -= rate u, with u from the moments.
[[gnu::noinline]] inline void apply_direction(const lamb_direction& how, float rate, float* w,
                                              const float* m, const float* v, i64 n) {
  using namespace simd;
  const lamb_direction step = how;
  const vec by(rate);
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) {
    const vec weight = load(w + i);
    store(w + i, fnma(by, step(weight, load(m + i), load(v + i)), weight));
  }
  if (i == n) return;
  const i32 rest = static_cast<i32>(n - i);
  const vec weight = load_partial(w + i, rest);
  const vec u = step(weight, load_partial(m + i, rest), load_partial(v + i, rest));
  store_partial(w + i, fnma(by, u, weight), rest);
}

template <class T>
void lamb_slice(const call& c, const stored_update<T>& u, i64 first, i64 count) {
  float* const m = c.output<float>(1);
  float* const v = c.output<float>(2);
  const float lr = c.step->learning_rate;
  const lamb_direction how(u.rule, ops::rule_numbers(u.rule, lr, u.applied, 1));
  const two_sums sums =
      sum_pieces(c.step->threads, first, count,
                 [&](i64 i, i64 n, float(&buffer)[3][sum_blocks::piece], two_sums& sum) {
                   const float* const g = u.floats(i, n, buffer[0]);
                   const float* const w = u.weights(i, n, buffer[2]);
                   take_moments(how, u.scale.inverse_scale, g, w, m + i, v + i, buffer[1], n);
                   sum.weight += squares_of(w, n);
                   sum.other += squares_of(buffer[1], n);
                 });
  const float rate = ops::lamb_rate(u.rule, lr, sums.weight, sums.other);
  parallel_ranges(c.step->threads, count, [&](i64 from, i64 last) {
    const i64 whole = !u.shorts ? last - from : sum_blocks::piece;
    float wide[sum_blocks::piece];
    for (i64 i = from; i < last; i += whole) {
      const i64 at = first + i;
      const i64 n = last - i < whole ? last - i : whole;
      float* const w = u.weights(at, n, wide);
      apply_direction(how, rate, w, m + at, v + at, n);
      u.put_weights(w, at, n);
    }
  });
}

template <class T>
void lars_slice(const call& c, const stored_update<T>& u, i64 first, i64 count) {
  const two_sums sums =
      sum_pieces(c.step->threads, first, count,
                 [&](i64 i, i64 n, float(&buffer)[3][sum_blocks::piece], two_sums& sum) {
                   sum.weight += squares_of(u.weights(i, n, buffer[2]), n);
                   sum.other += squares_of(u.floats(i, n, buffer[0]), n);
                 });
  const double factor = u.scale.inverse_scale;
  const float rate =
      ops::lars_rate(u.rule, c.step->learning_rate, sums.weight, sums.other * factor * factor);
  const auto apply = [&](const auto& step) {
    parallel_ranges(c.step->threads, count,
                    [&](i64 from, i64 last) { run_rule(c, u, step, first + from, first + last); });
  };
  if (u.rule.momentum != 0) return apply(lars_step<true>(u.scale, u.rule, rate));
  apply(lars_step<false>(u.scale, u.rule, rate));
}

}  // namespace detail

/// lamb_update, lars_update: (gradient, -, scaler, clip) -> parameter, states, applied.
template <class T, kind What>
void norm_update(const call& c) {
  if (!stored_update<T>::may_run(c)) return;
  const stored_update<T> u(c);
  const auto n = norm_update_sizes::of(*c.sizes);
  for (i64 slice = 0; slice < n.slices; ++slice) {
    if constexpr (What == kind::lamb_update) detail::lamb_slice(c, u, slice * n.slice, n.slice);
    if constexpr (What == kind::lars_update) detail::lars_slice(c, u, slice * n.slice, n.slice);
  }
  ++u.applied;
}

}  // namespace tessera::host
