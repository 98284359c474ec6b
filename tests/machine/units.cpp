#include <tessera/machine.hpp>

#include <support/catch.hpp>

using namespace tessera;
using accelerator::ipu_mk1;
using accelerator::ipu_mk2;

namespace {

template <machine M>
constexpr i64 sram_of() {
  return M.tiles * M.tile_bytes;
}

}  // namespace

TEST_CASE("a machine is a template argument, and its sums are the published ones", "[machine]") {
  STATIC_REQUIRE(sram_of<ipu_mk1>() == 304 * 1024 * 1024);  // Poplar's report: 304.0 MB
  STATIC_REQUIRE(sram_of<ipu_mk2>() == 897 * 1024 * 1024);  // 897.0 MB
  const auto teraflops = [](const machine& m, element type) {
    return 2e-12 * static_cast<double>(matrix_cost::peak_macs(m, type)) * m.tiles *
           static_cast<double>(m.clock_hz);
  };
  CHECK(teraflops(ipu_mk1, element::f16) == Approx(124.5).epsilon(0.001));
  CHECK(teraflops(ipu_mk1, element::f32) == Approx(31.1).epsilon(0.002));
  CHECK(teraflops(ipu_mk2, element::f32) == Approx(62.5).epsilon(0.005));
  const double exchange = 1e-12 * ipu_mk1.exchange.bytes_16ths / 16.0 * ipu_mk1.tiles *
                          static_cast<double>(ipu_mk1.clock_hz);
  CHECK(exchange == Approx(7.78).epsilon(0.001));  // TB/s
}

TEST_CASE("an IPU's workers take the cycles that poplibs states", "[machine]") {
  STATIC_REQUIRE(matrix_cost::amp_worker(0, 4) == 20);
  STATIC_REQUIRE(matrix_cost::amp_worker(1, 4) == 31);
  STATIC_REQUIRE(matrix_cost::amp_worker(2, 4) == 40);
  STATIC_REQUIRE(matrix_cost::amp_worker(3, 4) == 37);
  STATIC_REQUIRE(matrix_cost::amp_worker(10, 4) == 65);
  STATIC_REQUIRE(matrix_cost::amp_worker(10, 8) == 93);
  // 60 positions: six workers with 10 each.
  STATIC_REQUIRE(matrix_cost::amp_barrel(60, 6, 4) == 6 * 65);
  // 17 positions: five workers with 3, one with 2, which takes longer.
  STATIC_REQUIRE(matrix_cost::amp_barrel(17, 6, 4) == 6 * 40);
  // One group of 16 inputs and 8 outputs: 50 + 19 + 15, 256 bytes of weights at 8 a cycle, workers.
  STATIC_REQUIRE(matrix_cost::amp(ipu_mk1, 60, 16, 8, element::f16) == 50 + 19 + 15 + 32 + 390);
  // Two groups of inputs, two of outputs.
  STATIC_REQUIRE(matrix_cost::amp(ipu_mk1, 60, 17, 9, element::f16) ==
                 50 + 2 * (19 + 2 * (15 + 32 + 390)));
}

TEST_CASE("long fields come close to the peak of the matrix unit, and never beyond", "[machine]") {
  for (const machine& m : {ipu_mk1, ipu_mk2, accelerator::small_array}) {
    for (const element type : {element::f16, element::f32}) {
      const i64 peak = matrix_cost::peak_macs(m, type);
      for (const i64 rows : {1, 7, 64, 1000}) {
        for (const i64 in : {1, 16, 100}) {
          for (const i64 cols : {1, 8, 33}) {
            CHECK(matrix_cost::product(m, rows, in, cols, type) * peak >= rows * in * cols);
          }
        }
      }
      const i64 cycles = matrix_cost::product(m, 60000, 16, 8, type);
      const double share = 60000.0 * 16 * 8 / static_cast<double>(cycles * peak);
      CHECK(share > (m.matrix.form == matrix_form::amp ? 0.99 : 0.49));  // 8 of 16 columns
    }
  }
}

