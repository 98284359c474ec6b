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
// no lane is empty but in the last vector of a kernel row.
// The ring, dy and the sums lie in the workspace; what does not fit is taken in pieces: of 32
// samples and of positions, which are added up, and of channels of both sides.
//
// Order of a sum: in float, a chain over the samples of a slice and the positions of a piece of a
// row; chains are added up over rows, pieces, slices. Threads share out output channels.
// With AVX512-BF16 two neighbouring samples of bfloat16 are one number to the packer and one step
// of the sum (simd_pairs.hpp). Floor: one multiply-add a position, output channel and window
// vector. Transposing takes 4 cycles a vector of 16, of which each serves kernel area x output
// channels multiply-adds.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/panel_sum.hpp>
#include <tessera/backends/host/update_rule.hpp>  // gradient_sink
#include <tessera/backends/host/workspace.hpp>

namespace tessera::host {

/// How a weight gradient is cut into pieces that fit the workspace: of all cuts the one with the
/// least to do. For each sample of a row of positions, in cycles: a multiply-add a window vector
/// and output channel, 5 for each of them and slice of 32 samples to load and store sums, 0.4 for
/// each number of x (again for each set of output channels) and of dy (again for each part) to
/// transpose.
struct conv_last_weight_plan {
  static constexpr i32 samples = 32;
  static constexpr i32 most_slots = 64;
  static constexpr i32 most_taps = 4096;
  static constexpr i32 spare = 16;  // floats past a row that are read or written, and not used

  bool fits = false;
  i32 slots = 0;        // rows of the ring
  i32 depth = 0;        // input channels at a time
  i32 width = 0;        // positions of a row at a time
  i32 rows = 0;         // output channels at a time
  i32 columns = 0;      // of the ring, at most
  bool joined = false;  // the taps of a kernel row are neighbours
  i32 tap_vectors = 0;  // of one kernel row, or of one tap
  i32 row_vectors = 0;  // of one kernel row
  i64 ring_floats = 0;  // dy of a block lies behind the ring, the sums behind dy
  i64 dy_floats = 0;

  constexpr conv_last_weight_plan() = default;
  constexpr conv_last_weight_plan(const conv_axis& height, const conv_axis& across, i32 in,
                                  i32 out) {
    joined = across.dilation == 1;
    const i32 window = joined ? across.kernel * in : in;
    slots = height.most_cells(1);
    if (slots > most_slots || out < 2 || window < 3 * simd::lanes / 4) return;
    if (i64{height.kernel} * across.kernel > most_taps) return;
    const float new_rows = static_cast<float>(height.from) / static_cast<float>(height.to);
    float least = 0;
    for (i32 parts = 1; parts < 2 * in; parts += (parts + 1) / 2) {
      i32 part = parts == 1 ? in : ((in + parts - 1) / parts + 7) / 8 * 8;
      if (part > in) part = in;
      const i32 vectors = vectors_of(joined ? across.kernel * part : part);
      const i32 all_vectors = height.kernel * (joined ? vectors : across.kernel * vectors);
      for (i32 pieces = 1; pieces < 2 * across.to; pieces += (pieces + 1) / 2) {
        const i32 positions = (across.to + pieces - 1) / pieces;
        const i32 cells =
            (positions - 1) * across.stride + (across.kernel - 1) * across.dilation + 1;
        const i64 ring = i64{slots} * samples * pitch(cells, part);
        const i64 dy = samples * (i64{positions} * panel_rows + spare);
        const i64 sums = i64{all_vectors} * simd::lanes;
        const i64 most = (workspace::capacity - ring - dy) / sums / 2 * 2;
        if (most < 2) continue;
        const i32 sets = most < out ? static_cast<i32>((out + most - 1) / most) : 1;
        const float packed_x = static_cast<float>(i64{sets} * in * pieces * cells);
        const float packed_dy = static_cast<float>(i64{(in + part - 1) / part} * out * across.to);
        const float sum_vectors =
            static_cast<float>((in + part - 1) / part * all_vectors) * static_cast<float>(out);
        const float cost = 0.4f * (new_rows * packed_x + packed_dy) +
                           sum_vectors * (static_cast<float>(across.to) +
                                          static_cast<float>(5 * pieces) / samples);
        if (fits && cost >= least) continue;
        fits = true;
        least = cost;
        depth = part;
        width = positions;
        rows = most < out ? static_cast<i32>(most) : (out + 1) / 2 * 2;
        columns = cells;
        tap_vectors = vectors;
        row_vectors = all_vectors / height.kernel;
        ring_floats = ring;
        dy_floats = dy;
        if (parts == 1 && pieces == 1 && sets == 1) return;  // nothing is done twice
      }
    }
  }

