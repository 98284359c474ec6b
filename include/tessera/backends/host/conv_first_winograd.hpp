#pragma once

// conv2d and its data gradient for 3x3 kernels with stride 1, batch first, by Winograd's
// F(2x2, 3x3) (winograd_transforms.hpp): 16 multiply-adds a pair of channels and tile of 2x2
// positions, where the direct sum takes 36, of a sample's padding as well.
//
//   weights ---> U [16 products][channel of the sum][rows]    rows (channels written) fill lanes
//   inputs  ---> V [16 products][tile][channel of the sum]    channels turned into lanes, 8 x 8
//   M [16 products][tile][rows] (+)= V U                      gathered_product.hpp: tiles are its
//   outputs <--- A' M A + bias, turned back                   rows, rows its vectors
//
// Tiles of a chunk are whole rows of tiles, of several samples where these are small, so that an
// image of 7 x 7 is 16 tiles and fills its registers like any other. Up to 64 rows and 64 channels
// of the sum go together; more channels add up in M.
//
// Sums      in floats: channel by channel, then the 9 products of an output. They depend neither on
//           the vector width nor on the number of threads, which share out rows and chunks.
// Errors, infinity and NaN: as of conv_winograd.hpp.
// Memory    workspace.hpp: U, V, M, four lines of cells and two of outputs.
// Cost      16 multiply-adds of 16 rows a channel and tile; transforms as in `first_winograd_pays`.

#include <utility>

#include <tessera/backends/host/cell_planes.hpp>
#include <tessera/backends/host/conv_winograd.hpp>  // winograd_axis
#include <tessera/backends/host/gathered_product.hpp>
#include <tessera/core/convert.hpp>

namespace tessera::host {

/// How a convolution is cut: a function of its shape.
struct first_winograd_cut {
  static constexpr i32 line = winograd_block::line;
  static constexpr i32 most_lines = 4;  // of 16 rows
  static constexpr i32 most_depth = 64;
  static constexpr i32 slack = 8;  // cells before and behind a line of cells: cell_planes.hpp

  i32 tile_rows, tile_columns;  // of an image
  i32 row_lines;                // of 16 rows
  i32 depth;                    // of a piece
  i32 block_lines;              // of a block of rows
  i32 columns;                  // of a chunk, in tiles
  i32 rows;                     // of a chunk, in rows of tiles: more than one only of whole rows

  template <class T>
  constexpr explicit first_winograd_cut(const conv_view<T>& v)
      : tile_rows((v.height.to + 1) / 2),
        tile_columns((v.width.to + 1) / 2),
        row_lines((v.rows + line - 1) / line),
        depth(v.depth < most_depth ? v.depth : most_depth),
        block_lines(row_lines < most_lines ? row_lines : most_lines),
        columns(tile_columns),
        rows(1) {
    const i32 all_tiles = tile_rows * tile_columns * v.batch;
    // Where U is transformed for every chunk, rather lower and longer ones.
    if (v.depth > depth && block_lines > 2 && all_tiles > most_tiles()) block_lines = 2;
    const i32 most = most_tiles();
    if (columns > most) columns = row_blocks(columns, most).rows(0);
    const i32 all = tile_rows * v.batch;
    if (columns == tile_columns) rows = row_blocks(all, most / columns).rows(0);
  }

  /// Of a chunk: what fits beside U, at most 64.
  constexpr i32 most_tiles() const {
    constexpr i64 fixed = 2 * 16 * line + (4 * (2 + 2 * slack) + slack) * line + slack * slack;
    constexpr i64 a_column = (4 * 2 + 4) * line + 4 * slack;  // cells, outputs, outputs turned
    const i64 room = workspace::capacity - u_floats() - fixed;
    const i64 tiles = room / (16 * (padded_depth() + most_rows()) + a_column);
    return tiles < 64 ? static_cast<i32>(tiles) : 64;
  }

  constexpr i32 column_chunks() const { return (tile_columns + columns - 1) / columns; }
  constexpr i32 chunks(i32 batch) const {
    return (tile_rows * batch + rows - 1) / rows * column_chunks();
  }

