#pragma once

// Gates of mixtures of experts (ops/experts.hpp states what they mean): their noise, the choice of
// the largest, how many tokens each expert gets, and the loss that balances these.
//
// Worked on a vector of tokens at a time, expert after expert, whatever the layout: with samples
// innermost loads are contiguous, else they are gathered. Threads share blocks of tokens; every
// element is made by one of them, sums in a stated order.
//
// softplus  max(x, 0) + log1p(exp(-|x|)), with log1p(e) = log(u) e / (u - 1), u = 1 + e (Kahan)
// Phi       erfc by the fit t exp(-x^2 + P9(t)), t = 1 / (1 + x / 2), of Press et al., Numerical
//           Recipes, 6.2: a relative error of 1.2e-7

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/experts.hpp>
#include <cmath>
#include <limits>

namespace tessera::host {

namespace gates {

using simd::fma;
using simd::lanes;
using simd::set;
using simd::vec;

inline vec softplus(vec x) {
  const vec e = host::exp(simd::zero() - simd::absolute(x));
  const vec u = e + set(1.0f);
  const vec whole = u - set(1.0f);
  const vec small = simd::select(whole == simd::zero(), e, host::log(u) * (e / whole));
  const vec y = simd::larger(x, simd::zero()) + small;
  return simd::select(y < set(1e-10f), set(1e-10f), y);  // NaN stays
}

/// The probability that a standard normal number is below z.
inline vec below(vec z) {
  const vec x = simd::absolute(z) * set(0.70710678118654752f);
  const vec t = set(1.0f) / fma(set(0.5f), x, set(1.0f));
  vec p = set(0.17087277f);
  p = fma(p, t, set(-0.82215223f));
  p = fma(p, t, set(1.48851587f));
  p = fma(p, t, set(-1.13520398f));
  p = fma(p, t, set(0.27886807f));
  p = fma(p, t, set(-0.18628806f));
  p = fma(p, t, set(0.09678418f));
  p = fma(p, t, set(0.37409196f));
  p = fma(p, t, set(1.00002368f));
  p = fma(p, t, set(-1.26551223f));
  const vec half = set(0.5f) * t * host::exp(simd::fnma(x, x, p));
  return simd::select(z < simd::zero(), half, set(1.0f) - half);
}

/// Some tokens next to each other, at most a vector of them.
struct block {
  const expert_sizes& n;
  i64 first;
  i32 count;

  template <class T>
  vec load(const T* p, i64 e) const {
    if (n.gates_last) {
      const T* const at = p + e * n.tokens + first;
      return count == lanes ? simd::load(at) : simd::load_partial(at, count);
    }
    float all[lanes] = {};
    for (i32 l = 0; l < count; ++l) all[l] = simd::as_float(p[(first + l) * n.experts + e]);
    return simd::load(all);
  }
  template <class T>
  void store(T* p, i64 e, vec v) const {
    if (n.gates_last) {
      T* const at = p + e * n.tokens + first;
      return count == lanes ? simd::store(at, v) : simd::store_partial(at, v, count);
    }
    T all[lanes];
    simd::store(all, v);
    for (i32 l = 0; l < count; ++l) p[(first + l) * n.experts + e] = all[l];
  }
  /// 1 for tokens that count, 0 for those of padded samples and past the end.
  vec counting(i32 valid) const {
    float all[lanes] = {};
    for (i32 l = 0; l < count; ++l) {
      all[l] = n.sample(static_cast<i32>(first) + l) < valid ? 1.0f : 0.0f;
    }
    return simd::load(all);
  }
};

/// body(block) for all tokens.
template <class Body>
void for_blocks(const call& c, const expert_sizes& n, const Body& body) {
  const i32 blocks = (n.tokens + lanes - 1) / lanes;
  const threads workers = c.step->threads.when(i64{n.tokens} * n.experts >= 2048);
  parallel_for(workers, blocks, [&](i32 i) {
    const i64 first = i64{i} * lanes;
    const i64 left = n.tokens - first;
    body(block{n, first, static_cast<i32>(left < lanes ? left : lanes)});
  });
}

/// The largest gates of a block of tokens, one after another.
class ranking {
 public:
  template <class T>
  ranking(const T* h, const block& b) : b_(b) {
    for (i32 e = 0; e < b.n.experts; ++e) simd::store(h_[e], b.load(h, e));
  }

  /// Finds number `j`; all before it are known. False where no token has one.
  bool find(i32 j) {
    vec best = set(-std::numeric_limits<float>::infinity());
    vec where = set(-1.0f);
    for (i32 e = 0; e < b_.n.experts; ++e) {
      const vec v = simd::load(h_[e]);
      const simd::mask more = v > best;
      best = simd::select(more, v, best);
      where = simd::select(more, set(static_cast<float>(e)), where);
    }
    float found[lanes];
    simd::store(found, where);
    simd::store(value_[j], best);
    if (j >= b_.n.experts) return false;
    for (i32 l = 0; l < b_.count; ++l) {
      i32 e = static_cast<i32>(found[l]);
      if (e < 0) e = find_one(l, j);
      expert_[j][l] = e;
      value_[j][l] = h_[e][l];
      h_[e][l] = -std::numeric_limits<float>::infinity();
    }
    return true;
  }

