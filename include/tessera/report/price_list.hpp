#pragma once

// The price of a step, operation by operation: what every table, picture and trace of prices shows.
//
//   price_list list = list_prices(graph, machine);       // of a graph that is made at run time
//   price_list list = list_prices<job, machine>();       // of a job: report/job_prices.hpp
//
// Operations stand in the order of the graph, each with the price of one run and how often a step
// runs it. Loops are spans of that order.

#include <tessera/backends/accelerator/fits.hpp>
#include <tessera/backends/accelerator/step_signatures.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/report/flow.hpp>
#include <tessera/report/labels.hpp>
#include <string>
#include <vector>

namespace tessera {

/// An operation of a step and what it costs.
struct priced_operation {
  std::string layer;  // who asked for it: "layer3.1-5.conv2"
  kind what = kind::none;
  phase part = phase::forward;
  signature of;
  const user_operation* user = nullptr;  // the definition of a user's operation
  i64 runs = 1;                          // in a step, all trips of all loops counted
  i64 macs = 0;  // of one run, those with padding not counted; 0 where it is no matrix product
  element type = element::f32;         // of the matrix unit's operands
  accelerator::operation_price once;   // one run by itself
  i64 kept = 0;                        // runs that find their weights as the run before left them
  accelerator::operation_price later;  // one of those
  i64 alive_bytes = 0;                 // of the step while it runs, all memory that is in use

  accelerator::operation_price all() const {
    accelerator::operation_price p = once.times(runs - kept);
    return kept > 0 ? p += later.times(kept) : p;
  }
};

/// Operations `begin` to `end - 1` run `trips` times, one after another.
struct priced_loop {
  i32 begin = 0;
  i32 end = 0;
  i64 trips = 1;
};

struct price_list {
  machine on;
  i32 batch = 0;
  std::vector<priced_operation> operations;
  std::vector<priced_loop> loops;  // outer ones before those inside
  accelerator::step_price total;
  memory_summary memory;
  accelerator::tile_need need;  // of the fullest tiles
  std::string misfit;           // why that is more than they have; empty where it is not

