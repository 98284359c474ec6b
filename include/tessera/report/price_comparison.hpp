#pragma once

// Prices side by side: one network on several machines, or at several batch sizes on one.
//
//   machine   batch      cycles      time  samples/s   util   energy  per sample     tile   of fits
//   ipu_mk1      16   1,204,112  752.6 us     21,260  9.2 %  1.20 J     75.0 mJ  311 KiB  256  no

#include <tessera/report/price_json.hpp>

namespace tessera {

/// What a step costs, without its operations: a row of a comparison.
struct step_row {
  std::string name;  // of the machine, or of what else is compared
  i32 batch = 0;
  accelerator::step_price price;
  double seconds = 0;
  double utilization = 0;
  i64 tile_bytes = 0;  // needed
  i64 tile_has = 0;
  bool fits = false;
  bool lies_off_chip = false;

  double samples_per_second() const { return batch / seconds; }
  double joules() const { return static_cast<double>(price.energy_fJ) * 1e-15; }
};

inline step_row row_of(const price_list& list) {
  return {list.on.name,       list.batch,        list.total,
          list.seconds(),     utilization(list), list.need.bytes(),
          list.on.tile_bytes, list.fits(),       list.lies_off_chip()};
}

inline void report_comparison(std::ostream& out, const std::vector<step_row>& rows) {
  std::vector<std::vector<std::string>> table{{"machine", "batch", "cycles", "time", "samples/s",
                                               "util", "energy", "per sample", "tile needs",
                                               "tile has", "fits", "ruled by"}};
  for (const step_row& r : rows) {
    table.push_back({r.name, std::to_string(r.batch), detail::with_commas(r.price.cycles()),
                     detail::spell_scaled(r.seconds, "s"),
                     detail::spell_fixed(r.samples_per_second(), 1),
                     detail::spell_share(r.utilization), detail::spell_scaled(r.joules(), "J"),
                     detail::spell_scaled(r.joules() / r.batch, "J"),
                     detail::with_commas(r.tile_bytes), detail::with_commas(r.tile_has),
                     r.fits            ? "yes"
                     : r.lies_off_chip ? "off-chip"
                                       : "no",
                     ruling_phase(r.price)});
  }
  detail::write_columns(out, table, 1);
}

inline io::json to_json(const std::vector<step_row>& rows) {
  io::json all = io::json::array();
  for (const step_row& r : rows) {
    io::json row{{"machine", r.name}, {"batch", r.batch}};
    row.update(to_json(r.price));
    row["microseconds"] = 1e6 * r.seconds;
    row["samples_per_second"] = r.samples_per_second();
    row["utilization"] = r.utilization;
    row["tile_bytes"] = r.tile_bytes;
    row["sram_bytes_per_tile"] = r.tile_has;
    row["fits"] = r.fits;
    row["lies_off_chip"] = r.lies_off_chip;
    row["ruled_by"] = ruling_phase(r.price);
    all.push_back(row);
  }
  return all;
}

}  // namespace tessera
