// Multi-dimensional LSTM and Grid LSTM: gradients of all parameters and inputs against central
// differences.

#include <tessera/nn.hpp>
#include <tessera/runtime/gradient_check.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

namespace {

using namespace tessera;
using namespace tessera::testing;

void check(const graph& g, const bundle& y) {
  REQUIRE_FALSE(g.wrong.wrong());
  std::vector<i32> outputs;
  for (const value item : y) outputs.push_back(item.id);
  const gradient_report r = check_gradients(g, {.rtol = 1e-6, .atol = 1e-8, .outputs = outputs});
  INFO(r.message);
  CHECK(r.ok());
  CHECK(r.kinks == 0);
}

struct started {
  graph g;
  builder b;
  value x;

  started(const shape& dims, i32 stack, i32 batch) : b(g, batch, purpose::training) {
    x = b.input(dims, element::f32, stack);
    g.tensors[x.id].differentiable = true;
  }
};

TEST_CASE("gradients of a multi-dimensional LSTM agree with differences", "[gradients]") {
  for (const auto& [rows, columns] :
       {std::pair{2, 3}, std::pair{1, 1}, std::pair{1, 3}, std::pair{3, 1}}) {
    for (const bool peepholes : {false, true}) {
      for (const i32 directions : {1, 4}) {
        INFO(rows << "x" << columns << ", peepholes " << peepholes << ", from " << directions);
        started s(shape(rows, columns, 2), 2, rows == 1 ? 16 : 2);
        check(s.g, detail::build_mdlstm(s.b, s.x, 2, {peepholes, directions, true}));
      }
    }
  }
}

TEST_CASE("gradients of a Grid LSTM agree with differences", "[gradients]") {
  for (const auto& [time, depth] :
       {std::pair{2, 3}, std::pair{1, 1}, std::pair{1, 3}, std::pair{3, 1}}) {
    for (i32 form = 0; form < 8; ++form) {
      INFO("time " << time << ", depth " << depth << ", form " << form);
      grid_lstm_options o;
      o.shared_depth = (form & 1) != 0;
      o.lstm_output = (form & 2) != 0;
      if ((form & 4) != 0) o.priority[o.priorities++] = form & 1;
      o.states = true;
      started s(shape(time, 2), 1, time == 1 ? 16 : 2);
      check(s.g, detail::build_grid_lstm(s.b, s.x, 2, depth, o));
    }
  }
}

TEST_CASE("gradients of blocks of several dimensions agree with differences", "[gradients]") {
  for (const i32 dimensions : {1, 3, 4}) {
    INFO(dimensions);
    graph g;
    builder b(g, 2, purpose::training);
    bundle x;
    for (i32 i = 0; i < 2 * dimensions; ++i) {
      x.items[x.size++] = {add_tensor(g, shape(2, 2), {.differentiable = true})};
    }
    grid_lstm_options o;
    for (i32 d = dimensions - 1; d > 1; --d) o.priority[o.priorities++] = d;
    check(g, detail::build_grid_block(b, x, 2, dimensions, o));
  }
}

TEST_CASE("gradients of networks over grids agree with differences", "[gradients]") {
  using four = network<grid<2, 2, 2>, mdlstm<2, peepholes, directions<4>>, mdlstm<1>>;
  using climbing = network<sequence<3, 2>, grid_lstm<2, 2>, grid_lstm<2, 3, shared_depth>>;
  for (const auto& r : {check_gradients<four, mse>(3), check_gradients<climbing, mse>(2)}) {
    INFO(r.message);
    CHECK(r.ok());
  }
}

}  // namespace