  i32 expert(i32 j, i32 l) const { return expert_[j][l]; }
  vec value(i32 j) const { return simd::load(value_[j]); }
  /// The numbers of the experts at rank j.
  vec experts(i32 j) const {
    float all[lanes] = {};
    for (i32 l = 0; l < b_.count; ++l) all[l] = static_cast<float>(expert_[j][l]);
    return simd::load(all);
  }

 private:
  /// Among what is left there is -infinity or NaN at most: infinities first, in order.
  i32 find_one(i32 l, i32 known) const {
    i32 best = -1;
    for (i32 e = 0; e < b_.n.experts; ++e) {
      bool free = true;
      for (i32 j = 0; j < known; ++j) free = free && expert_[j][l] != e;
      if (free && (best < 0 || (std::isnan(h_[best][l]) && !std::isnan(h_[e][l])))) best = e;
    }
    return best;
  }

  const block& b_;
  alignas(64) float h_[ops::most_experts][lanes];
  float value_[ops::most_choices + 1][lanes];
  i32 expert_[ops::most_choices + 1][lanes] = {};
};

}  // namespace gates

template <class T>
void gate_noise(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const T* const clean = c.input<T>(0);
  const T* const spread = c.input<T>(1);
  const T* const noise = c.input<T>(2);
  T* const h = c.output<T>(0);
  parallel_ranges(c.step->threads, i64{n.tokens} * n.experts, [&](i64 i, i64 last) {
    for (; i < last; i += lanes) {
      const i32 rest = last - i < lanes ? static_cast<i32>(last - i) : lanes;
      const vec s = gates::softplus(load_partial(spread + i, rest));
      store_partial(h + i, fma(load_partial(noise + i, rest), s, load_partial(clean + i, rest)),
                    rest);
    }
  });
}

template <class T>
void gate_noise_gradient(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const T* const spread = c.input<T>(0);
  const T* const noise = c.input<T>(1);
  const T* const dh = c.input<T>(2);
  T* const dspread = c.output<T>(0);
  parallel_ranges(c.step->threads, i64{n.tokens} * n.experts, [&](i64 i, i64 last) {
    for (; i < last; i += lanes) {
      const i32 rest = last - i < lanes ? static_cast<i32>(last - i) : lanes;
      const vec d = load_partial(dh + i, rest) * load_partial(noise + i, rest);
      store_partial(dspread + i, d * host::sigmoid(load_partial(spread + i, rest)), rest);
    }
  });
}

template <class T>
void top_k_gates(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  T* const to = c.output<T>(0);
  i32* const chosen = c.output<i32>(1);
  gates::for_blocks(c, n, [&](const gates::block& b) {
    gates::ranking rank(c.input<T>(0), b);
    vec weight[ops::most_choices];
    vec sum = zero();
    for (i32 j = 0; j < n.k; ++j) {
      rank.find(j);
      weight[j] = host::exp(rank.value(j) - rank.value(0));
      sum += weight[j];
    }
    for (i32 j = 0; j < n.k; ++j) weight[j] = weight[j] / sum;
    for (i32 e = 0; e < n.experts; ++e) b.store(to, e, zero());
    for (i32 j = 0; j < n.k; ++j) {
      T all[lanes];
      store(all, weight[j]);
      for (i32 l = 0; l < b.count; ++l) {
        to[n.gate(b.first + l, rank.expert(j, l), n.experts)] = all[l];
        chosen[n.gate(b.first + l, j, n.k)] = rank.expert(j, l);
      }
    }
  });
}

template <class T>
void top_k_gates_gradient(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const T* const g = c.input<T>(0);
  const T* const d = c.input<T>(1);
  gates::for_blocks(c, n, [&](const gates::block& b) {
    vec sum = zero();
    for (i32 e = 0; e < n.experts; ++e) sum = fma(b.load(g, e), b.load(d, e), sum);
    for (i32 e = 0; e < n.experts; ++e) {
      b.store(c.output<T>(0), e, b.load(g, e) * (b.load(d, e) - sum));
    }
  });
}

namespace gates {

/// Calls body(e, s, z, among) for the experts of a block: softplus, distance from the threshold in
/// units of it, and whether the expert is chosen. False where there is no threshold for anybody.
template <class T, class Body>
void for_distances(const call& c, const block& b, ranking& rank, const Body& body) {
  const i32 k = b.n.k;
  for (i32 j = 0; j < k; ++j) rank.find(j);
  const bool next = rank.find(k);
  vec ranked[ops::most_choices];
  for (i32 j = 0; j < k; ++j) ranked[j] = rank.experts(j);
  for (i32 e = 0; e < b.n.experts; ++e) {
    const vec number = set(static_cast<float>(e));
    vec among = simd::zero();
    for (i32 j = 0; j < k; ++j) {
      among = simd::select(ranked[j] == number, set(1.0f), among);
    }
    const simd::mask is_among = among > simd::zero();
    const vec t = simd::select(is_among, rank.value(k), rank.value(k - 1));
    const vec s = softplus(b.load(c.input<T>(1), e));
    const vec z = (b.load(c.input<T>(0), e) - t) / s;
    body(e, s, z, is_among, next);
  }
}

}  // namespace gates

template <class T>
void gate_load(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  gates::for_blocks(c, n, [&](const gates::block& b) {
    gates::ranking rank(c.input<T>(2), b);
    gates::for_distances<T>(c, b, rank, [&](i32 e, vec, vec z, mask among, bool next) {
      vec p = gates::below(z);
      if (!next) p = select(among, set(1.0f), p);
      b.store(c.output<T>(0), e, p);
    });
  });
}

template <class T>
void gate_load_gradient(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  T* const dclean = c.sizes->has_output(0) ? c.output<T>(0) : nullptr;
  T* const dspread = c.sizes->has_output(1) ? c.output<T>(1) : nullptr;
  T* const dh = c.sizes->has_output(2) ? c.output<T>(2) : nullptr;
  gates::for_blocks(c, n, [&](const gates::block& b) {
    gates::ranking rank(c.input<T>(2), b);
    vec to_last = zero();  // what goes to the k-th largest h, and to the one after it
    vec to_next = zero();
    gates::for_distances<T>(c, b, rank, [&](i32 e, vec s, vec z, mask among, bool next) {
      const vec bell = host::exp(set(-0.5f) * z * z) * set(0.39894228040143268f);
      vec d = b.load(c.input<T>(3), e) * bell / s;
      if (!next) d = select(among, zero(), d);
      to_next -= select(among, d, zero());
      to_last -= select(among, zero(), d);
      // Far from the threshold d is 0 and z may be infinite.
      const vec back = zero() - d * z * host::sigmoid(b.load(c.input<T>(1), e));
      if (dclean != nullptr) b.store(dclean, e, d);
      if (dspread != nullptr) b.store(dspread, e, select(d == zero(), zero(), back));
    });
    if (dh == nullptr) return;
    for (i32 e = 0; e < n.experts; ++e) b.store(dh, e, zero());
    for (i32 side = 0; side < (n.k < n.experts ? 2 : 1); ++side) {
      T all[lanes];
      store(all, side == 0 ? to_last : to_next);
      for (i32 l = 0; l < b.count; ++l) {
        dh[n.gate(b.first + l, rank.expert(n.k - 1 + side, l), n.experts)] = all[l];
      }
    }
  });
}

template <class T>
void balance_loss(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const T* const p = c.input<T>(0);
  vec sums[ops::most_experts];
  for (i32 e = 0; e < n.experts; ++e) sums[e] = zero();
  for (i64 first = 0; first < n.tokens; first += lanes) {
    const i64 left = n.tokens - first;
    const gates::block b{n, first, static_cast<i32>(left < lanes ? left : lanes)};
    const vec counting = b.counting(c.step->valid);
    for (i32 e = 0; e < n.experts; ++e) {
      sums[e] += select(counting > zero(), b.load(p, e), zero());
    }
  }
  float mean = 0;
  float each[ops::most_experts];
  const float count = static_cast<float>(n.experts);
  for (i32 e = 0; e < n.experts; ++e) {
    each[e] = sum(sums[e]);
    mean += each[e] / count;
    if (c.sizes->has_output(1)) c.output<float>(1)[e] = each[e];
  }
  float variance = 0;
  for (i32 e = 0; e < n.experts; ++e) variance += (each[e] - mean) * (each[e] - mean) / count;
  *c.output<float>(0) = c.attr->loss.weight * variance / (mean * mean + 1e-10f);
}

template <class T>
void balance_loss_gradient(const call& c) {
  using namespace simd;
  const auto n = expert_sizes::of(*c.sizes);
  const float* const sums = c.input<float>(0);
  const float count = static_cast<float>(n.experts);
  float mean = 0;
  float variance = 0;
  for (i32 e = 0; e < n.experts; ++e) mean += sums[e] / count;
  for (i32 e = 0; e < n.experts; ++e) variance += (sums[e] - mean) * (sums[e] - mean) / count;
  const float square = mean * mean + 1e-10f;
  float factor = c.attr->loss.weight;
  if (c.sizes->has_input(1)) factor *= *c.input<float>(1);  // the loss scale
  if (c.sizes->has_input(2)) factor *= *c.input<float>(2);
  gates::for_blocks(c, n, [&](const gates::block& b) {
    const vec counting = b.counting(c.step->valid);
    for (i32 e = 0; e < n.experts; ++e) {
      const float d = factor * 2 / count / square * (sums[e] - mean - mean * variance / square);
      b.store(c.output<T>(0), e, select(counting > zero(), set(d), zero()));
    }
  });
}

}  // namespace tessera::host
