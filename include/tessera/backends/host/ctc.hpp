#pragma once

// CTC and its gradient (ops/ctc.hpp has the formulas).
//
// Samples go to threads; of a sample, vectors hold states side by side: a frame reads the frame
// before at s, s - 1 and s - 2, which are three loads. What is impossible is -1e30: it stays finite
// in all sums and vanishes in every exp. Sums of a frame run in 16 lanes of f32, whatever the
// vector width; losses of samples are summed in f64, in their order.
// Cost: 3 exp and a log for a state and frame on either way; with 40 states and 30 classes the
// softmax of the logits costs as much again.

#include <tessera/backends/host/loss_operand.hpp>
#include <cmath>

namespace tessera::host {

/// log 0.
inline constexpr float impossible = -1e30f;

/// log(e^a + e^b + e^c)
inline simd::vec log_add(simd::vec a, simd::vec b, simd::vec c) {
  const simd::vec most = simd::larger(a, simd::larger(b, c));
  const simd::vec sum = host::exp(a - most) + host::exp(b - most) + host::exp(c - most);
  return simd::select(simd::is_nan(sum), sum, most + host::log(sum));
}

/// The larger one; NaN stays.
inline simd::vec at_least_impossible(simd::vec x) {
  return simd::select(x < simd::set(impossible), simd::set(impossible), x);
}

/// A sample of a call.
class ctc_sample {
 public:
  ctc_sample(const call& c, i64 sample)
      : n(ctc_sizes::of(*c.sizes)),
        frames(c.input<i32>(3)[sample]),
        labels(c.input<i32>(5)[sample]),
        logits(c, 0),
        sample_(sample),
        blank_(c.attr->loss.blank),
        batch_last_(c.sizes->batch_last),
        label_(c.input<i32>(1) + (batch_last_ ? sample : sample * n.labels)),
        label_step_(batch_last_ ? n.batch : 1) {}

  const ctc_sizes n;
  const i32 frames, labels;
  const loss_operand logits;

  i32 states() const { return 2 * labels + 1; }
  i32 label(i32 u) const { return label_[u * label_step_]; }

  bool makes_sense() const {
    if (frames < 0 || frames > n.time || labels < 0 || labels > n.labels) return false;
    if (blank_ < 0 || blank_ >= n.classes) return false;
    for (i32 u = 0; u < labels; ++u) {
      if (label(u) < 0 || label(u) >= n.classes || label(u) == blank_) return false;
    }
    return true;
  }
  i32 class_of(i32 s) const { return known_ ? class_[s] : find_class(s); }

  /// Looks up the states once, of a sample that makes sense, where they fit; many frames ask.
  void find_states() {
    if (states() + 2 * simd::lanes + 2 > most_known) return;
    for (i32 s = 0; s < states(); ++s) class_[s] = find_class(s);
    for (i32 s = 0; s < states() + 2 * simd::lanes + 2; ++s) skip_[s] = find_skip(s) ? 1.0f : 0.0f;
    known_ = true;
  }

  i64 first(i64 t) const { return n.first(batch_last_, t, sample_); }
  i64 step() const { return n.class_step(batch_last_); }
  i64 alpha_at(i64 t) const { return (sample_ * n.time + t) * n.state_row() + ctc_sizes::margin; }
  i64 sum_at(i64 t) const { return t * n.batch + sample_; }

  /// log p of the classes of states s to s + lanes - 1 in frame t; impossible behind the last.
  simd::vec emissions(i64 t, i32 s, float log_sum) const {
    float all[simd::lanes];
    const i32 count = lanes_from(s);
    for (i32 i = 0; i < count; ++i) all[i] = logits[first(t) + class_of(s + i) * step()] - log_sum;
    for (i32 i = count; i < simd::lanes; ++i) all[i] = impossible;
    return at_least_impossible(simd::load(all));
  }
  /// `yes` where a way may go from state s - 2 to s, else impossible.
  simd::vec where_skipped(i32 s, simd::vec yes) const {
    if (known_) {
      return simd::select(simd::load(skip_ + s) > simd::zero(), yes, simd::set(impossible));
    }
    float all[simd::lanes];
    for (i32 i = 0; i < simd::lanes; ++i) all[i] = find_skip(s + i) ? 1.0f : 0.0f;
    return simd::select(simd::load(all) > simd::zero(), yes, simd::set(impossible));
  }
  /// `x` for states, impossible behind the last.
  simd::vec of_states(i32 s, simd::vec x) const {
    const i32 count = lanes_from(s);
    if (count == simd::lanes) return x;
    float all[simd::lanes];
    simd::store(all, x);
    for (i32 i = count; i < simd::lanes; ++i) all[i] = impossible;
    return simd::load(all);
  }
  i32 lanes_from(i32 s) const {
    const i32 rest = states() - s;
    return rest >= simd::lanes ? simd::lanes : rest > 0 ? rest : 0;
  }

