#pragma once

// The weight gradient of conv2d, batch last, where channels fill vectors.
//
//   dw[o][r][s, c] = sum over samples, positions of dy[o][position] x[position + (r, s)][c]
//
//   x  [channel][row][column][sample]  ->  ring [row][sample][column][channel], with the padding
//   dy [channel][row][column][sample]  ->  rows [sample][column][14 channels]
//
// Samples are what is summed over, so they must not fill the vectors: 16 times as many sums would
// have to lie in memory. Transposed like this, the weights of one kernel row are a window of
// neighbours in x at each position, and the window moves by `stride` columns from position to
// position: panel_sum.hpp with 14 rows of output channels and two vectors of the windows, in which
// no lane is empty but in the last vector of a kernel row. Or, where channels in are few, the other
// way round: vectors of output channels and 14 numbers of a window (conv_last_weight_plan.hpp).
// The ring, dy and the sums lie in the workspace; what does not fit is taken in pieces: of 32
// samples and of positions, which are added up, and of channels of both sides. What the next row
// reads is fetched meanwhile (fetch_ahead.hpp).
//
// Order of a sum: in float, a chain over the samples of a slice and the positions of a piece of a
// row; chains are added up over rows, pieces, slices. Threads share out output channels.
// With AVX512-BF16 two neighbouring samples of bfloat16 are one number to the packer and one step
// of the sum (simd_pairs.hpp). Floor: one multiply-add a position, row of a block and vector.
// Transposing takes 8 to 10 cycles a vector of 16 from the caches (4 from the first one).
// On a Zen 4 of 114 GFLOP/s, batch 32: 3x3 of 16 to 32 channels with stride 2 96, 7x7 of 3 to 64
// 93, 1x1 of 64 to 256 87, of 512 to 256 98; 3x3 of 3 to 16, a third of it spent on
// transposing, 75.

#include <tessera/backends/host/conv_last_weight_plan.hpp>
#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/fetch_ahead.hpp>
#include <tessera/backends/host/update_rule.hpp>  // gradient_sink
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// Gathers vectors of sums two by two; the last one may come alone.
template <bool Pairs>
class vector_pairs {
 public:
  /// `segments` are those of the sum; each call fetches some lines for each of them.
  vector_pairs(panel_sum<float>& sum, panel_segment* segments, fetch_ahead& ahead, i32 height)
      : sum_(sum), segments_(segments), ahead_(ahead), height_(height) {}

  void add(const float* x, float* y) {
    if (x_ == nullptr) {
      x_ = x;
      y_ = y;
      return;
    }
    place();
    sum_.x_vector = x - x_;
    sum_.y_vector = y - y_;
    run_panel_sum<Pairs>(sum_, height_);
    x_ = nullptr;
  }
  void finish() {
    if (x_ == nullptr) return;
    place();
    run_panel_sum<Pairs, 1>(sum_, height_);
    x_ = nullptr;
  }

 private:
  void place() {
    sum_.x = x_;
    sum_.y = y_;
    if (sum_.ahead_lines == 0) return;
    for (i32 i = 0; i < sum_.segment_count; ++i) segments_[i].ahead = ahead_.next();
  }

  panel_sum<float>& sum_;
  panel_segment* segments_;
  fetch_ahead& ahead_;
  i32 height_;
  const float* x_ = nullptr;
  float* y_ = nullptr;
};

/// What one thread computes of a weight gradient: pairs of output channels.
template <class T>
class conv_last_weight_share {
  /// What is transposed: a number, or two samples side by side that one step takes in pairs.
  using word = std::conditional_t<in_pairs<T>, float, T>;

 public:
  conv_last_weight_share(const conv_weight_view<T>& view, const conv_axis& height,
                         const conv_axis& width, const image_steps& source,
                         const conv_last_weight_plan& plan, gradient_sink& sink)
      : v(view),
        height_(height),
        width_(width),
        from_(source),
        plan_(plan),
        sink_(sink),
        x_(reinterpret_cast<const word*>(view.x)),
        all_dy_(reinterpret_cast<const word*>(view.dy)),
        batch_(view.n.batch / terms_of_step<T>),
        ring_(workspace::floats()),
        dy_(ring_ + plan.ring_floats),
        sums_(dy_ + plan.dy_floats) {}

