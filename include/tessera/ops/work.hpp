#pragma once

// Work: how many multiply-adds an operation does and how many bytes it reads and writes.
//
//   matrix products, convolutions   one for each product of the sum; fused updates also one for
//                                   each element of the parameter
//   attention                       two for each score and feature; its gradient five
//   additive scores                 one for each tanh unit; their gradient three
//   pooling                         one for each cell of each window
//   resizing                        one for each cell that a position reads
//   bags                            one for each element of each entry's row, twice in an update
//   bytes that move                 none
//   everything else                 one for each element of its largest operand
//
// The common measure of the field: an estimate for tables, not a price (runtime/price.hpp).

#include <tessera/ops/ops.hpp>

namespace tessera::ops {

/// The count of the largest operand, outputs included.
constexpr i64 largest_operand(const graph& g, const operation& op) {
  i64 most = 0;
  for (const i32 id : op.in) {
    if (id >= 0 && g.tensors[id].dims.count() > most) most = g.tensors[id].dims.count();
  }
  for (const i32 id : op.out) {
    if (id >= 0 && g.tensors[id].dims.count() > most) most = g.tensors[id].dims.count();
  }
  return most;
}

/// Multiply-adds of one run of `op`.
constexpr i64 macs_of(const graph& g, const operation& op) {
  if (is_resize(op.what)) {
    const resize_sizes n = sizes_of_resize(g, op);
    return i64{n.batch} * n.channels * axis_of(op.what, n, 0).all_cells() *
           axis_of(op.what, n, 1).all_cells();
  }
  switch (op.what) {
    case kind::none:
    case kind::count:
    case kind::loop:
    case kind::end_loop:
    case kind::cast:
    case kind::copy:
    case kind::zero:
    case kind::concat:
    case kind::split:
    case kind::permute:
    case kind::expand:
    case kind::embedding: return 0;
    case kind::quantized_dense: {
      const shape& x = g.tensors[op.in[0]].dims;
      return i64{x[0]} * x[1] * g.tensors[op.in[1]].dims[0];
    }
    case kind::quantized_conv2d: return sizes_of_conv(g, op).macs();
    case kind::dense:
    case kind::dense_data_gradient:
    case kind::dense_weight_gradient: return sizes_of_dense(g, op).macs();
    case kind::dense_weight_update:
      return sizes_of_dense(g, op).macs() + g.tensors[op.out[0]].dims.count();
    case kind::conv2d:
    case kind::conv2d_data_gradient:
    case kind::conv2d_weight_gradient: return sizes_of_conv(g, op).macs();
    case kind::conv2d_weight_update:
      return sizes_of_conv(g, op).macs() + g.tensors[op.out[0]].dims.count();
    case kind::max_pool2d:
    case kind::max_pool2d_gradient:
    case kind::avg_pool2d:
    case kind::avg_pool2d_gradient: {
      const pool_sizes s = sizes_of_pool(g, op);
      return i64{s.batch} * s.channels * s.out_height * s.out_width * s.kernel_height *
             s.kernel_width;
    }
    case kind::matmul: return sizes_of_matmul(g, op).macs();
    case kind::additive_scores: {
      const additive_sizes s = sizes_of_additive(g, op);
      return s.pairs() * s.features;
    }
    case kind::additive_scores_gradient: {
      const additive_sizes s = sizes_of_additive(g, op);
      return 3 * s.pairs() * s.features;
    }
    case kind::attention: {
      const attention_sizes s = sizes_of_attention(g, op);
      return s.pairs() * (s.features + s.value_features);
    }
    case kind::attention_gradient: {  // scores and their gradient, dq, dk, dv
      const attention_sizes s = sizes_of_attention(g, op);
      return s.pairs() * (3 * s.features + 2 * s.value_features);
    }
    case kind::embedding_gradient:
    case kind::embedding_overflow_test: return g.tensors[op.in[1]].dims.count();
    case kind::embedding_update: return 2 * g.tensors[op.in[1]].dims.count();
    case kind::embedding_bag:
    case kind::embedding_bag_gradient:
    case kind::embedding_bag_overflow_test:
    case kind::embedding_bag_weight_gradient:
    case kind::embedding_bag_update:
      return g.tensors[op.in[0]].dims.count() * sizes_of_bag(g, op).width *
             (op.what == kind::embedding_bag_update ? 2 : 1);
    default: return largest_operand(g, op);
  }
}

/// Bytes of the operands of one run, each read or written once; what an update changes, both. Of a
/// table no more than a row for each index.
constexpr i64 traffic_of(const graph& g, const operation& op) {
  i64 bytes = 0;
  if (is_bag(op.what) || is_lookup_update(op.what) || op.what == kind::embedding) {
    const i64 indices = g.tensors[op.in[0]].dims.count();
    const auto touched = [&](const tensor& t, i32 times) {
      const bool table = t.dims.rank > 1 && (t.what == role::parameter || t.what == role::working ||
                                             t.what == role::state);
      const i64 rows = table ? t.dims[t.stack] : 1;
      return t.bytes() / rows * (rows < indices || !table ? rows : indices) * times;
    };
    for (const i32 id : op.in) bytes += id < 0 ? 0 : touched(g.tensors[id], 1);
    for (const i32 id : op.out) {
      const bool both = id >= 0 && is_update(op.what) && g.tensors[id].what != role::saved;
      bytes += id < 0 ? 0 : touched(g.tensors[id], both ? 2 : 1);
    }
    return bytes;
  }
  for (const i32 id : op.in) bytes += id < 0 ? 0 : g.tensors[id].bytes();
  for (const i32 id : op.out) {
    if (id < 0) continue;
    const role what = g.tensors[id].what;
    const bool changed = what == role::parameter || what == role::statistic || what == role::state;
    bytes += g.tensors[id].bytes() * (changed ? 2 : 1);
  }
  return bytes;
}

}  // namespace tessera::ops
