#pragma once

// Mixtures of experts on the model. ops/experts.hpp has the meanings.
//
// Gates are cut into blocks of tokens, each with all its experts. Which token has which slot is
// decided on one tile, and so are the sums of a balancing loss: both are small. Rows move by
// exchange: a tile receives the rows that its slots or tokens name and adds up what belongs
// together. Which these are is not known before the run; their number is.
//
// Arithmetic is f32 with explicit fused multiply-adds, one rounding per stored element.

#include <tessera/backends/accelerator/recurrent.hpp>  // for_vertices
#include <tessera/ops/experts.hpp>

namespace tessera::accelerator {

inline float gate_softplus(float x) {
  const float e = exp_of(x < 0 ? x : -x);
  const float u = 1.0f + e;
  const float whole = u - 1.0f;
  const float small = whole == 0 ? e : log_of(u) * (e / whole);
  const float y = (x > 0 ? x : 0.0f) + small;
  return y < 1e-10f ? 1e-10f : y;
}
inline float gate_slope(float x) { return 1.0f / (1.0f + exp_of(-x)); }

/// The probability that a standard normal number is below z: erfc by a fit of Press et al.,
/// Numerical Recipes, 6.2.
inline float normal_below(float z) {
  const float x = (z < 0 ? -z : z) * 0.70710678118654752f;
  const float t = 1.0f / std::fma(0.5f, x, 1.0f);
  float p = 0.17087277f;
  for (const float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                        0.09678418f, 0.37409196f, 1.00002368f, -1.26551223f}) {
    p = std::fma(p, t, c);
  }
  const float half = 0.5f * t * exp_of(std::fma(-x, x, p));
  return z < 0 ? half : 1.0f - half;
}

/// Stores one number as T, rounded as the machine rounds.
template <class T>
void put_one(const storing& how, float x, T* to) {
  put(how, &x, to, 1);
}

/// Calls work(first, count) for the elements of every vertex: gates as they lie in memory.
template <class T>
void run_gate_noise(const machine& m, const call& c) {
  const T *clean = c.input<T>(0), *spread = c.input<T>(1), *noise = c.input<T>(2);
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count; ++i) {
      put_one({m, c}, std::fma(fetch(noise[i]), gate_softplus(fetch(spread[i])), fetch(clean[i])),
              c.output<T>(0) + i);
    }
  });
}

template <class T>
void run_gate_noise_gradient(const machine& m, const call& c) {
  const T *spread = c.input<T>(0), *noise = c.input<T>(1), *dh = c.input<T>(2);
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count; ++i) {
      put_one({m, c}, fetch(dh[i]) * fetch(noise[i]) * gate_slope(fetch(spread[i])),
              c.output<T>(0) + i);
    }
  });
}

/// Calls work(token) for all tokens, vertex by vertex.
template <class Work>
void for_tokens(const machine& m, const call& c, const Work& work) {
  for_vertices(m, c, [&](const vertex& v) {
    for (i32 i = v.begin[axis_b]; i < v.begin[axis_b] + v.size[axis_b]; ++i) work(i);
  });
}

/// The first `count` experts of a token by their gates, the largest first; of equal ones the lower
/// number, NaN below all numbers.
template <class T>
void rank_gates(const T* h, const expert_sizes& n, i64 token, i32 count, i32* order) {
  bool taken[ops::most_experts] = {};
  for (i32 j = 0; j < count; ++j) {
    order[j] = -1;
    float most = 0;
    for (i32 e = 0; e < n.experts; ++e) {
      if (taken[e]) continue;
      const float value = fetch(h[n.gate(token, e, n.experts)]);
      if (order[j] < 0 || value > most || (most != most && value == value)) {
        order[j] = e;
        most = value;
      }
    }
    if (order[j] >= 0) taken[order[j]] = true;
  }
}

template <class T>
void run_top_k_gates(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  const T* h = c.input<T>(0);
  for_tokens(m, c, [&](i32 i) {
    i32 order[ops::most_choices];
    float weight[ops::most_choices];
    rank_gates(h, n, i, n.k, order);
    const float most = fetch(h[n.gate(i, order[0], n.experts)]);
    float sum = 0;
    for (i32 j = 0; j < n.k; ++j) {
      weight[j] = exp_of(fetch(h[n.gate(i, order[j], n.experts)]) - most);
      sum += weight[j];
    }
    for (i32 e = 0; e < n.experts; ++e) c.output<T>(0)[n.gate(i, e, n.experts)] = T{};
    for (i32 j = 0; j < n.k; ++j) {
      put_one({m, c}, weight[j] / sum, c.output<T>(0) + n.gate(i, order[j], n.experts));
      c.output<i32>(1)[n.gate(i, j, n.k)] = order[j];
    }
  });
}

