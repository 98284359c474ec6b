#pragma once

// conv2d and its data gradient (ops/conv.hpp has the formulas).
//
// Both gather: an output channel sums over input channels and kernel taps, an input channel's
// gradient over output channels and the taps that meet it (conv_places.hpp). Kernel taps are
// clipped at the borders, so nothing is padded or copied.
//
//   batch last    columns are samples. Runs of positions with the same taps go to product.hpp in
//                 one call: per row of 28 with a padding of 2, those are 2 + 1 + 2.
//   batch first   columns are 16 positions of one sample, whose cells are gathered into a tile
//                 first, zeros outside; any stride, dilation and padding look the same then.

#include <tessera/backends/host/conv_places.hpp>
#include <tessera/backends/host/dense.hpp>

namespace tessera::host {

/// The operands of conv2d or its data gradient, seen as the same gathering sum.
template <class T>
struct conv_view {
  i32 batch, groups;
  i32 rows, depth;  // channels a group writes and sums over
  conv_axis height, width;
  const T* from;
  T* to;
  const T* weight;
  const T* bias;
  i64 weight_row, weight_depth, weight_group;

  static conv_view forward(const call& c, const conv_sizes& n) {
    const i64 kernel = i64{n.kernel_height} * n.kernel_width;
    return {n.batch,
            n.groups,
            n.group_out(),
            n.group_in(),
            conv_axis::height(n, false),
            conv_axis::width(n, false),
            c.input<T>(0),
            c.output<T>(0),
            c.input<T>(1),
            c.input<T>(2),
            n.group_in() * kernel,
            kernel,
            i64{n.group_out()} * n.group_in() * kernel};
  }
  static conv_view backward(const call& c, const conv_sizes& n) {
    const i64 kernel = i64{n.kernel_height} * n.kernel_width;
    return {n.batch,
            n.groups,
            n.group_in(),
            n.group_out(),
            conv_axis::height(n, true),
            conv_axis::width(n, true),
            c.input<T>(0),
            c.output<T>(0),
            c.input<T>(1),
            nullptr,
            kernel,
            n.group_in() * kernel,
            i64{n.group_out()} * n.group_in() * kernel};
  }

