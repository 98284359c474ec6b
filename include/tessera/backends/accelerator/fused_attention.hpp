#pragma once

// attention and its gradient on the model (ops/attention.hpp has the formulas).
//
// Products are f32, summed in order; so are the sums of exponentials over keys, and of dq over
// keys, dk and dv over queries. Forward, lanes are queries, numbered (sample, head, query): the
// largest score first, then exponentials and what they weigh, with scores made twice. Going back,
// lanes are keys or queries of a head and the features of what is summed.

#include <tessera/backends/accelerator/attention.hpp>
#include <tessera/ops/attention.hpp>

namespace tessera::accelerator {

/// Operands of a call as heads, in lanes of times or of features.
template <class T>
class attention_heads {
 public:
  static constexpr i64 most_features = ops::max_attention_features + lane_count;

  explicit attention_heads(const call& of)
      : c(of), n(attention_sizes::of(*of.sizes)), scale(of.attr->product.scale) {}

  const call& c;
  attention_sizes n;
  float scale;

  static i64 first(const i32 (&step)[3], i64 features, i64 sample, i64 head) {
    return sample * step[0] + head * features * step[2];
  }
  /// Keys that query i of a sample sees.
  i64 seen(i64 sample, i64 i) const {
    i64 count = n.keys;
    if (c.sizes->has_input(3) && c.input<i32>(3)[sample] < count) {
      count = c.input<i32>(3)[sample] < 0 ? 0 : c.input<i32>(3)[sample];
    }
    return c.attr->causal && i + 1 < count ? i + 1 : count;
  }
  i64 statistic(i64 sample, i64 head, i64 i) const {
    const i64 of_sample = head * n.queries + i;
    return c.sizes->batch_last ? of_sample * n.samples + sample
                               : sample * n.heads * n.queries + of_sample;
  }
};

template <class T>
void run_attention(const machine& m, const call& c) {
  using heads = attention_heads<T>;
  const heads at(c);
  const attention_sizes& n = at.n;
  const lanes least = set(-__builtin_inff());
  for_items(m, c, axis_b, [&](i64 item, i64 count) {
    i64 sample[lane_count], head[lane_count], query[lane_count];
    lanes q[heads::most_features];
    lanes sums[heads::most_features];
    for (i64 l = 0; l < count; ++l) {
      const i64 row = item + l;
      query[l] = row % n.queries;
      head[l] = row / n.queries % n.heads;
      sample[l] = row / n.queries / n.heads;
    }
    const auto gather = [&](i32 slot, const i32(&step)[3], i64 features, i64 time, i64 f) {
      lanes x{};
      for (i64 l = 0; l < count; ++l) {
        x[l] = fetch(c.input<T>(
            slot)[heads::first(step, features, sample[l], head[l]) + time * step[1] + f * step[2]]);
      }
      return x;
    };
    for (i64 f = 0; f < n.features; ++f) {
      q[f] = lanes{};
      for (i64 l = 0; l < count; ++l) {
        q[f][l] = fetch(c.input<T>(
            0)[heads::first(n.q, n.features, sample[l], head[l]) + query[l] * n.q[1] + f * n.q[2]]);
      }
    }
    const auto score = [&](i64 j) {
      lanes sum{};
      for (i64 f = 0; f < n.features; ++f) sum = fma(q[f], gather(1, n.k, n.features, j, f), sum);
      sum = sum * set(at.scale);
      for (i64 l = 0; l < count; ++l) {
        if (j >= at.seen(sample[l], query[l])) sum[l] = -__builtin_inff();
      }
      return sum;
    };
    lanes most = least;
    for (i64 j = 0; j < n.keys; ++j) {
      const lanes z = score(j);
      most = select(z > most, z, most);
    }
    const lanes shift = select(most == least, set(0.0f), most);
    lanes total{};
    for (i64 f = 0; f < n.value_features; ++f) sums[f] = lanes{};
    for (i64 j = 0; j < n.keys; ++j) {
      const lanes e = exp(score(j) - shift);
      total = total + e;
      for (i64 f = 0; f < n.value_features; ++f) {
        lanes v = gather(2, n.v, n.value_features, j, f);
        for (i64 l = 0; l < count; ++l) {  // what is not seen takes no part, whatever it is
          if (j >= at.seen(sample[l], query[l])) v[l] = 0;
        }
        sums[f] = fma(e, v, sums[f]);
      }
    }
    const whole_lanes empty = total == set(0.0f);
    const lanes whole = select(empty, set(1.0f), total);
    for (i64 f = 0; f < n.value_features; ++f) {
      const lanes value = sums[f] / whole;
      for (i64 l = 0; l < count; ++l) {
        const float one = value[l];
        put(storing(m, c), &one,
            c.output<T>(0) + heads::first(n.y, n.value_features, sample[l], head[l]) +
                query[l] * n.y[1] + f * n.y[2],
            1);
      }
    }
    if (!c.sizes->has_output(1)) return;
    const lanes logs = log(whole);
    for (i64 l = 0; l < count; ++l) {
      const float whole_log = total[l] != total[l] ? total[l] : shift[l] + logs[l];
      c.output<float>(1)[at.statistic(sample[l], head[l], query[l])] =
          total[l] == 0 ? __builtin_inff() : whole_log;
    }
  });
}

/// One head of the gradient.
template <class T>
class attention_head_gradient {
 public:
  attention_head_gradient(const machine& m, const attention_heads<T>& of, i64 sample, i64 head)
      : m_(m), of_(of), n_(of.n), sample_(sample), head_(head) {}

