#pragma once

// The weight gradient of conv2d, batch first: dw[o][c][tap] = sum over samples and positions of
// dy[o][position] x[c][cell of position and tap].
//
//   16 input channels and more   vectors are input channels: x is packed with the channels of a
//                                cell side by side, zeros around; every tap of a position is a
//                                row of it, and dy is one number (gathered_product.hpp). Sums
//                                [out channel][tap][in channel] are turned round at the end.
//   fewer                        vectors are positions, with the panel of the forward pass
//                                (image_panel.hpp): sums of 6 out channels x 4 weights in
//                                registers, across lanes at the end of a strip.
//
// Strips of positions, then samples add to the same sums. Those are floats: one chain over
// samples and positions for each weight in the first form; a chain for each lane, strip by strip,
// in the second. Neither depends on the number of threads.
//
// Cost: a multiply-add for each position and vector of weights, or weight and vector of
// positions; the second form adds 3 cycles for each weight and strip.

#include <cstring>

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/dense_weight.hpp>  // gradient_sink
#include <tessera/backends/host/gathered_product.hpp>
#include <tessera/backends/host/image_panel.hpp>
#include <tessera/backends/host/product.hpp>  // row_blocks
#include <tessera/backends/host/strip_plan.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>

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
  constexpr i32 wide = simd::registers == 32 ? 4 : 2;
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

/// What both forms share: strips of positions and pieces of weights.
template <class T>
class first_weight_gradient {
 public:
  first_weight_gradient(const conv_weight_view<T>& v, gradient_sink& sink)
      : v_(v),
        sink_(sink),
        height_(gather_axis::of(v.height, 0)),
        width_(gather_axis::of(v.width, 0)) {}

  void run(threads workers) const {
    v_.n.group_in() >= few_channels ? run_channels(workers) : run_positions(workers);
  }

 private:
  static constexpr i32 few_channels = 16;
  static constexpr i32 most_weights = 4096;  // of an output channel at a time

  i64 x_plane() const { return i64{v_.n.in_height} * v_.n.in_width; }
  i64 y_plane() const { return i64{v_.n.out_height} * v_.n.out_width; }
  i32 taps() const { return static_cast<i32>(v_.kernel()); }
  const T* x(i32 sample, i32 group, i32 channel) const {
    return v_.x + (i64{sample} * v_.n.in_channels + group * v_.n.group_in() + channel) * x_plane();
  }
  const T* dy(i32 sample, i32 group, i32 channel) const {
    return v_.dy +
           (i64{sample} * v_.n.out_channels + group * v_.n.group_out() + channel) * y_plane();
  }
  /// How many output channels at a time: as many as the sums hold, but a piece for each thread.
  row_blocks row_pieces(i64 weights, threads workers, i32 others) const {
    const i32 out = v_.n.group_out();
    i32 most = static_cast<i32>(strip_plan::sum_floats / weights);
    if (others < workers.count) {
      const i32 wanted = (workers.count + others - 1) / others;
      const i32 share = (out + wanted - 1) / wanted;
      if (share < most) most = share;
    }
    return row_blocks(out, most);
  }

  // Vectors of positions.

