// Gradients of products of activations, softmax and attention against central differences.

#include <tessera/nn/positions.hpp>
#include <tessera/nn/repeat.hpp>
#include <tessera/nn/transformer.hpp>
#include <gradients/checked_case.hpp>

namespace tessera::testing {

namespace {

/// An input with time in front of the batch.
i32 sequence_input(graph& g, const shape& dims, bool last) {
  const i32 x = input(g, dims, last);
  g.tensors[x].stack = 1;
  return x;
}

/// Scaled dot product attention of sequences with two heads, and the masks that are asked for.
i32 build_attention(graph& g, bool last, bool causal, bool lengths, bool mask) {
  const i32 q = sequence_input(g, shape(3, 2, 6), last);
  const i32 k = sequence_input(g, shape(4, 2, 6), last);
  const i32 v = sequence_input(g, shape(4, 2, 4), last);
  ops::attention_masks masks;
  masks.causal = causal;
  if (lengths) {
    masks.lengths = add_tensor(g, shape(2), {.type = element::int32, .batch_last = last});
  }
  if (mask) masks.mask[0] = add_tensor(g, shape(3, 4), {.batched = false});
  return ops::attention(g, q, k, v, 2, masks, nullptr, layer).y;
}

/// A product of (2, 3, rows, inner) and (2, 1, inner, columns), or of what repeats over samples.
i32 build_matmul(graph& g, bool last, bool repeats) {
  const i32 a = input(g, shape(2, 3, 4, 5), last);
  const i32 b = repeats ? add_weight(g, shape(3, 6, 5)) : input(g, shape(2, 1, 5, 6), last);
  return ops::matmul(g, a, b, false, repeats, layer);
}

/// Additive attention with one query a sample, or a sequence of them.
i32 build_additive(graph& g, bool last, bool single) {
  const i32 q = single ? input(g, shape(2, 3), last) : sequence_input(g, shape(2, 2, 3), last);
  const i32 k = sequence_input(g, shape(4, 2, 3), last);
  const i32 memory = sequence_input(g, shape(4, 2, 5), last);
  const i32 v = add_weight(g, shape(3));
  return ops::additive_attention(g, q, k, v, memory, {}, layer).y;
}

/// Layers on a sequence of 4 features, some with a memory of 3 times and its lengths.
template <class Layers, bool Memory>
i32 build_layers(graph& g, bool last) {
  builder b(g, 2, purpose::training);
  bundle x = value{sequence_input(g, shape(4, 2, 4), last)};
  if (Memory) {
    x.items[x.size++] = {sequence_input(g, shape(3, 2, 4), last)};
    x.items[x.size++] = {add_tensor(g, shape(2), {.type = element::int32, .batch_last = last})};
  }
  const value y = feed<Layers>(b, x);
  INFO(spell(g.wrong).view());
  REQUIRE(b.usable(y));
  return y.id;
}

const checked_case cases[] = {
    {"matmul", [](graph& g, bool last) { return build_matmul(g, last, false); }},
    {"matmul with a weight for all samples",
     [](graph& g, bool last) { return build_matmul(g, last, true); }},
    {"softmax of channels",
     [](graph& g, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(2, 5, 3), last), 0, layer);
     }},
    {"softmax of the last extent",
     [](graph& g, bool last) {
       return ops::softmax(g, kind::softmax, input(g, shape(2, 3, 5), last), 1, layer);
     }},
    {"log_softmax",
     [](graph& g, bool last) {
       return ops::softmax(g, kind::log_softmax, input(g, shape(2, 3, 5), last), 1, layer);
     }},
    {"attention",
     [](graph& g, bool last) { return build_attention(g, last, false, false, false); }},
    {"attention, causal",
     [](graph& g, bool last) { return build_attention(g, last, true, false, false); }},
    {"attention with lengths and a mask",
     [](graph& g, bool last) { return build_attention(g, last, false, true, true); }},
    {"additive attention", [](graph& g, bool last) { return build_additive(g, last, false); }},
    {"additive attention of one query",
     [](graph& g, bool last) { return build_additive(g, last, true); }},
    {"multi_head_attention with a memory",
     build_layers<multi_head_attention<2, cross, key_lengths>, true>},
    {"additive_attention of a sequence", build_layers<additive_attention<3, key_lengths>, true>},
    {"encoder layers, one after another",
     build_layers<repeat<2, transformer_encoder_layer<2, 5, causal, norm_first, with_gelu>>,
                  false>},
    {"decoder layers on one memory",
     build_layers<repeat<2, transformer_decoder_layer<2, 5, causal, key_lengths, with_gelu_tanh>>,
                  true>},
    {"learned positions, more than there is time", build_layers<learned_positions<6>, false>},
};

}  // namespace

std::vector<checked_case> attention_cases() { return {std::begin(cases), std::end(cases)}; }

TEST_CASE("gradients of attention agree with central differences", "[gradients]") {
  for (const checked_case& c : cases) check_case(c);
}

}  // namespace tessera::testing
