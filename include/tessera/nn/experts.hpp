#pragma once

// Mixtures of experts: of many layers of one kind only a few work on each token.
//
//   x --> gate --> top k of E -----------------------------.
//   |                 |                                     v
//   '----> route: (E, capacity) slots --> experts --> combine: y = sum of gate x expert
//                                         one loop body, E sets of weights
//
// ops/experts.hpp has the operations and what happens to tokens that find no slot.

#include <tessera/nn/chain.hpp>
#include <tessera/nn/endpoints.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

/// What options say together.
struct mixture_options {
  i32 experts = 1;
  i32 k = 2;
  i32 capacity = 200;  // percent of tokens x k / experts; 0: as many slots as tokens
  bool noise = true;
  float importance = 0.1f;  // weights of the balancing losses
  float load = 0.1f;
  i32 draws = -1;  // a tensor of standard normal numbers in the place of the generator's
};

/// How many experts a token has.
template <i32 K>
struct top {
  static_assert(K > 0, "top: expected at least 1 expert a token");
  static constexpr void apply(mixture_options& o) { o.k = K; }
};

/// Slots of an expert, in percent of what it would need if tokens were shared equally (200 without
/// this option): more costs time and memory, fewer drops more tokens.
template <i32 Percent>
struct capacity {
  static_assert(Percent > 0, "capacity: expected a positive percentage");
  static constexpr void apply(mixture_options& o) { o.capacity = Percent; }
};

/// A slot for every token in every expert: nothing is ever dropped, and all rows are computed.
struct all_tokens {
  static constexpr void apply(mixture_options& o) { o.capacity = 0; }
};

/// Gates without noise, and so without a load loss.
struct no_noise {
  static constexpr void apply(mixture_options& o) { o.noise = false; }
};

/// Weights of the two balancing losses in percent: of importance and of load, 10 each without.
template <i32 Importance, i32 Load = Importance>
struct balanced {
  static_assert(Importance >= 0 && Load >= 0, "balanced: expected weights of at least 0");
  static constexpr void apply(mixture_options& o) {
    o.importance = static_cast<float>(Importance) / 100.0f;
    o.load = static_cast<float>(Load) / 100.0f;
  }
};

template <class O>
concept mixture_option = requires(mixture_options& o) {
  O::apply(o);
};

