#pragma once

// Attention: scaled dot product with several heads, and additive.
//
//   multi_head_attention<8, causal>                         a sequence, seen by itself
//   multi_head_attention<8, cross, key_lengths>             queries, memory, lengths of the memory
//   additive_attention<128, key_lengths>                    queries or a state, memory, lengths
//
// Sequences are (time, batch, features) like everywhere here, PyTorch's batch_first = False;
// (batch, time, features) works too. Weights have the names and order of PyTorch's
// MultiheadAttention, so that its files load.

#include <tessera/nn/attention_options.hpp>
#include <tessera/nn/chain.hpp>
#include <tessera/nn/rows.hpp>
#include <tessera/ops/attention.hpp>

namespace tessera {

/// softmax along an axis of a sample (-1: the last); of logits over classes: their probabilities.
///
/// Shapes   x and y of one shape
/// Memory   keeps its output, in its input's bytes
/// Errors   an axis that the input does not have. A row of -infinity gives zeros, NaN gives NaN.
template <i32 Axis = -1>
struct softmax {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const i32 axis = Axis < 0 ? b.sample(x).rank + Axis : Axis;
    if (axis < 0 || axis >= b.sample(x).rank) {
      return b.fail({spell_all<64>("softmax<", Axis, ">"), "a value with that axis",
                     spell_all<64>(b.sample(x)), "count axes from 0, without the batch"});
    }
    return {ops::softmax(b.network(), kind::softmax, x.id, axis, b.begin_layer("softmax"))};
  }
};

/// The logarithm of softmax, without taking it of small numbers.
///
/// Shapes, memory and errors as softmax; a row of -infinity stays so.
template <i32 Axis = -1>
struct log_softmax {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const i32 axis = Axis < 0 ? b.sample(x).rank + Axis : Axis;
    if (axis < 0 || axis >= b.sample(x).rank) {
      return b.fail({spell_all<64>("log_softmax<", Axis, ">"), "a value with that axis",
                     spell_all<64>(b.sample(x)), "count axes from 0, without the batch"});
    }
    return {ops::softmax(b.network(), kind::log_softmax, x.id, axis, b.begin_layer("log_softmax"))};
  }
};

