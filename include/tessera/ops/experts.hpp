#pragma once

// Mixture of experts: gates that choose k of many experts for every token, and what brings tokens
// to their experts and back. A token is a row of features: a sample, or a row of one.
//
//   operation         in -> out                                  meaning
//   gate_noise        clean, spread, noise -> h                  h = clean + noise softplus(spread)
//   top_k_gates       h -> gates, chosen                         softmax over the k largest h of a
//                                                                token, 0 for all other experts
//   gate_load         clean, spread, h -> p                      Phi((clean - t) /
//   softplus(spread)),
//                                                                t the k-th largest h of the others
//   balance_loss      p -> loss, sums                            weight CV^2 of sums, sums[e] = sum
//   of
//                                                                p[i][e] over tokens that count
//   route_tokens      chosen -> slots, places                    which token has which slot of
//   which
//                                                                expert, see below
//   gather_tokens     x[, slots, chosen, places] -> buffer       buffer[e][c] = x[slots[e][c]], or
//   0 combine_experts   buffer, gates, slots, chosen, places -> y  y[i] = sum over i's experts e of
//                                                                gates[i][e] buffer[e][place]
//
//   operation                  in -> out                                     saved by the forward
//   gate_noise_gradient        spread, noise, dh -> dspread                  spread, noise
//   top_k_gates_gradient       gates, dgates -> dh                           gates
//   gate_load_gradient         clean, spread, h, dp -> dclean, dspread, dh   its inputs
//   balance_loss_gradient      sums[, scaler, dloss] -> dp                   sums
//   gather_tokens_gradient     dbuffer[, -, chosen, places] -> dx            chosen, places
//   combine_experts_gradient   dy, buffer, gates, slots, chosen, places      its inputs
//                              -> dbuffer, dgates
//
// h, gates and p are (tokens, experts); chosen and places (tokens, k) i32, the largest first; slots
// (experts, capacity) i32, -1 where a slot is empty; a buffer (experts, capacity, features) is a
// stack of one batch of `capacity` rows for each expert, which a loop over experts scans. Its rows
// without a token are zeros, and so are their gradients.
//
// Capacity: tokens take slots first come, first served: all first choices in the order of tokens,
// then all second choices, and so on. A choice that finds no slot is dropped: its place is -1, it
// adds nothing to y and gets no gradient through the expert, while its gate stays what it is. With
// capacity = tokens nothing is ever dropped. Tokens of padded samples take no slots, have y = 0 and
// count in no sum.
//
// Of equal h the expert with the lower number is chosen. NaN counts as less than every number; a
// token that has no k numbers has gates of NaN. softplus is at least 1e-10, so that a load is
// finite. With k = experts every load is 1. CV^2 = biased variance / (mean^2 + 1e-10).
// Gradients flow through the chosen gates, through h and through the thresholds t, which belong to
// the h that they are. Without slots gather_tokens takes all tokens as they come (k = 1,
// capacity = tokens): rows of samples become tokens.
//
// Arithmetic in f32 (f64 in the f64 policy), sums in the order of choices, features or tokens, one
// rounding when stored; loss and sums have the type of losses. In place: gate_noise and
// top_k_gates over h's place, gradients over theirs (see in_place_over_experts).
// Sources: Shazeer et al. 2017, Outrageously Large Neural Networks, equations 3 to 11; capacity:
// Lepikhin et al. 2021 (GShard).

#include <tessera/ops/adjoints.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// The most experts, and the most that one token may have.
inline constexpr i32 most_experts = 1024;
inline constexpr i32 most_choices = 32;

constexpr const char* name_of_experts(kind what) {
  switch (what) {
    case kind::gate_noise: return "gate_noise";
    case kind::gate_noise_gradient: return "gate_noise_gradient";
    case kind::top_k_gates: return "top_k_gates";
    case kind::top_k_gates_gradient: return "top_k_gates_gradient";
    case kind::gate_load: return "gate_load";
    case kind::gate_load_gradient: return "gate_load_gradient";
    case kind::balance_loss: return "balance_loss";
    case kind::balance_loss_gradient: return "balance_loss_gradient";
    case kind::route_tokens: return "route_tokens";
    case kind::gather_tokens: return "gather_tokens";
    case kind::gather_tokens_gradient: return "gather_tokens_gradient";
    case kind::combine_experts: return "combine_experts";
    default: return "combine_experts_gradient";
  }
}

