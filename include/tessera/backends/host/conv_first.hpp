#pragma once

// conv2d and its data gradient, batch first: positions of one sample fill the vectors.
//
// A strip of positions at a time: the cells that its taps meet are packed into a panel
// (image_panel.hpp), a vector of 16 positions is then a vector of the panel for every tap, and
// blocks of channels x vectors are summed up in registers (gathered_product.hpp). Weights are
// read where they lie; 16-bit ones become floats, a block of rows at a time. The data
// gradient is the same sum for each remainder of positions by the stride, whose taps are the same.
//
//   workspace   [sums: rows x positions][weights, of 16 bits only][panel]
//
// What does not fit goes piece by piece: first rows of positions, then channels of the sum, then
// columns of positions, then taps. Sums are floats, one chain for each output: bias, then for each
// piece channel by channel and tap by tap, so that results depend neither on threads nor on
// vectors.
//
// Cost: a multiply-add for each weight and vector of positions; packing adds kernel width / (rows
// x taps) of that, about 3 % for 3 x 3 and 32 channels.

#include <cstring>

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/gathered_product.hpp>
#include <tessera/backends/host/image_panel.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/host/strip_plan.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>

namespace tessera::host {

inline void narrow(const float* from, float* to, i64 n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}

/// Sums of one remainder of positions by the stride: all of them, forward.
template <class T>
class first_convolution {
 public:
  first_convolution(const conv_view<T>& v, const gather_axis& height, const gather_axis& width)
      : v_(v),
        height_(height),
        width_(width),
        taps_(static_cast<i32>(v.kernel())),
        panel_rows_(by_row() ? gathered_product::most_rows
                             : gathered_product::most_rows * (taps_ < 8 ? 8 / taps_ : 1)),
        plan_(height, width, v.depth, packs() ? i64{panel_rows_} * taps_ : i64{0}) {}

  void run(threads workers) const {
    const row_blocks strip_rows(height_.to, plan_.part.rows);
    const row_blocks strip_columns(width_.to, plan_.part.columns);
    const i32 strips = strip_rows.count * strip_columns.count;
    const i32 tasks = v_.batch * v_.groups * strips;
    const i32 blocks = (v_.rows + gathered_product::most_rows - 1) / gathered_product::most_rows;
    i32 pieces = workers.count > tasks ? (workers.count + tasks - 1) / tasks : 1;
    if (pieces > blocks) pieces = blocks;
    parallel_for(workers, tasks * pieces, [&](i32 item) {
      const i32 piece = item % pieces;
      const i32 strip = item / pieces % strips;
      const i32 image = item / pieces / strips;
      const i32 first = static_cast<i32>(i64{blocks} * piece / pieces);
      const i32 last = static_cast<i32>(i64{blocks} * (piece + 1) / pieces);
      const row_blocks all(v_.rows, gathered_product::most_rows);
      run_strip(image, strip, all.first(first), all.first(last));
    });
  }

