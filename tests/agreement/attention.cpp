// Products of activations, softmax and additive scores on every backend: the same results as the
// plain loops.

#include <tessera/ops/attention.hpp>
#include <agreement/operation_case.hpp>

namespace tessera::testing {

namespace {

i32 sequence(graph& g, const shape& dims, bool last) {
  const i32 x = input(g, dims, last);
  g.tensors[x].stack = 1;
  return x;
}

/// q k^T of heads side by side, or with y side by side.
i32 build_matmul(graph& g, i32 n, bool last, i32 rows, i32 inner, i32 columns, bool heads) {
  if (!heads) {
    const i32 a = input(g, shape(n, 2, rows, inner), last);
    return ops::matmul(g, a, input(g, shape(n, 1, inner, columns), last), false, false, layer);
  }
  product_attributes how;
  how.heads[0] = how.heads[1] = 2;
  how.transposed[1] = true;
  how.scale = 0.5f;
  const i32 a = sequence(g, shape(rows, n, 2 * inner), last);
  const i32 b = sequence(g, shape(columns, n, 2 * inner), last);
  return ops::matmul_as(g, a, b, how, a, shape(n, 2, rows, columns), 0, layer);
}

/// Scores under masks: lengths, one that chooses, one that is added.
i32 build_masked_softmax(graph& g, i32 n, bool last, i32 keys, bool causal, bool masks) {
  const i32 scores = input(g, shape(n, 2, 5, keys), last);
  ops::attention_masks m;
  m.causal = causal;
  if (masks) {
    m.lengths = add_tensor(g, shape(n), {.type = element::int32, .batch_last = last});
    m.mask[0] = add_tensor(g, shape(n, keys), {.type = element::uint8, .batch_last = last});
    m.mask[1] = add_tensor(g, shape(5, keys), {.batched = false});
  }
  return ops::masked_softmax(g, scores, m, layer);
}

i32 build_additive(graph& g, i32 n, bool last, i32 units, bool single) {
  const i32 q = single ? input(g, shape(n, units), last) : sequence(g, shape(3, n, units), last);
  const i32 k = sequence(g, shape(5, n, units), last);
  return ops::additive_scores(g, q, k, add_weight(g, shape(units)), layer);
}

const operation_case cases[] = {
    {"matmul", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 3, 7, 5, false); }},
    {"matmul of heads", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 9, 12, 19, true); }},
    {"matmul in several blocks", agreement::sum,
     [](graph& g, i32 n, bool last) {
       return build_matmul(g, n, last, n > 5 ? 9 : 70, 131, n > 5 ? 5 : 33, true);
     }},
    {"matmul of one row", agreement::sum,
     [](graph& g, i32 n, bool last) { return build_matmul(g, n, last, 1, 6, 18, false); }},
    {"matmul with a weight for all samples", agreement::sum,
     [](graph& g, i32 n, bool last) {
       const i32 a = input(g, shape(n, 6, 5), last);
       return ops::matmul(g, add_weight(g, shape(7, 6)), a, false, false, layer);
     }},
    {"softmax of channels", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(n, 9, 3), last), 0, layer);
     }},
    {"softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(n, 2, 37), last), 1, layer);
     }},
    {"log_softmax of channels", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::log_softmax, input(g, shape(n, 9, 3), last), 0, layer);
     }},
    {"log_softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) {
       return ops::softmax(g, kind::log_softmax, input(g, shape(n, 2, 37), last), 1, layer);
     }},
    {"masked_softmax, causal", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_masked_softmax(g, n, last, 21, true, false); }},
    {"masked_softmax", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_masked_softmax(g, n, last, 6, false, true); }},
    {"additive_scores", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_additive(g, n, last, 19, false); }},
    {"additive_scores of one query", agreement::smooth,
     [](graph& g, i32 n, bool last) { return build_additive(g, n, last, 8, true); }},
};

}  // namespace

TEST_CASE("attention agrees on all backends, in both layouts, in f32 and f16", "[agreement]") {
  for (const operation_case& c : cases) check_agreement(c);
}

}  // namespace tessera::testing
