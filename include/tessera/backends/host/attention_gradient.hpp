#pragma once

// The gradient of attention: attention.hpp says how.

#include <cmath>

#include <tessera/backends/host/attention.hpp>
#include <tessera/backends/host/moments.hpp>  // load_first

namespace tessera::host {

/// Panels of a group of samples, and what rows of them are: all in the workspace.
struct attention_panels {
  float* q;
  float* dy;  // of a block of queries
  float* k;
  float* v;  // of a block of keys
  i32 query, queries, q_row;
  i32 key, keys, k_row;
};

/// p and ds of a block, of one sample.
struct attention_tiles {
  alignas(64) float p[attention_block * attention_block];   // [key][query]
  alignas(64) float ds[attention_block * attention_block];  // [key][query]
  alignas(64) float turned[attention_block * attention_block];
};

template <class T>
class attention_gradient_run {
 public:
  explicit attention_gradient_run(const call& c)
      : of_(c), n_(of_.n), cut_(attention_cut::of(n_, of_.last, workspace::capacity, 1)) {}

  void operator()() {
    const i32 groups = n_.samples / cut_.samples * n_.heads;
    const bool once = n_.queries <= cut_.queries && n_.keys <= cut_.keys;
    const i32 query_blocks = once ? 1 : (n_.queries + cut_.queries - 1) / cut_.queries;
    const i32 key_blocks = once ? 0 : (n_.keys + cut_.keys - 1) / cut_.keys;
    const i32 blocks = query_blocks + key_blocks;
    parallel_for(c().step->threads.when(of_.worth_threads()), groups * blocks, [&](i32 task) {
      const i64 sample = i64{task / (n_.heads * blocks)} * cut_.samples;
      const i64 head = task / blocks % n_.heads;
      const i32 block = task % blocks;
      if (once) {
        all_at_once(sample, head);
      } else if (block < query_blocks) {
        if (of_.c.sizes->has_output(0)) queries(sample, head, block * cut_.queries);
      } else if (of_.c.sizes->has_output(1) || of_.c.sizes->has_output(2)) {
        keys(sample, head, (block - query_blocks) * cut_.keys);
      }
    });
  }

 private:
  const call& c() const { return of_.c; }

  attention_panels panels() const {
    attention_panels p{};
    p.q = workspace::floats();
    p.dy = p.q + cut_.samples * panel_step(n_.features, cut_.queries);
    p.k = p.dy + cut_.samples * panel_step(n_.value_features, cut_.queries);
    p.v = p.k + cut_.samples * panel_step(n_.features, cut_.keys);
    return p;
  }
  /// What lies behind the panels.
  float* sums(const attention_panels& p) const {
    return p.v + cut_.samples * panel_step(n_.value_features, cut_.keys);
  }

  void load_queries(attention_panels& p, i64 sample, i64 head, i32 query) {
    p.query = query;
    p.queries = n_.queries - query < cut_.queries ? n_.queries - query : cut_.queries;
    p.q_row = attention_padded(p.queries);
    load_panel(of_.view(c().template input<T>(0), n_.q, n_.features, sample, head), cut_.samples,
               query, p.queries, p.q, p.q_row);
    load_panel(of_.view(c().template input<T>(6), n_.y, n_.value_features, sample, head),
               cut_.samples, query, p.queries, p.dy, p.q_row);
  }
  void load_keys(attention_panels& p, i64 sample, i64 head, i32 key) {
    p.key = key;
    p.keys = n_.keys - key < cut_.keys ? n_.keys - key : cut_.keys;
    p.k_row = attention_padded(p.keys);
    load_panel(of_.view(c().template input<T>(1), n_.k, n_.features, sample, head), cut_.samples,
               key, p.keys, p.k, p.k_row);
    load_panel(of_.view(c().template input<T>(2), n_.v, n_.value_features, sample, head),
               cut_.samples, key, p.keys, p.v, p.k_row);
  }

