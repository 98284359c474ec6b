#include <tessera/ops/work.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

using namespace tessera;
using namespace tessera::testing;

TEST_CASE("products count one multiply-add a term, updates one more an element", "[ops]") {
  graph g;
  const i32 x = add_tensor(g, shape(3, 5));
  const i32 w = add_weight(g, shape(4, 5));
  const i32 y = ops::dense(g, x, w, -1, {"dense", 1, ""});
  CHECK(ops::macs_of(g, g.operations[0]) == 3 * 5 * 4);
  CHECK(ops::traffic_of(g, g.operations[0]) == 4 * (15 + 20 + 12));
  operation op;
  op.what = kind::dense_weight_update;
  op.in[0] = x;
  op.in[1] = y;
  op.out[0] = w;
  CHECK(ops::macs_of(g, op) == 3 * 5 * 4 + 4 * 5);
  CHECK(ops::traffic_of(g, op) == 4 * (15 + 12 + 2 * 20));  // the weight is read and written
}

TEST_CASE("convolutions count the terms of each output, in groups of channels", "[ops]") {
  graph g;
  const i32 x = add_tensor(g, shape(2, 4, 6, 6));
  const i32 w = add_weight(g, shape(8, 2, 3, 3));
  window win;
  win.kernel[0] = win.kernel[1] = 3;
  ops::conv2d(g, x, w, -1, win, 2, {"conv", 1, ""});
  REQUIRE_FALSE(g.wrong.wrong());
  CHECK(ops::macs_of(g, g.operations[0]) == 2 * 8 * 4 * 4 * (2 * 3 * 3));
}

TEST_CASE("pooling counts the cells of each window", "[ops]") {
  graph g;
  const i32 x = add_tensor(g, shape(2, 3, 6, 6));
  window win;
  win.kernel[0] = win.kernel[1] = 2;
  win.stride[0] = win.stride[1] = 2;
  ops::pool2d(g, kind::avg_pool2d, x, win, {"pool", 1, ""});
  CHECK(ops::macs_of(g, g.operations[0]) == 2 * 3 * 3 * 3 * 4);
}

TEST_CASE("what moves bytes counts nothing, everything else its largest operand", "[ops]") {
  graph g;
  const i32 x = add_tensor(g, shape(3, 7));
  for (const kind what : {kind::copy, kind::cast}) {
    ops::unary(g, what, x, {"test", 1, ""});
    CHECK(ops::macs_of(g, g.operations[g.operations.size() - 1]) == 0);
  }
  ops::unary(g, kind::sigmoid, x, {"test", 1, ""});
  CHECK(ops::macs_of(g, g.operations[g.operations.size() - 1]) == 21);
  operation bias;
  bias.what = kind::bias_gradient;
  bias.in[1] = x;
  bias.out[0] = add_tensor(g, shape(7));
  CHECK(ops::macs_of(g, bias) == 21);
}
