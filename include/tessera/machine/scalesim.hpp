#pragma once

// What SCALE-Sim prints of a layer, in closed form: its own figures beside the true ones.
//
//   layer      a convolution (padding is part of the input's size, one sample) or a plain product
//   figures    cycles, reads, writes and shares as the simulator's reports have them
//
// Where the simulator's figure is not what it is called, both are here:
//   reported_cycles       the index of its last line: cycles - 1 (its issue 125); shares of all
//                         cycles are over that number
//   reported_writes       with stationary outputs rows + columns too many per fold (issue 166)
//   compute_utilization   with stationary weights or inputs over 2 R + 2 C + T - 3 cycles a fold
//
// Source: SCALE-Sim v3.0.0 (github.com/scalesim-project/SCALE-Sim). It moves addresses cycle by
// cycle, 6,000 to 15,000 cycles a second; a call of `figures_of` takes 20 ns whatever the layer.

#include <tessera/machine/systolic.hpp>

namespace tessera::scalesim {

/// A convolution as SCALE-Sim's topology files have it.
struct layer {
  i64 input_height = 1;
  i64 input_width = 1;
  i64 filter_height = 1;
  i64 filter_width = 1;
  i64 channels = 1;
  i64 filters = 1;
  i64 stride_height = 1;
  i64 stride_width = 1;

  /// The product that it is: output positions x (window x channels) by filters. Positions are
  /// counted up: ceil((input - filter + stride) / stride).
  constexpr systolic::product as_product() const {
    using systolic::ceil_div;
    const i64 height = ceil_div(input_height - filter_height + stride_height, stride_height);
    const i64 width = ceil_div(input_width - filter_width + stride_width, stride_width);
    return {height * width, filters, filter_height * filter_width * channels};
  }
};

struct figures {
  systolic::cost cost;
  i64 macs = 0;
  i64 reported_cycles = 0;
  i64 reported_writes = 0;
  // in percent
  double mapping_efficiency = 0;
  double compute_utilization = 0;
  double overall_utilization = 0;
};

/// What SCALE-Sim states for `p` on an array of rows x cols.
constexpr figures figures_of(const systolic::product& p, i64 rows, i64 cols, dataflow flow) {
  figures f;
  f.cost = systolic::price(p, rows, cols, flow, fold_mode::scalesim);
  const systolic::cost& c = f.cost;
  const bool outputs = flow == dataflow::output_stationary;
  f.macs = p.macs();
  f.reported_cycles = c.cycles - 1;
  f.reported_writes = c.c_writes + (outputs ? c.folds() * (rows + cols) : 0);
  const auto percent = [](double part, double of) { return 100 * part / of; };
  const double elements = static_cast<double>(rows) * static_cast<double>(cols);
  const double macs = static_cast<double>(f.macs);
  const double folds = static_cast<double>(c.folds());
  const i64 fold_cycles = c.time + rows + cols - 2 + (outputs ? 0 : rows + cols - 1);
  f.mapping_efficiency = 100 * systolic::mapping_efficiency(c, rows, cols);
  f.compute_utilization = percent(macs, folds * elements * static_cast<double>(fold_cycles));
  f.overall_utilization = percent(macs, static_cast<double>(f.reported_cycles) * elements);
  return f;
}

}  // namespace tessera::scalesim
