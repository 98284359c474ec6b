// Gradients of mixtures of experts: gates, thresholds, balancing losses, rows that are dropped.

#include <gradients/checked_case.hpp>

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

i32 build_load(graph& g, bool last, i32 experts, i32 k) {
  const i32 clean = input(g, shape(3, experts), last);
  const i32 spread = input(g, shape(3, experts), last);
  const i32 h = input(g, shape(3, experts), last);
  return ops::gate_load(g, clean, spread, h, route_of(experts, k, 3, 3), layer);
}

/// Tokens of x to experts that square the rows they get, and back.
i32 build_way(graph& g, bool last, const shape& x_dims, i32 stack, i32 k, i32 capacity) {
  const i32 x = input(g, x_dims, last);
  g.tensors[x].stack = stack;
  const i32 tokens = ops::tokens_of(g.tensors[x]);
  const auto r = ops::route_over(g.tensors[x], route_of(4, k, tokens, capacity));
  const auto made = ops::top_k_gates(g, input(g, shape(tokens, 4), last), r, layer);
  const auto to = ops::route_tokens(g, made.chosen, r, layer);
  const i32 rows = ops::gather_tokens(g, x, to, r, layer);
  const i32 made_rows = ops::binary(g, kind::multiply, rows, rows, layer);
  return ops::combine_experts(g, made_rows, made.gates, to, x, r, layer);
}

const checked_case cases[] = {
    {"gate_noise",
     [](graph& g, bool last) {
       const i32 clean = input(g, shape(3, 4), last);
       const i32 spread = input(g, shape(3, 4), last);
       const i32 noise = add_tensor(g, shape(3, 4), {.batch_last = last});
       return ops::gate_noise(g, clean, spread, noise, route_of(4, 2, 3, 3), layer);
     }},
    {"top_k_gates, 2 of 5",
     [](graph& g, bool last) {
       return ops::top_k_gates(g, input(g, shape(3, 5), last), route_of(5, 2, 3, 3), layer).gates;
     }},
    {"top_k_gates, all",
     [](graph& g, bool last) {
       return ops::top_k_gates(g, input(g, shape(2, 3), last), route_of(3, 3, 2, 2), layer).gates;
     }},
    {"gate_load, 1 of 4", [](graph& g, bool last) { return build_load(g, last, 4, 1); }},
    {"gate_load, 3 of 5", [](graph& g, bool last) { return build_load(g, last, 5, 3); }},
    {"balance_loss",
     [](graph& g, bool last) {
       const i32 p = ops::unary(g, kind::sigmoid, input(g, shape(3, 4), last), layer);
       return ops::balance_loss(g, p, 0.7f, route_of(4, 2, 3, 3), layer).loss;
     }},
    {"experts of all tokens",
     [](graph& g, bool last) { return build_way(g, last, shape(5, 3), 0, 2, 5); }},
    {"experts with too few slots",
     [](graph& g, bool last) { return build_way(g, last, shape(5, 3), 0, 2, 2); }},
    {"experts of rows",
     [](graph& g, bool last) { return build_way(g, last, shape(2, 3, 4), 0, 2, 3); }},
    {"experts over time",
     [](graph& g, bool last) { return build_way(g, last, shape(2, 3, 4), 1, 1, 4); }},
    {"all tokens as rows",
     [](graph& g, bool last) {
       return ops::unary(g, kind::tanh, ops::as_tokens(g, input(g, shape(2, 3, 4), last), layer),
                         layer);
     }},
};

}  // namespace

std::vector<checked_case> expert_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of mixtures of experts agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

}  // namespace tessera::testing
