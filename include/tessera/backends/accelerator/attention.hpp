#pragma once

// Softmax, softmax under masks, additive scores and their gradients on the model, all in f32
// (ops/softmax.hpp and ops/additive.hpp have the formulas).
//
// Lanes are rows of a softmax, numbered as they lie in memory; scores and features of the additive
// operations likewise. Sums run in order: of a row, of the features of a pair; going back over
// keys, queries and samples.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/functions.hpp>
#include <cmath>

namespace tessera::accelerator {

/// Calls work(first, count) for lanes of items along `axis`, and records the vertices.
template <class Work>
void for_items(const machine& m, const call& c, axis along, const Work& work) {
  execution run(m, c);
  const mapping& map = run.blocks();
  run.run(map.vertices(), [&](i64 first, i64 last, recorder& r) {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.place(map, a, 0);
    for (i64 i = first; i < last; ++i) {
      v.place(map, along, static_cast<i32>(i));
      r.add(v, true);
      const i64 end = i64{v.begin[along]} + v.size[along];
      for (i64 e = v.begin[along]; e < end; e += lane_count) {
        work(e, end - e < lane_count ? end - e : lane_count);
      }
    }
  });
}

/// Rows of a softmax in memory.
struct softmax_places {
  i64 along;
  i64 step;

  static softmax_places of(const signature& s) {
    if (s.what != kind::masked_softmax) {
      return {softmax_sizes::of(s).along, softmax_sizes::of(s).inner};
    }
    const auto n = masked_softmax_sizes::of(s);
    return {n.columns, s.batch_last ? n.samples : 1};
  }
  i64 first(i64 row) const { return row / step * along * step + row % step; }

