#pragma once

// Grid LSTM: blocks of LSTMs along several dimensions, and the network over time and depth as two
// loops.
//
//   grid_lstm_block<16, 2>                         h0, h1, m0, m1 -> the same after one block
//   grid_lstm<64, 3>                               sequence (time x features) -> (time x 64)
//   grid_lstm<64, 3, shared_depth, lstm_output>    the same weights in all 3 layers
//
//   for each point in time:            carries h and m along time, of all layers
//     for each layer:                  carries h and m along depth, scans those along time;
//       h, m of both = block(...)      has weights of its own, or those of all layers
//
// In a priority dimension the block sees what the others have just put out; a nonlinear dimension
// has no memory.

#include <tessera/nn/builder.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

/// What options of Grid LSTM say together.
struct grid_lstm_options {
  static constexpr i32 max_dimensions = 8;

  bool lstm_output = false;           // h = o tanh(m) instead of tanh(o m)
  i32 priority[max_dimensions] = {};  // dimensions that come last, in their order
  i32 priorities = 0;                 // how many those are
  bool nonlinear[max_dimensions] = {};
  bool shared_depth = false;
  bool states = false;

  constexpr bool has_priority(i32 dimension) const {
    for (i32 i = 0; i < priorities; ++i) {
      if (priority[i] == dimension) return true;
    }
    return false;
  }
};

/// h = o tanh(m), as in an LSTM, in the place of the paper's tanh(o m).
struct lstm_output {
  static constexpr void apply(grid_lstm_options& o) { o.lstm_output = true; }
};

/// These dimensions (from 0) come after all others, in this order, and see the h that those before
/// them have just put out.
template <i32... Dimensions>
struct priority {
  static_assert(sizeof...(Dimensions) > 0 &&
                    sizeof...(Dimensions) <= grid_lstm_options::max_dimensions,
                "priority: expected 1 to 8 dimensions");
  static constexpr void apply(grid_lstm_options& o) {
    o.priorities = 0;
    ((o.priority[o.priorities++] = Dimensions), ...);
  }
};

/// These dimensions (from 0) are h = relu(V [h0 h1 ...] + b), without memory.
template <i32... Dimensions>
struct nonlinear {
  static_assert(((Dimensions >= 0 && Dimensions < grid_lstm_options::max_dimensions) && ...),
                "nonlinear: expected dimensions from 0 to 7");
  static constexpr void apply(grid_lstm_options& o) { ((o.nonlinear[Dimensions] = true), ...); }
};

/// All layers have the same weights.
struct shared_depth {
  static constexpr void apply(grid_lstm_options& o) { o.shared_depth = true; }
};

template <class O>
concept grid_lstm_option = requires(grid_lstm_options& o) {
  O::apply(o);
};

namespace detail {

template <class... Options>
constexpr grid_lstm_options read_grid_lstm_options() {
  grid_lstm_options o;
  (Options::apply(o), ...);
  return o;
}

/// True where every dimension that options name is one of `dimensions`, once.
constexpr bool names_dimensions_of(const grid_lstm_options& o, i32 dimensions) {
  for (i32 i = 0; i < o.priorities; ++i) {
    if (o.priority[i] < 0 || o.priority[i] >= dimensions) return false;
    for (i32 k = 0; k < i; ++k) {
      if (o.priority[k] == o.priority[i]) return false;
    }
  }
  for (i32 d = dimensions; d < grid_lstm_options::max_dimensions; ++d) {
    if (o.nonlinear[d]) return false;
  }
  return true;
}

inline constexpr const char* grid_weight_parts[] = {"W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7"};
inline constexpr const char* grid_bias_parts[] = {"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"};

/// What a block reads and puts out: h and m by dimension.
struct grid_states {
  i32 h[grid_lstm_options::max_dimensions] = {};
  i32 m[grid_lstm_options::max_dimensions] = {};
};

/// Weights of a block by dimension.
struct grid_weights {
  i32 w[grid_lstm_options::max_dimensions] = {};
  i32 b[grid_lstm_options::max_dimensions] = {};