namespace detail {

/// True for (time, batch, features) and (batch, time, features).
constexpr bool is_sequence(const tensor& t) {
  return t.batched && t.dims.rank == 3 && t.stack <= 1 && t.type != element::int32;
}

/// What of a bundle masks attention, in the order of the options.
struct attention_inputs {
  value queries;
  value memory;
  ops::attention_masks masks;
  bool fits = false;
};

constexpr attention_inputs read_attention_inputs(builder& b, const bundle& x,
                                                 const attention_options& o,
                                                 const text<64>& where) {
  attention_inputs in;
  const i32 wanted = 1 + (o.cross ? 1 : 0) + (o.key_lengths ? 1 : 0) + (o.key_mask ? 1 : 0) +
                     (o.score_mask ? 1 : 0);
  if (!b.usable(x)) return in;
  if (x.size != wanted) {
    b.fail(
        {where,
         spell_all(wanted, wanted == 1 ? " value" : " values", " (queries",
                   o.cross ? ", memory" : "", o.key_lengths ? ", lengths" : "",
                   o.key_mask ? ", mask of keys" : "", o.score_mask ? ", mask of scores" : "", ")"),
         spell_all<64>(x.size), "give the values that the options ask for"});
    return in;
  }
  i32 next = 0;
  in.queries = x.items[next++];
  in.memory = o.cross ? x.items[next++] : in.queries;
  if (o.key_lengths) in.masks.lengths = x.items[next++].id;
  if (o.key_mask) in.masks.mask[0] = x.items[next++].id;
  if (o.score_mask) in.masks.mask[1] = x.items[next++].id;
  in.masks.causal = o.causal;
  in.fits = true;
  return in;
}

/// Attributes of dropout with a stream of its own.
constexpr attributes dropout_attributes(builder& b, i32 percent) {
  attributes attr;
  attr.rate = static_cast<float>(percent) / 100.0f;
  attr.salt = b.next_salt();
  return attr;
}

/// q, k and v (sequences), projected; returns y behind the output projection, and the weights.
constexpr ops::attention_outputs attend(builder& b, value q, value k, value v, i32 heads,
                                        const ops::attention_masks& masks,
                                        const attention_options& o, tensor_name layer) {
  const bool drops = o.dropout_percent > 0 && b.training();
  const attributes drop = drops ? dropout_attributes(b, o.dropout_percent) : attributes{};
  return ops::attention(b.network(), q.id, k.id, v.id, heads, masks, drops ? &drop : nullptr, layer,
                        o.weights);
}

/// The last extent of `x`, cut into equal parts.
constexpr ops::split_parts split_features(graph& g, value x, i32 parts, tensor_name layer) {
  const tensor& t = g.tensors[x.id];
  const i32 width = t.dims[t.dims.rank - 1] / parts;
  const i32 extents[] = {width, width, width};
  return ops::split(g, x.id, extents, parts, t.sample().rank - 1, layer);
}

constexpr bundle build_multi_head(builder& b, const bundle& x, i32 heads,
                                  const attention_options& o, tensor_name name) {
  const text<64> where = spell_all<64>("multi_head_attention<", heads, ">");
  const attention_inputs in = read_attention_inputs(b, x, o, where);
  if (!in.fits) return {};
  graph& g = b.network();
  const tensor& q = g.tensors[in.queries.id];
  const tensor& m = g.tensors[in.memory.id];
  const i32 width = q.dims[q.dims.rank - 1];
  if (!is_sequence(q) || !is_sequence(m) || width % heads != 0) {
    return b.fail({where, spell_all("sequences whose features ", heads, " heads divide"),
                   spell_all<64>(b.sample(in.queries)),
                   "start from sequence<time, features>, or embed tokens"});
  }
  if (q.stack != m.stack || m.dims[m.dims.rank - 1] != width || q.batch() != m.batch()) {
    return b.fail({where, spell_all("a memory of ", width, " features"),
                   spell_all<64>(b.sample(in.memory)), "project it with dense first"});
  }
  // PyTorch: Glorot uniform over the three together, biases zero.
  const i32 weight = b.parameter(shape(3 * width, width), name, "in_proj_weight",
                                 initializer::glorot_uniform, width, 3 * width);
  const i32 bias =
      o.bias ? b.parameter(shape(3 * width), name, "in_proj_bias", initializer::zeros, width, width)
             : -1;
  const i32 out_weight = b.parameter(shape(width, width), name, "out_proj.weight",
                                     initializer::torch_uniform, width, width);
  const i32 out_bias =
      o.bias ? b.parameter(shape(width), name, "out_proj.bias", initializer::zeros, width, width)
             : -1;
  ops::split_parts parts;  // q, k, v
  if (!o.cross) {
    parts = split_features(g, dense_rows(b, in.queries, weight, bias, name), 3, name);
  } else {  // rows of the weight for the queries, and for the memory
    const i32 extents[] = {width, 2 * width};
    const ops::split_parts w = ops::split(g, weight, extents, 2, 0, name);
    ops::split_parts shift;
    if (bias >= 0) shift = ops::split(g, bias, extents, 2, 0, name);
    const value query = dense_rows(b, in.queries, w[0], shift[0], name);
    const value both = dense_rows(b, in.memory, w[1], shift[1], name);
    if (!b.usable(both)) return {};
    const ops::split_parts kv = split_features(g, both, 2, name);
    parts.id[0] = query.id;
    parts.id[1] = kv[0];
    parts.id[2] = kv[1];
  }
  if (g.wrong.wrong()) return {};
  const ops::attention_outputs y =
      attend(b, {parts[0]}, {parts[1]}, {parts[2]}, heads, in.masks, o, name);
  if (g.wrong.wrong()) return {};
  return {dense_rows(b, {y.y}, out_weight, out_bias, name), value{y.weights}};
}

}  // namespace detail

