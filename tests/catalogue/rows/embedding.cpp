// Rows of the table: embeddings and bags of them.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

i32 build_embedding(graph& g, const shape& indices, bool last, i32 rows, i32 width, i32 stack = 0,
                    i32 padding = -1) {
  const i32 i = add_tensor(g, indices, {.type = element::int32, .batch_last = last});
  g.tensors[i].stack = stack;
  return ops::embedding(g, i, add_weight(g, shape(rows, width)), padding, layer);
}

/// Bags of single indices: some may be no row of the table.
i32 build_bag(graph& g, i32 n, bool last, i32 positions, const shape& table, bag_mode mode,
              bool weighted = false, i32 padding = -1) {
  const i32 x = add_tensor(g, shape(n, positions), {.type = element::int32, .batch_last = last});
  const i32 weights = weighted ? input(g, shape(n, positions), last) : -1;
  return ops::embedding_bag(g, x, add_weight(g, table), weights, -1, mode, padding, layer);
}

i32 build_list(graph& g, i32 n, bool last, i32 entries, const shape& table, bag_mode mode,
               bool weighted = false) {
  const i32 starts = add_tensor(g, shape(n), {.type = element::int32, .batch_last = last});
  const i32 x = add_tensor(g, shape(entries), {.type = element::int32, .batched = false});
  const i32 weights =
      weighted ? add_tensor(g, shape(entries), {.batched = false, .differentiable = true}) : -1;
  return ops::embedding_bag(g, x, add_weight(g, table), weights, starts, mode, -1, layer);
}

}  // namespace

std::vector<row> embedding_rows() {
  return {
      {"embedding of 1 row", agreement::exact,  // sums too have one order
       [](graph& g, i32 n, bool last) { return build_embedding(g, shape(n), last, 1, 3); }},
      {"embedding of 500 rows of 70, several positions", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return build_embedding(g, shape(n, 6), last, 500, 70, 0, 2);
       }},
      {"embedding over time", agreement::exact,
       [](graph& g, i32 n, bool last) { return build_embedding(g, shape(9, n), last, 11, 17, 1); }},
      {"embedding_bag, sum of 1 row", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_bag(g, n, last, 3, shape(1, 5), bag_mode::sum);
       }},
      {"embedding_bag, mean of 300 rows of 70", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_bag(g, n, last, 6, shape(300, 70), bag_mode::mean, false, 2);
       }},
      {"embedding_bag, max of 9 rows of 70", agreement::norm,  // gradients add up
       [](graph& g, i32 n, bool last) {
         return build_bag(g, n, last, 6, shape(9, 70), bag_mode::max, false, 1);
       }},
      {"embedding_bag, weighted", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_bag(g, n, last, 4, shape(40, 19), bag_mode::sum, true);
       }},
      {"embedding_bag over time", agreement::sum,
       [](graph& g, i32 n, bool last) {
         const i32 x = add_tensor(g, shape(7, n), {.type = element::int32, .batch_last = last});
         g.tensors[x].stack = 1;
         return ops::embedding_bag(g, x, add_weight(g, shape(11, 16)), -1, -1, bag_mode::mean, 0,
                                   layer);
       }},
      {"embedding_bag of a list, weighted", agreement::sum,
       [](graph& g, i32 n, bool last) {
         return build_list(g, n, last, 50, shape(60, 33), bag_mode::sum, true);
       }},
      {"embedding_bag of a list, max", agreement::norm,
       [](graph& g, i32 n, bool last) {
         return build_list(g, n, last, 40, shape(50, 7), bag_mode::max);
       }},
  };
}

}  // namespace tessera::testing