  static constexpr grid_weights make(builder& b, i32 hidden, i32 dimensions,
                                     const grid_lstm_options& o, tensor_name layer) {
    grid_weights all;
    for (i32 d = 0; d < dimensions; ++d) {
      const i32 rows = o.nonlinear[d] ? hidden : 4 * hidden;
      const i32 inputs = dimensions * hidden;
      all.w[d] = b.parameter(shape(rows, inputs), layer, grid_weight_parts[d],
                             initializer::torch_uniform, inputs, rows);
      all.b[d] = b.parameter(shape(rows), layer, grid_bias_parts[d], initializer::torch_uniform,
                             inputs, rows);
    }
    return all;
  }
};

/// One dimension of a block, which sees `h` of all: its h and m become the next ones.
constexpr void grid_dimension(graph& g, const grid_states& seen, grid_states& next, i32 d,
                              i32 dimensions, const grid_weights& weights,
                              const grid_lstm_options& o, tensor_name layer) {
  const i32 hidden = g.tensors[seen.h[0]].dims[1];
  ops::part parts[grid_lstm_options::max_dimensions];
  for (i32 i = 0; i < dimensions; ++i) parts[i].id = seen.h[i];
  const i32 all = dimensions == 1 ? seen.h[0] : ops::concat(g, parts, dimensions, 0, layer);
  const i32 z = ops::dense(g, all, weights.w[d], weights.b[d], layer);
  if (o.nonlinear[d]) {
    next.h[d] = ops::unary(g, kind::relu, z, layer);
    return;
  }
  const auto times = [&](i32 a, i32 b) { return ops::multiply(g, a, b, layer); };
  const i32 extents[] = {hidden, hidden, hidden, hidden};
  const auto rows = ops::split(g, z, extents, 4, 0, layer);  // input, forget, output, cell
  const i32 input = ops::unary(g, kind::sigmoid, rows[0], layer);
  const i32 forget = ops::unary(g, kind::sigmoid, rows[1], layer);
  const i32 output = ops::unary(g, kind::sigmoid, rows[2], layer);
  const i32 cell = ops::unary(g, kind::tanh, rows[3], layer);
  next.m[d] = ops::add(g, times(forget, seen.m[d]), times(input, cell), layer);
  next.h[d] = o.lstm_output ? times(output, ops::unary(g, kind::tanh, next.m[d], layer))
                            : ops::unary(g, kind::tanh, times(output, next.m[d]), layer);
}

/// One block: h and m of every dimension, (batch, hidden) each.
constexpr grid_states grid_block(graph& g, const grid_states& states, i32 dimensions,
                                 const grid_weights& weights, const grid_lstm_options& o,
                                 tensor_name layer) {
  grid_states next = states;
  for (i32 d = 0; d < dimensions; ++d) {
    if (!o.has_priority(d)) grid_dimension(g, states, next, d, dimensions, weights, o, layer);
  }
  grid_states seen = next;  // dimensions still to come are as they were
  for (i32 i = 0; i < o.priorities; ++i) {
    grid_dimension(g, seen, next, o.priority[i], dimensions, weights, o, layer);
    seen = next;
  }
  return next;
}

/// The layer of one block at any size. `x`: h by dimension, then m by dimension; so is what it
/// gives.
constexpr bundle build_grid_block(builder& b, const bundle& x, i32 hidden, i32 dimensions,
                                  const grid_lstm_options& o) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const tensor_name layer = b.begin_layer("grid_lstm_block");
  if (x.size != 2 * dimensions || !names_dimensions_of(o, dimensions)) {
    return b.fail({spell(layer),
                   spell_all("h and m of ", dimensions, " dimensions, and options for those only"),
                   spell_all<64>(x.size, " values"), "give h0, h1, ..., m0, m1, ..."});
  }
  grid_states states;
  for (i32 i = 0; i < x.size; ++i) {
    if (b.sample(x.items[i]) != shape(hidden)) {
      return b.fail({spell(layer), spell_all("values of ", hidden, " features each"),
                     spell_all<64>(b.sample(x.items[i])), "make states as wide as the block"});
    }
    (i < dimensions ? states.h[i] : states.m[i - dimensions]) = x.items[i].id;
  }
  const auto weights = grid_weights::make(b, hidden, dimensions, o, layer);
  const grid_states next = grid_block(g, states, dimensions, weights, o, layer);
  bundle y;
  for (i32 d = 0; d < dimensions; ++d) y.items[y.size++] = {next.h[d]};
  for (i32 d = 0; d < dimensions; ++d) y.items[y.size++] = {next.m[d]};
  return y;
}

/// All layers at one point in time: `x` (batch, features), h and m along time (depth, batch,
/// hidden). Returns y and the next h and m along time.
struct grid_column {
  i32 y = -1;
  i32 h = -1;
  i32 m = -1;
};
constexpr grid_column climb_layers(builder& b, i32 x, i32 h, i32 m, i32 hidden, i32 depth,
                                   const grid_lstm_options& o, const grid_weights& shared,
                                   tensor_name layer) {
  graph& g = b.network();
  const i32 halves[] = {hidden, hidden};
  const auto entering = ops::split(g, x, halves, 2, 0, layer);
  ops::loop_options options;
  options.trips = depth;
  options.own_weights = !o.shared_depth;
  options.stacked = b.differentiates();
  ops::loop_writer layers(g, options, layer);
  const i32 depth_h = layers.carry(entering[0]);
  const i32 depth_m = layers.carry(entering[1]);
  layers.begin();
  const grid_states seen{{layers.scan(h), layers.in(depth_h)},
                         {layers.scan(m), layers.in(depth_m)}};
  grid_weights weights = shared;
  if (!o.shared_depth) {
    const i32 around = b.begin_repeat("depth", layers.body(), 0);
    tensor_name here = layer;
    here.scope = g.scopes.size() - 1;  // the one just begun: "depth1.0."
    weights = grid_weights::make(b, hidden, 2, o, here);
    b.end_scope(around);
  }
  const grid_states next = grid_block(g, seen, 2, weights, o, layer);
  layers.next(depth_h, next.h[1]);
  layers.next(depth_m, next.m[1]);
  const i32 time_h = layers.output(next.h[0]);
  const i32 time_m = layers.output(next.m[0]);
  layers.end();
  return {layers.final(depth_h), layers.outer(time_h), layers.outer(time_m)};
}

