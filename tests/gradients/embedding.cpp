// Gradients of embedding bags: of the table, and of the weights of indices.

#include <gradients/checked_case.hpp>

namespace tessera::testing {

namespace {

/// Bags of 5 indices, one of which may be no row of the table.
i32 build(graph& g, bool last, bag_mode mode, bool weighted = false, i32 padding = -1) {
  const i32 x = add_tensor(g, shape(4, 5), {.type = element::int32, .batch_last = last});
  const i32 weights = weighted ? input(g, shape(4, 5), last) : -1;
  const i32 table = add_weight(g, shape(7, 3));
  return ops::embedding_bag(g, x, table, weights, -1, mode, padding, layer);
}

i32 build_list(graph& g, bool last, bag_mode mode, bool weighted = false) {
  const i32 starts = add_tensor(g, shape(4), {.type = element::int32, .batch_last = last});
  const i32 x = add_tensor(g, shape(9), {.type = element::int32, .batched = false});
  const i32 weights =
      weighted ? add_tensor(g, shape(9), {.batched = false, .differentiable = true}) : -1;
  const i32 table = add_weight(g, shape(7, 3));
  return ops::embedding_bag(g, x, table, weights, starts, mode, -1, layer);
}

const checked_case cases[] = {
    {"embedding_bag, sum", [](graph& g, bool last) { return build(g, last, bag_mode::sum); }},
    {"embedding_bag, mean without padding",
     [](graph& g, bool last) { return build(g, last, bag_mode::mean, false, 2); }},
    {"embedding_bag, max", [](graph& g, bool last) { return build(g, last, bag_mode::max); }},
    {"embedding_bag, weighted",
     [](graph& g, bool last) { return build(g, last, bag_mode::sum, true, 3); }},
    {"embedding_bag over time",
     [](graph& g, bool last) {
       const i32 x = sequence(g, shape(6, 4), last, element::int32);
       return ops::embedding_bag(g, x, add_weight(g, shape(5, 2)), -1, -1, bag_mode::mean, -1,
                                 layer);
     }},
    {"embedding_bag of a list, sum",
     [](graph& g, bool last) { return build_list(g, last, bag_mode::sum, true); }},
    {"embedding_bag of a list, max",
     [](graph& g, bool last) { return build_list(g, last, bag_mode::max); }},
};

}  // namespace

std::vector<checked_case> embedding_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of embedding bags agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

}  // namespace tessera::testing