  /// log sum exp of a frame's logits.
  float log_sum(i64 t) const {
    using namespace simd;
    vec most = logits.load(first(t), one_load(0), step());
    float largest = logits[first(t)];
    if (n.classes >= lanes) {
      for (i32 k = lanes; k + lanes <= n.classes; k += lanes) {
        most = larger(logits.load(first(t) + k * step(), lanes, step()), most);
      }
      largest = largest_lane(most);
    }
    for (i32 k = n.classes >= lanes ? n.classes / lanes * lanes : 1; k < n.classes; ++k) {
      const float z = logits[first(t) + k * step()];
      largest = z > largest ? z : largest;
    }
    float sums[16] = {};
    for (i32 k = 0; k < n.classes; k += lanes) {
      const i32 count = one_load(k);
      float terms[lanes];
      store(terms, host::exp(logits.load(first(t) + k * step(), count, step()) - set(largest)));
      for (i32 i = 0; i < count; ++i) sums[(k + i) % 16] += terms[i];
    }
    float sum = 0;
    for (const float one : sums) sum += one;
    return largest + std::log(sum);
  }
  i32 one_load(i32 k) const { return n.classes - k < simd::lanes ? n.classes - k : simd::lanes; }

 private:
  i32 find_class(i32 s) const { return s % 2 == 0 ? blank_ : label(s / 2); }
  bool find_skip(i32 s) const {
    return s >= 2 && s % 2 == 1 && s < states() && label(s / 2) != label(s / 2 - 1);
  }

  static constexpr i32 most_known = 1024;

