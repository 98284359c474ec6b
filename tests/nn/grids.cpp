#include <tessera/ir/names.hpp>
#include <tessera/nn.hpp>

#include <support/catch.hpp>

#include <string>
#include <vector>

// Layers over two dimensions: shapes, names and numbers of parameters, messages.

namespace {

using namespace tessera;
using testing::contains;

struct outcome {
  std::string message;
  std::vector<shape> outputs;
  std::vector<std::string> parameters;
  i64 weights = 0;
};

template <layer Layer>
outcome build(const shape& dims, i32 stack, i32 inputs = 1) {
  graph g;
  builder b(g, 2, purpose::training);
  bundle x;
  for (i32 i = 0; i < inputs; ++i) x.items[x.size++] = b.input(dims, element::f32, stack);
  const bundle y = chain<Layer>::build(b, x);
  outcome result;
  result.message = std::string(spell(g.wrong).view());
  if (g.wrong.wrong()) return result;
  for (const value item : y) result.outputs.push_back(b.sample(item));
  for (const tensor& t : g.tensors) {
    if (t.what != role::parameter || t.of >= 0) continue;
    result.parameters.push_back(std::string(full_name(g, t.name).view()));
    result.weights += t.dims.count();
  }
  return result;
}

TEST_CASE("mdlstm gives the states of every cell", "[nn]") {
  const outcome plain = build<mdlstm<3>>(shape(4, 5, 2), 2);
  CHECK(plain.message.empty());
  CHECK(plain.outputs == std::vector<shape>{shape(4, 5, 3)});
  CHECK(plain.weights == 5 * 3 * (2 + 2 * 3 + 1));
  CHECK(plain.parameters ==
        std::vector<std::string>{"mdlstm1.Wx", "mdlstm1.U1", "mdlstm1.U2", "mdlstm1.b"});
  const outcome four = build<mdlstm<3, directions<4>, peepholes, with_cells>>(shape(4, 5, 2), 2);
  CHECK(four.outputs == std::vector<shape>{shape(4, 5, 12), shape(4, 5, 12)});
  CHECK(four.weights == 4 * (5 * 3 * (2 + 2 * 3 + 1) + 5 * 3));
  CHECK(four.parameters[7] == "mdlstm1.d1.Wx");
}

TEST_CASE("a Grid LSTM has the weights of every layer, or of one", "[nn]") {
  const outcome own = build<grid_lstm<3, 4>>(shape(6, 2), 1);
  CHECK(own.message.empty());
  CHECK(own.outputs == std::vector<shape>{shape(6, 3)});
  CHECK(own.weights == 2 * 3 * (2 + 1) + 4 * 2 * 4 * 3 * (2 * 3 + 1));
  CHECK(own.parameters[2] == "depth1.0-3.grid_lstm1.W0");
  const outcome one = build<grid_lstm<3, 4, shared_depth>>(shape(6, 2), 1);
  CHECK(one.weights == 2 * 3 * (2 + 1) + 2 * 4 * 3 * (2 * 3 + 1));
  CHECK(one.parameters[2] == "grid_lstm1.W0");
  const outcome block = build<grid_lstm_block<3, 2, nonlinear<1>, priority<1>>>(shape(3), 0, 4);
  CHECK(block.outputs.size() == 4);
  CHECK(block.weights == (4 * 3 + 3) * (2 * 3 + 1));
}

TEST_CASE("layers over grids say what they expect", "[nn]") {
  CHECK(build<mdlstm<3>>(shape(5, 2), 1).message ==
        "mdlstm1: expected rows x columns x features, got 5x2; start from grid<rows, columns, "
        "features>");
  CHECK(build<grid_lstm<3, 2>>(shape(2), 0).message ==
        "grid_lstm1: expected time x features, and options for dimensions 0 and 1, got 2; start "
        "from sequence<time, features>");
  CHECK_THAT((build<grid_lstm<3, 2, priority<2>>>(shape(4, 2), 1).message),
             contains("options for dimensions 0 and 1"));
  CHECK_THAT((build<grid_lstm_block<3, 2>>(shape(3), 0, 3).message),
             contains("h and m of 2 dimensions"));
  CHECK_THAT((build<grid_lstm_block<4, 2>>(shape(3), 0, 4).message),
             contains("values of 4 features each"));
}

}  // namespace
