#pragma once

// The weight gradient of dense, alone or fused with its update.
//
// A product whose columns are inputs and whose terms are samples (gemm.hpp), delivered to a sink
// block by block, which stores it or applies the update to it. Floats that are only stored are made
// where they are wanted. Each element is one sum over the samples in their order.
//
// Over a stack of slices (time)
//
//   dw = (((0 + dy[T-1]' x[T-1]) + dy[T-2]' x[T-2]) + ...)      each product and each sum rounded
//
// as the loop would have done that adds up what its trips give: the same bits, but dw goes through
// memory once instead of T times, and where it is fused has no buffer at all.

#include <cstring>
#include <limits>

#include <tessera/backends/host/gemm.hpp>
#include <tessera/backends/host/update_rule.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

/// Delivers dw to `sink`, or stores it where that is all.
template <class T, bool BatchLast>
void dense_weight(const call& c, const dense_sizes& n, gradient_sink& sink) {
  const i64 first = n.slice(0);  // where slices start, and where the next one is
  const i32 along = n.last_first != 0 ? -1 : 1;
  gemm_operands<T> p;
  p.a = c.input<T>(1) + first * n.batch * n.out;
  p.b = c.input<T>(0) + first * n.batch * n.in;
  p.n = {n.stack, 1, n.out, n.batch, n.in, {}, {}, {}};
  p.n.a[0] = along * n.batch * n.out, p.n.b[0] = along * n.batch * n.in;
  p.n.a[2] = BatchLast ? n.batch : 1, p.n.a[3] = BatchLast ? 1 : n.out;
  p.n.b[2] = BatchLast ? 1 : n.in, p.n.b[3] = BatchLast ? n.batch : 1;
  p.n.y[2] = n.in, p.n.y[3] = 1;
  p.slice_by_slice = n.stack > 1;
  p.one_chain = true;  // stored, fused or over a stack: the same bits
  struct block_sink {
    gradient_sink& sink;
    i64 in;
  } into{sink, n.in};
  if constexpr (sizeof(T) == sizeof(float)) p.y = sink.stored_floats();
  if (p.y == nullptr) {
    p.taker.context = &into;
    p.taker.take = [](void* context, float* sums, i64 step, i32 row, i32 rows, i32 column,
                      i32 columns) {
      const auto& to = *static_cast<block_sink*>(context);
      to.sink.take_rows(sums, step, row * to.in + column, to.in, rows, columns);
    };
  }
  multiply(c.step->threads, p);
}

/// dw of one sample, stored: 0 + dy x, as a sum of one product is.
template <class T>
void store_outer(const T* dy, i64 outs, const T* x, i32 in, T* dw) {
  using namespace simd;
  for (i64 o = 0; o < outs; ++o, dw += in) {
    const vec factor = set(as_float(dy[o]));
    i32 i = 0;
    for (; i + lanes <= in; i += lanes) store(dw + i, fma(factor, load(x + i), zero()));
    if (i < in) {
      store_partial(dw + i, fma(factor, load_partial(x + i, in - i), zero()), in - i);
    }
  }
}

template <class T, bool BatchLast>
void dense_weight_gradient(const call& c) {
  if constexpr (!BatchLast) {
    const dense_sizes n = dense_sizes::of(*c.sizes);
    if (n.batch == 1 && n.stack == 1) {
      return store_outer(c.input<T>(1), n.out, c.input<T>(0), n.in, c.output<T>(0));
    }
  }
  gradient_sink sink = gradient_sink::storing(c.output<T>(0));
  dense_weight<T, BatchLast>(c, dense_sizes::of(*c.sizes), sink);
}

/// The largest sum of squares of a row of n numbers; infinite where one is not finite.
template <class T>
float largest_square_sum(const T* p, i64 rows, i64 n) {
  float largest = 0;
  float finite = 0;  // x - x is NaN where x is not finite
  for (i64 row = 0; row < rows; ++row, p += n) {
    simd::vec squares = simd::zero();
    for (i64 i = 0; i < n; i += simd::lanes) {
      const simd::vec x = simd::load(p + i);
      squares = simd::fma(x, x, squares);
    }
    const float sum = simd::sum(squares);
    finite += sum - sum;
    if (sum > largest) largest = sum;
  }
  return finite == 0 ? largest : std::numeric_limits<float>::infinity();
}

/// True where no element of dw can overflow: each is at most the product of the norms of a row of
/// dy and one of x (Cauchy, Schwarz), with room for rounding below 65520.
template <class T, bool BatchLast>
bool dense_weight_bounded(const call& c, const dense_sizes& n) {
  if constexpr (!BatchLast) return false;
  // Of a stack: the norms of all slices together are at most those of the largest, times stack.
  const auto slices = static_cast<float>(n.stack);
  const float x = slices * largest_square_sum(c.input<T>(0), i64{n.stack} * n.in, n.batch);
  const float dy = slices * largest_square_sum(c.input<T>(1), i64{n.stack} * n.out, n.batch);
  return x * dy < 60000.0f * 60000.0f;
}

template <class T, bool BatchLast>
void dense_weight_update(const call& c) {
  const dense_sizes n = dense_sizes::of(*c.sizes);
  const auto produce = [&](gradient_sink& sink) {
    if constexpr (!BatchLast) {
      if (n.batch == 1 && n.stack == 1 && sink.applies()) {
        return sink.take_outer(c.input<T>(1), n.out, c.input<T>(0), n.in);
      }
    }
    dense_weight<T, BatchLast>(c, n, sink);
  };
  update_with(c, i64{n.out} * n.in, stored_as<T>, produce,
              [&] { return dense_weight_bounded<T, BatchLast>(c, n); });
}

}  // namespace tessera::host
