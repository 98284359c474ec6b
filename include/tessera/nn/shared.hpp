#pragma once

// Weights in common, and weights that stay as they are.
//
//   shared<"tag", Layers...>   wherever the tag stands, the same weights
//   tied_dense<"tag">          a dense layer on the table of a shared embedding
//   frozen<Layers...>          weights that training leaves alone
//
// What is shared is made where it stands first; gradients of all places are added up.

#include <tessera/nn/chain.hpp>
#include <tessera/nn/options.hpp>
#include <tessera/nn/rows.hpp>

namespace tessera {

/// Layers whose weights are those of all other layers shared under the same tag.
///
///   chain<parallel<shared<"eye", conv<8, 5>>, shared<"eye", conv<8, 5>>>, join_concat>
///
/// Errors   layers under one tag whose weights differ in number or shape, with both shapes
template <text Tag, layer... Layers>
struct shared {
  static constexpr auto build(builder& b, const bundle& x) {
    const auto around = b.begin_shared(Tag.letters);
    const auto y = chain<Layers...>::build(b, x);
    b.end_shared(around);
    return y;
  }
};

/// y = x t^T + b, with t the first weight of what is shared under the tag: the table of an
/// embedding, one row of it for each output.
///
///   network<sequence<64, ...>, shared<"words", embedding<5000, 128>>, ..., tied_dense<"words">>
///
/// Shapes   x (batch, features)   t (rows, features)   bias (rows)   y (batch, rows)
///          x (time, batch, features)   y (time, batch, rows)
/// Options  no_bias
/// Errors   no such tag before it; rank; features that differ
/// Source   Press, Wolf 2017
template <text Tag, layer_option... Options>
struct tied_dense {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    const text<64> where = spell_all<64>("tied_dense<", Tag, ">");
    const i32 table = b.shared_weight(Tag.letters, 0);
    if (table < 0) {
      return b.fail({where, "weights shared under this tag", "none so far",
                     "put shared<tag, embedding<...>> before it"});
    }
    graph& g = b.network();
    const shape in = b.sample(x);
    const i32 stack = g.tensors[x.id].stack;
    const shape rows = g.tensors[table].dims;
    if (in.rank != stack + 1 || rows.rank != 2 || rows[1] != in[stack]) {
      return b.fail({where, "an input of one feature for each column of the weights",
                     spell_all<64>(in, " for ", rows), "put dense<columns> before it"});
    }
    const layer_options o = read_options<Options...>(1, 1);
    const tensor_name name = b.begin_layer("tied_dense");
    i32 bias = -1;
    if (o.bias) {
      bias = b.parameter(shape(rows[0]), name, "bias", initializer::zeros, in[stack], rows[0]);
    }
    return detail::dense_rows(b, x, table, bias, name);
  }
};

/// Layers whose weights training leaves as they are: no gradient is computed for them, and none
/// goes back beyond the first layer that is trained. They behave as in inference: dropout drops
/// nothing, normalization takes its running statistics.
template <layer... Layers>
struct frozen {
  static constexpr auto build(builder& b, const bundle& x) {
    b.begin_frozen();
    const auto y = chain<Layers...>::build(b, x);
    b.end_frozen();
    return y;
  }
};

}  // namespace tessera
