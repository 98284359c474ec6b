#include <tessera/ops/move.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <string>

namespace {

using namespace tessera;
using namespace tessera::testing;

constexpr tensor_name layer{"joined", 2, ""};

tensor stacked(const shape& dims, bool batch_last) {
  tensor t;
  t.dims = dims;
  t.what = role::input;
  t.batched = true;
  t.batch_last = batch_last;
  t.stack = 1;
  return t;
}

/// The sizes of a split of `t` into two halves along `axis`.
move_sizes halves_of(const tensor& t, i32 axis) {
  graph g;
  const i32 x = g.add(t);
  const i32 half = t.sample()[axis] / 2;
  const i32 extents[] = {half, half};
  const auto parts = ops::split(g, x, extents, 2, axis, layer);
  CHECK_FALSE(g.wrong.wrong());
  CHECK(g.tensors[parts[1]].sample()[axis] == half);
  CHECK(g.tensors[parts[1]].dims.count() * 2 == t.dims.count());
  return ops::sizes_of_move(g, g.operations[0]);
}

TEST_CASE("Parts are runs of memory, wherever samples and stacks lie", "[ops]") {
  // (time 3, batch 5, channels 4, positions 6)
  const shape dims(3, 5, 4, 6);
  const move_sizes first_channels = halves_of(stacked(dims, false), 1);
  CHECK(first_channels.outer == 3 * 5);
  CHECK(first_channels.width[0] == 2 * 6);
  const move_sizes last_channels = halves_of(stacked(dims, true), 1);
  CHECK(last_channels.outer == 3);
  CHECK(last_channels.width[1] == 2 * 6 * 5);
  CHECK(halves_of(stacked(dims, false), 2).outer == 3 * 5 * 4);
  CHECK(halves_of(stacked(dims, true), 2).width[0] == 3 * 5);
  // Time lies outermost in both layouts.
  const shape even(4, 5, 3);
  for (const bool last : {false, true}) {
    const move_sizes time = halves_of(stacked(even, last), 0);
    CHECK(time.outer == 1);
    CHECK(time.width[0] == 2 * 5 * 3);
    CHECK(time.row() == 4 * 5 * 3);
  }
}

TEST_CASE("Branches that do not meet are named with both shapes", "[ops]") {
  const auto message = [](const shape& a, const shape& b, i32 axis) {
    graph g;
    const ops::part parts[] = {{add_tensor(g, a)}, {add_tensor(g, b)}};
    ops::concat(g, parts, 2, axis, layer);
    return std::string(spell(g.wrong).view());
  };
  CHECK(message({2, 16, 8, 8}, {2, 32, 8, 8}, 0).empty());
  CHECK(message({2, 16, 8, 8}, {2, 32, 4, 4}, 0) ==
        "joined2: expected parts that agree in all but axis 0, got 16x8x8 and 32x4x4; "
        "make the branches meet");
  CHECK(message({2, 16}, {2, 16, 1}, 0) ==
        "joined2: expected parts that agree in all but axis 0, got 16 and 16x1; "
        "make the branches meet");
  CHECK(message({2, 16}, {2, 16}, 1) ==
        "joined2: expected a value with an axis 1, got 16; count axes from 0, without the batch");
}

TEST_CASE("A split must use up its axis, a concat needs a tensor", "[ops]") {
  graph g;
  const i32 extents[] = {3, 4};
  ops::split(g, add_tensor(g, shape(2, 8)), extents, 2, 0, layer);
  CHECK(spell(g.wrong) ==
        "joined2: expected at most 8 parts that add up to 8, got 2 that add up to 7; "
        "change the parts' extents");
  graph empty;
  const ops::part zeros[] = {{.zeros = 3}};
  ops::concat(empty, zeros, 1, 0, layer);
  CHECK(empty.wrong.wrong());
}

TEST_CASE("A sum of two shapes names both", "[ops]") {
  for (const auto op : {ops::add, ops::subtract, ops::multiply}) {
    graph g;
    const i32 a = add_tensor(g, shape(2, 16, 8, 8));
    op(g, a, add_tensor(g, shape(2, 32, 8, 8)), {"add", 0, ""});
    CHECK(spell(g.wrong) ==
          "add: expected two values of one shape, got 16x8x8 and 32x8x8; "
          "make the branches meet, or project one of them");
  }
}

TEST_CASE("The gradient of a concat is one split, that of a split one concat", "[ops]") {
  graph g;
  const i32 a = add_tensor(g, shape(2, 3), {.differentiable = true});
  const i32 b = add_tensor(g, shape(2, 4));
  const ops::part parts[] = {{a}, {b}, {.zeros = 1}};
  const i32 y = ops::concat(g, parts, 3, 0, layer);
  differentiate_from(g, {y});
  const operation& split = g.operations.back();
  CHECK(split.what == kind::split);
  CHECK(split.out[0] >= 0);
  CHECK(split.out[1] < 0);
  CHECK(outputs_of(split) == 1);

  graph h;
  const i32 x = add_tensor(h, shape(2, 6), {.differentiable = true});
  const i32 extents[] = {1, 2, 3};
  const auto cut = ops::split(h, x, extents, 3, 0, layer);
  const differentiated d = differentiate_from(h, {cut[1], cut[2]});
  const operation& joined = h.operations.back();
  CHECK(h.operations.size() == 2);
  CHECK(joined.what == kind::concat);
  CHECK(joined.in[0] < 0);
  CHECK(joined.in[1] == d.seeds[0]);
  CHECK(joined.out[0] == d.gradients[x]);
}

}  // namespace
