#pragma once

// Transformers: the encoder stack of BERT's size and name, and small models of language like GPT-2.

#include <tessera/models/common.hpp>
#include <tessera/nn/dense.hpp>
#include <tessera/nn/norm.hpp>
#include <tessera/nn/positions.hpp>
#include <tessera/nn/shared.hpp>
#include <tessera/nn/transformer.hpp>

namespace tessera::models {

/// `Layers` encoder layers on a sequence (time, batch, features), as PyTorch's TransformerEncoder:
/// layers.0.self_attn.in_proj_weight, ... Options are those of transformer_encoder_layer; masks
/// come behind the sequence.
///
/// Memory   85,054,464 parameters for 12 layers of 12 heads on 768 features, 3072 within (BERT
/// base) Source   Vaswani et al. 2017; Devlin et al. 2019
template <i32 Layers, i32 Heads, i32 Hidden, attention_option... Options>
struct transformer_encoder
    : scope<"layers",
            numbered_blocks<0, Layers, transformer_encoder_layer<Heads, Hidden, Options...>>> {};

/// `Layers` decoder layers: a sequence, the memory, and masks of the memory.
///
/// Source   Vaswani et al. 2017
template <i32 Layers, i32 Heads, i32 Hidden, attention_option... Options>
struct transformer_decoder
    : scope<"layers",
            numbered_blocks<0, Layers, transformer_decoder_layer<Heads, Hidden, Options...>>> {};

/// A table of vectors for tokens that starts small, normal with deviation 0.02: so that logits on
/// the same table start near 0.
///
/// Shapes   x (time, batch) of i32   weight (Rows, Width)   y (time, batch, Width), whose samples
///          lie outermost whatever the batch: rows of one product for every dense layer behind it
template <i32 Rows, i32 Width>
struct token_table {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    graph& g = b.network();
    const tensor t = g.tensors[x.id];
    if (t.type != element::int32 || t.stack != 1 || t.dims.rank != 2) {
      return b.fail({"token_table", "tokens over time",
                     spell_all<64>(b.sample(x), " of ", name_of(t.type)),
                     "start from tokens<time>"});
    }
    const tensor_name name = b.begin_layer("token_table");
    const i32 weight =
        b.parameter(shape(Rows, Width), name, "weight", initializer::glorot_normal, 2500, 2500);
    const i32 seen = ops::view(g, x.id, t.dims);  // (time, batch) is the same in both layouts
    g.tensors[seen].batch_last = false;
    return {ops::embedding(g, seen, weight, -1, name)};
  }
};

namespace detail {

template <i32 Vocabulary, bool Tied>
struct output_of_tokens : named<"lm_head", dense<Vocabulary, no_bias>> {};
template <i32 Vocabulary>
struct output_of_tokens<Vocabulary, true> : tied_dense<"wte", no_bias> {};

template <i32 Positions>
struct positions_of : named<"wpe", learned_positions<Positions>> {};
template <>
struct positions_of<0> : named<"wpe", sinusoidal_positions> {};

}  // namespace detail

/// A model of language over tokens<time>, as GPT-2: `Layers` causal layers with the normalization
/// in front, of `Heads` heads on `Width` features and 4 Width within; scores for the next token at
/// every point in time. `Positions` learned ones (at least the time), 0: sinusoidal. `Tied`: the
/// output is the table of the tokens again, else a dense layer "lm_head" without bias. Names: wte,
/// wpe, h.0.norm1, h.0.self_attn, h.0.norm2, h.0.linear1, h.0.linear2, ..., ln_f.
///
/// Shapes   x (time, batch) of i32   y (time, batch, Vocabulary)
/// Memory   124,439,808 parameters for gpt<50257, 1024, 768, 12, 12>: GPT-2 small
/// Source   Radford et al. 2019
template <i32 Vocabulary, i32 Positions, i32 Width, i32 Heads, i32 Layers, bool Tied = true,
          attention_option... Options>
struct gpt
    : chain<
          shared<"wte", named<"wte", token_table<Vocabulary, Width>>>,
          detail::positions_of<Positions>,
          scope<"h", numbered_blocks<0, Layers,
                                     transformer_encoder_layer<Heads, 4 * Width, causal, norm_first,
                                                               with_gelu_tanh, Options...>>>,
          named<"ln_f", layer_norm<trailing<1>>>, detail::output_of_tokens<Vocabulary, Tied>> {};

static_assert(layer<gpt<65, 64, 32, 4, 2>>);

}  // namespace tessera::models
