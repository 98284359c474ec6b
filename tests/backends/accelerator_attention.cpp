// Attention on the model: counters equal the price of every operation, forward and backward.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>

#include <tessera/ops/attention.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/interpreter.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;
using namespace tessera::accelerator;

constexpr tensor_name layer{"test", 0, ""};

i32 sequence(graph& g, const shape& dims, bool last) {
  const i32 x = add_tensor(g, dims, {.batch_last = last, .differentiable = true});
  g.tensors[x].stack = 1;
  return x;
}

/// Attention of sequences: as one operation, under masks as several, or additive.
enum class form { fused, masked, additive };

i32 build(graph& g, i32 batch, bool last, form what) {
  const i32 q = sequence(g, shape(19, batch, 24), last);
  const i32 k = sequence(g, shape(33, batch, 24), last);
  const i32 v = sequence(g, shape(33, batch, 24), last);
  ops::attention_masks masks;
  masks.lengths = add_tensor(g, shape(batch), {.type = element::int32, .batch_last = last});
  masks.causal = what != form::additive;
  if (what == form::fused) return ops::attention(g, q, k, v, 3, masks, nullptr, layer).y;
  masks.mask[0] = add_tensor(g, shape(batch, 33), {.type = element::uint8, .batch_last = last});
  if (what == form::additive) {
    return ops::additive_attention(g, q, k, add_weight(g, shape(24)), v, masks, layer).y;
  }
  return ops::attention(g, q, k, v, 3, masks, nullptr, layer).y;
}

template <machine M>
void check_counters(i32 batch, bool last, form what, element type) {
  graph g;
  const i32 y = build(g, batch, last, what);
  ops::softmax(g, kind::log_softmax, y, 1, layer);
  differentiate_from(g, {static_cast<i32>(g.tensors.size()) - 1});
  passes::assign_precision(g, {.storage = type, .scaling = {}});
  interpreter net(g, &accelerator::find_kernel<M>);
  counters counted;
  net.run({.valid = batch, .threads = 2, .backend = &counted});
  operation_price expected;
  for (const operation& op : g.operations) expected += price(M, ops::sign(g, op));
  INFO(M.tiles << " tiles, batch " << batch << (last ? ", samples innermost" : ""));
  CHECK(counted.total == expected);
  if (what == form::fused) {
    CHECK(counted.of(kind::attention).macs == batch * 3 * 19 * 33 * 16);
    CHECK(counted.of(kind::attention_gradient).macs == batch * 3 * 19 * 33 * 40);
    return;
  }
  CHECK(counted.of(kind::softmax_gradient).cycles() > 0);
  const bool additive = what == form::additive;
  CHECK(counted.of(additive ? kind::additive_scores_gradient : kind::matmul).cycles() > 0);
}

TEST_CASE("what attention spends on the model is its price", "[backends]") {
  for (const form what : {form::fused, form::masked, form::additive}) {
    for (const bool last : {false, true}) {
      for (const element type : {element::f32, element::f16}) {
        check_counters<ipu_mk1>(4, last, what, type);
        check_counters<small_array>(16, last, what, type);
      }
    }
  }
}

TEST_CASE("a product of activations costs what a dense layer of its size does", "[backends]") {
  graph g;
  const i32 x = add_tensor(g, shape(64, 48));
  ops::dense(g, x, add_weight(g, shape(32, 48)), -1, layer);
  const i32 a = add_tensor(g, shape(64, 48), {.batched = false});
  const i32 b = add_tensor(g, shape(32, 48), {.batched = false});
  ops::matmul(g, a, b, false, true, layer);
  const signature dense = ops::sign(g, g.operations[0]);
  const signature product = ops::sign(g, g.operations[1]);
  CHECK(price(ipu_mk1, product) == price(ipu_mk1, dense));
}

}  // namespace
