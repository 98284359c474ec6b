#include <tessera/machine/dots_cost.hpp>

#include <tessera/machine.hpp>

#include <support/catch.hpp>

using namespace tessera;
using dots_cost::window;

namespace {

constexpr auto bytes = element::int8;

constexpr i64 conv(const machine& m, i64 positions, i64 channels, i64 filters, window w) {
  return dots_cost::product(m, positions, channels * w.taps(), filters, bytes, w);
}

}  // namespace

TEST_CASE("Ethos-U55 takes 4 cycles for a micro-block of 32 inputs, or loads weights",
          "[machine]") {
  using accelerator::ethos_u55_256;
  using accelerator::ethos_u55_32;
  // 64 positions are 16 micro-blocks of 2 x 2: 64 cycles, of which 32 load 32 x 8 weights.
  STATIC_REQUIRE(conv(ethos_u55_256, 64, 32, 8, {1, 1}) == 64);
  STATIC_REQUIRE(conv(ethos_u55_256, 128, 32, 8, {1, 1}) == 128);
  STATIC_REQUIRE(conv(ethos_u55_256, 64, 33, 9, {1, 1}) == 4 * 64);  // two groups of each
  // Few positions: weights at 8 bytes a cycle.
  STATIC_REQUIRE(conv(ethos_u55_256, 1, 320, 80, {1, 1}) == 10 * 10 * 32);
  // 3 x 3 cells of 8 channels: three steps of 4 cells beat nine of one.
  STATIC_REQUIRE(conv(ethos_u55_256, 64, 8, 8, {3, 3}) == 3 * 64);
  STATIC_REQUIRE(conv(ethos_u55_256, 64, 32, 8, {3, 3}) == 9 * 64);  // 32 channels fill one
  // 9 x 9 cells are worked on in pieces of 8 x 8: 16 + 2 + 2 + 1 steps.
  STATIC_REQUIRE(dots_cost::tap_steps({9, 9}, 4) == 21);
  STATIC_REQUIRE(dots_cost::tap_steps({3, 3}, 1) == 9);
  // A micro-block of one position and 4 channels: 16 positions in 64 cycles.
  STATIC_REQUIRE(conv(ethos_u55_32, 16, 32, 4, {1, 1}) == 64);
  STATIC_REQUIRE(conv(ethos_u55_32, 1600, 32, 4, {1, 1}) * 32 == i64{1600} * 32 * 4);
}

TEST_CASE("Ethos-U55 pools a cell of the window a cycle, four at least", "[machine]") {
  using accelerator::ethos_u55_256;
  // 32 outputs are one micro-block.
  STATIC_REQUIRE(matrix_cost::pool(ethos_u55_256, 320, 1, 9, bytes) == 10 * 9);
  STATIC_REQUIRE(matrix_cost::pool(ethos_u55_256, 321, 1, 2, bytes) == 11 * 4);
  STATIC_REQUIRE(matrix_cost::pool(ethos_u55_256, 320, 1, 9, element::f16) == 2 * 10 * 9);
  // FP32, and machines without, pool on the vector unit.
  STATIC_REQUIRE(matrix_cost::pool(ethos_u55_256, 320, 1, 9, element::f32) ==
                 vector_cost::pool(ethos_u55_256.vector, 320, 1, 9, element::f32));
  STATIC_REQUIRE(matrix_cost::pool(accelerator::ipu_mk1, 320, 1, 9, element::f16) ==
                 vector_cost::pool(accelerator::ipu_mk1.vector, 320, 1, 9, element::f16));
}

TEST_CASE("NVDLA rounds channels and filters up to 16, folds strides, and knows Winograd",
          "[machine]") {
  using accelerator::nvdla_full;
  STATIC_REQUIRE(conv(nvdla_full, 55 * 55, 48, 128, {1, 1}) == 48 * 128 * 3025 / 2048);
  STATIC_REQUIRE(conv(nvdla_full, 128, 3, 100, {1, 1}) == 16 * 112 * 128 / 2048);
  // 13 x 13 x 384 of 3 x 3 x 256, the third layer of AlexNet: 32,448 in the workbook.
  STATIC_REQUIRE(conv(nvdla_full, 169, 256, 384, {3, 3, 1, 1}) == 32448);
  // 112 x 112 x 64 of 7 x 7 x 3 with stride 2: three channels become twelve, padded to 16.
  STATIC_REQUIRE(conv(nvdla_full, 112 * 112, 3, 64, {7, 7, 2, 2}) == 76832);
}

TEST_CASE("tensor cores multiply whole fragments", "[machine]") {
  using accelerator::v100_sm;
  constexpr auto f16 = element::f16;
  STATIC_REQUIRE(dots_cost::product(v100_sm, 16, 16, 16, f16) == 20 + 8);
  STATIC_REQUIRE(dots_cost::product(v100_sm, 17, 16, 16, f16) == 20 + 16);
  STATIC_REQUIRE(dots_cost::product(v100_sm, 16, 16, 16, element::f32) == 20 + 64);
  // 125 TFLOP/s on 80 of them, as published.
  CHECK(2e-12 * 80 * 512 * static_cast<double>(v100_sm.clock_hz) == Approx(125.3).epsilon(0.001));
}

TEST_CASE("what no unit multiplies runs on the vector unit", "[machine]") {
  using accelerator::ethos_u55_256;
  const vector_unit& v = ethos_u55_256.vector;
  const i64 cycles = dots_cost::product(ethos_u55_256, 10, 7, 3, element::f32);
  CHECK(cycles == vector_cost::elementwise(v, 30, element::f32, 7 * v.simple));
  CHECK(matrix_cost::peak_macs(ethos_u55_256, element::f32) == v.lanes_f32);
}
