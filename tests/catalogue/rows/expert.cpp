// Rows of the table: mixtures of experts. The way of tokens to their experts and back.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

routing_attributes route_of(i32 experts, i32 k, i32 tokens, i32 capacity) {
  routing_attributes r;
  r.experts = experts;
  r.k = k;
  r.tokens = tokens;
  r.capacity = capacity;
  r.samples = tokens;
  return r;
}

outputs build_gates(graph& g, i32 n, bool last, i32 experts, i32 k) {
  const auto made =
      ops::top_k_gates(g, input(g, shape(n, experts), last), route_of(experts, k, n, n), layer);
  return {made.gates, made.chosen};
}

outputs build_load(graph& g, i32 n, bool last, i32 experts, i32 k) {
  const i32 clean = input(g, shape(n, experts), last);
  const i32 spread = input(g, shape(n, experts), last);
  const i32 h = input(g, shape(n, experts), last);
  return ops::gate_load(g, clean, spread, h, route_of(experts, k, n, n), layer);
}

/// Tokens of x to experts that square the rows they get, and back, with gates from outside.
outputs build_way(graph& g, const shape& x_dims, bool last, i32 stack, i32 experts, i32 k,
                  i32 capacity) {
  const i32 x = input(g, x_dims, last);
  g.tensors[x].stack = stack;
  const i32 tokens = ops::tokens_of(g.tensors[x]);
  const routing_attributes r =
      ops::route_over(g.tensors[x], route_of(experts, k, tokens, capacity));
  const i32 h = input(g, shape(tokens, experts), last && ops::batch_goes_last(tokens));
  const auto made = ops::top_k_gates(g, h, r, layer);
  const auto to = ops::route_tokens(g, made.chosen, r, layer);
  const i32 rows = ops::gather_tokens(g, x, to, r, layer);
  const i32 squares = ops::multiply(g, rows, rows, layer);
  return {ops::combine_experts(g, squares, made.gates, to, x, r, layer), to.slots, to.places,
          ops::unary(g, kind::tanh, ops::as_tokens(g, x, layer), layer)};
}

}  // namespace

std::vector<row> expert_rows() {
  return {
      {"gate_noise", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 clean = input(g, shape(n, 7), last);
         const i32 spread = input(g, shape(n, 7), last);
         const i32 noise = add_tensor(g, shape(n, 7), {.batch_last = last});
         return ops::gate_noise(g, clean, spread, noise, route_of(7, 2, n, n), layer);
       }},
      {"top_k_gates, 1 of 5", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 5, 1); }},
      {"top_k_gates, 3 of 70", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 70, 3); }},
      {"top_k_gates, all", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_gates(g, n, last, 4, 4); }},
      {"gate_load, 1 of 6", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_load(g, n, last, 6, 1); }},
      {"gate_load, 3 of 33", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_load(g, n, last, 33, 3); }},
      {"gate_load, all", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_load(g, n, last, 3, 3); }},
      {"balance_loss", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 p = ops::unary(g, kind::sigmoid, input(g, shape(n, 9), last), layer);
         const auto made = ops::balance_loss(g, p, 0.3f, route_of(9, 2, n, n), layer);
         return outputs{made.loss, made.sums};
       }},
      {"experts, no token dropped", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_way(g, shape(n, 11), last, 0, 5, 2, n); }},
      {"experts with too few slots", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return build_way(g, shape(n, 40), last, 0, 3, 2, n > 16 ? 16 : 1);
       }},
      {"experts of rows", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_way(g, shape(n, 3, 17), last, 0, 4, 2, n); }},
      {"experts over time", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_way(g, shape(2, n, 9), last, 1, 4, 1, n); }},
  };
}

}  // namespace tessera::testing
