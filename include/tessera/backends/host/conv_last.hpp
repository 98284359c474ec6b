#pragma once

// conv2d and its data gradient, batch last: samples are the columns of vectors.
//
//   x [channel][row][column][sample]           one step of a sum: 14 weights, 2 vectors of samples
//        | copied once for all output channels        |
//        v                                            v
//   ring [row][column][channel][sample]   x   weights [block][tap][channel][14]  ->  y
//
// In x the taps of one position lie whole planes apart: powers of two, so that few sets of L1 serve
// all of them and every vector comes from L2. The ring holds the rows that one row of positions
// meets, so that the taps of a position are as many runs of neighbours as the kernel has rows, and
// each row of x is copied once. Taps outside the image are left out of the sums, nothing is padded.
// The ring, the weights and, for 16-bit sums in several parts, a tile of floats lie in the
// workspace; what does not fit is taken in pieces: of 32 samples, of positions along a row, of
// output channels, and at last of the channels of the sum, whose parts are added up in y
// (conv_last_plan.hpp). A kernel of one tap packs as much as it reads: what it packs next is
// fetched while it multiplies.
//
//   1x1 without borders    the image is one row: no row is too short
//   few uses of a cell     conv_last_direct.hpp (depthwise)
//
// With AVX512-BF16 a lane of the ring and a weight are two channels of bfloat16 (simd_pairs.hpp):
// half the vectors, half the multiply-adds.
//
// Order of a sum: pieces of channels, then kernel rows, kernel columns, channels; in float, one
// chain. Of pairs of channels the second comes first. Rows of positions and blocks of output
// channels are shared out among threads. Floor: multiply-adds that meet the image at one vector a
// cycle (Zen 4; two on Zen 5). Packing a vector takes 4 to 6 cycles and serves taps * output
// channels of them.

#include <tessera/backends/host/conv_last_direct.hpp>
#include <tessera/backends/host/conv_last_plan.hpp>
#include <tessera/backends/host/panel_sum.hpp>
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// What one thread computes of a convolution.
template <class T>
class conv_last_share {
 public:
  conv_last_share(const conv_view<T>& view, const image_steps& source, const conv_last_plan& plan,
                  i32 share, i32 shares)
      : v(view),
        from_(source),
        plan_(plan),
        blocks_(view.rows),
        share_(share),
        shares_(shares),
        ring_(workspace::floats()),
        tile_(ring_ + plan.ring_floats),
        weights_(tile_ + plan.tile_floats) {
    // Taps of a kernel row in the order of the cells they meet.
    i32 at = 0;
    for (i32 phase = 0; phase < v.width.tap_step; ++phase) {
      i32 count = 0;
      while (phase + count * v.width.tap_step < v.width.kernel) ++count;
      for (i32 k = 0; k < count; ++k) {
        const i32 from = v.width.cell_step > 0 ? k : count - 1 - k;
        place_[phase + from * v.width.tap_step] = at++;
      }
    }
  }

  void run() {
    for (group_ = 0; group_ < v.groups; ++group_) {
      for (first_block_ = 0; first_block_ < blocks_.count; first_block_ += plan_.set_blocks) {
        last_block_ = first_block_ + plan_.set_blocks;
        if (last_block_ > blocks_.count) last_block_ = blocks_.count;
        // Parts of a sum that waits in y come one after the other, those of a tile row by row.
        const i32 parts = (v.depth + plan_.depth - 1) / plan_.depth;
        const i32 step = plan_.tile_rows > 0 ? parts : 1;
        for (first_part_ = 0; first_part_ < parts; first_part_ += step) {
          last_part_ = first_part_ + step;
          packed_part_ = -1;
          for (sample_ = 0; sample_ < v.batch; sample_ += samples_) {
            const i32 rest = v.batch - sample_;
            samples_ = rest < conv_last_plan::samples ? simd::lanes : conv_last_plan::samples;
            run_slice();
          }
        }
      }
    }
  }

