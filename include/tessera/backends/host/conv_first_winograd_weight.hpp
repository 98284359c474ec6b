#pragma once

// The weight gradient of conv2d for 3x3 kernels with stride 1, batch first, by Winograd's
// transforms: 16 multiply-adds a pair of channels and tile of 2x2 positions instead of 36.
//
//   inputs    ---> V [16 products][tile][in channels]     channels turned into lanes, 8 x 8
//   gradients ---> P [16 products][tile][out channels]    as conv_first_winograd.hpp does
//   dU [16][out channel][in channels] += P' V             gathered_product.hpp: tiles are the sum
//   weights   <--- G' dU G                                9 taps, turned back
//
// Up to 64 out channels and 64 in channels at a time; tiles in chunks of whole rows, of several
// samples where images are small.
//
// Sums      in floats: tile by tile of a chunk, chunk by chunk, the 9 products of a tap last. They
//           depend neither on the vector width nor on the number of threads, which share out
//           channels.
// Memory    workspace.hpp: dU, V, P, four lines of cells.
// Cost      16 multiply-adds of 16 in channels an out channel and tile; for what else there is see
//           `first_winograd_weight_pays`.

#include <utility>

#include <tessera/backends/host/cell_planes.hpp>
#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/gathered_product.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/host/update_rule.hpp>  // gradient_sink
#include <tessera/backends/host/winograd_transforms.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

/// How a weight gradient is cut: a function of its shape.
struct first_weight_cut {
  static constexpr i32 line = winograd_block::line;
  static constexpr i32 most_lines = 4;  // of 16 channels
  static constexpr i32 slack = 8;       // cells before and behind a line of cells

  i32 tile_rows, tile_columns;  // of an image
  i32 out_lines, in_lines;      // of 16 channels: all, and
  i32 outs, ins;                // channels of a block
  i32 columns;                  // of a chunk, in tiles
  i32 rows;                     // of a chunk, in rows of tiles: more than one only of whole rows

  constexpr explicit first_weight_cut(const conv_sizes& n)
      : tile_rows((n.out_height + 1) / 2),
        tile_columns((n.out_width + 1) / 2),
        out_lines((n.group_out() + line - 1) / line),
        in_lines((n.group_in() + line - 1) / line),
        outs((out_lines < most_lines ? out_lines : most_lines) * line),
        ins((in_lines < most_lines ? in_lines : most_lines) * line),
        columns(tile_columns),
        rows(1) {
    constexpr i64 fixed = 2 * 16 * line + 4 * (2 + 2 * slack) * line;
    const i64 room = workspace::capacity - sum_floats() - fixed;
    const i64 fit = room / (16 * (outs + ins) + 4 * 2 * line);
    const i32 most = fit < 64 ? static_cast<i32>(fit) : 64;
    if (columns > most) columns = row_blocks(columns, most).rows(0);
    if (columns == tile_columns) rows = row_blocks(tile_rows * n.batch, most / columns).rows(0);
  }

  constexpr i32 column_chunks() const { return (tile_columns + columns - 1) / columns; }
  constexpr i32 chunks(i32 batch) const {
    return (tile_rows * batch + rows - 1) / rows * column_chunks();
  }

  // No powers of two from product to product: they would share few sets of the cache.
  static constexpr i64 apart(i64 floats) { return floats + line; }
  constexpr i64 sum_floats() const { return 16 * apart(i64{outs} * ins); }
  constexpr i64 v_floats() const { return 16 * apart(i64{rows} * columns * ins); }
  constexpr i64 p_floats() const { return 16 * apart(i64{rows} * columns * outs); }
  constexpr i64 line_floats() const { return (i64{2} * columns + 2 + 2 * slack) * line; }
};

/// True where it is faster than multiplying by channels (conv_weight_channels.hpp), by counts of
/// multiply-adds of 16 floats.
constexpr bool first_winograd_weight_pays(const conv_sizes& n) {
  if (n.kernel_height != 3 || n.kernel_width != 3 || n.stride_height != 1 || n.stride_width != 1 ||
      n.dilation_height != 1 || n.dilation_width != 1 || n.group_in() < 16) {
    return false;
  }
  const first_weight_cut cut(n);
  const i64 tiles = i64{cut.tile_rows} * cut.tile_columns * n.batch;
  const i64 vectors = i64{n.group_out()} * cut.in_lines;
  const i64 out_blocks = (cut.out_lines + 3) / 4;
  const i64 in_blocks = (cut.in_lines + 3) / 4;
  const i64 chunks = cut.chunks(n.batch);
  const i64 cost = (16 * tiles + 50 * chunks + 120) * vectors +
                   112 * chunks * n.group_out() * in_blocks +
                   70 * tiles * (cut.in_lines * out_blocks + cut.out_lines * in_blocks);
  return 10 * cost < 11 * (9 * i64{n.out_height} * n.out_width * n.batch * vectors);
}