  /// Output channels [first, last) of a group.
  void run(i32 group, i32 first, i32 last) {
    group_ = group;
    const i32 sets = (last - first + plan_.rows - 1) / plan_.rows;
    const i32 pairs = (last - first + 1) / 2;
    for (i32 set = 0; set < sets; ++set) {
      row0_ = first + 2 * (pairs * set / sets);
      const i32 end = first + 2 * (pairs * (set + 1) / sets);
      rows_ = (end < last ? end : last) - row0_;
      for (depth0_ = 0; depth0_ < v.n.group_in(); depth0_ += depth_) {
        const i32 rest = v.n.group_in() - depth0_;
        depth_ = rest < plan_.depth ? rest : plan_.depth;
        run_channels();
      }
    }
  }

 private:
  static std::size_t bytes_of_floats(i64 count) {
    return static_cast<std::size_t>(count) * sizeof(float);
  }

  void run_channels() {
    pitch_ = conv_last_weight_plan::pitch(plan_.columns, depth_);
    window_ = plan_.joined ? v.n.kernel_width * depth_ : depth_;
    windows_ = plan_.joined ? v.n.kernel_height : static_cast<i32>(v.kernel());
    blocks_ = panel_row_blocks(plan_.vectors_out ? window_ : rows_);
    lying_ = conv_last_weight_plan::padded(plan_.vectors_out ? rows_ : window_);
    std::memset(sums_, 0, bytes_of_floats(windows_ * sums_of(blocks_.first(blocks_.count))));
    for (sample_ = 0; sample_ < batch_; sample_ += samples_) {
      const i32 rest = batch_ - sample_;
      samples_ = rest < conv_last_weight_plan::samples ? rest : conv_last_weight_plan::samples;
      for (column_ = 0; column_ < width_.to; column_ += plan_.width) {
        const i32 positions = width_.to - column_;
        positions_ = positions < plan_.width ? positions : plan_.width;
        run_rows();
      }
    }
    deliver();
  }

  /// All rows of a slice of samples and a piece of positions.
  void run_rows() {
    for (i32& row : held_) row = -1;
    // What the padding leaves out is never written, nor is what fills up vectors of dy.
    std::memset(ring_, 0, bytes_of_floats(i64{plan_.slots} * samples_ * pitch_));
    if (plan_.vectors_out) std::memset(dy_, 0, bytes_of_floats(plan_.dy_floats));
    for (i32 p = 0; p < height_.to; ++p) {
      const tap_range down = height_.taps(p);
      if (down.count == 0) continue;
      for (i32 k = 0; k < down.count; ++k) pack_x(down.at + k * height_.cell_step);
      find_next(p, down.count);
      if (plan_.vectors_out) {
        add_row_of_outputs(p, down);
      } else {
        for (i32 block = 0; block < blocks_.count; ++block) add_row(block, p, down);
      }
    }
  }

  /// One row of positions onto the sums of a block of output channels.
  void add_row(i32 block, i32 p, const tap_range& down) {
    const i32 height = blocks_.height(block);
    const i64 dy_pitch = i64{positions_} * height + conv_last_weight_plan::spare;
    pack_dy(dy_, dy_pitch, height, blocks_.first(block), blocks_.rows(block), p);
    panel_segment segments[conv_last_weight_plan::samples];
    for (i32 n = 0; n < samples_; ++n) segments[n] = {n * pitch_, n * dy_pitch, positions_};
    panel_sum<float> sum = sum_over(segments);
    sum.weight = dy_;
    sum.weight_step = height;
    sum.x_step = i64{width_.stride} * depth_;
    sum.rows = blocks_.rows(block);
    sum.y_row = simd::lanes;
    float* const sums = sums_ + windows_ * sums_of(blocks_.first(block));
    const i64 step = i64{height} * simd::lanes;  // from vector to vector of the sums
    const i32 vectors = lying_ / simd::lanes;
    vector_pairs<in_pairs<T>> pairs(sum, segments, ahead_, height);
    for_windows(down, [&](i32 number, const float* x) {
      for (i32 j = 0; j < vectors; ++j) {
        pairs.add(x + j * simd::lanes, sums + (i64{number} * vectors + j) * step);
      }
    });
    pairs.finish();
  }

