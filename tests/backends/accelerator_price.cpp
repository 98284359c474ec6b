#include <tessera/backends/accelerator/price.hpp>

#include <support/catch.hpp>

#include "accelerator_support.hpp"

using namespace tessera;
using namespace tessera::testing;
using namespace tessera::accelerator;

namespace {

constexpr signature dense_signature(kind what, dense_sizes n, element type) {
  signature s;
  s.what = what;
  s.batch_last = n.batch % 16 == 0;
  n.write(s);
  s.set_type(0, type);
  s.set_type(1, type);
  s.set_type(8, type);
  return s;
}

constexpr signature conv_signature(kind what, conv_sizes n, element type) {
  signature s = dense_signature(what, {n.batch, 1, 1}, type);
  n.write(s);
  return s;
}

constexpr signature elementwise_signature(kind what, i32 count, element type) {
  signature s;
  s.what = what;
  elementwise_sizes{count}.write(s);
  s.set_type(0, type);
  s.set_type(8, type);
  return s;
}

constexpr conv_sizes lenet_conv1{32, 1, 28, 28, 6, 28, 28, 5, 5, 1, 1, 2, 2, 1, 1, 1};

/// Products of a convolution, its padding left out: counted one by one along each axis.
constexpr i64 products(const conv_sizes& n) {
  const auto pairs = [](i32 out, i32 in, i32 kernel, i32 stride, i32 pad, i32 dilation) {
    i64 count = 0;
    for (i32 q = 0; q < out; ++q) {
      for (i32 tap = 0; tap < kernel; ++tap) {
        const i32 cell = q * stride - pad + tap * dilation;
        if (cell >= 0 && cell < in) ++count;
      }
    }
    return count;
  };
  return i64{n.batch} * n.out_channels * n.group_in() *
         pairs(n.out_height, n.in_height, n.kernel_height, n.stride_height, n.pad_top,
               n.dilation_height) *
         pairs(n.out_width, n.in_width, n.kernel_width, n.stride_width, n.pad_left,
               n.dilation_width);
}

/// A machine of `tiles` on which data comes at `bytes` a cycle.
constexpr machine with(i32 tiles, i32 bytes) {
  machine m = ipu_mk1;
  m.tiles = tiles;
  m.exchange.bytes_16ths = 16 * bytes;
  return m;
}

}  // namespace

TEST_CASE("a small product's price is its formulas written out", "[backends]") {
  // One tile: 16 samples, 16 inputs, 8 outputs, halves.
  constexpr machine one = with(1, 4);
  constexpr signature s = dense_signature(kind::dense, {16, 16, 8}, element::f16);
  constexpr operation_price p = price(one, s);
  STATIC_REQUIRE(p.vertices == 1);
  STATIC_REQUIRE(p.macs == 16 * 16 * 8);
  // Samples as the field: 3 for the busiest worker, but 2 take longer; 50 + 19 + 15 + 32 + 6 x 40.
  // As weights the 16 samples would need two groups. Then 128 sums are rounded: 22 for the busiest
  // worker, 11 vectors of two.
  STATIC_REQUIRE(p.compute_cycles == 50 + 19 + 15 + 32 + 240 + (30 + 6 * (25 + 11)));
  // x 512 bytes, weights 256, at 4 a cycle.
  STATIC_REQUIRE(p.exchange_bytes == 768);
  STATIC_REQUIRE(p.exchange_cycles == 100 + 192);
  STATIC_REQUIRE(p.sync_cycles == 90);
  STATIC_REQUIRE(p.peak_tile_bytes == 768 + 128 * 4);
  // Field once per group of 8 outputs, weights once, sums written once; received bytes are written;
  // at the end each sum is read and a half is written.
  STATIC_REQUIRE(p.sram_bytes == 512 + 256 + 512 + 768 + 128 * 6);
  STATIC_REQUIRE(p.vector_ops == 128);
  STATIC_REQUIRE(p.energy_fJ == 2048 * i64{2000} + 128 * 900 + i64{2816} * 12600 + 768 * 800);
}