  /// Row statistics of a block of queries: the logarithm of the sum, and the sum of dy y.
  void load_statistics(const attention_panels& p, i64 sample, i64 head,
                       float (*logs)[attention_block], float (*shares)[attention_block]) {
    using namespace simd;
    const i64 step = of_.statistic_step();
    for (i32 s = 0; s < cut_.samples; ++s) {
      const float* const from =
          c().template input<float>(5) + of_.statistic(sample + s, head) + p.query * step;
      for (i32 i = 0; i < p.queries; ++i) logs[s][i] = from[i * step];
      for (i32 i = p.queries; i < p.q_row; ++i) {  // past the end p is 0
        logs[s][i] = std::numeric_limits<float>::infinity();
        shares[s][i] = 0;
      }
    }
    const auto y = of_.view(c().template input<T>(4), n_.y, n_.value_features, sample, head);
    const auto dy = of_.view(c().template input<T>(6), n_.y, n_.value_features, sample, head);
    for (i32 i = 0; i < p.queries; ++i) {
      const i64 first = (p.query + i) * y.time;
      if (cut_.samples == 1) {
        float sum = 0;
        for (i64 at = first, f = 0; f < y.features; ++f, at += y.feature) {
          sum = std::fma(as_float(y.at[at]), as_float(dy.at[at]), sum);
        }
        shares[0][i] = sum;
        continue;
      }
      for (i32 s = 0; s < cut_.samples; s += lanes) {
        const i32 count = cut_.samples - s < lanes ? cut_.samples - s : lanes;
        vec sum = zero();
        for (i64 at = first + s, f = 0; f < y.features; ++f, at += y.feature) {
          sum = fma(load_first(y.at + at, count), load_first(dy.at + at, count), sum);
        }
        float all[lanes];
        store(all, sum);
        for (i32 k = 0; k < count; ++k) shares[s + k][i] = all[k];
      }
    }
  }

  /// p and ds of sample `s` for its first `keys` keys.
  void fill_tiles(const attention_panels& p, i32 s, i32 keys, const float* logs,
                  const float* shares, attention_tiles& t) {
    using namespace simd;
    const i32 row = p.q_row;
    multiply_panel({p.k + s * panel_step(n_.features, p.k_row), 1, p.k_row,
                    p.q + s * panel_step(n_.features, row), row, t.p, row, keys, n_.features, row,
                    false});
    if (of_.causal && p.key + keys > p.query + 1) {
      hide_later_keys(t.p, row, keys, p.key, p.query);
    }
    multiply_panel({p.v + s * panel_step(n_.value_features, p.k_row), 1, p.k_row,
                    p.dy + s * panel_step(n_.value_features, row), row, t.ds, row, keys,
                    n_.value_features, row, false});
    const vec by = set(of_.scale);
    for (i32 j = 0; j < row; j += lanes) {
      const vec shift = zero() - load(logs + j);
      const vec share = load(shares + j);
      for (i32 k = 0; k < keys; ++k) {
        const i64 at = k * i64{row} + j;
        const vec e = exp_of_negative(fma(load(t.p + at), by, shift));
        store(t.p + at, e);
        store(t.ds + at, e * by * (load(t.ds + at) - share));
      }
    }
  }

  /// Keys of a block that sample `s` has, and that a query of the block may see.
  i32 keys_of(const attention_panels& p, i64 sample) const {
    i32 here = of_.keys(sample) - p.key;
    if (of_.causal && p.query + p.queries - p.key < here) here = p.query + p.queries - p.key;
    return here < 0 ? 0 : here < p.keys ? here : p.keys;
  }

  /// to [feature][key] (+)= what rows of `panel` [feature][query] make of `tile` [key][query].
  void by_keys(const attention_panels& p, const float* panel, i32 features, float* tile, i32 keys,
               float* turned, float* to, bool add) {
    // Keys that a sample has not, but its block, get zeros.
    const i32 all = attention_padded(keys);
    for (i64 i = i64{keys} * p.q_row; i < i64{all} * p.q_row; ++i) {
      tile[i] = 0;
    }
    turn_over(tile, p.q_row, all, p.q_row, turned, all);
    multiply_panel({panel, p.q_row, 1, turned, all, to, p.k_row, features, p.queries, all, add});
    if (add) return;
    for (i32 f = 0; f < features; ++f) {
      for (i32 k = all; k < p.k_row; ++k) to[f * i64{p.k_row} + k] = 0;
    }
  }

  void put(i32 slot, const i32 (&step)[3], i32 features, i64 sample, i64 head, const float* panel,
           i32 row, i32 first, i32 count) {
    if (!c().sizes->has_output(slot)) return;
    store_panel(panel, row, cut_.samples, first, count,
                of_.view(c().template output<T>(slot), step, features, sample, head));
  }

