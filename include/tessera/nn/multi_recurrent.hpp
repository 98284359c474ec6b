#pragma once

// Recurrence over two dimensions: multi-dimensional long short-term memory as two loops, rows
// around columns.
//
//   mdlstm<16>                             grid (rows x columns x features) -> (rows x columns x
//   16) mdlstm<16, peepholes, directions<4>>   -> (rows x columns x 64), from all four corners
//
//   for each row:                      carries h and c of a whole row
//     for each column:                 carries h and c of a cell, scans the row above
//       h, c = cell(x, above, beside)
//
// Neither the rows nor the columns cost anything to compile: each loop has one body.

#include <tessera/nn/builder.hpp>
#include <tessera/ops/channel.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

/// What options of mdlstm say together.
struct mdlstm_options {
  bool peepholes = false;
  i32 directions = 1;
  bool cells = false;  // c of every cell is put out, too
};

/// Gates see the cells' states through weights of their own.
///
/// Source   Gers, Schraudolph, Schmidhuber 2002
struct peepholes {
  static constexpr void apply(mdlstm_options& o) { o.peepholes = true; }
};

/// Scans from one corner (the first row and column), or from all four: first row and column, first
/// row and last column, last row and first column, last row and column.
template <i32 Count>
struct directions {
  static_assert(Count == 1 || Count == 4, "directions: expected 1 or 4");
  static constexpr void apply(mdlstm_options& o) { o.directions = Count; }
};

/// Puts out a bundle: h, then c.
struct with_cells {
  static constexpr void apply(mdlstm_options& o) { o.cells = true; }
};

template <class O>
concept mdlstm_option = requires(mdlstm_options& o) {
  O::apply(o);
};

namespace detail {

/// Names of the parameters of one direction: "Wx", or "d2.Wx" where there are several.
struct mdlstm_parts {
  text<8> wx, u1, u2, b, p_i, p_f, p_o;
};

inline constexpr auto all_mdlstm_parts = [] {
  struct {
    mdlstm_parts of[5];  // the only direction, then each of four
  } all;
  for (i32 i = 0; i < 5; ++i) {
    text<8> in;
    if (i > 0) in.append('d').append(i - 1).append('.');
    const auto part = [&](const char* name) { return text<8>(in).append(name); };
    all.of[i] = {part("Wx"),  part("U1"),  part("U2"), part("b"),
                 part("p_i"), part("p_f"), part("p_o")};
  }
  return all;
}();

/// The states of a cell, or of all cells of a row or a grid.
struct mdlstm_state {
  i32 h = -1;
  i32 c = -1;
};

/// Rows of the stacked matrices: input gate, forget gates of the row above and of the column
/// beside, cell, output gate.
struct mdlstm_weights {
  static constexpr i32 gates = 5;

  i32 wx = -1, u1 = -1, u2 = -1, b = -1;
  i32 input_1 = -1, input_2 = -1, forget_1 = -1, forget_2 = -1, output = -1;  // peepholes