  // No powers of two from product to product: they would share few sets of the cache.
  static constexpr i64 apart(i64 floats) { return floats + line; }
  constexpr i32 padded_depth() const { return (depth + line - 1) / line * line; }
  constexpr i32 most_rows() const { return block_lines * line; }
  constexpr i64 u_floats() const { return 16 * apart(i64{depth} * most_rows()); }
  constexpr i64 v_floats() const { return 16 * apart(i64{rows} * columns * padded_depth()); }
  constexpr i64 m_floats() const { return 16 * apart(i64{rows} * columns * most_rows()); }
  constexpr i64 line_floats() const { return (i64{2} * columns + 2 + 2 * slack) * line; }
  constexpr i64 out_floats() const { return (i64{4} * columns + slack) * line; }
};

/// True where it is faster than the direct form (conv_first.hpp), by counts of multiply-adds of 16
/// floats, which take longer there: lanes are left over, and weights are read for fewer of them.
template <class T>
constexpr bool first_winograd_pays(const conv_view<T>& v) {
  if (!winograd_axis::fits(v.height) || !winograd_axis::fits(v.width)) return false;
  const first_winograd_cut cut(v);
  const i64 tiles = i64{cut.tile_rows} * cut.tile_columns * v.batch;
  const i64 depth_lines = (v.depth + 15) / 16;
  const i64 blocks = (cut.row_lines + cut.block_lines - 1) / cut.block_lines;
  const i64 transforms = v.depth <= cut.depth ? 1 : cut.chunks(v.batch);
  const i64 cost = 16 * tiles * (i64{cut.row_lines} * v.depth + 7 * blocks) +
                   85 * transforms * cut.row_lines * v.depth +
                   70 * tiles * (depth_lines * blocks + cut.row_lines);
  const i64 vectors = (i64{v.height.to} * v.width.to + 15) / 16;
  return 10 * cost < 11 * (9 * vectors * v.batch * v.rows * v.depth);
}

template <class T>
class first_winograd {
 public:
  explicit first_winograd(const conv_view<T>& v)
      : v_(v), cut_(v), top_(winograd_axis(v.height).first), left_(winograd_axis(v.width).first) {}

  void run(threads workers) const {
    i32 most = cut_.block_lines;
    while (most > 1 && workers.count > row_blocks(cut_.row_lines, most).count * v_.groups) --most;
    const row_blocks blocks(cut_.row_lines, most);
    const i32 chunks = cut_.chunks(v_.batch);
    const i32 tasks = v_.groups * blocks.count;
    i32 parts = workers.count > tasks ? (workers.count + tasks - 1) / tasks : 1;
    if (parts > chunks) parts = chunks;
    parallel_for(workers, tasks * parts, [&](i32 item) {
      const i32 part = item % parts;
      const i32 block = item / parts % blocks.count;
      run_block(item / parts / blocks.count, blocks.first(block), blocks.rows(block),
                static_cast<i32>(i64{chunks} * part / parts),
                static_cast<i32>(i64{chunks} * (part + 1) / parts));
    });
  }

 private:
  static constexpr i32 line = first_winograd_cut::line;
  static constexpr i32 slack = first_winograd_cut::slack;

  /// What a thread works in.
  struct memory {
    float *u, *v, *m, *cells, *outputs, *turned;
    float start[first_winograd_cut::most_lines * line];

    explicit memory(const first_winograd_cut& cut)
        : u(workspace::floats()),
          v(u + cut.u_floats()),
          m(v + cut.v_floats()),
          cells(m + cut.m_floats()),
          outputs(cells + 4 * cut.line_floats()),
          turned(outputs + cut.out_floats()) {}
  };

  /// Rows of tiles [first, first + rows) of all images, columns [column, column + columns).
  struct chunk {
    i32 first, rows, column, columns;
    i32 tiles() const { return rows * columns; }
  };
  chunk chunk_of(i32 number) const {
    const row_blocks down(cut_.tile_rows * v_.batch, cut_.rows);
    const row_blocks across(cut_.tile_columns, cut_.columns);
    const i32 row = number / across.count;
    const i32 column = number % across.count;
    return {down.first(row), down.rows(row), across.first(column), across.rows(column)};
  }

  /// Lines [first_line, first_line + lines) of 16 rows of a group, for some chunks.
  void run_block(i32 group, i32 first_line, i32 lines, i32 first_chunk, i32 last_chunk) const {
    memory all(cut_);
    const i32 first_row = first_line * line;
    const i32 rows = v_.rows - first_row < lines * line ? v_.rows - first_row : lines * line;
    for (i32 r = 0; r < lines * line; ++r) {
      all.start[r] = v_.bias != nullptr && r < rows
                         ? simd::as_float(v_.bias[group * v_.rows + first_row + r])
                         : 0.0f;
    }
    const row_blocks pieces(v_.depth, cut_.depth);
    for (i32 number = first_chunk; number < last_chunk; ++number) {
      const chunk k = chunk_of(number);
      for (i32 piece = 0; piece < pieces.count; ++piece) {
        const i32 d = pieces.first(piece);
        const i32 depth = pieces.rows(piece);
        if (number == first_chunk || pieces.count > 1) {
          make_u(group, first_row, rows, lines, d, depth, all.u);
        }
        make_v(group, k, d, depth, all);
        multiply(k, lines, depth, piece > 0, all);
      }
      put(group, k, first_row, rows, lines, all);
    }
  }

