#pragma once

// Columns of whole numbers, each through a layer of its own: the categories of a table.
//
//   by_column<embedding<9, 4>, embedding<16, 8>>       codes (2) -> 4 + 8 features
//
// The columns are a stack, so that each of them is a view: taking them apart moves no byte.

#include <tessera/nn/branches.hpp>
#include <tessera/nn/input.hpp>
#include <tessera/ops/views.hpp>

namespace tessera {

/// `Columns` whole numbers a sample, such as the codes of a table's columns of categories. The same
/// input as tokens<Columns>; columns stand in the place of time.
template <i32 Columns>
struct codes : tokens<Columns> {};

/// What layer k makes of column k, all side by side along features.
///
/// Shapes   x (columns, batch)   layers (batch) -> (batch, features k)   y (batch, their sum)
/// Errors   an input that is no stack of as many columns as there are layers; layers that do not
///          agree in all but features
/// Source   Guo, Berkhahn 2016, Entity Embeddings of Categorical Variables
template <layer... Layers>
struct by_column {
  static_assert(sizeof...(Layers) > 0, "by_column: expected at least 1 layer");

  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    graph& g = b.network();
    constexpr i32 count = sizeof...(Layers);
    const tensor t = g.tensors[x.id];
    if (t.stack < 1 || t.dims[0] != count) {
      return b.fail({"by_column", spell_all(count, count == 1 ? " column" : " columns"),
                     spell_all<64>(t.sample()), "start from codes<...>, a layer for each column"});
    }
    const shape dims = t.dims.sample();
    bundle part;   // up to 8 columns
    bundle whole;  // what is joined of them
    i32 column = 0;
    const auto append = [&](const bundle& y) {
      detail::collect(b, part, y, "by_column");
      if (part.size < most && column < count) return;
      detail::collect(b, whole, b.concat(part, -1, "by_column"), "by_column");
      part = {};
    };
    (append(feed<Layers>(
         b, value{ops::view_into(g, x.id, dims, t.stack - 1, g.body, column++ * dims.count(), 0)})),
     ...);
    return whole.size == 1 ? whole.items[0] : b.concat(whole, -1, "by_column");
  }

 private:
  static constexpr i32 most = move_sizes::max_parts;  // of a concat
  static_assert(sizeof...(Layers) <= most * most, "by_column: expected at most 64 layers");
};

static_assert(input_shape<codes<8>> && layer<by_column<chain<>>>);

}  // namespace tessera
