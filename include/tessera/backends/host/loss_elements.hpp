#pragma once

// Losses element by element and their gradients: one loop for all, a value and a slope for each
// (ops/loss_elements.hpp has the formulas).
//
// Losses are summed in 16 sums, element i of a block of 1024 into sum i mod 16, in f32; the sums of
// a block then in order in f64: the result depends neither on the vector width nor on the threads.
// Cost: mse, l1 and huber run at the speed of memory; what needs exp or log takes 2 to 4 cycles an
// element of AVX2.

#include <tessera/backends/host/loss_operand.hpp>

namespace tessera::host {

/// Value and slope of loss `What` at x with target t. `positive` is the weight of positives.
template <kind What>
struct element_row;

template <>
struct element_row<kind::mse> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    return (x - t) * (x - t);
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    return simd::set(2.0f) * (x - t);
  }
};

template <>
struct element_row<kind::l1> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    return simd::absolute(x - t);
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    return slope_sign(x - t);
  }
};

template <>
struct element_row<kind::smooth_l1> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec d = x - t;
    const simd::vec size = simd::absolute(d);
    return simd::select(size < simd::set(a.delta), d * d / simd::set(2 * a.delta),
                        size - simd::set(a.delta * 0.5f));
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec d = x - t;
    return simd::select(simd::absolute(d) < simd::set(a.delta), d / simd::set(a.delta),
                        slope_sign(d));
  }
};

template <>
struct element_row<kind::huber> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec d = x - t;
    const simd::vec size = simd::absolute(d);
    const simd::vec delta = simd::set(a.delta);
    return simd::select(size <= delta, d * d * simd::set(0.5f),
                        delta * (size - simd::set(a.delta * 0.5f)));
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec d = x - t;
    const simd::vec delta = simd::set(a.delta);
    return simd::select(simd::absolute(d) <= delta, d, delta * slope_sign(d));
  }
};

template <>
struct element_row<kind::bce_with_logits> {
  static simd::vec share(simd::vec t, simd::vec positive) {
    return simd::fma(positive - simd::set(1.0f), t, simd::set(1.0f));
  }
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes&, simd::vec positive) {
    return simd::fma(share(t, positive), softplus_of_minus(x), (simd::set(1.0f) - t) * x);
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes&, simd::vec positive) {
    return simd::fnma(share(t, positive), host::sigmoid(simd::zero() - x), simd::set(1.0f) - t);
  }
};

template <>
struct element_row<kind::bce> {
  static simd::vec bounded_log(simd::vec p) {
    const simd::vec y = log_of_any(p);
    return simd::select(y < simd::set(-100.0f), simd::set(-100.0f), y);
  }
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    const simd::vec one = simd::set(1.0f);
    return simd::zero() - t * bounded_log(x) - (one - t) * bounded_log(one - x);
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes&, simd::vec) {
    const simd::vec variance = x * (simd::set(1.0f) - x);
    const simd::vec least = simd::set(1e-12f);
    return (x - t) / simd::select(variance < least, least, variance);
  }
};

template <>
struct element_row<kind::kl_div> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    if (a.log_target) return host::exp(t) * (t - x);
    const simd::vec y = t * (log_of_any(t) - x);
    // 0 of a target of 0, but NaN of NaN
    return simd::select(t == simd::zero(), simd::select(simd::is_nan(x), x, simd::zero()), y);
  }
  static simd::vec slope(simd::vec, simd::vec t, const loss_attributes& a, simd::vec) {
    return simd::zero() - (a.log_target ? host::exp(t) : t);
  }
};

template <>
struct element_row<kind::binary_hinge> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec h = above_zero(simd::fnma(t, x, simd::set(a.margin)));
    return a.power == 1 ? h : h * h;
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec h = above_zero(simd::fnma(t, x, simd::set(a.margin)));
    if (a.power == 2) return simd::set(-2.0f) * t * h;
    return simd::select(h > simd::zero(), simd::zero() - t, h);
  }
};

template <>
struct element_row<kind::hinge_embedding> {
  static simd::vec value(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec h = above_zero(simd::set(a.margin) - x);
    return simd::select(t == simd::set(-1.0f), simd::zero(), x) +
           simd::select(t == simd::set(1.0f), simd::zero(), h) + (t - t);  // NaN stays
  }
  static simd::vec slope(simd::vec x, simd::vec t, const loss_attributes& a, simd::vec) {
    const simd::vec one = simd::set(1.0f);
    const simd::vec h = slope_sign(above_zero(simd::set(a.margin) - x));
    return simd::select(t == simd::set(-1.0f), simd::zero(), one) -
           simd::select(t == one, simd::zero(), h) + (t - t);
  }
};

/// The operands of a loss over elements, seen vector by vector.
template <kind What>
class element_view {
 public:
  explicit element_view(const call& c)
      : n(element_loss_sizes::of(*c.sizes)),
        attr(c.attr->loss),
        valid(c.step->valid),
        x_(c, 0),
        target_(c, 1),
        weights_(c, 3),
        positive_(c, 5) {}

  const element_loss_sizes n;
  const loss_attributes attr;
  const i32 valid;

