#pragma once

// Matrix operations on the model: dense and conv2d, their gradients, both layouts.
//
// What the exchange brings to tiles is fetched into panels and summed (panels.hpp):
//
//   operation         k of one vertex                         partial sums are added by
//   forward           kernel row, column, input channel       blocks of input channels
//   data gradient     kernel row, column, output channel      blocks of output channels
//   weight gradient   output row, column, sample              blocks of rows, columns, samples
//                     (of dense over a stack: sample, for each slice by itself)
//
// each in rising order. Cells of the padding, and those that a stride leaves out, are zeros that
// take part; four in a row that are zeros for all rows of a piece are left out, which changes no
// bit of a sum of finite numbers. The bias is added to the complete sum; then one rounding.
//
// Where sums are cut is the mapping's choice and shows in the bits. Where outputs are cut does not,
// so one panel holds rows and columns of as many vertices as suit the host: 32 rows, up to 256
// columns, 256 k at a time. Weights are put into f32 and into the order above once per call, since
// all positions share them. Every vertex is recorded; products are counted where they are made.

#include <tessera/backends/accelerator/counters.hpp>
#include <tessera/backends/accelerator/panels.hpp>
#include <tessera/backends/accelerator/vector.hpp>

namespace tessera::accelerator {

/// One matrix operation, as the vertices of its mapping.
template <class T>
class product {
 public:
  product(const machine& m, const call& c, T* out) : c_(c), run_(m, c), out_(out) {
    const problem& p = run_.blocks().of;
    const i32* e = p.extent;
    const bool last = c.sizes->batch_last;
    const i64 groups = e[axis_g];
    // Of the image that the window reads and of the one whose positions are counted.
    const bool back = p.transposed;
    far_ = image_view::of(last, e[axis_b], groups * (back ? e[axis_o] : e[axis_c]), p.cells[0],
                          p.cells[1]);
    near_ = image_view::of(last, e[axis_b], groups * (back ? e[axis_c] : e[axis_o]), e[axis_h],
                           e[axis_w]);
    const kind called = c.sizes->what;
    if (called == kind::dense_weight_gradient || called == kind::dense_weight_update) {
      // Slices of a stack in the place of rows: they lie outside of channels.
      far_ = image_view::of(last, e[axis_b], e[axis_c], 1, 1);
      near_ = image_view::of(last, e[axis_b], e[axis_o], 1, 1);
      far_.row = i64{e[axis_b]} * e[axis_c];
      near_.row = i64{e[axis_b]} * e[axis_o];
    }
  }

  void operator()() {
    if (what() != family::weight_gradient) arrange_weights();
    const pieces cut = cut_outputs();
    const i64 vertices = map().vertices();
    run_.run(cut.count(), [&](i64 first, i64 last, recorder& r) {
      r.add_range(vertices * first / cut.count(), vertices * last / cut.count());
      panels p;
      p.number_groups();
      for (i64 i = first; i < last; ++i) {
        const i64 row = i % cut.row_pieces * panels::max_rows;
        const i64 col = i / cut.row_pieces % cut.col_pieces * cut.cols_per_piece;
        const i64 g = i / cut.row_pieces / cut.col_pieces;
        const i32 cols = smaller(cut.cols - col, cut.cols_per_piece);
        if (what() == family::weight_gradient) {
          weight_piece(p, r, static_cast<i32>(g), static_cast<i32>(row),
                       smaller(cut.rows - row, panels::max_rows), static_cast<i32>(col), cols);
        } else {
          const row_piece piece = rows_from(p, whole(), row, panels::max_rows, panels::max_rows);
          image_piece(p, r, static_cast<i32>(g), piece, static_cast<i32>(col), cols);
        }
      }
    });
  }

 private:
  const mapping& map() const { return run_.blocks(); }
  family what() const { return map().of.what; }

  /// The outputs of a call, cut to suit the panels; nothing of this shows in results or counts.
  struct pieces {
    i64 rows = 0;
    i64 cols = 0;
    i64 groups = 0;
    i64 cols_per_piece = 0;
    i64 row_pieces = 0;
    i64 col_pieces = 0;

    i64 count() const { return groups * row_pieces * col_pieces; }
  };

