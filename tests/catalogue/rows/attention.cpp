// Rows of the table: products of activations, softmax, attention and layers of it.

#include <catalogue/catalogue.hpp>

#include <tessera/core/error.hpp>
#include <tessera/nn/attention.hpp>
#include <tessera/nn/positions.hpp>
#include <tessera/ops/attention.hpp>

namespace tessera::testing {

namespace {

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

i32 build_scores(graph& g, i32 n, bool last, i32 units, bool single) {
  const i32 q = single ? input(g, shape(n, units), last) : sequence(g, shape(3, n, units), last);
  const i32 k = sequence(g, shape(5, n, units), last);
  return ops::additive_scores(g, q, k, add_weight(g, shape(units)), layer);
}

/// Scaled dot product attention of sequences with two heads, and the masks that are asked for.
i32 build_attention(graph& g, i32 n, bool last, bool causal, bool lengths, bool mask) {
  const i32 q = sequence(g, shape(3, n, 6), last);
  const i32 k = sequence(g, shape(4, n, 6), last);
  const i32 v = sequence(g, shape(4, n, 4), last);
  ops::attention_masks masks;
  masks.causal = causal;
  if (lengths) masks.lengths = numbers(g, shape(n), last);
  if (mask) masks.mask[0] = add_tensor(g, shape(3, 4), {.batched = false});
  return ops::attention(g, q, k, v, 2, masks, nullptr, layer).y;
}

/// Additive attention with one query a sample, or a sequence of them.
i32 build_additive(graph& g, i32 n, bool last, bool single) {
  const i32 q = single ? input(g, shape(n, 3), last) : sequence(g, shape(2, n, 3), last);
  const i32 k = sequence(g, shape(4, n, 3), last);
  const i32 memory = sequence(g, shape(4, n, 5), last);
  const i32 v = add_weight(g, shape(3));
  return ops::additive_attention(g, q, k, v, memory, {}, layer).y;
}

/// Layers on a sequence of 4 features, some with a memory of 3 times and its lengths.
template <class Layers, bool Memory>
i32 build_layers(graph& g, i32 n, bool last) {
  builder b(g, n, purpose::training);
  bundle x = value{sequence(g, shape(4, n, 4), last)};
  if (Memory) {
    x.items[x.size++] = {sequence(g, shape(3, n, 4), last)};
    x.items[x.size++] = {numbers(g, shape(n), last)};
  }
  const value y = feed<Layers>(b, x);
  if (!b.usable(y)) throw error(std::string(spell(g.wrong).view()));
  return y.id;
}

}  // namespace

std::vector<row> attention_rows() {
  return {
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
       [](graph& g, i32 n, bool last) {
         return build_masked_softmax(g, n, last, 21, true, false);
       }},
      {"masked_softmax", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_masked_softmax(g, n, last, 6, false, true); }},
      {"additive_scores", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_scores(g, n, last, 19, false); }},
      {"additive_scores of one query", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_scores(g, n, last, 8, true); }},
      {"attention", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_attention(g, n, last, false, false, false); }},
      {"attention, causal", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_attention(g, n, last, true, false, false); }},
      {"attention with lengths", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_attention(g, n, last, false, true, false); }},
      {"attention with lengths and a mask", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_attention(g, n, last, false, true, true); }},
      {"additive attention", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_additive(g, n, last, false); }},
      {"additive attention of one query", agreement::smooth,
       [](graph& g, i32 n, bool last) { return build_additive(g, n, last, true); }},
      {"multi_head_attention with a memory", agreement::smooth,
       build_layers<multi_head_attention<2, cross, key_lengths>, true>},
      {"additive_attention of a sequence", agreement::norm,
       build_layers<additive_attention<3, key_lengths>, true>},
      {"learned positions, more than there is time", agreement::norm,
       build_layers<learned_positions<6>, false>},
  };
}

}  // namespace tessera::testing
