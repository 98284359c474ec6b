// A thousand rows of SCALE-Sim's figures, checked by the compiler: 0.1 s with g++ 12, 0.2 s with
// clang 16, include and all.

#include <tessera/machine/scalesim.hpp>

namespace {

using namespace tessera;

constexpr auto os = dataflow::output_stationary;
constexpr auto ws = dataflow::weight_stationary;
constexpr auto is = dataflow::input_stationary;

/// A share in percent equals so many millionths of a percent.
constexpr bool near(double percent, i64 millionths) {
  const double difference = percent * 1e6 - static_cast<double>(millionths);
  return difference > -0.501 && difference < 0.501;
}

constexpr bool equals(const systolic::product& p, i64 rows, i64 cols, dataflow flow, i64 cycles,
                      i64 a_reads, i64 b_reads, i64 c_writes, i64 mapping, i64 utilization) {
  const scalesim::figures f = scalesim::figures_of(p, rows, cols, flow);
  return f.cost.cycles == cycles && f.cost.a_reads == a_reads && f.cost.b_reads == b_reads &&
         f.cost.c_writes == c_writes && near(f.mapping_efficiency, mapping) &&
         near(f.overall_utilization, utilization);
}

#include "scalesim_rows.inc"

}  // namespace