template <class T>
class first_winograd_weight {
 public:
  explicit first_winograd_weight(const conv_weight_view<T>& v) : v_(v), n_(v.n), cut_(v.n) {}

  void run(threads workers, gradient_sink& sink) const {
    const row_blocks out_blocks(cut_.out_lines, first_weight_cut::most_lines);
    const row_blocks in_blocks(cut_.in_lines, first_weight_cut::most_lines);
    const i32 tasks = n_.groups * out_blocks.count * in_blocks.count;
    // Threads of one block transform the same, and share out its out channels.
    i32 parts = workers.count > tasks ? (workers.count + tasks - 1) / tasks : 1;
    if (parts > 4) parts = 4;
    parallel_for(workers, tasks * parts, [&](i32 item) {
      const i32 part = item % parts;
      const i32 in = item / parts % in_blocks.count;
      const i32 out = item / parts / in_blocks.count % out_blocks.count;
      block b;
      b.group = item / parts / in_blocks.count / out_blocks.count;
      b.in = in_blocks.first(in) * line;
      b.in_lines = in_blocks.rows(in);
      b.ins = smaller(n_.group_in() - b.in, b.in_lines * line);
      b.out = out_blocks.first(out) * line;
      b.out_lines = out_blocks.rows(out);
      b.outs = smaller(n_.group_out() - b.out, b.out_lines * line);
      b.first = b.outs * part / parts;
      b.last = b.outs * (part + 1) / parts;
      run_block(b, sink);
    });
  }

 private:
  static constexpr i32 line = first_weight_cut::line;
  static constexpr i32 slack = first_weight_cut::slack;
  static i32 smaller(i32 a, i32 b) { return a < b ? a : b; }

  /// Channels of a group; of its out channels [first, last) are summed up.
  struct block {
    i32 group, in, ins, in_lines, out, outs, out_lines, first, last;
    i64 sum_step() const {
      return first_weight_cut::apart(i64{out_lines} * in_lines * line * line);
    }
  };
  /// Rows of tiles [first, first + rows) of all images, columns [column, column + columns).
  struct chunk {
    i32 first, rows, column, columns;
    i64 step(i32 lines) const {
      return first_weight_cut::apart(i64{rows} * columns * lines * line);
    }
  };

  void run_block(const block& b, gradient_sink& sink) const {
    float* const sums = workspace::floats();
    float* const values = sums + cut_.sum_floats();
    float* const gradients = values + cut_.v_floats();
    float* const cells = gradients + cut_.p_floats();
    const row_blocks down(cut_.tile_rows * n_.batch, cut_.rows);
    const row_blocks across(cut_.tile_columns, cut_.columns);
    for (i32 i = 0; i < down.count; ++i) {
      for (i32 j = 0; j < across.count; ++j) {
        const chunk k{down.first(i), down.rows(i), across.first(j), across.rows(j)};
        transform_x(b, k, values, cells);
        transform_dy(b, k, gradients, cells);
        multiply(b, k, values, gradients, i + j > 0, sums);
      }
    }
    write_weights(b, sums, sink);
  }

  void transform_x(const block& b, const chunk& k, float* values, float* memory) const {
    const cell_planes<T> planes{v_.x, i64{n_.batch} * n_.in_channels * n_.in_height * n_.in_width,
                                n_.in_height, n_.in_width};
    const i64 step = k.step(b.in_lines);
    const i64 tile_step = i64{b.in_lines} * line;
    for (i32 c = 0; c < b.ins; c += line) {
      float* cells[4];
      for (i32 i = 0; i < 4; ++i) cells[i] = memory + i * cut_.line_floats() + slack * line;
      i32 before = -1;  // the image whose cells are in the last two lines
      for (i32 row = 0; row < k.rows; ++row) {
        const i32 image = (k.first + row) / cut_.tile_rows;
        const i32 h = 2 * ((k.first + row) % cut_.tile_rows) - n_.pad_top;
        const i64 channel = i64{image} * n_.in_channels + b.group * n_.group_in() + b.in + c;
        i32 i = 0;
        if (image == before) {
          for (i32 j = 0; j < 2; ++j) std::swap(cells[j], cells[j + 2]);
          i = 2;
        }
        before = image;
        for (; i < 4; ++i) {
          planes.turn(v_.x + channel * planes.plane(), smaller(b.ins - c, line), h + i,
                      2 * k.column - n_.pad_left, 2 * k.columns + 2, cells[i]);
        }
        for (i32 part = 0; part < line; part += simd::lanes) {
          const float* const of[4] = {cells[0] + part, cells[1] + part, cells[2] + part,
                                      cells[3] + part};
          float* const to = values + i64{row} * k.columns * tile_step + c + part;
          for (i32 r = 0; r < 4; ++r) {
            transform_input_row(of, line, k.columns, r, to + 4 * r * step, tile_step, step);
          }
        }
      }
    }
  }

