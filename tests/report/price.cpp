#include <tessera/report/job_prices.hpp>
#include <tessera/report/price_comparison.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>

#include <sstream>
#include <string>

using namespace tessera;
using namespace tessera::testing;
using accelerator::operation_price;

namespace {

using small = network<image<1, 4, 4>, conv<2, 3>, relu, flatten, dense<3>>;
using small_job = training<small, softmax_cross_entropy, momentum_sgd, batch<2>>;

constexpr machine mk1 = accelerator::ipu_mk1;

operation_price price_in(const io::json& row) {
  operation_price p;
  p.compute_cycles = row.at("compute_cycles");
  p.exchange_cycles = row.at("exchange_cycles");
  p.sync_cycles = row.at("sync_cycles");
  p.macs = row.at("macs");
  p.vector_ops = row.at("vector_ops");
  p.sram_bytes = row.at("sram_bytes");
  p.exchange_bytes = row.at("exchange_bytes");
  p.energy_fJ = row.at("energy_fJ");
  p.vertices = row.at("vertices");
  p.peak_tile_bytes = row.at("peak_tile_bytes");
  p.sram_cycles = row.at("sram_cycles");
  p.offchip_bytes = row.at("offchip_bytes");
  p.offchip_cycles = row.at("offchip_cycles");
  p.stall_cycles = row.at("stall_cycles");
  p.sram_cycles = row.at("sram_cycles");
  p.offchip_bytes = row.at("offchip_bytes");
  p.offchip_cycles = row.at("offchip_cycles");
  p.stall_cycles = row.at("stall_cycles");
  return p;
}

}  // namespace

TEST_CASE("a list of prices adds up to the constant", "[report][price]") {
  const price_list list = list_prices<small_job, mk1>();
  CHECK(list.total == cost<small_job, mk1>);
  CHECK(list.fits());
  CHECK(list.misfit.empty());
  std::ostringstream table;
  report_prices<small_job, mk1>(table);
  CHECK(table.str().find("ruled by ") != std::string::npos);
  const price_list again = list_prices(graph_of<small_job>(), mk1);
  REQUIRE(again.operations.size() == list.operations.size());
  for (std::size_t i = 0; i < list.operations.size(); ++i) {
    CHECK(again.operations[i].once == list.operations[i].once);
  }
  CHECK(again.memory.total_bytes == small_job::memory.total_bytes);
}

TEST_CASE("equal operations are signed once and counted", "[report][price]") {
  for (const graph& g : {step_of<pictured_repeat>(), recurrent_step(7), large_step()}) {
    const accelerator::step_signatures step = accelerator::sign_step(g);
    const price_list list = list_prices(g, mk1);
    i64 runs = 0;
    for (const accelerator::counted_signature& s : step.distinct) runs += s.runs;
    i64 wanted = 0;
    for (const priced_operation& op : list.operations) {
      wanted += op.runs;
      CHECK(op.once == accelerator::price(mk1, op.of));
    }
    CHECK(runs == wanted);
    CHECK(accelerator::price(mk1, step) == list.total);
    CHECK(step.distinct.size() < g.operations.size());
  }
}

TEST_CASE("a trip of a loop is priced as often as it runs", "[report][price]") {
  const price_list short_one = list_prices(recurrent_step(3), mk1);
  const price_list long_one = list_prices(recurrent_step(12), mk1);
  REQUIRE(short_one.loops.size() == long_one.loops.size());
  REQUIRE(!short_one.loops.empty());
  for (const priced_loop& loop : long_one.loops) {
    CHECK(loop.trips == 12);
    CHECK(loop.begin < loop.end);
    for (i32 i = loop.begin; i < loop.end; ++i) {
      CHECK(long_one.operations[static_cast<std::size_t>(i)].runs == 12);
    }
  }
}