 private:
  /// This thread's share of the rows and blocks of a set, for one slice of samples.
  void run_slice() {
    const i32 blocks = last_block_ - first_block_;
    const i32 pieces = (v.width.to + plan_.width - 1) / plan_.width;
    const i64 items = i64{v.height.to} * blocks;
    const i64 first = items * pieces * share_ / shares_;
    const i64 last = items * pieces * (share_ + 1) / shares_;
    for (i32 piece = 0; piece < pieces; ++piece) {
      first_ = first - piece * items;
      last_ = last - piece * items;
      if (first_ < 0) first_ = 0;
      if (last_ > items) last_ = items;
      if (first_ >= last_) continue;
      column_ = piece * plan_.width;
      columns_ = v.width.to - column_ < plan_.width ? v.width.to - column_ : plan_.width;
      cells_ = v.width.cells(column_, column_ + columns_);
      const i32 last_row = static_cast<i32>((last_ + blocks - 1) / blocks);
      const i32 step = plan_.tile_rows > 0 ? plan_.tile_rows : last_row;
      for (i32 row = static_cast<i32>(first_ / blocks); row < last_row; row += step) {
        run_rows(row, row + step < last_row ? row + step : last_row);
      }
    }
  }

  void run_rows(i32 first_row, i32 last_row) {
    for (i32 part = first_part_; part < last_part_; ++part) {
      depth0_ = part * plan_.depth;
      depth_ = v.depth - depth0_ < plan_.depth ? v.depth - depth0_ : plan_.depth;
      steps_ = steps_of<T>(depth_);
      if (packed_part_ != part) pack_weights();
      packed_part_ = part;
      for (i32& row : held_) row = -1;
      column_runs runs(v.width, column_, column_ + columns_);
      while (runs.next()) {
        for (i32 row = first_row; row < last_row; ++row) {
          const tap_range down = v.height.taps(row);
          for (i32 k = 0; k < down.count; ++k) pack_row(down.at + k * v.height.cell_step);
          find_next(row, last_row);
          for (i32 block = first_block_; block < last_block_; ++block) {
            if (!mine(row, block)) continue;
            if constexpr (sizeof(T) == 2) {
              if (plan_.tile_rows > 0) {
                panel_sum<float> p;
                p.y = tile_of(block, row, first_row, last_row);
                p.y_row = i64{last_row - first_row} * columns_ * samples_;
                sum_row(p, samples_, block, down, runs);
                continue;
              }
            }
            panel_sum<T> p;
            p.y_row = v.to_plane() * v.batch;
            p.y = to(block) + (i64{row} * v.width.to + column_) * v.batch;
            sum_row(p, v.batch, block, down, runs);
          }
        }
      }
    }
    if constexpr (sizeof(T) == 2) {
      if (plan_.tile_rows > 0) store_tile(first_row, last_row);
    }
  }

  /// One row of positions of a block; y is the first of them.
  template <class Y>
  void sum_row(panel_sum<Y>& p, i64 y_cell, i32 block, const tap_range& down,
               const column_runs& runs) const {
    const i32 height = blocks_.height(block);
    float start[panel_rows];
    p.rows = blocks_.rows(block);
    for (i32 r = 0; r < p.rows; ++r) {
      start[r] = v.bias == nullptr
                     ? 0.0f
                     : simd::as_float(v.bias[i64{group_} * v.rows + blocks_.first(block) + r]);
    }
    panel_segment segments[conv_last_plan::most_segments];
    p.start = start;
    p.add = depth0_ > 0;
    p.weight =
        weights_ + i64{blocks_.first(block) - blocks_.first(first_block_)} * v.kernel() * steps_;
    p.weight_step = height;
    p.x = ring_;
    p.x_step = samples_;
    p.x_vector = simd::lanes;
    p.y_vector = simd::lanes;
    p.segments = segments;
    const i64 cell = i64{steps_} * samples_;
    p.x_position = v.width.run_cell * cell;
    p.y_position = v.width.run_step * y_cell;
    Y* const y = p.y;
    for (i32 i = 0; i < runs.count; ++i) {
      const column_run& run = runs.all[i];
      p.segment_count = set_segments(segments, height, down, run.taps);
      if (p.segment_count == 1 && next_ != nullptr) {
        p.segment_count = fetch_next(p, segments, height, block, run.positions);
      }
      p.y = y + (run.column - column_) * y_cell;
      p.x = ring_;
      run_positions(p, height, run.positions);
    }
  }