  void transform_dy(const block& b, const chunk& k, float* gradients, float* memory) const {
    const cell_planes<T> planes{v_.dy,
                                i64{n_.batch} * n_.out_channels * n_.out_height * n_.out_width,
                                n_.out_height, n_.out_width};
    const i64 step = k.step(b.out_lines);
    const i64 tile_step = i64{b.out_lines} * line;
    float* const upper = memory + slack * line;
    float* const lower = upper + cut_.line_floats();
    for (i32 c = 0; c < b.outs; c += line) {
      for (i32 row = 0; row < k.rows; ++row) {
        const i32 image = (k.first + row) / cut_.tile_rows;
        const i32 h = 2 * ((k.first + row) % cut_.tile_rows);
        const i64 channel = i64{image} * n_.out_channels + b.group * n_.group_out() + b.out + c;
        for (i32 i = 0; i < 2; ++i) {
          planes.turn(v_.dy + channel * planes.plane(), smaller(b.outs - c, line), h + i,
                      2 * k.column, 2 * k.columns, i == 0 ? upper : lower);
        }
        for (i32 part = 0; part < line; part += simd::lanes) {
          float* const to = gradients + i64{row} * k.columns * tile_step + c + part;
          for (i32 r = 0; r < 4; ++r) {
            transform_gradient_row(upper + part, lower + part, line, k.columns, r,
                                   to + 4 * r * step, tile_step, step);
          }
        }
      }
    }
  }

  void multiply(const block& b, const chunk& k, const float* values, const float* gradients,
                bool add, float* sums) const {
    constexpr i32 table = 16;
    const i32 ins = b.in_lines * line;
    const i32 outs = b.out_lines * line;
    gathered_term terms[table];
    for (i32 t = 0; t < table; ++t) terms[t] = {t * ins, t * outs};
    i32 at[first_weight_cut::most_lines * line / simd::lanes];
    gathered_product p;
    p.vectors = ins / simd::lanes;
    for (i32 i = 0; i < p.vectors; ++i) at[i] = i * simd::lanes;
    p.at = at;
    p.to = at;
    p.terms = terms;
    p.repeat(table, k.rows * k.columns, 1);
    p.x_period = i64{table} * ins;
    p.weight_period = i64{table} * outs;
    p.weight_row = 1;
    p.sums_row = ins;
    p.add = add;
    const row_blocks rows(b.last - b.first, gathered_product::most_rows);
    for (i32 product = 0; product < 16; ++product) {
      p.x = values + product * k.step(b.in_lines);
      for (i32 r = 0; r < rows.count; ++r) {
        const i32 out = b.first + rows.first(r);
        p.weight = gradients + product * k.step(b.out_lines) + out;
        p.sums = sums + product * b.sum_step() + i64{out} * ins;
        run_gathered(p, rows.rows(r));
      }
    }
  }

  void write_weights(const block& b, const float* sums, gradient_sink& sink) const {
    constexpr i32 most = first_weight_cut::most_lines * line;
    alignas(64) float taps[9][most];
    float weights[9 * most];
    for (i32 o = b.first; o < b.last; ++o) {
      const float* const from = sums + i64{o} * b.in_lines * line;
      for (i32 c = 0; c < b.in_lines * line; c += simd::lanes) {
        transform_weight_sums(from + c, b.sum_step(), taps[0] + c, most);
      }
      for (i32 c = 0; c < b.in_lines * line; c += 8) {
        simd::transpose_8x8(taps[0] + c, most, weights + 9 * c, 9);
        for (i32 i = c; i < c + 8; ++i) weights[9 * i + 8] = taps[8][i];
      }
      const i64 row = i64{b.group} * n_.group_out() + b.out + o;
      sink.take(weights, 9 * (row * n_.group_in() + b.in), i64{9} * b.ins);
    }
  }

  const conv_weight_view<T>& v_;
  const conv_sizes& n_;
  first_weight_cut cut_;
};

}  // namespace tessera::host
