#pragma once

// Mixtures of experts (ops/experts.hpp states what they mean): which tokens go where, and the way
// of their rows to the experts and back.
//
// Rows move 16 at a time; where both sides have the features innermost, along the features.
// Threads share tokens or slots; every element is made by one of them, sums in a stated order.
//
// Cost of a mixture (g++ 12 -O2, EPYC, one thread's CPU time): 1024 tokens of 128 features, experts
// of 512 hidden units, k = 2, capacity 200 %: forward 13.1 ms with 4 experts, 14.2 with 16, 15.4
// with 64; with the backward pass 41, 43 and 52 (the 33 MB of 64 experts' weights are read for 64
// rows each). With a slot for every token 13, 55 and 207 forward.

#include <tessera/backends/host/gates.hpp>
#include <cstring>

namespace tessera::host {

inline void route_tokens(const call& c) {
  const i32* const chosen = c.input<i32>(0);
  i32* const slots = c.output<i32>(0);
  i32* const places = c.output<i32>(1);
  const auto n = expert_sizes::of(*c.sizes);
  i32 taken[ops::most_experts] = {};
  std::memset(slots, 0xff, sizeof(i32) * static_cast<std::size_t>(i64{n.experts} * n.capacity));
  for (i32 j = 0; j < n.k; ++j) {
    for (i32 i = 0; i < n.tokens; ++i) {
      const i64 at = n.gate(i, j, n.k);
      const i32 e = chosen[at];
      places[at] = -1;
      if (n.sample(i) >= c.step->valid || taken[e] == n.capacity) continue;
      places[at] = taken[e]++;
      slots[i64{e} * n.capacity + places[at]] = i;
    }
  }
}

namespace detail {

inline constexpr i32 side_by_side = 16;  // rows that are worked on together

template <class T>
T as_stored(float x) {
  T stored;
  simd::store_number(&stored, x);
  return stored;
}

/// to[d to_step] = sum over j of weight[j] from[j][d from_step], for `features` d of one row.
template <class T>
void sum_rows(const T* const* from, const float* weight, i32 rows, i64 from_step, T* to,
              i64 to_step, i32 features) {
  using namespace simd;
  if (from_step == 1 && to_step == 1) {
    for (i32 d = 0; d < features; d += lanes) {
      const i32 rest = features - d < lanes ? features - d : lanes;
      vec sum = zero();
      for (i32 j = 0; j < rows; ++j) {
        sum = fma(set(weight[j]), load_partial(from[j] + d, rest), sum);
      }
      store_partial(to + d, sum, rest);
    }
    return;
  }
  for (i64 d = 0; d < features; ++d) {
    float sum = 0;
    for (i32 j = 0; j < rows; ++j) sum += weight[j] * as_float(from[j][d * from_step]);
    to[d * to_step] = as_stored<T>(sum);
  }
}

/// The rows of the experts' side that belong to token i, with a weight each: a gate, or 1.
template <class T>
i32 rows_of_token(const call& c, const expert_sizes& n, const T* buffer, const T* gate, i32 slot,
                  i64 i, const T** rows, float* weight) {
  if (!c.sizes->has_input(slot)) {
    rows[0] = buffer + n.slot(0, i);
    weight[0] = 1;
    return 1;
  }
  i32 count = 0;
  for (i32 j = 0; j < n.k; ++j) {
    const i64 at = n.gate(i, j, n.k);
    const i32 place = c.input<i32>(slot + 1)[at];
    if (place < 0) continue;
    const i32 e = c.input<i32>(slot)[at];
    rows[count] = buffer + n.slot(e, place);
    weight[count++] = gate == nullptr ? 1.0f : simd::as_float(gate[n.gate(i, e, n.experts)]);
  }
  return count;
}

/// Every token from the rows that belong to it.
template <class T>
void sum_to_tokens(const call& c, const T* buffer, const T* gate, i32 slot, T* to) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const threads workers = c.step->threads.when(i64{n.tokens} * n.features >= 4096);
  parallel_for(workers, (n.tokens + side_by_side - 1) / side_by_side, [&](i32 block) {
    const i64 first = i64{block} * side_by_side;
    const i32 count =
        static_cast<i32>(n.tokens - first < side_by_side ? n.tokens - first : side_by_side);
    const T* rows[side_by_side][ops::most_choices];
    float weight[side_by_side][ops::most_choices];
    i32 many[side_by_side];
    i32 most = 0;
    for (i32 t = 0; t < count; ++t) {
      many[t] = rows_of_token(c, n, buffer, gate, slot, first + t, rows[t], weight[t]);
      most = many[t] > most ? many[t] : most;
    }
    if (!n.tokens_last || n.samples % side_by_side != 0) {
      for (i32 t = 0; t < count; ++t) {
        sum_rows(rows[t], weight[t], many[t], n.slot_step(), to + n.token(first + t),
                 n.token_step(), n.features);
      }
      return;
    }
    // Tokens side by side: missing rows read some row and weigh 0.
    for (i32 t = 0; t < count; ++t) {
      for (i32 j = many[t]; j < most; ++j) {
        rows[t][j] = buffer;
        weight[t][j] = 0;
      }
    }
    const i64 step = n.slot_step();
    T* at = to + n.token(first);
    for (i32 d = 0; d < n.features; ++d, at += n.samples) {
      float sum[side_by_side] = {};
      for (i32 j = 0; j < most; ++j) {
        for (i32 t = 0; t < side_by_side; ++t) {
          if (j < many[t]) sum[t] += weight[t][j] * as_float(rows[t][j][d * step]);
        }
      }
      for (i32 t = 0; t < side_by_side; ++t) at[t] = as_stored<T>(sum[t]);
    }
  });
}

/// Every slot from the token that has it, times its gate where there are gates.
template <class T>
void copy_to_slots(const call& c, const T* x, const T* gate, i32 slot, T* buffer) {
  const auto n = expert_sizes::of(*c.sizes);
  const i32* const slots = c.sizes->has_input(slot) ? c.input<i32>(slot) : nullptr;
  const i32 groups = (n.capacity + side_by_side - 1) / side_by_side;
  const threads workers = c.step->threads.when(i64{n.experts} * n.capacity * n.features >= 4096);
  parallel_for(workers, n.experts * groups, [&](i32 item) {
    const i32 e = item / groups;
    const i32 first = item % groups * side_by_side;
    const i32 count = n.capacity - first < side_by_side ? n.capacity - first : side_by_side;
    const T* from[side_by_side];
    float weight[side_by_side];
    for (i32 s = 0; s < count; ++s) {
      const i64 i = slots == nullptr ? first + s : slots[i64{e} * n.capacity + first + s];
      from[s] = i < 0 ? nullptr : x + n.token(i);
      weight[s] = gate == nullptr || i < 0 ? 1.0f : simd::as_float(gate[n.gate(i, e, n.experts)]);
    }
    T* const to = buffer + n.slot(e, first);
    const i64 step = n.token_step();
    if (n.buffer_last) {
      for (i32 d = 0; d < n.features; ++d) {
        T* const at = to + i64{d} * n.capacity;
        for (i32 s = 0; s < count; ++s) {
          const T value = from[s] == nullptr ? T{} : from[s][d * step];
          at[s] = gate == nullptr ? value : as_stored<T>(weight[s] * simd::as_float(value));
        }
      }
      return;
    }
    for (i32 s = 0; s < count; ++s) {
      T* const row = to + i64{s} * n.features;
      if (from[s] == nullptr) {
        std::memset(static_cast<void*>(row), 0, sizeof(T) * static_cast<std::size_t>(n.features));
      } else {
        sum_rows(from + s, weight + s, 1, step, row, 1, n.features);
      }
    }
  });
}

}  // namespace detail