TEST_CASE("sums that are cut cost a second exchange", "[backends]") {
  // 4 tiles and 64 inputs for one group of outputs: each tile takes 16 inputs.
  static constexpr machine four = with(4, 1000);
  static constexpr signature s = dense_signature(kind::dense, {16, 64, 8}, element::f16);
  constexpr mapping cut = [] {
    mapping m = map(four, s);
    m.block[axis_b] = 16;
    m.block[axis_o] = 8;
    m.block[axis_c] = 16;
    return m;
  }();
  STATIC_REQUIRE(cut.partials() == 4);
  STATIC_REQUIRE(cut.output_blocks() == 1);
  constexpr operation_price p = price(four, s, cut);
  STATIC_REQUIRE(p.vertices == 4);
  // Each of 4 tiles adds up 32 of the 128 sums: 3 x 32 come from the others.
  STATIC_REQUIRE(p.exchange_bytes == 4 * 768 + 4 * (3 * 32 * 4));
  STATIC_REQUIRE(p.sync_cycles == 180);
  STATIC_REQUIRE(p.exchange_cycles == 100 + 1 + 100 + 1);
  // 3 additions of 32: 6 for the busiest worker, 3 vectors; then rounding, once.
  STATIC_REQUIRE(p.compute_cycles ==
                 50 + 19 + 15 + 32 + 240 + (30 + 6 * (25 + 3 * 3)) + (30 + 6 * (25 + 3)));
}

TEST_CASE("elementwise operations run where their operands lie", "[backends]") {
  constexpr operation_price p =
      price(ipu_mk1, elementwise_signature(kind::tanh, 100000, element::f16));
  // 83 elements a tile, rounded up to 96.
  STATIC_REQUIRE(p.vertices == 1042);
  STATIC_REQUIRE(p.exchange_bytes == 0);
  STATIC_REQUIRE(p.exchange_cycles == 0);
  STATIC_REQUIRE(p.compute_cycles == 30 + 6 * (25 + 2 * 4));
  STATIC_REQUIRE(p.sram_bytes == 4 * 100000);
  STATIC_REQUIRE(p.vector_ops == 100000);
}

