#pragma once

// Convolutions on the matrix unit of one tile: a field of positions, each with the cells of a
// window.
//
//   by windows   AMP loads the weights of one tap after another and streams the rows of the field
//                past them. A row is work of its own; with few channels 2 or 4 kernel rows fill a
//                group of inputs
//
//     95 + 16 + in groups (23 + out groups (23 + kernel rows (15 + kernel columns (20 + load +
//       extra + 6 (19 + rows of a worker (35 + 4 (n - 3)))))))       extra: 15, 46, 60 for 1, 2, 4
//
//   by panels    the values of the field are put beside each other, tap by tap; then it is a plain
//                product of channels x taps
//   vector unit  multiply-adds in f32, one a lane: where there are too few channels for either
//
// The cheapest is taken. Arrays and units in step read their operands in whatever order they need
// them: a plain product, of all positions. Source of the first: graphcore/poplibs,
// PerformanceEstimation.hpp, the vertex nx1.

#include <tessera/machine/matrix_cost.hpp>

namespace tessera::window_cost {

using matrix_cost::ceil_div;

/// Positions row by row, and the taps of their window.
struct field {
  i64 rows = 1;
  i64 row = 1;  // positions of a row
  i64 kernel_height = 1;
  i64 kernel_width = 1;

  constexpr i64 taps() const { return kernel_height * kernel_width; }
  constexpr i64 positions() const { return rows * row; }
};

/// One worker's cycles for `n` positions of a row.
constexpr i64 amp_row(i64 n, bool wide, i64 core_cycles) {
  if (n == 0) return 18;
  if (n == 1) return wide ? 34 : 30;
  if (n == 2) return wide ? 45 : 34;
  return (wide ? 46 : 35) + core_cycles * (n - 3);
}

/// A convolution by windows, `in` channels to `out`; before, its f32 sums are set to zero.
constexpr i64 by_windows(const machine& m, const field& f, i64 in, i64 out, element type) {
  const amp_block& block = matrix_cost::amp_of(m, type);
  const bool wide = bytes_of(type) > 2;
  const i64 weights = i64{block.out_group} * block.in_group * bytes_of(type);
  const i64 load =
      m.matrix.weight_load_bytes == 0 ? 0 : ceil_div(weights, m.matrix.weight_load_bytes);
  const i64 threads = m.vector.threads;
  const auto row = [&](i64 n) { return amp_row(n, wide, block.core_cycles); };
  // Whole rows for each worker, or a row's share.
  const i64 worker = f.rows >= threads ? ceil_div(f.rows, threads) * row(f.row)
                                       : row(ceil_div(f.row, threads / (f.rows > 0 ? f.rows : 1)));
  const i64 barrel = threads * (19 + worker);
  const i64 out_groups = ceil_div(out, block.out_group);
  i64 least = 0;
  for (i64 height = 1; height <= 4 && height <= block.in_group; height *= 2) {
    if (height > 1 && f.kernel_height < height) break;
    const i64 in_groups = ceil_div(in, block.in_group / height);
    const i64 extra = height == 1 ? 15 : height == 2 ? 46 : 60;
    const i64 kernel_row = 15 + f.kernel_width * (20 + load + extra + barrel);
    const i64 each = 23 + ceil_div(f.kernel_height, height) * kernel_row;
    const i64 cycles = 95 + 16 + in_groups * (23 + out_groups * each);
    if (height == 1 || cycles < least) least = cycles;
  }
  const i64 sums = f.positions() * out_groups * block.out_group;
  return least + 12 + threads * (5 + ceil_div(ceil_div(sums, threads), m.vector.lanes_f32));
}

/// Puts the values of a field beside each other, tap by tap.
constexpr i64 panel(const machine& m, i64 values, element type) {
  return vector_cost::elementwise(m.vector, values, type, m.vector.simple);
}

constexpr i64 on_vector_unit(const machine& m, i64 macs) {
  return vector_cost::elementwise(m.vector, macs, element::f32, m.vector.simple);
}

/// Cycles of a convolution of `in` channels to `out`. `stride` is of the window.
constexpr i64 product(const machine& m, const field& f, i64 in, i64 out, element type,
                      i32 stride_height, i32 stride_width) {
  const matrix_cost::window w{static_cast<i32>(f.kernel_height), static_cast<i32>(f.kernel_width),
                              stride_height, stride_width};
  const i64 plain = matrix_cost::product(m, f.positions(), in * f.taps(), out, type, w);
  if (f.taps() == 1 || m.matrix.form != matrix_form::amp) return plain;
  const i64 values = f.positions() * in * f.taps();
  i64 least = plain + panel(m, values, type);
  for (const i64 other : {by_windows(m, f, in, out, type), on_vector_unit(m, values * out)}) {
    if (other < least) least = other;
  }
  return least;
}

/// Cycles of the gradient of a window's weights (out, in x taps), summed over the field.
constexpr i64 weights(const machine& m, const field& f, i64 in, i64 out, element type) {
  const i64 plain = matrix_cost::product(m, out, f.positions(), in * f.taps(), type);
  if (f.taps() == 1 || m.matrix.form != matrix_form::amp) return plain;
  const i64 values = f.positions() * in * f.taps();
  const i64 by_panels = plain + panel(m, values, type);
  const i64 other = on_vector_unit(m, values * out);
  return other < by_panels ? other : by_panels;
}

}  // namespace tessera::window_cost
