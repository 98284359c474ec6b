#pragma once

// The price of a step as a table: every operation, layer by layer, and the totals.
//
//   layer  operation          part      runs  compute  exchange  sync  cycles  share   util  ...
//   conv1  conv2d             forward      1    1,204       388    90   1,682  3.1 %  2.4 %  ...
//          conv2d_weight_...  update       1  ...
//
// Utilization is of multiply-adds without those of padding; "ruled by" names what takes most of an
// operation's cycles. Steps that lie in memory beside the chip have two columns more: cycles spent
// waiting for it, which no computing hides, and its bytes.

#include <tessera/report/columns.hpp>
#include <tessera/report/price_list.hpp>
#include <ostream>

namespace tessera {

/// Rows of a price list that belong together, in the order in which the first of each stands.
struct price_group {
  std::string layer;
  std::vector<std::size_t> rows;
  accelerator::step_price total;
};

inline std::vector<price_group> group_by_layer(const price_list& list) {
  std::vector<price_group> groups;
  for (std::size_t i = 0; i < list.operations.size(); ++i) {
    const priced_operation& op = list.operations[i];
    auto at = std::find_if(groups.begin(), groups.end(),
                           [&](const price_group& group) { return group.layer == op.layer; });
    if (at == groups.end()) at = groups.insert(groups.end(), {op.layer, {}, {}});
    at->rows.push_back(i);
    at->total += op.all();
  }
  return groups;
}

inline const char* name_of(phase part) {
  switch (part) {
    case phase::forward: return "forward";
    case phase::backward: return "backward";
    case phase::update: return "update";
  }
  return "?";
}

namespace detail {

/// The cells that every row of prices has.
inline void append_price_cells(std::vector<std::string>& row, const price_list& list,
                               const accelerator::operation_price& p, double used) {
  const auto share =
      static_cast<double>(p.cycles()) / static_cast<double>(std::max<i64>(1, list.total.cycles()));
  for (const i64 n : {p.compute_cycles, p.exchange_cycles, p.sync_cycles, p.cycles()}) {
    row.push_back(with_commas(n));
  }
  row.push_back(spell_share(share));
  row.push_back(used > 0 ? spell_share(used) : "");
  row.push_back(with_commas(p.sram_bytes));
  row.push_back(with_commas(p.exchange_bytes));
  row.push_back(spell_scaled(static_cast<double>(p.energy_fJ) * 1e-15, "J"));
  row.push_back(with_commas(p.vertices));
  if (list.total.offchip_bytes > 0) {
    row.push_back(with_commas(p.stall_cycles));
    row.push_back(with_commas(p.offchip_bytes));
  }
  row.push_back(ruling_phase(p));
}

}  // namespace detail

/// `by_operation` false: one row a layer.
inline void report_operations(std::ostream& out, const price_list& list, bool by_operation = true) {
  std::vector<std::vector<std::string>> rows{
      {"layer", "operation", "part", "runs", "compute", "exchange", "sync", "cycles", "share",
       "util", "sram bytes", "exchanged bytes", "energy", "vertices", "ruled by"}};
  if (list.total.offchip_bytes > 0) {
    rows[0].insert(rows[0].end() - 1, {"stall", "off-chip bytes"});
  }
  for (const price_group& group : group_by_layer(list)) {
    if (!by_operation) {
      double least = 0;
      for (const std::size_t i : group.rows) {
        const priced_operation& op = list.operations[i];
        least += static_cast<double>(op.macs * op.runs) / room_for_macs(list.on, 1, op.type);
      }
      std::vector<std::string> row{group.layer, std::to_string(group.rows.size()) + " operations",
                                   "", ""};
      detail::append_price_cells(
          row, list, group.total,
          least / static_cast<double>(std::max<i64>(1, group.total.cycles())));
      rows.push_back(row);
      continue;
    }
    for (const std::size_t i : group.rows) {
      const priced_operation& op = list.operations[i];
      std::vector<std::string> row{i == group.rows[0] ? group.layer : "", ops::name_of(op.what),
                                   name_of(op.part), detail::with_commas(op.runs)};
      detail::append_price_cells(row, list, op.all(), utilization(list.on, op));
      rows.push_back(row);
    }
  }
  std::vector<std::string> total{"total", "", "", ""};
  detail::append_price_cells(total, list, list.total, utilization(list));
  rows.push_back(total);
  detail::write_columns(out, rows, 3, rows.size() - 1);
}

/// The totals: time, rate, energy, utilization, memory.
inline void report_total(std::ostream& out, const price_list& list) {
  const accelerator::step_price& p = list.total;
  const auto share = [&](i64 cycles) {
    return detail::spell_share(static_cast<double>(cycles) /
                               static_cast<double>(std::max<i64>(1, p.cycles())));
  };
  const auto energy = [](i64 fJ) {
    return detail::spell_scaled(static_cast<double>(fJ) * 1e-15, "J");
  };
  const energy_split e = split_energy(list.on, p);
  out << "cycles           " << detail::with_commas(p.cycles()) << ": compute "
      << share(p.compute_cycles) << ", exchange " << share(p.exchange_cycles) << ", sync "
      << share(p.sync_cycles);
  if (p.offchip_bytes > 0) out << ", waiting for memory off the chip " << share(p.stall_cycles);
  out << "; ruled by " << ruling_phase(p) << "\n";
  out << "time             " << detail::spell_fixed(1e6 * list.seconds(), 1) << " us at "
      << detail::spell_scaled(static_cast<double>(list.on.clock_hz), "Hz") << ", "
      << detail::spell_fixed(list.samples_per_second(), 1) << " samples/s with batch " << list.batch
      << "\n";
  out << "utilization      " << detail::spell_share(utilization(list))
      << " of the matrix units' rate\n";
  out << "energy           " << energy(p.energy_fJ) << ": arithmetic " << energy(e.arithmetic)
      << ", SRAM " << energy(e.memory) << ", exchange " << energy(e.exchange);
  if (e.offchip > 0) out << ", off-chip memory " << energy(e.offchip);
  if (e.leakage > 0) out << ", leakage " << energy(e.leakage);
  out << "\n";
  out << "vertices         " << detail::with_commas(p.vertices) << " on "
      << detail::with_commas(list.on.tiles) << " tiles\n";
  out << "tile             " << detail::with_commas(list.need.bytes()) << " bytes of "
      << detail::with_commas(list.on.tile_bytes) << ": "
      << detail::with_commas(list.need.share_bytes) << " of what is alive, "
      << detail::with_commas(list.need.vertex_bytes) << " for a vertex beside it\n";
  if (list.fits()) out << "fits\n";
  if (list.lies_off_chip()) {
    out << "lies in memory beside the chip: " << detail::with_commas(list.memory.total_bytes)
        << " bytes, of which the chip holds "
        << detail::with_commas(list.on.tile_bytes * list.on.tiles) << "; "
        << detail::with_commas(p.offchip_bytes) << " go to and fro\n";
  }
  if (!list.misfit.empty()) out << "does not fit: " << list.misfit << "\n";
}

}  // namespace tessera