TEST_CASE("a mapping covers every output and every product once", "[backends]") {
  random_values random(21);
  for (i32 round = 0; round < 200; ++round) {
    const i32 groups = random.whole(1, 3);
    const i32 kernel = random.whole(1, 4);
    const conv_sizes n =
        conv_of(random.whole(1, 40), groups * random.whole(1, 9), random.whole(4, 12),
                random.whole(4, 12), groups * random.whole(1, 9), kernel, random.whole(1, 4),
                random.whole(1, 3), random.whole(0, 2), 1, groups);
    if (n.out_height < 1 || n.out_width < 1) continue;
    const machine m = with(random.whole(1, 1300), 4);
    for (const kind what :
         {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
      const signature s = conv_signature(what, n, element::f16);
      const mapping cut = map(m, s);
      CHECK(cut.vertices() <= m.tiles);
      for (i32 a = 0; a < axis_count; ++a) {
        i32 covered = 0;
        for (i32 i = 0; i < cut.count(a); ++i) {
          CHECK(cut.begin(a, i) == covered);
          CHECK(cut.size(a, i) > 0);
          covered += cut.size(a, i);
        }
        CHECK(covered == cut.of.extent[a]);
      }
      const operation_price p = price(m, s, cut);
      CHECK(p.macs == products(n));  // whichever of the three it is
      CHECK(p.vertices == cut.vertices());
      // No tile computes faster than its peak, none receives faster than its link.
      CHECK(p.compute_cycles * m.tiles * matrix_cost::peak_macs(m, element::f16) >= p.macs);
      CHECK(p.exchange_cycles * m.tiles * 4 >= p.exchange_bytes);
    }
  }
}

TEST_CASE("spans are the cells that the windows of a block touch", "[backends]") {
  random_values random(22);
  i64 wrong = 0;
  for (i32 round = 0; round < 2000; ++round) {
    problem p;
    p.kernel[0] = random.whole(1, 4);
    p.stride[0] = random.whole(1, 3);
    p.pad[0] = random.whole(0, 3);
    p.dilation[0] = random.whole(1, 2);
    const i32 reach = (p.kernel[0] - 1) * p.dilation[0] + 1;
    const i32 in = random.whole(reach, reach + 12);
    const i32 out = (in + 2 * p.pad[0] - reach) / p.stride[0] + 1;
    p.transposed = round % 2 == 1;
    p.cells[0] = p.transposed ? out : in;
    const i32 positions = p.transposed ? in : out;
    const i32 first = random.whole(0, positions - 1);
    const i32 size = random.whole(1, positions - first);
    i32 low = 1 << 20;
    i32 high = -1;
    for (i32 q = 0; q < out; ++q) {
      for (i32 s = 0; s < p.kernel[0]; ++s) {
        const i32 cell = q * p.stride[0] + s * p.dilation[0] - p.pad[0];
        const i32 position = p.transposed ? cell : q;
        const i32 fetched = p.transposed ? q : cell;
        if (cell < 0 || cell >= in || position < first || position >= first + size) continue;
        low = std::min(low, fetched);
        high = std::max(high, fetched);
      }
    }
    const cell_span span = span_of(p, 0, first, size);
    // With strides and dilation a block may touch fewer cells than its span; never others.
    if (high >= 0 && (span.begin > low || span.begin + span.count <= high)) ++wrong;
    const bool exact = p.stride[0] == 1 && p.dilation[0] == 1;
    if (exact && high >= 0 && (span.begin != low || span.count != high - low + 1)) ++wrong;
    if (span.begin < 0 || span.begin + span.count > p.cells[0]) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("twice the tiles never slow a product that splits evenly", "[backends]") {
  for (i32 tiles = 16; tiles <= 512; tiles *= 2) {
    const signature s = dense_signature(kind::dense, {512, 512, 512}, element::f16);
    CHECK(price(with(2 * tiles, 4), s).cycles() <= price(with(tiles, 4), s).cycles());
  }
  const signature s = conv_signature(kind::conv2d, lenet_conv1, element::f16);
  CHECK(price(with(1216, 8), s).cycles() <= price(with(1216, 4), s).cycles());
}

TEST_CASE("the price of a step is the sum over its operations", "[backends]") {
  constexpr signature step[] = {
      conv_signature(kind::conv2d, lenet_conv1, element::f16),
      elementwise_signature(kind::tanh, 150528, element::f16),
      conv_signature(kind::conv2d_weight_gradient, lenet_conv1, element::f16)};
  constexpr step_price total = price(ipu_mk1, step, 3);
  STATIC_REQUIRE(total.macs == 2 * products(lenet_conv1));
  STATIC_REQUIRE(total.cycles() == price(ipu_mk1, step[0]).cycles() +
                                       price(ipu_mk1, step[1]).cycles() +
                                       price(ipu_mk1, step[2]).cycles());
  STATIC_REQUIRE(total.peak_tile_bytes <= ipu_mk1.tile_bytes);
  CHECK(seconds(ipu_mk1, total) == Approx(static_cast<double>(total.cycles()) / 1.6e9));
  CHECK(utilization(ipu_mk1, total, element::f16) < 1);
}

TEST_CASE("random convolutions count what was priced", "[backends]") {
  constexpr machine odd = with(37, 3);
  random_values random(23);
  i64 tried = 0;
  for (i32 round = 0; round < 60; ++round) {
    const i32 groups = random.whole(1, 3);
    const conv_sizes n = conv_of(
        round % 2 == 0 ? 16 : random.whole(1, 9), groups * random.whole(1, 20), random.whole(1, 9),
        random.whole(1, 9), groups * random.whole(1, 20), random.whole(1, 4), random.whole(1, 4),
        random.whole(1, 3), random.whole(0, 3), random.whole(1, 2), groups);
    if (n.out_height < 1 || n.out_width < 1) continue;
    for (const kind what :
         {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
      model_case m = conv_case(what, n, round % 3 == 0 ? element::f32 : element::f16,
                               round % 2 == 0, round % 5 == 0);
      random.fill_inputs(m);
      CHECK(run_on_model<odd>(m, 1 + round % 2).total == price(odd, m.sizes));
      ++tried;
    }
  }
  CHECK(tried > 60);
}

TEST_CASE("a tile needs its share of the plan and its largest vertex", "[backends]") {
  constexpr memory_summary memory = [] {
    memory_summary m;
    m.total_bytes = 1216 * 200'000 - 5;
    return m;
  }();
  STATIC_REQUIRE(tile_bytes(memory, 1000, ipu_mk1) == 201'000);
  STATIC_REQUIRE(fits(memory, 262144 - 200'000, ipu_mk1));
  STATIC_REQUIRE(!fits(memory, 262144 - 200'000 + 1, ipu_mk1));
  STATIC_REQUIRE(misfit(memory, 1000, ipu_mk1).empty());
  STATIC_REQUIRE(
      misfit(memory, 118'464, ipu_mk1) ==
      "memory: every tile of ipu_mk1 needs 311 KiB (196 KiB of the plan, 116 KiB for the "
      "largest vertex), it has 256 KiB; use more tiles, recompute, or a smaller batch");
  STATIC_REQUIRE(spell_bytes(1023) == "1023 bytes");
  STATIC_REQUIRE(spell_bytes(1025) == "2 KiB");
  STATIC_REQUIRE(spell_bytes(20 * 1024 * 1024) == "20 MiB");
}

TEST_CASE("the fullest tiles are those of some operation's vertices", "[backends]") {
  constexpr machine m = with(10, 4);
  memory_summary memory;
  memory.total_bytes = 100'000;
  memory.arena_bytes = 60'000;
  // Alive beside the 40,000 bytes that stay: 20,000, 60,000, 40,000.
  const buffer buffers[] = {{0, 20'000, 0, 1, 0}, {1, 40'000, 1, 2, 20'000}};
  operation_price prices[3];
  prices[0].peak_tile_bytes = 1'000, prices[0].vertices = 10;
  prices[1].peak_tile_bytes = 2'000, prices[1].vertices = 10;
  prices[2].peak_tile_bytes = 8'000, prices[2].vertices = 3;
  const tile_need need = find_need(memory, buffers, 2, prices, 3, m);
  CHECK(need.operation == 2);
  CHECK(need.alive_bytes == 80'000);
  CHECK(need.share_bytes == 8'000);
  CHECK(need.bytes() == 16'000);
  CHECK(need.tiles == 3);
  CHECK(misfit(need, m, text<64>("conv2d"), text<64>("c1")).empty());
  machine small = m;
  small.tile_bytes = 12'000;
  CHECK(misfit(need, small, text<64>("conv2d"), text<64>("c1")) ==
        "memory: tiles 0 to 2 of ipu_mk1 need 16 KiB for conv2d of c1 (8 KiB of what is alive, "
        "8 KiB for their vertices), each has 12 KiB; use more tiles (20 would hold it), recompute, "
        "or a smaller batch");
}

TEST_CASE("a product that is too large for its tile is done in pieces", "[backends]") {
  // 512 x 512 x 512 halves on 4 tiles of 256 KiB: operands and sums of a quarter take 768 KiB.
  machine m = with(4, 4);
  m.tile_bytes = 256 * 1024;
  for (const kind what : {kind::dense, kind::dense_data_gradient, kind::dense_weight_gradient}) {
    const signature s = dense_signature(what, {512, 512, 512}, element::f16);
    const mapping cut = map(m, s);
    const operation_price p = price(m, s, cut);
    CHECK(cut.of.rounds > 1);
    CHECK(p.peak_tile_bytes <= working_bytes(m));
    CHECK(p.macs == i64{512} * 512 * 512);
    CHECK(p.sync_cycles >= cut.of.rounds * m.exchange.sync_cycles);
    CHECK(p.exchange_cycles >= cut.of.rounds * m.exchange.startup_cycles);
    machine large = m;
    large.tile_bytes = 16 * 1024 * 1024;
    CHECK(map(large, s).of.rounds == 1);
    CHECK(price(large, s).cycles() < p.cycles());
  }
}

TEST_CASE("the bound that rules is what takes the most cycles", "[backends]") {
  operation_price p;
  p.compute_cycles = 100, p.exchange_cycles = 50, p.sync_cycles = 40, p.sram_cycles = 99;
  CHECK(bound_of(p) == bound::compute);
  p.sram_cycles = 100;
  CHECK(bound_of(p) == bound::sram);
  p.sync_cycles = 60;
  CHECK(bound_of(p) == bound::exchange);
  p.offchip_cycles = 111;
  CHECK(bound_of(p) == bound::offchip);

  // Ports of 8 bytes a cycle for three operands of two bytes: units would take a quarter of it.
  machine narrow = with(1, 4);
  narrow.sram = {.read_ports = 1, .port_bytes = 8};
  const operation_price sum = price(narrow, elementwise_signature(kind::copy, 60000, element::f16));
  CHECK(sum.sram_cycles == 60000 * 4 / 8);
  CHECK(sum.compute_cycles == sum.sram_cycles);
  CHECK(bound_of(sum) == bound::sram);
}

TEST_CASE("a step that is too large for the chip waits for memory beside it", "[backends]") {
  machine m = with(16, 400);
  m.clock_hz = 1'000'000'000;
  m.offchip.read_bytes_per_second = 1'000'000'000;  // a byte a cycle
  CHECK(lies_off_chip(m, m.tile_bytes * 16 + 1));
  CHECK(!lies_off_chip(m, m.tile_bytes * 16));
  CHECK(!lies_off_chip(with(16, 400), i64{1} << 40));
  const i64 room = working_bytes(m) * 16;

  // x (64, 1024), weights (1024, 1024), y (64, 1024) fit together: each moves once.
  const signature s = dense_signature(kind::dense, {64, 1024, 1024}, element::f16);
  const operation_price in = price(m, s);
  const operation_price out = price(m, s, {.off_chip = true});
  CHECK(in.offchip_bytes == 0);
  CHECK(out.offchip_bytes == 2 * (64 * 1024 + 1024 * 1024 + 64 * 1024));
  const i64 read = 2 * (64 * 1024 + 1024 * 1024) - room / 2;
  CHECK(out.stall_cycles == read - in.cycles());
  CHECK(out.cycles() == read);
  CHECK(bound_of(out) == bound::offchip);
  machine waits = m;
  waits.dma.overlap = false;
  CHECK(price(waits, s, {.off_chip = true}).stall_cycles == out.offchip_bytes);

  // Operands of 32 MiB each: with pieces a x b of the product one is read b times, the other a.
  const signature large = dense_signature(kind::dense, {4096, 4096, 4096}, element::f16);
  const i64 each = i64{4096} * 4096 * 2;
  i64 least = -1;
  for (i64 a = 1; a <= 4096; a *= 2) {
    for (i64 b = 1; b <= 4096; b *= 2) {
      if (each / a + each / b + each / a / b > room) continue;
      if (least < 0 || each * (a + b) < least) least = each * (a + b);
    }
  }
  CHECK(price(m, large, {.off_chip = true}).offchip_bytes == least + each);
}
