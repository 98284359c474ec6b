#pragma once

// Clipping of gradients, the L1 penalty, and the sums of squares that they and some update rules
// need (ops/update.hpp states what they mean).
//
// Sums do not depend on threads or the vector width: 32 running sums over pieces of 512 neighbours,
// folded in f32; pieces are added in order in f64, in at most 64 blocks of a tensor, and these in
// their order. A block is 4096 elements or more.

#include <tessera/backends/host/math.hpp>
#include <tessera/backends/host/update.hpp>

namespace tessera::host {

/// The blocks that a tensor is summed in.
struct sum_blocks {
  static constexpr i64 piece = 512;
  static constexpr i32 most = 64;
  static constexpr i64 smallest = 4096;

  i64 count;
  i64 block;

  explicit sum_blocks(i64 elements)
      : count(elements),
        block(((elements + most - 1) / most + smallest - 1) / smallest * smallest) {}

  i32 blocks() const { return static_cast<i32>((count + block - 1) / block); }

  /// Calls piece(first, n) for the pieces of block `b`.
  template <class Piece>
  void pieces(i32 b, const Piece& take) const {
    const i64 last = (b + 1) * block < count ? (b + 1) * block : count;
    for (i64 i = b * block; i < last; i += piece) {
      take(i, last - i < piece ? last - i : piece);
    }
  }
};

namespace detail {

struct add_square {
  simd::vec operator()(simd::vec sum, simd::vec x) const { return simd::fma(x, x, sum); }
};
struct add_magnitude {
  simd::vec operator()(simd::vec sum, simd::vec x) const { return sum + simd::absolute(x); }
};
/// The larger magnitude; a NaN stays, from either side.
struct keep_largest {
  simd::vec operator()(simd::vec most, simd::vec x) const {
    const simd::vec size = simd::absolute(x);
    return simd::select(simd::is_nan(most), most, simd::larger(most, size));
  }
};
struct add_power {
  simd::vec order;
  simd::vec operator()(simd::vec sum, simd::vec x) const {
    return sum + exp(order * log(simd::absolute(x)));
  }
};

/// 32 running results over n neighbours, then the 16 pairs, the 8, ... `join` of two of them.
template <class T, class Add, class Join>
float reduce_along(const T* p, i64 n, const Add add, const Join join) {
  using namespace simd;
  constexpr i32 vectors = 32 / lanes;
  vec all[vectors];
  TESSERA_UNROLL
  for (i32 v = 0; v < vectors; ++v) all[v] = zero();
  i64 i = 0;
  for (; i + 32 <= n; i += 32) {
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) all[v] = add(all[v], load(p + i + v * lanes));
  }
  if (i < n) {
    float rest[32] = {};
    for (i32 k = 0; i + k < n; ++k) rest[k] = as_float(p[i + k]);
    TESSERA_UNROLL
    for (i32 v = 0; v < vectors; ++v) all[v] = add(all[v], load(rest + v * lanes));
  }
  float lane[32];
  for (i32 v = 0; v < vectors; ++v) store(lane + v * lanes, all[v]);
  for (i32 width = 16; width > 0; width /= 2) {
    for (i32 k = 0; k < width; ++k) lane[k] = join(lane[k], lane[k + width]);
  }
  return lane[0];
}

inline float plus(float a, float b) { return a + b; }
inline float larger_or_nan(float a, float b) { return a > b || a != a ? a : b; }

/// The sum over all blocks of `c`'s gradient.
template <class T, class Add>
double sum_gradient(const call& c, const T* g, const sum_blocks& blocks, const Add& add) {
  double sums[sum_blocks::most];
  parallel_for(c.step->threads, blocks.blocks(), [&](i32 b) {
    double sum = 0;
    blocks.pieces(
        b, [&](i64 i, i64 n) { sum += static_cast<double>(reduce_along(g + i, n, add, plus)); });
    sums[b] = sum;
  });
  double total = 0;
  for (i32 b = 0; b < blocks.blocks(); ++b) total += sums[b];
  return total;
}

}  // namespace detail