/// Attention with several heads, as PyTorch's MultiheadAttention.
///
/// Values   queries[, memory][, lengths][, mask of keys][, mask of scores], by the options
/// Shapes   queries, y (time, batch, features)   memory (time', batch, features)
///          in_proj_weight (3 features, features)   in_proj_bias (3 features)
///          out_proj.weight (features, features)   out_proj.bias (features)
/// Options  causal, cross, key_lengths, key_mask, score_mask, with_weights, attention_dropout,
///          no_attention_bias
/// Memory   4 features (features + 1) parameters; keeps q, k, v, what attention makes of them, and
///          a number for each (batch, heads, time); with masks, dropout or weights put out, in
///          place of the last two the weights (batch, heads, time, time')
/// Errors   another number of values; features that the heads do not divide; a memory of others.
///          A query that sees no key gives the output's bias.
/// Source   Vaswani et al. 2017
template <i32 Heads, attention_option... Options>
struct multi_head_attention {
  static_assert(Heads > 0, "multi_head_attention: expected at least 1 head");
  static constexpr attention_options options = read_attention_options<Options...>();
  using output = std::conditional_t<options.weights, bundle, value>;

  static constexpr output build(builder& b, const bundle& x) {
    if (!b.usable(x)) return value{};
    const bundle y = detail::build_multi_head(b, x, Heads, options, b.begin_layer("attention"));
    if constexpr (options.weights) {
      return y;
    } else {
      return y.items[0];
    }
  }
};

/// Scaled dot product attention without weights: of a bundle of queries, keys and values whose
/// features are `Heads` heads side by side, and what the options ask for behind them.
///
/// Shapes   q, y (time, batch, features)   k, v (time', batch, features)
/// Options  causal, key_lengths, key_mask, score_mask, with_weights, attention_dropout
/// Memory   as multi_head_attention, without parameters
template <i32 Heads, attention_option... Options>
struct dot_product_attention {
  static_assert(Heads > 0, "dot_product_attention: expected at least 1 head");
  static constexpr attention_options options = read_attention_options<Options...>();
  using output = std::conditional_t<options.weights, bundle, value>;

  static constexpr output build(builder& b, const bundle& x) {
    const text<64> where = spell_all<64>("dot_product_attention<", Heads, ">");
    attention_options o = options;
    o.cross = false;
    bundle rest;
    for (i32 i = 0; i < x.size; ++i) {
      if (i != 1 && i != 2) rest.items[rest.size++] = x.items[i];
    }
    const detail::attention_inputs in = detail::read_attention_inputs(b, rest, o, where);
    if (!in.fits || x.size < 3) return value{};
    graph& g = b.network();
    for (i32 i = 0; i < 3; ++i) {
      const tensor& t = g.tensors[x.items[i].id];
      if (detail::is_sequence(t) && t.dims[t.dims.rank - 1] % Heads == 0) continue;
      return b.fail({where, spell_all("sequences whose features ", Heads, " heads divide"),
                     spell_all<64>(b.sample(x.items[i])), "project them first"});
    }
    const ops::attention_outputs y = detail::attend(b, x.items[0], x.items[1], x.items[2], Heads,
                                                    in.masks, o, b.begin_layer("attention"));
    if constexpr (options.weights) {
      return {value{y.y}, value{y.weights}};
    } else {
      return {y.y};
    }
  }
};

/// Additive attention (Bahdanau): scores v . tanh(Wq q + Wk k + b), softmax over time, the sum of
/// the memory by these weights.
///
/// Values   queries, memory[, lengths][, mask of keys]; by the options
/// Shapes   queries (batch, dq), such as the state of a decoder, or (queries, batch, dq)
///          memory (time, batch, dk)   query.weight (Units, dq)   key.weight (Units, dk)
///          key.bias (Units)   score.weight (Units)
///          y the context, (batch, dk) or (queries, batch, dk); with_weights then the weights
///          (batch, 1, queries, time)
/// Options  key_lengths, key_mask, with_weights
/// Memory   keeps keys, queries and weights; the tanh are computed again on the way back
/// Errors   another number of values, a memory without time, other batches. A query that sees no
///          key gets zeros.
/// Source   Bahdanau, Cho, Bengio 2015
///
/// A decoder projects the memory once, before its loop, and attends at each step within it:
///
///   using attention = additive_attention<128, key_lengths>;
///   const value keys = attention::keys(b, memory);                    // before loop.begin()
///   const bundle y = attention::attend(b, state, keys, memory, lengths);  // in each trip
template <i32 Units, attention_option... Options>
struct additive_attention {
  static_assert(Units > 0, "additive_attention: expected at least 1 unit");
  static constexpr attention_options options = read_attention_options<Options...>();
  using output = std::conditional_t<options.weights, bundle, value>;

