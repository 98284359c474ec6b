// Products of attention with samples innermost against sums in double over the defining formula.

#include <tessera/ops/sizes.hpp>

#include "host_support.hpp"

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

/// y = scale a b of (heads, rows, inner) and (heads, inner, columns) a sample, each perhaps
/// transposed in memory.
void check_product(i32 samples, i32 heads, i32 rows, i32 inner, i32 columns, i32 transposed,
                   element type) {
  CAPTURE(samples, heads, rows, inner, columns, transposed, name_of(type));
  matmul_sizes n{samples, heads, rows, inner, columns, {}, {}, {}};
  const auto lay = [&](i32(&to)[4], i32 r, i32 c, bool turned) {
    to[0] = 1;
    to[1] = r * c * samples;
    to[2] = (turned ? 1 : c) * samples;
    to[3] = (turned ? r : 1) * samples;
  };
  lay(n.a, rows, inner, (transposed & 1) != 0);
  lay(n.b, inner, columns, (transposed & 2) != 0);
  lay(n.y, rows, columns, (transposed & 4) != 0);
  // Numbers as the samples have them, one sample after the other.
  const numbers a = random_numbers(i64{samples} * heads * rows * inner, 1);
  const numbers b = random_numbers(i64{samples} * heads * inner * columns, 2);
  std::vector<bounded_sum> y(at(i64{samples} * heads * rows * columns));
  const auto place = [&](const i32(&t)[4], i64 size, i64 s, i64 h, i64 r, i64 c) {
    return at(s * size + (h * t[1] + r * t[2] + c * t[3]) / samples);
  };
  for (i64 s = 0; s < samples; ++s) {
    for (i64 h = 0; h < heads; ++h) {
      for (i64 r = 0; r < rows; ++r) {
        for (i64 c = 0; c < columns; ++c) {
          bounded_sum& sum = y[place(n.y, i64{heads} * rows * columns, s, h, r, c)];
          for (i64 k = 0; k < inner; ++k) {
            sum.add(0.25 * a[place(n.a, i64{heads} * rows * inner, s, h, r, k)] *
                    b[place(n.b, i64{heads} * inner * columns, s, h, k, c)]);
          }
        }
      }
    }
  }
  std::vector<std::byte> single;
  for (const i32 threads : {1, 2}) {
    host_call product(kind::matmul, true);
    product.step.threads = threads;
    product.attr.product.scale = 0.25f;
    n.write(product.s);
    product.in(0, a, type, samples);
    product.in(1, b, type, samples);
    product.out(0, static_cast<i64>(y.size()), type, samples);
    product.run();
    CHECK(excess(product.result(0), y, inner, type) <= 0);
    if (threads == 1) single = product.bytes(0);
    CHECK(product.bytes(0) == single);
  }
}

}  // namespace

TEST_CASE("products with samples innermost are the sums they stand for", "[backends][host]") {
  for (const element type : {element::f32, element::f16}) {
    check_product(16, 2, 9, 5, 11, 0, type);    // less than a tile at both ends
    check_product(32, 1, 8, 16, 8, 2, type);    // scores
    check_product(16, 1, 13, 40, 70, 1, type);  // more columns than a panel has
    check_product(16, 1, 41, 530, 9, 4, type);  // a sum in pieces, rows in blocks
    check_product(48, 3, 7, 3, 20, 0, type);    // without panels
  }
}
