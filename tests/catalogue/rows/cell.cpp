// Rows of the table: recurrent cells, and the choice by a sample's length.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

/// One LSTM cell, or some in a row; the result is h + c, or one of them.
i32 build_lstm(graph& g, i32 n, bool last, i32 units, bool with_h = true, bool with_c = true,
               i32 steps = 1) {
  ops::lstm_outputs state{-1, input(g, shape(n, units), last)};
  for (i32 t = 0; t < steps; ++t) {
    state = ops::lstm_cell(g, input(g, shape(n, 4 * units), last), state.c, layer);
  }
  if (!with_h || !with_c) return with_h ? state.h : state.c;
  return ops::add(g, state.h, state.c, layer);
}

i32 build_gru(graph& g, i32 n, bool last, i32 units, i32 steps = 1) {
  i32 h = input(g, shape(n, units), last);
  for (i32 t = 0; t < steps; ++t) {
    const i32 zx = input(g, shape(n, 3 * units), last);
    h = ops::gru_cell(g, zx, input(g, shape(n, 3 * units), last), h, layer);
  }
  return h;
}

i32 build_select(graph& g, i32 n, bool last, bool with_a, bool with_b) {
  const i32 lengths = add_tensor(g, shape(n), {.type = element::int32, .batch_last = last});
  const i32 a = with_a ? input(g, shape(n, 3, 7), last) : -1;
  const i32 b = with_b ? input(g, shape(n, 3, 7), last) : -1;
  return ops::select_by_length(g, lengths, a, b, layer);
}

}  // namespace

std::vector<row> cell_rows() {
  return {
      {"lstm_cell of 1", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 1); }},
      {"lstm_cell of 19", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 19); }},
      {"lstm_cell of 300", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 300); }},
      {"lstm_cell, h alone", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 5, true, false); }},
      {"lstm_cell, c alone", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 5, false, true); }},
      {"lstm_cell, two steps", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_lstm(g, n, last, 5, true, true, 2); }},
      {"gru_cell of 1", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gru(g, n, last, 1); }},
      {"gru_cell of 19", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gru(g, n, last, 19); }},
      {"gru_cell of 300", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gru(g, n, last, 300); }},
      {"gru_cell, two steps", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gru(g, n, last, 5, 2); }},
      {"gru_cell of one tensor in all places", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 5), last);
         const i32 z = ops::dense(g, x, add_weight(g, shape(15, 5)), -1, layer);
         return ops::gru_cell(g, z, z, x, layer);
       }},
      {"select_by_length", agreement::exact,
       [](graph& g, i32 n, bool last) { return build_select(g, n, last, true, true); }},
      {"select_by_length, or zeros", agreement::exact,
       [](graph& g, i32 n, bool last) { return build_select(g, n, last, true, false); }},
      {"select_by_length, zeros or", agreement::exact,
       [](graph& g, i32 n, bool last) { return build_select(g, n, last, false, true); }},
  };
}

}  // namespace tessera::testing
