#pragma once

// Mixtures of experts as plain loops (ops/experts.hpp states what they mean).

#include <tessera/backends/reference/operand.hpp>
#include <tessera/ops/experts.hpp>
#include <limits>
#include <numbers>

namespace tessera::reference {

template <class Real>
Real softplus(Real x) {
  const Real y = (x > 0 ? x : Real(0)) + std::log1p(std::exp(-std::abs(x)));
  return y < Real(1e-10) ? Real(1e-10) : y;
}
template <class Real>
Real softplus_slope(Real x) {
  return 1 / (1 + std::exp(-x));
}

template <class Real>
void gate_noise(const call& c) {
  const auto clean = in<Real>(c, 0), spread = in<Real>(c, 1), noise = in<Real>(c, 2);
  const auto h = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < i64{n.tokens} * n.experts; ++i) {
    h.set(i, clean[i] + noise[i] * softplus(spread[i]));
  }
}

template <class Real>
void gate_noise_gradient(const call& c) {
  const auto spread = in<Real>(c, 0), noise = in<Real>(c, 1), dh = in<Real>(c, 2);
  const auto dspread = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < i64{n.tokens} * n.experts; ++i) {
    dspread.set(i, dh[i] * noise[i] * softplus_slope(spread[i]));
  }
}

/// The expert with the largest h among those that are not among the first `count` of `taken`; of
/// equal ones the first, NaN below all numbers; -1 where none is left.
template <class Real>
i32 largest_gate(const numbers<Real>& h, const expert_sizes& n, i64 token, const i32* taken,
                 i32 count) {
  i32 best = -1;
  for (i32 e = 0; e < n.experts; ++e) {
    bool free = true;
    for (i32 j = 0; j < count; ++j) free = free && taken[j] != e;
    if (!free) continue;
    const Real value = h[n.gate(token, e, n.experts)];
    const bool first = best < 0;
    const Real most = first ? Real(0) : h[n.gate(token, best, n.experts)];
    if (first || value > most || (std::isnan(most) && !std::isnan(value))) best = e;
  }
  return best;
}

template <class Real>
void top_k_gates(const call& c) {
  const auto h = in<Real>(c, 0);
  const auto gates = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    i32 chosen[ops::most_choices];
    Real weight[ops::most_choices];
    Real sum = 0;
    for (i32 j = 0; j < n.k; ++j) {
      chosen[j] = largest_gate(h, n, i, chosen, j);
      const Real value = h[n.gate(i, chosen[j], n.experts)];
      weight[j] = std::exp(value - h[n.gate(i, chosen[0], n.experts)]);
      sum += weight[j];
    }
    for (i32 e = 0; e < n.experts; ++e) gates.set(n.gate(i, e, n.experts), Real(0));
    for (i32 j = 0; j < n.k; ++j) {
      gates.set(n.gate(i, chosen[j], n.experts), weight[j] / sum);
      c.output<i32>(1)[n.gate(i, j, n.k)] = chosen[j];
    }
  }
}

template <class Real>
void top_k_gates_gradient(const call& c) {
  const auto gates = in<Real>(c, 0), dgates = in<Real>(c, 1);
  const auto dh = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    Real sum = 0;
    for (i32 e = 0; e < n.experts; ++e) {
      const i64 at = n.gate(i, e, n.experts);
      sum += gates[at] * dgates[at];
    }
    for (i32 e = 0; e < n.experts; ++e) {
      const i64 at = n.gate(i, e, n.experts);
      dh.set(at, gates[at] * (dgates[at] - sum));
    }
  }
}

/// For each expert of a token: whose h is the threshold, -1 where there is none.
template <class Real>
void find_thresholds(const numbers<Real>& h, const expert_sizes& n, i64 token, i32* threshold) {
  i32 order[ops::most_choices + 1];
  for (i32 j = 0; j <= n.k; ++j) order[j] = largest_gate(h, n, token, order, j);
  for (i32 e = 0; e < n.experts; ++e) {
    bool among = false;
    for (i32 j = 0; j < n.k; ++j) among = among || order[j] == e;
    threshold[e] = among ? order[n.k] : order[n.k - 1];
  }
}

template <class Real>
void gate_load(const call& c) {
  const auto clean = in<Real>(c, 0), spread = in<Real>(c, 1), h = in<Real>(c, 2);
  const auto p = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    i32 threshold[ops::most_experts];
    find_thresholds(h, n, i, threshold);
    for (i32 e = 0; e < n.experts; ++e) {
      const i64 at = n.gate(i, e, n.experts);
      if (threshold[e] < 0) {
        p.set(at, Real(1));
        continue;
      }
      const Real t = h[n.gate(i, threshold[e], n.experts)];
      const Real z = (clean[at] - t) / softplus(spread[at]);
      p.set(at, std::erfc(-z / std::numbers::sqrt2_v<Real>) / 2);
    }
  }
}