  /// One row of positions onto all sums, whose vectors are output channels.
  void add_row_of_outputs(i32 p, const tap_range& down) {
    const i64 dy_pitch = i64{positions_} * lying_ + conv_last_weight_plan::spare;
    pack_dy(dy_, dy_pitch, lying_, 0, rows_, p);
    panel_segment segments[conv_last_weight_plan::samples];
    for (i32 n = 0; n < samples_; ++n) segments[n] = {n * dy_pitch, n * pitch_, positions_};
    panel_sum<float> sum = sum_over(segments);
    sum.weight_step = i64{width_.stride} * depth_;
    sum.x_step = lying_;
    sum.y_row = lying_;
    for_windows(down, [&](i32 number, const float* x) {
      float* const sums = sums_ + number * sums_of(blocks_.first(blocks_.count));
      for (i32 block = 0; block < blocks_.count; ++block) {
        const i32 first = blocks_.first(block);
        sum.weight = x + first;
        sum.rows = blocks_.rows(block);
        vector_pairs<in_pairs<T>> pairs(sum, segments, ahead_, blocks_.height(block));
        for (i32 j = 0; j < lying_; j += simd::lanes) {
          pairs.add(dy_ + j, sums + i64{first} * lying_ + j);
        }
        pairs.finish();
      }
    });
  }

  /// What the row after p reads: of x, unless the ring has it, and of dy.
  void find_next(i32 p, i32 down) {
    ahead_.clear();
    i32 column = column_;
    i32 sample = sample_;
    const bool follows = p + 1 < height_.to;
    if (!follows) {
      column += positions_;
      if (column >= width_.to) column = 0, sample += samples_;
      if (sample >= batch_) return ahead_.share(0);
    }
    p = follows ? p + 1 : 0;
    const i32 positions = at_most(plan_.width, width_.to - column);
    const i64 cell_bytes = at_most(conv_last_weight_plan::samples, batch_ - sample) * word_bytes;
    const cell_range cells = width_.cells(column, column + positions);
    const tap_range next = height_.taps(p);
    for (i32 k = 0; k < next.count; ++k) {
      const i32 row = next.at + k * height_.cell_step;
      if (follows && held_[row % plan_.slots] == row) continue;
      ahead_.add(x_at(row) + cells.first * from_.cell + sample, depth_, from_.plane * word_bytes,
                 cells.last - cells.first, from_.cell * word_bytes, cell_bytes);
    }
    ahead_.add(dy_at(0, p, column) + sample, rows_, dy_plane() * word_bytes, positions,
               batch_ * word_bytes, cell_bytes);
    const i64 vectors = lying_ / simd::lanes;
    const i64 windows = i64{down} * (plan_.joined ? 1 : v.n.kernel_width);
    const i64 calls =
        plan_.vectors_out ? windows * ((vectors + 1) / 2) : (windows * vectors + 1) / 2;
    ahead_.share(calls * blocks_.count * samples_);
  }

  panel_sum<float> sum_over(const panel_segment* segments) const {
    panel_sum<float> sum;
    sum.ahead_lines = ahead_.lines();
    sum.segments = segments;
    sum.segment_count = samples_;
    sum.add = true;
    return sum;
  }

  /// Calls use(number of the window, its first number at the first position of sample 0).
  template <class Use>
  void for_windows(const tap_range& down, const Use& use) const {
    const i32 across = plan_.joined ? 1 : v.n.kernel_width;
    for (i32 k = 0; k < down.count; ++k) {
      const i32 r = down.first + k * height_.tap_step;
      const i64 slot = (down.at + k * height_.cell_step) % plan_.slots;
      const float* const row = ring_ + slot * samples_ * pitch_;
      for (i32 s = 0; s < across; ++s) {
        use(r * across + s, row + i64{s} * width_.dilation * depth_);
      }
    }
  }

