#pragma once

// Update rules beside sgd and adam on the model (ops/update_rules.hpp).
//
// Elementwise rules run where their operands lie. lamb and lars first sum squares on every tile:
// for each part of a slice that a tile has, 16 accumulators in turn, folded; all tiles receive all
// sums and add them up in the order of the tiles, in f32.

#include <tessera/backends/accelerator/gradient_limits.hpp>
#include <tessera/ops/update_rules.hpp>

namespace tessera::accelerator {

/// A running mean and its next value.
inline lanes mixed(float share, lanes old, lanes next) {
  return fma(set(share), old, set(1.0f - share) * next);
}
inline lanes mixed_square(float share, lanes old, lanes x) {
  return fma(set(share), old, (set(1.0f - share) * x) * x);
}

inline lanes sign_of(lanes x) {  // 0 and NaN stay
  return select(x > set(0.0f), set(1.0f), select(x < set(0.0f), set(-1.0f), x));
}

/// The direction of lamb from its moments.
inline lanes lamb_direction(const update_rule& rule, const ops::rule_numbers& n, lanes w, lanes m,
                            lanes v) {
  const lanes divisor = fma(set(n.root_factor), square_root(v), set(n.root_shift));
  return fma(set(rule.weight_decay), w, (set(n.rate) * m) / divisor);
}

/// One step of a rule on a vector: the weight and its states change, `g` is free of its scale.
/// lamb takes its moments; lars finds its local rate in n.rate.
template <kind What>
void take_step(const update_rule& rule, const ops::rule_numbers& n, lanes g, float* w, float* a,
               float* b, float* c) {
  lanes weight = load(w);
  const bool decays = What != kind::lion_update && What != kind::lamb_update;
  if (decays && rule.weight_decay != 0) g = fma(set(rule.weight_decay), weight, g);
  const auto subtract = [&](lanes d) { store(w, fma(set(-n.rate), d, weight)); };
  if constexpr (What == kind::rmsprop_update) {
    const lanes square = mixed_square(rule.beta2, load(a), g);
    store(a, square);
    lanes under_root = square;
    if (rule.centered) {
      const lanes mean = mixed(rule.beta2, load(b), g);
      store(b, mean);
      under_root = fma(-mean, mean, square);
      under_root = select(under_root < set(0.0f), set(0.0f), under_root);
    }
    lanes d = g / (square_root(under_root) + set(rule.epsilon));
    if (rule.momentum != 0) {
      float* const buffer = rule.centered ? c : b;
      d = fma(set(rule.momentum), load(buffer), d);
      store(buffer, d);
    }
    subtract(d);
  }
  if constexpr (What == kind::adagrad_update) {
    const lanes sum = fma(g, g, n.first ? set(rule.start) : load(a));
    store(a, sum);
    subtract(g / (square_root(sum) + set(rule.epsilon)));
  }
  if constexpr (What == kind::adadelta_update) {
    const lanes epsilon = set(rule.epsilon);
    const lanes square = mixed_square(rule.beta2, load(a), g);
    const lanes d = (square_root(load(b) + epsilon) / square_root(square + epsilon)) * g;
    store(a, square);
    store(b, mixed_square(rule.beta2, load(b), d));
    subtract(d);
  }
  if constexpr (What == kind::adamax_update) {
    const lanes mean = mixed(rule.beta1, load(a), g);
    const lanes size = select(g < set(0.0f), -g, g) + set(rule.epsilon);
    const lanes old = set(rule.beta2) * load(b);
    const lanes most = select(old > size, old, size);
    store(a, mean);
    store(b, most);
    subtract(mean / most);
  }
  if constexpr (What == kind::nadam_update || What == kind::radam_update) {
    const lanes mean = mixed(rule.beta1, load(a), g);
    const lanes square = mixed_square(rule.beta2, load(b), g);
    store(a, mean);
    store(b, square);
    const lanes divisor = fma(set(n.root_factor), square_root(square), set(n.root_shift));
    store(w, weight - fma(set(n.fresh_rate), g, set(n.rate) * mean) / divisor);
  }
  if constexpr (What == kind::rprop_update) {
    const lanes agree = g * load(a);
    lanes size = n.first ? set(n.rate) : load(b);
    size = select(agree > set(0.0f), size * set(rule.growth), size);
    size = select(agree < set(0.0f), size * set(rule.shrink), size);
    size = select(size < set(rule.smallest), set(rule.smallest), size);
    size = select(size > set(rule.largest), set(rule.largest), size);
    g = select(agree < set(0.0f), set(0.0f), g);
    store(a, g);
    store(b, size);
    store(w, fma(-sign_of(g), size, weight));
  }
  if constexpr (What == kind::lion_update) {
    const lanes u = sign_of(mixed(rule.beta1, load(a), g));
    store(a, mixed(rule.beta2, load(a), g));
    store(w, fma(set(n.keep), weight, set(-n.rate) * u));
  }
  if constexpr (What == kind::lamb_update) {
    store(a, mixed(rule.beta1, load(a), g));
    store(b, mixed_square(rule.beta2, load(b), g));
  }
  if constexpr (What == kind::lars_update) {
    lanes v = set(n.rate) * g;
    if (rule.momentum != 0) {
      v = fma(set(rule.momentum), load(a), v);
      store(a, v);
    }
    store(w, weight - v);
  }
}

/// What an update on a stored gradient works with.
template <class T>
struct rule_operands {
  const T* gradient;
  update_rule rule;
  i32 states;
  parameter_cells parameter;
  float* memory[4];
  float scale = 1;
  float factor = 1;

