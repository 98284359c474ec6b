#pragma once

// Updates of parameters and of the loss scale on the model (ops/update.hpp, ir/attributes.hpp).
//
// A fused update computes its gradient like the operation it was fused from, rounds it to its type,
// asks all tiles whether it is finite where skip_rule::tensor wants to know, then applies it. The
// gradient of a vertex stays on its tile in between; here all of them lie in the counters' scratch.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/backends/accelerator/product.hpp>
#include <tessera/backends/accelerator/reductions.hpp>
#include <tessera/core/split_float.hpp>
#include <tessera/ops/update_rules.hpp>  // bias_correction
#include <cmath>

namespace tessera::accelerator {

/// Neither infinite nor NaN, all of them.
template <class T>
bool all_finite(const T* x, i64 n) {
  bool finite = true;
  for (i64 i = 0; i < n; ++i) {
    if constexpr (sizeof(T) == 2) {
      finite = finite & is_finite(x[i]);
    } else {
      finite = finite & ((std::bit_cast<u32>(x[i]) & 0x7f800000) != 0x7f800000);
    }
  }
  return finite;
}

/// One optimizer step with everything that is the same for all elements.
struct optimizer_step {
  update_rule rule;
  float rate;
  float scale = 1;
  float factor = 1;  // of clipping
  bool first;        // no update yet: momentum starts
  float root_correction = 1;
  float keep = 1;  // adam: of the weight, with decoupled weight decay

  optimizer_step(const call& c, i32 applied)
      : rule(c.attr->update), rate(c.step->learning_rate), first(applied == 0) {
    if (c.sizes->has_input(2)) scale = c.input<float>(2)[ops::scaler_scale];
    if (c.sizes->has_input(3)) factor = c.input<float>(3)[ops::clip_factor];
    if (rule.fixed_rate != 0) rate = rule.fixed_rate;
    factor *= rule.share;
    if (rule.decoupled) {
      keep = std::fma(-rate, rule.weight_decay, 1.0f);
      rule.weight_decay = 0;
    }
    if (rule.what != optimizer_kind::adam) return;
    rate = static_cast<float>(static_cast<double>(rate) /
                              ops::bias_correction(rule.beta1, applied + 1));
    root_correction = static_cast<float>(std::sqrt(ops::bias_correction(rule.beta2, applied + 1)));
  }

  void sgd(float* w, float* v, const float* gradient) const {
    lanes g = (load(gradient) / set(scale)) * set(factor);
    const lanes weight = load(w);
    if (rule.weight_decay != 0) g = fma(set(rule.weight_decay), weight, g);
    if (rule.momentum != 0) {
      const lanes damped = set(1.0f - rule.dampening) * g;
      const lanes velocity = first ? g : fma(set(rule.momentum), load(v), damped);
      store(v, velocity);
      g = rule.nesterov ? fma(set(rule.momentum), velocity, g) : velocity;
    }
    store(w, fma(set(-rate), g, weight));
  }

  void adam(float* w, float* m, float* v, float* largest, const float* gradient) const {
    lanes g = (load(gradient) / set(scale)) * set(factor);
    const lanes weight = load(w);
    if (rule.weight_decay != 0) g = fma(set(rule.weight_decay), weight, g);
    const lanes fresh = set(1.0f - rule.beta1) * g;
    const lanes fresh_square = (set(1.0f - rule.beta2) * g) * g;
    const lanes mean = fma(set(rule.beta1), load(m), fresh);
    lanes square = fma(set(rule.beta2), load(v), fresh_square);
    store(m, mean);
    store(v, square);
    if (rule.amsgrad) {
      square = select(load(largest) > square, load(largest), square);
      store(largest, square);
    }
    const lanes root = square_root(square) / set(root_correction) + set(rule.epsilon);
    store(w, fma(set(keep), weight, -((set(rate) * mean) / root)));
  }
};

/// The parameter of an update: in f32, or in 16 bits and rounded by chance, or in 16 bits and 16
/// more.
class parameter_cells {
 public:
  explicit parameter_cells(const call& c)
      : type_(c.sizes->output_type(0)),
        bytes_(c.out[0]),
        rests_(c.output<u16>(ops::rest_slot)),
        words_(ops::rounding_words(c)) {}