template <class T>
void run_top_k_gates_gradient(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  for_tokens(m, c, [&](i32 i) {
    const auto at = [&](i32 slot, i32 e) {
      return fetch(c.input<T>(slot)[n.gate(i, e, n.experts)]);
    };
    float sum = 0;
    for (i32 e = 0; e < n.experts; ++e) sum = std::fma(at(0, e), at(1, e), sum);
    for (i32 e = 0; e < n.experts; ++e) {
      put_one({m, c}, at(0, e) * (at(1, e) - sum), c.output<T>(0) + n.gate(i, e, n.experts));
    }
  });
}

/// Calls work(e, s, z, threshold): threshold -1 where there is none.
template <class T, class Work>
void for_distances(const call& c, const expert_sizes& n, i32 i, const Work& work) {
  i32 order[ops::most_choices + 1];
  rank_gates(c.input<T>(2), n, i, n.k + 1, order);
  for (i32 e = 0; e < n.experts; ++e) {
    bool among = false;
    for (i32 j = 0; j < n.k; ++j) among = among || order[j] == e;
    const i32 threshold = order[among ? n.k : n.k - 1];
    const i64 at = n.gate(i, e, n.experts);
    const float s = gate_softplus(fetch(c.input<T>(1)[at]));
    const float t = threshold < 0 ? 0 : fetch(c.input<T>(2)[n.gate(i, threshold, n.experts)]);
    work(e, s, (fetch(c.input<T>(0)[at]) - t) / s, threshold);
  }
}

template <class T>
void run_gate_load(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  for_tokens(m, c, [&](i32 i) {
    for_distances<T>(c, n, i, [&](i32 e, float, float z, i32 threshold) {
      put_one({m, c}, threshold < 0 ? 1.0f : normal_below(z),
              c.output<T>(0) + n.gate(i, e, n.experts));
    });
  });
}

template <class T>
void run_gate_load_gradient(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  T* dclean = output_or_null<T>(c, 0);
  T* dspread = output_or_null<T>(c, 1);
  T* dh = output_or_null<T>(c, 2);
  for_tokens(m, c, [&](i32 i) {
    float to_h[ops::most_experts] = {};
    for_distances<T>(c, n, i, [&](i32 e, float s, float z, i32 threshold) {
      const i64 at = n.gate(i, e, n.experts);
      float d = 0;
      if (threshold >= 0) {
        d = fetch(c.input<T>(3)[at]) * (exp_of(-0.5f * z * z) * 0.39894228040143268f) / s;
        to_h[threshold] -= d;
      }
      const float back = d == 0 ? 0.0f : -(d * z) * gate_slope(fetch(c.input<T>(1)[at]));
      if (dclean != nullptr) put_one({m, c}, d, dclean + at);
      if (dspread != nullptr) put_one({m, c}, back, dspread + at);
    });
    for (i32 e = 0; e < n.experts && dh != nullptr; ++e) {
      put_one({m, c}, to_h[e], dh + n.gate(i, e, n.experts));
    }
  });
}

/// Mean of the sums and, of their squares about it.
struct balance_moments {
  float mean = 0;
  float variance = 0;

  balance_moments(const float* sums, i32 experts) {
    const float count = static_cast<float>(experts);
    for (i32 e = 0; e < experts; ++e) mean += sums[e] / count;
    for (i32 e = 0; e < experts; ++e) {
      const float off = sums[e] - mean;
      variance = std::fma(off, off / count, variance);
    }
  }
  float square() const { return std::fma(mean, mean, 1e-10f); }
};

template <class T>
void run_balance_loss(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  for_vertices(m, c, [&](const vertex&) {
    float sums[ops::most_experts] = {};
    for (i32 e = 0; e < n.experts; ++e) {
      for (i32 i = 0; i < n.tokens; ++i) {
        if (n.sample(i) >= c.step->valid) continue;
        sums[e] += fetch(c.input<T>(0)[n.gate(i, e, n.experts)]);
      }
      if (c.sizes->has_output(1)) c.output<float>(1)[e] = sums[e];
    }
    const balance_moments b(sums, n.experts);
    *c.output<float>(0) = c.attr->loss.weight * b.variance / b.square();
  });
}

template <class T>
void run_balance_loss_gradient(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  const float* sums = c.input<float>(0);
  const balance_moments b(sums, n.experts);
  float factor = c.attr->loss.weight;
  if (c.sizes->has_input(1)) factor *= *c.input<float>(1);
  if (c.sizes->has_input(2)) factor *= *c.input<float>(2);
  for_tokens(m, c, [&](i32 i) {
    for (i32 e = 0; e < n.experts; ++e) {
      const float off = sums[e] - b.mean - b.mean * (b.variance / b.square());
      const float d = factor * 2 / static_cast<float>(n.experts) / b.square() * off;
      put_one({m, c}, n.sample(i) < c.step->valid ? d : 0.0f,
              c.output<T>(0) + n.gate(i, e, n.experts));
    }
  });
}

