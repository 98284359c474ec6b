#pragma once

// Positions: what tells a transformer where in a sequence a value stands.
//
//   learned_positions<1024>     y[t] = x[t] + weight[t]
//   sinusoidal_positions        the same with sines and cosines that are never trained

#include <tessera/nn/builder.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

namespace detail {

/// y[t][n] = x[t][n] + table[t], x (time, batch, features) or (batch, time, features), table (time,
/// features). Where the samples stand behind or before all of time and features, these are channels
/// of a bias; between the two, (time, batch, features) is a loop over time.
constexpr value add_by_time(builder& b, value x, i32 table, tensor_name layer) {
  graph& g = b.network();
  const tensor t = g.tensors[x.id];
  if (t.batch_last || t.stack == 0) {
    const i32 channels = static_cast<i32>(g.tensors[table].dims.count());
    const i32 flat = ops::view(g, x.id, shape(t.batch(), channels));
    g.tensors[flat].stack = 0;
    const i32 y = ops::bias_add(g, flat, ops::view(g, table, shape(channels)), layer);
    return {ops::view_into(g, y, t.dims, t.stack, g.body, 0, 0)};
  }
  ops::loop_options o;
  o.trips = t.dims[0];
  o.stacked = b.differentiates();
  const i32 rows =
      ops::view_into(g, ops::captured(g, table, g.body), g.tensors[table].dims, 1, g.body, 0, 0);
  ops::loop_writer loop(g, o, layer);
  loop.begin();
  const i32 in = loop.scan(x.id);
  const i32 out = loop.output(ops::bias_add(g, in, loop.scan(rows), layer));
  loop.end();
  return {loop.outer(out)};
}

/// `most` rows: 0 for as many as the sequence has.
constexpr value build_positions(builder& b, value x, i32 most, bool learned, const char* where) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const tensor& t = g.tensors[x.id];
  if (t.stack != 1 || t.dims.rank != 3 || t.type == element::int32) {
    return b.fail({where, "a sequence of features (time first)", spell_all<64>(b.sample(x)),
                   "embed tokens first"});
  }
  const i32 time = t.dims[0];
  const i32 width = t.dims[2];
  if (most > 0 && time > most) {
    return b.fail({where, spell_all("at most ", most, " points in time"), spell_all<64>(time),
                   "give it more positions"});
  }
  const i32 rows = most > 0 ? most : time;
  const tensor_name name = b.begin_layer("positions");
  i32 table = -1;
  if (learned) {  // normal with deviation 0.02, as GPT's
    table = b.parameter(shape(rows, width), name, "weight", initializer::glorot_normal, 2500, 2500);
  } else {
    b.begin_frozen();
    table = b.parameter(shape(rows, width), name, "weight", initializer::sinusoidal, width, 0);
    b.end_frozen();
  }
  if (rows > time) {
    const i32 extents[] = {time, rows - time};
    table = ops::split(g, table, extents, 2, 0, name)[0];
  }
  return add_by_time(b, x, table, name);
}

}  // namespace detail

/// Adds a learned vector for each point in time.
///
/// Shapes   x, y (time, batch, features)   weight (Rows, features), the first `time` rows are used
/// Memory   Rows x features parameters
/// Errors   a sequence longer than Rows; an input without time
/// Source   Gehring et al. 2017
template <i32 Rows>
struct learned_positions {
  static_assert(Rows > 0, "learned_positions: expected at least 1 row");
  static constexpr value build(builder& b, value x) {
    return detail::build_positions(b, x, Rows, true, "learned_positions");
  }
};

/// Adds sin(t / 10000^(2 i / features)) to feature 2 i and the cosine of the same to feature 2 i
/// + 1. The table is made when weights are drawn and lies with them, but is not trained.
///
/// Shapes   x, y (time, batch, features)
/// Errors   an input without time
/// Source   Vaswani et al. 2017
struct sinusoidal_positions {
  static constexpr value build(builder& b, value x) {
    return detail::build_positions(b, x, 0, false, "sinusoidal_positions");
  }
};

static_assert(layer<learned_positions<16>> && layer<sinusoidal_positions>);

}  // namespace tessera
