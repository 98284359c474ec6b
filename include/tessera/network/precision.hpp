#pragma once

// Precision as a type: fp32, fp64, mixed<fp16, ...>, pure<bf16, ...>.

#include <tessera/passes/precision.hpp>
#include <concepts>

namespace tessera {

/// Everything in 32 bits.
struct fp32 {
  static constexpr precision_policy policy{};
};

/// Everything in 64 bits. The reference backend runs it; it is there for gradient checks.
struct fp64 {
  static constexpr precision_policy policy{element::f64, element::f64, element::f64, {}};
};

/// 16-bit storage: IEEE 754 binary16.
struct fp16 {
  static constexpr element storage = element::f16;
};

/// 16-bit storage: bfloat16, the range of f32 with 8 bits of precision. static_scale<1> spares it
/// the loss scaling that binary16 needs.
struct bf16 {
  static constexpr element storage = element::bf16;
};

/// An overflowing gradient skips the whole step, as PyTorch does. Every weight gradient then lives
/// until the last one is known to be finite.
struct skip_step {
  static constexpr void apply(loss_scaling& s) { s.skip = skip_rule::step; }
};

/// An overflowing gradient skips its own tensor's update only: no weight gradient needs a buffer.
struct skip_tensor {
  static constexpr void apply(loss_scaling& s) { s.skip = skip_rule::tensor; }
};

/// A loss scale that never changes.
template <i64 Scale>
struct static_scale {
  static_assert(Scale > 0, "static_scale: expected a positive scale");
  static constexpr void apply(loss_scaling& s) {
    s.dynamic = false;
    s.initial = static_cast<float>(Scale);
  }
};

/// A loss scale that halves at an overflow and doubles after `Interval` steps without one.
template <i64 Initial = 65536, i32 Interval = 2000>
struct dynamic_scale {
  static_assert(Initial > 0 && Interval > 0, "dynamic_scale: expected positive numbers");
  static constexpr void apply(loss_scaling& s) {
    s.dynamic = true;
    s.initial = static_cast<float>(Initial);
    s.interval = Interval;
  }
};

/// Master weights are the 16-bit weights and 16 more bits of each beside the optimizer's state: 4
/// bytes a weight where a master and its copy take 6, and no copy to be made. From the same 16-bit
/// first weights training goes as with masters, but for what a weight below 2^-17 loses beyond 2^-40
/// (core/split_float.hpp). Weights that are saved or loaded are the 16-bit ones; the other bits stay
/// as they are, which is less than a unit in the last place.
struct split_master {
  static constexpr void apply(precision_policy& p) {
    p.masters = false;
    p.splits = true;
  }
};

template <class O>
concept mixed_option = requires(loss_scaling& s) {
  O::apply(s);
}
|| requires(precision_policy& p) { O::apply(p); };

namespace detail {

template <mixed_option O>
constexpr void apply_option(precision_policy& p) {
  if constexpr (requires { O::apply(p); }) {
    O::apply(p);
  } else {
    O::apply(p.scaling);
  }
}

}  // namespace detail

/// 16-bit weights (working copies), activations and gradients; f32 accumulation, master weights,
/// optimizer state and loss. Options: skip_step (default) or skip_tensor; dynamic_scale (default,
/// from 65536) or static_scale; split_master.
///
/// Source   Micikevicius et al. 2018
template <class Storage, mixed_option... Options>
struct mixed {
  static constexpr precision_policy policy = [] {
    precision_policy p;
    p.storage = Storage::storage;
    p.scaling.skip = skip_rule::step;
    dynamic_scale<>::apply(p.scaling);
    (detail::apply_option<Options>(p), ...);
    return p;
  }();
};

/// 16 bits throughout: weights (no f32 masters), activations and gradients; f32 accumulation,
/// optimizer state, loss, and parameters of normalizations and tables of embeddings. Updates are
/// rounded stochastically. Options as for mixed.
///
/// Source   Gupta, Agrawal, Gopalakrishnan, Narayanan 2015
template <class Storage, mixed_option... Options>
struct pure {
  static constexpr precision_policy policy = [] {
    precision_policy p = mixed<Storage, Options...>::policy;
    p.masters = p.splits = false;
    return p;
  }();
};

template <class P>
concept precision = requires {
  { P::policy } -> std::convertible_to<precision_policy>;
};

static_assert(precision<fp32> && precision<fp64> && precision<mixed<fp16, skip_tensor>> &&
              precision<pure<fp16>> && precision<mixed<bf16>>);

}  // namespace tessera