  pieces cut_outputs() const {
    const i32* e = map().of.extent;
    pieces cut;
    cut.groups = e[axis_g];
    i64 most = panels::max_cols;
    if (what() == family::weight_gradient) {
      cut.rows = e[axis_o];
      cut.cols = i64{e[axis_c]} * map().of.taps;
      most = smaller(most, panels::max_weights / weight_stride());
    } else {
      cut.rows = i64{e[axis_b]} * e[axis_h] * e[axis_w];
      cut.cols = e[map().of.transposed ? axis_c : axis_o];
    }
    cut.row_pieces = ceil_div(cut.rows, panels::max_rows);
    // Where there are too few rows for all threads, columns give each its share.
    const i64 threads = c_.step->threads.count;
    const i64 share = ceil_div(cut.cols, ceil_div(threads, cut.row_pieces * cut.groups));
    cut.cols_per_piece = smaller(most, (share + 3) / 4 * 4);
    cut.col_pieces = ceil_div(cut.cols, cut.cols_per_piece);
    return cut;
  }

  /// Floats from column to column of the weight panel of a weight gradient: off the power of two,
  /// for fewer cache conflicts.
  i64 weight_stride() const {
    const i32* block = map().block;
    const i64 k = i64{block[axis_h]} * block[axis_w] * block[axis_b];
    return (smaller(k, panels::max_k) + 3) / 4 * 4 + 16;
  }

  /// All positions of a call as if one vertex had them.
  vertex whole() const {
    vertex v;
    for (i32 a = 0; a < axis_count; ++a) v.size[a] = map().of.extent[a];
    return v;
  }

  /// Places vertex number `partial` of those that share an output block: rows, columns, samples;
  /// channels. Of those axes only the ones that are summed over have more than one block.
  void place_partial(vertex& v, i64 partial) const {
    for (const i32 a : {axis_b, axis_w, axis_h, axis_c, axis_o, axis_g}) {
      if (!map().of.reduced[a]) continue;
      v.place(map(), a, static_cast<i32>(partial % map().count(a)));
      partial /= map().count(a);
    }
  }

  static i32 smaller(i64 a, i64 b) { return static_cast<i32>(a < b ? a : b); }

  struct row_piece {
    i32 runs = 0;
    i32 rows = 0;
  };

  /// Up to `most` positions of a vertex from number `row` on (rows, columns, samples), as runs of
  /// samples that lie side by side.
  row_piece rows_from(panels& p, const vertex& v, i64 row, i32 most, i32 most_runs) const {
    row_piece piece;
    const i64 samples = v.size[axis_b];
    const i64 all = samples * v.size[axis_h] * v.size[axis_w];
    while (row < all && piece.rows < most && piece.runs < most_runs) {
      const i64 position = row / samples;
      const i32 n = static_cast<i32>(row % samples);
      i32 length = smaller(samples - n, most - piece.rows);
      if (!c_.sizes->batch_last) length = 1;
      p.runs[piece.runs++] = {v.begin[axis_h] + static_cast<i32>(position / v.size[axis_w]),
                              v.begin[axis_w] + static_cast<i32>(position % v.size[axis_w]),
                              v.begin[axis_b] + n, length};
      piece.rows += length;
      row += length;
    }
    return piece;
  }

  /// The cell of the far image that position (h, w) meets at kernel cell (r, s); false where it is
  /// padding or left out by a stride.
  bool cell_at(i32 h, i32 w, i32 r, i32 s, i64& y, i64& x) const {
    const problem& of = map().of;
    return along(of, 0, h, r, y) && along(of, 1, w, s, x);
  }
  static bool along(const problem& of, i32 a, i32 at, i32 tap, i64& cell) {
    if (of.transposed) {
      const i32 reach = at + of.pad[a] - tap * of.dilation[a];
      if (reach < 0) return false;
      if (of.stride[a] != 1 && reach % of.stride[a] != 0) return false;
      cell = of.stride[a] == 1 ? reach : reach / of.stride[a];
    } else {
      cell = at * of.stride[a] - of.pad[a] + tap * of.dilation[a];
      if (cell < 0) return false;
    }
    return cell < of.cells[a];
  }

  /// `to` lies in the output, or in the gradient of a fused update.
  void store_sums(const float* from, T* to, i64 n) const {
    put_at(storing(run_.on, c_), from, to, n, to - out_);
  }

  const matrix_unit& unit() const { return run_.on.matrix; }

  /// Operands as the matrix unit takes them.
  void take(float* x, i64 n) const {
    if (unit().numbers.flush_inputs) flush_operands<T>(x, n);
  }

  // --- forward and data gradient: a piece of positions x channels ---