template <class Real>
void gate_load_gradient(const call& c) {
  const auto clean = in<Real>(c, 0), spread = in<Real>(c, 1), h = in<Real>(c, 2);
  const auto dp = in<Real>(c, 3);
  const auto dclean = out<Real>(c, 0), dspread = out<Real>(c, 1), dh = out<Real>(c, 2);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    i32 threshold[ops::most_experts];
    Real to_h[ops::most_experts] = {};
    find_thresholds(h, n, i, threshold);
    for (i32 e = 0; e < n.experts; ++e) {
      const i64 at = n.gate(i, e, n.experts);
      Real d = 0, z = 0, s = 1;
      if (threshold[e] >= 0) {
        s = softplus(spread[at]);
        z = (clean[at] - h[n.gate(i, threshold[e], n.experts)]) / s;
        d = dp[at] * std::exp(-z * z / 2) * Real(0.3989422804014326779) / s;
        to_h[threshold[e]] -= d;
      }
      const Real back = d == 0 ? Real(0) : -d * z * softplus_slope(spread[at]);
      if (dclean) dclean.set(at, d);
      if (dspread) dspread.set(at, back);
    }
    for (i32 e = 0; e < n.experts && dh; ++e) dh.set(n.gate(i, e, n.experts), to_h[e]);
  }
}

template <class Real>
void balance_loss(const call& c) {
  const auto p = in<Real>(c, 0);
  const auto loss = out<Real>(c, 0), sums = out<Real>(c, 1);
  const auto n = expert_sizes::of(*c.sizes);
  Real sum[ops::most_experts] = {};
  Real mean = 0, variance = 0;
  for (i32 e = 0; e < n.experts; ++e) {
    for (i32 i = 0; i < n.tokens; ++i) {
      if (n.sample(i) < c.step->valid) sum[e] += p[n.gate(i, e, n.experts)];
    }
    mean += sum[e] / static_cast<Real>(n.experts);
    if (sums) sums.set(e, sum[e]);
  }
  for (i32 e = 0; e < n.experts; ++e) {
    variance += (sum[e] - mean) * (sum[e] - mean) / static_cast<Real>(n.experts);
  }
  loss.set(0, static_cast<Real>(c.attr->loss.weight) * variance / (mean * mean + Real(1e-10)));
}

template <class Real>
void balance_loss_gradient(const call& c) {
  const auto sums = in<Real>(c, 0), scaler = in<Real>(c, 1), above = in<Real>(c, 2);
  const auto dp = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  const Real count = static_cast<Real>(n.experts);
  Real mean = 0, variance = 0;
  for (i32 e = 0; e < n.experts; ++e) mean += sums[e] / count;
  for (i32 e = 0; e < n.experts; ++e) variance += (sums[e] - mean) * (sums[e] - mean) / count;
  const Real square = mean * mean + Real(1e-10);
  Real factor = static_cast<Real>(c.attr->loss.weight);
  if (scaler) factor *= scaler[0];
  if (above) factor *= above[0];
  for (i32 e = 0; e < n.experts; ++e) {
    const Real d = factor * 2 / count / square * (sums[e] - mean - mean * variance / square);
    for (i32 i = 0; i < n.tokens; ++i) {
      dp.set(n.gate(i, e, n.experts), n.sample(i) < c.step->valid ? d : Real(0));
    }
  }
}

inline void route_tokens(const call& c) {
  const i32* chosen = c.input<i32>(0);
  i32* slots = c.output<i32>(0);
  i32* places = c.output<i32>(1);
  const auto n = expert_sizes::of(*c.sizes);
  i32 taken[ops::most_experts] = {};
  for (i64 i = 0; i < i64{n.experts} * n.capacity; ++i) slots[i] = -1;
  for (i32 j = 0; j < n.k; ++j) {
    for (i32 i = 0; i < n.tokens; ++i) {
      i32& place = places[n.gate(i, j, n.k)];
      place = -1;
      const i32 e = chosen[n.gate(i, j, n.k)];
      if (n.sample(i) >= c.step->valid || taken[e] == n.capacity) continue;
      place = taken[e]++;
      slots[i64{e} * n.capacity + place] = i;
    }
  }
}