 private:
  void run_strip(i32 image, i32 strip, i32 first_row, i32 last_row) const {
    float* sums = workspace::floats();
    float* const weights = sums + strip_plan::sum_floats;
    float* const cells = weights + plan_.weight_floats;
    const row_blocks strip_rows(height_.to, plan_.part.rows);
    const row_blocks strip_columns(width_.to, plan_.part.columns);
    const i32 row_strip = strip / strip_columns.count;
    const i32 column_strip = strip % strip_columns.count;
    panel_part part = plan_.part;
    part.row0 = strip_rows.first(row_strip);
    part.rows = strip_rows.rows(row_strip);
    part.column0 = strip_columns.first(column_strip);
    part.columns = strip_columns.rows(column_strip);

    const i32 positions = part.rows * part.columns;
    const bool one_piece = part.channels == v_.depth && part.tap_rows == height_.taps &&
                           part.tap_columns == width_.taps;
    // Whole rows of floats are summed up where they are to lie.
    const bool in_place = sizeof(T) == 4 && one_piece && positions >= simd::lanes && together(part);
    i32 at[strip_plan::most_positions / simd::lanes];
    gathered_term terms[strip_plan::most_terms];
    gathered_product p;
    p.vectors = (positions + simd::lanes - 1) / simd::lanes;
    for (i32 i = 0; i < p.vectors; ++i) at[i] = i * simd::lanes;
    if (in_place) at[p.vectors - 1] = positions - simd::lanes;  // some positions twice
    p.at = at;
    p.to = at;
    p.terms = terms;
    p.x = cells;
    p.sums_row = in_place ? v_.to_plane() : i64{p.vectors} * simd::lanes;

    const i32 group = image % v_.groups;
    const T* const from = v_.from + i64{image} * v_.depth * v_.from_plane();
    const i64 most_rows = in_place ? last_row - first_row : strip_plan::sum_floats / p.sums_row;
    const row_blocks all(last_row - first_row, static_cast<i32>(most_rows));
    for (i32 b = 0; b < all.count; ++b) {
      const i32 first = first_row + all.first(b);
      const i32 rows = all.rows(b);
      T* const to = v_.to + (i64{image} * v_.rows + first) * v_.to_plane();
      if constexpr (sizeof(T) == 4) {
        if (in_place) sums = to + i64{part.row0} * part.columns;
      }
      p.add = false;
      for (i32 r = 0; r < height_.taps; r += plan_.part.tap_rows) {
        part.tap_row0 = r;
        part.tap_rows = smaller_of(plan_.part.tap_rows, height_.taps - r);
        for (i32 s = 0; s < width_.taps; s += plan_.part.tap_columns) {
          part.tap_column0 = s;
          part.tap_columns = smaller_of(plan_.part.tap_columns, width_.taps - s);
          for (i32 d = 0; d < v_.depth; d += plan_.part.channels) {
            part.channels = smaller_of(plan_.part.channels, v_.depth - d);
            if (b == 0 || !one_piece) {
              image_panel panel(height_, width_, part);
              panel.fill(from + d * v_.from_plane(), v_.from_plane(), cells);
              fill_terms(panel, part, p, terms);
            }
            add_piece(p, group, first, rows, d, part.channels, sums, weights);
            p.add = true;
          }
        }
      }
      if (!p.add) std::memset(sums, 0, static_cast<std::size_t>(rows * p.sums_row) * sizeof(float));
      if (!in_place) put(sums, p.sums_row, part, to, rows);
    }
  }

  static i32 smaller_of(i32 a, i32 b) { return a < b ? a : b; }

  /// Weights of 16 bits are packed as floats, and those of the data gradient next to each other:
  /// there, one row's are a whole output channel apart.
  bool packs() const { return sizeof(T) == 2 || !by_row(); }
  /// An output channel's weights are a row of the sum.
  bool by_row() const { return v_.weight_depth == taps_; }

  /// From channel to channel of the sum, among the weights as they are read.
  i64 weight_depth() const { return by_row() ? taps_ : i64{panel_rows_} * taps_; }

  void fill_terms(image_panel& panel, const panel_part& part, gathered_product& p,
                  gathered_term* terms) const {
    constexpr i32 enough = 16;  // terms of a table, for its loop to be long
    const i32 taps = part.tap_rows * part.tap_columns;
    i32 table = taps < enough ? (enough + taps - 1) / taps : 1;
    if (table > part.channels) table = part.channels;
    for (i32 r = 0; r < part.tap_rows; ++r) {
      const i32 kernel_row = height_.first_tap + (part.tap_row0 + r) * height_.tap_step;
      for (i32 s = 0; s < part.tap_columns; ++s) {
        const i32 kernel_column = width_.first_tap + (part.tap_column0 + s) * width_.tap_step;
        terms[r * part.tap_columns + s] = {static_cast<i32>(panel.tap(r, s)),
                                           kernel_row * v_.width.kernel + kernel_column};
      }
    }
    for (i32 d = 1; d < table; ++d) {
      for (i32 t = 0; t < taps; ++t) {
        terms[d * taps + t] = {terms[t].x + static_cast<i32>(d * panel.channel_step()),
                               terms[t].weight + static_cast<i32>(d * weight_depth())};
      }
    }
    p.repeat(table, part.channels, taps);
    p.x_period = table * panel.channel_step();
    p.weight_period = table * weight_depth();
  }