  explicit rule_operands(const call& c)
      : gradient(c.input<T>(0)),
        rule(c.attr->update),
        states(rule.states()),
        parameter(c),
        memory{nullptr, c.output<float>(1), c.output<float>(2), c.output<float>(3)} {
    if (c.sizes->has_input(2)) scale = c.input<float>(2)[ops::scaler_scale];
    if (c.sizes->has_input(3)) factor = c.input<float>(3)[ops::clip_factor];
  }

  /// Calls work(g, x, n) for strips of [first, first + count): gradients free of their scale, and
  /// copies of the parameter and its states, which are stored again where `Stores`.
  template <bool Stores, class Work>
  void strips(i64 first, i64 count, const Work& work) const {
    alignas(64) float g[strip] = {};
    alignas(64) float x[4][strip] = {};
    for (i64 i = first; i < first + count; i += strip) {
      const i64 n = first + count - i < strip ? first + count - i : strip;
      fetch(gradient + i, g, n);
      for (i64 j = 0; j < n; j += lane_count) {
        store(g + j, (load(g + j) / set(scale)) * set(factor));
      }
      parameter.fetch(i, x[0], n);
      for (i32 k = 1; k <= states; ++k) fetch(memory[k] + i, x[k], n);
      work(g, x, n);
      if (!Stores) continue;
      parameter.put(x[0], i, n);
      for (i32 k = 1; k <= states; ++k) store_floats(x[k], memory[k] + i, n);
    }
  }

  template <kind What>
  void apply(const ops::rule_numbers& numbers, i64 first, i64 count) const {
    strips<true>(first, count, [&](float* g, float(*x)[strip], i64 n) {
      for (i64 j = 0; j < n; j += lane_count) {
        take_step<What>(rule, numbers, load(g + j), x[0] + j, x[1] + j, x[2] + j, x[3] + j);
      }
    });
  }
};

/// All rules but lamb and lars: (gradient, -, scaler, clip) -> parameter, states, applied, carried.
template <class T, kind What>
void run_rule_update(const machine& m, const call& c) {
  const rule_operands<T> o(c);
  i32& applied = *c.output<i32>(4);
  float* const carried = c.sizes->has_output(5) ? c.output<float>(5) : nullptr;
  const bool apply = may_apply(c, o.gradient, elementwise_sizes::of(*c.sizes).count);
  const ops::rule_numbers numbers(o.rule, c.step->learning_rate, applied,
                                  carried == nullptr ? 1.0 : static_cast<double>(*carried));
  for_elements(m, c, [&](i64 first, i64 count) {
    if (apply) o.template apply<What>(numbers, first, count);
  });
  if (!apply) return;
  ++applied;
  if (carried != nullptr) *carried = numbers.carried;
}

/// lamb_update, lars_update: (gradient, -, scaler, clip) -> parameter, states, applied.
template <class T, kind What>
void run_norm_update(const machine& m, const call& c) {
  const rule_operands<T> o(c);
  const auto sizes = norm_update_sizes::of(*c.sizes);
  i32& applied = *c.output<i32>(4);
  for_elements(m, c, [](i64, i64) {});
  if (!may_apply(c, o.gradient, elementwise_sizes::of(*c.sizes).count)) return;
  const float lr = c.step->learning_rate;
  ops::rule_numbers numbers(o.rule, lr, applied, 1);
  const norm_terms squares(2);
  const i64 block = map(m, *c.sizes).block[axis_b];
  for (i64 slice = 0; slice < sizes.slices; ++slice) {
    const i64 begin = slice * sizes.slice;
    const i64 end = begin + sizes.slice;
    float weight = 0;
    float other = 0;
    for (i64 from = begin; from < end;) {  // the parts of this slice, tile by tile
      const i64 next = (from / block + 1) * block < end ? (from / block + 1) * block : end;
      float acc[2][16] = {};
      constexpr bool lamb = What == kind::lamb_update;
      o.template strips<lamb>(from, next - from, [&](float* g, float(*x)[strip], i64 n) {
        squares.add(x[0], n, acc[0]);
        for (i64 j = 0; lamb && j < n; j += lane_count) {
          take_step<kind::lamb_update>(o.rule, numbers, load(g + j), x[0] + j, x[1] + j, x[2] + j,
                                       nullptr);
          store(g + j,
                lamb_direction(o.rule, numbers, load(x[0] + j), load(x[1] + j), load(x[2] + j)));
        }
        squares.add(g, n, acc[1]);
      });
      const float partial[2] = {squares.fold(acc[0]), squares.fold(acc[1])};
      weight = from == begin ? partial[0] : weight + partial[0];
      other = from == begin ? partial[1] : other + partial[1];
      from = next;
    }
    if constexpr (What == kind::lamb_update) {
      const float rate =
          ops::lamb_rate(o.rule, lr, static_cast<double>(weight), static_cast<double>(other));
      o.template strips<true>(begin, sizes.slice, [&](float*, float(*x)[strip], i64 n) {
        for (i64 j = 0; j < n; j += lane_count) {
          const lanes w = load(x[0] + j);
          const lanes u = lamb_direction(o.rule, numbers, w, load(x[1] + j), load(x[2] + j));
          store(x[0] + j, fma(set(-rate), u, w));
        }
      });
    } else {
      numbers.rate =
          ops::lars_rate(o.rule, lr, static_cast<double>(weight), static_cast<double>(other));
      o.template apply<What>(numbers, begin, sizes.slice);
    }
  }
  ++applied;
}

}  // namespace tessera::accelerator
