#pragma once

// Options of attention and of transformer layers, in any order after the sizes.

#include <tessera/ir/graph.hpp>

namespace tessera {

struct attention_options {
  bool causal = false;
  bool cross = false;
  bool key_lengths = false;
  bool key_mask = false;
  bool score_mask = false;
  bool weights = false;  // are put out too
  bool bias = true;
  i32 dropout_percent = 0;  // of attention weights
  // transformer layers
  bool norm_first = false;
  kind function = kind::relu;  // of the feed-forward part
  i32 layer_dropout_percent = 0;
  float epsilon = 1e-5f;
};

/// A query sees the keys up to its own place, not those behind it.
struct causal {
  static constexpr void apply(attention_options& o) { o.causal = true; }
};

/// Keys and values come from a second sequence, the next value of the bundle.
struct cross {
  static constexpr void apply(attention_options& o) { o.cross = true; }
};

/// The next value of the bundle has the lengths of the keys' sequences, i32 (batch): keys from
/// there on are not seen.
struct key_lengths {
  static constexpr void apply(attention_options& o) { o.key_lengths = true; }
};

/// The next value of the bundle is a mask of keys, (keys, batch) as a sequence or (batch, keys):
/// whole numbers where what is not 0 is not seen, or numbers that are added to the scores.
struct key_mask {
  static constexpr void apply(attention_options& o) { o.key_mask = true; }
};

/// The next value of the bundle is a mask of scores, (batch, queries, keys) or (batch, heads,
/// queries, keys), of either kind.
struct score_mask {
  static constexpr void apply(attention_options& o) { o.score_mask = true; }
};

/// The layer gives a bundle: its output, then the weights (batch, heads, queries, keys).
struct with_weights {
  static constexpr void apply(attention_options& o) { o.weights = true; }
};

/// Products without biases.
struct no_attention_bias {
  static constexpr void apply(attention_options& o) { o.bias = false; }
};

/// Zeroes a share of the attention weights in training.
template <i32 Percent>
struct attention_dropout {
  static_assert(Percent >= 0 && Percent < 100, "attention_dropout: expected 0 to 99 percent");
  static constexpr void apply(attention_options& o) { o.dropout_percent = Percent; }
};

/// Transformer layers: normalization in front of each part rather than behind its sum.
struct norm_first {
  static constexpr void apply(attention_options& o) { o.norm_first = true; }
};

/// Transformer layers: GELU (the erf form) in the feed-forward part rather than relu.
struct with_gelu {
  static constexpr void apply(attention_options& o) { o.function = kind::gelu_erf; }
};

/// Transformer layers: GELU in its tanh form, as GPT-2 has it.
struct with_gelu_tanh {
  static constexpr void apply(attention_options& o) { o.function = kind::gelu_tanh; }
};

/// Transformer layers: dropout on what each part adds and within the feed-forward part, and of the
/// attention weights, as PyTorch's one number says it.
template <i32 Percent>
struct layer_dropout {
  static_assert(Percent >= 0 && Percent < 100, "layer_dropout: expected 0 to 99 percent");
  static constexpr void apply(attention_options& o) {
    o.layer_dropout_percent = o.dropout_percent = Percent;
  }
};

/// Transformer layers: added to the variance, norm_epsilon<1, 1000000> is 1e-6.
template <i32 Numerator, i32 Denominator>
struct norm_epsilon {
  static_assert(Numerator > 0 && Denominator > 0, "norm_epsilon: expected a fraction above 0");
  static constexpr void apply(attention_options& o) {
    o.epsilon = static_cast<float>(double{Numerator} / Denominator);
  }
};

template <class O>
concept attention_option = requires(attention_options& o) {
  O::apply(o);
};

template <attention_option... Options>
constexpr attention_options read_attention_options() {
  attention_options o;
  (Options::apply(o), ...);
  return o;
}

}  // namespace tessera
