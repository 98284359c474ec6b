#pragma once

// Recurrent cells: what follows the matrix products of one step in time.
//
//   lstm_cell    z (batch, 4 H) = W x + U h + b, gates in PyTorch's order i, f, g, o
//                  i, f, o = sigmoid, g = tanh;  c = f c_prev + i g;  h = o tanh(c)
//   gru_cell     zx, zh (batch, 3 H) = W x + b, U h + b', gates in PyTorch's order r, z, n
//                  r, z = sigmoid(zx + zh), n = tanh(zx + r zh);  h = (1 - z) n + z h_prev
//   select_by_length
//                y = index < lengths[sample] ? a : b; index is the point in time of the loop
//                around (call::index), 0 outside; an absent a or b stands for zeros
//
//   operation            inputs                                  outputs
//   lstm_cell            z, c_prev                               h, c, gates
//   lstm_cell_gradient   gates, c_prev, c, dh or -, dc or -      dz or -, dc_prev or -
//   gru_cell             zx, zh, h_prev                          h, gates, zh_n
//   gru_cell_gradient    gates, zh_n, h_prev, dh                 dzx or -, dzh or -, dh_prev or -
//   select_by_length     lengths (batch) i32, a or -, b or -     y
//
// Saved: the activated gates, c_prev and c, tanh(c) is computed again; of the GRU the gates, h_prev
// and the part of zh that r multiplies. Inference leaves the saved outputs out.
// In place: gates over z and zx, c over c_prev; dz and dzx over gates, dc_prev over dc, dh_prev
// over dh; y over a. Arithmetic is f32 (f64 where operands are), one rounding when a value is
// stored: h comes from the c that is not yet rounded, the gradient from the c that was stored.
// Source: Hochreiter, Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014.

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// What a cell hands on, and what it keeps for its gradient.
struct lstm_outputs {
  i32 h = -1;
  i32 c = -1;
};

namespace detail {

/// Refuses pre-activations that are not `gates` times as wide as the state.
constexpr void check_cell(graph& g, i32 z, i32 state, i32 gates, tensor_name layer) {
  const tensor& a = g.tensors[z];
  const tensor& s = g.tensors[state];
  const bool plain = a.dims.rank == 2 && s.dims.rank == 2 && a.stack == 0 && s.stack == 0;
  if (plain && a.dims[0] == s.dims[0] && a.dims[1] == gates * s.dims[1]) return;
  refuse(g, {spell(layer), spell_all("pre-activations of ", gates, " times the state's features"),
             spell_all<64>(a.dims, " for a state of ", s.dims),
             "make the products as wide as all gates together"});
}

/// An output like the state, or like the pre-activations; kept ones are nobody's to differentiate.
constexpr i32 append_cell_output(graph& g, i32 like, tensor_name layer, const char* part,
                                 bool differentiable) {
  const i32 id = append_activation(g, like, g.tensors[like].dims, layer, part);
  g.tensors[id].differentiable = differentiable;
  return id;
}

}  // namespace detail

/// z (batch, 4 H), c_prev (batch, H). Returns h and c (batch, H).
constexpr lstm_outputs lstm_cell(graph& g, i32 z, i32 c_prev, tensor_name layer) {
  detail::check_cell(g, z, c_prev, 4, layer);
  const bool wanted = g.tensors[z].differentiable || g.tensors[c_prev].differentiable;
  operation op;
  op.what = kind::lstm_cell;
  op.in[0] = z;
  op.in[1] = c_prev;
  op.out[0] = detail::append_cell_output(g, c_prev, layer, "hidden", wanted);
  op.out[1] = detail::append_cell_output(g, c_prev, layer, "cell", wanted);
  if (wanted) op.out[2] = detail::append_cell_output(g, z, layer, "gates", false);
  op.layer = layer;
  g.add(op);
  return {op.out[0], op.out[1]};
}

constexpr void differentiate_lstm_cell(graph& g, const operation& forward, adjoints& a) {
  const i32 dh = a.need(forward.out[0]);
  const i32 dc = forward.out[1] < 0 ? -1 : a.need(forward.out[1]);
  const i32 z = forward.in[0];
  const i32 c_prev = forward.in[1];
  if ((dh < 0 && dc < 0) || (!a.wanted(z) && !a.wanted(c_prev))) return;
  operation op;
  op.what = kind::lstm_cell_gradient;
  op.in[0] = forward.out[2];
  op.in[1] = c_prev;
  op.in[2] = forward.out[1];
  op.in[3] = dh;
  op.in[4] = dc;
  if (a.wanted(z)) op.out[0] = a.make(z, forward.layer);
  if (a.wanted(c_prev)) op.out[1] = a.make(c_prev, forward.layer);
  op.layer = forward.layer;
  g.add(op);
  a.contribute(z, op.out[0]);
  a.contribute(c_prev, op.out[1]);
}

