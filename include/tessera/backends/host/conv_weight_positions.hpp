#pragma once

// The weight gradient of conv2d, batch first, of few input channels: vectors are positions
// (conv_weight_first.hpp has the whole).

#include <cstring>

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/conv_weight_operands.hpp>

namespace tessera::host {

/// Sums of products of rows of dy with vectors of positions: [row][weight].
struct position_sums {
  const float* dy;
  i64 dy_row;
  const float* cells;
  const i32* at;  // of every weight in cells
  i32 weights;
  i32 vectors;  // of positions
  float* sums;
  i64 sums_row;
};

/// Weights [first, first + blocks * Weights): adds to the sums.
template <i32 Rows, i32 Weights>
[[gnu::noinline]] void position_sum_block(const position_sums& p, i32 first, i32 blocks) {
  using namespace simd;
  for (i32 block = 0; block < blocks; ++block, first += Weights) {
    vec sum[Rows][Weights];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 k = 0; k < Weights; ++k) sum[r][k] = zero();
    }
    const float* cells[Weights];
    TESSERA_UNROLL
    for (i32 k = 0; k < Weights; ++k) cells[k] = p.cells + p.at[first + k];
    const float* dy[Rows];
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) dy[r] = p.dy + r * p.dy_row;
    const i64 last = i64{p.vectors} * lanes;
    for (i64 i = 0; i < last; i += lanes) {
      vec values[Weights];
      TESSERA_UNROLL
      for (i32 k = 0; k < Weights; ++k) values[k] = keep(load(cells[k] + i));
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        const vec gradient = keep(load(dy[r] + i));
        TESSERA_UNROLL
        for (i32 k = 0; k < Weights; ++k) sum[r][k] = fma(gradient, values[k], sum[r][k]);
      }
    }
    if constexpr (Weights % 4 == 0 && Rows % 2 == 0) {  // 2 rows x 4 weights at a time
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; r += 2) {
        TESSERA_UNROLL
        for (i32 k = 0; k < Weights; k += 4) {
          vec eight[8];
          TESSERA_UNROLL
          for (i32 i = 0; i < 8; ++i) eight[i] = sum[r + i / 4][k + i % 4];
          float to[8];
          simd::sums(eight, to);
          float* const low = p.sums + r * p.sums_row + first + k;
          for (i32 i = 0; i < 4; ++i) low[i] += to[i];
          for (i32 i = 0; i < 4; ++i) low[p.sums_row + i] += to[4 + i];
        }
      }
    } else {
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        TESSERA_UNROLL
        for (i32 k = 0; k < Weights; ++k) {
          p.sums[r * p.sums_row + first + k] += simd::sum(sum[r][k]);
        }
      }
    }
  }
}

template <i32 Rows, i32 Weights>
void position_sum_weights(const position_sums& p) {
  const i32 blocks = p.weights / Weights;
  if (blocks > 0) position_sum_block<Rows, Weights>(p, 0, blocks);
  const i32 rest = p.weights - blocks * Weights;
  if (rest > 0) position_sum_block<Rows, 1>(p, blocks * Weights, rest);
}

/// `rows` rows, 1, 2, 4 or 6.
inline void run_position_sums(const position_sums& p, i32 rows) {
  constexpr i32 wide = machine_blocks.position_vectors;
  switch (rows) {
    case 1: return position_sum_weights<1, 8>(p);
    case 2: return position_sum_weights<2, 4>(p);
    case 4: return position_sum_weights<4, wide>(p);
    default: return position_sum_weights<6, wide>(p);
  }
}

/// Rows of a group in blocks of 6, 4, 2 and 1: body(first row, rows).
template <class Body>
void blocks_of_even_rows(i32 rows, const Body& body) {
  for (i32 first = 0; first < rows;) {
    const i32 left = rows - first;
    const i32 here = left >= 6 && left != 8 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    body(first, here);
    first += here;
  }
}

/// Vectors are positions.
template <class T>
class position_weight_gradient : private conv_weight_operands<T> {
  using base = conv_weight_operands<T>;

 public:
  using base::base;

  void run(threads workers) const {
    // A block of rows of dy lies in front of the cells.
    strip_plan plan(height_, width_, v_.n.group_in(), 0, strip_plan::sum_floats);
    panel_part& part = plan.part;
    const i32 box = part.tap_rows * part.tap_columns;
    if (part.channels > most_weights / box) part.channels = most_weights / box;
    const row_blocks rows = row_pieces(i64{part.channels} * box, workers, v_.n.groups);
    parallel_for(workers, v_.n.groups * rows.count, [&](i32 item) {
      const i32 block = item % rows.count;
      sum_positions(plan.part, item / rows.count, rows.first(block), rows.rows(block));
    });
  }

