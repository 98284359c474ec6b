#pragma once

// conv2d and its data gradient, batch first: columns are 16 positions of one sample, whose cells
// are gathered into a tile first, zeros outside; any stride, dilation and padding look the same
// then.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/dense.hpp>  // start_of
#include <tessera/backends/host/parallel.hpp>
#include <tessera/backends/host/product.hpp>

namespace tessera::host {

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
      for (i32 j = 0; j < block.count; ++j) simd::store_number(y + j, tile[r * size + j]);
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

}  // namespace tessera::host
