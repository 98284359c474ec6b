// Rows of the table: sums and products of two, copies, concat, split, random masks and noise.

#include <catalogue/catalogue.hpp>

namespace tessera::testing {

namespace {

template <kind What>
i32 build_unary(graph& g, i32 batch, bool last) {
  attributes attr;
  attr.rate = 0.4f;
  attr.salt = 5;
  return ops::unary(g, What, input(g, shape(batch, 3, 7), last), layer, attr);
}

}  // namespace

std::vector<row> move_rows() {
  return {
      {"dropout", agreement::exact, build_unary<kind::dropout>},
      {"bernoulli", agreement::exact, build_unary<kind::bernoulli>, false},
      {"bernoulli of many", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return ops::bernoulli(g, input(g, shape(n, 1001), last), 7, layer);
       },
       false},
      {"bernoulli, given draws", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 p = input(g, shape(n, 37), last);
         return ops::bernoulli(g, p, 0, layer, input(g, shape(n, 37), last));
       },
       false},
      {"gaussian_noise", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         return ops::gaussian_noise(g, input(g, shape(n, 667), last), 0.8f, 7, layer);
       }},
      {"gaussian_noise, given draws", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 5, 3), last);
         return ops::gaussian_noise(g, x, 0.3f, 0, layer, input(g, shape(n, 5, 3), last));
       }},
      {"weigh_samples", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return ops::weigh_samples(g, input(g, shape(n, 7, 13), last), -1.5f, 0, layer);
       }},
      {"weigh_samples that all count", agreement::exact,
       [](graph& g, i32 n, bool last) {
         return ops::weigh_samples(g, input(g, shape(n, 41), last), 1, n, layer);
       }},
      {"weigh_samples over time", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(3, n, 17), last);
         g.tensors[x].stack = 1;
         return ops::weigh_samples(g, x, 2, 0, layer);
       }},
      {"add", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 a = input(g, shape(n, 5, 3), last);
         return ops::add(g, a, input(g, shape(n, 5, 3), last), layer);
       }},
      {"subtract", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 a = input(g, shape(n, 5, 3), last);
         return ops::subtract(g, a, input(g, shape(n, 5, 3), last), layer);
       }},
      {"multiply", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 a = input(g, shape(n, 5, 3), last);
         return ops::multiply(g, a, input(g, shape(n, 5, 3), last), layer);
       }},
      {"a square", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 2, 3), last);
         return ops::multiply(g, x, x, layer);
       }},
      {"a tensor used twice", agreement::smooth,
       [](graph& g, i32 n, bool last) {
         const i32 x = input(g, shape(n, 3), last);
         return ops::add(g, ops::unary(g, kind::tanh, x, layer), x, layer);
       }},
      {"copy", agreement::exact, build_unary<kind::copy>},
      {"concat of channels, zeros between", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const ops::part parts[] = {
             {input(g, shape(n, 3, 7), last)}, {.zeros = 2}, {input(g, shape(n, 5, 7), last)}};
         return ops::concat(g, parts, 3, 0, layer);
       }},
      {"concat of what one branch does not learn", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 fixed = add_tensor(g, shape(n, 3, 2), {.batch_last = last});
         const ops::part parts[] = {{fixed}, {input(g, shape(n, 3, 1), last)}};
         return ops::concat(g, parts, 2, 1, layer);
       }},
      {"concat along time, zeros on both sides", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const ops::part parts[] = {{.zeros = 1},
                                    {sequence(g, shape(2, n, 2), last)},
                                    {sequence(g, shape(1, n, 2), last)},
                                    {.zeros = 2}};
         return ops::concat(g, parts, 4, 0, layer);
       }},
      {"concat of features over time", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const ops::part parts[] = {{sequence(g, shape(2, n, 2), last)},
                                    {sequence(g, shape(2, n, 4), last)}};
         return ops::concat(g, parts, 2, 1, layer);
       }},
      {"concat of a thousand features", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const ops::part parts[] = {{input(g, shape(n, 1001), last)},
                                    {input(g, shape(n, 3), last)}};
         return ops::concat(g, parts, 2, 0, layer);
       }},
      {"split along a later axis, a part left over", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 extents[] = {4, 1, 4};
         const auto parts = ops::split(g, input(g, shape(n, 3, 9), last), extents, 3, 1, layer);
         return ops::subtract(g, parts[0], parts[2], layer);
       }},
      {"split of channels, a part left over", agreement::exact,
       [](graph& g, i32 n, bool last) {
         const i32 extents[] = {2, 1, 2};
         const auto parts = ops::split(g, input(g, shape(n, 5, 2), last), extents, 3, 0, layer);
         return ops::multiply(g, parts[0], parts[2], layer);
       }},
  };
}

}  // namespace tessera::testing