/// zx, zh (batch, 3 H), h_prev (batch, H). Returns h (batch, H).
constexpr i32 gru_cell(graph& g, i32 zx, i32 zh, i32 h_prev, tensor_name layer) {
  detail::check_cell(g, zx, h_prev, 3, layer);
  detail::check_cell(g, zh, h_prev, 3, layer);
  const bool wanted = g.tensors[zx].differentiable || g.tensors[zh].differentiable ||
                      g.tensors[h_prev].differentiable;
  operation op;
  op.what = kind::gru_cell;
  op.in[0] = zx;
  op.in[1] = zh;
  op.in[2] = h_prev;
  op.out[0] = detail::append_cell_output(g, h_prev, layer, "hidden", wanted);
  if (wanted) {
    op.out[1] = detail::append_cell_output(g, zx, layer, "gates", false);
    op.out[2] = detail::append_cell_output(g, h_prev, layer, "kept", false);
  }
  op.layer = layer;
  g.add(op);
  return op.out[0];
}

constexpr void differentiate_gru_cell(graph& g, const operation& forward, adjoints& a) {
  const i32 dh = a.need(forward.out[0]);
  if (dh < 0) return;
  bool any = false;
  for (i32 slot = 0; slot < 3; ++slot) any = any || a.wanted(forward.in[slot]);
  if (!any) return;
  operation op;
  op.what = kind::gru_cell_gradient;
  op.in[0] = forward.out[1];
  op.in[1] = forward.out[2];
  op.in[2] = forward.in[2];
  op.in[3] = dh;
  for (i32 slot = 0; slot < 3; ++slot) {
    if (a.wanted(forward.in[slot])) op.out[slot] = a.make(forward.in[slot], forward.layer);
  }
  op.layer = forward.layer;
  g.add(op);
  for (i32 slot = 0; slot < 3; ++slot) a.contribute(forward.in[slot], op.out[slot]);
}

namespace detail {

constexpr i32 append_select(graph& g, i32 lengths, i32 a, i32 b, i32 y, tensor_name layer) {
  operation op;
  op.what = kind::select_by_length;
  op.in[0] = lengths;
  op.in[1] = a;
  op.in[2] = b;
  op.out[0] = y;
  op.layer = layer;
  g.add(op);
  return y;
}

}  // namespace detail

/// lengths (batch) i32; a and b (batch, ...) of one shape, one of them may be -1. Returns y like
/// them: a for samples that still run at this point in time, b for those that have ended.
constexpr i32 select_by_length(graph& g, i32 lengths, i32 a, i32 b, tensor_name layer) {
  const tensor& like = g.tensors[a >= 0 ? a : b];
  const tensor& n = g.tensors[lengths];
  if (n.type != element::int32 || n.dims.rank != 1 || !like.batched || like.stack != 0 ||
      n.dims[0] != like.dims[0]) {
    refuse(g, {spell(layer), "whole-number lengths, one a sample",
               spell_all<64>(n.dims, " for values of ", like.dims),
               "give the lengths of the batch's sequences"});
  } else if (a >= 0 && b >= 0 && g.tensors[a].dims != g.tensors[b].dims) {
    refuse(g, {spell(layer), "two values of one shape",
               spell_all<64>(g.tensors[a].dims, " and ", g.tensors[b].dims),
               "select between values of the same features"});
  }
  const bool wanted =
      (a >= 0 && g.tensors[a].differentiable) || (b >= 0 && g.tensors[b].differentiable);
  const i32 y = detail::append_cell_output(g, a >= 0 ? a : b, layer, "out", wanted);
  return detail::append_select(g, captured(g, lengths, g.body), a, b, y, layer);
}

/// Linear in a and b: each gets the samples of dy that it gave, zeros elsewhere.
constexpr void differentiate_select(graph& g, const operation& forward, adjoints& a) {
  const i32 dy = a.need(forward.out[0]);
  if (dy < 0) return;
  for (const i32 slot : {1, 2}) {
    const i32 x = forward.in[slot];
    if (!a.wanted(x)) continue;
    const i32 dx = a.make(x, forward.layer);
    a.contribute(x, detail::append_select(g, forward.in[0], slot == 1 ? dy : -1,
                                          slot == 2 ? dy : -1, dx, forward.layer));
  }
}

/// Of all operations of this file.
constexpr cell_sizes sizes_of_cell(const graph& g, const operation& op) {
  i32 state = -1;  // a tensor of (batch, features)
  switch (op.what) {
    case kind::lstm_cell: state = op.in[1]; break;
    case kind::lstm_cell_gradient: state = op.in[1]; break;
    case kind::gru_cell:
    case kind::gru_cell_gradient: state = op.in[2]; break;
    default: state = op.out[0]; break;
  }
  const shape& dims = g.tensors[state].dims;
  const i32 batch = dims.rank > 0 ? dims[0] : 1;
  return {batch, batch > 0 ? static_cast<i32>(dims.count() / batch) : 0};
}

}  // namespace tessera::ops
