#include <tessera/report/flow.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/random_graph.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

using namespace tessera;
using namespace tessera::testing;

namespace {

using pairs = std::set<std::pair<i32, i32>>;

/// Without loops and views of parts: whoever last wrote the storage of what is read.
pairs expected(const graph& g) {
  pairs result;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    for (const i32 in : g.operations[i].in) {
      if (in < 0) continue;
      i32 writer = -1;
      for (i32 k = 0; k < i; ++k) {
        for (const i32 out : g.operations[k].out) {
          if (out < 0 || storage_of(g, out) != storage_of(g, in)) continue;
          const role what = g.tensors[out].what;
          if (in_arena(what) || what == role::working) writer = k;
        }
      }
      if (writer >= 0) result.insert({writer, i});
    }
  }
  return result;
}

pairs found(const flow& f, bool carried = false) {
  pairs result;
  for (const handover& e : f.edges) {
    if (e.carried == carried) result.insert({e.from, e.to});
  }
  return result;
}

/// The operations of a kind in a phase.
std::vector<i32> operations(const graph& g, const flow& f, kind what, phase p) {
  std::vector<i32> result;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (g.operations[i].what == what && f.phase_of[static_cast<std::size_t>(i)] == p) {
      result.push_back(i);
    }
  }
  return result;
}

}  // namespace

TEST_CASE("a training step is a forward pass, a backward pass and updates", "[report]") {
  const graph g = step_of<pictured_lenet>();
  const flow f = find_flow(g);
  i32 count[3] = {};
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const phase p = f.phase_of[static_cast<std::size_t>(i)];
    ++count[static_cast<i32>(p)];
    const std::string name = ops::name_of(g.operations[i].what);
    CHECK((p == phase::update) == (name.find("update") != std::string::npos));
    CHECK((p == phase::backward) == (name.find("gradient") != std::string::npos));
  }
  CHECK(count[0] == 12);
  CHECK(count[1] == 11);
  CHECK(count[2] == 10);
}

TEST_CASE("a step without a backward pass is forward throughout", "[report]") {
  const graph g = make_inference<pictured_lenet, void>({});
  for (const phase p : find_flow(g).phase_of) CHECK(p == phase::forward);
}

TEST_CASE("a reader is tied to the last writer of what it reads", "[report]") {
  CHECK(found(find_flow(step_of<pictured_lenet>())) == expected(step_of<pictured_lenet>()));
  const graph large = large_step();
  CHECK(found(find_flow(large)) == expected(large));
  for (u64 seed = 0; seed < 40; ++seed) {
    const graph g = random_graph(seed).make();
    INFO("seed " << seed);
    CHECK(found(find_flow(g)) == expected(g));
  }
}

TEST_CASE("what goes round a loop is carried from its last writer to its reader", "[report]") {
  const graph g = recurrent_step(7);
  REQUIRE(g.bodies.size() == 3);
  const flow f = find_flow(g);
  const std::vector<i32> products = operations(g, f, kind::dense, phase::forward);
  const std::vector<i32> activation = operations(g, f, kind::tanh, phase::forward);
  const std::vector<i32> zero = operations(g, f, kind::zero, phase::forward);
  REQUIRE(products.size() == 2);
  REQUIRE(activation.size() == 1);
  REQUIRE(zero.size() == 1);
  const pairs carried = found(f, true);
  CHECK(carried.count({activation[0], products[1]}) == 1);
  CHECK(carried.count({activation[0], products[0]}) == 0);
  const pairs plain = found(f);
  CHECK(plain.count({zero[0], products[1]}) == 1);
  // the loss reads the last value only: the zeros the loop starts with are not part of it
  const std::vector<i32> loss = operations(g, f, kind::mse, phase::forward);
  REQUIRE(loss.size() == 1);
  CHECK(plain.count({activation[0], loss[0]}) == 1);
  CHECK(plain.count({zero[0], loss[0]}) == 0);
  // the sum is overwritten where it lies: only the activation that did it goes round
  const std::vector<i32> sums = operations(g, f, kind::add, phase::forward);
  REQUIRE(sums.size() == 1);
  for (const pairs& all : {plain, carried}) {
    for (const auto& [from, to] : all) CHECK((from != sums[0] || to == activation[0]));
  }
  // weight gradients are summed over the trips
  for (const i32 sum : operations(g, f, kind::add, phase::backward)) {
    CHECK(carried.count({sum, sum}) == 1);
  }
}

TEST_CASE("a loop is forward or backward as what is in it", "[report]") {
  const graph g = step_of<pictured_repeat>();
  const flow f = find_flow(g);
  CHECK(operations(g, f, kind::loop, phase::forward).size() == 1);
  CHECK(operations(g, f, kind::loop, phase::backward).size() == 1);
  CHECK(operations(g, f, kind::loop, phase::update).empty());
}

TEST_CASE("where a carry stands still, only its last writer is seen behind the loop", "[report]") {
  graph g;
  g.batch = 2;
  const tensor_name layer{"rnn", 1, ""};
  tensor t;
  t.dims = shape(2, 4);
  t.what = role::input;
  t.batched = true;
  const i32 x = g.add(t);
  ops::loop_writer loop(g, {.trips = 3}, layer);
  const i32 h = loop.carry_of_zeros(x, shape(2, 4));
  loop.begin();
  loop.next(h, ops::unary(g, kind::tanh, loop.in(h), layer));
  loop.end();
  ops::unary(g, kind::sigmoid, loop.final(h), layer);
  REQUIRE_FALSE(g.wrong.wrong());
  const flow f = find_flow(g);
  const i32 zero = operations(g, f, kind::zero, phase::forward).at(0);
  const i32 activation = operations(g, f, kind::tanh, phase::forward).at(0);
  const i32 behind = operations(g, f, kind::sigmoid, phase::forward).at(0);
  CHECK(found(f) == pairs{{zero, activation}, {activation, behind}});
  CHECK(found(f, true) == pairs{{activation, activation}});
}

TEST_CASE("what was written earlier in the same trip does not come from the one before",
          "[report]") {
  graph g;
  const tensor_name layer{"test", 1, ""};
  g.bodies.push({0, 1, 3});
  tensor t;
  t.dims = shape(4);
  const i32 buffer = g.add(t);
  const i32 inside = ops::view_into(g, buffer, shape(4), 0, 1, 0, 0);
  t.body = 1;
  const i32 other = g.add(t);
  const auto append = [&](kind what, i32 in, i32 out, i32 body = -1) {
    operation op;
    op.what = what;
    op.in[0] = in;
    op.out[0] = out;
    op.body = body;
    op.layer = layer;
    g.add(op);
  };
  append(kind::loop, -1, -1, 1);      // 0
  append(kind::zero, -1, inside);     // 1
  append(kind::tanh, inside, other);  // 2
  append(kind::copy, other, inside);  // 3
  append(kind::end_loop, -1, -1, 1);
  const flow f = find_flow(g);
  CHECK(found(f) == pairs{{1, 2}, {2, 3}});
  CHECK(found(f, true).empty());
}