  /// The weights in f32, column by column: for every block of channels (kernel row, column,
  /// channel), filled up with zeros to a multiple of 4.
  void arrange_weights() {
    const problem& of = map().of;
    const bool back = of.transposed;
    const i32 axis_k = back ? axis_o : axis_c;
    const i64 columns = of.extent[back ? axis_c : axis_o];
    const i64 in = of.extent[axis_c];
    const i64 out = of.extent[axis_o];
    const i64 taps = of.taps;
    const i32 blocks = map().count(axis_k);
    block_stride_ = (map().block[axis_k] * taps + 3) / 4 * 4;
    column_stride_ =
        (blocks - 1) * block_stride_ + (map().size(axis_k, blocks - 1) * taps + 3) / 4 * 4;
    arranged_ = reinterpret_cast<float*>(
        scratch_of(c_, of.extent[axis_g] * columns * column_stride_ * i64{sizeof(float)}));
    const T* weights = c_.input<T>(1);
    for (i64 g = 0; g < of.extent[axis_g]; ++g) {
      for (i64 column = 0; column < columns; ++column) {
        for (i32 block = 0; block < blocks; ++block) {
          float* to = arranged_ + (g * columns + column) * column_stride_ + block * block_stride_;
          const i64 first = map().begin(axis_k, block);
          const i64 size = map().size(axis_k, block);
          const T* from = back ? weights + ((g * out + first) * in + column) * taps
                               : weights + ((g * out + column) * in + first) * taps;
          const i64 step = back ? in * taps : taps;  // from channel to channel
          i64 k = 0;
          if (step == 1) {
            fetch(from, to, size);
            k = size;
          } else {
            for (i64 tap = 0; tap < taps; ++tap) {
              for (i64 channel = 0; channel < size; ++channel) {
                to[k++] = fetch(from[channel * step + tap]);
              }
            }
          }
          take(to, k);
          for (; k % 4 != 0; ++k) to[k] = 0;
        }
      }
    }
  }

  void image_piece(panels& p, recorder& record, i32 g, row_piece piece, i32 col, i32 cols) {
    const problem& of = map().of;
    const bool back = of.transposed;
    const i32 axis_k = back ? axis_o : axis_c;
    const i32 axis_col = back ? axis_c : axis_o;
    const i32 rows = static_cast<i32>(padded(piece.rows));
    const i64 partials = map().partials();
    const i64 column = i64{g} * of.extent[axis_col] + col;
    vertex v;
    for (i64 i = 0; i < partials; ++i) {
      place_partial(v, i);
      clear_sums(unit(), p, cols);
      const weight_columns weights{
          arranged_ + column * column_stride_ + v.block[axis_k] * block_stride_, column_stride_};
      const i64 channels = v.size[axis_k];
      const T* image =
          c_.input<T>(0) + (i64{g} * of.extent[axis_k] + v.begin[axis_k]) * far_.channel;
      const i64 depth = channels * of.taps;
      i32 groups = 0;
      i32 r = 0;
      i32 s = 0;
      i64 channel = 0;
      const auto meet_cells = [&] {
        const i64 live = find_cells(p, piece, r, s);
        record.counts.macs += live * channels * cols;
        return live > 0;
      };
      bool live = meet_cells();
      const auto next_cell = [&] {
        channel = 0;
        if (++s == of.kernel[1]) s = 0, ++r;
        if (r < of.kernel[0]) live = meet_cells();
      };
      // Trees of more than four products stay in one panel.
      const i32 tree = unit().order == accumulation::tree ? tree_length(unit()) : 4;
      for (i64 k = 0; k < depth;) {
        if (tree > 4 && k % tree == 0 && groups + tree / 4 > panels::max_k / 4) {
          multiply_in_order(unit(), p, rows, cols, weights, groups, 0);
          groups = 0;
        }
        if (!live && channel + 4 <= channels) {
          channel += 4;
          k += 4;
          if (channel == channels) next_cell();
          continue;
        }
        bool any = false;
        for (i64 j = 0; j < 4; ++j, ++k) {
          float* to = p.fields + (i64{4} * groups + j) * rows;
          if (k < depth && live) {
            any = true;
            fetch_row(p, piece, image + channel * far_.channel, to, rows);
          } else {
            std::memset(to, 0, static_cast<std::size_t>(rows) * sizeof(float));
          }
          if (++channel == channels) next_cell();
        }
        if (!any) continue;
        p.groups[groups++] = static_cast<i32>(k - 4);
        if (groups == panels::max_k / 4) {
          multiply_in_order(unit(), p, rows, cols, weights, groups, 0);
          groups = 0;
        }
      }
      if (groups > 0) multiply_in_order(unit(), p, rows, cols, weights, groups, 0);
      complete_sums(unit(), p, rows, cols);
      if (partials > 1) add_partial(p, i == 0, rows, cols);
    }
    write_image(p, piece, column, cols, partials > 1 ? p.totals : p.sums);
  }