/// (-, gradient) -> norm.
template <class T>
void gradient_norm(const call& c) {
  const T* const g = c.input<T>(1);
  const sum_blocks blocks(bias_sizes::of(*c.sizes).count());
  const float order = c.attr->limits.order;
  double norm = 0;
  if (order == 2) {
    norm = std::sqrt(detail::sum_gradient(c, g, blocks, detail::add_square{}));
  } else if (order == 1) {
    norm = detail::sum_gradient(c, g, blocks, detail::add_magnitude{});
  } else if (order <= std::numeric_limits<float>::max()) {
    const detail::add_power add{simd::set(order)};
    norm = std::pow(detail::sum_gradient(c, g, blocks, add), 1 / static_cast<double>(order));
  } else {
    float most[sum_blocks::most];
    parallel_for(c.step->threads, blocks.blocks(), [&](i32 b) {
      most[b] = 0;
      blocks.pieces(b, [&](i64 i, i64 n) {
        const float here =
            detail::reduce_along(g + i, n, detail::keep_largest{}, detail::larger_or_nan);
        most[b] = detail::larger_or_nan(most[b], here);
      });
    });
    float all = 0;
    for (i32 b = 0; b < blocks.blocks(); ++b) all = detail::larger_or_nan(all, most[b]);
    norm = static_cast<double>(all);
  }
  *c.output<float>(0) = static_cast<float>(norm);
}

/// (norms, -, scaler) -> norm of all, factor.
inline void clip_factor(const call& c) {
  const float* const norms = c.input<float>(0);
  const double order = c.attr->limits.order;
  const bool largest = !(order <= std::numeric_limits<float>::max());
  double sum = 0;
  for (i32 i = 0; i < elementwise_sizes::of(*c.sizes).count; ++i) {
    const double norm = norms[i];
    if (largest) {
      sum = sum > norm || sum != sum ? sum : norm;
    } else {
      sum += order == 2 ? norm * norm : order == 1 ? norm : std::pow(norm, order);
    }
  }
  if (!largest && order != 1) sum = order == 2 ? std::sqrt(sum) : std::pow(sum, 1 / order);
  if (c.in[2] != nullptr) sum /= static_cast<double>(c.input<float>(2)[ops::scaler_scale]);
  c.output<float>(0)[ops::clip_norm] = static_cast<float>(sum);
  c.output<float>(0)[ops::clip_factor] = ops::clip_factor_of(c.attr->limits, sum);
}

/// (gradient, parameter, scaler) -> gradient.
template <class T>
void adjust_gradient(const call& c) {
  const T* const g = c.input<T>(0);
  T* const to = c.output<T>(0);
  const bool scaled = c.in[2] != nullptr;
  const float scale = scaled ? c.input<float>(2)[ops::scaler_scale] : 1.0f;
  const float bound = scale * c.attr->limits.value;
  const simd::vec penalty(scale * c.attr->update.l1);
  const simd::vec limit(bound > 0 ? bound : std::numeric_limits<float>::infinity());
  const auto adjust = [&](simd::vec x, simd::vec weight) {
    const simd::vec signed_penalty =
        simd::select(weight == simd::zero(), simd::zero(), simd::copy_sign(penalty, weight));
    const simd::vec sum = x + signed_penalty;
    // In this order NaN stays; infinities stay where the overflow test is still to see them.
    const simd::vec limited = simd::larger(-limit, simd::smaller(limit, sum));
    if (!scaled) return limited;
    return simd::select(simd::absolute(x) <= std::numeric_limits<float>::max(), limited, x);
  };
  const auto adjust_all = [&](const auto* w) {
    parallel_ranges(c.step->threads, elementwise_sizes::of(*c.sizes).count, [&](i64 i, i64 last) {
      using namespace simd;
      for (; i + lanes <= last; i += lanes) {
        store(to + i, adjust(load(g + i), w == nullptr ? zero() : load(w + i)));
      }
      const i32 rest = static_cast<i32>(last - i);
      if (rest == 0) return;
      const vec weight = w == nullptr ? zero() : load_partial(w + i, rest);
      store_partial(to + i, adjust(load_partial(g + i, rest), weight), rest);
    });
  };
  if constexpr (sizeof(T) == 2) {  // a parameter of 16 bits has gradients of 16
    if (c.sizes->has_input(1) && c.sizes->input_type(1) == stored_as<T>) {
      return adjust_all(c.input<T>(1));
    }
  }
  adjust_all(c.input<float>(1));
}

}  // namespace tessera::host
