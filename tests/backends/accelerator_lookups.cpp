// Resizing, unpooling, embedding bags and updates of tables: counters of the model read their
// price.

#include <tessera/backends/accelerator.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>
#include <support/kernel_finders.hpp>
#include <tessera/passes/precision.hpp>
#include <tessera/runtime/interpreter.hpp>

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr tensor_name layer{"test", 0, ""};

/// So small that blocks are uneven.
constexpr machine few_tiles = [] {
  machine m = accelerator::ipu_mk1;
  m.tiles = 13;
  m.exchange.startup_cycles = 1;
  m.exchange.sync_cycles = 1;
  return m;
}();

/// Runs a graph once and compares what was counted with the sum of the operations' prices.
template <machine M>
void check_price(const graph& g) {
  i64 scratch = 0;
  accelerator::step_price priced;
  for (const operation& op : g.operations) {
    const signature s = ops::sign(g, op);
    priced += accelerator::price(M, s);
    scratch = std::max(scratch, accelerator::scratch_bytes(s));
  }
  interpreter net(g, accelerator::find_kernel<M>);
  for (const i32 threads : {1, 3}) {
    INFO(M.name << ", " << threads << " threads");
    accelerator::counters counted(scratch);
    net.run({.learning_rate = 0.1f, .valid = 16, .threads = threads, .backend = &counted});
    CHECK(counted.total == priced);
  }
}

void check_on_all(graph g, i32 y, element type) {
  if (y >= 0) differentiate_from(g, {y});
  passes::assign_precision(
      g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
  check_price<accelerator::ipu_mk1>(g);
  check_price<few_tiles>(g);
  check_price<accelerator::small_array>(g);
}

TEST_CASE("counters of resizing read their price", "[backends]") {
  for (const bool last : {false, true}) {
    for (const kind what : {kind::adaptive_avg_pool2d, kind::adaptive_max_pool2d,
                            kind::upsample_nearest, kind::upsample_bilinear}) {
      for (const shape& size : {shape(3, 5), shape(11, 14), shape(1, 1), shape(7, 9)}) {
        INFO(ops::name_of(what) << " to " << size[0] << " x " << size[1]);
        graph g;
        const i32 x =
            add_tensor(g, shape(16, 5, 7, 9), {.batch_last = last, .differentiable = true});
        const i32 y = ops::resize(g, what, x, size[0], size[1], layer, size[0] == 11);
        check_on_all(g, y, last ? element::f16 : element::f32);
      }
    }
  }
}

TEST_CASE("counters of unpooling read their price", "[backends]") {
  for (const bool last : {false, true}) {
    graph g;
    const i32 x = add_tensor(g, shape(16, 5, 4, 3), {.batch_last = last, .differentiable = true});
    const i32 i = add_tensor(g, shape(16, 5, 4, 3), {.type = element::int32, .batch_last = last});
    const i32 y = ops::max_unpool2d(g, x, i, 8, 7, layer);
    check_on_all(g, y, element::f16);
    graph pooled;
    const i32 in =
        add_tensor(pooled, shape(16, 5, 8, 7), {.batch_last = last, .differentiable = true});
    window w;
    for (i32 axis = 0; axis < 2; ++axis) w.kernel[axis] = w.stride[axis] = 2;
    const i32 out = ops::pool2d(pooled, kind::max_pool2d, in, w, layer);
    const operation pool = pooled.operations[0];
    const i32 unpooled = ops::max_unpool2d_like(pooled, out, pool, 8, 7, layer);
    check_on_all(pooled, unpooled, element::f32);
  }
}

TEST_CASE("counters of embedding bags and of updates of tables read their price", "[backends]") {
  for (const bool last : {false, true}) {
    for (const skip_rule skip : {skip_rule::none, skip_rule::tensor, skip_rule::step}) {
      for (i32 form = 0; form < 5; ++form) {
        for (const bool adam : {false, true}) {
          INFO("form " << form << ", skip " << static_cast<int>(skip) << ", adam " << adam);
          graph g;
          g.batch = 16;
          const i32 x = form == 4
                            ? add_tensor(g, shape(33), {.type = element::int32, .batched = false})
                            : add_tensor(g, form == 0 ? shape(16) : shape(16, 5),
                                         {.type = element::int32, .batch_last = last});
          const i32 starts =
              form == 4 ? add_tensor(g, shape(16), {.type = element::int32, .batch_last = last})
                        : -1;
          const i32 weights =
              form == 3 ? add_tensor(g, shape(16, 5), {.batch_last = last, .differentiable = true})
                        : -1;
          const i32 table = add_weight(g, shape(50, 21));
          const bag_mode mode = form == 1   ? bag_mode::mean
                                : form == 2 ? bag_mode::max
                                            : bag_mode::sum;
          const i32 y =
              form == 0 ? ops::embedding(g, x, table, -1, layer, true)
                        : ops::embedding_bag(g, x, table, weights, starts, mode, 2, layer, true);
          const i32 target =
              add_tensor(g, shape(16, 21), {.what = role::target, .batch_last = last});
          g.losses = ops::mse(g, y, target, {});
          loss_scaling scaling;
          scaling.skip = skip;
          passes::append_scaler(g, scaling);
          const grow<i32> gradients = passes::differentiate(g);
          update_rule rule;
          rule.what = adam ? optimizer_kind::adam : optimizer_kind::sgd;
          const element type = skip == skip_rule::none ? element::f32 : element::f16;
          passes::assign_precision(
              g, {.storage = type, .master = element::f32, .loss = element::f32, .scaling = {}});
          passes::append_updates(g, gradients, rule, scaling);
          for (const bool fused : {false, true}) {
            if (fused) passes::fuse_updates(g);
            check_price<accelerator::ipu_mk1>(g);
            check_price<few_tiles>(g);
            check_price<accelerator::small_array>(g);
          }
        }
      }
    }
  }
}

}  // namespace