  i64 sample_;
  i32 blank_;
  bool batch_last_;
  const i32* label_;
  i64 label_step_;
  bool known_ = false;
  i32 class_[most_known];
  float skip_[most_known];
};

/// The largest of a frame's states.
inline float largest_state(const float* row, i32 states) {
  float most = row[0];
  for (i32 s = 1; s < states; ++s) most = row[s] > most || most != most ? row[s] : most;
  return most;
}

/// Takes `shift` from the states of a frame.
inline void lower_states(float* row, i32 states, float shift) {
  using namespace simd;
  for (i32 s = 0; s < states; s += lanes) {
    store(row + s, at_least_impossible(load(row + s) - set(shift)));
  }
}

/// The loss of a sample; writes its alpha and its frames' sums.
inline float ctc_loss_of(ctc_sample& x, float* alpha, float* sums) {
  using namespace simd;
  if (!x.makes_sense()) return std::numeric_limits<float>::quiet_NaN();
  x.find_states();
  const i32 states = x.states();
  double shift = 0;  // what the stored frames have lost
  for (i32 t = 0; t < x.frames; ++t) {
    const float log_sum = x.log_sum(t);
    sums[x.sum_at(t)] = log_sum;
    float* const row = alpha + x.alpha_at(t);
    const float* const before = row - x.n.state_row();
    for (i32 s = -ctc_sizes::margin; s < 0; ++s) row[s] = impossible;
    for (i32 s = 0; s < states; s += lanes) {
      vec a;
      if (t == 0) {
        float start[lanes];
        for (i32 i = 0; i < lanes; ++i) start[i] = s + i < 2 ? 0.0f : impossible;
        a = load(start);
      } else {
        a = log_add(load(before + s), load(before + s - 1),
                    x.where_skipped(s, load(before + s - 2)));
      }
      a = at_least_impossible(a + x.emissions(t, s, log_sum));
      store(row + s, x.of_states(s, a));
    }
    const float most = largest_state(row, states);
    if (most < impossible / 2) continue;
    shift += static_cast<double>(most);
    lower_states(row, states, most);
  }
  double end = x.labels == 0 ? 0 : static_cast<double>(impossible);
  if (x.frames > 0) {
    const float* const last = alpha + x.alpha_at(x.frames - 1);
    end = static_cast<double>(last[states - 1]);
    if (states > 1) {
      const auto other = static_cast<double>(last[states - 2]);
      const double most = end > other ? end : other;
      end = most + std::log(std::exp(end - most) + std::exp(other - most));
    }
  }
  if (end < static_cast<double>(impossible) / 2) return std::numeric_limits<float>::infinity();
  return static_cast<float>(-(end + shift));
}

/// W of a sample's loss.
inline double ctc_divisor(const call& c, i64 sample) {
  const reduction reduce = c.attr->loss.reduce;
  const double valid = c.step->valid;
  const i32 labels = c.input<i32>(5)[sample];
  if (reduce == reduction::mean) return valid * (labels > 1 ? labels : 1);
  return reduce == reduction::batch_mean ? valid : 1;
}

inline void ctc(const call& c) {
  const ctc_sizes n = ctc_sizes::of(*c.sizes);
  const loss_attributes& attr = c.attr->loss;
  float* const loss = c.output<float>(0);
  float* const alpha = c.output<float>(1);
  float* const sums = c.output<float>(2);
  float* const losses = sums + i64{n.time} * n.batch;
  parallel_for(c.step->threads, n.batch, [&](i32 sample) {
    ctc_sample x(c, sample);
    losses[sample] = sample < c.step->valid ? ctc_loss_of(x, alpha, sums) : 0.0f;
  });
  double total = 0;
  for (i32 sample = 0; sample < n.batch; ++sample) {
    const bool nothing = attr.zero_infinity && std::isinf(losses[sample]);
    const float one = nothing ? 0.0f : attr.weight * losses[sample];
    if (attr.reduce == reduction::none) {
      loss[sample] = one;
    } else if (sample < c.step->valid) {
      total += static_cast<double>(one) / ctc_divisor(c, sample);
    }
  }
  if (attr.reduce != reduction::none) *loss = static_cast<float>(total);
}

/// Makes of beta and what its frame gives, in place, beta of the frame before.
inline void beta_step(const ctc_sample& x, float* beta, bool last) {
  using namespace simd;
  const i32 states = x.states();
  for (i32 s = 0; s < states; s += lanes) {  // ascending: what is read lies ahead
    if (last) {
      float end[lanes];
      for (i32 i = 0; i < lanes; ++i) {
        end[i] = s + i < states && s + i >= states - 2 ? 0.0f : impossible;
      }
      store(beta + s, load(end));
      continue;
    }
    const vec far = x.where_skipped(s + 2, load(beta + s + 2));
    const vec b = log_add(load(beta + s), load(beta + s + 1), far);
    store(beta + s, x.of_states(s, at_least_impossible(b)));
  }
}

/// The slopes of a sample that can be aligned.
inline void ctc_gradient_of(const ctc_sample& x, const float* alpha, const float* sums, float* beta,
                            const loss_output& dz, float factor) {
  using namespace simd;
  const i32 states = x.states();
  float* const classes = beta + x.n.state_row();
  for (i32 s = 0; s < x.n.state_row(); ++s) beta[s] = impossible;
  for (i32 t = x.frames - 1; t >= 0; --t) {
    const float log_sum = sums[x.sum_at(t)];
    const float* const a = alpha + x.alpha_at(t);
    beta_step(x, beta, t + 1 == x.frames);
    // Shares of the states in all ways, relative to the largest; their sum in 16 lanes.
    float most = a[0] + beta[0];
    for (i32 s = 1; s < states; ++s) {
      const float way = a[s] + beta[s];
      most = way > most || most != most ? way : most;
    }
    for (i32 k = 0; k < x.n.classes; ++k) classes[k] = 0;
    float lanes_of_sum[16] = {};
    for (i32 s = 0; s < states; s += lanes) {
      float share[lanes];
      store(share, host::exp(load(a + s) + load(beta + s) - set(most)));
      const i32 count = x.lanes_from(s);
      for (i32 i = 0; i < count; ++i) {
        lanes_of_sum[(s + i) % 16] += share[i];
        classes[x.class_of(s + i)] += share[i];
      }
    }
    float all = 0;
    for (const float one : lanes_of_sum) all += one;
    for (i32 s = 0; s < states; s += lanes) {
      store(beta + s, x.of_states(s, load(beta + s) + x.emissions(t, s, log_sum)));
    }
    const float largest = largest_state(beta, states);
    if (largest > impossible / 2) lower_states(beta, states, largest);
    // dz may lie in the bytes of the logits: the frame's are read once more, then overwritten.
    const vec inverse = set(1 / all);
    for (i32 k = 0; k < x.n.classes; k += lanes) {
      const i32 count = x.one_load(k);
      const i64 at = x.first(t) + k * x.step();
      const vec p = host::exp(x.logits.load(at, count, x.step()) - set(log_sum));
      const vec g = set(factor) * fnma(load(classes + k), inverse, p);
      dz.store(at, g, count, x.step());
    }
  }
}

inline void ctc_gradient(const call& c) {
  const ctc_sizes n = ctc_sizes::of(*c.sizes);
  const loss_attributes& attr = c.attr->loss;
  const float* const alpha = c.input<float>(6);
  const float* const sums = c.input<float>(7);
  float* const room = c.output<float>(1);
  const loss_output dz(c, 0);
  const loss_operand above(c, 4);
  parallel_for(c.step->threads, n.batch, [&](i32 sample) {
    ctc_sample x(c, sample);
    const float loss = sums[x.sum_at(n.time)];
    const bool counts = sample < c.step->valid;
    const bool sense = counts && x.makes_sense();
    const bool learns = sense && std::isfinite(loss);
    for (i32 t = 0; t < n.time; ++t) {
      if (learns && t < x.frames) continue;
      // Senseless numbers of frames: all of them.
      const bool nan = counts && std::isnan(loss) && (!sense || t < x.frames);
      for (i32 k = 0; k < n.classes; ++k) dz.set(x.first(t) + k * x.step(), nan ? loss : 0.0f);
    }
    if (!learns) return;
    x.find_states();
    float factor = loss_factor(c, ctc_divisor(c, sample));
    if (above) factor *= above[attr.reduce == reduction::none ? sample : 0];
    ctc_gradient_of(x, alpha, sums, room + i64{sample} * n.room_row(), dz, factor);
  });
}

}  // namespace tessera::host