  template <class T>
  lanes read(const T* x, i64 row, i64 count, i64 k) const {
    lanes v{};
    for (i64 j = 0; j < count; ++j) v[j] = fetch(x[first(row + j) + k * step]);
    return v;
  }
  template <class T>
  void write(const storing& how, lanes value, T* y, i64 row, i64 count, i64 k) const {
    for (i64 j = 0; j < count; ++j) {
      const float one = value[j];
      put(how, &one, y + first(row + j) + k * step, 1);
    }
  }
};

/// softmax or log_softmax of rows whose scores `score(row, count, k)` gives; -infinity: left out.
template <class T, bool Log, class Score>
void run_softmax_rows(const machine& m, const call& c, const Score& score) {
  const auto places = softmax_places::of(*c.sizes);
  T* const y = c.output<T>(0);
  const lanes least = set(-__builtin_inff());
  for_items(m, c, axis_b, [&](i64 row, i64 count) {
    lanes most = least;
    for (i64 k = 0; k < places.along; ++k) {
      const lanes z = score(row, count, k);
      most = select(z > most, z, most);
    }
    const lanes shift = select(most == least, set(0.0f), most);
    lanes sum{};
    for (i64 k = 0; k < places.along; ++k) sum += exp(score(row, count, k) - shift);
    const whole_lanes empty = sum == set(0.0f);
    const lanes whole = select(empty, set(1.0f), sum);
    const lanes less = Log ? log(whole) : set(0.0f);
    for (i64 k = 0; k < places.along; ++k) {
      const lanes from = score(row, count, k) - shift;
      lanes value = Log ? from - less : exp(from) / whole;
      if (Log) value = select(empty, least, value);
      places.write(storing(m, c), value, y, row, count, k);
    }
  });
}

template <class T, bool Log>
void run_softmax(const machine& m, const call& c) {
  const auto places = softmax_places::of(*c.sizes);
  const T* const x = c.input<T>(0);
  run_softmax_rows<T, Log>(
      m, c, [&](i64 row, i64 count, i64 k) { return places.read(x, row, count, k); });
}

/// A number of a mask as what is added to a score: -infinity where it leaves out.
template <class T>
float mask_value(const call& c, i32 slot, i64 at) {
  const float out = -__builtin_inff();
  switch (c.sizes->input_type(slot)) {
    case element::uint8: return c.input<u8>(slot)[at] != 0 ? out : 0.0f;
    case element::int32: return c.input<i32>(slot)[at] != 0 ? out : 0.0f;
    case element::f32: return c.input<float>(slot)[at];
    default: return fetch(c.input<T>(slot)[at]);
  }
}

template <class T>
void run_masked_softmax(const machine& m, const call& c) {
  const auto n = masked_softmax_sizes::of(*c.sizes);
  const auto places = softmax_places::of(*c.sizes);
  const T* const x = c.input<T>(0);
  const bool last = c.sizes->batch_last;
  const i64 rows_of_sample = i64{n.heads} * n.rows;
  run_softmax_rows<T, false>(m, c, [&](i64 row, i64 count, i64 k) {
    lanes z = places.read(x, row, count, k);
    for (i64 j = 0; j < count; ++j) {
      const i64 r = row + j;
      const i64 sample = last ? r % n.samples : r / rows_of_sample;
      const i64 of_sample = last ? r / n.samples : r % rows_of_sample;
      const i64 head = of_sample / n.rows;
      const i64 query = of_sample % n.rows;
      bool out =
          (n.causal != 0 && k > query) || (c.sizes->has_input(3) && k >= c.input<i32>(3)[sample]);
      for (const i32 slot : {1, 2}) {
        if (out || !c.sizes->has_input(slot)) continue;
        const i32* t = n.mask[slot - 1];
        const float value =
            mask_value<T>(c, slot, sample * t[0] + head * t[1] + query * t[2] + k * t[3]);
        out = value == -__builtin_inff();
        z[j] += value;
      }
      if (out) z[j] = -__builtin_inff();
    }
    return z;
  });
}

template <class T, bool Log>
void run_softmax_gradient(const machine& m, const call& c) {
  const auto places = softmax_places::of(*c.sizes);
  const T* const y = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  T* const dx = c.output<T>(0);
  for_items(m, c, axis_b, [&](i64 row, i64 count) {
    lanes sum{};
    for (i64 k = 0; k < places.along; ++k) {
      const lanes g = places.read(dy, row, count, k);
      sum = Log ? sum + g : fma(g, places.read(y, row, count, k), sum);
    }
    for (i64 k = 0; k < places.along; ++k) {
      const lanes v = places.read(y, row, count, k);
      const lanes g = places.read(dy, row, count, k);
      const lanes value = Log ? fma(-exp(v), sum, g) : v * (g - sum);
      places.write(storing(m, c), value, dx, row, count, k);
    }
  });
}

template <class T>
void run_additive_scores(const machine& m, const call& c) {
  const auto n = additive_sizes::of(*c.sizes);
  const T* const q = c.input<T>(0);
  const T* const k = c.input<T>(1);
  const T* const v = c.input<T>(2);
  T* const e = c.output<T>(0);
  for_items(m, c, axis_b, [&](i64 pair, i64 count) {
    i64 from_q[lane_count];
    i64 from_k[lane_count];
    i64 to[lane_count];
    for (i64 j = 0; j < count; ++j) {
      const i64 key = (pair + j) % n.keys;
      const i64 query = (pair + j) / n.keys % n.queries;
      const i64 sample = (pair + j) / n.keys / n.queries;
      from_q[j] = sample * n.q[0] + query * n.q[1];
      from_k[j] = sample * n.k[0] + key * n.k[1];
      to[j] = sample * n.e[0] + query * n.e[1] + key * n.e[2];
    }
    lanes sum{};
    for (i64 a = 0; a < n.features; ++a) {
      lanes x{};
      for (i64 j = 0; j < count; ++j) {
        x[j] = fetch(q[from_q[j] + a * n.q[2]]) + fetch(k[from_k[j] + a * n.k[2]]);
      }
      sum = fma(set(fetch(v[a])), tanh(x), sum);
    }
    for (i64 j = 0; j < count; ++j) {
      const float one = sum[j];
      put(storing(m, c), &one, e + to[j], 1);
    }
  });
}

template <class T>
void run_additive_scores_gradient(const machine& m, const call& c) {
  const auto n = additive_sizes::of(*c.sizes);
  const T* const q = c.input<T>(0);
  const T* const k = c.input<T>(1);
  const T* const v = c.input<T>(2);
  const T* const de = c.input<T>(3);
  for_items(m, c, axis_o, [&](i64 first, i64 count) {
    const auto read = [&](const T* from, i64 step) {
      lanes x{};
      for (i64 j = 0; j < count; ++j) x[j] = fetch(from[(first + j) * step]);
      return x;
    };
    const auto write = [&](T* to, i64 step, lanes value) {
      for (i64 j = 0; j < count; ++j) {
        const float one = value[j];
        put(storing(m, c), &one, to + (first + j) * step, 1);
      }
    };
    const auto query = [&](i64 s, i64 i) { return read(q + s * n.q[0] + i * n.q[1], n.q[2]); };
    const auto key = [&](i64 s, i64 j) { return read(k + s * n.k[0] + j * n.k[1], n.k[2]); };
    const auto score = [&](i64 s, i64 i, i64 j) {
      return set(fetch(de[s * n.e[0] + i * n.e[1] + j * n.e[2]]));
    };
    const lanes weight = read(v, 1);
    const lanes one = set(1.0f);
    lanes sum_v{};
    for (i64 s = 0; s < n.samples; ++s) {
      for (i64 j = 0; j < n.keys; ++j) {
        lanes sum{};
        for (i64 i = 0; i < n.queries; ++i) {
          const lanes t = tanh(query(s, i) + key(s, j));
          sum = fma(score(s, i, j), fma(-t, t, one), sum);
          sum_v = fma(score(s, i, j), t, sum_v);
        }
        if (c.sizes->has_output(1)) {
          write(c.output<T>(1) + s * n.k[0] + j * n.k[1], n.k[2], weight * sum);
        }
      }
      for (i64 i = 0; c.sizes->has_output(0) && i < n.queries; ++i) {
        lanes sum{};
        for (i64 j = 0; j < n.keys; ++j) {
          const lanes t = tanh(query(s, i) + key(s, j));
          sum = fma(score(s, i, j), fma(-t, t, one), sum);
        }
        write(c.output<T>(0) + s * n.q[0] + i * n.q[1], n.q[2], weight * sum);
      }
    }
    if (c.sizes->has_output(2)) write(c.output<T>(2), 1, sum_v);
  });
}

}  // namespace tessera::accelerator
