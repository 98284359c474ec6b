#include <tessera/machine/offchip_cost.hpp>

#include <support/catch.hpp>

using namespace tessera;

TEST_CASE("transfers from memory take whole bursts, latency and the rate", "[machine]") {
  machine m;
  m.clock_hz = 500'000'000;
  m.offchip = {.read_bytes_per_second = 500'000'000, .latency_cycles = 64, .burst_bytes = 128};
  m.dma.setup_cycles = 10;
  CHECK(offchip_cost::read(m, 0) == 0);
  CHECK(offchip_cost::read(m, 1) == 10 + 64 + 128);
  CHECK(offchip_cost::read(m, 1000) == 10 + 64 + 1024);
  CHECK(offchip_cost::read(m, 1000, 100) == 10 + 64 + 10 * 128);  // each row its own burst
  CHECK(offchip_cost::write(m, 1000) == 10 + 64 + 1024);
  m.offchip.write_bytes_per_second = 250'000'000;
  CHECK(offchip_cost::write(m, 1024) == 10 + 64 + 2048);
  CHECK(offchip_cost::read_and_write(m, 1024, 1024) == 10 + 64 + 2048);
  m.dma.engines = 1;
  CHECK(offchip_cost::read_and_write(m, 1024, 1024) == 2 * (10 + 64) + 1024 + 2048);
  // Four channels at a quarter of the rate each: three bursts take as long as four.
  m.offchip.channels = 4;
  CHECK(offchip_cost::read(m, 3 * 128) == 10 + 64 + 4 * 128);
  CHECK(offchip_cost::read(m, 5 * 128) == 10 + 64 + 8 * 128);
  // 1 TiB at 34 GB/s and 0.7 GHz: products beyond 64 bits.
  STATIC_REQUIRE(offchip_cost::ceil_scaled(i64{1} << 40, 700'000'000, 34'000'000'000) ==
                 22'637'004'102);
  STATIC_REQUIRE(offchip_cost::ceil_scaled(65536, 700'000'000, 34'000'000'000) == 1350);
  STATIC_REQUIRE(offchip_cost::ceil_scaled(7, 3, 2) == 11);
  STATIC_REQUIRE(offchip_cost::ceil_scaled(6, 3, 2) == 9);
  // Vela: the first of n equal blocks fills, the longer of the two goes on.
  STATIC_REQUIRE(offchip_cost::blocks(10, 30, 20) == 320);
  STATIC_REQUIRE(offchip_cost::blocks(10, 20, 30) == 320);
  STATIC_REQUIRE(offchip_cost::blocks(10, 20, 30, false) == 500);
}

TEST_CASE("weights that stream in let an array multiply, shift or wait", "[machine]") {
  machine m;
  m.clock_hz = 1'000'000'000;
  m.matrix.form = matrix_form::systolic;
  m.matrix.rows = m.matrix.cols = 16;
  m.offchip.read_bytes_per_second = 1'000'000'000;  // a fold of 256 bytes in 256 cycles
  const auto of = [&](i64 rows) { return offchip_cost::streamed(m, rows, 32, 17, element::int8); };
  CHECK(of(10).folds == 4);
  // Few rows: 10 cycles to multiply, 16 to shift, 230 to wait.
  CHECK(of(10).active == 10);
  CHECK(of(10).shift == 16);
  CHECK(of(10).stall == 230);
  // 250 rows: the shift ends where the next weights come; 300: nothing is waited for.
  CHECK(of(250).shift == 6);
  CHECK(of(250).stall == 0);
  CHECK(of(300).period() == 300);
  CHECK(of(300).cycles() == 1200);
  // Weights that are not double-buffered are shifted in between.
  m.matrix.double_buffered_weights = false;
  CHECK(of(300).period() == 316);
  CHECK(of(10).period() == 256);
  // Without engines beside the units everything takes its turn.
  m.dma.overlap = false;
  CHECK(of(300).period() == 300 + 16 + 256);
  // Edges of weights fill folds of their own, unless they are one stream.
  CHECK(offchip_cost::streamed(m, 1, 32, 17, element::int8, false).folds == 3);
}
