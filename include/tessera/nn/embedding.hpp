#pragma once

// The embedding layer: learned vectors in the place of whole numbers.

#include <tessera/nn/builder.hpp>
#include <tessera/nn/options.hpp>

namespace tessera {

/// A row that does not occur in a batch stands still: momentum, moments and weight decay too, as in
/// PyTorch's SparseAdam. A step then takes time by the batch, not by the table, and no gradient of
/// the table exists. Adam's t counts the table's updates. Plain SGD does so anyway: there the
/// result is the dense one bit for bit. Where something else reads the table's gradient too
/// (weights in common, clipping), and for optimizers other than SGD and Adam, the update is dense.
struct sparse {
  static constexpr void apply(layer_options& o) { o.sparse = true; }
};

/// The row of this index gets no gradient, as PyTorch's padding_idx: it stays as it was drawn or
/// loaded, but for weight decay. An index outside the table is zeros and needs no row at all.
template <i32 Index>
struct padding_index {
  static_assert(Index >= 0, "padding_index: expected the number of a row");
  static constexpr void apply(layer_options& o) { o.padding_index = Index; }
};

namespace detail {

constexpr value refuse_table(builder& b, const char* layer_name, i32 rows, i32 width) {
  return b.fail({spell_all<64>(layer_name, "<", rows, ", ", width, ">"),
                 "a table of at least 1 row and 1 column", spell_all<64>(rows, " x ", width),
                 "count the different numbers of the input"});
}

}  // namespace detail

/// y[i] = weight[x[i]]: row x[i] of a table, for every whole number of the input.
///
/// Shapes   x (batch), (time, batch) or (batch, positions) of i32   weight (Rows, Width)
///          y x's shape with Width behind it
/// Options  padding_index<row>, sparse, initialized_by (default: normal with deviation 1)
/// Memory   Rows x Width parameters; keeps x for the backward pass; with SGD or sparse no gradient
///          of the table, but 4 bytes for each index
/// Values   an index outside 0 .. Rows - 1 gives zeros and no gradient, whatever it is
/// Errors   "embedding<65, 16>: expected whole numbers, got 100 of f32; start from tokens<...>"
///          "embedding<0, 16>: expected a table of at least 1 row and 1 column, got 0 x 16; ..."
/// Source   Bengio et al. 2003, A Neural Probabilistic Language Model
template <i32 Rows, i32 Width, layer_option... Options>
struct embedding {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    if (Rows < 1 || Width < 1) return detail::refuse_table(b, "embedding", Rows, Width);
    constexpr layer_options o = read_options<Options...>(1, 1);
    static_assert(o.padding_index < Rows || Rows < 1,
                  "embedding: expected a padding index within the table");
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
    return {ops::embedding(g, x.id, weight, o.padding_index, name, o.sparse)};
  }
};

/// The rows that a bag of whole numbers names, as one row: their sum, mean, or largest values.
///
/// Shapes   x (batch, positions) or (time, batch) of i32, a bag for each sample
///          with mode sum also a bundle of x and weights of its shape: sums of weighted rows
///          weight (Rows, Width)   y (batch, Width)
/// Options  padding_index<row>, sparse, initialized_by (default: normal with deviation 1)
/// Values   an index outside the table and the padding index are not in their bag: bags shorter
///          than others are filled up with either. A bag without any gives zeros. Of equal largest
///          values the first one's row gets the gradient. Sums are f32, position by position
/// Memory   Rows x Width parameters; keeps x (and weights), with mode max one i32 an output; with
///          SGD or sparse no gradient of the table, but 8 bytes for each index and 4 a bag
/// Errors   no whole numbers, weights with mean or max, weights of another shape
/// Source   Joulin et al. 2017, Bag of Tricks for Efficient Text Classification
template <i32 Rows, i32 Width, bag_mode Mode = bag_mode::mean, layer_option... Options>
struct embedding_bag {
  static constexpr value build(builder& b, const bundle& in) {
    if (!b.usable(in)) return {};
    if (Rows < 1 || Width < 1) return detail::refuse_table(b, "embedding_bag", Rows, Width);
    constexpr layer_options o = read_options<Options...>(1, 1);
    static_assert(o.padding_index < Rows || Rows < 1,
                  "embedding_bag: expected a padding index within the table");
    const text<64> where = spell_all<64>("embedding_bag<", Rows, ", ", Width, ">");
    graph& g = b.network();
    const bool weighted = in.size == 2;
    if (in.size < 1 || in.size > 2 || (weighted && Mode != bag_mode::sum)) {
      return b.fail(
          {where,
           Mode == bag_mode::sum ? "bags of indices, with or without weights" : "bags of indices",
           spell_all<64>(in.size, in.size == 1 ? " value" : " values"),
           "weights go with bag_mode::sum"});
    }
    const value x = in.items[0];
    const tensor indices = g.tensors[x.id];
    if (indices.type != element::int32 || indices.dims.rank != 2 || indices.stack > 1) {
      return b.fail({where, "bags of whole numbers, one bag a sample",
                     spell_all<64>(b.sample(x), " of ", name_of(indices.type)),
                     "start from tokens<positions>"});
    }
    if (weighted && (g.tensors[in.items[1].id].dims != indices.dims ||
                     g.tensors[in.items[1].id].type == element::int32)) {
      return b.fail({where, "a weight for each index",
                     spell_all<64>(b.sample(in.items[1]), " for ", b.sample(x)),
                     "give both the same shape: tokens<8> with sequence<8>"});
    }
    const tensor_name name = b.begin_layer("embedding_bag");
    const initializer init = o.init_given ? o.init : initializer::glorot_normal;
    const i32 weight = b.parameter(shape(Rows, Width), name, "weight", init,
                                   o.init_given ? Width : 1, o.init_given ? Rows : 1);
    return {ops::embedding_bag(g, x.id, weight, weighted ? in.items[1].id : -1, -1, Mode,
                               o.padding_index, name, o.sparse)};
  }
};

static_assert(layer<embedding<65, 16>> && layer<embedding_bag<65, 16, bag_mode::max>>);

}  // namespace tessera
