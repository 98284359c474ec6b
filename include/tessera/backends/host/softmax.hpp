#pragma once

// softmax, log_softmax, softmax of scores under masks, and their gradients (ops/softmax.hpp states
// what they mean).
//
//   along   numbers of a row lie side by side: vectors go along it
//   down    rows lie side by side (samples innermost, an axis that is not the last): lanes are rows
//
// Three passes over a row that is in cache: the largest, the exponentials and their sum, the
// division. Exponentials of 16-bit rows of up to 2048 wait in floats, those of longer ones are
// taken again: none is rounded twice. A row without a finite largest is shifted by 0: its
// exponentials are 0 or NaN by themselves. Threads share rows. Cost of a vector of 16 on Zen 4,
// f32, in cycles: 17 in long rows along vectors, 19 down, of which the exponential is 10; a row
// takes some 115 more for its sums across lanes. From the second-level cache that is a sixth of the
// pace of memory, the gradient 0.8 of it.

#include <cmath>
#include <limits>

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/moments.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

inline constexpr float left_out = -std::numeric_limits<float>::infinity();

/// The first n lanes of x, the others `rest`.
inline simd::vec first_of(simd::vec x, i32 n, float rest) {
  if (n == simd::lanes) return x;
  float all[simd::lanes];
  simd::store(all, x);
  for (i32 i = n; i < simd::lanes; ++i) all[i] = rest;
  return simd::load(all);
}

/// One row, along vectors. score(k, n): numbers k to k + n, `left_out` in the lanes behind them.
template <bool Log, class T, class Score>
void softmax_along(T* y, i64 count, const Score& score) {
  using namespace simd;
  const auto in_vectors = [&](const auto& f) {
    i64 k = 0;
    for (; k + lanes <= count; k += lanes) f(k, lanes);
    if (k < count) f(k, static_cast<i32>(count - k));
  };
  vec most = set(left_out);
  in_vectors([&](i64 k, i32 n) { most = larger(score(k, n), most); });
  const float largest = largest_lane(most);
  const vec shift = set(largest == left_out ? 0.0f : largest);
  vec total = zero();
  // Exponentials wait in y where that is exact, else in a buffer where they fit, or come again.
  constexpr bool in_place = sizeof(T) == sizeof(float);
  constexpr i64 room = Log || in_place ? 1 : 2048;
  float buffer[room];
  const bool kept = count <= room;
  in_vectors([&](i64 k, i32 n) {
    const vec e = host::exp(score(k, n) - shift);
    total = total + e;
    if constexpr (Log) return;
    if constexpr (in_place) {
      store_first(y + k, e, n);
    } else if (kept) {
      store_first(buffer + k, e, n);
    }
  });
  const float whole = sum(total);
  if constexpr (Log) {
    const vec less = set(std::log(whole));
    in_vectors([&](i64 k, i32 n) {
      const vec value = whole == 0 ? set(left_out) : score(k, n) - shift - less;
      store_first(y + k, value, n);
    });
  } else {
    const vec by = set(whole == 0 ? 0.0f : 1.0f / whole);
    in_vectors([&](i64 k, i32 n) {
      if constexpr (in_place) {
        store_first(y + k, load_first(y + k, n) * by, n);
      } else {
        const vec e = kept ? load_first(buffer + k, n) : host::exp(score(k, n) - shift);
        store_first(y + k, e * by, n);
      }
    });
  }
}

/// n rows in lanes, `step` from number to number. score(k): number k of each.
template <bool Log, class T, class Score>
void softmax_down(T* y, i64 step, i64 count, i32 n, const Score& score) {
  using namespace simd;
  vec most = set(left_out);
  for (i64 k = 0; k < count; ++k) most = larger(score(k), most);
  const vec shift = select(most == set(left_out), zero(), most);
  vec total = zero();
  for (i64 k = 0; k < count; ++k) {
    const vec e = host::exp(score(k) - shift);
    total = total + e;
    if constexpr (!Log && sizeof(T) == 4) store_first(y + k * step, e, n);
  }
  const mask empty = total == zero();
  if constexpr (Log) {
    const vec less = host::log(select(empty, set(1.0f), total));
    const vec sound = select(is_nan(total), total, less);  // log knows no NaN
    for (i64 k = 0; k < count; ++k) {
      store_first(y + k * step, select(empty, set(left_out), score(k) - shift - sound), n);
    }
  } else {
    const vec by = select(empty, zero(), set(1.0f) / total);
    for (i64 k = 0; k < count; ++k) {
      if constexpr (sizeof(T) == 4) {
        store_first(y + k * step, load_first(y + k * step, n) * by, n);
      } else {
        store_first(y + k * step, host::exp(score(k) - shift) * by, n);
      }
    }
  }
}