 private:
  using base::copy_gradients;
  using base::dy;
  using base::height_;
  using base::most_weights;
  using base::row_pieces;
  using base::sink_;
  using base::smaller_of;
  using base::taps;
  using base::v_;
  using base::width_;
  using base::x;
  using base::x_plane;
  using base::y_plane;

  void sum_positions(const panel_part& most, i32 group, i32 o0, i32 out) const {
    panel_part part = most;
    const i32 channels = v_.n.group_in();
    for (i32 r = 0; r < height_.taps; r += most.tap_rows) {
      part.tap_row0 = r;
      part.tap_rows = smaller_of(most.tap_rows, height_.taps - r);
      for (i32 s = 0; s < width_.taps; s += most.tap_columns) {
        part.tap_column0 = s;
        part.tap_columns = smaller_of(most.tap_columns, width_.taps - s);
        for (i32 c = 0; c < channels; c += most.channels) {
          part.channels = smaller_of(most.channels, channels - c);
          sum_positions_of_part(part, most, group, o0, out, c);
        }
      }
    }
  }

  void sum_positions_of_part(panel_part part, const panel_part& most, i32 group, i32 o0, i32 out,
                             i32 c0) const {
    float* const sums = workspace::floats();
    float* const gradients = sums + strip_plan::sum_floats;
    float* const cells = gradients + strip_plan::sum_floats;
    i32 at[most_weights];
    const i32 box = part.tap_rows * part.tap_columns;
    position_sums p;
    p.at = at;
    p.cells = cells;
    p.weights = part.channels * box;
    p.sums_row = p.weights;
    std::memset(sums, 0, static_cast<std::size_t>(out * p.sums_row) * sizeof(float));
    const row_blocks strip_rows(height_.to, most.rows);
    const row_blocks strip_columns(width_.to, most.columns);
    for (i32 sample = 0; sample < v_.n.batch; ++sample) {
      for (i32 i = 0; i < strip_rows.count; ++i) {
        part.row0 = strip_rows.first(i);
        part.rows = strip_rows.rows(i);
        for (i32 j = 0; j < strip_columns.count; ++j) {
          part.column0 = strip_columns.first(j);
          part.columns = strip_columns.rows(j);
          image_panel panel(height_, width_, part);
          panel.fill(x(sample, group, c0), x_plane(), cells);
          for (i32 c = 0; c < part.channels; ++c) {
            for (i32 r = 0; r < part.tap_rows; ++r) {
              for (i32 s = 0; s < part.tap_columns; ++s) {
                at[c * box + r * part.tap_columns + s] =
                    static_cast<i32>(c * panel.channel_step() + panel.tap(r, s));
              }
            }
          }
          const i32 positions = part.rows * part.columns;
          p.vectors = (positions + simd::lanes - 1) / simd::lanes;
          p.dy_row = i64{p.vectors} * simd::lanes;
          blocks_of_even_rows(out, [&](i32 first, i32 rows) {
            const T* const from = dy(sample, group, o0 + first);
            p.dy = gradients;
            bool in_place = false;
            if constexpr (sizeof(T) == 4) {
              in_place = positions % simd::lanes == 0 && part.columns == width_.to;
              if (in_place) p.dy = from + i64{part.row0} * part.columns;
            }
            p.dy_row = in_place ? y_plane() : i64{p.vectors} * simd::lanes;
            if (!in_place) copy_gradients(from, rows, part, gradients, p.dy_row);
            p.sums = sums + first * p.sums_row;
            run_position_sums(p, rows);
          });
        }
      }
    }
    for (i32 o = 0; o < out; ++o) {
      const i64 of_channel =
          ((i64{group} * v_.n.group_out() + o0 + o) * v_.n.group_in() + c0) * taps();
      float* const row = sums + o * p.sums_row;
      if (box == taps()) {
        sink_.take(row, of_channel, p.weights);
        continue;
      }
      for (i32 c = 0; c < part.channels; ++c) {
        for (i32 r = 0; r < part.tap_rows; ++r) {
          sink_.take(row + c * box + r * part.tap_columns,
                     of_channel + i64{c} * taps() + i64{part.tap_row0 + r} * v_.n.kernel_width +
                         part.tap_column0,
                     part.tap_columns);
        }
      }
    }
  }
};

}  // namespace tessera::host