  const word* x_at(i32 row) const {
    return x_ + (i64{group_} * v.n.group_in() + depth0_) * from_.plane + row * from_.row;
  }
  i64 dy_plane() const { return i64{height_.to} * width_.to * batch_; }
  const word* dy_at(i32 row, i32 p, i32 column) const {
    return all_dy_ + (i64{group_} * v.n.group_out() + row0_ + row) * dy_plane() +
           (i64{p} * width_.to + column) * batch_;
  }

  /// Floats of the sums of one window and some rows of blocks.
  i64 sums_of(i32 rows) const { return i64{rows} * lying_; }

  /// Row `row` of x, if the ring does not hold it yet.
  void pack_x(i32 row) {
    const i32 slot = row % plan_.slots;
    if (held_[slot] == row) return;
    held_[slot] = row;
    const i32 base = column_ * width_.stride - width_.pad;
    const i32 columns =
        (positions_ - 1) * width_.stride + (width_.kernel - 1) * width_.dilation + 1;
    const i32 first = base < 0 ? 0 : base;
    const i32 last = base + columns < width_.from ? base + columns : width_.from;
    const i64 plane = from_.plane;
    const word* const from = x_at(row) + sample_;
    float* const to = ring_ + i64{slot} * samples_ * pitch_;
    for (i32 column = first; column < last; ++column) {
      transpose_channels(from + column * from_.cell, plane, depth_, from_.cell,
                         to + i64{column - base} * depth_, pitch_);
    }
    // Eight channels at a time: past the last one, into what is padding.
    for (i32 n = 0; n < samples_ && last > first && depth_ % 8 != 0; ++n) {
      float* const past = to + n * pitch_ + i64{last - base} * depth_;
      for (i32 i = 0; i < 8 - depth_ % 8; ++i) past[i] = 0;
    }
  }

  /// Row p of output channels [first, first + rows) of the set: [sample][position][height].
  void pack_dy(float* to, i64 pitch, i32 height, i32 first, i32 rows, i32 p) const {
    const i64 plane = dy_plane();
    const word* const from = dy_at(first, p, column_) + sample_;
    for (i32 q = 0; q < positions_; ++q) {
      transpose_channels(from + i64{q} * batch_, plane, rows, batch_, to + i64{q} * height, pitch);
    }
  }

  /// to[n * pitch + channel] = from[channel * plane + n], eight channels at a time: writes up to 7
  /// floats past the last channel. Neighbours, `cell` apart, come soon: the caches of the second
  /// level have them (`ahead_`), those of the first one get them here.
  void transpose_channels(const word* from, i64 plane, i32 channels, i64 cell, float* to,
                          i64 pitch) const {
    for (i32 c = 0; c < channels; c += 8) {
      for (i32 n = 0; n < samples_; n += 8) {
        const word* const x = from + c * plane + n;
        float* const y = to + n * pitch + c;
        if (channels - c >= 8) {
          if (n % 16 == 0) {
            for (i32 i = 0; i < 8; ++i) simd::prefetch(x + i * plane + 4 * cell);
          }
          simd::transpose_8x8(x, plane, y, pitch);
          continue;
        }
        word rest[64];
        for (i32 i = 0; i < 8; ++i) {
          const i32 channel = i < channels - c ? i : 0;
          std::memcpy(rest + 8 * i, x + channel * plane, 8 * sizeof(word));
        }
        simd::transpose_8x8(rest, 8, y, pitch);
      }
    }
  }