  i64 kernel() const { return i64{height.kernel} * width.kernel; }
  i64 from_plane() const { return i64{height.from} * width.from; }
  i64 to_plane() const { return i64{height.to} * width.to; }
};

/// A run of positions over half weights that do not fit the panel: some channels of the sum at a
/// time, kept in floats.
inline void run_deep_product(const product<half, half>& p, const conv_view<half>& v,
                             const half* weight, i32 rows, i64 tap, weight_panel& panel) {
  constexpr i32 kept_floats = 4096;
  float tile[kept_floats];
  const i64 kernel = v.kernel();
  i32 depth = static_cast<i32>(weight_panel::capacity / (rows * kernel));
  if (depth > v.depth) depth = v.depth;
  for (i32 position = 0; position < p.positions; ++position) {
    for (i32 column = 0; column < p.columns; column += 512) {
      product<half, float> part;
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
void conv_rows_batch_last(const conv_view<T>& v, i32 group, i32 first, i32 rows, i32 first_row,
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
  p.columns = v.batch;
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
  column_runs runs(v.width);
  while (runs.next()) {
    for (i32 row = first_row; row < last_row; ++row) {
      const tap_range down = v.height.taps(row);
      for (i32 i = 0; i < runs.count; ++i) {
        const column_run& run = runs.all[i];
        p.positions = run.positions;
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
void conv_batch_last(const call& c, const conv_view<T>& v) {
  // Half weights of one channel must fit the panel, so large kernels make lower blocks.
  const row_blocks blocks(v.rows, sizeof(T) == 4 ? max_rows : weight_panel::highest(v.kernel()));
  const i32 threads = c.step->threads;
  const i32 pieces = threads > 1 && threads < v.height.to ? threads : 1;
  parallel_for(threads, v.groups * blocks.count * pieces, [&](i32 item) {
    const i32 piece = item % pieces;
    const i32 block = item / pieces % blocks.count;
    const i32 group = item / pieces / blocks.count;
    conv_rows_batch_last(v, group, blocks.first(block), blocks.rows(block),
                         static_cast<i32>(i64{v.height.to} * piece / pieces),
                         static_cast<i32>(i64{v.height.to} * (piece + 1) / pieces));
  });
}

/// Up to 16 neighbouring positions of a sample, and the cells their taps meet.
class position_block {
 public:
  static constexpr i32 size = 16;

  position_block(const conv_axis& height, const conv_axis& width, i64 first)
      : height_(height), width_(width) {
    const i64 all = i64{height.to} * width.to;
    count = all - first < size ? static_cast<i32>(all - first) : size;
    for (i32 j = 0; j < count; ++j) {
      row_[j] = static_cast<i32>((first + j) / width.to);
      column_[j] = static_cast<i32>((first + j) % width.to);
    }
  }

  i32 count;

  /// Where tap (r, s) of every position reads in a plane, -1 outside and past the last position.
  void cells(i32 tap, i64 (&at)[size]) const {
    const i32 r = tap / width_.kernel;
    const i32 s = tap % width_.kernel;
    for (i32 j = 0; j < size; ++j) {
      at[j] = -1;
      if (j >= count) continue;
      const i32 h = height_.cell(row_[j], r);
      const i32 w = width_.cell(column_[j], s);
      if (h >= 0 && w >= 0) at[j] = i64{h} * width_.from + w;
    }
  }

 private:
  const conv_axis& height_;
  const conv_axis& width_;
  i32 row_[size] = {};
  i32 column_[size] = {};
};

template <class T>
void conv_block_batch_first(const conv_view<T>& v, i32 sample, i32 group, i64 first) {
  constexpr i32 size = position_block::size;
  constexpr i32 most_weights = 256;  // of the sum at a time: 16 KiB of gathered cells
  constexpr i32 most_rows = 96;
  alignas(64) float cells[most_weights * size];
  float tile[most_rows * size];
  float weights[max_rows * most_weights];
  const position_block block(v.height, v.width, first);
  const i32 kernel = static_cast<i32>(v.kernel());
  const i32 taps_at_once = kernel < most_weights ? kernel : most_weights;
  i32 depth_at_once = most_weights / taps_at_once;
  if (depth_at_once > v.depth) depth_at_once = v.depth;
  const T* const from = v.from + (i64{sample} * v.groups + group) * v.depth * v.from_plane();
  T* const to = v.to + (i64{sample} * v.groups + group) * v.rows * v.to_plane() + first;
  for (i32 row0 = 0; row0 < v.rows; row0 += most_rows) {
    const i32 rows_here = v.rows - row0 < most_rows ? v.rows - row0 : most_rows;
    const row_blocks blocks(rows_here, max_rows);
    bool add = false;
    for (i32 d0 = 0; d0 < v.depth; d0 += depth_at_once) {
      const i32 depth = v.depth - d0 < depth_at_once ? v.depth - d0 : depth_at_once;
      for (i32 tap0 = 0; tap0 < kernel; tap0 += taps_at_once) {
        const i32 tap_count = kernel - tap0 < taps_at_once ? kernel - tap0 : taps_at_once;
        for (i32 tap = 0; tap < tap_count; ++tap) {
          i64 at[size];
          block.cells(tap0 + tap, at);
          bool neighbours = at[0] >= 0;
          for (i32 j = 1; j < size; ++j) neighbours = neighbours && at[j] == at[0] + j;
          for (i32 d = 0; d < depth; ++d) {
            const T* const plane = from + (d0 + d) * v.from_plane();
            float* const cell = cells + (d * tap_count + tap) * size;
            if (neighbours) {
              for (i32 j = 0; j < size; j += simd::lanes) {
                simd::store(cell + j, simd::load(plane + at[0] + j));
              }
            } else {
              for (i32 j = 0; j < size; ++j) {
                cell[j] = at[j] < 0 ? 0.0f : simd::as_float(plane[at[j]]);
              }
            }
          }
        }
        for (i32 b = 0; b < blocks.count; ++b) {
          const i32 row = blocks.first(b);
          const i32 rows = blocks.rows(b);
          const T* const weight = v.weight + group * v.weight_group +
                                  i64{row0 + row} * v.weight_row + d0 * v.weight_depth + tap0;
          float start[max_rows];
          product<float, float> p;
          p.sum.count[0] = depth;
          p.sum.count[2] = tap_count;
          p.sum.weight[2] = 1;
          p.sum.x[0] = i64{tap_count} * size;
          p.sum.x[2] = size;
          if constexpr (sizeof(T) == 4) {
            p.weight = weight;
            p.weight_row = v.weight_row;
            p.sum.weight[0] = v.weight_depth;
          } else {
            for (i32 r = 0; r < rows; ++r) {
              for (i32 d = 0; d < depth; ++d) {
                widen(weight + r * v.weight_row + d * v.weight_depth,
                      weights + (r * depth + d) * tap_count, tap_count);
              }
            }
            p.weight = weights;
            p.weight_row = i64{depth} * tap_count;
            p.sum.weight[0] = tap_count;
          }
          p.start = start_of(v.bias, i64{group} * v.rows + row0 + row, rows, start);
          p.x = cells;
          p.y = tile + row * size;
          p.y_row = size;
          p.columns = size;
          p.add = add;
          run_product(p, rows);
        }
        add = true;
      }
    }
    for (i32 r = 0; r < rows_here; ++r) {
      T* const y = to + i64{row0 + r} * v.to_plane();
      for (i32 j = 0; j < block.count; ++j) store_one(y + j, tile[r * size + j]);
    }
  }
}

template <class T>
void conv_batch_first(const call& c, const conv_view<T>& v) {
  const i32 blocks = static_cast<i32>((v.to_plane() + 15) / position_block::size);
  parallel_for(c.step->threads, v.batch * v.groups * blocks, [&](i32 item) {
    const i32 block = item % blocks;
    const i32 group = item / blocks % v.groups;
    const i32 sample = item / blocks / v.groups;
    conv_block_batch_first(v, sample, group, i64{block} * position_block::size);
  });
}

template <class T, bool BatchLast>
void conv2d(const call& c) {
  const auto v = conv_view<T>::forward(c, conv_sizes::of(*c.sizes));
  BatchLast ? conv_batch_last(c, v) : conv_batch_first(c, v);
}

template <class T, bool BatchLast>
void conv2d_data_gradient(const call& c) {
  const auto v = conv_view<T>::backward(c, conv_sizes::of(*c.sizes));
  BatchLast ? conv_batch_last(c, v) : conv_batch_first(c, v);
}

}  // namespace tessera::host