  void fetch(i64 i, float* to, i64 n) const {
    if (rests_ != nullptr && type_ == element::f16) {
      return join_floats(at<half>(i), rests_ + i, to, n);
    }
    if (rests_ != nullptr) return join_floats(at<bfloat16>(i), rests_ + i, to, n);
    if (type_ == element::f16) return accelerator::fetch(at<half>(i), to, n);
    if (type_ == element::bf16) return accelerator::fetch(at<bfloat16>(i), to, n);
    accelerator::fetch(at<float>(i), to, n);
  }
  void put(const float* from, i64 i, i64 n) const {
    if (rests_ != nullptr && type_ == element::f16) {
      return split_floats(from, at<half>(i), rests_ + i, n);
    }
    if (rests_ != nullptr) return split_floats(from, at<bfloat16>(i), rests_ + i, n);
    if (type_ == element::f16) return narrow_by_chance(from, at<half>(i), n, words_, i);
    if (type_ == element::bf16) return narrow_by_chance(from, at<bfloat16>(i), n, words_, i);
    store_floats(from, at<float>(i), n);
  }

 private:
  template <class T>
  T* at(i64 i) const {
    return reinterpret_cast<T*>(bytes_) + i;
  }

  element type_;
  std::byte* bytes_;
  u16* rests_;
  element_words words_;
};

/// Elements [first, first + count) of a parameter: their gradient as stored, from gradient[0] on.
template <class T>
void apply_update(const call& c, const optimizer_step& step, const T* gradient, i64 first,
                  i64 count) {
  const i32 states = step.rule.states();
  const parameter_cells parameter(c);
  float* const memory[4] = {nullptr, c.output<float>(1), c.output<float>(2), c.output<float>(3)};
  alignas(64) float g[strip] = {};
  alignas(64) float x[4][strip] = {};
  for (i64 i = first; i < first + count; i += strip) {
    const i64 n = first + count - i < strip ? first + count - i : strip;
    fetch(gradient + (i - first), g, n);
    parameter.fetch(i, x[0], n);
    for (i32 k = 1; k <= states; ++k) fetch(memory[k] + i, x[k], n);
    for (i64 j = 0; j < n; j += lane_count) {
      if (step.rule.what == optimizer_kind::adam) {
        step.adam(x[0] + j, x[1] + j, x[2] + j, x[3] + j, g + j);
      } else {
        step.sgd(x[0] + j, x[1] + j, g + j);
      }
    }
    parameter.put(x[0], i, n);
    for (i32 k = 1; k <= states; ++k) store_floats(x[k], memory[k] + i, n);
  }
}

/// May the gradient be applied? Marks an overflow where it is this update's to find.
template <class T>
bool may_apply(const call& c, const T* gradient, i64 n) {
  if (!c.sizes->has_input(2)) return true;
  float* scaler = reinterpret_cast<float*>(c.in[2]);
  const skip_rule skip = c.attr->scaling.skip;
  if (skip == skip_rule::step) return scaler[ops::scaler_overflow] == 0;
  if (skip == skip_rule::none || all_finite(gradient, n)) return true;
  scaler[ops::scaler_overflow] = 1;
  return false;
}

/// update: (gradient, -, scaler) -> parameter, states, applied.
template <class T>
void run_update(const machine& m, const call& c) {
  const T* gradient = c.input<T>(0);
  i32 uncounted = 0;
  i32& applied = c.sizes->has_output(4) ? *c.output<i32>(4) : uncounted;
  const bool apply = may_apply(c, gradient, elementwise_sizes::of(*c.sizes).count);
  const optimizer_step step(c, applied);
  for_elements(m, c, [&](i64 first, i64 count) {
    if (apply) apply_update(c, step, gradient + first, first, count);
  });
  if (apply) ++applied;
}

/// dense_weight_update, conv2d_weight_update, bias_update: (x, dy, scaler) -> as update.
template <class T>
void run_fused_update(const machine& m, const call& c) {
  T* gradient = reinterpret_cast<T*>(scratch_of(c, scratch_bytes(*c.sizes)));
  const i64 n = fused_gradient_elements(*c.sizes);
  if (c.sizes->what == kind::bias_update) {
    run_bias_gradient<T>(m, c, gradient);
  } else {
    product<T>(m, c, gradient)();
  }
  if (!may_apply(c, gradient, n)) return;
  i32 uncounted = 0;
  i32& applied = c.sizes->has_output(4) ? *c.output<i32>(4) : uncounted;
  const optimizer_step step(c, applied);
  apply_update(c, step, gradient, 0, n);
  ++applied;
}

template <class T>
void run_overflow_test(const machine& m, const call& c) {
  const T* gradient = c.input<T>(0);
  for_elements(m, c, [](i64, i64) {});
  if (!all_finite(gradient, elementwise_sizes::of(*c.sizes).count)) {
    c.output<float>(0)[ops::scaler_overflow] = 1;
  }
}

inline void run_scaler_update(const machine& m, const call& c) {
  for_elements(m, c, [&](i64, i64) { ops::adapt_scale(c.output<float>(0), c.attr->scaling); });
}

}  // namespace tessera::accelerator