  /// Finds the cell that every run of a piece meets at kernel cell (r, s). Returns how many rows
  /// meet one; the others are zeros.
  i64 find_cells(panels& p, row_piece piece, i32 r, i32 s) const {
    i64 live = 0;
    for (i32 j = 0; j < piece.runs; ++j) {
      const run& run = p.runs[j];
      i64 y = 0;
      i64 x = 0;
      const bool exists = cell_at(run.h, run.w, r, s, y, x);
      p.offsets[j] = exists ? y * far_.row + x * far_.column + run.n * far_.sample : -1;
      if (exists) live += run.length;
    }
    return live;
  }

  /// One k of the fields: a channel's cells at the offsets found.
  void fetch_row(const panels& p, row_piece piece, const T* image, float* to, i32 rows) const {
    i32 at = 0;
    for (i32 j = 0; j < piece.runs; ++j) {
      const i32 length = p.runs[j].length;
      if (p.offsets[j] >= 0) {
        fetch_run(image + p.offsets[j], to + at, length);
      } else {
        std::memset(to + at, 0, static_cast<std::size_t>(length) * sizeof(float));
      }
      at += length;
    }
    take(to, at);
    for (; at < rows; ++at) to[at] = 0;
  }

  void write_image(panels& p, row_piece piece, i64 column, i32 cols, float* sums) {
    const T* bias = map().of.transposed || !c_.sizes->has_input(2) ? nullptr : c_.input<T>(2);
    for (i32 j = 0; j < cols; ++j) {
      float* sum = sums + j * panels::max_rows;
      if (bias != nullptr) {
        const lanes b = set(fetch(bias[column + j]));
        for (i32 r = 0; r < piece.rows; r += lane_count) store(sum + r, load(sum + r) + b);
      }
      T* to = out_ + (column + j) * near_.channel;
      i32 at = 0;
      for (i32 i = 0; i < piece.runs; ++i) {
        const run& run = p.runs[i];
        store_sums(sum + at, to + run.h * near_.row + run.w * near_.column + run.n * near_.sample,
                   run.length);
        at += run.length;
      }
    }
  }

  // --- weight gradient: a piece of output channels x (input channel, kernel cell) ---

  void weight_piece(panels& p, recorder& record, i32 g, i32 row, i32 rows, i32 col, i32 cols) {
    const bool slices = has_slices(*c_.sizes);
    if (!slices) {
      const float* const sums = weight_sums(p, record, g, row, rows, col, cols, -1);
      return write_weights(g, row, rows, col, cols, sums);
    }
    const dense_sizes n = dense_sizes::of(*c_.sizes);
    std::memset(p.slices, 0, static_cast<std::size_t>(cols) * panels::max_rows * sizeof(float));
    for (i64 k = 0; k < n.stack; ++k) {
      const i32 slice = static_cast<i32>(n.slice(k));
      const float* const sums = weight_sums(p, record, g, row, rows, col, cols, slice);
      add_slice(p, sums, weight_at(g, row, col), rows, cols, k);
    }
    write_weights(g, row, rows, col, cols, p.slices);
  }

  /// As a loop over slices does it: what a slice gives is stored, and so is the sum. The piece's
  /// first weight is number `first`; its rows are `per_channel` weights apart.
  void add_slice(panels& p, const float* sums, i64 first, i32 rows, i32 cols, i64 slice) const {
    alignas(64) float line[panels::max_rows] = {};
    const storing how(run_.on, c_);
    const i64 per_channel = weights_per_channel();
    const i64 all = map().of.extent[axis_g] * map().of.extent[axis_o] * per_channel;
    // `which`: the slice's gradient and the sum so far are rounded by words of their own.
    const auto as_stored = [&](const float* from, float* to, i32 col, i64 which) {
      alignas(64) T stored[panels::max_rows];
      if (how.plainly()) {
        put_plainly(from, stored, panels::max_rows);
        return fetch(stored, to, panels::max_rows);
      }
      for (i32 r = 0; r < rows; ++r) {
        put_own(how, from + r, stored + r, 1, which * all + first + r * per_channel + col);
      }
      fetch(stored, to, rows);
    };
    for (i32 j = 0; j < cols; ++j) {
      float* const total = p.slices + j * panels::max_rows;
      as_stored(sums + j * panels::max_rows, line, j, 2 * slice);
      for (i32 r = 0; r < panels::max_rows; r += lane_count) {
        store(total + r, load(total + r) + load(line + r));
      }
      as_stored(total, total, j, 2 * slice + 1);
    }
  }

