#pragma once

// Scaled dot product attention: as one operation, or put together from products and a softmax.
//
//   attention   y = softmax(q k^T / sqrt(d)) v           for every sample and head, keys that
//               log_sum = log of the sum of exp(scores)  lengths or `attributes::causal` take away
//                                                        left out
//
//   operation            in                                    out
//   attention            q, k, v, lengths or -                 y, log_sum or -
//   attention_gradient   q, k, v, lengths or -, y, log_sum, dy   dq or -, dk or -, dv or -
//
//   with p = exp(scores - log_sum) and dp = dy v^T:   ds = p (dp - sum of dy y)
//   dv = p^T dy,   dq = ds k / sqrt(d),   dk = ds^T q / sqrt(d)
//
// The matrix of scores is never stored, p is taken again on the way back: memory grows with the
// time and not with its square. log_sum (batch, heads, queries) is f32 (f64 where operands are),
// infinite where a query sees no key: its y and its dq are 0. In place: nothing. Arithmetic is f32
// (f64 where operands are), one rounding when a value is stored.
//
// What else there is, masks, dropout on the weights, weights as an output, (batch, heads, time, d)
// in memory, heads of more than 256 features, is put together:
//
//   scores = q k^T / sqrt(d)                       (batch, heads, queries, keys)
//   p      = masked_softmax(scores), in place of the scores
//   y      = dropout(p) v
//
// Two ways of laying out q, k and v: sequences whose features are `heads` heads side by side, read
// by strides and never copied; or (batch, heads, time, d), `heads` = 0. Saved: q, k, v and p.
//
// Source: Vaswani et al. 2017; Rabe, Staats 2021 and Dao et al. 2022 for attention without a matrix
// of scores.

#include <tessera/ops/additive.hpp>
#include <tessera/ops/softmax.hpp>

