#include <tessera/machine/presets.hpp>

#include <support/catch.hpp>

#include <tessera/machine/matrix_cost.hpp>

using namespace tessera;

TEST_CASE("every preset prices products of every type, at no more than its peak", "[machine]") {
  for (const machine* m : accelerator::machines) {
    INFO(m->name);
    for (const element type : {element::int8, element::f16, element::bf16, element::f32}) {
      const i64 peak = matrix_cost::peak_macs(*m, type);
      CHECK(peak >= 1);
      i64 before = 0;
      for (const i64 size : {1, 5, 16, 33, 100, 257}) {
        const i64 cycles = matrix_cost::product(*m, size, size, size, type);
        CHECK(cycles * peak >= size * size * size);
        CHECK(cycles >= before);
        CHECK(matrix_cost::product(*m, 2 * size, size, size, type) >= cycles);
        // All operands are read, all results written.
        CHECK(matrix_cost::sram_bytes(*m, size, size, size, type) >=
              2 * size * size * bytes_of(type) + size * size);
        before = cycles;
      }
      CHECK(matrix_cost::product(*m, 30, 9, 4, type, {3, 3, 2, 2}) > 0);
    }
  }
}

TEST_CASE("presets are found by name", "[machine]") {
  using namespace accelerator;
  STATIC_REQUIRE(machines.size() == 12);
  STATIC_REQUIRE(*find_machine("tpu_v1") == tpu_v1);
  STATIC_REQUIRE(find_machine("tpu_v") == nullptr);
  STATIC_REQUIRE(find_machine("") == nullptr);
  for (const machine* m : machines) {
    CHECK(find_machine(m->name) == m);
    CHECK(m->matrix.keeps_order());
  }
  // Published rates: 92 TOPS, 22.9 TFLOP/s, 350 GB/s.
  CHECK(2e-12 *
            static_cast<double>(matrix_cost::peak_macs(tpu_v1, element::int8) * tpu_v1.clock_hz) ==
        Approx(92).epsilon(0.01));
  CHECK(2e-12 * static_cast<double>(matrix_cost::peak_macs(tpu_v2_core, element::bf16) *
                                    tpu_v2_core.clock_hz) ==
        Approx(22.9).epsilon(0.01));
}