  i64 weights_per_channel() const { return i64{map().of.extent[axis_c]} * map().of.taps; }
  /// The number of a weight: output channel `row` of group g, (input channel, kernel cell) `col`.
  i64 weight_at(i32 g, i32 row, i32 col) const {
    return (i64{g} * map().of.extent[axis_o] + row) * weights_per_channel() + col;
  }

  /// The sums of a piece, of one slice of a stack or (-1) of all that there is.
  const float* weight_sums(panels& p, recorder& record, i32 g, i32 row, i32 rows, i32 col, i32 cols,
                           i32 slice) {
    const i32 wide = static_cast<i32>(padded(rows));
    const i64 partials = map().partials();
    const weight_columns weights{p.weights, weight_stride()};
    vertex v;
    for (i64 i = 0; i < partials; ++i) {
      place_partial(v, i);
      if (slice >= 0) {
        v.begin[axis_h] = slice;
        v.size[axis_h] = 1;
      }
      clear_sums(unit(), p, cols);
      const i64 all = i64{v.size[axis_h]} * v.size[axis_w] * v.size[axis_b];
      for (i64 k = 0; k < all;) {
        const row_piece piece = rows_from(p, v, k, panels::max_k, panels::max_k);
        const i32 depth = (piece.rows + 3) / 4 * 4;
        fetch_gradients(p, piece, depth, g, row, rows, wide);
        record.counts.macs += rows * fetch_cells(p, piece, depth, g, col, cols);
        multiply_in_order(unit(), p, wide, cols, weights, depth / 4, k);
        k += piece.rows;
      }
      complete_sums(unit(), p, wide, cols);
      if (partials > 1) add_partial(p, i == 0, wide, cols);
    }
    return partials > 1 ? p.totals : p.sums;
  }

  /// fields[k][row]: the output gradients of `rows` channels, transposed.
  void fetch_gradients(panels& p, row_piece piece, i32 depth, i32 g, i32 row, i32 rows, i32 wide) {
    const T* gradient = c_.input<T>(1) + (i64{g} * map().of.extent[axis_o] + row) * near_.channel;
    float line[panels::max_k];
    for (i32 o = 0; o < rows; ++o) {
      i32 at = 0;
      for (i32 j = 0; j < piece.runs; ++j) {
        const run& run = p.runs[j];
        fetch_run(gradient + o * near_.channel + run.h * near_.row + run.w * near_.column +
                      run.n * near_.sample,
                  line + at, run.length);
        at += run.length;
      }
      take(line, at);
      for (; at < depth; ++at) line[at] = 0;
      float* to = p.fields + o;
      for (i32 i = 0; i < depth; ++i) to[i64{i} * wide] = line[i];
    }
    for (i32 o = rows; o < wide; ++o) {
      for (i32 i = 0; i < depth; ++i) p.fields[i64{i} * wide + o] = 0;
    }
  }

  /// weights[col][k]: the cells of the input that each weight meets. Returns how many there are.
  i64 fetch_cells(panels& p, row_piece piece, i32 depth, i32 g, i32 col, i32 cols) {
    const problem& of = map().of;
    const i64 stride = weight_stride();
    const T* image = c_.input<T>(0) + i64{g} * of.extent[axis_c] * far_.channel;
    // One kernel cell after another, each for all input channels in the piece.
    const i32 first_channel = col / of.taps;
    const i32 last_channel = (col + cols - 1) / of.taps;
    i64 cells = 0;
    for (i32 tap = 0; tap < of.taps; ++tap) {
      const i64 live = find_cells(p, piece, tap / of.kernel[1], tap % of.kernel[1]);
      for (i32 c = first_channel; c <= last_channel; ++c) {
        const i32 j = c * of.taps + tap - col;
        if (j < 0 || j >= cols) continue;
        float* to = p.weights + j * stride;
        fetch_row(p, piece, image + c * far_.channel, to, depth);
        cells += live;
      }
    }
    return cells;
  }

  void write_weights(i32 g, i32 row, i32 rows, i32 col, i32 cols, const float* sums) {
    float line[panels::max_cols];
    for (i32 o = 0; o < rows; ++o) {
      for (i32 j = 0; j < cols; ++j) line[j] = sums[j * panels::max_rows + o];
      store_sums(line, out_ + weight_at(g, row + o, col), cols);
    }
  }

  const call& c_;
  execution run_;
  T* out_;
  image_view far_;
  image_view near_;
  float* arranged_ = nullptr;  // weights of forward and data gradient
  i64 block_stride_ = 0;
  i64 column_stride_ = 0;
};

/// dense, conv2d, their gradients of data and of weights.
template <class T>
void run_product(const machine& m, const call& c) {
  product<T>(m, c, c.output<T>(0))();
}

}  // namespace tessera::accelerator
