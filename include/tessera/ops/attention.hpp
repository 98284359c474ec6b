#pragma once

// Scaled dot product attention, put together from products and a softmax.
//
//   scores = q k^T / sqrt(d)                       (batch, heads, queries, keys)
//   p      = masked_softmax(scores), in place of the scores
//   y      = dropout(p) v
//
// Two ways of laying out q, k and v: sequences whose features are `heads` heads side by side, read
// by strides and never copied; or (batch, heads, time, d), `heads` = 0. Saved: q, k, v and p.
//
// Why not one fused operation that takes the scores again on the way back: p of 32 samples, 4 heads
// and 64 times is 2 MiB a layer, a tenth of what a layer on 128 features keeps, and taking it again
// would add a quarter to attention's products. p grows with the square of the time; from some
// hundreds of points on a fused form will pay.
//
// Source: Vaswani et al. 2017.

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

/// q, k and v as above, v's features per head may differ from d. `drop`: attributes of dropout on
/// the weights, null without. Returns y, laid out like q with v's features, and the weights.
constexpr attention_outputs attention(graph& g, i32 q, i32 k, i32 v, i32 heads,
                                      const attention_masks& masks, const attributes* drop,
                                      tensor_name layer) {
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