  i64 u_step(i32 lines, i32 depth) const { return cut_.apart(i64{depth} * lines * line); }
  i64 v_step(const chunk& k) const { return cut_.apart(i64{k.tiles()} * cut_.padded_depth()); }
  i64 m_step(const chunk& k, i32 lines) const { return cut_.apart(i64{k.tiles()} * lines * line); }

  void make_u(i32 group, i32 first_row, i32 rows, i32 lines, i32 d, i32 depth, float* u) const {
    const winograd_weights lanes_of{0, v_.weight_row, v_.height.backward};
    const i64 step = u_step(lines, depth);
    const T* const from = v_.weight + group * v_.weight_group + first_row * v_.weight_row;
    for (i32 l = 0; l < lines; ++l) {
      const i32 count = rows - l * line < line ? rows - l * line : line;
      const T* const of = from + l * line * v_.weight_row + d * v_.weight_depth;
      float* const to = u + l * line;
      i32 i = 0;
      if (v_.weight_depth == 9 && count == line) {
        for (; i + 8 <= depth; i += 8)
          make_eight(of + i * 9, lines, to + i64{i} * lines * line, step);
      }
      for (; i < depth; ++i) {
        transform_weights(lanes_of, of + i * v_.weight_depth, count, to + i64{i} * lines * line,
                          4 * step, step);
      }
    }
  }

  /// U of 16 rows and eight channels whose weights lie side by side: 72 of a row.
  void make_eight(const T* from, i32 lines, float* to, i64 step) const {
    alignas(64) float tap[8][9][line];
    for (i32 r = 0; r < line; r += 8) {
      for (i32 t = 0; t < 72; t += 8) {
        simd::transpose_8x8(from + r * v_.weight_row + t, v_.weight_row,
                            &tap[0][0][0] + t * line + r, line);
      }
    }
    for (i32 i = 0; i < 8; ++i) {
      transform_taps(tap[i], v_.height.backward, to + i64{i} * lines * line, 4 * step, step);
    }
  }

  void make_v(i32 group, const chunk& k, i32 d, i32 depth, const memory& all) const {
    const i64 step = v_step(k);
    const i64 tile_step = cut_.padded_depth();
    const i64 line_step = cut_.line_floats();
    const cell_planes<T> planes{v_.from, i64{v_.batch} * v_.groups * v_.depth * v_.from_plane(),
                                v_.height.from, v_.width.from};
    for (i32 c = 0; c < depth; c += line) {
      const i32 channels = depth - c < line ? depth - c : line;
      float* cells[4];
      for (i32 i = 0; i < 4; ++i) cells[i] = all.cells + i * line_step + slack * line;
      i32 before = -1;  // the image whose cells are in the last two lines
      for (i32 row = 0; row < k.rows; ++row) {
        const i32 image = (k.first + row) / cut_.tile_rows;
        const i32 h = top_ + 2 * ((k.first + row) % cut_.tile_rows);
        const T* const from =
            v_.from + ((i64{image} * v_.groups + group) * v_.depth + d + c) * v_.from_plane();
        i32 i = 0;
        if (image == before) {
          for (i32 j = 0; j < 2; ++j) std::swap(cells[j], cells[j + 2]);
          i = 2;
        }
        before = image;
        for (; i < 4; ++i) {
          planes.turn(from, channels, h + i, left_ + 2 * k.column, 2 * k.columns + 2, cells[i]);
        }
        for (i32 part = 0; part < line; part += simd::lanes) {
          const float* const of[4] = {cells[0] + part, cells[1] + part, cells[2] + part,
                                      cells[3] + part};
          float* const to = all.v + i64{row} * k.columns * tile_step + c + part;
          for (i32 r = 0; r < 4; ++r) {
            transform_input_row(of, line, k.columns, r, to + 4 * r * step, tile_step, step);
          }
        }
      }
    }
  }

