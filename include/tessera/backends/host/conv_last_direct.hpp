#pragma once

// conv2d and its data gradient, batch last, reading the input where it lies: where a cell is used
// too few times to be worth a copy (depthwise), and for kernels that no panel holds.
//
// Runs of positions with the same taps go to product.hpp in one call, columns are samples: per row
// of 28 with a padding of 2, those are 2 + 1 + 2. Floor of a channel: a load a multiply-add, one a
// cycle (Zen 4), or x and y once from where they lie.

#include <tessera/backends/host/conv_places.hpp>
#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/product.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

/// Bias of rows [first, first + rows) as floats, null without one.
template <class T>
const float* start_of(const T* bias, i64 first, i32 rows, float (&to)[max_rows]) {
  if (bias == nullptr) return nullptr;
  for (i32 r = 0; r < rows; ++r) to[r] = simd::as_float(bias[first + r]);
  return to;
}

/// A run of positions over 16-bit weights that do not fit the panel: some channels of the sum at a
/// time, kept in floats.
template <class T>
void run_deep_product(const product<T, T>& p, const conv_view<T>& v, const T* weight, i32 rows,
                      i64 tap, weight_panel& panel) {
  constexpr i32 kept_floats = 4096;
  float tile[kept_floats];
  const i64 kernel = v.kernel();
  i32 depth = static_cast<i32>(weight_panel::capacity / (rows * kernel));
  if (depth > v.depth) depth = v.depth;
  for (i32 position = 0; position < p.positions; ++position) {
    for (i32 column = 0; column < p.columns; column += 512) {
      product<T, float> part;
      part.columns = p.columns - column < 512 ? p.columns - column : 512;
      part.start = p.start;
      part.y = tile;
      part.y_row = part.columns;
      part.sum = p.sum;
      for (i32 d = 0; d < v.depth; d += depth) {
        const i32 count = v.depth - d < depth ? v.depth - d : depth;
        panel.read(weight + d * v.weight_depth, v.weight_row, v.weight_depth, rows, count, kernel);
        part.weight = panel.weight + tap;
        part.weight_row = panel.row;
        part.sum.count[0] = count;
        part.sum.weight[0] = panel.depth_step;
        part.x = p.x + position * p.x_step + d * p.sum.x[0] + column;
        part.add = d > 0;
        run_product(part, rows);
      }
      for (i32 r = 0; r < rows; ++r) {
        narrow(tile + r * part.y_row, p.y + r * p.y_row + position * p.y_step + column,
               part.columns);
      }
    }
  }
}

/// Rows [first_row, last_row) of positions of one block of channels.
template <class T>
void conv_rows_in_place(const conv_view<T>& v, i32 group, i32 first, i32 rows, i32 first_row,
                        i32 last_row) {
  const i64 batch = v.batch;
  const T* const weight = v.weight + group * v.weight_group + first * v.weight_row;
  float start[max_rows];
  weight_panel panel;
  const bool fits = sizeof(T) == 4 || rows * v.depth * v.kernel() <= weight_panel::capacity;
  if (fits) panel.read(weight, v.weight_row, v.weight_depth, rows, v.depth, v.kernel());
  product<T, T> p;
  p.start = start_of(v.bias, group * i64{v.rows} + first, rows, start);
  p.y_row = v.to_plane() * batch;
  p.x_step = v.width.run_cell * batch;
  p.y_step = v.width.run_step * batch;
  const T* const from = v.from + group * i64{v.depth} * v.from_plane() * batch;
  T* const to = v.to + (group * i64{v.rows} + first) * p.y_row;
  p.sum.weight[1] = i64{v.height.tap_step} * v.width.kernel;
  p.sum.weight[2] = v.width.tap_step;
  p.sum.x[0] = v.from_plane() * batch;
  p.sum.x[1] = i64{v.height.cell_step} * v.width.from * batch;
  p.sum.x[2] = v.width.cell_step * batch;
  p.weight_row = panel.row;
  p.sum.weight[0] = panel.depth_step;
  // Without a stride the positions of a run are one long row of samples: eight chains, not two.
  const bool neighbours = v.width.run_cell == 1 && v.width.run_step == 1;
  column_runs runs(v.width);
  while (runs.next()) {
    for (i32 row = first_row; row < last_row; ++row) {
      const tap_range down = v.height.taps(row);
      for (i32 i = 0; i < runs.count; ++i) {
        const column_run& run = runs.all[i];
        p.positions = neighbours ? 1 : run.positions;
        p.columns = neighbours ? run.positions * v.batch : v.batch;
        p.sum.count[0] = v.depth;
        p.sum.count[1] = down.count;
        p.sum.count[2] = run.taps.count;
        p.x = from + (i64{down.at} * v.width.from + run.taps.at) * batch;
        p.y = to + (i64{row} * v.width.to + run.column) * batch;
        const i64 tap = i64{down.first} * v.width.kernel + run.taps.first;
        if constexpr (sizeof(T) == 2) {
          if (!fits) {
            run_deep_product(p, v, weight, rows, tap, panel);
            continue;
          }
        }
        p.weight = panel.weight + tap;
        run_product(p, rows);
      }
    }
  }
}

template <class T>
void conv_in_place(const call& c, const conv_view<T>& v) {
  // Half weights of one channel must fit the panel, so large kernels make lower blocks.
  const row_blocks blocks(v.rows, sizeof(T) == 4 ? max_rows : weight_panel::highest(v.kernel()));
  const threads workers = c.step->threads;
  const i32 pieces = workers.count < v.height.to ? workers.count : 1;
  parallel_for(workers, v.groups * blocks.count * pieces, [&](i32 item) {
    const i32 piece = item % pieces;
    const i32 block = item / pieces % blocks.count;
    const i32 group = item / pieces / blocks.count;
    conv_rows_in_place(v, group, blocks.first(block), blocks.rows(block),
                       static_cast<i32>(i64{v.height.to} * piece / pieces),
                       static_cast<i32>(i64{v.height.to} * (piece + 1) / pieces));
  });
}

}  // namespace tessera::host