  /// The losses of `count` elements from e on.
  simd::vec value(i64 e, i32 count) const {
    const simd::vec y = element_row<What>::value(x_.load(e, count), target_.load(e, count), attr,
                                                 positive(e, count));
    return weights_ ? y * weights_.load(e, count) : y;
  }
  simd::vec slope(i64 e, i32 count) const {
    const simd::vec y = element_row<What>::slope(x_.load(e, count), target_.load(e, count), attr,
                                                 positive(e, count));
    return weights_ ? y * weights_.load(e, count) : y;
  }

  /// f(first, last) for the elements that count, in runs.
  template <class Function>
  void for_runs(const Function& f) const {
    const i64 run = n.counted_of_period(valid);
    if (run == n.period) return f(i64{0}, i64{n.count});
    for (i64 first = 0; first < n.count; first += n.period) f(first, first + run);
  }
  /// The same for those that do not.
  template <class Function>
  void for_gaps(const Function& f) const {
    const i64 run = n.counted_of_period(valid);
    if (run == n.period) return;
    for (i64 first = 0; first < n.count; first += n.period) f(first + run, first + n.period);
  }

  /// The sum of the losses of elements first to last - 1.
  double sum(i64 first, i64 last) const {
    double total = 0;
    for (i64 block = first; block < last; block += 1024) {
      total += block_sum(block, last - block < 1024 ? last : block + 1024);
    }
    return total;
  }

  /// The sum over all that counts.
  double sum(threads workers) const {
    constexpr i32 pieces = 64;
    if (n.counted_of_period(valid) == n.period && n.count >= pieces * 1024) {
      double part[pieces];
      const i64 piece = (i64{n.count} + pieces * 1024 - 1) / (pieces * 1024) * 1024;
      parallel_for(workers, pieces, [&](i32 i) {
        const i64 first = i * piece;
        part[i] = sum(first, first + piece < n.count ? first + piece : n.count);
      });
      double total = 0;
      for (const double one : part) total += one;
      return total;
    }
    double total = 0;
    for_runs([&](i64 first, i64 last) { total += sum(first, last); });
    return total;
  }

 private:
  static constexpr i32 sums = 16;

  simd::vec positive(i64 e, i32 count) const {
    if (!positive_) return simd::set(1.0f);
    float all[simd::lanes] = {};
    i64 channel = e / n.channel_step % n.channels;
    i64 left = n.channel_step - e % n.channel_step;
    for (i32 i = 0; i < count; ++i) {
      all[i] = positive_[channel];
      if (--left > 0) continue;
      left = n.channel_step;
      if (++channel == n.channels) channel = 0;
    }
    return simd::load(all);
  }

  double block_sum(i64 first, i64 last) const {
    using namespace simd;
    vec acc[sums / lanes];
    for (vec& a : acc) a = zero();
    i64 e = first;
    for (; e + sums <= last; e += sums) {
      TESSERA_UNROLL
      for (i32 u = 0; u < sums / lanes; ++u) acc[u] = acc[u] + value(e + u * lanes, lanes);
    }
    float all[sums];
    for (i32 u = 0; u < sums / lanes; ++u) store(all + u * lanes, acc[u]);
    for (i32 at = 0; e < last; e += lanes, at += lanes) {
      const i32 rest = last - e < lanes ? static_cast<i32>(last - e) : lanes;
      float tail[lanes];
      store(tail, value(e, rest));
      for (i32 i = 0; i < rest; ++i) all[at + i] += tail[i];
    }
    double total = 0;
    for (const float one : all) total += static_cast<double>(one);
    return total;
  }

  loss_operand x_, target_, weights_, positive_;
};

template <kind What>
void element_loss(const call& c) {
  using namespace simd;
  const element_view<What> view(c);
  const float weight = view.attr.weight;
  float* const loss = c.output<float>(0);
  if (view.attr.reduce != reduction::none) {
    *loss = static_cast<float>(static_cast<double>(weight) * view.sum(c.step->threads) /
                               view.n.divisor(view.attr.reduce, view.valid));
    return;
  }
  view.for_gaps([&](i64 first, i64 last) { std::fill(loss + first, loss + last, 0.0f); });
  view.for_runs([&](i64 begin, i64 end) {
    parallel_ranges(c.step->threads, end - begin, [&](i64 first, i64 last) {
      for (i64 e = begin + first; e < begin + last; e += lanes) {
        const i64 rest = begin + last - e;
        const i32 count = rest < lanes ? static_cast<i32>(rest) : lanes;
        store_partial(loss + e, set(weight) * view.value(e, count), count);
      }
    });
  });
}

template <kind What>
void element_loss_gradient(const call& c) {
  using namespace simd;
  const element_view<What> view(c);
  const loss_operand above(c, 4);
  const bool each = above && view.attr.reduce == reduction::none;
  float common = loss_factor(c, view.n.divisor(view.attr.reduce, view.valid));
  if (above && !each) common *= above[0];
  const loss_output dx(c, 0);
  view.for_gaps([&](i64 first, i64 last) { dx.clear(first, last); });
  view.for_runs([&](i64 begin, i64 end) {
    parallel_ranges(c.step->threads, end - begin, [&](i64 first, i64 last) {
      for (i64 e = begin + first; e < begin + last; e += lanes) {
        const i64 rest = begin + last - e;
        const i32 count = rest < lanes ? static_cast<i32>(rest) : lanes;
        vec g = set(common) * view.slope(e, count);
        if (each) g = g * above.load(e, count);
        dx.store(e, g, count);
      }
    });
  });
}

}  // namespace tessera::host