  static constexpr mdlstm_weights make(builder& b, i32 features, i32 hidden, bool peepholes,
                                       tensor_name layer, const mdlstm_parts& parts) {
    graph& g = b.network();
    const auto weight = [&](const shape& dims, const text<8>& part) {
      return b.parameter(dims, layer, part.letters, initializer::torch_uniform, hidden,
                         gates * hidden);
    };
    mdlstm_weights w;
    w.wx = weight(shape(gates * hidden, features), parts.wx);
    w.u1 = weight(shape(gates * hidden, hidden), parts.u1);
    w.u2 = weight(shape(gates * hidden, hidden), parts.u2);
    w.b = weight(shape(gates * hidden), parts.b);
    if (!peepholes) return w;
    const auto as_scale = [&](i32 x) { return ops::view(g, x, shape(hidden)); };
    const i32 halves[] = {1, 1};
    const auto p_i = ops::split(g, weight(shape(2, hidden), parts.p_i), halves, 2, 0, layer);
    const auto p_f = ops::split(g, weight(shape(2, hidden), parts.p_f), halves, 2, 0, layer);
    w.input_1 = as_scale(p_i[0]);
    w.input_2 = as_scale(p_i[1]);
    w.forget_1 = as_scale(p_f[0]);
    w.forget_2 = as_scale(p_f[1]);
    w.output = weight(shape(hidden), parts.p_o);
    return w;
  }
};

/// One cell: x (batch, features) and the states above and beside, (batch, hidden) each.
constexpr mdlstm_state mdlstm_cell(graph& g, i32 x, mdlstm_state above, mdlstm_state beside,
                                   const mdlstm_weights& w, tensor_name layer) {
  const auto add = [&](i32 a, i32 b) { return ops::add(g, a, b, layer); };
  const auto times = [&](i32 a, i32 b) { return ops::multiply(g, a, b, layer); };
  const auto sigmoid = [&](i32 a) { return ops::unary(g, kind::sigmoid, a, layer); };
  const auto tanh = [&](i32 a) { return ops::unary(g, kind::tanh, a, layer); };
  const auto peep = [&](i32 a, i32 c, i32 scale) {
    return scale < 0 ? a : add(a, ops::channel_scale(g, c, scale, layer));
  };
  const i32 of_x = ops::dense(g, x, w.wx, w.b, layer);
  const i32 of_above = add(of_x, ops::dense(g, above.h, w.u1, -1, layer));
  const i32 all = add(of_above, ops::dense(g, beside.h, w.u2, -1, layer));
  const i32 hidden = g.tensors[above.h].dims[1];
  const i32 extents[mdlstm_weights::gates] = {hidden, hidden, hidden, hidden, hidden};
  const auto a = ops::split(g, all, extents, mdlstm_weights::gates, 0, layer);
  const i32 input = sigmoid(peep(peep(a[0], above.c, w.input_1), beside.c, w.input_2));
  const i32 forget_1 = sigmoid(peep(a[1], above.c, w.forget_1));
  const i32 forget_2 = sigmoid(peep(a[2], beside.c, w.forget_2));
  const i32 kept = add(times(forget_1, above.c), times(forget_2, beside.c));
  const i32 c = add(times(input, tanh(a[3])), kept);
  const i32 output = sigmoid(peep(a[4], c, w.output));
  return {times(output, tanh(c)), c};
}

/// The scan from one corner. Returns h, and where `cells` c, of all cells: (rows, columns, batch,
/// hidden).
constexpr mdlstm_state scan_grid(builder& b, i32 x, i32 hidden, const mdlstm_weights& w,
                                 bool upwards, bool leftwards, bool cells, tensor_name layer) {
  graph& g = b.network();
  const shape dims = g.tensors[x].dims;
  const i32 batch = dims[2];
  ops::loop_options o;
  o.trips = dims[0];
  o.reversed = upwards;
  o.stacked = b.differentiates();
  ops::loop_writer over_rows(g, o, layer);
  const i32 row_h = over_rows.carry_of_zeros(x, shape(dims[1], batch, hidden), false, 1);
  const i32 row_c = over_rows.carry_of_zeros(x, shape(dims[1], batch, hidden), false, 1);
  over_rows.begin();
  const i32 x_row = over_rows.scan(x);

  o.trips = dims[1];
  o.reversed = leftwards;
  ops::loop_writer over_columns(g, o, layer);
  const i32 cell_h = over_columns.carry_of_zeros(x_row, shape(batch, hidden));
  const i32 cell_c = over_columns.carry_of_zeros(x_row, shape(batch, hidden));
  over_columns.begin();
  const i32 x_cell = over_columns.scan(x_row);
  const mdlstm_state above{over_columns.scan(over_rows.in(row_h)),
                           over_columns.scan(over_rows.in(row_c))};
  const mdlstm_state beside{over_columns.in(cell_h), over_columns.in(cell_c)};
  const mdlstm_state made = mdlstm_cell(g, x_cell, above, beside, w, layer);
  over_columns.next(cell_h, made.h);
  over_columns.next(cell_c, made.c);
  const i32 all_h = over_columns.output(made.h);
  const i32 all_c = over_columns.output(made.c);
  over_columns.end();

  over_rows.next(row_h, over_columns.outer(all_h));
  over_rows.next(row_c, over_columns.outer(all_c));
  const i32 put_h = over_rows.output(over_columns.outer(all_h));
  const i32 put_c = cells ? over_rows.output(over_columns.outer(all_c)) : -1;
  over_rows.end();
  return {over_rows.outer(put_h), cells ? over_rows.outer(put_c) : -1};
}

/// What several directions put out, side by side.
constexpr value beside_each_other(graph& g, const i32* x, i32 count, tensor_name layer) {
  if (count == 1) return {x[0]};
  ops::part parts[4];
  for (i32 i = 0; i < count; ++i) parts[i].id = x[i];
  return {ops::concat(g, parts, count, g.tensors[x[0]].stack, layer)};
}

/// The layer at any size. Returns h, and where the options say so c behind it.
constexpr bundle build_mdlstm(builder& b, value x, i32 hidden, const mdlstm_options& o) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  const tensor t = g.tensors[x.id];
  const tensor_name layer = b.begin_layer("mdlstm");
  if (t.stack != 2 || t.dims.rank != 4) {
    return b.fail({spell(layer), "rows x columns x features", spell_all<64>(b.sample(x)),
                   "start from grid<rows, columns, features>"});
  }
  i32 h[4] = {};
  i32 c[4] = {};
  for (i32 d = 0; d < o.directions; ++d) {
    const mdlstm_parts& parts = all_mdlstm_parts.of[o.directions == 1 ? 0 : 1 + d];
    const auto w = mdlstm_weights::make(b, t.dims[3], hidden, o.peepholes, layer, parts);
    const bool upwards = d >= 2;
    const bool leftwards = d % 2 == 1;
    const mdlstm_state s = scan_grid(b, x.id, hidden, w, upwards, leftwards, o.cells, layer);
    h[d] = s.h;
    c[d] = s.c;
  }
  bundle y = beside_each_other(g, h, o.directions, layer);
  if (o.cells) y.items[y.size++] = beside_each_other(g, c, o.directions, layer);
  return y;
}

}  // namespace detail

