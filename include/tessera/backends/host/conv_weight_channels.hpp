#pragma once

// The weight gradient of conv2d, batch first, of 16 input channels and more: vectors are channels
// (conv_weight_first.hpp has the whole).

#include <cstring>

#include <tessera/backends/host/conv_weight_operands.hpp>
#include <tessera/backends/host/gathered_product.hpp>

namespace tessera::host {

/// Vectors are input channels.
template <class T>
class channel_weight_gradient : private conv_weight_operands<T> {
  using base = conv_weight_operands<T>;

 public:
  using base::base;

  void run(threads workers) const {
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
};

}  // namespace tessera::host