  void run_positions(threads workers) const {
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

  /// Rows of dy at the positions of a strip, as floats; zeros behind the last position.
  void copy_gradients(const T* from, i32 rows, const panel_part& part, float* to,
                      i64 to_row) const {
    for (i32 r = 0; r < rows; ++r, from += y_plane()) {
      float* const row = to + r * to_row;
      const T* const first = from + i64{part.row0} * width_.to + part.column0;
      const i64 positions = i64{part.rows} * part.columns;
      if (part.columns == width_.to) {
        copy_exactly(first, positions, row);
      } else {
        for (i32 i = 0; i < part.rows; ++i) {
          copy_exactly(first + i64{i} * width_.to, part.columns, row + i64{i} * part.columns);
        }
      }
      for (i64 i = positions; i < to_row; ++i) row[i] = 0;
    }
  }
  static void copy_exactly(const T* from, i64 n, float* to) {
    if constexpr (sizeof(T) == 4) {
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
    } else {
      widen(from, to, n);
    }
  }

  // Vectors of input channels.

  /// A strip of positions of a block of channels, [cell row][cell column][channel].
  struct channel_part {
    i32 channels, padded;  // padded: whole vectors of 16
    i32 tap_row0, tap_rows, tap_column0, tap_columns;
    i32 rows, columns;  // of positions, at most
  };
  i32 cell_rows(const channel_part& p, i32 rows) const {
    return (rows - 1) * height_.step + (p.tap_rows - 1) * height_.base_step + 1;
  }
  i32 cell_columns(const channel_part& p, i32 columns) const {
    return (columns - 1) * width_.step + (p.tap_columns - 1) * width_.base_step + 1;
  }

  void run_channels(threads workers) const {
    constexpr i64 room = workspace::capacity - 2 * strip_plan::sum_floats;
    constexpr i32 most_channels = 64;
    const i32 all = v_.n.group_in();
    channel_part most{};
    most.tap_rows = height_.taps;
    most.tap_columns = width_.taps;
    if (most.tap_columns > most_weights / 16) most.tap_columns = most_weights / 16;
    if (most.tap_rows > most_weights / 16 / most.tap_columns) {
      most.tap_rows = most_weights / 16 / most.tap_columns;
    }
    i32 widest = most_weights / (most.tap_rows * most.tap_columns) / 16 * 16;
    if (widest > most_channels) widest = most_channels;
    most.rows = height_.to;
    most.columns = width_.to < 1024 ? width_.to : 1024;  // terms of a table
    const i32 most_rows = strip_plan::most_positions / most.columns;
    if (most.rows > most_rows) most.rows = most_rows;
    const auto size = [&](i32 channels) {
      return i64{cell_rows(most, most.rows)} * cell_columns(most, most.columns) * channels;
    };
    while (size(widest) > room) {
      if (most.rows * most.columns > 64 && most.rows > 1) {
        most.rows = (most.rows + 1) / 2;
      } else if (widest > 16) {
        widest = (widest / 16 + 1) / 2 * 16;
      } else if (most.rows > 1) {
        most.rows = (most.rows + 1) / 2;
      } else if (most.tap_rows > 1) {
        most.tap_rows = 1;
      } else if (most.columns > 1) {
        most.columns = (most.columns + 1) / 2;
      } else {
        most.tap_columns = (most.tap_columns + 1) / 2;
      }
    }
    const i32 sixteens = (all + 15) / 16;
    const row_blocks pieces(sixteens, widest / 16);
    const row_blocks rows = row_pieces(i64{most.tap_rows} * most.tap_columns * pieces.rows(0) * 16,
                                       workers, v_.n.groups * pieces.count);
    parallel_for(workers, v_.n.groups * pieces.count * rows.count, [&](i32 item) {
      const i32 block = item % rows.count;
      const i32 piece = item / rows.count % pieces.count;
      const i32 group = item / rows.count / pieces.count;
      const i32 c0 = pieces.first(piece) * 16;
      channel_part part = most;
      part.padded = pieces.rows(piece) * 16;
      part.channels = smaller_of(part.padded, all - c0);
      for (i32 r = 0; r < height_.taps; r += most.tap_rows) {
        part.tap_row0 = r;
        part.tap_rows = smaller_of(most.tap_rows, height_.taps - r);
        for (i32 s = 0; s < width_.taps; s += most.tap_columns) {
          part.tap_column0 = s;
          part.tap_columns = smaller_of(most.tap_columns, width_.taps - s);
          sum_channels(part, group, rows.first(block), rows.rows(block), c0);
        }
      }
    });
  }

  void sum_channels(const channel_part& part, i32 group, i32 o0, i32 out, i32 c0) const {
    constexpr i32 enough = 16;  // terms of a table, for its loop to be long
    float* const sums = workspace::floats();
    float* const gradients = sums + strip_plan::sum_floats;
    float* const cells = gradients + strip_plan::sum_floats;
    i32 at[most_weights / simd::lanes];
    i32 to[most_weights / simd::lanes];
    gathered_term terms[1024 + enough];
    const i32 box = part.tap_rows * part.tap_columns;
    gathered_product p;
    p.at = at;
    p.to = to;
    p.terms = terms;
    p.x = cells;
    p.vectors = box * part.padded / simd::lanes;
    p.sums_row = i64{box} * part.padded;
    for (i32 i = 0; i < p.vectors; ++i) to[i] = i * simd::lanes;
    const row_blocks strip_rows(height_.to, part.rows);
    const row_blocks strip_columns(width_.to, part.columns);
    for (i32 sample = 0; sample < v_.n.batch; ++sample) {
      for (i32 i = 0; i < strip_rows.count; ++i) {
        for (i32 j = 0; j < strip_columns.count; ++j) {
          const i32 row0 = strip_rows.first(i);
          const i32 column0 = strip_columns.first(j);
          const i32 rows = strip_rows.rows(i);
          const i32 columns = strip_columns.rows(j);
          const i32 wide = cell_columns(part, columns);
          fill_cells(part, x(sample, group, c0), row0, cell_rows(part, rows), column0, wide, cells);
          i32* vector = at;
          for (i32 r = 0; r < part.tap_rows; ++r) {
            for (i32 s = 0; s < part.tap_columns; ++s) {
              const i32 cell = (r * height_.base_step * wide + s * width_.base_step) * part.padded;
              for (i32 c = 0; c < part.padded; c += simd::lanes) *vector++ = cell + c;
            }
          }
          const i64 row_step = i64{height_.step} * wide * part.padded;
          const bool in_place = sizeof(T) == 4;
          const i64 dy_columns = in_place ? width_.to : columns;
          i32 table = (enough + columns - 1) / columns;
          if (table > rows) table = rows;
          for (i32 k = 0; k < table; ++k) {
            for (i32 q = 0; q < columns; ++q) {
              terms[k * columns + q] = {
                  static_cast<i32>(k * row_step + i64{q} * width_.step * part.padded),
                  static_cast<i32>(k * dy_columns + q)};
            }
          }
          p.repeat(table, rows, columns);
          p.x_period = table * row_step;
          p.weight_period = table * dy_columns;
          const row_blocks blocks(out, gathered_product::most_rows);
          for (i32 b = 0; b < blocks.count; ++b) {
            const T* const from = dy(sample, group, o0 + blocks.first(b));
            if constexpr (in_place) {
              p.weight = from + i64{row0} * width_.to + column0;
              p.weight_row = y_plane();
            } else {
              panel_part strip{};
              strip.row0 = row0, strip.rows = rows;
              strip.column0 = column0, strip.columns = columns;
              p.weight = gradients;
              p.weight_row = i64{rows} * columns;
              copy_gradients(from, blocks.rows(b), strip, gradients, p.weight_row);
            }
            p.sums = sums + blocks.first(b) * p.sums_row;
            p.add = sample + i + j > 0;
            run_gathered(p, blocks.rows(b));
          }
        }
      }
    }
    put(part, sums, p.sums_row, cells, group, o0, out, c0);
  }

  /// The cells that a strip meets, channels of a cell side by side; 0 outside.
  void fill_cells(const channel_part& part, const T* from, i32 row0, i32 rows, i32 column0,
                  i32 columns, float* to) const {
    const i32 h0 = height_.cell(part.tap_row0) + row0 * height_.step;
    const i32 w0 = width_.cell(part.tap_column0) + column0 * width_.step;
    const row_cells across(w0, 1, columns, v_.n.in_width);
    const i64 row = i64{columns} * part.padded;
    for (i32 i = 0; i < rows; ++i, to += row) {
      const i32 h = h0 + i;
      if (h < 0 || h >= v_.n.in_height || across.high == 0) {
        std::memset(to, 0, static_cast<std::size_t>(row) * sizeof(float));
        continue;
      }
      std::memset(to, 0, static_cast<std::size_t>(across.low * part.padded) * sizeof(float));
      std::memset(to + i64{across.high} * part.padded, 0,
                  static_cast<std::size_t>((columns - across.high) * part.padded) * sizeof(float));
      turn(from + i64{h} * v_.n.in_width + w0 + across.low, x_plane(), part.channels,
           across.high - across.low, to + i64{across.low} * part.padded, part.padded);
      for (i32 j = across.low; j < across.high; ++j) {
        for (i32 c = part.channels; c < part.padded; ++c) to[i64{j} * part.padded + c] = 0;
      }
    }
  }

  /// to[j][i] = from[i][j] for i < rows, j < columns; squares of 8 where they fit, the last ones
  /// over the ones before.
  template <class From>
  static void turn(const From* from, i64 from_row, i32 rows, i32 columns, float* to, i64 to_row) {
    if (rows >= 8 && columns >= 8) {
      for (i32 i = 0; i < rows; i += 8) {
        const i32 at_row = smaller_of(i, rows - 8);
        for (i32 j = 0; j < columns; j += 8) {
          const i32 at_column = smaller_of(j, columns - 8);
          simd::transpose_8x8(from + at_row * from_row + at_column, from_row,
                              to + at_column * to_row + at_row, to_row);
        }
      }
      return;
    }
    for (i32 j = 0; j < columns; ++j) {
      for (i32 i = 0; i < rows; ++i) to[j * to_row + i] = simd::as_float(from[i * from_row + j]);
    }
  }

  /// Sums [out channel][tap][channel] to the gradient [out channel][channel][tap].
  void put(const channel_part& part, float* sums, i64 sums_row, float* turned, i32 group, i32 o0,
           i32 out, i32 c0) const {
    const i32 box = part.tap_rows * part.tap_columns;
    for (i32 o = 0; o < out; ++o) {
      float* row = sums + o * sums_row;
      const i64 at = ((i64{group} * v_.n.group_out() + o0 + o) * v_.n.group_in() + c0) * taps();
      if (float* const stored = sink_.stored_floats(); stored != nullptr && box == taps()) {
        turn(row, part.padded, box, part.channels, stored + at, box);
        continue;
      }
      if (box > 1) {
        turn(row, part.padded, box, part.channels, turned, box);
        row = turned;
      }
      if (box == taps()) {
        sink_.take(row, at, i64{part.channels} * box);
        continue;
      }
      for (i32 c = 0; c < part.channels; ++c) {
        for (i32 r = 0; r < part.tap_rows; ++r) {
          sink_.take(
              row + i64{c} * box + r * part.tap_columns,
              at + i64{c} * taps() + i64{part.tap_row0 + r} * v_.n.kernel_width + part.tap_column0,
              part.tap_columns);
        }
      }
    }
  }

  static i32 smaller_of(i32 a, i32 b) { return a < b ? a : b; }

  const conv_weight_view<T>& v_;
  gradient_sink& sink_;
  gather_axis height_, width_;
};

template <class T>
void conv_weight_batch_first(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  first_weight_gradient<T>(v, sink).run(c.step->threads);
}

}  // namespace tessera::host
