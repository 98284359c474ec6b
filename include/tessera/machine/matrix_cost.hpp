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
// PerformanceEstimation.hpp. Array: machine/systolic.hpp. Either operand can play the weights; the
// cheaper order is taken.

#include <tessera/machine/systolic.hpp>

namespace tessera::matrix_cost {

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
  const i64 load =
      ceil_div(i64{block.out_group} * block.in_group * bytes_of(type), u.weight_load_bytes);
  const i64 barrel = amp_barrel(field, m.vector.threads, block.core_cycles);
  return u.supervisor_cycles + ceil_div(out, block.out_group) *
                                   (u.out_group_cycles + ceil_div(in, block.in_group) *
                                                             (u.in_group_cycles + load + barrel));
}

constexpr i64 array(const machine& m, i64 rows, i64 in, i64 cols) {
  const matrix_unit& u = m.matrix;
  return systolic::price({rows, cols, in}, u.rows, u.cols, u.flow, u.folds).cycles;
}

/// Cycles of C (rows, cols) = A (rows, in) B (in, cols) on one tile, either operand as weights.
constexpr i64 product(const machine& m, i64 rows, i64 in, i64 cols, element type) {
  const bool is_amp = m.matrix.form == matrix_form::amp;
  const i64 one = is_amp ? amp(m, rows, in, cols, type) : array(m, rows, in, cols);
  const i64 other = is_amp ? amp(m, cols, in, rows, type) : array(m, cols, in, rows);
  return one < other ? one : other;
}

/// Multiplications per cycle of one tile at best.
constexpr i64 peak_macs(const machine& m, element type) {
  if (m.matrix.form == matrix_form::systolic) return i64{m.matrix.rows} * m.matrix.cols;
  const amp_block& block = amp_of(m, type);
  return i64{block.in_group} * block.out_group / block.core_cycles;
}

/// Bytes that a product reads and writes in the tile's SRAM: the field once per group of outputs,
/// the weights once, f32 sums read and written once per group of inputs after the first.
constexpr i64 sram_bytes(const machine& m, i64 rows, i64 in, i64 cols, element type) {
  const i64 bytes = bytes_of(type);
  if (m.matrix.form == matrix_form::systolic) {
    const matrix_unit& u = m.matrix;
    const systolic::cost c = systolic::price({rows, cols, in}, u.rows, u.cols, u.flow, u.folds);
    return (c.a_reads + c.b_reads) * bytes + (c.c_writes + c.partial_reads) * 4;
  }
  const amp_block& block = amp_of(m, type);
  const i64 out_groups = ceil_div(cols, block.out_group);
  const i64 in_groups = ceil_div(in, block.in_group);
  return rows * in * bytes * out_groups + in * cols * bytes + rows * cols * 4 * (2 * in_groups - 1);
}

}  // namespace tessera::matrix_cost