  void multiply(const chunk& k, i32 lines, i32 depth, bool add, const memory& all) const {
    constexpr i32 table = 16;
    const i32 rows = lines * line;
    gathered_term terms[table];
    for (i32 d = 0; d < table; ++d) terms[d] = {d * rows, d};
    i32 at[first_winograd_cut::most_lines * line / simd::lanes];
    gathered_product p;
    p.vectors = rows / simd::lanes;
    for (i32 i = 0; i < p.vectors; ++i) at[i] = i * simd::lanes;
    p.at = at;
    p.to = at;
    p.terms = terms;
    p.repeat(table, depth, 1);
    p.x_period = i64{table} * rows;
    p.weight_period = table;
    p.weight_row = cut_.padded_depth();
    p.sums_row = rows;
    p.add = add;
    const row_blocks tiles(k.tiles(), gathered_product::most_rows);
    for (i32 product = 0; product < 16; ++product) {
      p.x = all.u + product * u_step(lines, depth);
      for (i32 b = 0; b < tiles.count; ++b) {
        p.weight = all.v + product * v_step(k) + tiles.first(b) * p.weight_row;
        p.sums = all.m + product * m_step(k, lines) + tiles.first(b) * p.sums_row;
        run_gathered(p, tiles.rows(b));
      }
    }
  }

  /// The outputs of a chunk to where they lie.
  void put(i32 group, const chunk& k, i32 first_row, i32 rows, i32 lines, const memory& all) const {
    const i32 room = v_.width.to - 2 * k.column;
    const i32 width = room < 2 * k.columns ? room : 2 * k.columns;
    const i64 step = m_step(k, lines);
    for (i32 l = 0; l < lines; ++l) {
      const i32 count = rows - l * line < line ? rows - l * line : line;
      for (i32 row = 0; row < k.rows; ++row) {
        const i32 image = (k.first + row) / cut_.tile_rows;
        const i32 h = 2 * ((k.first + row) % cut_.tile_rows);
        const i32 height = v_.height.to - h < 2 ? 1 : 2;
        sum_products(all.m + (i64{row} * k.columns * lines + l) * line, i64{lines} * line, step,
                     k.columns, width, all.start + l * line, all.outputs);
        T* const to =
            v_.to +
            ((i64{image} * v_.groups + group) * v_.rows + first_row + l * line) * v_.to_plane() +
            i64{h} * v_.width.to + 2 * k.column;
        if (width == v_.width.to) {
          turn_back(all.outputs, height * width, count, to, all.turned);
        } else {
          for (i32 i = 0; i < height; ++i) {
            turn_back(all.outputs + i64{i} * width * line, width, count, to + i * v_.width.to,
                      all.turned);
          }
        }
      }
    }
  }

  /// Two lines of `width` outputs of 16 rows from the products of a row of tiles.
  [[gnu::noinline]] static void sum_products(const float* m, i64 tile_step, i64 step, i32 tiles,
                                             i32 width, const float* start, float* to) {
    using namespace simd;
    for (i32 part = 0; part < line; part += lanes) {
      const vec bias = load(start + part);
      for (i32 t = 0; t < tiles; ++t) {
        const float* from = m + t * tile_step + part;
        vec left[4], right[4];
        TESSERA_UNROLL
        for (i32 r = 0; r < 4; ++r, from += 4 * step) {
          const vec middle = load(from + step);
          const vec next = load(from + 2 * step);
          left[r] = (load(from) + middle) + next;
          right[r] = (middle - next) + load(from + 3 * step);
        }
        float* const upper = to + i64{2} * t * line + part;
        float* const lower = upper + i64{width} * line;
        store(upper, ((left[0] + left[1]) + left[2]) + bias);
        store(lower, ((left[1] - left[2]) + left[3]) + bias);
        if (2 * t + 1 == width) continue;  // there the lower line begins
        store(upper + line, ((right[0] + right[1]) + right[2]) + bias);
        store(lower + line, ((right[1] - right[2]) + right[3]) + bias);
      }
    }
  }

  /// Neighbouring cells of `count` rows from cells of 16 rows each.
  void turn_back(const float* from, i32 cells, i32 count, T* to, float* turned) const {
    const i64 plane = v_.to_plane();
    i32 r = 0;
    if constexpr (sizeof(T) == 4) {
      for (; cells >= 8 && r + 8 <= count; r += 8) {
        for (i32 j = 0; j < cells; j += 8) {
          const i32 cell = j + 8 <= cells ? j : cells - 8;
          simd::transpose_8x8(from + i64{cell} * line + r, line, to + r * plane + cell, plane);
        }
      }
    }
    const i64 row = (cells + 7) / 8 * 8;
    for (; r < count; r += 8) {
      for (i32 j = 0; j < cells; j += 8) {
        simd::transpose_8x8(from + i64{j} * line + r, line, turned + j, row);
      }
      for (i32 i = 0; i < 8 && r + i < count; ++i) {
        narrow(turned + i * row, to + (r + i) * plane, cells);
      }
    }
  }

  const conv_view<T>& v_;
  first_winograd_cut cut_;
  i32 top_, left_;
};

}  // namespace tessera::host
