#include <tessera/backends/host/elementwise.hpp>

#include "host_support.hpp"

// Elementwise operations against scalar formulas, with lengths that leave partial vectors, in
// place and by two threads.

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t at(i64 i) { return static_cast<std::size_t>(i); }

/// |a - b| within `ulps` of the type's unit at b.
bool close(double a, double b, element type, double ulps) {
  if (std::isnan(b)) return std::isnan(a);
  if (a == b) return true;
  const double unit = type == element::f32 ? 0x1p-24 : rounding_of(type);
  const double least = type == element::f16 ? 0x1p-25 : type == element::bf16 ? 0x1p-134 : 0x1p-149;
  return std::abs(a - b) <= std::max(2 * ulps * unit * std::abs(b), least);
}

template <class Wanted>
void check_unary(kind what, double ulps, Wanted wanted) {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i64 count : {1, 5, 8, 31, 64, 10007}) {
      CAPTURE(name_of(type), count);
      numbers x = random_numbers(count, 1);
      x[0] = -0.0;
      if (count > 6) {
        x[1] = std::nan("");
        x[2] = HUGE_VAL;
        x[3] = -HUGE_VAL;
        x[4] = 100;
        x[5] = -100;
      }
      host_call c(what, false);
      elementwise_sizes{static_cast<i32>(count)}.write(c.s);
      c.step.threads = 2;
      c.in(0, x, type);
      c.out(0, count, type);
      c.run();
      const numbers y = c.result(0);
      i64 wrong = 0;
      for (i64 i = 0; i < count; ++i)
        wrong += close(y[at(i)], wanted(x[at(i)]), type, ulps) ? 0 : 1;
      CHECK(wrong == 0);
      host_call same(what, false);
      elementwise_sizes{static_cast<i32>(count)}.write(same.s);
      same.in(0, x, type);
      same.out_in_place(0, 0, count, type, 0);
      same.run();
      CHECK(same.bytes(0) == c.bytes(0));
    }
  }
}

template <class Wanted>
void check_binary(kind what, i32 over, Wanted wanted) {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i64 count : {1, 5, 8, 31, 64, 10007}) {
      CAPTURE(name_of(type), count);
      const numbers a = random_numbers(count, 1);
      const numbers b = random_numbers(count, 2);
      host_call c(what, false);
      elementwise_sizes{static_cast<i32>(count)}.write(c.s);
      c.step.threads = 2;
      c.in(0, a, type);
      c.in(1, b, type);
      c.out(0, count, type);
      c.run();
      const numbers y = c.result(0);
      i64 wrong = 0;
      for (i64 i = 0; i < count; ++i) {
        // Two roundings in f32 of numbers whose parts are at most 8.
        const double w = wanted(a[at(i)], b[at(i)]);
        const double bound = 8 * 0x1p-22 + rounding_of(type) * std::abs(w);
        wrong += std::abs(y[at(i)] - w) <= bound ? 0 : 1;
      }
      CHECK(wrong == 0);
      host_call same(what, false);
      elementwise_sizes{static_cast<i32>(count)}.write(same.s);
      same.in(0, a, type);
      same.in(1, b, type);
      same.out_in_place(0, over, count, type, 0);
      same.run();
      CHECK(same.bytes(0) == c.bytes(0));
    }
  }
}

}  // namespace

TEST_CASE("relu keeps -0 and NaN", "[backends][host]") {
  check_unary(kind::relu, 0, [](double x) { return x < 0 ? 0.0 : x; });
  for (const element type : {element::f32, element::f16, element::bf16}) {
    host_call c(kind::relu, false);
    elementwise_sizes{1}.write(c.s);
    c.in(0, {-0.0}, type);
    c.out(0, 1, type);
    c.run();
    CHECK(std::signbit(c.result(0)[0]));
  }
}

TEST_CASE("tanh and sigmoid are within 2 units, and rounded once to 16 bits", "[backends][host]") {
  check_unary(kind::tanh, 2, [](double x) { return std::tanh(x); });
  check_unary(kind::sigmoid, 2, [](double x) { return 1 / (1 + std::exp(-x)); });
}

TEST_CASE("gradients of activations read the output", "[backends][host]") {
  check_binary(kind::relu_gradient, 1, [](double y, double dy) { return y > 0 ? dy : 0.0; });
  check_binary(kind::tanh_gradient, 1, [](double y, double dy) { return dy * (1 - y * y); });
  check_binary(kind::sigmoid_gradient, 1, [](double y, double dy) { return dy * y * (1 - y); });
}

TEST_CASE("add adds", "[backends][host]") {
  check_binary(kind::add, 0, [](double a, double b) { return a + b; });
}

TEST_CASE("cast rounds to nearest even", "[backends][host]") {
  const numbers x = {0,     -0.0,  1,       1 + 0x1p-11, 1 + 0x1p-11 + 0x1p-20,
                     65519, 65520, 0x1p-25, 0x1p-24,     -3.14159265};
  const numbers rounded = {0, -0.0, 1, 1, 1 + 0x1p-10, 65504, HUGE_VAL, 0, 0x1p-24, -3.140625};
  const auto cast = [](const numbers& from, element from_type, element to_type) {
    host_call c(kind::cast, false);
    elementwise_sizes{static_cast<i32>(from.size())}.write(c.s);
    c.in(0, from, from_type);
    c.out(0, static_cast<i64>(from.size()), to_type);
    c.run();
    return c.result(0);
  };
  CHECK(cast(x, element::f32, element::f16) == rounded);
  CHECK(cast(rounded, element::f16, element::f32) == rounded);
  CHECK(cast(rounded, element::f16, element::f16) == rounded);
  CHECK(cast(rounded, element::f32, element::f32) == rounded);
  const numbers coarse = {0, -0.0, 1, 1, 1, 65536, 65536, 0x1p-25, 0x1p-24, -3.140625};
  CHECK(cast(x, element::f32, element::bf16) == coarse);
  CHECK(cast(coarse, element::bf16, element::f32) == coarse);
  CHECK(cast(rounded, element::f16, element::bf16)[4] == 1);
  CHECK(cast(coarse, element::bf16, element::f16)[5] == HUGE_VAL);
}

TEST_CASE("dropout draws the documented mask", "[backends][host]") {
  for (const element type : {element::f32, element::f16, element::bf16}) {
    for (const i64 count : {1, 3, 64, 100, 9999}) {
      for (const i32 threads : {1, 2}) {
        host_call c(kind::dropout, false);
        elementwise_sizes{static_cast<i32>(count)}.write(c.s);
        c.attr.rate = 0.25f;
        c.attr.salt = 3;
        c.step.seed = 42;
        c.step.step = 7;
        c.step.threads = threads;
        const numbers x = random_numbers(count, 5);
        c.in(0, x, type);
        c.out(0, count, type);
        c.run();
        const numbers y = c.result(0);
        const philox generator{42, 3};
        i64 wrong = 0;
        for (i64 i = 0; i < count; ++i) {
          const random_block block = generator((u64{7} << 32) + static_cast<u64>(i / 4));
          const bool drop = uniform(block[static_cast<i32>(i % 4)]) < 0.25f;
          wrong += close(y[at(i)], drop ? 0 : x[at(i)] / 0.75, type, 1) ? 0 : 1;
        }
        CHECK(wrong == 0);
      }
    }
  }
}
