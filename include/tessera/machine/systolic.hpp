#pragma once

// A systolic array of R x C processing elements: cycles and memory traffic of a matrix product.
//
//   C (M, N) = A (M, K) B (K, N)          stationary   Sr  Sc  T   A reads   B reads   C writes
//                                         outputs      M   N   K   M K cf    N K rf    M N
//   rf = ceil(Sr / R), cf = ceil(Sc / C)  weights      K   N   M   M K cf    K N       M N rf
//   folds = rf cf                         inputs       K   M   N   K M       K N cf    M N rf
//
// Mode `scalesim`: folds follow one another without overlap, cycles = folds x per fold with
// per fold = T + R + C - 2 (outputs) or 2 R + C + T - 2 (weights, inputs).
// Mode `pipelined`: a fold starts as soon as the array takes it. It occupies the array for
// max(T, R) cycles: outputs drain R rows while the next fold fills; weights and inputs load R rows
// of the next fold's operand under the T of this one. The last fold takes its own time:
// cycles = (folds - 1) x distance + per fold, distance = max(T, R).
// Between the two: `hidden_load`, where only the load is hidden, so that a fold follows when the
// last result has left (distance = T + R + C - 2), and `hidden_drain`, where the array loads alone
// (distance = R + T). Outputs in place are loaded with nothing; there only the drain matters.
//
// R cycles load R rows. Where weights come more slowly than a row a cycle, that time takes R's
// place in the load: 2 R + C + T - 2 is load + R + C + T - 2.
//
// Writes with stationary weights or inputs are partial sums: all but the first of the rf folds over
// K read them back, which is `partial_reads`.
// Source: SCALE-Sim v3, whose compute part the first mode equals on every layer and array tried.

#include <tessera/core/types.hpp>
#include <tessera/machine/machine.hpp>

namespace tessera::systolic {

/// C (m, n) = A (m, k) B (k, n).
struct product {
  i64 m = 0;
  i64 n = 0;
  i64 k = 0;

  constexpr i64 macs() const { return m * n * k; }
};

struct cost {
  i64 spatial_rows = 0;  // Sr: what lies along the rows of the array
  i64 spatial_cols = 0;  // Sc
  i64 time = 0;          // T
  i64 row_folds = 0;
  i64 col_folds = 0;
  i64 cycles_per_fold = 0;  // of one that is alone
  i64 cycles = 0;
  // words
  i64 a_reads = 0;
  i64 b_reads = 0;
  i64 c_writes = 0;
  i64 partial_reads = 0;

  constexpr i64 folds() const { return row_folds * col_folds; }
};

constexpr i64 ceil_div(i64 a, i64 b) { return (a + b - 1) / b; }

/// Cycles from the start of a fold to the start of the next.
constexpr i64 fold_distance(const cost& c, i64 rows, i64 cols, bool outputs, fold_mode mode,
                            i64 load) {
  const i64 drained = c.time + rows + cols - 2;
  const auto most = [](i64 a, i64 b) { return a > b ? a : b; };
  switch (mode) {
    case fold_mode::scalesim: return c.cycles_per_fold;
    case fold_mode::pipelined: return most(c.time, outputs ? rows : load);
    case fold_mode::hidden_load: return outputs ? drained : most(drained, load);
    case fold_mode::hidden_drain: return outputs ? most(c.time, rows) : load + c.time;
  }
  return c.cycles_per_fold;
}

/// What `p` costs on an array of rows x cols. `load_cycles`: to load the operand that stays in
/// place, 0 for a row a cycle.
constexpr cost price(const product& p, i64 rows, i64 cols, dataflow flow, fold_mode mode,
                     i64 load_cycles = 0) {
  cost c;
  if (p.m <= 0 || p.n <= 0 || p.k <= 0) return c;
  const bool outputs = flow == dataflow::output_stationary;
  const bool weights = flow == dataflow::weight_stationary;
  c.spatial_rows = outputs ? p.m : p.k;
  c.spatial_cols = outputs || weights ? p.n : p.m;
  c.time = outputs ? p.k : weights ? p.m : p.n;
  c.row_folds = ceil_div(c.spatial_rows, rows);
  c.col_folds = ceil_div(c.spatial_cols, cols);
  const i64 load = load_cycles > rows ? load_cycles : rows;
  c.cycles_per_fold = c.time + rows + cols - 2 + (outputs ? 0 : load);
  c.cycles =
      (c.folds() - 1) * fold_distance(c, rows, cols, outputs, mode, load) + c.cycles_per_fold;
  const i64 a = p.m * p.k;
  const i64 b = p.k * p.n;
  const i64 out = p.m * p.n;
  c.a_reads = outputs || weights ? a * c.col_folds : a;
  c.b_reads = outputs ? b * c.row_folds : weights ? b : b * c.col_folds;
  c.c_writes = outputs ? out : out * c.row_folds;
  c.partial_reads = outputs ? 0 : out * (c.row_folds - 1);
  return c;
}

/// Share of the processing elements that have work in a fold, on average over the folds.
constexpr double mapping_efficiency(const cost& c, i64 rows, i64 cols) {
  return static_cast<double>(c.spatial_rows * c.spatial_cols) /
         static_cast<double>(c.folds() * rows * cols);
}

/// Share of all cycles of all processing elements that multiply.
constexpr double utilization(const product& p, const cost& c, i64 rows, i64 cols) {
  return static_cast<double>(p.macs()) / static_cast<double>(c.cycles * rows * cols);
}

}  // namespace tessera::systolic
