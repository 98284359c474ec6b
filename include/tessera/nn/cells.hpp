#pragma once

// Cells: one step in time of a recurrent layer.
//
// A cell is a type with a number of states, their shapes, and a step from an input and the states
// to the next states; the first state is what it puts out. Any such type runs over time as
// recurrent<my_cell>:
//
//   struct leaky {
//     static constexpr i32 states = 1;
//     static constexpr shape state(i32) { return shape(32); }
//     static constexpr bundle step(builder& b, value x, const bundle& s) {
//       return b.tanh(b.add(dense<32>::build(b, x), dense<32>::build(b, s.items[0])));
//     }
//   };
//
// The cells here have the parameters of PyTorch's modules, under their names.

#include <tessera/nn/builder.hpp>
#include <tessera/ops/recurrent.hpp>
#include <concepts>

namespace tessera {

/// A cell of the user's own.
template <class C>
concept recurrent_cell = requires(builder& b, value x, const bundle& s) {
  { C::states } -> std::convertible_to<i32>;
  { C::state(0) } -> std::convertible_to<shape>;
  { C::step(b, x, s) } -> std::convertible_to<bundle>;
};

/// A user's cell as the value that runs over time.
template <recurrent_cell Cell>
struct plain_cell {
  static constexpr const char* name = "recurrent";
  static constexpr i32 states = Cell::states;
  constexpr shape state(i32 which) const { return Cell::state(which); }
  constexpr bundle step(builder& b, value x, const bundle& s, tensor_name) const {
    return Cell::step(b, x, s);
  }
};

namespace detail {

/// Names of the four parameters of a cell: "weight_ih_l1_reverse", ...
struct cell_parts {
  static constexpr i32 max_layers = 16;
  text<24> weight_ih, weight_hh, bias_ih, bias_hh;
};

inline constexpr auto all_cell_parts = [] {
  struct {
    cell_parts of[cell_parts::max_layers][2];
  } all;
  for (i32 layer = 0; layer < cell_parts::max_layers; ++layer) {
    for (const bool reverse : {false, true}) {
      const char* const end = reverse ? "_reverse" : "";
      all.of[layer][reverse] = {
          spell_all<24>("weight_ih_l", layer, end), spell_all<24>("weight_hh_l", layer, end),
          spell_all<24>("bias_ih_l", layer, end), spell_all<24>("bias_hh_l", layer, end)};
    }
  }
  return all;
}();

}  // namespace detail

/// A cell of two products, W x + b and U h + b' with one row for each gate and unit, and the
/// equations that make the next states of them. Weights are uniform in +-1/sqrt(hidden) at first.
template <class Equations>
struct gated_cell {
  static constexpr const char* name = Equations::name;
  static constexpr i32 states = Equations::states;

  i32 hidden = 1;
  i32 layer = 0;  // its number in a module and its direction: for the names of the weights
  bool reverse = false;

  constexpr shape state(i32) const { return shape(hidden); }

  constexpr bundle step(builder& b, value x, const bundle& s, tensor_name name_of_layer) const {
    if (b.sample(x).rank != 1) {
      return b.fail({spell(name_of_layer), "rank-1 features at every point in time",
                     spell_all<64>(b.sample(x)), "put each_step<flatten> before it"});
    }
    const detail::cell_parts& parts = detail::all_cell_parts.of[layer][reverse];
    const i32 rows = Equations::gates * hidden;
    const auto weight = [&](const shape& dims, const text<24>& part) {
      return b.parameter(dims, name_of_layer, part.letters, initializer::torch_uniform, hidden,
                         rows);
    };
    const i32 w = weight(shape(rows, b.sample(x)[0]), parts.weight_ih);
    const i32 u = weight(shape(rows, hidden), parts.weight_hh);
    const i32 w_bias = weight(shape(rows), parts.bias_ih);
    const i32 u_bias = weight(shape(rows), parts.bias_hh);
    graph& g = b.network();
    const i32 zx = ops::dense(g, x.id, w, w_bias, name_of_layer);
    const i32 zh = ops::dense(g, s.items[0].id, u, u_bias, name_of_layer);
    return Equations::next(g, zx, zh, s, name_of_layer);
  }
};

/// h = tanh(zx + zh).
///
/// Source   Elman 1990
struct rnn_equations {
  static constexpr const char* name = "rnn";
  static constexpr i32 states = 1;
  static constexpr i32 gates = 1;
  static constexpr bundle next(graph& g, i32 zx, i32 zh, const bundle&, tensor_name layer) {
    return value{ops::unary(g, kind::tanh, ops::add(g, zx, zh, layer), layer)};
  }
};

/// Long short-term memory (ops/recurrent.hpp): states h and c.
///
/// Memory   4 H (in + H + 2) parameters; keeps gates and c of every step
/// Source   Hochreiter, Schmidhuber 1997; Gers et al. 2000
struct lstm_equations {
  static constexpr const char* name = "lstm";
  static constexpr i32 states = 2;
  static constexpr i32 gates = 4;
  static constexpr bundle next(graph& g, i32 zx, i32 zh, const bundle& s, tensor_name layer) {
    const auto made = ops::lstm_cell(g, ops::add(g, zx, zh, layer), s.items[1].id, layer);
    return {value{made.h}, value{made.c}};
  }
};

/// Gated recurrent unit in PyTorch's form: the reset gate multiplies U h + b'.
///
/// Memory   3 H (in + H + 2) parameters; keeps gates of every step
/// Source   Cho et al. 2014
struct gru_equations {
  static constexpr const char* name = "gru";
  static constexpr i32 states = 1;
  static constexpr i32 gates = 3;
  static constexpr bundle next(graph& g, i32 zx, i32 zh, const bundle& s, tensor_name layer) {
    return value{ops::gru_cell(g, zx, zh, s.items[0].id, layer)};
  }
};

}  // namespace tessera