  template <class Y>
  void run_positions(panel_sum<Y> p, i32 height, i32 positions) const {
    p.positions = positions;
    if (samples_ > simd::lanes) return run_panel_sum<in_pairs<T>>(p, height);
    // The two vectors are two positions, and the last one may come alone: twice.
    p.positions = positions / 2;
    p.x_vector = p.x_position;
    p.y_vector = p.y_position;
    p.x_position *= 2;
    p.y_position *= 2;
    run_panel_sum<in_pairs<T>>(p, height);
    if (positions % 2 == 0) return;
    p.x += p.positions * p.x_position;
    p.y += p.positions * p.y_position;
    p.positions = 1;
    p.x_vector = p.y_vector = 0;
    run_panel_sum<in_pairs<T>>(p, height);
  }

  /// Where the cells that are packed next begin, if a kernel of one tap leaves hardly any time to
  /// wait for them: those of the next row, or of the next piece. Null where they do not lie side by
  /// side.
  void find_next(i32 row, i32 last_row) {
    next_ = nullptr;
    if (v.kernel() > 1 || from_.cell != samples_ || plan_.tile_rows > 0) return;
    i32 next = row + 1;
    while (next < last_row && v.height.taps(next).count == 0) ++next;
    const bool same_piece = next < last_row;
    const i32 column = same_piece ? column_ : column_ + plan_.width;
    if (column >= v.width.to) return;
    const i32 rest = v.width.to - column;
    const cell_range cells =
        v.width.cells(column, column + (rest < plan_.width ? rest : plan_.width));
    const tap_range down = v.height.taps(same_piece ? next : 0);
    next_cells_ = cells.last - cells.first;
    if (down.count == 0 || next_cells_ == 0) return;
    next_ = v.from + (i64{group_} * v.depth + depth0_) * from_.plane + down.at * from_.row +
            cells.first * from_.cell + sample_;
  }

  /// Cuts the one segment of a block so that each piece and position fetches a channel meanwhile.
  i32 fetch_next(auto& p, panel_segment* segments, i32 height, i32 block, i32 positions) const {
    const i32 blocks = last_block_ - first_block_;
    i32 pieces = (depth_ + blocks * positions - 1) / (blocks * positions);
    if (pieces > steps_ / 8) pieces = steps_ / 8;
    if (pieces > conv_last_plan::most_segments) pieces = conv_last_plan::most_segments;
    if (pieces < 1) pieces = 1;
    const panel_segment whole = segments[0];
    p.ahead_lines = 0;
    const i32 first = (block - first_block_) * pieces * positions;
    if (first < depth_) {
      p.ahead_lines = static_cast<i32>((next_cells_ * samples_ * i64{sizeof(T)} + 63) / 64);
    }
    p.ahead_position = from_.plane * i64{sizeof(T)};
    for (i32 i = 0; i < pieces; ++i) {
      const i64 at = i64{steps_} * i / pieces;
      const i64 channel = first + i64{i} * positions;
      segments[i] = {whole.x + at * samples_, whole.weight + at * height,
                     i64{steps_} * (i + 1) / pieces - at,
                     next_ + (channel < depth_ ? channel : 0) * from_.plane};
    }
    return pieces;
  }

  i32 set_segments(panel_segment* segments, i32 height, const tap_range& down,
                   const tap_range& across) const {
    if (across.count == 0) return 0;
    const conv_axis& w = v.width;
    const i32 last = across.count - 1;
    const bool ascends = w.cell_step > 0;
    const i32 first_tap = ascends ? across.first : across.first + last * w.tap_step;
    const i32 first_cell = ascends ? across.at : across.at + last * w.cell_step;
    const i32 step = ascends ? w.cell_step : -w.cell_step;
    const bool joined = step == 1 || last == 0;
    const i32 pieces = joined ? 1 : across.count;
    const i64 length = joined ? i64{across.count} * steps_ : steps_;
    i32 count = 0;
    for (i32 k = 0; k < down.count; ++k) {
      const i64 tap = i64{down.first + k * v.height.tap_step} * w.kernel + place_[first_tap];
      const i64 slot = (down.at + k * v.height.cell_step) % plan_.slots;
      const i64 column = slot * (cells_.last - cells_.first) + first_cell - cells_.first;
      for (i32 j = 0; j < pieces; ++j) {
        segments[count++] = {(column + i64{j} * step) * steps_ * samples_,
                             (tap + j) * steps_ * height, length};
      }
    }
    return count;
  }

