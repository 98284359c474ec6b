#pragma once

// The matrix unit of one tile: cycles of a product of `field` positions, `in` inputs each, with
// weights (in, out).
//
// AMP, the IPU's unit: for each group of outputs and each group of inputs the weights of the group
// are loaded, then workers in a barrel stream the field past them:
//
//   supervisor + out groups (19 + in groups (15 + load + 6 max over workers of (37 + 4 (n - 3))))
//
// with n positions per worker (20, 31, 40 cycles for 0, 1, 2). In steady state 4 cycles per
// position and 16 x 8 block: 32 multiplications per cycle. Source: graphcore/poplibs,
// PerformanceEstimation.hpp. Array: machine/systolic.hpp. Units in step: machine/dots_cost.hpp.
// Either operand can play the weights; the cheaper order is taken.

#include <tessera/machine/dots_cost.hpp>
#include <tessera/machine/systolic.hpp>
#include <initializer_list>

namespace tessera::matrix_cost {

using dots_cost::window;
using systolic::ceil_div;

/// One worker's cycles for `n` positions of the field.
constexpr i64 amp_worker(i64 n, i64 core_cycles) {
  if (n == 0) return 20;
  if (n == 1) return 31;
  if (n == 2) return 40;
  return 37 + core_cycles * (n - 3);
}

/// The barrel: every worker gets an equal share, some one position more; the slowest counts.
constexpr i64 amp_barrel(i64 field, i64 threads, i64 core_cycles) {
  const i64 more = amp_worker(ceil_div(field, threads), core_cycles);
  const i64 less = amp_worker(field / threads, core_cycles);
  return threads * (more > less ? more : less);
}

constexpr const amp_block& amp_of(const machine& m, element type) {
  return bytes_of(type) <= 2 ? m.matrix.f16 : m.matrix.f32;
}

constexpr i64 amp(const machine& m, i64 field, i64 in, i64 out, element type) {
  const amp_block& block = amp_of(m, type);
  const matrix_unit& u = m.matrix;
  const i64 weights = i64{block.out_group} * block.in_group * bytes_of(type);
  const i64 load = u.weight_load_bytes == 0 ? 0 : ceil_div(weights, u.weight_load_bytes);
  const i64 barrel = amp_barrel(field, m.vector.threads, block.core_cycles);
  return u.supervisor_cycles + ceil_div(out, block.out_group) *
                                   (u.out_group_cycles + ceil_div(in, block.in_group) *
                                                             (u.in_group_cycles + load + barrel));
}

/// Cycles in which an array's weights are put in place; 0 for a row a cycle.
constexpr i64 array_load(const matrix_unit& u, element type) {
  if (u.weight_load_bytes == 0) return 0;
  return ceil_div(i64{u.rows} * u.cols * bytes_of(type), u.weight_load_bytes);
}

/// What a product costs on the array, in the cheapest of its dataflows.
constexpr systolic::cost array_cost(const machine& m, i64 rows, i64 in, i64 cols, element type) {
  const matrix_unit& u = m.matrix;
  const auto cost_of = [&](dataflow flow) {
    return systolic::price({rows, cols, in}, u.rows, u.cols, flow, u.folds(), array_load(u, type));
  };
  if (!u.flows.any()) return cost_of(u.flow);
  systolic::cost best;
  for (const dataflow flow :
       {dataflow::output_stationary, dataflow::weight_stationary, dataflow::input_stationary}) {
    if (!u.flows.has(flow)) continue;
    const systolic::cost c = cost_of(flow);
    if (best.cycles == 0 || c.cycles < best.cycles) best = c;
  }
  return best;
}

constexpr i64 array(const machine& m, i64 rows, i64 in, i64 cols, element type) {
  return array_cost(m, rows, in, cols, type).cycles * m.matrix.passes(type);
}

/// Cycles of C (rows, cols) = A (rows, in) B (in, cols) on one tile, either operand as weights. The
/// inputs are channels x cells of a window where that is given; units in step that know windows
/// keep its filters as weights.
constexpr i64 product(const machine& m, i64 rows, i64 in, i64 cols, element type,
                      const window& w = {}) {
  const auto one_order = [&](i64 field, i64 out) {
    switch (m.matrix.form) {
      case matrix_form::amp: return amp(m, field, in, out, type);
      case matrix_form::systolic: return array(m, field, in, out, type);
      case matrix_form::dots: return dots_cost::product(m, field, in, out, type, w);
    }
    return i64{0};
  };
  const i64 one = one_order(rows, cols);
  if (m.matrix.form == matrix_form::dots && w.taps() * w.strides() > 1) return one;
  const i64 other = one_order(cols, rows);
  return one < other ? one : other;
}

/// Cycles of pooling `outputs` elements in `rows` rows, `window` cells each: on the vector unit, or
/// on units in step that pool.
constexpr i64 pool(const machine& m, i64 outputs, i64 rows, i64 window, element type) {
  if (dots_cost::pools(m, type)) return dots_cost::pool(m, outputs, window, type);
  return vector_cost::pool(m.vector, outputs, rows, window, type);
}

/// Multiplications per cycle of one tile at best.
constexpr i64 peak_macs(const machine& m, element type) {
  if (m.matrix.form == matrix_form::dots) return dots_cost::peak_macs(m, type);
  if (m.matrix.form == matrix_form::systolic) {
    return ceil_div(i64{m.matrix.rows} * m.matrix.cols, m.matrix.passes(type));
  }
  const amp_block& block = amp_of(m, type);
  return i64{block.in_group} * block.out_group / block.core_cycles;
}

/// Bytes that a product reads and writes in the tile's SRAM: the field once per group of outputs,
/// the weights once, f32 sums read and written once per group of inputs after the first.
constexpr i64 sram_bytes(const machine& m, i64 rows, i64 in, i64 cols, element type) {
  const i64 bytes = bytes_of(type);
  if (m.matrix.form == matrix_form::dots) return dots_cost::sram_bytes(m, rows, in, cols, type);
  if (m.matrix.form == matrix_form::systolic) {
    const systolic::cost c = array_cost(m, rows, in, cols, type);
    return (c.a_reads + c.b_reads) * bytes + (c.c_writes + c.partial_reads) * 4;
  }
  const amp_block& block = amp_of(m, type);
  const i64 out_groups = ceil_div(cols, block.out_group);
  const i64 in_groups = ceil_div(in, block.in_group);
  return rows * in * bytes * out_groups + in * cols * bytes + rows * cols * 4 * (2 * in_groups - 1);
}

}  // namespace tessera::matrix_cost
