#include <tessera/machine/presets.hpp>
#include <tessera/report/roofline.hpp>
#include <tessera/report/trace.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/well_formed.hpp>

#include <map>
#include <string>

using namespace tessera;
using namespace tessera::testing;

namespace {

constexpr machine mk1 = accelerator::ipu_mk1;

std::vector<price_list> priced_steps() {
  std::vector<price_list> all;
  all.push_back(list_prices(step_of<pictured_lenet>(), mk1));
  all.push_back(list_prices(step_of<pictured_repeat>(), mk1));
  all.push_back(list_prices(recurrent_step(7), accelerator::small_array));
  all.push_back(list_prices(large_step(), accelerator::ipu_mk2));
  machine small = accelerator::tpu_v1;
  small.tile_bytes = 1 << 18;  // so that the step lies outside
  all.push_back(list_prices(large_step(), small));
  REQUIRE(all.back().total.offchip_bytes > 0);
  for (const machine* m : accelerator::machines) all.push_back(list_prices(large_step(), *m));
  return all;
}

bool is_phase(trace_row row) { return row != trace_row::pass && row != trace_row::layer; }

/// Events of one row neither overlap nor leave the step; gives the cycles of each row.
std::map<trace_row, i64> checked_rows(const price_list& list,
                                      const std::vector<trace_event>& events) {
  std::map<trace_row, i64> end, sum;
  for (const trace_event& e : events) {
    CHECK(e.cycles > 0);
    CHECK(e.begin >= end[e.row]);
    end[e.row] = e.begin + e.cycles;
    sum[e.row] += e.cycles;
    CHECK(end[e.row] <= list.total.cycles());
  }
  return sum;
}

}  // namespace

TEST_CASE("a timeline lasts as long as its step, phase by phase", "[report][price]") {
  for (const price_list& list : priced_steps()) {
    for (const i64 most : {most_trace_events, i64{0}}) {
      auto sum = checked_rows(list, trace_events(list, most));
      CHECK(sum[trace_row::compute] == list.total.compute_cycles);
      CHECK(sum[trace_row::exchange] == list.total.exchange_cycles);
      CHECK(sum[trace_row::sync] == list.total.sync_cycles);
      CHECK(sum[trace_row::offchip] == list.total.stall_cycles);
      CHECK(sum[trace_row::pass] == list.total.cycles());
      CHECK(sum[trace_row::layer] == list.total.cycles());
    }
  }
}

TEST_CASE("a timeline shows every trip of a loop, or all of them at once", "[report][price]") {
  const price_list list = list_prices(recurrent_step(7), mk1);
  std::map<i32, i64> unrolled, rolled;
  for (const trace_event& e : trace_events(list)) {
    CHECK(e.runs == 1);
    if (e.row == trace_row::compute) ++unrolled[e.operation];
  }
  for (const trace_event& e : trace_events(list, 0)) {
    if (e.row == trace_row::compute) rolled[e.operation] += e.runs;
  }
  CHECK(unrolled == rolled);
  for (const auto& [operation, runs] : unrolled) {
    CHECK(runs == list.operations[static_cast<std::size_t>(operation)].runs);
  }
}

TEST_CASE("trips of loops in loops follow one another", "[report][price]") {
  price_list list;
  list.on = mk1;
  for (i32 i = 0; i < 4; ++i) {
    priced_operation op;
    op.layer = std::string(1, static_cast<char>('a' + i));
    op.once.compute_cycles = 1;
    op.runs = i == 0 ? 1 : i == 2 ? 6 : 2;
    list.total += op.all();
    list.operations.push_back(op);
  }
  list.loops = {{1, 4, 2}, {2, 3, 3}};
  std::string order;
  for (const trace_event& e : trace_events(list)) {
    if (is_phase(e.row)) order += list.operations[static_cast<std::size_t>(e.operation)].layer;
  }
  CHECK(order == "abcccdbcccd");
}

TEST_CASE("a trace is JSON of complete events in microseconds", "[report][price]") {
  const price_list list = list_prices(step_of<pictured_lenet>(), mk1);
  const std::string text =
      text_of([&](std::ostream& out) { write_trace(out, list, "a \"step\""); });
  const io::json trace = io::parse_json(text, "trace");
  i64 cycles = 0;
  double microseconds = 0;
  i32 rows = 0;
  for (const io::json& e : trace.at("traceEvents")) {
    if (e.at("ph") == "M") {
      rows += e.at("name") == "thread_name" ? 1 : 0;
      continue;
    }
    CHECK(e.at("ph") == "X");
    CHECK(e.at("pid") == 1);
    CHECK(!e.at("name").get<std::string>().empty());
    CHECK(e.at("ts") >= 0);
    CHECK(e.at("dur").get<double>() == Approx(e.at("args").at("cycles").get<double>() / 1.6e3));
    if (e.at("tid") <= 2) continue;
    cycles += e.at("args").at("cycles").get<i64>();
    microseconds += e.at("dur").get<double>();
  }
  CHECK(rows == 6);
  CHECK(cycles == list.total.cycles());
  CHECK(microseconds == Approx(1e6 * list.seconds()));
}

TEST_CASE("points of a roofline lie below the roof", "[report][price]") {
  for (const price_list& list : priced_steps()) {
    const std::vector<roofline_panel> panels = find_rooflines(list);
    std::size_t products = 0;
    for (const priced_operation& op : list.operations) products += op.macs > 0 ? 1 : 0;
    CHECK(panels[1].points.size() == products);
    for (const roofline_panel& panel : panels) {
      for (const roofline_point& p : panel.points) {
        const priced_operation& op = list.operations[static_cast<std::size_t>(p.operation)];
        CHECK(p.rate <= panel.roof(list.on, p.intensity, op.type) * (1 + 1e-12));
      }
    }
    const std::string svg =
        text_of([&](std::ostream& out) { write_roofline_svg(out, list, "<roof & line>"); });
    CHECK(well_formed(svg));
    CHECK(svg.find("&lt;roof") != std::string::npos);
  }
}

TEST_CASE("axes tick at round numbers within their ends", "[report]") {
  const detail::log_axis axis{0.3, 300, 0, 100};
  CHECK(axis.at(0.3) == Approx(0));
  CHECK(axis.at(300) == Approx(100));
  const std::vector<double> ticks = axis.ticks();
  CHECK(ticks.front() == Approx(0.5));
  CHECK(ticks.back() == Approx(200));
  CHECK(detail::chart::spell_tick(0.05) == "0.05");
  CHECK(detail::chart::spell_tick(20000) == "20k");
  CHECK(detail::axis_of({}, 0, 1).high > 1);
}