  double seconds() const { return accelerator::seconds(on, total); }
  double samples_per_second() const { return batch / seconds(); }
  bool fits() const { return misfit.empty() && !lies_off_chip(); }
  /// Does it lie in memory beside the chip, for want of room on it? Only vertices need tiles then.
  bool lies_off_chip() const { return accelerator::lies_off_chip(on, memory.total_bytes); }
};

/// Does the matrix unit do the work of `s`? Additive scores and the like are vector work.
constexpr bool is_product(const signature& s) {
  const accelerator::family what = accelerator::family_of(s.what);
  return what == accelerator::family::forward || what == accelerator::family::data_gradient ||
         what == accelerator::family::weight_gradient || what == accelerator::family::attention;
}

/// The narrower type of a product's second operand decides which rate the matrix unit has.
constexpr element product_type(const signature& s) {
  return s.has_input(1) ? s.input_type(1) : element::f32;
}

/// Multiplications that the machine could have done in `cycles` cycles with operands of `type`.
inline double room_for_macs(const machine& m, i64 cycles, element type) {
  return static_cast<double>(cycles) * m.tiles *
         static_cast<double>(matrix_cost::peak_macs(m, type));
}

/// Share of the matrix units' rate that the wanted multiply-adds of `op` reach, padding not
/// counted; 0 where it is no product.
inline double utilization(const machine& m, const priced_operation& op) {
  const i64 cycles = op.all().cycles();
  if (cycles <= 0) return 0;
  return static_cast<double>(op.macs * op.runs) / room_for_macs(m, cycles, op.type);
}

/// The same of a whole step: the time that its products would take at the matrix units' rate, as a
/// share of the time of all.
inline double utilization(const price_list& list) {
  double least = 0;
  for (const priced_operation& op : list.operations) {
    least += static_cast<double>(op.macs * op.runs) / room_for_macs(list.on, 1, op.type);
  }
  const i64 cycles = list.total.cycles();
  return cycles > 0 ? least / static_cast<double>(cycles) : 0;
}

/// What an operation waits for most: "compute", "SRAM", "exchange", "sync" or "off-chip".
inline const char* ruling_phase(const accelerator::operation_price& p) {
  const accelerator::bound rules = accelerator::bound_of(p);
  if (rules == accelerator::bound::exchange && p.sync_cycles > p.exchange_cycles) return "sync";
  return accelerator::name_of(rules);
}

/// What of an operation's energy went where, in femtojoules.
struct energy_split {
  i64 arithmetic = 0;
  i64 memory = 0;  // on chip
  i64 exchange = 0;
  i64 offchip = 0;
  i64 leakage = 0;
};

constexpr energy_split split_energy(const machine& m, const accelerator::operation_price& p) {
  energy_split e;
  e.memory = p.sram_bytes * m.energy.sram_byte;
  e.exchange = p.exchange_bytes * m.energy.exchange_byte;
  e.leakage = m.energy.leaked(p.cycles(), m.clock_hz);
  e.offchip = p.offchip_bytes * m.energy.dram_byte;
  e.arithmetic = p.energy_fJ - e.memory - e.exchange - e.offchip - e.leakage;
  return e;
}

namespace detail {

/// `price_of(i, kept)` is what one run of operation `i` of the graph costs; `kept`: one that finds
/// its weights as the run before left them.
template <class PriceOf>
price_list list_prices(const graph& g, const machine& m, const memory_summary& memory,
                       const PriceOf& price_of) {
  price_list list;
  list.on = m;
  list.batch = g.batch;
  list.memory = memory;
  const std::vector<phase> phases = find_phases(g);
  const passes::liveness live = passes::find_liveness(g);
  const grow<i64> alive = passes::bytes_alive(live.buffers.data(), live.buffers.size());
  const i64 always = memory.total_bytes - memory.arena_bytes - memory.scratchpad_bytes;
  std::vector<accelerator::operation_price> once(static_cast<std::size_t>(g.operations.size()));
  const grow<i32> bodies = bodies_of_operations(g);
  std::vector<i32> row_of;  // by operation: how many rows stand before it
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const operation& op = g.operations[i];
    row_of.push_back(static_cast<i32>(list.operations.size()));
    if (is_loop_end(op.what)) continue;
    priced_operation row;
    row.layer = spell_layer(g, op);
    row.what = op.what;
    row.part = phases[static_cast<std::size_t>(i)];
    row.of = ops::sign(g, op);
    row.user = op.attr.user;
    row.runs = runs_of(g, bodies[i]);
    row.type = product_type(row.of);
    row.once = once[static_cast<std::size_t>(i)] = price_of(i, false);
    row.alive_bytes = always + (i < alive.size() ? alive[i] : 0);
    row.macs = is_product(row.of) ? row.once.macs : 0;
    row.kept = runs_with_kept_weights(g, op, bodies[i]);
    row.later = row.kept > 0 ? price_of(i, true) : row.once;
    list.total += row.all();
    list.operations.push_back(row);
  }
  list.need = accelerator::find_need(memory, live.buffers.data(), live.buffers.size(), once.data(),
                                     g.operations.size(), m);
  if (list.need.operation >= 0) {
    const operation& op = g.operations[list.need.operation];
    list.misfit = accelerator::misfit(list.need, m, text<64>(ops::name_of(op.what)),
                                      text<64>(spell_layer(g, op).c_str()))
                      .view();
  }
  const grow<loop_span> loops = find_loops(g);
  for (i32 body = 1; body < g.bodies.size(); ++body) {
    if (loops[body].begin < 0) continue;
    list.loops.push_back({row_of[static_cast<std::size_t>(loops[body].begin)],
                          row_of[static_cast<std::size_t>(loops[body].end)], g.bodies[body].trips});
  }
  std::stable_sort(list.loops.begin(), list.loops.end(),
                   [](const priced_loop& a, const priced_loop& b) {
                     return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
                   });
  return list;
}

}  // namespace detail

/// The prices of a graph whose memory was planned before.
inline price_list list_prices(const graph& g, const machine& m, const memory_summary& memory) {
  const accelerator::step_signatures step = accelerator::sign_step(g);
  const bool outside = accelerator::lies_off_chip(m, memory.total_bytes);
  std::vector<accelerator::operation_price> prices[2];
  for (const accelerator::counted_signature& s : step.distinct) {
    for (const bool kept : {false, true}) {
      prices[kept].push_back(
          kept && s.kept == 0
              ? accelerator::operation_price{}
              : accelerator::price(m, s.of,
                                   {.kept_weights = kept, .off_chip = outside, .user = s.user}));
    }
  }
  return detail::list_prices(g, m, memory, [&](i32 i, bool kept) {
    return prices[kept][static_cast<std::size_t>(step.number_of[i])];
  });
}

inline price_list list_prices(const graph& g, const machine& m) {
  return list_prices(g, m, passes::plan_step(g).memory);
}

}  // namespace tessera