  /// Everything fits: what was used last gives its panel to what is made of it.
  void all_at_once(i64 sample, i64 head) {
    attention_panels p = panels();
    attention_tiles t;
    float logs[16][attention_block];
    alignas(64) float shares[16][attention_block];
    load_queries(p, sample, head, 0);
    float* const dk = sums(p);
    load_statistics(p, sample, head, logs, shares);
    load_keys(p, sample, head, 0);
    for (i32 s = 0; s < cut_.samples; ++s) {
      float* const q = p.q + s * panel_step(n_.features, p.q_row);
      float* const k = p.k + s * panel_step(n_.features, p.k_row);
      float* const v = p.v + s * panel_step(n_.value_features, p.k_row);
      const float* const dy = p.dy + s * panel_step(n_.value_features, p.q_row);
      const i32 keys = keys_of(p, sample + s);
      fill_tiles(p, s, keys, logs[s], shares[s], t);
      by_keys(p, dy, n_.value_features, t.p, keys, t.turned, v, false);
      by_keys(p, q, n_.features, t.ds, keys, t.turned, dk + s * panel_step(n_.features, p.k_row),
              false);
      multiply_panel({k, p.k_row, 1, t.ds, p.q_row, q, p.q_row, n_.features, keys, p.q_row, false});
    }
    put(0, n_.q, n_.features, sample, head, p.q, p.q_row, 0, p.queries);
    put(1, n_.k, n_.features, sample, head, dk, p.k_row, 0, p.keys);
    put(2, n_.v, n_.value_features, sample, head, p.v, p.k_row, 0, p.keys);
  }

  /// dq of a block of queries.
  void queries(i64 sample, i64 head, i32 query) {
    attention_panels p = panels();
    attention_tiles t;
    float logs[16][attention_block];
    alignas(64) float shares[16][attention_block];
    load_queries(p, sample, head, query);
    float* const dq = sums(p);
    load_statistics(p, sample, head, logs, shares);
    for (i32 key = 0; key < n_.keys; key += cut_.keys) {
      if (key > 0 && of_.causal && key >= query + p.queries) break;
      load_keys(p, sample, head, key);
      for (i32 s = 0; s < cut_.samples; ++s) {
        const i32 keys = keys_of(p, sample + s);
        fill_tiles(p, s, keys, logs[s], shares[s], t);
        multiply_panel({p.k + s * panel_step(n_.features, p.k_row), p.k_row, 1, t.ds, p.q_row,
                        dq + s * panel_step(n_.features, p.q_row), p.q_row, n_.features, keys,
                        p.q_row, key > 0});
      }
    }
    put(0, n_.q, n_.features, sample, head, dq, p.q_row, query, p.queries);
  }

  /// dk and dv of a block of keys.
  void keys(i64 sample, i64 head, i32 key) {
    attention_panels p = panels();
    attention_tiles t;
    float logs[16][attention_block];
    alignas(64) float shares[16][attention_block];
    load_keys(p, sample, head, key);
    float* const dk = sums(p);
    float* const dv = dk + cut_.samples * panel_step(n_.features, p.k_row);
    bool add = false;
    for (i32 query = 0; query < n_.queries; query += cut_.queries) {
      const bool last = query + cut_.queries >= n_.queries;
      if (of_.causal && query + cut_.queries <= key && !last) continue;  // sees none of them
      load_queries(p, sample, head, query);
      load_statistics(p, sample, head, logs, shares);
      for (i32 s = 0; s < cut_.samples; ++s) {
        const i32 keys = keys_of(p, sample + s);
        fill_tiles(p, s, keys, logs[s], shares[s], t);
        by_keys(p, p.dy + s * panel_step(n_.value_features, p.q_row), n_.value_features, t.p, keys,
                t.turned, dv + s * panel_step(n_.value_features, p.k_row), add);
        by_keys(p, p.q + s * panel_step(n_.features, p.q_row), n_.features, t.ds, keys, t.turned,
                dk + s * panel_step(n_.features, p.k_row), add);
      }
      add = true;
    }
    put(1, n_.k, n_.features, sample, head, dk, p.k_row, key, p.keys);
    put(2, n_.v, n_.value_features, sample, head, dv, p.k_row, key, p.keys);
  }

  attention_call<T> of_;
  attention_sizes n_;
  attention_cut cut_;
};

template <class T>
void attention_gradient(const call& c) {
  attention_gradient_run<T> run(c);
  run();
}

}  // namespace tessera::host