template <class T>
void gather_tokens(const call& c) {
  detail::copy_to_slots<T>(c, c.input<T>(0), nullptr, 1, c.output<T>(0));
}

template <class T>
void gather_tokens_gradient(const call& c) {
  detail::sum_to_tokens<T>(c, c.input<T>(0), nullptr, 2, c.output<T>(0));
}

template <class T>
void combine_experts(const call& c) {
  detail::sum_to_tokens<T>(c, c.input<T>(0), c.input<T>(1), 3, c.output<T>(0));
}

template <class T>
void combine_experts_gradient(const call& c) {
  using namespace simd;
  const T* const dy = c.input<T>(0);
  const T* const buffer = c.input<T>(1);
  if (c.sizes->has_output(0)) {
    detail::copy_to_slots<T>(c, dy, c.input<T>(2), 3, c.output<T>(0));
  }
  if (!c.sizes->has_output(1)) return;
  const auto n = expert_sizes::of(*c.sizes);
  T* const dgates = c.output<T>(1);
  std::memset(static_cast<void*>(dgates), 0,
              sizeof(T) * static_cast<std::size_t>(i64{n.tokens} * n.experts));
  const threads workers = c.step->threads.when(i64{n.tokens} * n.features >= 4096);
  parallel_for(workers, (n.tokens + 15) / 16, [&](i32 block) {
    for (i64 i = i64{block} * 16; i < i64{block} * 16 + 16 && i < n.tokens; ++i) {
      for (i32 j = 0; j < n.k; ++j) {
        const i64 at = n.gate(i, j, n.k);
        const i32 place = c.input<i32>(5)[at];
        if (place < 0) continue;
        const i32 e = c.input<i32>(4)[at];
        const T* const a = dy + n.token(i);
        const T* const b = buffer + n.slot(e, place);
        float dot = 0;
        i64 d = 0;
        if (n.token_step() == 1 && n.slot_step() == 1) {
          vec all = zero();
          for (; d + lanes <= n.features; d += lanes) all = fma(load(a + d), load(b + d), all);
          dot = sum(all);
        }
        for (; d < n.features; ++d) {
          dot += as_float(a[d * n.token_step()]) * as_float(b[d * n.slot_step()]);
        }
        dgates[n.gate(i, e, n.experts)] = detail::as_stored<T>(dot);
      }
    }
  });
}

}  // namespace tessera::host