/// One thread for what is done sooner than threads are woken.
inline threads softmax_threads(const call& c, i64 elements) {
  return c.step->threads.when(elements >= 8192);
}

/// Rows of (outer, along, inner): along(first) for single ones, or down(first, n) for n side by
/// side.
template <class Along, class Down>
void for_softmax_rows(const call& c, const softmax_sizes& n, const Along& along, const Down& down) {
  const threads workers = softmax_threads(c, n.rows() * n.along);
  if (n.inner == 1) {
    parallel_for(workers, n.outer, [&](i32 row) { along(i64{row} * n.along); });
    return;
  }
  const i32 vectors = (n.inner + simd::lanes - 1) / simd::lanes;
  parallel_for(workers, n.outer * vectors, [&](i32 item) {
    const i32 from = item % vectors * simd::lanes;
    const i32 rest = n.inner - from;
    down(i64{item / vectors} * n.along * n.inner + from, rest < simd::lanes ? rest : simd::lanes);
  });
}

template <class T, bool Log>
void softmax(const call& c) {
  const auto n = softmax_sizes::of(*c.sizes);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  for_softmax_rows(
      c, n,
      [&](i64 first) {
        softmax_along<Log>(y + first, n.along, [&](i64 k, i32 count) {
          return first_of(load_first(x + first + k, count), count, left_out);
        });
      },
      [&](i64 first, i32 count) {
        softmax_down<Log>(y + first, n.inner, n.along, count,
                          [&](i64 k) { return load_first(x + first + k * n.inner, count); });
      });
}

template <class T, bool Log>
void softmax_gradient(const call& c) {
  using simd::vec;
  const auto n = softmax_sizes::of(*c.sizes);
  const T* const y = c.input<T>(0);
  const T* const dy = c.input<T>(1);
  T* const dx = c.output<T>(0);
  const auto term = [](vec v, vec g) { return Log ? g : v * g; };
  const auto result = [](vec v, vec g, vec sum) {
    return Log ? simd::fnma(host::exp(v), sum, g) : v * (g - sum);
  };
  for_softmax_rows(
      c, n,
      [&](i64 first) {
        const number_runs row{1, n.along, 0};
        float total[1];
        sum_runs(
            row, total, [&](vec(&t)[1], vec v, vec g) { t[0] = t[0] + term(v, g); }, y + first,
            dy + first);
        const vec sum = simd::set(total[0]);
        map_runs(
            row, dx + first, [&](vec v, vec g) { return result(v, g, sum); }, y + first,
            dy + first);
      },
      [&](i64 first, i32 count) {
        vec sum = simd::zero();
        for (i64 k = first; k < first + i64{n.along} * n.inner; k += n.inner) {
          sum = sum + term(load_first(y + k, count), load_first(dy + k, count));
        }
        for (i64 k = first; k < first + i64{n.along} * n.inner; k += n.inner) {
          store_first(dx + k, result(load_first(y + k, count), load_first(dy + k, count), sum),
                      count);
        }
      });
}

/// A mask as what is added to scores: `left_out` where it leaves out.
struct score_mask {
  const std::byte* values = nullptr;
  element type = element::f32;
  i32 stride[4] = {};

  score_mask(const call& c, i32 slot, const i32 (&strides)[4]) {
    if (!c.sizes->has_input(slot)) return;
    values = c.in[slot];
    type = c.sizes->input_type(slot);
    for (i32 i = 0; i < 4; ++i) stride[i] = strides[i];
  }
  explicit operator bool() const { return values != nullptr; }