inline void run_route_tokens(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  for_vertices(m, c, [&](const vertex&) {
    i32 taken[ops::most_experts] = {};
    i32* slots = c.output<i32>(0);
    for (i64 s = 0; s < i64{n.experts} * n.capacity; ++s) slots[s] = -1;
    for (i32 j = 0; j < n.k; ++j) {
      for (i32 i = 0; i < n.tokens; ++i) {
        const i64 at = n.gate(i, j, n.k);
        const i32 e = c.input<i32>(0)[at];
        const bool room = n.sample(i) < c.step->valid && taken[e] < n.capacity;
        c.output<i32>(1)[at] = room ? taken[e] : -1;
        if (room) slots[i64{e} * n.capacity + taken[e]++] = i;
      }
    }
  });
}

/// Calls work(row, first, last) for the rows and features of every vertex.
template <class Work>
void for_rows(const machine& m, const call& c, const Work& work) {
  for_vertices(m, c, [&](const vertex& v) {
    for (i32 row = v.begin[axis_b]; row < v.begin[axis_b] + v.size[axis_b]; ++row) {
      work(row, v.begin[axis_o], v.begin[axis_o] + v.size[axis_o]);
    }
  });
}

/// Features of a token from the rows of its experts, times its gates where there are some.
template <class T>
void run_to_tokens(const machine& m, const call& c, const T* gate, i32 slot) {
  const auto n = expert_sizes::of(*c.sizes);
  const bool all = !c.sizes->has_input(slot);
  for_rows(m, c, [&](i32 i, i32 first, i32 last) {
    for (i32 d = first; d < last; ++d) {
      float sum = 0;
      for (i32 j = 0; j < (all ? 1 : n.k); ++j) {
        const i64 at = n.gate(i, j, n.k);
        const i32 place = all ? i : c.input<i32>(slot + 1)[at];
        if (place < 0) continue;
        const i32 e = all ? 0 : c.input<i32>(slot)[at];
        const float by = gate == nullptr ? 1.0f : fetch(gate[n.gate(i, e, n.experts)]);
        sum = std::fma(by, fetch(c.input<T>(0)[n.slot(e, place) + d * n.slot_step()]), sum);
      }
      put_one({m, c}, sum, c.output<T>(0) + n.token(i) + d * n.token_step());
    }
  });
}

template <class T>
void run_gather_tokens(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  for_rows(m, c, [&](i32 s, i32 first, i32 last) {
    const i64 i = c.sizes->has_input(1) ? c.input<i32>(1)[s] : s;
    for (i32 d = first; d < last; ++d) {
      c.output<T>(0)[n.slot(s / n.capacity, s % n.capacity) + d * n.slot_step()] =
          i < 0 ? T{} : c.input<T>(0)[n.token(i) + d * n.token_step()];
    }
  });
}

template <class T>
void run_gather_tokens_gradient(const machine& m, const call& c) {
  run_to_tokens<T>(m, c, nullptr, 2);
}

template <class T>
void run_combine_experts(const machine& m, const call& c) {
  run_to_tokens<T>(m, c, c.input<T>(1), 3);
}

template <class T>
void run_combine_experts_gradient(const machine& m, const call& c) {
  const auto n = expert_sizes::of(*c.sizes);
  const T* dy = c.input<T>(0);
  const T* gates = c.input<T>(2);
  T* dbuffer = output_or_null<T>(c, 0);
  T* dgates = output_or_null<T>(c, 1);
  for (i64 g = 0; g < i64{n.tokens} * n.experts && dgates != nullptr; ++g) dgates[g] = T{};
  for_rows(m, c, [&](i32 s, i32 first, i32 last) {
    const i32 e = s / n.capacity;
    const i32 i = c.input<i32>(3)[s];
    const i64 row = n.slot(e, s % n.capacity);
    float dot = 0;
    for (i32 d = first; d < last; ++d) {
      const i64 at = row + d * n.slot_step();
      const float from = i < 0 ? 0.0f : fetch(dy[n.token(i) + d * n.token_step()]);
      if (dbuffer != nullptr) {
        const float by = i < 0 ? 0.0f : fetch(gates[n.gate(i, e, n.experts)]);
        put_one({m, c}, i < 0 ? 0.0f : by * from, dbuffer + at);
      }
      if (i >= 0) dot = std::fma(from, fetch(c.input<T>(1)[at]), dot);
    }
    if (i >= 0 && dgates != nullptr) put_one({m, c}, dot, dgates + n.gate(i, e, n.experts));
  });
}

}  // namespace tessera::accelerator
