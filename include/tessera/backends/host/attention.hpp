#pragma once

// attention and its gradient (ops/attention.hpp states what they mean): no matrix of all scores.
//
//   a block of at most 64 queries meets blocks of at most 64 keys, a sample and head at a time:
//
//   scores [key][query]   = k q          16 KiB, in L1
//   p      [key][query]   = exp(scale scores - m), m the largest so far; what was summed before
//                           is multiplied by exp(m before - m)
//   y      [feature][query] (+)= v p;    in the end divided by the sum of p
//
// Lanes are queries: maxima and sums run over keys in their order, in f32, whatever the width of
// vectors. Going back, p comes again from the row's statistic, and
//
//   dp = v dy     ds = scale p (dp - sum of dy y)     dq = k ds     dv = dy p     dk = q ds
//
// the last two with p and ds turned over. Where queries and keys fit one block each, as in
// sequences of up to 64, that is all done once; otherwise dq is made block by block of queries, and
// dk and dv block by block of keys, which takes scores and dp twice.
// Threads share groups of samples, heads, and (forward) blocks of queries.
//
// Floor: pairs x (features + value features) multiply-adds, going back 2.5 times as many. Of 32
// samples, 4 heads, 64 times and 16 features, with samples innermost, one core of Zen 4 takes 1.9
// times the floor forward (a third of it exponentials) and 1.55 times going back (a fifth of it
// panels being turned over).

#include <limits>

#include <tessera/backends/host/attention_panels.hpp>
#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// e^x for x up to about 0; 0 below -87.7, where it would be subnormal. NaN stays.
inline simd::vec exp_of_negative(simd::vec x) {
  const exp_parts parts = split_exp(simd::larger(simd::set(-88.0f), x));
  return simd::fma(parts.minus_1, parts.scale, parts.scale);
}

/// How the work is cut: samples turned over at once, times in blocks.
struct attention_cut {
  i32 samples;
  i32 queries;
  i32 keys;

  /// The largest that fits `capacity` floats. `more`: 1 where blocks of sums lie beside them.
  static attention_cut of(const attention_sizes& n, bool side_by_side, i64 capacity, i64 more) {
    attention_cut cut{side_by_side && n.samples % 16 == 0 ? 16 : 1,
                      attention_padded(n.queries < attention_block ? n.queries : attention_block),
                      attention_padded(n.keys < attention_block ? n.keys : attention_block)};
    const i64 both = i64{n.features} + n.value_features;
    const auto fits = [&] {
      const i64 sums = more * (cut.queries > cut.keys ? cut.queries : cut.keys);
      const i64 of_sample = both * (cut.queries + cut.keys + sums) + 6 * attention_grain;
      return cut.samples * of_sample <= capacity;
    };
    if (!fits() && cut.samples == 16) cut.samples = 8;
    while (!fits() && (cut.queries > attention_grain || cut.keys > attention_grain)) {
      i32& larger = cut.queries > cut.keys ? cut.queries : cut.keys;
      larger = attention_padded(larger / 2);
    }
    if (!fits()) cut.samples = 1;
    return cut;
  }
};

/// The operands of a call as heads of sequences.
template <class T>
struct attention_call {
  const call& c;
  attention_sizes n;
  bool last;  // samples lie side by side
  float scale;
  bool causal;
  const i32* lengths;

  explicit attention_call(const call& of)
      : c(of),
        n(attention_sizes::of(*of.sizes)),
        last(n.q[0] == 1 && n.k[0] == 1 && n.v[0] == 1 && n.y[0] == 1),
        scale(of.attr->product.scale),
        causal(of.attr->causal),
        lengths(of.input<i32>(3)) {}

  template <class U>
  head_view<U> view(U* base, const i32 (&step)[3], i32 features, i64 sample, i64 head) const {
    return {base + sample * step[0] + head * features * step[2], step[1], step[2], features};
  }
  /// Keys that a sample has.
  i32 keys(i64 sample) const {
    if (lengths == nullptr || lengths[sample] >= n.keys) return n.keys;
    return lengths[sample] < 0 ? 0 : lengths[sample];
  }
  /// Where the statistics of a head lie, and how far its queries are apart.
  i64 statistic(i64 sample, i64 head) const {
    const bool inner = c.sizes->batch_last;
    return inner ? head * n.queries * n.samples + sample : (sample * n.heads + head) * n.queries;
  }
  bool worth_threads() const { return n.pairs() * (n.features + n.value_features) >= 65536; }
  i64 statistic_step() const { return c.sizes->batch_last ? n.samples : 1; }
};

/// Numbers of the queries in lanes, from `first` on.
inline simd::vec query_numbers(i32 first) {
  float all[simd::lanes];
  for (i32 i = 0; i < simd::lanes; ++i) all[i] = static_cast<float>(first + i);
  return simd::load(all);
}

/// -infinity for keys behind their query: scores [key][query], numbered from `key` and `query`.
inline void hide_later_keys(float* scores, i32 row, i32 keys, i32 key, i32 query) {
  using namespace simd;
  for (i32 j = 0; j < row; j += lanes) {
    const vec number = query_numbers(query + j);
    for (i32 k = 0; k < keys; ++k) {
      float* const at = scores + k * i64{row} + j;
      store(at, select(set(static_cast<float>(key + k)) > number,
                       set(-std::numeric_limits<float>::infinity()), load(at)));
    }
  }
}