  /// Row `row` of x, if the ring does not hold it yet.
  void pack_row(i32 row) {
    const i32 slot = row % plan_.slots;
    if (held_[slot] == row) return;
    held_[slot] = row;
    const i32 cells = cells_.last - cells_.first;
    const i64 step = i64{steps_} * samples_;
    const i64 plane = from_.plane;
    // What is packed next: the next row, or more of this one.
    const i64 ahead = v.height.from > 1 ? from_.row * v.height.skips() : cells * from_.cell;
    const T* const from = v.from + (i64{group_} * v.depth + depth0_) * plane + row * from_.row +
                          cells_.first * from_.cell + sample_;
    float* const to = ring_ + slot * cells * step;
    for (i32 d = 0; d < steps_; ++d) {
      const T* x = from + i64{d} * terms_of_step<T> * plane;
      float* y = to + i64{d} * samples_;
      if constexpr (in_pairs<T>) {
        const i64 odd = 2 * d + 1 < depth_ ? plane : 0;  // a lonely channel meets weights of 0
        for (i32 cell = 0; cell < cells; ++cell, x += from_.cell, y += step) {
          for (i32 n = 0; n < samples_; n += simd::lanes) {
            simd::store(y + n, simd::load_pairs(x + n, odd == 0 ? nullptr : x + n + odd));
          }
        }
        continue;
      }
      for (i32 cell = 0; cell < cells; ++cell, x += from_.cell, y += step) {
        simd::prefetch(x + ahead);
        simd::store(y, simd::load(x));
        if (samples_ > simd::lanes) simd::store(y + simd::lanes, simd::load(x + simd::lanes));
      }
    }
  }

  /// The weights of the set, as floats or pairs: [block][tap][step of the sum][row of the block].
  void pack_weights() {
    const i64 taps = v.kernel();
    float* to = weights_;
    for (i32 block = first_block_; block < last_block_; ++block) {
      const i32 height = blocks_.height(block);
      const i32 rows = blocks_.rows(block);
      if (rows < height || depth_ % terms_of_step<T> != 0) {
        std::memset(to, 0, sizeof(float) * static_cast<std::size_t>(taps * steps_ * height));
      }
      const T* const from = v.weight + group_ * v.weight_group +
                            blocks_.first(block) * v.weight_row + depth0_ * v.weight_depth;
      if constexpr (in_pairs<T>) {
        if (taps == 1 && v.weight_row == 1) {
          for (i32 d = 0; d < depth_; d += 2, to += height) {
            const T* const weight = from + d * v.weight_depth;
            const T* const odd = d + 1 < depth_ ? weight + v.weight_depth : nullptr;
            simd::store_partial(to, simd::load_pairs(weight, odd, rows), rows);
          }
          continue;
        }
      } else {
        if (taps == 1) {
          for (i32 d = 0; d < depth_; ++d) {
            const T* const weight = from + d * v.weight_depth;
            for (i32 r = 0; r < rows; ++r) *to++ = simd::as_float(weight[r * v.weight_row]);
            to += height - rows;
          }
          continue;
        }
      }
      // Taps lie side by side, and so do those of the next channel or of the next row.
      const bool channels_next = v.weight_depth == taps;
      const i32 outer = channels_next ? rows : depth_;
      const i32 inner = channels_next ? depth_ : rows;
      const i64 outer_from = channels_next ? v.weight_row : v.weight_depth;
      constexpr i32 most = 2 * conv_last_plan::most_segments;
      const i32 step = static_cast<i32>(most / taps);
      for (i32 a = 0; a < outer; ++a) {
        for (i32 b = 0; b < inner; b += step) {
          const i32 count = inner - b < step ? inner - b : step;
          float wide[most];
          const packed* weight = as_packed(from + a * outer_from + b * taps, count * taps, wide);
          for (i32 i = 0; i < count; ++i) {
            const i32 d = channels_next ? b + i : a;
            const i32 row = channels_next ? a : b + i;
            packed* const one = reinterpret_cast<packed*>(to) + place_of(d, row, height);
            for (i32 r = 0; r < v.height.kernel; ++r) {
              for (i32 s = 0; s < v.width.kernel; ++s) {
                one[(i64{r} * v.width.kernel + place_[s]) * steps_ * height * terms_of_step<T>] =
                    *weight++;
              }
            }
          }
        }
      }
      to += taps * steps_ * height;
    }
  }

