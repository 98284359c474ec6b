#pragma once

// The weight gradient of conv2d, batch first: columns are weights. Cells are gathered so that the
// taps of one position lie side by side, and positions and samples are the sum (product.hpp).

#include <tessera/backends/host/conv_first.hpp>    // position_block
#include <tessera/backends/host/dense_weight.hpp>  // gradient_sink

namespace tessera::host {

/// Weights [k0, k0 + count) of the output channels [o0, o0 + rows) of a group.
template <class T>
void conv_weight_piece(const conv_weight_view<T>& v, i32 group, i32 o0, i32 rows, i32 k0, i32 count,
                       gradient_sink& sink) {
  constexpr i32 size = position_block::size;
  constexpr i32 width = 256;
  alignas(64) float cells[size * width];
  float gradient[16 * width];
  float weights[max_rows * size];
  const conv_sizes& n = v.n;
  const i32 kernel = static_cast<i32>(v.kernel());
  const i64 x_plane = i64{n.in_height} * n.in_width;
  const i64 dy_plane = i64{n.out_height} * n.out_width;
  const row_blocks blocks(rows, max_rows);
  bool add = false;
  for (i32 sample = 0; sample < n.batch; ++sample) {
    const T* const x = v.x + (i64{sample} * n.in_channels + group * n.group_in()) * x_plane;
    for (i64 first = 0; first < dy_plane; first += size) {
      const position_block block(v.height, v.width, first);
      for (i32 tap = 0; tap < kernel; ++tap) {
        i64 at[size];
        block.cells(tap, at);
        // Weight k is tap k % kernel of channel k / kernel.
        i32 channel = (k0 - tap + kernel - 1) / kernel;
        if (k0 < tap) channel = 0;
        for (; channel * kernel + tap < k0 + count; ++channel) {
          const T* const plane = x + channel * x_plane;
          float* const cell = cells + channel * kernel + tap - k0;
          for (i32 j = 0; j < block.count; ++j) {
            cell[j * width] = at[j] < 0 ? 0.0f : simd::as_float(plane[at[j]]);
          }
        }
      }
      const T* const dy =
          v.dy + (i64{sample} * n.out_channels + group * n.group_out() + o0) * dy_plane + first;
      for (i32 b = 0; b < blocks.count; ++b) {
        const i32 row = blocks.first(b);
        product<float, float> p;
        if constexpr (sizeof(T) == 4) {
          p.weight = dy + row * dy_plane;
          p.weight_row = dy_plane;
        } else {
          for (i32 r = 0; r < blocks.rows(b); ++r) {
            widen(dy + (row + r) * dy_plane, weights + r * size, block.count);
          }
          p.weight = weights;
          p.weight_row = size;
        }
        p.sum.weight[2] = 1;
        p.sum.count[2] = block.count;
        p.sum.x[2] = width;
        p.x = cells;
        p.y = gradient + row * count;
        p.y_row = count;
        p.columns = count;
        p.add = add;
        run_product(p, blocks.rows(b));
      }
      add = true;
    }
  }
  const i64 row_weights = i64{n.group_in()} * kernel;
  sink.take_rows(gradient, count, (i64{group} * n.group_out() + o0) * row_weights + k0, row_weights,
                 rows, count);
}

template <class T>
void conv_weight_batch_first(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  const i32 all = static_cast<i32>(v.n.group_in() * v.kernel());
  const i32 columns = (all + 255) / 256;
  const row_blocks rows(v.n.group_out(), 16);
  parallel_for(c.step->threads, v.n.groups * rows.count * columns, [&](i32 item) {
    const i32 k0 = item % columns * 256;
    const i32 block = item / columns % rows.count;
    const i32 group = item / columns / rows.count;
    conv_weight_piece(v, group, rows.first(block), rows.rows(block), k0,
                      all - k0 < 256 ? all - k0 : 256, sink);
  });
}

}  // namespace tessera::host