  static constexpr i32 vectors_of(i32 floats) { return (floats + simd::lanes - 1) / simd::lanes; }

  /// Floats from sample to sample: not a multiple of 4 KiB.
  static constexpr i64 pitch(i32 columns, i32 depth) {
    const i64 floats = (i64{columns} * depth + spare + 15) / 16 * 16;
    return floats % 1024 == 0 ? floats + 16 : floats;
  }
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
  void run_channels() {
    const panel_row_blocks blocks(rows_);
    pitch_ = conv_last_weight_plan::pitch(plan_.columns, depth_);
    std::memset(sums_, 0,
                sizeof(float) * static_cast<std::size_t>(sums_of(blocks.first(blocks.count))));
    for (sample_ = 0; sample_ < batch_; sample_ += samples_) {
      const i32 rest = batch_ - sample_;
      samples_ = rest < conv_last_weight_plan::samples ? rest : conv_last_weight_plan::samples;
      for (column_ = 0; column_ < width_.to; column_ += plan_.width) {
        const i32 positions = width_.to - column_;
        positions_ = positions < plan_.width ? positions : plan_.width;
        run_rows(blocks);
      }
    }
    deliver(blocks);
  }

  /// All rows of a slice of samples and a piece of positions.
  void run_rows(const panel_row_blocks& blocks) {
    for (i32& row : held_) row = -1;
    // What the padding leaves out is never written.
    std::memset(ring_, 0,
                sizeof(float) * static_cast<std::size_t>(plan_.slots * samples_ * pitch_));
    for (i32 p = 0; p < height_.to; ++p) {
      const tap_range down = height_.taps(p);
      if (down.count == 0) continue;
      for (i32 k = 0; k < down.count; ++k) pack_x(down.at + k * height_.cell_step);
      for (i32 block = 0; block < blocks.count; ++block) add_row(blocks, block, p, down);
    }
  }

  /// One row of positions onto the sums of a block.
  void add_row(const panel_row_blocks& blocks, i32 block, i32 p, const tap_range& down) {
    const i32 height = blocks.height(block);
    const i64 dy_pitch = i64{positions_} * height + conv_last_weight_plan::spare;
    float* const dy = dy_;
    pack_dy(dy, dy_pitch, height, blocks.first(block), blocks.rows(block), p);
    panel_segment segments[conv_last_weight_plan::samples];
    for (i32 n = 0; n < samples_; ++n) segments[n] = {n * pitch_, n * dy_pitch, positions_};
    panel_sum<float> sum;
    sum.weight = dy;
    sum.x_step = i64{width_.stride} * depth_;
    sum.segments = segments;
    sum.segment_count = samples_;
    sum.add = true;
    sum.rows = blocks.rows(block);
    sum.y_row = simd::lanes;
    float* const sums = sums_ + sums_of(blocks.first(block));
    const float* x[2];
    float* y[2];
    i32 count = 0;
    const auto run = [&] {
      sum.x = x[0];
      sum.x_vector = x[1] - x[0];
      sum.y = y[0];
      sum.y_vector = y[1] - y[0];
      run_panel_sum<in_pairs<T>>(sum, height);
      count = 0;
    };
    for (i32 k = 0; k < down.count; ++k) {
      const i32 r = down.first + k * height_.tap_step;
      const i64 slot = (down.at + k * height_.cell_step) % plan_.slots;
      const float* const row = ring_ + slot * samples_ * pitch_;
      for (i32 j = 0; j < plan_.row_vectors; ++j) {
        x[count] = row + offset_of(j);
        y[count] = sums + (i64{r} * plan_.row_vectors + j) * height * simd::lanes;
        if (++count == 2) run();
      }
    }
    if (count == 1) {
      x[1] = x[0];
      y[1] = y[0];
      run();
    }
  }

