#include <tessera/ops/matmul.hpp>

#include <support/catch.hpp>
#include <support/graphs.hpp>

#include <tessera/backends/reference.hpp>
#include <tessera/ops/work.hpp>
#include <tessera/runtime/interpreter.hpp>

#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

/// Where an element of an operand lies for leading indices of the product, as numpy repeats them.
i64 place(const shape& dims, const shape& y, const i32* index, i32 row, i32 column) {
  i64 at = 0;
  for (i32 axis = 0; axis + 2 < dims.rank; ++axis) {
    const i32 of_y = axis + y.rank - dims.rank;
    at = at * dims[axis] + (dims[axis] == 1 ? 0 : index[of_y]);
  }
  return (at * dims[dims.rank - 2] + row) * dims[dims.rank - 1] + column;
}

std::vector<double> some(i64 count, double step) {
  std::vector<double> values;
  for (i64 i = 0; i < count; ++i) values.push_back(static_cast<double>(i * 7 % 13) * step - 1);
  return values;
}

/// Multiplies and compares with the definition.
void check_product(const shape& a, const shape& b, bool batched_a, bool batched_b, bool transpose_a,
                   bool transpose_b, bool last) {
  graph g;
  const i32 left = add_tensor(g, a, {.batched = batched_a, .batch_last = last});
  const i32 right = add_tensor(g, b, {.batched = batched_b, .batch_last = last});
  const i32 product = ops::matmul(g, left, right, transpose_a, transpose_b, {"test", 0, ""});
  INFO(spell(g.wrong).view());
  REQUIRE_FALSE(g.wrong.wrong());
  keep(g, product);
  interpreter net(g, &reference::find_kernel);
  const std::vector<double> x = some(a.count(), 0.25);
  const std::vector<double> w = some(b.count(), 0.5);
  net.write(left, x);
  net.write(right, w);
  net.run({.valid = 1});
  const std::vector<double> got = net.read(product);
  const shape y = net.network().tensors[product].dims;
  const i32 inner = a[a.rank - (transpose_a ? 2 : 1)];
  std::vector<double> want;
  i64 leading = 1;
  for (i32 axis = 0; axis + 2 < y.rank; ++axis) leading *= y[axis];
  for (i64 l = 0; l < leading; ++l) {
    i32 index[shape::max_rank] = {};
    i64 rest = l;
    for (i32 axis = y.rank - 3; axis >= 0; --axis) {
      index[axis] = static_cast<i32>(rest % y[axis]);
      rest /= y[axis];
    }
    for (i32 r = 0; r < y[y.rank - 2]; ++r) {
      for (i32 c = 0; c < y[y.rank - 1]; ++c) {
        double sum = 0;
        for (i32 k = 0; k < inner; ++k) {
          const i64 from_a = place(a, y, index, transpose_a ? k : r, transpose_a ? r : k);
          const i64 from_b = place(b, y, index, transpose_b ? c : k, transpose_b ? k : c);
          sum += x[static_cast<std::size_t>(from_a)] * w[static_cast<std::size_t>(from_b)];
        }
        want.push_back(sum);
      }
    }
  }
  CHECK(got == want);
  CHECK(ops::macs_of(g, g.operations[0]) == leading * y[y.rank - 2] * y[y.rank - 1] * inner);
}

}  // namespace

TEST_CASE("matmul repeats leading extents as numpy does, in both layouts", "[ops]") {
  for (const bool last : {false, true}) {
    check_product(shape(3, 4), shape(4, 5), false, false, false, false, last);
    check_product(shape(4, 3), shape(5, 4), false, false, true, true, last);
    check_product(shape(2, 3, 4), shape(2, 4, 5), true, true, false, false, last);
    check_product(shape(2, 3, 4), shape(4, 5), true, false, false, false, last);
    check_product(shape(3, 4), shape(2, 4, 5), false, true, false, false, last);
    check_product(shape(2, 4, 3), shape(2, 5, 4), true, true, true, true, last);
    check_product(shape(2, 1, 3, 4), shape(1, 3, 4, 5), true, false, false, false, last);
    check_product(shape(1, 3, 3, 4), shape(2, 1, 4, 5), false, true, false, false, last);
    check_product(shape(2, 3, 3, 4), shape(3, 4, 5), true, false, false, false, last);
    check_product(shape(2, 3, 2, 3, 4), shape(2, 3, 2, 4, 5), true, true, false, false, last);
    check_product(shape(2, 3, 2, 3, 4), shape(2, 1, 1, 4, 5), true, true, false, false, last);
    check_product(shape(1, 2, 3), shape(1, 3, 2), true, true, false, false, last);
  }
}

TEST_CASE("matrices that do not fit are refused", "[ops]") {
  graph g;
  const i32 a = add_tensor(g, shape(2, 3, 4));
  ops::matmul(g, a, add_tensor(g, shape(2, 5, 6)), false, false, {"test", 0, ""});
  CHECK(spell(g.wrong) ==
        "test: expected matrices that can be multiplied, got 2x3x4 and 2x5x6; make the columns of "
        "the first the rows of the second, and leading extents equal");
}
