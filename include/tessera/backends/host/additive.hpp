#pragma once

// additive_scores and its gradient (ops/additive.hpp states what they mean).
//
//   samples outermost   lanes are features; scores are sums across lanes
//   samples innermost   lanes are samples
//
// The gradient gives every feature (every vector of them) to one thread: the sums for dq, dk and dv
// are its own, so no result depends on the number of threads. dk and dv run over queries first; dq
// is a second pass unless there is one query, as in a decoder. Cost: a tanh (about 1 ns a lane and
// 16) for each pair and feature, going back one or two.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/moments.hpp>  // load_first
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Numbers of an operand in the lanes of a kernel: those of n features, or of samples.
template <class T, bool BatchLast>
struct additive_operands {
  additive_sizes n;
  i32 count;  // lanes in use

  simd::vec read(const T* from, i64 step) const {
    using namespace simd;
    if (step == 1) return load_first(from, count);
    if (step == 0) return set(as_float(*from));
    float all[lanes] = {};
    for (i32 i = 0; i < count; ++i) all[i] = as_float(from[i * step]);
    return load(all);
  }
  void write(T* to, i64 step, simd::vec x) const {
    using namespace simd;
    if (step == 1) return store_first(to, x, count);
    float all[lanes];
    store(all, x);
    for (i32 i = 0; i < count; ++i) store_number(to + i * step, all[i]);
  }
  static constexpr i32 lane = BatchLast ? 0 : 2;  // the axis that lanes run over
  i64 of_q(i64 s, i64 i, i64 a) const { return s * n.q[0] + i * n.q[1] + a * n.q[2]; }
  i64 of_k(i64 s, i64 j, i64 a) const { return s * n.k[0] + j * n.k[1] + a * n.k[2]; }
  i64 of_e(i64 s, i64 i, i64 j) const { return s * n.e[0] + i * n.e[1] + j * n.e[2]; }
  simd::vec q(const T* from, i64 s, i64 i, i64 a) const {
    return read(from + of_q(s, i, a), n.q[lane]);
  }
  simd::vec k(const T* from, i64 s, i64 j, i64 a) const {
    return read(from + of_k(s, j, a), n.k[lane]);
  }
  simd::vec v(const T* from, i64 a) const { return read(from + a, BatchLast ? 0 : 1); }
  simd::vec e(const T* from, i64 s, i64 i, i64 j) const {
    return read(from + of_e(s, i, j), BatchLast ? n.e[0] : 0);
  }
};

template <class T, bool BatchLast>
void additive_scores(const call& c) {
  using namespace simd;
  const auto n = additive_sizes::of(*c.sizes);
  const T* const q = c.input<T>(0);
  const T* const k = c.input<T>(1);
  const T* const v = c.input<T>(2);
  T* const e = c.output<T>(0);
  const i32 side_by_side = BatchLast ? lanes : 1;  // samples of one item
  const threads workers = c.step->threads.when(n.pairs() * n.features >= 8192);
  parallel_for(workers, n.samples / side_by_side * n.queries, [&](i32 item) {
    additive_operands<T, BatchLast> at{n, lanes};
    const i64 s = i64{item / n.queries} * side_by_side;
    const i64 i = item % n.queries;
    for (i64 j = 0; j < n.keys; ++j) {
      vec sum = zero();
      for (i32 a = 0; a < n.features; a += BatchLast ? 1 : lanes) {
        if (!BatchLast) at.count = n.features - a < lanes ? n.features - a : lanes;
        sum = fma(at.v(v, a), host::tanh(at.q(q, s, i, a) + at.k(k, s, j, a)), sum);
      }
      if constexpr (BatchLast) {
        at.write(e + at.of_e(s, i, j), n.e[0], sum);
      } else {
        at.count = 1;
        at.write(e + at.of_e(s, i, j), 1, set(simd::sum(sum)));
      }
    }
  });
}

template <class T, bool BatchLast>
void additive_scores_gradient(const call& c) {
  using namespace simd;
  const auto n = additive_sizes::of(*c.sizes);
  const T* const q = c.input<T>(0);
  const T* const k = c.input<T>(1);
  const T* const v = c.input<T>(2);
  const T* const de = c.input<T>(3);
  T* const dq = c.output<T>(0);
  T* const dk = c.output<T>(1);
  T* const dv = c.output<T>(2);
  const i32 features = BatchLast ? 1 : lanes;  // of one item
  const i32 samples = BatchLast ? lanes : 1;   // of one step
  const threads workers = c.step->threads.when(n.pairs() * n.features >= 4096);
  parallel_for(workers, (n.features + features - 1) / features, [&](i32 item) {
    const i32 a = item * features;
    const i32 rest = n.features - a;
    const additive_operands<T, BatchLast> at{n, BatchLast || rest > lanes ? lanes : rest};
    const vec weight = at.v(v, a);
    const vec one = set(1.0f);
    vec sum_v = zero();
    for (i64 s = 0; s < n.samples; s += samples) {
      vec sum_q = zero();  // where there is one query
      for (i64 j = 0; j < n.keys; ++j) {
        const vec key = at.k(k, s, j, a);
        vec sum_k = zero();
        for (i64 i = 0; i < n.queries; ++i) {
          const vec g = at.e(de, s, i, j);
          const vec t = host::tanh(at.q(q, s, i, a) + key);
          const vec d = g * fnma(t, t, one);
          sum_v = fma(g, t, sum_v);
          sum_k = sum_k + d;
          sum_q = sum_q + d;
        }
        if (dk != nullptr) at.write(dk + at.of_k(s, j, a), n.k[at.lane], weight * sum_k);
      }
      if (dq == nullptr) continue;
      if (n.queries == 1) {
        at.write(dq + at.of_q(s, 0, a), n.q[at.lane], weight * sum_q);
        continue;
      }
      for (i64 i = 0; i < n.queries; ++i) {
        const vec query = at.q(q, s, i, a);
        vec sum = zero();
        for (i64 j = 0; j < n.keys; ++j) {
          const vec t = host::tanh(query + at.k(k, s, j, a));
          sum = fma(at.e(de, s, i, j), fnma(t, t, one), sum);
        }
        at.write(dq + at.of_q(s, i, a), n.q[at.lane], weight * sum);
      }
    }
    if (dv == nullptr) return;
    if constexpr (BatchLast) {
      additive_operands<T, BatchLast>{n, 1}.write(dv + a, 1, set(simd::sum(sum_v)));
    } else {
      at.write(dv + a, 1, sum_v);
    }
  });
}

}  // namespace tessera::host