  /// What weights are packed as: floats, or numbers of pairs.
  using packed = std::conditional_t<in_pairs<T>, T, float>;
  static const packed* as_packed(const packed* from, i64, float*) { return from; }
  template <class Stored>
  static const float* as_packed(const Stored* from, i64 n, float* wide) {
    widen(from, wide, n);
    return wide;
  }
  static i64 place_of(i32 channel, i32 row, i32 height) {
    constexpr i32 terms = terms_of_step<T>;
    return (i64{channel / terms} * height + row) * terms + channel % terms;
  }

  bool mine(i32 row, i32 block) const {
    const i64 item = i64{row} * (last_block_ - first_block_) + block - first_block_;
    return item >= first_ && item < last_;
  }

  T* to(i32 block) const {
    const i64 row = i64{group_} * v.rows + blocks_.first(block);
    return v.to + row * v.to_plane() * v.batch + sample_;
  }
  /// Sums of a row of positions: [row of the set][row of positions][column][sample].
  float* tile_of(i32 block, i32 row, i32 first_row, i32 last_row) const {
    const i64 at = blocks_.first(block) - blocks_.first(first_block_);
    return tile_ + (at * (last_row - first_row) + row - first_row) * columns_ * samples_;
  }
  void store_tile(i32 first_row, i32 last_row) const {
    for (i32 block = first_block_; block < last_block_; ++block) {
      for (i32 row = first_row; row < last_row; ++row) {
        if (!mine(row, block)) continue;
        const float* const sums = tile_of(block, row, first_row, last_row);
        for (i32 r = 0; r < blocks_.rows(block); ++r) {
          const float* x = sums + i64{r} * (last_row - first_row) * columns_ * samples_;
          T* y = to(block) + ((i64{r} * v.height.to + row) * v.width.to + column_) * v.batch;
          for (i32 i = 0; i < columns_; ++i, x += samples_, y += v.batch) {
            for (i32 n = 0; n < samples_; n += simd::lanes) {
              simd::store(y + n, simd::load(x + n));
            }
          }
        }
      }
    }
  }

  const conv_view<T>& v;
  const image_steps& from_;
  const conv_last_plan& plan_;
  panel_row_blocks blocks_;
  i32 share_, shares_;
  float* ring_;
  float* tile_;
  float* weights_;
  i32 place_[conv_last_plan::most_segments];
  i32 held_[conv_last_plan::most_slots];  // which row of x a slot holds
  i32 group_ = 0;
  i32 first_block_ = 0, last_block_ = 0;  // the set
  i32 first_part_ = 0, last_part_ = 0;    // of the sum
  i32 sample_ = 0, samples_ = 0;          // the slice
  i64 first_ = 0, last_ = 0;              // of (row, block), in this piece
  i32 column_ = 0, columns_ = 0;          // positions of the piece
  cell_range cells_{};                    // that they meet
  i32 depth0_ = 0, depth_ = 0;            // channels of the part
  i32 steps_ = 0;                         // that they take
  i32 packed_part_ = -1;
  const T* next_ = nullptr;  // what is packed next
  i32 next_cells_ = 0;
};

/// A convolution as its packed rows see it: without borders one row, of the columns that it meets.
template <class T>
struct packed_rows {
  conv_view<T> view;
  image_steps from;

  constexpr explicit packed_rows(const conv_view<T>& v) : view(v) {
    join_rows(view.height, view.width);
    from = image_steps(view.height, view.width, v.batch);
    from.skip_columns(view.width);
  }
};

/// False where no cut fits: nothing is done then.
template <class T>
bool conv_packed(const call& c, const conv_view<T>& v) {
  const packed_rows<T> rows(v);
  const conv_last_plan plan(rows.view);
  if (!plan.fits) return false;
  const threads workers = c.step->threads;
  parallel_for(workers, workers.count, [&](i32 share) {
    conv_last_share<T>(rows.view, rows.from, plan, share, workers.count).run();
  });
  return true;
}

}  // namespace tessera::host