namespace tessera::ops {

struct attention_outputs {
  i32 y = -1;
  i32 weights = -1;  // p (batch, heads, queries, keys)
};

/// The square root of d, by Newton's method: a constant wherever it is asked for.
constexpr float attention_scale(i32 d) {
  double root = d > 1 ? d : 1;
  for (i32 i = 0; i < 40; ++i) root = 0.5 * (root + d / root);
  return static_cast<float>(1 / root);
}

/// Heads of more features are put together from products.
inline constexpr i32 max_attention_features = 256;

constexpr bool is_attention(kind what) {
  return what == kind::attention || what == kind::attention_gradient;
}

/// All zeros where the operands do not fit together.
constexpr attention_sizes sizes_of_attention(const tensor& q, const tensor& k, const tensor& v,
                                             const tensor& y, i32 heads) {
  if (heads <= 0) return {};
  const matrix_reading of_q = read_matrices(q, heads, false);
  const matrix_reading of_k = read_matrices(k, heads, false);
  const matrix_reading of_v = read_matrices(v, heads, false);
  const matrix_reading of_y = read_matrices(y, heads, false);
  const bool fits = of_q.fits && of_k.fits && of_v.fits && of_y.fits && of_q.batch == 1 &&
                    of_k.batch == 1 && of_v.batch == 1 && of_q.extent[1] == of_k.extent[1] &&
                    of_q.extent[1] == of_v.extent[1] && of_q.columns == of_k.columns &&
                    of_k.rows == of_v.rows && of_q.rows == of_y.rows &&
                    of_v.columns == of_y.columns && of_q.columns <= max_attention_features &&
                    of_v.columns <= max_attention_features;
  if (!fits) return {};
  const auto strides = [](const matrix_reading& m, i32(&to)[3]) {
    to[0] = m.stride[1];
    to[1] = m.row_stride;
    to[2] = m.column_stride;
  };
  attention_sizes n{of_q.extent[1], heads, of_q.rows, of_k.rows, of_q.columns,
                    of_v.columns,   {},    {},        {},        {}};
  strides(of_q, n.q);
  strides(of_k, n.k);
  strides(of_v, n.v);
  strides(of_y, n.y);
  return n;
}

constexpr attention_sizes sizes_of_attention(const graph& g, const operation& op) {
  const i32 y = op.what == kind::attention ? op.out[0] : op.in[4];
  return sizes_of_attention(g.tensors[op.in[0]], g.tensors[op.in[1]], g.tensors[op.in[2]],
                            g.tensors[y], op.attr.product.heads[0]);
}

namespace detail {

/// The one operation; y has the features of v. Returns -1 where it does not serve these operands.
constexpr i32 append_attention(graph& g, i32 q, i32 k, i32 v, i32 heads,
                               const attention_masks& masks, tensor_name layer) {
  if (heads <= 0 || masks.mask[0] >= 0 || masks.mask[1] >= 0) return -1;
  const tensor tq = g.tensors[q];
  const tensor& tv = g.tensors[v];
  if (!tq.batched || tq.dims.rank < 2 || tv.dims.rank < 2) return -1;
  if (masks.lengths >= 0) {
    const tensor& n = g.tensors[masks.lengths];
    if (n.type != element::int32 || n.dims.rank != 1 || n.dims[0] != tq.batch()) return -1;
  }
  tensor like = tq;
  like.dims[like.dims.rank - 1] = tv.dims[tv.dims.rank - 1];
  const attention_sizes n = sizes_of_attention(tq, g.tensors[k], tv, like, heads);
  if (n.samples == 0) return -1;
  operation op;
  op.what = kind::attention;
  op.in[0] = q;
  op.in[1] = k;
  op.in[2] = v;
  if (masks.lengths >= 0) op.in[3] = captured(g, masks.lengths, g.body);
  op.out[0] = append_activation(g, q, like.dims, layer, "out");
  const bool differentiable = needs_gradient(g, q) || needs_gradient(g, k) || needs_gradient(g, v);
  g.tensors[op.out[0]].differentiable = differentiable;
  if (differentiable) {
    const i32 id = append_like(g, q, shape(n.samples, heads, n.queries), role::saved,
                               part_of(layer, "log_sum"));
    tensor& t = g.tensors[id];
    t.type = element::f32;
    t.stack = 0;
    t.differentiable = false;
    op.out[1] = id;
  }
  op.attr.causal = masks.causal;
  op.attr.product.heads[0] = heads;
  op.attr.product.scale = attention_scale(n.features);
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

}  // namespace detail

constexpr void differentiate_attention(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  operation op;
  op.what = kind::attention_gradient;
  for (i32 slot = 0; slot < 4; ++slot) op.in[slot] = forward.in[slot];
  op.in[4] = forward.out[0];
  op.in[5] = forward.out[1];
  op.in[6] = dy;
  op.attr = forward.attr;
  op.layer = forward.layer;
  bool any = false;
  for (i32 slot = 0; slot < 3; ++slot) {
    op.out[slot] = a.wanted(forward.in[slot]) ? a.make(forward.in[slot], forward.layer) : -1;
    any = any || op.out[slot] >= 0;
  }
  if (!any) return;
  g.add(op);
  for (i32 slot = 0; slot < 3; ++slot) a.contribute(forward.in[slot], op.out[slot]);
}

/// q, k and v as above, v's features per head may differ from d. `drop`: attributes of dropout on
/// the weights, null without. Returns y, laid out like q with v's features, and, `with_weights`,
/// the weights.
constexpr attention_outputs attention(graph& g, i32 q, i32 k, i32 v, i32 heads,
                                      const attention_masks& masks, const attributes* drop,
                                      tensor_name layer, bool with_weights = false) {
  if (drop == nullptr && !with_weights) {
    const i32 y = detail::append_attention(g, q, k, v, heads, masks, layer);
    if (y >= 0) return {.y = y};
  }
  const tensor tq = g.tensors[q];
  const matrix_reading queries = read_matrices(tq, heads, false);
  const matrix_reading keys = read_matrices(g.tensors[k], heads, false);
  product_attributes how;
  how.heads[0] = how.heads[1] = heads;
  how.transposed[1] = true;
  how.scale = attention_scale(queries.columns);
  const shape all(queries.extent[1], queries.extent[0], queries.rows, keys.rows);
  const i32 scores = matmul_as(g, q, k, how, q, all, 0, layer);
  attention_outputs out;
  out.weights = masked_softmax(g, scores, masks, layer);
  i32 p = out.weights;
  if (drop != nullptr) p = unary(g, kind::dropout, p, layer, *drop);
  product_attributes back;
  back.heads[1] = back.heads[2] = heads;
  shape dims = tq.dims;
  const shape& of_v = g.tensors[v].dims;
  dims[dims.rank - 1] = of_v[of_v.rank - 1];
  out.y = matmul_as(g, p, v, back, q, dims, tq.stack, layer);
  return out;
}

/// Additive attention: q and keys projected to the units of v (units), memory what is summed up.
///
/// q (batch, units) or (queries, batch, units); keys (time, batch, units); memory (time, batch,
/// features). Returns the context, laid out like q with the memory's features, and the weights
/// (batch, 1, queries, time).
constexpr attention_outputs additive_attention(graph& g, i32 q, i32 keys, i32 v, i32 memory,
                                               const attention_masks& masks, tensor_name layer) {
  const i32 scores = additive_scores(g, q, keys, v, layer);
  attention_outputs out;
  out.weights = masked_softmax(g, scores, masks, layer);
  product_attributes how;
  how.heads[1] = how.heads[2] = 1;
  shape dims = g.tensors[q].dims;
  const i32 seen = captured(g, memory, g.body);
  const shape& of_memory = g.tensors[seen].dims;
  dims[dims.rank - 1] = of_memory[of_memory.rank - 1];
  out.y = matmul_as(g, out.weights, seen, how, q, dims, g.tensors[q].stack, layer);
  return out;
}

}  // namespace tessera::ops