/// The operations that write element i after reading what lies there: output 0 over that input.
constexpr i32 in_place_over_experts(kind what, i32 slot) {
  if (slot != 0) return -1;
  switch (what) {
    case kind::gate_noise: return 0;
    case kind::gate_noise_gradient: return 2;
    case kind::top_k_gates_gradient: return 1;
    default: return -1;
  }
}

/// Tokens of `x`: rows of samples' last extent, of samples of any rank, over time or not.
constexpr i32 tokens_of(const tensor& x) {
  return static_cast<i32>(x.dims.count() / x.dims[x.dims.rank - 1]);
}

/// The same routing for tokens of x: which sample each belongs to. As they lie in memory.
constexpr routing_attributes route_over(const tensor& x, routing_attributes r) {
  r.samples = x.batch();
  r.rows = 1;
  for (i32 axis = x.stack + 1; axis + 1 < x.dims.rank && !x.batch_last; ++axis) {
    r.rows *= x.dims[axis];
  }
  return r;
}

namespace detail {

constexpr operation begin_experts(kind what, const routing_attributes& r, tensor_name layer) {
  operation op;
  op.what = what;
  op.attr.routing = r;
  op.layer = layer;
  return op;
}

/// A tensor of whole numbers that the backward pass reads; (tokens, extent) like `like`.
constexpr i32 append_choices(graph& g, i32 like, i32 extent, const char* part, tensor_name layer) {
  const i32 id = append_like(g, like, shape(g.tensors[like].dims[0], extent), role::saved,
                             part_of(layer, part));
  g.tensors[id].type = element::int32;
  g.tensors[id].differentiable = false;
  return id;
}

}  // namespace detail

/// clean and spread (tokens, experts), noise of the same shape: standard normal numbers.
constexpr i32 gate_noise(graph& g, i32 clean, i32 spread, i32 noise, const routing_attributes& r,
                         tensor_name layer) {
  operation op = detail::begin_experts(kind::gate_noise, r, layer);
  op.in[0] = clean;
  op.in[1] = spread;
  op.in[2] = noise;
  op.out[0] = append_activation(g, clean, g.tensors[clean].dims, layer, "noisy");
  g.tensors[op.out[0]].differentiable =
      g.tensors[clean].differentiable || g.tensors[spread].differentiable;
  g.add(op);
  return op.out[0];
}

/// The gates of h (tokens, experts) and which experts they are of.
struct chosen_gates {
  i32 gates = -1;   // (tokens, experts)
  i32 chosen = -1;  // (tokens, k)
};

constexpr chosen_gates top_k_gates(graph& g, i32 h, const routing_attributes& r,
                                   tensor_name layer) {
  const shape dims = g.tensors[h].dims;
  if (dims.rank != 2 || r.k < 1 || r.k > dims[1] || r.k > most_choices || dims[1] > most_experts) {
    refuse(g, {spell(layer),
               spell_all("1 to ", most_choices, " of at most ", most_experts, " experts"),
               spell_all<64>(r.k, " of ", dims), "choose fewer experts"});
  }
  operation op = detail::begin_experts(kind::top_k_gates, r, layer);
  op.in[0] = h;
  op.out[0] = append_activation(g, h, dims, layer, "gates");
  op.out[1] = detail::append_choices(g, h, r.k, "chosen", layer);
  g.add(op);
  return {op.out[0], op.out[1]};
}

/// clean, spread and h (tokens, experts): how likely each expert is to be among the k chosen if its
/// noise were drawn again.
constexpr i32 gate_load(graph& g, i32 clean, i32 spread, i32 h, const routing_attributes& r,
                        tensor_name layer) {
  operation op = detail::begin_experts(kind::gate_load, r, layer);
  op.in[0] = clean;
  op.in[1] = spread;
  op.in[2] = h;
  op.out[0] = append_activation(g, clean, g.tensors[clean].dims, layer, "load");
  g.tensors[op.out[0]].differentiable = g.tensors[clean].differentiable ||
                                        g.tensors[spread].differentiable ||
                                        g.tensors[h].differentiable;
  g.add(op);
  return op.out[0];
}

/// A loss that is small where the experts share equally, and the sums that it is about.
struct balance {
  i32 loss = -1;  // scalar
  i32 sums = -1;  // (experts)
};