template <class Real>
void gather_tokens(const call& c) {
  const auto x = in<Real>(c, 0);
  const auto buffer = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 e = 0; e < n.experts; ++e) {
    for (i64 s = 0; s < n.capacity; ++s) {
      const i64 i = c.sizes->has_input(1) ? c.input<i32>(1)[e * n.capacity + s] : s;
      for (i64 d = 0; d < n.features; ++d) {
        buffer.set(n.slot(e, s) + d * n.slot_step(),
                   i < 0 ? Real(0) : x[n.token(i) + d * n.token_step()]);
      }
    }
  }
}

/// Calls body(expert, place) for the experts that took token i, in the order of its choices.
template <class Body>
void for_choices(const call& c, const expert_sizes& n, i32 slot, i64 i, const Body& body) {
  if (!c.sizes->has_input(slot)) return body(i64{0}, i, 0);
  for (i32 j = 0; j < n.k; ++j) {
    const i64 at = n.gate(i, j, n.k);
    if (c.input<i32>(slot + 1)[at] < 0) continue;
    body(i64{c.input<i32>(slot)[at]}, i64{c.input<i32>(slot + 1)[at]}, j);
  }
}

template <class Real>
void gather_tokens_gradient(const call& c) {
  const auto dbuffer = in<Real>(c, 0);
  const auto dx = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    for (i64 d = 0; d < n.features; ++d) {
      Real sum = 0;
      for_choices(c, n, 2, i, [&](i64 e, i64 place, i32) {
        sum += dbuffer[n.slot(e, place) + d * n.slot_step()];
      });
      dx.set(n.token(i) + d * n.token_step(), sum);
    }
  }
}

template <class Real>
void combine_experts(const call& c) {
  const auto buffer = in<Real>(c, 0), gates = in<Real>(c, 1);
  const auto y = out<Real>(c, 0);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 i = 0; i < n.tokens; ++i) {
    for (i64 d = 0; d < n.features; ++d) {
      Real sum = 0;
      for_choices(c, n, 3, i, [&](i64 e, i64 place, i32) {
        sum += gates[n.gate(i, e, n.experts)] * buffer[n.slot(e, place) + d * n.slot_step()];
      });
      y.set(n.token(i) + d * n.token_step(), sum);
    }
  }
}

template <class Real>
void combine_experts_gradient(const call& c) {
  const auto dy = in<Real>(c, 0), buffer = in<Real>(c, 1), gates = in<Real>(c, 2);
  const auto dbuffer = out<Real>(c, 0), dgates = out<Real>(c, 1);
  const auto n = expert_sizes::of(*c.sizes);
  for (i64 s = 0; s < i64{n.experts} * n.capacity && dbuffer; ++s) {
    const i64 e = s / n.capacity;
    const i64 i = c.input<i32>(3)[s];
    for (i64 d = 0; d < n.features; ++d) {
      const Real value =
          i < 0 ? Real(0) : gates[n.gate(i, e, n.experts)] * dy[n.token(i) + d * n.token_step()];
      dbuffer.set(n.slot(e, s % n.capacity) + d * n.slot_step(), value);
    }
  }
  for (i64 i = 0; i < n.tokens && dgates; ++i) {
    for (i32 e = 0; e < n.experts; ++e) dgates.set(n.gate(i, e, n.experts), Real(0));
    for_choices(c, n, 4, i, [&](i64 e, i64 place, i32) {
      Real sum = 0;
      for (i64 d = 0; d < n.features; ++d) {
        sum += dy[n.token(i) + d * n.token_step()] * buffer[n.slot(e, place) + d * n.slot_step()];
      }
      dgates.set(n.gate(i, e, n.experts), sum);
    });
  }
}

/// Runs an operation of the family in the compute type `Real`.
template <class Real>
void run_experts(const call& c) {
  switch (c.sizes->what) {
    case kind::gate_noise: return gate_noise<Real>(c);
    case kind::gate_noise_gradient: return gate_noise_gradient<Real>(c);
    case kind::top_k_gates: return top_k_gates<Real>(c);
    case kind::top_k_gates_gradient: return top_k_gates_gradient<Real>(c);
    case kind::gate_load: return gate_load<Real>(c);
    case kind::gate_load_gradient: return gate_load_gradient<Real>(c);
    case kind::balance_loss: return balance_loss<Real>(c);
    case kind::balance_loss_gradient: return balance_loss_gradient<Real>(c);
    case kind::route_tokens: return route_tokens(c);
    case kind::gather_tokens: return gather_tokens<Real>(c);
    case kind::gather_tokens_gradient: return gather_tokens_gradient<Real>(c);
    case kind::combine_experts: return combine_experts<Real>(c);
    default: return combine_experts_gradient<Real>(c);
  }
}

}  // namespace tessera::reference