  i64 row(i64 sample, i64 head, i64 query) const {
    return sample * stride[0] + head * stride[1] + query * stride[2];
  }
  float one(i64 at) const {
    switch (type) {
      case element::f16: return to_float(reinterpret_cast<const half*>(values)[at]);
      case element::bf16: return to_float(reinterpret_cast<const bfloat16*>(values)[at]);
      case element::uint8: return reinterpret_cast<const u8*>(values)[at] != 0 ? left_out : 0;
      case element::int32: return reinterpret_cast<const i32*>(values)[at] != 0 ? left_out : 0;
      default: return reinterpret_cast<const float*>(values)[at];
    }
  }
  /// n of them from `at` on, `step` apart.
  simd::vec some(i64 at, i64 step, i32 n) const {
    using namespace simd;
    if (step == 0) return set(one(at));
    if (step == 1 && type == element::f32) {
      return load_first(reinterpret_cast<const float*>(values) + at, n);
    }
    if (step == 1 && n == lanes && type == element::int32) {
      const vec chosen = load_i32(reinterpret_cast<const i32*>(values) + at);
      return select(chosen == zero(), zero(), set(left_out));
    }
    if (step == 1 && n == lanes && type == element::uint8) {
      const vec chosen = load_u8(reinterpret_cast<const u8*>(values) + at);
      return select(chosen == zero(), zero(), set(left_out));
    }
    float all[lanes] = {};
    for (i32 i = 0; i < n; ++i) all[i] = one(at + i * step);
    return load(all);
  }
  /// Scores with what is left out at -infinity, whatever it was.
  static simd::vec apply(simd::vec score, simd::vec mask) {
    return simd::select(mask == simd::set(left_out), mask, score + mask);
  }
};

template <class T, bool BatchLast>
void masked_softmax(const call& c) {
  using namespace simd;
  const auto n = masked_softmax_sizes::of(*c.sizes);
  const score_mask masks[] = {{c, 1, n.mask[0]}, {c, 2, n.mask[1]}};
  const i32* const lengths = c.input<i32>(3);
  const T* const x = c.input<T>(0);
  T* const y = c.output<T>(0);
  const threads workers = softmax_threads(c, n.all_rows() * n.columns);
  const i32 rows = n.heads * n.rows;
  const auto limit_of = [&](i32 query) {
    return n.causal != 0 && query + 1 < n.columns ? query + 1 : n.columns;
  };
  if constexpr (!BatchLast) {
    parallel_for(workers, n.samples * rows, [&](i32 item) {
      const i32 sample = item / rows;
      const i32 head = item % rows / n.rows;
      const i32 query = item % n.rows;
      i32 limit = limit_of(query);
      if (lengths != nullptr && lengths[sample] < limit) {
        limit = lengths[sample] < 0 ? 0 : lengths[sample];
      }
      const T* const from = x + i64{item} * n.columns;
      T* const to = y + i64{item} * n.columns;
      softmax_along<false>(to, limit, [&](i64 k, i32 count) {
        vec score = load_first(from + k, count);
        for (const score_mask& m : masks) {
          if (!m) continue;
          const i64 at = m.row(sample, head, query) + k * m.stride[3];
          score = score_mask::apply(score, m.some(at, m.stride[3], count));
        }
        return first_of(score, count, left_out);
      });
      for (i32 k = limit; k < n.columns; ++k) to[k] = T{};
    });
  } else {
    const i32 vectors = n.samples / lanes;
    parallel_for(workers, rows * vectors, [&](i32 item) {
      const i32 sample = item % vectors * lanes;
      const i32 head = item / vectors / n.rows;
      const i32 query = item / vectors % n.rows;
      const i32 limit = limit_of(query);
      const i64 first = i64{item / vectors} * n.columns * n.samples + sample;
      const vec ends = lengths == nullptr ? zero() : load_i32(lengths + sample);
      softmax_down<false>(y + first, n.samples, limit, lanes, [&](i64 k) {
        vec score = load(x + first + k * n.samples);
        for (const score_mask& m : masks) {
          if (!m) continue;
          const i64 at = m.row(sample, head, query) + k * m.stride[3];
          score = score_mask::apply(score, m.some(at, m.stride[0], lanes));
        }
        if (lengths == nullptr) return score;
        return select(set(static_cast<float>(k)) < ends, score, set(left_out));
      });
      for (i32 k = limit; k < n.columns; ++k) store(y + first + i64{k} * n.samples, zero());
    });
  }
}

}  // namespace tessera::host