TEST_CASE("prices in JSON are those of the list, and add up", "[report][price]") {
  const price_list list = list_prices(step_of<pictured_lenet>(8), mk1);
  const io::json report = io::parse_json(to_json(list).dump(), "report");
  CHECK(report.at("batch") == 8);
  CHECK(price_in(report.at("total")) == list.total);
  operation_price sum;
  for (const io::json& row : report.at("operations")) {
    const operation_price p = price_in(row);
    CHECK(row.at("cycles") == p.cycles());
    CHECK(row.at("utilization") <= 1);
    sum += p;
  }
  CHECK(sum == list.total);
  const io::json& total = report.at("total");
  CHECK(total.at("microseconds") == Approx(static_cast<double>(list.total.cycles()) / 1.6e9 * 1e6));
  CHECK(total.at("samples_per_second") == Approx(8e6 / total.at("microseconds").get<double>()));
  CHECK(total.at("arithmetic_energy_fJ").get<i64>() + total.at("sram_energy_fJ").get<i64>() +
            total.at("exchange_energy_fJ").get<i64>() + total.at("offchip_energy_fJ").get<i64>() +
            total.at("leakage_energy_fJ").get<i64>() ==
        list.total.energy_fJ);
  CHECK(total.at("fits") == true);
}

TEST_CASE("utilization of a step weighs its products by time", "[report][price]") {
  const price_list list = list_prices(step_of<pictured_lenet>(8), mk1);
  double busy = 0;
  for (const priced_operation& op : list.operations) {
    CHECK(utilization(mk1, op) <= 1);
    busy += utilization(mk1, op) * static_cast<double>(op.all().cycles());
  }
  CHECK(utilization(list) == Approx(busy / static_cast<double>(list.total.cycles())));
}

TEST_CASE("a table of prices has a row for every operation and ends in the total",
          "[report][price]") {
  const price_list list = list_prices(step_of<pictured_lenet>(8), mk1);
  std::ostringstream out;
  report_operations(out, list);
  const std::string text = out.str();
  CHECK(std::count(text.begin(), text.end(), '\n') ==
        static_cast<std::ptrdiff_t>(list.operations.size()) + 4);
  CHECK(text.find("conv1  ") != std::string::npos);
  CHECK(text.find(detail::with_commas(list.total.cycles())) != std::string::npos);
  i64 cycles = 0;
  std::size_t rows = 0;
  for (const price_group& group : group_by_layer(list)) {
    cycles += group.total.cycles();
    rows += group.rows.size();
  }
  CHECK(cycles == list.total.cycles());
  CHECK(rows == list.operations.size());
  std::ostringstream total;
  report_total(total, list);
  CHECK(total.str().find("fits\n") != std::string::npos);
}

TEST_CASE("a step that is too large for its machine says why", "[report][price]") {
  machine tiny = mk1;
  tiny.tile_bytes = 1024;
  const price_list list = list_prices(step_of<pictured_lenet>(8), tiny);
  CHECK(!list.fits());
  CHECK(list.misfit.find("has 1 KiB") != std::string::npos);
  CHECK(total_to_json(list).at("misfit") == list.misfit);
  std::ostringstream out;
  report_comparison(out, {row_of(list), row_of(list_prices(step_of<pictured_lenet>(8), mk1))});
  CHECK(out.str().find(" no ") != std::string::npos);
  CHECK(out.str().find(" yes ") != std::string::npos);
}

TEST_CASE("numbers are spelled with three figures and a unit", "[report]") {
  CHECK(detail::spell_scaled(0, "J") == "0 J");
  CHECK(detail::spell_scaled(1.5e-12, "J") == "1.50 pJ");
  CHECK(detail::spell_scaled(0.0123, "J") == "12.3 mJ");
  CHECK(detail::spell_scaled(999.6, "Hz") == "1.00 kHz");
  CHECK(detail::spell_scaled(1.6e9, "Hz") == "1.60 GHz");
  CHECK(detail::with_commas(1234567) == "1,234,567");
  CHECK(detail::with_commas(-999) == "-999");
}