  /// Channels [d, d + depth) of the sums of rows [first, first + rows).
  void add_piece(gathered_product& p, i32 group, i32 first, i32 rows, i32 d, i32 depth, float* sums,
                 float* weights) const {
    const row_blocks blocks(rows, gathered_product::most_rows);
    const i32 together = panel_rows_ / gathered_product::most_rows;
    float start[gathered_product::most_rows];
    for (i32 b = 0; b < blocks.count; ++b) {
      const i32 row = first + blocks.first(b);
      const i32 count = blocks.rows(b);
      const T* const weight =
          v_.weight + group * v_.weight_group + row * v_.weight_row + d * v_.weight_depth;
      if (by_row()) {
        p.weight_row = sizeof(T) == 4 ? v_.weight_row : i64{depth} * taps_;
        if constexpr (sizeof(T) == 4) {
          p.weight = weight;
        } else {
          p.weight = weights;
          for (i32 r = 0; r < count; ++r) {
            widen(weight + r * v_.weight_row, weights + r * p.weight_row, p.weight_row);
          }
        }
      } else {
        p.weight_row = taps_;
        if (b % together == 0) {
          const i32 end = b + together < blocks.count ? b + together : blocks.count;
          const i64 length = i64{blocks.first(end) - blocks.first(b)} * taps_;
          for (i32 i = 0; i < depth; ++i) {
            copy_floats(weight + i * v_.weight_depth, length, weights + i * weight_depth());
          }
          p.weight = weights;
        } else {
          p.weight += i64{blocks.rows(b - 1)} * taps_;
        }
      }
      p.start = nullptr;
      if (v_.bias != nullptr) {
        for (i32 r = 0; r < count; ++r) {
          start[r] = simd::as_float(v_.bias[i64{group} * v_.rows + row + r]);
        }
        p.start = start;
      }
      p.sums = sums + blocks.first(b) * p.sums_row;
      run_gathered(p, count);
    }
  }

  /// Rows of positions follow one another in what is written.
  bool together(const panel_part& part) const {
    return part.columns == v_.width.to && width_.to_step == 1 && height_.to_step == 1;
  }

  /// The sums of a strip to where its positions lie.
  void put(const float* sums, i64 sums_row, const panel_part& part, T* to, i32 rows) const {
    const bool one_row = together(part);
    for (i32 r = 0; r < rows; ++r, sums += sums_row, to += v_.to_plane()) {
      if (one_row) {
        narrow(sums, to + i64{part.row0} * part.columns, i64{part.rows} * part.columns);
        continue;
      }
      const float* from = sums;
      for (i32 i = 0; i < part.rows; ++i, from += part.columns) {
        T* const row = to +
                       (height_.to_first + i64{part.row0 + i} * height_.to_step) * v_.width.to +
                       width_.to_first + i64{part.column0} * width_.to_step;
        if (width_.to_step == 1) {
          narrow(from, row, part.columns);
        } else {
          for (i32 j = 0; j < part.columns; j += simd::lanes) {
            const i32 rest = part.columns - j;
            simd::store_apart(row + i64{j} * width_.to_step, width_.to_step, simd::load(from + j),
                              rest < simd::lanes ? rest : simd::lanes);
          }
        }
      }
    }
  }

  const conv_view<T>& v_;
  gather_axis height_, width_;
  i32 taps_;
  i32 panel_rows_;  // rows whose weights are packed together
  strip_plan plan_;
};

template <class T>
void conv_batch_first(const call& c, const conv_view<T>& v) {
  for (i32 i = 0; i < gather_axis::phases(v.height); ++i) {
    for (i32 j = 0; j < gather_axis::phases(v.width); ++j) {
      first_convolution<T>(v, gather_axis::of(v.height, i), gather_axis::of(v.width, j))
          .run(c.step->threads);
    }
  }
}

}  // namespace tessera::host
