#pragma once

// The embedding layer: learned vectors in the place of whole numbers.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

/// The row of this index gets no gradient, as PyTorch's padding_idx: it stays as it was drawn or
/// loaded, but for weight decay. An index outside the table is zeros and needs no row at all.
template <i32 Index>
struct padding_index {
  static_assert(Index >= 0, "padding_index: expected the number of a row");
  static constexpr void apply(layer_options& o) { o.padding_index = Index; }
};

/// y[i] = weight[x[i]]: row x[i] of a table, for every whole number of the input.
///
/// Shapes   x (batch), (time, batch) or (batch, positions) of i32   weight (Rows, Width)
///          y x's shape with Width behind it
/// Options  padding_index<row>, initialized_by (default: normal with deviation 1)
/// Memory   Rows x Width parameters; keeps x for the backward pass
/// Errors   "embedding<65, 16>: expected whole numbers, got 100 of f32; start from tokens<...>"
/// Source   Bengio et al. 2003, A Neural Probabilistic Language Model
template <i32 Rows, i32 Width, layer_option... Options>
struct embedding {
  static_assert(Rows > 0 && Width > 0, "embedding: expected at least 1 row and 1 column");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    constexpr layer_options o = read_options<Options...>(1, 1);
    static_assert(o.padding_index < Rows, "embedding: expected a padding index within the table");
    graph& g = b.network();
    const tensor& indices = g.tensors[x.id];
    if (indices.type != element::int32 || indices.dims.rank == shape::max_rank) {
      return b.fail({spell_all<64>("embedding<", Rows, ", ", Width, ">"), "whole numbers",
                     spell_all<64>(indices.sample(), " of ", name_of(indices.type)),
                     "start from tokens<...>"});
    }
    const tensor_name name = b.begin_layer("embedding");
    // Glorot's variance is 2 / (fan_in + fan_out): 1 for fans of 1.
    const initializer init = o.init_given ? o.init : initializer::glorot_normal;
    const i32 weight = b.parameter(shape(Rows, Width), name, "weight", init,
                                   o.init_given ? Width : 1, o.init_given ? Rows : 1);
    return {ops::embedding(g, x.id, weight, o.padding_index, name)};
  }
};

static_assert(layer<embedding<65, 16>>);

}  // namespace tessera
