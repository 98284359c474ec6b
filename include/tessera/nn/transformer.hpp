#pragma once

// Transformer layers: attention and a feed-forward part, each with what goes around it.
//
//   norm behind (default)   x = norm1(x + attention(x));     x = norm2(x + feed_forward(x))
//   norm_first              x = x + attention(norm1(x));     x = x + feed_forward(norm2(x))
//
// A decoder layer has attention to the memory of an encoder between the two. Weights have the names
// and shapes of PyTorch's TransformerEncoderLayer and TransformerDecoderLayer. Stacks of layers:
//
//   scope<"layers", repeat_from<0, 12, transformer_encoder_layer<12, 3072, with_gelu>>>
//
// planned and compiled once, named layers.0.self_attn.in_proj_weight and so on.

#include <tessera/nn/attention.hpp>

namespace tessera {

namespace detail {

/// A layer's name within the block, as PyTorch has it.
constexpr tensor_name name_part(builder& b, const char* name, const char* where) {
  if (!b.begin_named(name)) {
    b.fail({where, "names of its own", "those of another layer",
            "put it in repeat<...> or in scope<\"0\", ...>"});
  }
  const tensor_name result = b.begin_layer(name);
  b.end_named();
  return result;
}

/// What a transformer layer is made of, while it is being built.
struct transformer_parts {
  builder& b;
  const attention_options& o;
  const char* where;

  constexpr value norm(value x, const char* name) const {
    if (!b.usable(x)) return {};
    graph& g = b.network();
    const tensor& t = g.tensors[x.id];
    const shape width(t.dims[t.dims.rank - 1]);
    const tensor_name layer = name_part(b, name, where);
    const i32 weight = b.parameter(width, layer, "weight", initializer::ones, 0, 0);
    const i32 bias = b.parameter(width, layer, "bias", initializer::zeros, 0, 0);
    return {ops::layer_norm(g, kind::layer_norm, x.id, weight, bias,
                            {.epsilon = o.epsilon, .extents = 1}, layer)};
  }

  constexpr value linear(value x, const char* name, i32 out) const {
    if (!b.usable(x)) return {};
    const tensor& t = b.network().tensors[x.id];
    const i32 in = t.dims[t.dims.rank - 1];
    const tensor_name layer = name_part(b, name, where);
    const i32 weight =
        b.parameter(shape(out, in), layer, "weight", initializer::glorot_uniform, in, out);
    const i32 bias = b.parameter(shape(out), layer, "bias", initializer::zeros, in, out);
    return dense_rows(b, x, weight, bias, layer);
  }

  constexpr value drop(value x) const {
    if (o.layer_dropout_percent == 0 || !b.training() || !b.usable(x)) return x;
    return b.unary(kind::dropout, x, dropout_attributes(b, o.layer_dropout_percent));
  }

  constexpr value feed_forward(value x, i32 hidden) const {
    if (!b.usable(x)) return {};
    const tensor& t = b.network().tensors[x.id];
    const i32 width = t.dims[t.dims.rank - 1];
    value h = linear(x, "linear1", hidden);
    h = drop(b.unary(o.function, h));
    return linear(h, "linear2", width);
  }

  /// `part` of x and what goes around it.
  template <class Part>
  constexpr value around(value x, const char* norm_name, const Part& part) const {
    if (o.norm_first) return b.add(x, drop(part(norm(x, norm_name))));
    return norm(b.add(x, drop(part(x))), norm_name);
  }
};

/// `x`: the sequence and its masks, by the options.
constexpr value build_encoder_layer(builder& b, const bundle& x, i32 heads, i32 hidden,
                                    const attention_options& o) {
  if (!b.usable(x)) return {};
  const transformer_parts parts{b, o, "transformer_encoder_layer"};
  const value seen = parts.around(x.items[0], "norm1", [&](value in) {
    bundle inputs = x;
    inputs.items[0] = in;
    return build_multi_head(b, inputs, heads, o, name_part(b, "self_attn", parts.where)).items[0];
  });
  return parts.around(seen, "norm2", [&](value in) { return parts.feed_forward(in, hidden); });
}

/// `x`: the sequence, the memory and the masks of the memory.
constexpr value build_decoder_layer(builder& b, const bundle& x, i32 heads, i32 hidden,
                                    const attention_options& o) {
  if (!b.usable(x)) return {};
  const transformer_parts parts{b, o, "transformer_decoder_layer"};
  attention_options self;
  self.causal = o.causal;
  self.dropout_percent = o.dropout_percent;
  attention_options to_memory = o;
  to_memory.cross = true;
  to_memory.causal = false;
  value y = parts.around(x.items[0], "norm1", [&](value in) {
    return build_multi_head(b, in, heads, self, name_part(b, "self_attn", parts.where)).items[0];
  });
  y = parts.around(y, "norm2", [&](value in) {
    bundle inputs = x;
    inputs.items[0] = in;
    return build_multi_head(b, inputs, heads, to_memory,
                            name_part(b, "multihead_attn", parts.where))
        .items[0];
  });
  return parts.around(y, "norm3", [&](value in) { return parts.feed_forward(in, hidden); });
}

}  // namespace detail

/// A layer of a transformer's encoder, or with `causal` of a decoder that has no memory (GPT).
///
/// Values   a sequence[, lengths][, mask of keys][, mask of scores], by the options
/// Shapes   x, y (time, batch, features); the layer's width is x's
/// Options  causal, key_lengths, key_mask, score_mask, norm_first, with_gelu, with_gelu_tanh,
///          layer_dropout, attention_dropout, norm_epsilon (1e-5)
/// Memory   4 f (f + 1) + 2 f h + h + f + 4 f parameters for f features and h = Hidden
/// Errors   those of multi_head_attention; two layers without scopes around them
/// Source   Vaswani et al. 2017; norm_first: Xiong et al. 2020
template <i32 Heads, i32 Hidden, attention_option... Options>
struct transformer_encoder_layer {
  static_assert(Heads > 0 && Hidden > 0, "transformer_encoder_layer: expected sizes above 0");

  static constexpr value build(builder& b, const bundle& x) {
    return detail::build_encoder_layer(b, x, Heads, Hidden, read_attention_options<Options...>());
  }
};

/// A layer of a transformer's decoder: attention to itself, then to a memory, then feed-forward.
///
/// Values   a sequence, a memory[, lengths][, mask of keys][, mask of scores] of the memory
/// Shapes   x, y (time, batch, features)   memory (time', batch, features)
/// Options  causal (of the sequence), key_lengths, key_mask, score_mask (of the memory),
///          norm_first, with_gelu, with_gelu_tanh, layer_dropout, attention_dropout, norm_epsilon
/// Errors   as transformer_encoder_layer
/// Source   Vaswani et al. 2017
template <i32 Heads, i32 Hidden, attention_option... Options>
struct transformer_decoder_layer {
  static_assert(Heads > 0 && Hidden > 0, "transformer_decoder_layer: expected sizes above 0");

  static constexpr value build(builder& b, const bundle& x) {
    return detail::build_decoder_layer(b, x, Heads, Hidden, read_attention_options<Options...>());
  }
};

static_assert(layer<transformer_encoder_layer<2, 8>> && layer<transformer_decoder_layer<2, 8>>);

}  // namespace tessera
