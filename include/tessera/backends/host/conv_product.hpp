#pragma once

// conv2d of 1x1 kernels that meet every cell once, and its gradients: products of matrices.
//
//   y[row][cell] = bias[row] + sum over d of weight[row][d] from[d][cell]      for each sample
//   dw[o][c] = sum over samples and cells of dy[o][cell] x[c][cell]
//
// Samples innermost are more cells of one sample. Sums are those of gemm.hpp.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/gemm.hpp>
#include <tessera/backends/host/update_rule.hpp>

namespace tessera::host {

/// Whether positions are cells, one each.
constexpr bool is_pointwise(const conv_axis& axis) {
  return axis.kernel == 1 && axis.stride == 1 && axis.pad == 0 && axis.from == axis.to;
}

/// True where the product is faster. With samples innermost 16-bit types stay with their own forms,
/// and what no L2 holds with packed rows; batch first large images in floats go forward as well by
/// gathered products (measured on Zen 4: 105 to 99 GFLOP/s there, 56 to 97 for weights of 7x7).
template <class T>
constexpr bool product_pays(const conv_view<T>& v, bool batch_last) {
  if (!is_pointwise(v.height) || !is_pointwise(v.width) || v.depth == 1) return false;
  const i64 cells = i64{v.height.to} * v.width.to;
  if (batch_last) return sizeof(T) == 4 && v.depth * cells * v.batch <= 256 * 1024;
  const bool forward = v.weight_depth == 1;
  return sizeof(T) == 2 || !forward || cells < 512;
}
template <class T>
constexpr bool product_pays(const conv_weight_view<T>& v, bool batch_last) {
  if (!is_pointwise(v.height) || !is_pointwise(v.width) || v.n.group_in() == 1) return false;
  return sizeof(T) == 4 || !batch_last;
}

/// Forward and data gradient.
template <class T, bool BatchLast>
void conv_by_product(const call& c, const conv_view<T>& v) {
  const i32 samples = BatchLast ? 1 : v.batch;
  const i32 cells = v.height.to * v.width.to * (BatchLast ? v.batch : 1);
  for (i32 group = 0; group < v.groups; ++group) {
    gemm_operands<T> p;
    p.a = v.weight + group * v.weight_group;
    p.b = v.from + i64{group} * v.depth * cells;
    p.y = v.to + i64{group} * v.rows * cells;
    p.bias = v.bias == nullptr ? nullptr : v.bias + i64{group} * v.rows;
    p.bias_of_rows = true;
    p.n = {samples, 1, v.rows, v.depth, cells, {}, {}, {}};
    p.n.a[2] = static_cast<i32>(v.weight_row), p.n.a[3] = static_cast<i32>(v.weight_depth);
    p.n.b[0] = v.groups * v.depth * cells, p.n.b[2] = cells, p.n.b[3] = 1;
    p.n.y[0] = v.groups * v.rows * cells, p.n.y[2] = cells, p.n.y[3] = 1;
    multiply(c.step->threads, p);
  }
}

/// The weight gradient.
template <class T, bool BatchLast>
void conv_weight_by_product(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  const i32 samples = BatchLast ? 1 : v.n.batch;
  const i32 cells = v.n.out_height * v.n.out_width * (BatchLast ? v.n.batch : 1);
  const i32 in = v.n.group_in();
  const i32 out = v.n.group_out();
  for (i32 group = 0; group < v.n.groups; ++group) {
    gemm_operands<T> p;
    p.a = v.dy + i64{group} * out * cells;
    p.b = v.x + i64{group} * in * cells;
    p.n = {samples, 1, out, cells, in, {}, {}, {}};
    p.n.a[0] = v.n.out_channels * cells, p.n.a[2] = cells, p.n.a[3] = 1;
    p.n.b[0] = v.n.in_channels * cells, p.n.b[2] = 1, p.n.b[3] = cells;
    p.n.y[2] = in, p.n.y[3] = 1;
    p.one_chain = true;  // stored or fused: the same bits
    struct block_sink {
      gradient_sink& sink;
      i64 first, in;
    } into{sink, i64{group} * out * in, in};
    if constexpr (sizeof(T) == sizeof(float)) p.y = sink.stored_floats();
    if (p.y != nullptr) {
      p.y += into.first;
    } else {
      p.taker.context = &into;
      p.taker.take = [](void* context, float* sums, i64 step, i32 row, i32 rows, i32 column,
                        i32 columns) {
        const auto& to = *static_cast<block_sink*>(context);
        to.sink.take_rows(sums, step, to.first + row * to.in + column, to.in, rows, columns);
      };
    }
    multiply(c.step->threads, p);
  }
}

}  // namespace tessera::host