  /// Floats of the sums of some rows.
  i64 sums_of(i32 rows) const {
    return i64{rows} * v.n.kernel_height * plan_.row_vectors * simd::lanes;
  }
  /// Where vector j of a kernel row begins, from the first column on.
  i64 offset_of(i32 j) const {
    if (plan_.joined) return i64{j} * simd::lanes;
    const i32 tap = j / plan_.tap_vectors;
    return i64{tap} * width_.dilation * depth_ + j % plan_.tap_vectors * simd::lanes;
  }

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
    const word* const from =
        x_ + (i64{group_} * v.n.group_in() + depth0_) * plane + row * from_.row + sample_;
    float* const to = ring_ + i64{slot} * samples_ * pitch_;
    const i64 ahead =
        height_.from > 1 ? from_.row * height_.skips() : positions_ * width_.stride * from_.cell;
    for (i32 column = first; column < last; ++column) {
      transpose_channels(from + column * from_.cell, plane, depth_, ahead,
                         to + i64{column - base} * depth_, pitch_);
    }
    // Eight channels at a time: past the last one, into what is padding.
    for (i32 n = 0; n < samples_ && last > first && depth_ % 8 != 0; ++n) {
      float* const past = to + n * pitch_ + i64{last - base} * depth_;
      for (i32 i = 0; i < 8 - depth_ % 8; ++i) past[i] = 0;
    }
  }

  void pack_dy(float* to, i64 pitch, i32 height, i32 first, i32 rows, i32 p) const {
    const i64 plane = i64{height_.to} * width_.to * batch_;
    const word* const from = all_dy_ + (i64{group_} * v.n.group_out() + row0_ + first) * plane +
                             (i64{p} * width_.to + column_) * batch_ + sample_;
    const i64 ahead = batch_ * i64{height_.to > 1 ? width_.to : positions_};
    for (i32 q = 0; q < positions_; ++q) {
      transpose_channels(from + i64{q} * batch_, plane, rows, ahead, to + i64{q} * height, pitch);
    }
  }

  /// to[n * pitch + channel] = from[channel * plane + n], eight channels at a time: writes up to 7
  /// floats past the last channel. What lies `ahead` is transposed next.
  void transpose_channels(const word* from, i64 plane, i32 channels, i64 ahead, float* to,
                          i64 pitch) const {
    for (i32 c = 0; c < channels; c += 8) {
      for (i32 n = 0; n < samples_; n += 8) {
        const word* const x = from + c * plane + n;
        float* const y = to + n * pitch + c;
        if (channels - c >= 8) {
          if (n % 16 == 0) {
            for (i32 i = 0; i < 8; ++i) simd::prefetch(x + i * plane + ahead);
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
  void deliver(const panel_row_blocks& blocks) {
    constexpr i32 piece_floats = 4096;
    float piece[piece_floats];
    const i32 kernel = static_cast<i32>(v.kernel());
    const i32 most = piece_floats / kernel;
    for (i32 block = 0; block < blocks.count; ++block) {
      const i32 height = blocks.height(block);
      const float* const sums = sums_ + sums_of(blocks.first(block));
      for (i32 row = 0; row < blocks.rows(block); ++row) {
        const i64 o = i64{group_} * v.n.group_out() + row0_ + blocks.first(block) + row;
        for (i32 c0 = 0; c0 < depth_; c0 += most) {
          const i32 count = depth_ - c0 < most ? depth_ - c0 : most;
          for (i32 r = 0; r < v.n.kernel_height; ++r) {
            const float* const line =
                sums + (i64{r} * plan_.row_vectors * height + row) * simd::lanes;
            for (i32 s = 0; s < v.n.kernel_width; ++s) {
              float* const to = piece + r * v.n.kernel_width + s;
              const i32 at =
                  plan_.joined ? s * depth_ + c0 : s * plan_.tap_vectors * simd::lanes + c0;
              for (i32 c = 0; c < count; ++c) {
                const i32 i = at + c;
                to[c * kernel] =
                    line[i64{i / simd::lanes} * height * simd::lanes + i % simd::lanes];
              }
            }
          }
          sink_.take(piece, (o * v.n.group_in() + depth0_ + c0) * kernel, i64{count} * kernel);
        }
      }
    }
  }

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
  float* sums_;  // [block][kernel row][vector][row of the block][lane]
  i32 held_[conv_last_weight_plan::most_slots];
  i32 group_ = 0;
  i32 row0_ = 0, rows_ = 0;         // the set of output channels
  i32 depth0_ = 0, depth_ = 0;      // input channels
  i32 sample_ = 0, samples_ = 0;    // the slice
  i32 column_ = 0, positions_ = 0;  // the piece
  i64 pitch_ = 0;                   // from sample to sample in the ring
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
};

/// False where channels fill no vectors: nothing is done then.
template <class T>
bool conv_weight_transposed(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  const transposed_rows<T> rows(v);
  const conv_last_weight_plan& plan = rows.plan;
  if (!plan.fits) return false;
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
  return true;
}

}  // namespace tessera::host
