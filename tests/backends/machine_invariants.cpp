// What holds for the price of an operation on any machine, whatever its figures.

#include <tessera/backends/accelerator/price.hpp>

#include <support/catch.hpp>

#include <tessera/machine/presets.hpp>

using namespace tessera;
using namespace tessera::accelerator;

namespace {

signature typed(signature s, element type) {
  for (const i32 slot : {0, 1, 8}) s.set_type(slot, type);
  return s;
}

signature dense(kind what, i32 batch, i32 in, i32 out, element type) {
  signature s;
  s.what = what;
  s.batch_last = batch % 16 == 0;
  dense_sizes{batch, in, out}.write(s);
  return typed(s, type);
}

signature conv(kind what, i32 batch, i32 channels, i32 size, i32 filters, i32 kernel, i32 stride,
               element type) {
  signature s;
  s.what = what;
  s.batch_last = batch % 16 == 0;
  const i32 out = (size - 1) / stride + 1;
  conv_sizes n;
  n.batch = batch;
  n.in_channels = channels;
  n.in_height = n.in_width = size;
  n.out_channels = filters;
  n.out_height = n.out_width = out;
  n.kernel_height = n.kernel_width = kernel;
  n.stride_height = n.stride_width = stride;
  n.pad_top = n.pad_left = kernel / 2;
  n.dilation_height = n.dilation_width = 1;
  n.groups = 1;
  n.write(s);
  return typed(s, type);
}

/// Products, small and large, forward and backward, in both widths.
std::vector<signature> products() {
  std::vector<signature> all;
  for (const element type : {element::f16, element::f32}) {
    for (const kind what : {kind::dense, kind::dense_data_gradient, kind::dense_weight_gradient}) {
      all.push_back(dense(what, 1, 100, 10, type));
      all.push_back(dense(what, 64, 512, 256, type));
    }
    for (const kind what :
         {kind::conv2d, kind::conv2d_data_gradient, kind::conv2d_weight_gradient}) {
      all.push_back(conv(what, 1, 3, 32, 16, 5, 2, type));
      all.push_back(conv(what, 16, 32, 14, 64, 3, 1, type));
    }
  }
  return all;
}

double time_of(const machine& m, const signature& s) { return seconds(m, price(m, s)); }

}  // namespace

TEST_CASE("no machine multiplies faster than its units, and every product costs something",
          "[machine_invariants]") {
  for (const machine* m : machines) {
    for (const signature& s : products()) {
      INFO(m->name << ' ' << static_cast<i32>(s.what));
      const operation_price p = price(*m, s);
      const element type = s.input_type(1);
      const double peak = static_cast<double>(matrix_cost::peak_macs(*m, type)) * m->tiles;
      // Windows of 3 x 3 may take 2.25 times fewer multiplications than are counted.
      const double winograd = m->matrix.dots.winograd_16ths / 16.0;
      CHECK(p.macs > 0);
      CHECK(static_cast<double>(p.cycles()) * peak * winograd >= static_cast<double>(p.macs));
      CHECK(p.energy_fJ > 0);
      CHECK(p.peak_tile_bytes > 0);
      // What is received comes at the exchange's rate at best.
      CHECK(static_cast<double>(p.exchange_cycles) * m->exchange.bytes_16ths * m->tiles >=
            16.0 * static_cast<double>(p.exchange_bytes) * 0.999);
    }
  }
}

TEST_CASE("energy is counts times constants", "[machine_invariants]") {
  for (const machine* preset : machines) {
    for (const signature& s : products()) {
      INFO(preset->name << ' ' << static_cast<i32>(s.what));
      const auto energy_of = [&](const energy_costs& e) {
        machine m = *preset;
        m.energy = e;
        return price(m, s).energy_fJ;
      };
      const operation_price p = price(*preset, s);
      const bool wide = bytes_of(s.input_type(1)) == 4;
      CHECK(energy_of({}) == 0);
      CHECK(energy_of({.mac_f16 = 3, .mac_f32 = 7}) == p.macs * (wide ? 7 : 3));
      CHECK(energy_of({.vector_op = 5}) == p.vector_ops * 5);
      CHECK(energy_of({.sram_byte = 5}) == p.sram_bytes * 5);
      CHECK(energy_of({.exchange_byte = 5}) == p.exchange_bytes * 5);
      // A watt for so many cycles.
      const double leaked =
          1e15 * static_cast<double>(p.cycles()) / static_cast<double>(preset->clock_hz);
      CHECK(static_cast<double>(energy_of({.leakage_mw = 1000})) ==
            Approx(leaked).epsilon(1e-6).margin(1));
    }
  }
}

TEST_CASE("a faster clock, a faster exchange, more memory: never slower", "[machine_invariants]") {
  for (const machine* preset : machines) {
    for (const signature& s : products()) {
      INFO(preset->name << ' ' << static_cast<i32>(s.what));
      const double before = time_of(*preset, s);
      machine faster = *preset;
      faster.clock_hz *= 2;
      CHECK(time_of(faster, s) <= before);
      machine wider = *preset;
      wider.exchange.bytes_16ths *= 2;
      CHECK(time_of(wider, s) <= before);
      machine larger = *preset;
      larger.tile_bytes *= 2;
      // Mappings are chosen by estimates, which edges of blocks leave up to a percent off.
      CHECK(time_of(larger, s) <= 1.01 * before);
      machine quicker = *preset;
      quicker.exchange.startup_cycles /= 2;
      quicker.exchange.sync_cycles /= 2;
      CHECK(time_of(quicker, s) <= before);
    }
  }
}

TEST_CASE("twice the tiles never slow what they can share evenly", "[machine_invariants]") {
  machine m = ipu_mk1;
  for (const kind what : {kind::dense, kind::dense_data_gradient, kind::dense_weight_gradient}) {
    const signature s = dense(what, 1024, 512, 512, element::f16);
    m.tiles = 1;
    double before = time_of(m, s);
    for (m.tiles = 2; m.tiles <= 1024; m.tiles *= 2) {
      INFO(static_cast<i32>(what) << " on " << m.tiles);
      const double now = time_of(m, s);
      CHECK(now <= before);
      before = now;
    }
  }
}