namespace detail {

/// Slots of an expert for so many tokens: from 16 on multiples of 16, so that kernels find them
/// side by side.
constexpr i32 slots_of_expert(const mixture_options& o, i32 tokens) {
  if (o.capacity == 0) return tokens;
  const i64 wanted = i64{o.capacity} * o.k * tokens;
  const i64 share = i64{100} * o.experts;
  i64 slots = (wanted + share - 1) / share;
  if (slots > 8) slots = (slots + 15) / 16 * 16;
  return slots < tokens ? static_cast<i32>(slots) : tokens;
}

/// What a mixture has made, for those who want to look at it.
struct mixture {
  value out;
  ops::chosen_gates gates;
  ops::token_routes routes;
  ops::balance importance;
  ops::balance load;
};

/// Appends a mixture whose experts `build_expert` appends, once: (builder&, value) -> value.
template <class BuildExpert>
constexpr mixture build_mixture(builder& b, value x, const mixture_options& o,
                                const BuildExpert& build_expert) {
  mixture made;
  if (!b.usable(x)) return made;
  graph& g = b.network();
  const text<64> where = spell_all<64>("mixture_of_experts<", o.experts, ">");
  const shape in = b.sample(x);
  const i32 stack = g.tensors[x.id].stack;
  if (in.rank < stack + 1) {
    b.fail({where, "samples with features", spell_all<64>(in), "put flatten before it"});
    return made;
  }
  if (o.k > o.experts || o.k > ops::most_choices || o.experts > ops::most_experts) {
    b.fail({where, spell_all("top<1> to top<", o.experts, ">, at most ", ops::most_choices),
            spell_all<64>("top<", o.k, ">"), "choose fewer experts"});
    return made;
  }
  const bool noisy = o.noise && b.training();
  const bool losses = b.training() && (o.importance > 0 || (noisy && o.load > 0));
  if (losses && g.body != 0) {
    b.fail({where, "balancing losses of the whole step", "a mixture within a loop",
            "put it outside of repeat and each_step, or use balanced<0>"});
    return made;
  }
  const tensor_name name = b.begin_layer("mixture");
  const i32 features = in[in.rank - 1];
  const i32 tokens = ops::tokens_of(g.tensors[x.id]);
  routing_attributes r;
  r.experts = o.experts;
  r.k = o.k;
  r.tokens = tokens;
  r.capacity = slots_of_expert(o, tokens);
  r = ops::route_over(g.tensors[x.id], r);

  // Without noise equal gates would choose the first experts for all tokens.
  const initializer init = o.noise ? initializer::zeros : initializer::glorot_uniform;
  const shape gate(o.experts, features);
  const i32 gate_weight = b.parameter(gate, name, "gate", init, features, o.experts);
  i32 noise_weight = -1;
  if (o.noise) {
    noise_weight = b.parameter(gate, name, "noise", initializer::zeros, features, o.experts);
  }
  const i32 rows = ops::as_tokens(g, x.id, name);
  const i32 clean = ops::dense(g, rows, gate_weight, -1, name);
  i32 spread = -1;
  i32 h = clean;
  if (noisy) {
    spread = ops::dense(g, rows, noise_weight, -1, name);
    i32 draws = o.draws;
    if (draws < 0) {
      draws = ops::append_activation(g, clean, g.tensors[clean].dims, name, "draws");
      g.tensors[draws].differentiable = false;
      operation zero;
      zero.what = kind::zero;
      zero.out[0] = draws;
      zero.layer = name;
      g.add(zero);
      draws = ops::gaussian_noise(g, draws, 1, b.next_salt(), name);
    }
    h = ops::gate_noise(g, clean, spread, draws, r, name);
  }
  made.gates = ops::top_k_gates(g, h, r, name);
  if (losses && o.importance > 0) {
    made.importance = ops::balance_loss(g, made.gates.gates, o.importance, r, name);
    b.add_auxiliary_loss(made.importance.loss);
  }
  if (losses && noisy && o.load > 0) {
    const i32 load = ops::gate_load(g, clean, spread, h, r, name);
    made.load = ops::balance_loss(g, load, o.load, r, name);
    b.add_auxiliary_loss(made.load.loss);
  }
  made.routes = ops::route_tokens(g, made.gates.chosen, r, name);
  const i32 gathered = ops::gather_tokens(g, x.id, made.routes, r, name);

  ops::loop_options loop_of;
  loop_of.trips = o.experts;
  loop_of.own_weights = true;
  loop_of.stacked = b.differentiates();
  ops::loop_writer loop(g, loop_of, name);
  loop.begin();
  const i32 around = b.begin_repeat("experts", loop.body(), 0);
  const i32 first = g.operations.size();
  const value y = build_expert(b, value{loop.scan(gathered)});
  b.end_scope(around);
  if (!b.usable(y)) return made;
  for (i32 i = first; i < g.operations.size(); ++i) {
    if (g.operations[i].what != kind::batch_norm) continue;
    b.fail({where, "experts that treat rows alike", "batch_norm",
            "normalize over features: layer_norm"});
    return made;
  }
  if (b.sample(y).rank != 1) {
    b.fail({where, "an expert that gives one row of features", spell_all<64>(b.sample(y)),
            "end it with dense<features>"});
    return made;
  }
  const i32 out = loop.output(y.id);
  loop.end();
  made.out = {
      ops::combine_experts(g, loop.outer(out), made.gates.gates, made.routes, x.id, r, name)};
  return made;
}

}  // namespace detail

/// Count experts (a layer each, with weights of its own), of which a noisy gate chooses the top K
/// for every token and mixes what they give: y = sum of gate[i] expert[i](x). Only the chosen
/// experts' rows are computed, forward and backward: tokens are gathered into `capacity` rows for
/// each expert, planned while compiling, and one loop body runs all experts. Time and memory follow
/// capacity x Count = 2 K tokens (with the option as it is), not Count.
///
///   mixture_of_experts<chain<dense<64>, relu, dense<16>>, 32, top<2>, balanced<10>>
///
/// Shapes   x (batch, ..., features), with or without time   y the same with the expert's features
/// Options  top<K> (2), capacity<percent> (200) or all_tokens, no_noise,
///          balanced<importance, load> (10 %, 10 %)
/// Memory   gate and noise (Count, features) each and Count times the expert's weights; keeps the
///          gathered rows, what the experts keep, and gates
/// Losses   in training two more terms of the loss, behind the network's own: how unequal the
///          experts' sums of gates are, and their expected numbers of tokens. They are not part of
///          an evaluation.
/// Defined  tokens beyond a capacity lose that expert (the later the choice and the token, the
///          sooner): put the mixture into a residual. No noise in inference. NaN: ops/experts.hpp.
/// Errors   top<K> of fewer experts; an expert that gives no single row, or has batch_norm;
///          balancing losses within a loop
/// Source   Shazeer et al. 2017; capacity: Lepikhin et al. 2021
template <layer Expert, i32 Count, mixture_option... Options>
struct mixture_of_experts {
  static_assert(Count > 0, "mixture_of_experts: expected at least 1 expert");

  static constexpr value build(builder& b, value x) {
    mixture_options o;
    o.experts = Count;
    (Options::apply(o), ...);
    return detail::build_mixture(b, x, o,
                                 [](builder& inner, value rows) -> value {
                                   return chain<Expert>::build(inner, rows);
                                 })
        .out;
  }
};

}  // namespace tessera