  /// The sums of a set in the order of the gradient: [out channel][in channel][tap].
  void deliver() {
    constexpr i32 piece_floats = 4096;
    float piece[piece_floats];
    const i32 kernel = static_cast<i32>(v.kernel());
    const i32 most = piece_floats / kernel;
    const i32 across = v.n.kernel_width;
    i32 block = 0;
    for (i32 row = 0; row < rows_; ++row) {
      if (!plan_.vectors_out && row == blocks_.first(block + 1)) ++block;
      const i64 o = i64{group_} * v.n.group_out() + row0_ + row;
      for (i32 c0 = 0; c0 < depth_; c0 += most) {
        const i32 count = depth_ - c0 < most ? depth_ - c0 : most;
        for (i32 tap = 0; tap < kernel; ++tap) {
          const i32 window = plan_.joined ? tap / across : tap;
          const i32 at = (plan_.joined ? tap % across * depth_ : 0) + c0;
          const float* const sums = sums_at(window, block, row);
          for (i32 c = 0; c < count; ++c) {
            piece[c * kernel + tap] = sums[place_in_window(at + c, block)];
          }
        }
        sink_.take(piece, (o * v.n.group_in() + depth0_ + c0) * kernel, i64{count} * kernel);
      }
    }
  }
  /// Sums of a window and an output channel.
  const float* sums_at(i32 window, i32 block, i32 row) const {
    if (plan_.vectors_out) return sums_ + window * sums_of(blocks_.first(blocks_.count)) + row;
    const i32 first = blocks_.first(block);
    return sums_ + windows_ * sums_of(first) + window * sums_of(blocks_.height(block)) +
           i64{row - first} * simd::lanes;
  }
  i64 place_in_window(i32 number, i32 block) const {
    if (plan_.vectors_out) return i64{number} * lying_;
    return i64{number / simd::lanes} * blocks_.height(block) * simd::lanes + number % simd::lanes;
  }

  static constexpr i64 word_bytes = sizeof(word);
  static constexpr i32 at_most(i32 most, i32 count) { return count < most ? count : most; }

  const conv_weight_view<T>& v;
  const conv_axis& height_;
  const conv_axis& width_;
  const image_steps& from_;  // of x
  const conv_last_weight_plan& plan_;
  gradient_sink& sink_;
  const word* x_;
  const word* all_dy_;
  i32 batch_;  // words of a position
  float* ring_;
  float* dy_;
  // [block][window][vector][row of the block][lane], or [window][number][output channel]
  float* sums_;
  i32 held_[conv_last_weight_plan::most_slots];
  i32 group_ = 0;
  i32 row0_ = 0, rows_ = 0;         // the set of output channels
  i32 depth0_ = 0, depth_ = 0;      // input channels
  i32 sample_ = 0, samples_ = 0;    // the slice
  i32 column_ = 0, positions_ = 0;  // the piece
  fetch_ahead ahead_;
  i64 pitch_ = 0;                 // from sample to sample in the ring
  i32 window_ = 0, windows_ = 0;  // numbers of a window, windows of a kernel
  i32 lying_ = 0;                 // floats that vectors fill: of a window, or output channels
  panel_row_blocks blocks_{0};    // of the others
};

/// A weight gradient as its transposed rows see it: as in `packed_rows`, in words.
template <class T>
struct transposed_rows {
  conv_axis height, width;
  image_steps from;
  conv_last_weight_plan plan;

  constexpr explicit transposed_rows(const conv_weight_view<T>& v)
      : height(v.height), width(v.width) {
    join_rows(height, width);
    from = image_steps(height, width, v.n.batch / terms_of_step<T>);
    from.skip_columns(width);
    plan = conv_last_weight_plan(height, width, v.n.group_in(), v.n.group_out());
  }

  /// Cycles of a group as the plan counts them: within a tenth of what a Zen 4 takes.
  constexpr float cost(const conv_sizes& n) const {
    return plan.cost * static_cast<float>(i64{height.to} * (n.batch / terms_of_step<T>));
  }
};

/// Only where the plan of its rows fits: where channels fill vectors.
template <class T>
void conv_weight_transposed(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  const transposed_rows<T> rows(v);
  const conv_last_weight_plan& plan = rows.plan;
  const i32 pairs = (v.n.group_out() + 1) / 2;
  const i64 units = i64{v.n.groups} * pairs;
  const i32 shares = c.step->threads.count;
  parallel_for(c.step->threads, shares, [&](i32 share) {
    conv_last_weight_share<T> own(v, rows.height, rows.width, rows.from, plan, sink);
    const i64 last = units * (share + 1) / shares;
    for (i64 unit = units * share / shares; unit < last;) {
      const i32 group = static_cast<i32>(unit / pairs);
      const i32 first = static_cast<i32>(unit % pairs);
      const i64 room = last - unit;
      const i32 count = room < pairs - first ? static_cast<i32>(room) : pairs - first;
      const i32 end = 2 * (first + count);
      own.run(group, 2 * first, end < v.n.group_out() ? end : v.n.group_out());
      unit += count;
    }
  });
}

}  // namespace tessera::host