/// Scores to exponentials, a vector of queries at a time, with the largest and the sum of the
/// blocks before in `most` and `total`; y is multiplied by what that changes.
inline void add_exponentials(float* scores, i32 row, i32 keys, float scale, float* most,
                             float* total, float* y, i32 features, bool first) {
  using namespace simd;
  const vec least = set(-std::numeric_limits<float>::infinity());
  const vec by = set(scale);
  for (i32 j = 0; j < row; j += lanes) {
    vec largest[2] = {least, least};
    i32 k = 0;
    for (; k + 2 <= keys; k += 2) {
      largest[0] = larger(load(scores + k * i64{row} + j), largest[0]);
      largest[1] = larger(load(scores + (k + 1) * i64{row} + j), largest[1]);
    }
    if (k < keys) largest[0] = larger(load(scores + k * i64{row} + j), largest[0]);
    vec here = larger(largest[0], largest[1]) * by;
    const vec before = first ? least : load(most + j);
    here = larger(here, before);
    store(most + j, here);
    const vec shift = select(here == least, zero(), here);
    vec sum = zero();
    if (!first) {
      const vec change = exp_of_negative(before - shift);
      sum = load(total + j) * change;
      for (i32 f = 0; f < features; ++f) {
        float* const at = y + f * i64{row} + j;
        store(at, load(at) * change);
      }
    }
    for (k = 0; k < keys; ++k) {
      float* const at = scores + k * i64{row} + j;
      const vec e = exp_of_negative(fma(load(at), by, zero() - shift));
      sum = sum + e;
      store(at, e);
    }
    store(total + j, sum);
  }
}

template <class T>
void attention(const call& c) {
  const attention_call<T> of(c);
  const attention_sizes& n = of.n;
  const auto cut = attention_cut::of(n, of.last, workspace::capacity, 0);
  const i32 groups = n.samples / cut.samples;
  const i32 blocks = (n.queries + cut.queries - 1) / cut.queries;
  float* const logs = c.output<float>(1);
  const threads workers = c.step->threads.when(of.worth_threads());
  parallel_for(workers, groups * n.heads * blocks, [&](i32 task) {
    using namespace simd;
    const i64 sample = i64{task / (n.heads * blocks)} * cut.samples;
    const i64 head = task / blocks % n.heads;
    const i32 query = task % blocks * cut.queries;
    const i32 queries = n.queries - query < cut.queries ? n.queries - query : cut.queries;
    const i32 row = attention_padded(queries);
    const auto q = of.view(c.input<T>(0), n.q, n.features, sample, head);
    const auto k = of.view(c.input<T>(1), n.k, n.features, sample, head);
    const auto v = of.view(c.input<T>(2), n.v, n.value_features, sample, head);
    const auto y = of.view(c.output<T>(0), n.y, n.value_features, sample, head);
    float* const q_panel = workspace::floats();
    float* const y_panel = q_panel + cut.samples * panel_step(n.features, cut.queries);
    float* const k_panel = y_panel + cut.samples * panel_step(n.value_features, cut.queries);
    float* const v_panel = k_panel + cut.samples * panel_step(n.features, cut.keys);
    alignas(64) float scores[attention_block * attention_block];
    alignas(64) float most[16][attention_block];
    alignas(64) float total[16][attention_block];
    load_panel(q, cut.samples, query, queries, q_panel, row);
    const i32 seen = of.causal && query + queries < n.keys ? query + queries : n.keys;
    for (i32 key = 0; key == 0 || key < seen; key += cut.keys) {
      const i32 all = seen - key < cut.keys ? seen - key : cut.keys;
      const i32 key_row = attention_padded(all);
      load_panel(k, cut.samples, key, all, k_panel, key_row);
      load_panel(v, cut.samples, key, all, v_panel, key_row);
      for (i32 s = 0; s < cut.samples; ++s) {
        const i32 here = of.keys(sample + s) - key;
        const i32 keys = here < 0 ? 0 : here < all ? here : all;
        float* const y_sample = y_panel + s * panel_step(n.value_features, row);
        if (keys == 0 && key > 0) continue;
        multiply_panel({k_panel + s * panel_step(n.features, key_row), 1, key_row,
                        q_panel + s * panel_step(n.features, row), row, scores, row, keys,
                        n.features, row, false});
        if (of.causal && key + keys > query + 1) hide_later_keys(scores, row, keys, key, query);
        add_exponentials(scores, row, keys, of.scale, most[s], total[s], y_sample, n.value_features,
                         key == 0);
        multiply_panel({v_panel + s * panel_step(n.value_features, key_row), key_row, 1, scores,
                        row, y_sample, row, n.value_features, keys, row, key > 0});
      }
    }
    for (i32 s = 0; s < cut.samples; ++s) {
      float* const y_sample = y_panel + s * panel_step(n.value_features, row);
      for (i32 j = 0; j < row; j += lanes) {
        const vec sum = load(total[s] + j);
        const mask empty = sum == zero();
        const vec by = select(empty, zero(), set(1.0f) / sum);
        for (i32 f = 0; f < n.value_features; ++f) {
          float* const at = y_sample + f * i64{row} + j;
          store(at, load(at) * by);
        }
        const vec log_sum = log(select(empty, set(1.0f), sum));
        const vec whole = select(is_nan(sum), sum, log_sum + load(most[s] + j));
        store(total[s] + j, select(empty, set(std::numeric_limits<float>::infinity()), whole));
      }
      if (logs == nullptr) continue;
      float* const to = logs + of.statistic(sample + s, head) + query * of.statistic_step();
      for (i32 i = 0; i < queries; ++i) to[i * of.statistic_step()] = total[s][i];
    }
    store_panel(y_panel, row, cut.samples, query, queries, y);
  });
}

}  // namespace tessera::host
