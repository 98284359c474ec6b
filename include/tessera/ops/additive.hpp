#pragma once

// additive_scores: how well queries and keys fit, by a layer of tanh units (Bahdanau et al. 2015).
//
//   e[n][i][j] = sum over a of v[a] tanh(q[n][i][a] + k[n][j][a])
//
//   operation                  in              out
//   additive_scores            q, k, v         e
//   additive_scores_gradient   q, k, v, de     dq or -, dk or -, dv or -
//
//   q   (batch, features), (queries, batch, features) or (batch, queries, features)
//   k   (keys, batch, features) or (batch, keys, features)
//   v   (features)          e   (batch, 1, queries, keys), what masked_softmax takes
//
// with d = de v (1 - tanh^2):   dq = sum over j of d,  dk = sum over i of d,  dv = sum of de tanh.
// Saved: q, k, v. The tanh are computed again on the way back: a decoder that asks at every step
// keeps steps x keys scores, and not steps x keys x features. In place: nothing. Arithmetic is f32
// (f64 where operands are), one rounding when a value is stored.

#include <tessera/ops/matmul.hpp>

namespace tessera::ops {

constexpr bool is_additive(kind what) {
  return what == kind::additive_scores || what == kind::additive_scores_gradient;
}

constexpr additive_sizes sizes_of_additive(const tensor& q, const tensor& k, const tensor& v,
                                           const tensor& e) {
  const matrix_reading mq = read_matrices(q, 1, false);
  const matrix_reading mk = read_matrices(k, 1, false);
  const matrix_reading me = read_matrices(e, 0, false);
  const bool fits = mq.fits && mk.fits && me.fits && v.dims.rank == 1 && mq.columns == mk.columns &&
                    mq.columns == v.dims[0] && mq.rows == me.rows && mk.rows == me.columns &&
                    mq.extent[1] == mk.extent[1] && mq.extent[1] == me.extent[1];
  if (!fits) return {};
  return {mq.extent[1],
          mq.rows,
          mk.rows,
          mq.columns,
          {mq.stride[1], mq.row_stride, mq.column_stride},
          {mk.stride[1], mk.row_stride, mk.column_stride},
          {me.stride[1], me.row_stride, me.column_stride}};
}

/// Returns e (batch, 1, queries, keys), laid out like k.
constexpr i32 additive_scores(graph& g, i32 q, i32 k, i32 v, tensor_name layer) {
  k = captured(g, k, g.body);
  v = captured(g, v, g.body);
  const matrix_reading mq = read_matrices(g.tensors[q], 1, false);
  const matrix_reading mk = read_matrices(g.tensors[k], 1, false);
  const shape dims(mk.extent[1], 1, mq.rows, mk.rows);
  const i32 e = append_activation(g, k, dims, layer, "scores");
  g.tensors[e].stack = 0;
  g.tensors[e].batched = true;
  g.tensors[e].differentiable =
      needs_gradient(g, q) || needs_gradient(g, k) || needs_gradient(g, v);
  if (sizes_of_additive(g.tensors[q], g.tensors[k], g.tensors[v], g.tensors[e]).samples == 0) {
    refuse(g, {spell(layer), "queries and keys of the same features and batch",
               spell_all<64>(g.tensors[q].dims, " and ", g.tensors[k].dims),
               "project both to the units of the scores"});
  }
  operation op;
  op.what = kind::additive_scores;
  op.in[0] = q;
  op.in[1] = k;
  op.in[2] = v;
  op.out[0] = e;
  op.layer = layer;
  g.add(op);
  return e;
}

constexpr void differentiate_additive(graph& g, const operation& forward, adjoints& a) {
  const i32 de = a.need(forward.out[0]);
  if (de < 0) return;
  operation op = forward;
  op.what = kind::additive_scores_gradient;
  op.in[3] = de;
  bool any = false;
  for (i32 slot = 0; slot < 3; ++slot) {
    op.out[slot] = a.wanted(forward.in[slot]) ? a.make(forward.in[slot], forward.layer) : -1;
    any = any || op.out[slot] >= 0;
  }
  if (!any) return;
  g.add(op);
  for (i32 slot = 0; slot < 3; ++slot) a.contribute(forward.in[slot], op.out[slot]);
}

constexpr additive_sizes sizes_of_additive(const graph& g, const operation& op) {
  const i32 e = op.what == kind::additive_scores ? op.out[0] : op.in[3];
  return sizes_of_additive(g.tensors[op.in[0]], g.tensors[op.in[1]], g.tensors[op.in[2]],
                           g.tensors[e]);
}

/// Writes the sizes; vectors run over samples where q, k and the scores all have them innermost.
constexpr void sign_additive(const graph& g, const operation& op, signature& s) {
  const additive_sizes n = sizes_of_additive(g, op);
  n.write(s);
  const auto side_by_side = [](i32 stride) { return stride == 0 || stride == 1; };
  s.batch_last =
      s.batch_last && side_by_side(n.q[0]) && side_by_side(n.k[0]) && side_by_side(n.e[0]);
}

}  // namespace tessera::ops
