#pragma once

// Prices as JSON.

#include <tessera/io/json.hpp>
#include <tessera/report/price_table.hpp>

namespace tessera {

/// {"cycles": ..., "compute_cycles": ..., ..., "peak_tile_bytes": ...}
inline io::json to_json(const accelerator::operation_price& p) {
  return {{"cycles", p.cycles()},
          {"compute_cycles", p.compute_cycles},
          {"exchange_cycles", p.exchange_cycles},
          {"sync_cycles", p.sync_cycles},
          {"macs", p.macs},
          {"vector_ops", p.vector_ops},
          {"sram_bytes", p.sram_bytes},
          {"exchange_bytes", p.exchange_bytes},
          {"sram_cycles", p.sram_cycles},
          {"offchip_bytes", p.offchip_bytes},
          {"offchip_cycles", p.offchip_cycles},
          {"stall_cycles", p.stall_cycles},
          {"energy_fJ", p.energy_fJ},
          {"vertices", p.vertices},
          {"peak_tile_bytes", p.peak_tile_bytes}};
}

/// The totals of a step: its price, and what follows from it on this machine.
inline io::json total_to_json(const price_list& list) {
  const energy_split energy = split_energy(list.on, list.total);
  io::json total = to_json(list.total);
  total["arithmetic_energy_fJ"] = energy.arithmetic;
  total["sram_energy_fJ"] = energy.memory;
  total["exchange_energy_fJ"] = energy.exchange;
  total["offchip_energy_fJ"] = energy.offchip;
  total["leakage_energy_fJ"] = energy.leakage;
  total["microseconds"] = 1e6 * list.seconds();
  total["samples_per_second"] = list.samples_per_second();
  total["utilization"] = utilization(list);
  total["plan_bytes"] = list.memory.total_bytes;
  total["tile_bytes"] = list.need.bytes();
  total["fits"] = list.fits();
  total["lies_off_chip"] = list.lies_off_chip();
  total["ruled_by"] = accelerator::name_of(accelerator::bound_of(list.total));
  if (!list.misfit.empty()) total["misfit"] = list.misfit;
  return total;
}

/// {"machine": ..., "batch": ..., "total": {...}, "operations": [{...}, ...]}. The prices of an
/// operation are those of all its runs, so that they add up to the total.
inline io::json to_json(const price_list& list) {
  io::json rows = io::json::array();
  for (const priced_operation& op : list.operations) {
    io::json row{{"layer", op.layer},
                 {"operation", ops::name_of(op.what)},
                 {"part", name_of(op.part)},
                 {"runs", op.runs},
                 {"utilization", utilization(list.on, op)},
                 {"ruled_by", ruling_phase(op.once)}};
    row.update(to_json(op.all()));
    rows.push_back(row);
  }
  return {{"machine", list.on.name}, {"clock_hz", list.on.clock_hz},
          {"tiles", list.on.tiles},  {"sram_bytes_per_tile", list.on.tile_bytes},
          {"batch", list.batch},     {"total", total_to_json(list)},
          {"operations", rows}};
}

}  // namespace tessera