constexpr balance balance_loss(graph& g, i32 p, float weight, const routing_attributes& r,
                               tensor_name layer) {
  operation op = detail::begin_experts(kind::balance_loss, r, layer);
  op.attr.loss.weight = weight;
  op.in[0] = p;
  for (i32 slot = 0; slot < 2; ++slot) {
    const shape dims = slot == 0 ? shape{} : shape(g.tensors[p].dims[1]);
    const i32 id = append_like(g, p, dims, slot == 0 ? role::result : role::saved,
                               part_of(layer, slot == 0 ? "loss" : "sums"));
    tensor& t = g.tensors[id];
    t.type = element::f32;
    t.batched = t.batch_last = false;
    t.differentiable = slot == 0 && g.tensors[p].differentiable;
    op.out[slot] = id;
  }
  g.add(op);
  return {op.out[0], op.out[1]};
}

/// Where tokens go.
struct token_routes {
  i32 slots = -1;   // (experts, capacity): tokens
  i32 chosen = -1;  // (tokens, k): experts
  i32 places = -1;  // (tokens, k): slots of these
};

constexpr token_routes route_tokens(graph& g, i32 chosen, const routing_attributes& r,
                                    tensor_name layer) {
  if (r.capacity < 1) {
    refuse(g, {spell(layer), "at least one slot an expert", spell_all<64>(r.capacity),
               "give a larger capacity"});
  }
  operation op = detail::begin_experts(kind::route_tokens, r, layer);
  op.in[0] = chosen;
  tensor slots = g.tensors[chosen];
  slots.dims = shape(r.experts, r.capacity);
  slots.batched = slots.batch_last = false;
  slots.name = part_of(layer, "slots");
  op.out[0] = g.add(slots);
  op.out[1] = detail::append_choices(g, chosen, r.k, "places", layer);
  g.add(op);
  return {op.out[0], chosen, op.out[1]};
}

/// x: samples of any rank whose last extent is features. Returns (experts, capacity, features), a
/// stack of batches.
constexpr i32 gather_tokens(graph& g, i32 x, const token_routes& to, const routing_attributes& r,
                            tensor_name layer) {
  const tensor t = g.tensors[x];
  if (!t.batched || t.dims.rank < t.stack + 2) {
    refuse(g, {spell(layer), "samples with features", spell_all<64>(t.dims),
               "give values of at least one feature"});
  }
  const shape dims(r.experts, r.capacity, t.dims[t.dims.rank - 1]);
  operation op = detail::begin_experts(kind::gather_tokens, r, layer);
  op.in[0] = x;
  op.in[1] = to.slots;
  op.in[2] = to.chosen;
  op.in[3] = to.places;
  const i32 buffer = append_activation(g, x, dims, layer, "gathered");
  g.tensors[buffer].stack = 1;
  g.tensors[buffer].batch_last = batch_goes_last(r.capacity);
  op.out[0] = buffer;
  g.add(op);
  return buffer;
}

/// All tokens of x as a plain batch (tokens, features).
constexpr i32 as_tokens(graph& g, i32 x, tensor_name layer) {
  const tensor t = g.tensors[x];
  if (t.stack == 0 && t.dims.rank == 2) return x;
  routing_attributes r = route_over(t, {});
  r.k = r.experts = 1;
  r.capacity = tokens_of(t);
  const i32 gathered = gather_tokens(g, x, {}, r, layer);
  const i32 plain = view(g, gathered, g.tensors[gathered].dims.sample());
  g.tensors[plain].dims = shape(r.capacity, t.dims[t.dims.rank - 1]);
  g.tensors[plain].stack = 0;
  return plain;
}

/// buffer (experts, capacity, features) of what the experts made; returns a value like x in all but
/// the features.
constexpr i32 combine_experts(graph& g, i32 buffer, i32 gates, const token_routes& to, i32 x,
                              const routing_attributes& r, tensor_name layer) {
  shape dims = g.tensors[x].dims;
  const shape& made = g.tensors[buffer].dims;
  if (made.rank != 3 || made[0] != r.experts || made[1] != r.capacity) {
    refuse(g, {spell(layer), "experts that give one row of features for each token",
               spell_all<64>(made), "end an expert with a layer of rank 1"});
  }
  dims[dims.rank - 1] = made[2];
  operation op = detail::begin_experts(kind::combine_experts, r, layer);
  op.in[0] = buffer;
  op.in[1] = gates;
  op.in[2] = to.slots;
  op.in[3] = to.chosen;
  op.in[4] = to.places;
  op.out[0] = append_activation(g, x, dims, layer, "out");
  g.tensors[op.out[0]].differentiable =
      g.tensors[buffer].differentiable || g.tensors[gates].differentiable;
  g.add(op);
  return op.out[0];
}