  static constexpr output build(builder& b, const bundle& x) {
    attention_options o = options;
    o.cross = true;
    const detail::attention_inputs in = detail::read_attention_inputs(b, x, o, where());
    if (!in.fits) return value{};
    const tensor_name name = b.begin_layer("attention");
    const bundle y =
        attend_named(b, in.queries, keys_named(b, in.memory, name), in.memory, in.masks, name);
    if constexpr (options.weights) {
      return y;
    } else {
      return y.items[0];
    }
  }

  /// The memory (time, batch, dk) projected to (time, batch, Units), once for all queries.
  static constexpr value keys(builder& b, value memory) {
    return keys_named(b, memory, b.begin_layer("attention_keys"));
  }

  /// Context and weights for queries (batch, dq) or (queries, batch, dq), with `lengths` of the
  /// memory where it is valid. Keys, memory and lengths may come from outside of a loop.
  static constexpr bundle attend(builder& b, value query, value keys, value memory,
                                 value lengths = {}) {
    ops::attention_masks masks;
    masks.lengths = lengths.id;
    return attend_named(b, query, keys, memory, masks, b.begin_layer("attention"));
  }

 private:
  static constexpr text<64> where() { return spell_all<64>("additive_attention<", Units, ">"); }

  static constexpr value keys_named(builder& b, value memory, tensor_name name) {
    if (!b.usable(memory)) return {};
    const tensor& m = b.network().tensors[memory.id];
    if (!detail::is_sequence(m)) {
      return b.fail({where(), "a memory that is a sequence", spell_all<64>(b.sample(memory)),
                     "give what an encoder puts out at every point in time"});
    }
    const i32 width = m.dims[2];
    const i32 weight = b.parameter(shape(Units, width), name, "key.weight",
                                   initializer::glorot_uniform, width, Units);
    const i32 bias = b.parameter(shape(Units), name, "key.bias", initializer::zeros, width, Units);
    return detail::dense_rows(b, memory, weight, bias, name);
  }

  static constexpr bundle attend_named(builder& b, value query, value keys, value memory,
                                       const ops::attention_masks& masks, tensor_name name) {
    if (!b.usable(bundle{query, keys, memory})) return {};
    graph& g = b.network();
    const tensor& q = g.tensors[query.id];
    const i32 width = q.dims[q.dims.rank - 1];
    const bool single = q.batched && q.stack == 0 && q.dims.rank == 2;
    if ((!single && !detail::is_sequence(q)) || q.batch() != g.tensors[memory.id].batch()) {
      return b.fail({where(), "queries (batch x features) or a sequence of them",
                     spell_all<64>(b.sample(query)), "flatten the state of the decoder"});
    }
    const i32 weight = b.parameter(shape(Units, width), name, "query.weight",
                                   initializer::glorot_uniform, width, Units);
    const i32 v =
        b.parameter(shape(Units), name, "score.weight", initializer::torch_uniform, Units, 1);
    const value projected = detail::dense_rows(b, query, weight, -1, name);
    const ops::attention_outputs y =
        ops::additive_attention(g, projected.id, keys.id, v, memory.id, masks, name);
    return {value{y.y}, value{y.weights}};
  }
};

static_assert(layer<softmax<>> && layer<multi_head_attention<2, causal>>);
static_assert(layer<additive_attention<8>>);

}  // namespace tessera
