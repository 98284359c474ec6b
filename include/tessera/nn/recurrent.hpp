#pragma once

// Recurrent layers: a cell, run over time by a loop in the graph.
//
//   lstm<128>                                      sequence (time x features) -> (time x 128)
//   lstm<128, layers<2>, both_directions>          -> (time x 256)
//   gru<64, last_output>                           -> (64)
//   recurrent<my_cell, truncate<16>>               a cell of the user's own
//
// The number of steps costs nothing to compile: the loop has one body. A bundle may bring initial
// states behind the sequence (h of all layers and directions, then c), and lengths at the end.

#include <tessera/nn/cells.hpp>
#include <tessera/nn/chain.hpp>
#include <tessera/nn/recurrent_options.hpp>
#include <tessera/ops/loop.hpp>
#include <tessera/ops/move.hpp>

namespace tessera {

namespace detail {

/// One layer in one direction.
struct recurrence {
  value sequence;  // all outputs, where asked for
  bundle finals;
};

/// What a direction of a layer is run on.
struct recurrent_input {
  value x;        // (time, batch, features)
  bundle init;    // first states; none: zeros, or what the last step left
  value lengths;  // none: all sequences are of full length
  bool reversed = false;
  bool wants_sequence = true;
  tensor_name layer;
};

/// The loop over time. `init` holds as many values as the cell has states. `detached`: no gradient
/// goes from trip to trip; `pieces` > 1: each trip is itself a loop over a piece of the sequence.
template <class Cell>
constexpr recurrence run_over_time(builder& b, const Cell& cell, const recurrent_input& in,
                                   i32 pieces) {
  graph& g = b.network();
  const shape dims = g.tensors[in.x.id].dims;
  i32 x = in.x.id;
  if (pieces > 1) {  // (time, ...) seen as (pieces, steps, ...)
    shape cut = dims.batch_of(pieces);
    cut[1] = dims[0] / pieces;
    x = ops::view_into(g, x, cut, g.tensors[x].stack + 1, g.body, 0, 0);
  }
  ops::loop_options o;
  o.trips = pieces > 1 ? pieces : dims[0];
  o.reversed = in.reversed;
  o.stacked = b.differentiates();
  ops::loop_writer loop(g, o, in.layer);
  i32 carries[bundle::capacity] = {};
  for (i32 s = 0; s < Cell::states; ++s) {
    carries[s] = in.init.items[s].valid()
                     ? loop.carry(in.init.items[s].id, pieces > 1)
                     : loop.carry_of_zeros(x, cell.state(s).batch_of(g.batch), pieces > 1);
  }
  loop.begin();
  const value x_now{loop.scan(x)};
  bundle states;
  for (i32 s = 0; s < Cell::states; ++s) states.items[states.size++] = {loop.in(carries[s])};
  bundle next;
  i32 put_out = -1;
  if (pieces > 1) {
    recurrent_input piece = in;
    piece.x = x_now;
    piece.init = states;
    const recurrence inner = run_over_time(b, cell, piece, 1);
    next = inner.finals;
    put_out = inner.sequence.id;
  } else {
    next = cell.step(b, x_now, states, in.layer);
    if (!b.usable(next)) return {};
    put_out = next.items[0].id;
    if (in.lengths.valid()) {
      put_out = ops::select_by_length(g, in.lengths.id, put_out, -1, in.layer);
      for (i32 s = 0; s < Cell::states; ++s) {
        next.items[s].id =
            ops::select_by_length(g, in.lengths.id, next.items[s].id, states.items[s].id, in.layer);
      }
    }
  }
  for (i32 s = 0; s < Cell::states; ++s) loop.next(carries[s], next.items[s].id);
  const i32 outputs = in.wants_sequence ? loop.output(put_out) : -1;
  loop.end();
  recurrence result;
  for (i32 s = 0; s < Cell::states; ++s) {
    result.finals.items[result.finals.size++] = {loop.final(carries[s])};
  }
  if (outputs >= 0) {
    i32 y = loop.outer(outputs);
    if (pieces > 1) {  // (pieces, steps, ...) back as (time, ...)
      shape whole = g.tensors[y].dims.sample();
      whole[0] = dims[0];
      y = ops::view_into(g, y, whole, g.tensors[y].stack - 1, g.body, 0, 0);
    }
    result.sequence = {y};
  }
  return result;
}

/// A state that outlives the step: what the last step has left.
constexpr value last_state(builder& b, value x, const shape& dims, tensor_name layer) {
  graph& g = b.network();
  tensor t = g.tensors[x.id];
  t.dims = dims.batch_of(g.batch);
  t.type = element::f32;
  t.stack = 0;
  t.what = role::state;
  t.differentiable = false;
  t.of = -1;
  t.base = t.step = 0;
  t.name = {layer.layer, layer.ordinal, "last_state", "", layer.scope};
  return {ops::append_lasting(g, t)};
}

/// One layer in one direction, with what the options ask of it.
template <class Cell>
constexpr recurrence run_direction(builder& b, const Cell& cell, recurrent_input in,
                                   const recurrent_options& o) {
  graph& g = b.network();
  const i32 time = g.tensors[in.x.id].dims[0];
  i32 pieces = 1;
  if (o.truncate > 0 && o.truncate < time) {
    if (time % o.truncate != 0) {
      b.fail({spell(in.layer), spell_all("a sequence that truncate<", o.truncate, "> divides"),
              spell_all<64>(time, " steps"), "choose a length of pieces that divides it"});
      return {};
    }
    pieces = time / o.truncate;
  }
  bundle kept;
  if (o.stateful && in.init.size == 0) {
    for (i32 s = 0; s < Cell::states; ++s) {
      kept.items[kept.size++] = last_state(b, in.x, cell.state(s), in.layer);
    }
    in.init = kept;
  }
  const recurrence result = run_over_time(b, cell, in, pieces);
  if (!b.usable(result.finals)) return {};
  for (i32 s = 0; s < kept.size; ++s) {
    ops::append_copy(g, result.finals.items[s].id, kept.items[s].id, in.layer);
  }
  return result;
}

/// True where the values of a bundle are what a module of so many layers and directions takes, and
/// what it puts out goes into one.
constexpr bool check_recurrent(builder& b, const bundle& x, const recurrent_options& o, i32 states,
                               i32 rows, tensor_name layer) {
  const i32 given = x.size - 1 - (o.masked ? 1 : 0);
  if (b.network().tensors[x.items[0].id].stack < 1) {
    b.fail({spell(layer), "a sequence (time first)", spell_all<64>(b.sample(x.items[0])),
            "start from sequence<time, features>"});
  } else if (given != 0 && given != states * rows) {
    b.fail(
        {spell(layer),
         spell_all("a sequence, ", states * rows, " states or none", o.masked ? ", lengths" : ""),
         spell_all<64>(x.size, " values"), "give all initial states or none"});
  } else if (o.states && 1 + states * rows > bundle::capacity) {
    b.fail({spell(layer), spell_all("at most ", bundle::capacity, " values out"),
            spell_all<64>(1 + states * rows), "use a layer for each level"});
  }
  return b.usable(x);
}

/// A module of one or more layers. `cell_of(layer, reverse)` gives the cells. Returns the output
/// and, with_states, the final states behind it.
template <class CellOf>
constexpr bundle build_recurrent(builder& b, const bundle& x, const recurrent_options& o,
                                 const CellOf& cell_of) {
  using cell = decltype(cell_of(0, false));
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const i32 directions = (o.forwards ? 1 : 0) + (o.backwards ? 1 : 0);
  const i32 rows = o.layers * directions;
  const tensor_name name = b.begin_layer(cell::name);
  if (!check_recurrent(b, x, o, cell::states, rows, name)) return {};
  const auto place = [&](i32 state, i32 row) { return 1 + state * rows + row; };
  const bool has_states = x.size > (o.masked ? 2 : 1);

  bundle out = x.items[0];
  recurrent_input in;
  in.layer = name;
  if (o.masked) in.lengths = x.items[x.size - 1];
  for (i32 layer = 0; layer < o.layers; ++layer) {
    in.x = out.items[0];
    in.wants_sequence = layer + 1 < o.layers || !o.last;
    value y[2];
    for (i32 d = 0; d < directions; ++d) {
      const i32 row = layer * directions + d;
      in.reversed = d == 1 || !o.forwards;
      in.init = {};
      for (i32 s = 0; has_states && s < cell::states; ++s) {
        in.init.items[in.init.size++] = x.items[place(s, row)];
      }
      // What only runs backwards has the names of what runs forwards.
      const recurrence made = run_direction(b, cell_of(layer, d == 1), in, o);
      if (!b.usable(made.finals)) return {};
      y[d] = in.wants_sequence ? made.sequence : made.finals.items[0];
      for (i32 s = 0; o.states && s < cell::states; ++s) {
        out.items[place(s, row)] = made.finals.items[s];
      }
    }
    out.items[0] = y[0];
    if (directions == 2) {
      const ops::part parts[] = {{y[0].id}, {y[1].id}};
      out.items[0] = {ops::concat(g, parts, 2, g.tensors[y[0].id].stack, name)};
    }
  }
  if (o.states) out.size = 1 + cell::states * rows;
  return out;
}

/// A value, or with_states a bundle.
template <class CellOf, recurrent_option... Options>
struct recurrent_module {
  static constexpr recurrent_options options = read_recurrent_options<Options...>();
  static_assert(options.layers <= cell_parts::max_layers, "recurrent layers: at most 16 layers");
  using output = std::conditional_t<options.states, bundle, value>;