namespace detail {

/// Appends `op` with the gradients of `from` that are wanted, output by output.
constexpr void add_gradients(graph& g, adjoints& a, operation op, const i32 (&from)[3]) {
  bool any = false;
  for (i32 slot = 0; slot < 3; ++slot) {
    op.out[slot] = a.wanted(from[slot]) ? a.make(from[slot], op.layer) : -1;
    any = any || op.out[slot] >= 0;
  }
  if (!any) return;
  g.add(op);
  for (i32 slot = 0; slot < 3; ++slot) {
    if (op.out[slot] >= 0) a.contribute(from[slot], op.out[slot]);
  }
}

}  // namespace detail

constexpr void differentiate_experts(graph& g, const operation& forward, adjoints& a) {
  operation op = forward;
  op.out[1] = -1;
  const i32 dy = a.need(forward.out[0]);
  const i32(&in)[operation::max_inputs] = forward.in;
  switch (forward.what) {
    case kind::gate_noise:
      if (dy < 0) return;
      op.what = kind::gate_noise_gradient;
      op.in[0] = in[1], op.in[1] = in[2], op.in[2] = dy;
      detail::add_gradients(g, a, op, {in[1], -1, -1});
      return a.contribute(in[0], dy);
    case kind::top_k_gates:
      if (dy < 0) return;
      op.what = kind::top_k_gates_gradient;
      op.in[0] = forward.out[0], op.in[1] = dy;
      return detail::add_gradients(g, a, op, {in[0], -1, -1});
    case kind::gate_load:
      if (dy < 0) return;
      op.what = kind::gate_load_gradient;
      op.in[3] = dy;
      return detail::add_gradients(g, a, op, {in[0], in[1], in[2]});
    case kind::balance_loss:
      op.what = kind::balance_loss_gradient;
      op.in[0] = forward.out[1], op.in[1] = g.scaler, op.in[2] = a.of(forward.out[0]);
      return detail::add_gradients(g, a, op, {in[0], -1, -1});
    case kind::gather_tokens:
      if (dy < 0) return;
      op.what = kind::gather_tokens_gradient;
      op.in[0] = dy, op.in[1] = -1;
      return detail::add_gradients(g, a, op, {in[0], -1, -1});
    case kind::combine_experts:
      if (dy < 0) return;
      op.what = kind::combine_experts_gradient;
      for (i32 slot = 0; slot < 5; ++slot) op.in[slot + 1] = in[slot];
      op.in[0] = dy;
      return detail::add_gradients(g, a, op, {in[0], in[1], -1});
    default: return;
  }
}

/// Sizes and layouts: of the tokens' side (x, y), of the gates, of the experts' side (buffers).
constexpr expert_sizes sizes_of_experts(const graph& g, const operation& op) {
  const routing_attributes& r = op.attr.routing;
  expert_sizes n{};
  n.samples = r.samples;
  n.rows = r.rows;
  n.experts = r.experts;
  n.k = r.k;
  n.capacity = r.capacity;
  n.tokens = r.tokens;
  const auto see = [&](i32 tokens, i32 gates, i32 buffer) {
    if (tokens >= 0) {
      const tensor& t = g.tensors[tokens];
      n.features = t.dims[t.dims.rank - 1];
      n.tokens = tokens_of(t);
      n.tokens_last = t.batch_last;
    }
    if (gates >= 0) {
      n.tokens = g.tensors[gates].dims[0];
      n.gates_last = g.tensors[gates].batch_last;
    }
    if (buffer >= 0) n.buffer_last = g.tensors[buffer].batch_last;
  };
  switch (op.what) {
    case kind::balance_loss_gradient: see(-1, op.out[0], -1); break;
    case kind::gather_tokens: see(op.in[0], op.in[2], op.out[0]); break;
    case kind::gather_tokens_gradient: see(op.out[0], op.in[2], op.in[0]); break;
    case kind::combine_experts: see(op.out[0], op.in[1], op.in[0]); break;
    case kind::combine_experts_gradient: see(op.in[0], op.in[2], op.in[1]); break;
    default: see(-1, op.in[0], -1); break;
  }
  return n;
}

}  // namespace tessera::ops