/// The network over time and depth at any size. Returns y (time, batch, hidden), and where the
/// options say so the last h and m along time, (depth, batch, hidden).
constexpr bundle build_grid_lstm(builder& b, value x, i32 hidden, i32 depth,
                                 const grid_lstm_options& o) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const tensor t = g.tensors[x.id];
  const tensor_name layer = b.begin_layer("grid_lstm");
  if (t.stack != 1 || t.dims.rank != 3 || !names_dimensions_of(o, 2)) {
    return b.fail({spell(layer), "time x features, and options for dimensions 0 and 1",
                   spell_all<64>(b.sample(x)), "start from sequence<time, features>"});
  }
  const i32 features = t.dims[2];
  const i32 batch = t.dims[1];
  const i32 w_in = b.parameter(shape(2 * hidden, features), layer, "Win",
                               initializer::torch_uniform, features, 2 * hidden);
  const i32 b_in = b.parameter(shape(2 * hidden), layer, "bin", initializer::torch_uniform,
                               features, 2 * hidden);
  grid_weights shared;
  if (o.shared_depth) shared = grid_weights::make(b, hidden, 2, o, layer);
  ops::loop_options options;
  options.trips = t.dims[0];
  options.stacked = b.differentiates();
  ops::loop_writer time(g, options, layer);
  const i32 time_h = time.carry_of_zeros(x.id, shape(depth, batch, hidden), false, 1);
  const i32 time_m = time.carry_of_zeros(x.id, shape(depth, batch, hidden), false, 1);
  time.begin();
  const i32 entering = ops::dense(g, time.scan(x.id), w_in, b_in, layer);
  const grid_column made =
      climb_layers(b, entering, time.in(time_h), time.in(time_m), hidden, depth, o, shared, layer);
  time.next(time_h, made.h);
  time.next(time_m, made.m);
  const i32 y = time.output(made.y);
  time.end();
  bundle all = value{time.outer(y)};
  if (o.states) {
    all.items[all.size++] = {time.final(time_h)};
    all.items[all.size++] = {time.final(time_m)};
  }
  return all;
}

}  // namespace detail

/// A block of `Dimensions` LSTMs that all see the h of all dimensions, each with weights of its
/// own, rows input u, forget f, output o, cell c:
///
///   a_d = W_d [h0 h1 ...] + b_d     m_d = s(a_f) m_d + s(a_u) tanh(a_c)     h_d = tanh(s(a_o) m_d)
///
/// Shapes   x: h0, h1, ..., m0, m1, ... (batch, H) each     y: the same
///          W_d (4 H, Dimensions H), b_d (4 H); nonlinear W_d (H, Dimensions H), b_d (H)
/// Options  lstm_output, priority<...>, nonlinear<...>
/// Memory   4 Dimensions H (Dimensions H + 1) parameters; training keeps about 9 H numbers for each
///          dimension and sample
/// Errors   "grid_lstm_block1: expected h and m of 2 dimensions, and options for those only, ..."
/// Source   Kalchbrenner, Danihelka, Graves 2016
template <i32 Hidden, i32 Dimensions, grid_lstm_option... Options>
struct grid_lstm_block {
  static_assert(Hidden > 0, "grid_lstm_block: expected at least 1 unit");
  static_assert(Dimensions > 0 && Dimensions <= grid_lstm_options::max_dimensions,
                "grid_lstm_block: expected 1 to 8 dimensions");

  static constexpr bundle build(builder& b, const bundle& x) {
    return detail::build_grid_block(b, x, Hidden, Dimensions,
                                    detail::read_grid_lstm_options<Options...>());
  }
};

/// Blocks over time (dimension 0) and depth (dimension 1). h and m enter the lowest layer as the
/// two halves of Win x + bin; along time all layers start at zeros; y is the h that leaves the
/// highest.
///
/// Shapes   x (time, batch, in)   Win (2 H, in)   bin (2 H)   y (time, batch, H)
/// Options  shared_depth, and those of grid_lstm_block
/// Memory   2 H (in + 1) parameters and a block's for each layer, or one where shared
/// Errors   "grid_lstm1: expected time x features, ..."
/// Source   Kalchbrenner, Danihelka, Graves 2016
template <i32 Hidden, i32 Depth, grid_lstm_option... Options>
struct grid_lstm {
  static_assert(Hidden > 0 && Depth > 0, "grid_lstm: expected at least 1 unit and 1 layer");

  static constexpr value build(builder& b, value x) {
    const bundle y =
        detail::build_grid_lstm(b, x, Hidden, Depth, detail::read_grid_lstm_options<Options...>());
    return y.items[0];
  }
};

static_assert(layer<grid_lstm_block<4, 2, priority<1>>> && layer<grid_lstm<4, 3, shared_depth>>);

}  // namespace tessera