  static constexpr output build(builder& b, const bundle& x) {
    const bundle y = build_recurrent(b, x, options, CellOf{});
    if constexpr (options.states) {
      return y;
    } else {
      return y.items[0];
    }
  }
};

template <class Cell>
struct same_cell {
  constexpr plain_cell<Cell> operator()(i32, bool) const { return {}; }
};

template <class Equations, i32 Hidden>
struct gated_cells {
  constexpr gated_cell<Equations> operator()(i32 layer, bool reverse) const {
    return {Hidden, layer, reverse};
  }
};

}  // namespace detail

/// A cell of any kind, one layer in one direction. Options: reversed, last_output, with_states,
/// masked, stateful, truncate.
///
/// Shapes   x (time, batch, features...)   y (time, batch, state...), or (batch, state...)
/// Errors   an input without time, states that do not fit, truncate that does not divide the time
template <recurrent_cell Cell, recurrent_option... Options>
struct recurrent : detail::recurrent_module<detail::same_cell<Cell>, Options...> {
  static_assert(read_recurrent_options<Options...>().layers == 1 &&
                    !(read_recurrent_options<Options...>().forwards &&
                      read_recurrent_options<Options...>().backwards),
                "recurrent: one layer in one direction; put several in a chain or concat");
};

/// Layers of cells with gates: `Options` may ask for several on top of each other, in both
/// directions.
template <class Equations, i32 Hidden, recurrent_option... Options>
struct recurrent_layers
    : detail::recurrent_module<detail::gated_cells<Equations, Hidden>, Options...> {
  static_assert(Hidden > 0, "recurrent layers: expected at least 1 unit");

  template <recurrent_option... More>
  using with = recurrent_layers<Equations, Hidden, Options..., More...>;
};

/// Simple recurrence h = tanh(W x + b + U h + b'), as PyTorch's RNN: rnn<64, layers<2>>.
template <i32 Hidden, recurrent_option... Options>
using rnn = recurrent_layers<rnn_equations, Hidden, Options...>;

/// Long short-term memory, as PyTorch's LSTM.
template <i32 Hidden, recurrent_option... Options>
using lstm = recurrent_layers<lstm_equations, Hidden, Options...>;

/// Gated recurrent units, as PyTorch's GRU.
template <i32 Hidden, recurrent_option... Options>
using gru = recurrent_layers<gru_equations, Hidden, Options...>;

/// A recurrent layer in both directions: bidirectional<lstm<128>>.
template <class Layer>
using bidirectional = typename Layer::template with<both_directions>;

static_assert(layer<rnn<4>> && layer<lstm<4, layers<2>>> && layer<bidirectional<gru<4>>>);

/// The layers inside at every point in time, with the same weights: each_step<dense<65>>.
///
/// Shapes   x (time, batch, ...)   y (time, batch, what the layers give)
template <layer... Layers>
struct each_step {
  static constexpr value build(builder& b, value x) {
    if (!b.usable(x)) return {};
    graph& g = b.network();
    if (g.tensors[x.id].stack < 1) {
      return b.fail({"each_step", "a sequence (time first)", spell_all<64>(b.sample(x)),
                     "start from sequence<time, features>"});
    }
    ops::loop_options o;
    o.trips = g.tensors[x.id].dims[0];
    o.stacked = b.differentiates();
    ops::loop_writer loop(g, o, {"each_step"});
    loop.begin();
    const value y = chain<Layers...>::build(b, value{loop.scan(x.id)});
    if (!b.usable(y)) return {};
    const i32 out = loop.output(y.id);
    loop.end();
    return {loop.outer(out)};
  }
};

}  // namespace tessera