  void operator()() {
    if (of_.c.sizes->has_output(0)) {
      for (i64 i = 0; i < n_.queries; ++i) gradient_of_query(i);
    }
    if (!of_.c.sizes->has_output(1) && !of_.c.sizes->has_output(2)) return;
    for (i64 j = 0; j < n_.keys; ++j) gradients_of_key(j);
  }

 private:
  using heads = attention_heads<T>;

  float read(i32 slot, const i32 (&step)[3], i64 features, i64 time, i64 f) const {
    return fetch(of_.c.template input<T>(
        slot)[heads::first(step, features, sample_, head_) + time * step[1] + f * step[2]]);
  }
  float q(i64 i, i64 f) const { return read(0, n_.q, n_.features, i, f); }
  float k(i64 j, i64 f) const { return read(1, n_.k, n_.features, j, f); }
  float v(i64 j, i64 f) const { return read(2, n_.v, n_.value_features, j, f); }
  float dy(i64 i, i64 f) const { return read(6, n_.y, n_.value_features, i, f); }

  void write(i32 slot, const i32 (&step)[3], i64 features, i64 time, const float* from) const {
    if (!of_.c.sizes->has_output(slot)) return;
    for (i64 f = 0; f < features; ++f) {
      put(storing(m_, of_.c), from + f,
          of_.c.template output<T>(slot) + heads::first(step, features, sample_, head_) +
              time * step[1] + f * step[2],
          1);
    }
  }

  /// p and ds of `count` pairs of query i + l di and key j + l dj.
  void pairs(i64 i, i64 di, i64 j, i64 dj, i64 count, lanes& p, lanes& ds) const {
    lanes score{}, gradient{}, share{}, log_sum{};
    const auto vary = [&](const auto& at) {
      lanes x{};
      for (i64 l = 0; l < count; ++l) x[l] = at(i + l * di, j + l * dj);
      return x;
    };
    for (i64 f = 0; f < n_.features; ++f) {
      score = fma(vary([&](i64 a, i64) { return q(a, f); }),
                  vary([&](i64, i64 b) { return k(b, f); }), score);
    }
    for (i64 f = 0; f < n_.value_features; ++f) {
      const lanes g = vary([&](i64 a, i64) { return dy(a, f); });
      gradient = fma(g, vary([&](i64, i64 b) { return v(b, f); }), gradient);
      share =
          fma(g, vary([&](i64 a, i64) { return read(4, n_.y, n_.value_features, a, f); }), share);
    }
    log_sum = vary([&](i64 a, i64) {
      return of_.c.template input<float>(5)[of_.statistic(sample_, head_, a)];
    });
    p = exp(score * set(of_.scale) - log_sum);
    ds = p * set(of_.scale) * (gradient - share);
    for (i64 l = 0; l < count; ++l) {
      if (j + l * dj >= of_.seen(sample_, i + l * di)) p[l] = ds[l] = 0;
    }
  }

  void gradient_of_query(i64 i) const {
    float dq[ops::max_attention_features] = {};
    for (i64 j = 0; j < n_.keys; j += lane_count) {
      const i64 count = n_.keys - j < lane_count ? n_.keys - j : lane_count;
      lanes p, ds;
      pairs(i, 0, j, 1, count, p, ds);
      for (i64 l = 0; l < count && j + l < of_.seen(sample_, i); ++l) {
        for (i64 f = 0; f < n_.features; ++f) dq[f] = __builtin_fmaf(ds[l], k(j + l, f), dq[f]);
      }
    }
    write(0, n_.q, n_.features, i, dq);
  }

  void gradients_of_key(i64 j) const {
    float dk[ops::max_attention_features] = {};
    float dv[ops::max_attention_features] = {};
    for (i64 i = 0; i < n_.queries; i += lane_count) {
      const i64 count = n_.queries - i < lane_count ? n_.queries - i : lane_count;
      lanes p, ds;
      pairs(i, 1, j, 0, count, p, ds);
      for (i64 l = 0; l < count; ++l) {
        if (j >= of_.seen(sample_, i + l)) continue;
        for (i64 f = 0; f < n_.features; ++f) dk[f] = __builtin_fmaf(ds[l], q(i + l, f), dk[f]);
        for (i64 f = 0; f < n_.value_features; ++f) {
          dv[f] = __builtin_fmaf(p[l], dy(i + l, f), dv[f]);
        }
      }
    }
    write(1, n_.k, n_.features, j, dk);
    write(2, n_.v, n_.value_features, j, dv);
  }

  const machine& m_;
  const attention_heads<T>& of_;
  const attention_sizes& n_;
  i64 sample_;
  i64 head_;
};

template <class T>
void run_attention_gradient(const machine& m, const call& c) {
  const attention_heads<T> at(c);
  for_items(m, c, axis_b, [&](i64 item, i64 count) {
    for (i64 i = item; i < item + count; ++i) {
      attention_head_gradient<T>(m, at, i / at.n.heads, i % at.n.heads)();
    }
  });
}

}  // namespace tessera::accelerator