/// Multi-dimensional LSTM over two dimensions. With s the logistic function, states h1, c1 of the
/// row above and h2, c2 of the column beside (zeros beyond the border):
///
///   a  = Wx x + U1 h1 + U2 h2 + b      rows of a: input i, forget f1 and f2, cell g, output o
///   c  = s(a_i) tanh(a_g) + s(a_f1) c1 + s(a_f2) c2         h = s(a_o) tanh(c)
///   peepholes add p_i[0] c1 + p_i[1] c2 to a_i, p_f[0] c1 to a_f1, p_f[1] c2 to a_f2, p_o c to a_o
///
/// Shapes   x (rows, columns, batch, in)   Wx (5 H, in)   U1, U2 (5 H, H)   b (5 H)
///          p_i, p_f (2, H)   p_o (H)   y (rows, columns, batch, H), or 4 H from four corners
/// Options  peepholes, directions<1 or 4>, with_cells
/// Memory   5 H (in + 2 H + 1) parameters a direction, 5 H more with peepholes; training keeps
///          about 11 H numbers for each cell and sample
/// Errors   "mdlstm1: expected rows x columns x features, got ..."
/// Source   Graves, Fernandez, Schmidhuber 2007
template <i32 Hidden, mdlstm_option... Options>
struct mdlstm {
  static_assert(Hidden > 0, "mdlstm: expected at least 1 unit");
  static constexpr mdlstm_options options = [] {
    mdlstm_options o;
    (Options::apply(o), ...);
    return o;
  }();
  using output = std::conditional_t<options.cells, bundle, value>;

  static constexpr output build(builder& b, value x) {
    const bundle y = detail::build_mdlstm(b, x, Hidden, options);
    if constexpr (options.cells) {
      return y;
    } else {
      return y.items[0];
    }
  }
};

static_assert(layer<mdlstm<4>> && layer<mdlstm<4, peepholes, directions<4>, with_cells>>);

}  // namespace tessera
