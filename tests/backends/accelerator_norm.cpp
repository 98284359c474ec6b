// Normalizations on the model: counters equal the price, and what the price is made of.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/passes/precision.hpp>
#include <tessera/runtime/interpreter.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;
using namespace tessera::accelerator;

constexpr tensor_name layer{"test", 0, ""};

struct norm_case {
  const char* name;
  i32 (*build)(graph&, i32 x, i32 gamma, i32 beta);
};

const norm_case cases[] = {
    {"batch_norm", [](graph& g, i32 x, i32 gamma,
                      i32 beta) { return ops::batch_norm(g, x, gamma, beta, -1, -1, {}, layer); }},
    {"batch_norm_inference",
     [](graph& g, i32 x, i32 gamma, i32 beta) {
       return ops::batch_norm_inference(g, x, gamma, beta, -1, -1, {}, layer);
     }},
    {"group_norm",
     [](graph& g, i32 x, i32 gamma, i32 beta) {
       return ops::group_norm(g, x, gamma, beta, {.groups = 2}, layer);
     }},
    {"layer_norm", [](graph& g, i32 x, i32,
                      i32) { return ops::layer_norm(g, kind::layer_norm, x, -1, -1, {}, layer); }},
    {"rms_norm",
     [](graph& g, i32 x, i32, i32) {
       const i32 gamma = add_weight(g, shape(9), element::f32, "scale");
       return ops::layer_norm(g, kind::rms_norm, x, gamma, -1, {.extents = 1}, layer);
     }},
    {"local_response_norm",
     [](graph& g, i32 x, i32, i32) { return ops::local_response_norm(g, x, {.size = 3}, layer); }},
};

/// Runs forward and backward; what the counters read, and what the operations should cost.
template <machine M>
void check_counters(const norm_case& c, i32 batch, element type, bool scales) {
  graph g;
  const i32 x = add_tensor(g, shape(batch, 10, 7, 9),
                           {.batch_last = batch % 16 == 0, .differentiable = true});
  const i32 gamma = scales ? add_weight(g, shape(10), element::f32, "gamma") : -1;
  const i32 beta = scales ? add_weight(g, shape(10), element::f32, "beta") : -1;
  const i32 y = c.build(g, x, gamma, beta);
  differentiate_from(g, {y});
  passes::assign_precision(
      g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
  operation_price expected;
  for (const operation& op : g.operations) expected += price(M, ops::sign(g, op));
  for (const i32 threads : {1, 3}) {
    counters spent;
    interpreter net(g, &accelerator::find_kernel<M>);
    net.run({.valid = batch, .threads = threads, .backend = &spent});
    INFO(c.name << " on " << M.name << ", batch " << batch << ", threads " << threads);
    CHECK(spent.total == expected);
    CHECK(expected.vertices > 0);
  }
}

TEST_CASE("counters of normalizations read their price", "[backends]") {
  for (const norm_case& c : cases) {
    for (const i32 batch : {1, 5, 32}) {
      for (const element type : {element::f32, element::f16}) {
        for (const bool scales : {true, false}) {
          check_counters<ipu_mk1>(c, batch, type, scales);
          check_counters<small_array>(c, batch, type, scales);
        }
      }
    }
  }
}

TEST_CASE("a batch norm's statistics are cut over the tiles and come back", "[backends]") {
  constexpr signature s = [] {
    signature all;
    all.what = kind::batch_norm;
    all.batch_last = true;
    all.set_type(0, element::f16);
    all.set_type(8, element::f16);
    norm_sizes{32, 1, 16, 1024}.write(all);
    return all;
  }();
  constexpr mapping cut = map(ipu_mk1, s);
  // 16 channels alone would leave most of the tiles idle.
  STATIC_REQUIRE(cut.vertices() > 500);
  STATIC_REQUIRE(cut.partials() > 1);
  constexpr operation_price p = price(ipu_mk1, s, cut);
  STATIC_REQUIRE(p.sync_cycles == 3 * i64{ipu_mk1.exchange.sync_cycles});
  // x once, 8 bytes of merged statistics for every vertex and channel, the partial sums.
  constexpr i64 x_bytes = i64{2} * 32 * 16 * 1024;
  constexpr i64 statistics = i64{8} * 16 * cut.partials();
  STATIC_REQUIRE(p.exchange_bytes == x_bytes + statistics + i64{8} * 16 * (cut.partials() - 1));
}

}  // namespace