TEST_CASE("the vector unit shares one slot among its workers", "[machine]") {
  const vector_unit& v = ipu_mk1.vector;
  // 1,000 halves: 167 for the busiest of six workers, 42 vectors of 4.
  STATIC_REQUIRE(vector_cost::vectors(ipu_mk1.vector, 1000, element::f16) == 42);
  STATIC_REQUIRE(vector_cost::elementwise(ipu_mk1.vector, 1000, element::f16, 1) ==
                 30 + 6 * (25 + 42));
  // A tanh of halves takes 2 cycles a vector.
  STATIC_REQUIRE(vector_cost::elementwise(ipu_mk1.vector, 1000, element::f16,
                                          ipu_mk1.vector.tanh_f16) == 30 + 6 * (25 + 84));
  // To f16: the wider side has 84 vectors.
  STATIC_REQUIRE(vector_cost::cast(ipu_mk1.vector, 1000, element::f32, element::f16) ==
                 6 * (84 + 26));
  // 8 partial sums of 100: 7 additions of 9 vectors each.
  STATIC_REQUIRE(vector_cost::reduce(ipu_mk1.vector, 8, 100) == 30 + 6 * (25 + 7 * 9));
  STATIC_REQUIRE(vector_cost::reduce(ipu_mk1.vector, 1, 100) == 0);
  // t(1000) with 8 lanes: 125, 16, 2, and 1 for the rest.
  STATIC_REQUIRE(vector_cost::tree(1000, 8) == 125 + 16 + 2 + 1);
  STATIC_REQUIRE(vector_cost::tree(8, 8) == 1);
  // 4 rows of 12 outputs, windows of 4: a worker has a row and 2 vectors.
  STATIC_REQUIRE(vector_cost::pool(ipu_mk1.vector, 48, 4, 4, element::f16) ==
                 30 + 6 * (33 + 30 + 3 * 4 * 2));
  // A lock-step machine: 32 lanes, no workers to start.
  STATIC_REQUIRE(vector_cost::elementwise(accelerator::small_array.vector, 1000, element::f16, 1) ==
                 10 + 32);
  CHECK(vector_cost::elementwise(v, 0, element::f16, 1) == 0);
}

TEST_CASE("an exchange costs its start and the bytes of the busiest tile", "[machine]") {
  STATIC_REQUIRE(exchange_cost::transfer(ipu_mk1.exchange, 0) == 0);
  STATIC_REQUIRE(exchange_cost::transfer(ipu_mk1.exchange, 1) == 101);
  STATIC_REQUIRE(exchange_cost::transfer(ipu_mk1.exchange, 4000) == 1100);
  // 2.5 bytes a cycle, in sixteenths.
  STATIC_REQUIRE(exchange_cost::transfer({.bytes_16ths = 40}, 100) == 40);
}

TEST_CASE("lock-step threads work together, a barrel's in turn", "[machine]") {
  vector_unit v{.threads = 8, .lanes_f32 = 128, .lanes_f16 = 128};
  v.issue = issue_form::lockstep;
  CHECK(vector_cost::elementwise(v, 10240, element::f32, 1) == 10);
  CHECK(vector_cost::peak(v, element::f32) == 1024);
  v.issue = issue_form::barrel;
  CHECK(vector_cost::elementwise(v, 10240, element::f32, 1) == 80);
  CHECK(vector_cost::peak(v, element::f32) == 128);
  CHECK(v.lanes(element::int8) == 128);
  v.lanes_i8 = 512;
  CHECK(v.lanes(element::int8) == 512);
}

TEST_CASE("an array that knows several dataflows takes the cheapest", "[machine]") {
  machine m = accelerator::small_array;
  const auto cycles = [&](i64 rows, i64 in, i64 cols) {
    return matrix_cost::product(m, rows, in, cols, element::f16);
  };
  for (const i64 rows : {1, 40, 1000}) {
    for (const i64 in : {3, 100, 900}) {
      m.matrix.flows = {};
      i64 least = 0;
      for (const dataflow flow : {dataflow::output_stationary, dataflow::weight_stationary}) {
        m.matrix.flow = flow;
        const i64 c = cycles(rows, in, 64);
        least = least == 0 || c < least ? c : least;
      }
      m.matrix.flows = {.output_stationary = true, .weight_stationary = true};
      CHECK(cycles(rows, in, 64) == least);
    }
  }
  // Wider operands pass the array several times.
  m.matrix.passes_32 = 4;
  CHECK(matrix_cost::product(m, 40, 100, 64, element::f32) == 4 * cycles(40, 100, 64));
}
