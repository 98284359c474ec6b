#pragma once

// CTC and its gradient on the model, in f32 (ops/ctc.hpp has the formulas). A vertex takes samples;
// lanes are states of one of them. Sums and maxima over states and classes run in order.

#include <tessera/backends/accelerator/loss_operand.hpp>

namespace tessera::accelerator {

inline constexpr float impossible = -1e30f;

inline lanes larger(lanes a, lanes b) { return select(a > b, a, b); }
inline lanes at_least_impossible(lanes x) {
  return select(x < set(impossible), set(impossible), x);
}

/// log(e^a + e^b + e^c)
inline lanes log_add(lanes a, lanes b, lanes c) {
  const lanes most = larger(a, larger(b, c));
  return most + log(exp(a - most) + exp(b - most) + exp(c - most));
}

/// A sample of a call.
struct model_ctc {
  ctc_sizes n;
  i64 sample;
  i32 frames, labels, blank;
  bool batch_last;
  const i32* all_labels;
  model_operand logits;

  model_ctc(const call& c, i64 number)
      : n(ctc_sizes::of(*c.sizes)),
        sample(number),
        frames(c.input<i32>(3)[number]),
        labels(c.input<i32>(5)[number]),
        blank(c.attr->loss.blank),
        batch_last(c.sizes->batch_last),
        all_labels(c.input<i32>(1)),
        logits(c, 0) {}

  i32 states() const { return 2 * labels + 1; }
  i32 label(i32 u) const {
    return all_labels[batch_last ? u * n.batch + sample : sample * n.labels + u];
  }
  bool makes_sense() const {
    if (frames < 0 || frames > n.time || labels < 0 || labels > n.labels) return false;
    if (blank < 0 || blank >= n.classes) return false;
    for (i32 u = 0; u < labels; ++u) {
      if (label(u) < 0 || label(u) >= n.classes || label(u) == blank) return false;
    }
    return true;
  }
  i32 class_of(i32 s) const { return s % 2 == 0 ? blank : label(s / 2); }
  bool skips(i32 s) const {
    return s >= 2 && s % 2 == 1 && s < states() && label(s / 2) != label(s / 2 - 1);
  }

  i64 at(i64 t, i64 k) const {
    return n.first(batch_last, t, sample) + k * n.class_step(batch_last);
  }
  i64 alpha_at(i64 t) const { return (sample * n.time + t) * n.state_row() + ctc_sizes::margin; }
  i64 sum_at(i64 t) const { return t * n.batch + sample; }

  /// log p of the classes of the states of lanes from s on; impossible behind the last.
  lanes emissions(i64 t, i32 s, float log_sum) const {
    lanes y = set(impossible);
    for (i32 i = 0; i < lane_count && s + i < states(); ++i) {
      y[i] = logits[at(t, class_of(s + i))] - log_sum;
    }
    return at_least_impossible(y);
  }
  lanes where_skipped(i32 s, lanes x) const {
    for (i32 i = 0; i < lane_count; ++i) {
      if (!skips(s + i)) x[i] = impossible;
    }
    return x;
  }
  lanes of_states(i32 s, lanes x) const {
    for (i32 i = 0; i < lane_count; ++i) {
      if (s + i >= states()) x[i] = impossible;
    }
    return x;
  }

  float log_sum(i64 t) const {
    float most = logits[at(t, 0)];
    for (i32 k = 1; k < n.classes; ++k) most = logits[at(t, k)] > most ? logits[at(t, k)] : most;
    float sum = 0;
    for (i32 k = 0; k < n.classes; k += lane_count) {
      lanes z = set(impossible);
      for (i32 i = 0; i < lane_count && k + i < n.classes; ++i) z[i] = logits[at(t, k + i)];
      const lanes e = exp(z - set(most));
      for (i32 i = 0; i < lane_count && k + i < n.classes; ++i) sum += e[i];
    }
    return most + log_of(sum);
  }

  /// W of the sample's loss.
  float divisor(const call& c) const {
    const reduction reduce = c.attr->loss.reduce;
    const auto valid = static_cast<float>(c.step->valid);
    if (reduce == reduction::mean) return valid * static_cast<float>(labels > 1 ? labels : 1);
    return reduce == reduction::batch_mean ? valid : 1.0f;
  }
};

/// The largest of a frame's states.
inline float largest_state(const float* row, i32 states) {
  float most = row[0];
  for (i32 s = 1; s < states; ++s) most = row[s] > most || most != most ? row[s] : most;
  return most;
}

/// Takes the largest from all states of a frame, and returns it; 0 where all are impossible.
inline float lower_states(float* row, i32 states) {
  const float most = largest_state(row, states);
  if (most < impossible / 2) return 0;
  for (i32 s = 0; s < states; ++s) {
    const float lowered = row[s] - most;
    row[s] = lowered < impossible ? impossible : lowered;
  }
  return most;
}

/// The loss of a sample; writes its alpha and its frames' sums.
inline float model_ctc_loss(const model_ctc& x, float* alpha, float* sums) {
  if (!x.makes_sense()) return __builtin_nanf("");
  const i32 states = x.states();
  float shift = 0;  // what the stored frames have lost, summed in their order
  for (i32 t = 0; t < x.frames; ++t) {
    const float log_sum = x.log_sum(t);
    sums[x.sum_at(t)] = log_sum;
    float* const row = alpha + x.alpha_at(t);
    const float* const before = row - x.n.state_row();
    for (i32 s = -ctc_sizes::margin; s < 0; ++s) row[s] = impossible;
    for (i32 s = 0; s < states; s += lane_count) {
      lanes a = set(impossible);
      if (t == 0) {
        for (i32 i = 0; i < 2 && s == 0; ++i) a[i] = 0;
      } else {
        a = log_add(load(before + s), load(before + s - 1),
                    x.where_skipped(s, load(before + s - 2)));
      }
      store(row + s, x.of_states(s, at_least_impossible(a + x.emissions(t, s, log_sum))));
    }
    shift += lower_states(row, states);
  }
  float end = x.labels == 0 ? 0.0f : impossible;
  if (x.frames > 0) {
    const float* const last = alpha + x.alpha_at(x.frames - 1);
    end = last[states - 1];
    if (states > 1) {
      end = log_add(set(end), set(last[states - 2]), set(impossible))[0];
    }
  }
  return end < impossible / 2 ? __builtin_inff() : -(end + shift);
}

inline void run_ctc(const machine& m, const call& c) {
  const ctc_sizes n = ctc_sizes::of(*c.sizes);
  float* const alpha = c.output<float>(1);
  float* const sums = c.output<float>(2);
  run_loss(m, c, 1, c.attr->loss.weight, [&](i64 sample, float sum) {
    const model_ctc x(c, sample);
    const bool counts = sample < c.step->valid;
    float one = counts ? model_ctc_loss(x, alpha, sums) : 0.0f;
    sums[x.sum_at(n.time)] = one;
    if (c.attr->loss.zero_infinity && one == __builtin_inff()) one = 0;
    return counts ? sum + one / x.divisor(c) : sum;
  });
}

/// The slopes of a sample that can be aligned.
inline void model_ctc_slopes(const model_ctc& x, const float* alpha, const float* sums, float* beta,
                             const model_output& dz, float factor) {
  const i32 states = x.states();
  float* const classes = beta + x.n.state_row();
  for (i32 s = 0; s < x.n.state_row(); ++s) beta[s] = impossible;
  for (i32 t = x.frames - 1; t >= 0; --t) {
    const float log_sum = sums[x.sum_at(t)];
    const float* const a = alpha + x.alpha_at(t);
    for (i32 s = 0; s < states; s += lane_count) {  // ascending: what is read lies ahead
      lanes b = set(impossible);
      if (t + 1 == x.frames) {
        for (i32 i = 0; i < lane_count; ++i) {
          if (s + i < states && s + i >= states - 2) b[i] = 0;
        }
      } else {
        b = log_add(load(beta + s), load(beta + s + 1), x.where_skipped(s + 2, load(beta + s + 2)));
      }
      store(beta + s, x.of_states(s, at_least_impossible(b)));
    }
    float most = a[0] + beta[0];
    for (i32 s = 1; s < states; ++s) {
      const float way = a[s] + beta[s];
      most = way > most || most != most ? way : most;
    }
    for (i32 k = 0; k < x.n.classes; ++k) classes[k] = 0;
    float all = 0;
    for (i32 s = 0; s < states; s += lane_count) {
      const lanes share = exp(load(a + s) + load(beta + s) - set(most));
      for (i32 i = 0; i < lane_count && s + i < states; ++i) {
        all += share[i];
        classes[x.class_of(s + i)] += share[i];
      }
      store(beta + s, x.of_states(s, load(beta + s) + x.emissions(t, s, log_sum)));
    }
    lower_states(beta, states);
    // dz may lie in the bytes of the logits: the frame's are read once more, then overwritten.
    for (i32 k = 0; k < x.n.classes; k += lane_count) {
      lanes z{};
      lanes of_class{};
      for (i32 i = 0; i < lane_count && k + i < x.n.classes; ++i) {
        z[i] = x.logits[x.at(t, k + i)];
        of_class[i] = classes[k + i];
      }
      const lanes g = set(factor) * (exp(z - set(log_sum)) - of_class / set(all));
      for (i32 i = 0; i < lane_count && k + i < x.n.classes; ++i) dz.set(x.at(t, k + i), g[i]);
    }
  }
}

inline void run_ctc_gradient(const machine& m, const call& c) {
  const ctc_sizes n = ctc_sizes::of(*c.sizes);
  const float* const alpha = c.input<float>(6);
  const float* const sums = c.input<float>(7);
  float* const room = c.output<float>(1);
  const model_output dz(m, c, 0);
  const model_operand above(c, 4);
  const float common = loss_scale_of(c, 2) * c.attr->loss.weight;
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 begin, i64 end, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = begin; i < end; ++i) {
      v.place(map, axis_b, static_cast<i32>(i));
      r.add(v, true);
      for (i64 sample = v.begin[axis_b]; sample < v.begin[axis_b] + v.size[axis_b]; ++sample) {
        const model_ctc x(c, sample);
        const float loss = sums[x.sum_at(n.time)];
        const bool counts = sample < c.step->valid;
        const bool sense = counts && x.makes_sense();
        const bool learns = sense && std::isfinite(loss);
        for (i32 t = 0; t < n.time; ++t) {
          if (learns && t < x.frames) continue;
          // Senseless numbers of frames: all of them.
          const bool nan = counts && loss != loss && (!sense || t < x.frames);
          for (i32 k = 0; k < n.classes; ++k) dz.set(x.at(t, k), nan ? loss : 0.0f);
        }
        if (!learns) continue;
        float factor = common / x.divisor(c);
        if (above) factor *= above[c.attr->loss.reduce == reduction::none ? sample : 0];
        model_ctc_slopes(x, alpha, sums, room + sample * n.room_row(), dz, factor);
      }
    }
  });
}

}  // namespace tessera::accelerator
