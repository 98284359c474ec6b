#pragma once

// The weight gradient of 3x3 convolutions with stride 1, batch last, by Winograd's transforms.
//
//   for a run of tiles and 16 samples, for each row of the 4x4 numbers of a tile:
//     inputs     ---> V             lanes are channels: squares of 8 x 8 numbers are turned
//     gradients  ---> P = A dY A'   lanes are samples
//     dU[out][in] += sum over tiles and samples of P[out] V[in], for each number of the row
//   weights <--- G' dU G            once, at the end
//
// That is 16 multiply-adds a pair of channels and tile instead of 36, as forward. A register block
// is 8 output channels x 2 vectors of input channels: 2 loads and 8 broadcasts for 16 multiply-adds
// (4 x 2 where there are 16 registers).
//
// Sums      in floats: samples and tiles of a run in order, then runs in order, samples outermost;
//           a function of the sizes alone, whatever the vector width and the number of threads,
//           which share out blocks of output and input channels.
// Errors    against sums in double, beside the direct form's: the largest 0.9 of it and the root
//           mean square 0.7 at 12,800 terms (tests/backends/host_winograd.cpp).
// Infinity  and NaN reach all 9 weights of their pairs of channels.
// Memory    workspace.hpp: at most 128 KiB of dU, 272 KiB of turned inputs (four lines, which move
//           on by two), and V and P by rows, 24 KiB of neighbouring tiles, so that they stay in L1.
//
// Cost      as forward, and inputs are turned. On a Zen 4 of 114 GFLOP/s, counted as direct
//           operations: 16 channels 140, 32 165, 64 180, 256 175.
//
// Source: Lavin, Gray 2015.

#include <tessera/backends/host/block_sizes.hpp>
#include <tessera/backends/host/conv_winograd.hpp>  // winograd_axis
#include <tessera/backends/host/update.hpp>         // gradient_sink

namespace tessera::host {

/// Sizes of its register blocks.
struct winograd_weight_block {
  static constexpr i32 samples = 16;
  static constexpr i32 rows = machine_blocks.winograd_weight_rows;
};

/// sums[row][column] += products over `lines` times 16 samples. p [line][p_rows][16],
/// v [line][16][v_columns].
template <i32 Rows, i32 Vectors>
[[gnu::noinline]] void multiply_weights(const float* p, i64 p_rows, const float* v, i64 v_columns,
                                        i32 lines, float* sums) {
  using namespace simd;
  constexpr i32 samples = winograd_weight_block::samples;
  vec sum[Rows][Vectors];
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r) {
    TESSERA_UNROLL
    for (i32 x = 0; x < Vectors; ++x) sum[r][x] = zero();
  }
  for (; lines > 0; --lines, p += (p_rows - 1) * samples) {
    for (i32 k = samples; k > 0; --k, ++p, v += v_columns) {
      vec value[Vectors];
      TESSERA_UNROLL
      for (i32 x = 0; x < Vectors; ++x) value[x] = keep(load(v + x * lanes));
      TESSERA_UNROLL
      for (i32 r = 0; r < Rows; ++r) {
        const vec weight = set(p[r * samples]);
        TESSERA_UNROLL
        for (i32 x = 0; x < Vectors; ++x) sum[r][x] = fma(weight, value[x], sum[r][x]);
      }
    }
  }
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r, sums += v_columns) {
    TESSERA_UNROLL
    for (i32 x = 0; x < Vectors; ++x) store(sums + x * lanes, load(sums + x * lanes) + sum[r][x]);
  }
}

/// Whether it can be taken at all.
template <class T>
constexpr bool winograd_fits(const conv_weight_view<T>& v) {
  if constexpr (in_pairs<T>) return false;  // see conv_winograd.hpp
  return winograd_axis::fits(v.height) && winograd_axis::fits(v.width) && v.n.batch % 16 == 0;
}

/// Cycles of a group on a Zen 4: for each column of tiles and 16 samples the multiply-adds of input
/// channels that fill vectors of 16, at 16 ninths of their rate's time, 190 for an input channel
/// to turn and transform (again for blocks of 64 output channels) and 30 for an output channel
/// (again for blocks of 32 inputs). Within a tenth of the times of 12 shapes of 6 to 128 channels.
constexpr float winograd_weight_cost(const conv_sizes& n) {
  const i64 in = n.group_in();
  const i64 out = n.group_out();
  const i64 lanes_in = (in + 15) / 16 * 16;
  const i64 columns = i64{(n.out_height + 1) / 2} * ((n.out_width + 1) / 2) * (n.batch / 16);
  const i64 transforms = 190 * lanes_in * ((out + 63) / 64) + 30 * out * ((in + 31) / 32);
  const i64 all = columns * (18 * lanes_in * out + transforms) + 8 * in * out;
  return static_cast<float>(all) * 16 / simd::lanes;  // counted in vectors of 16
}

template <class T>
class winograd_weight_gradient {
 public:
  explicit winograd_weight_gradient(const conv_weight_view<T>& v)
      : v_(v),
        first_row_(winograd_axis(v.height).first),
        first_column_(winograd_axis(v.width).first),
        tile_rows_((v.n.out_height + 1) / 2),
        tile_columns_((v.n.out_width + 1) / 2) {}

  void run(threads workers, gradient_sink& sink) const {
    const i32 out = v_.n.group_out();
    const i32 in = v_.n.group_in();
    const row_blocks in_blocks(in, most_in);
    // What a weight sums up does not depend on its block, so threads may have smaller ones.
    const i32 blocks = v_.n.groups * in_blocks.count * ((out + most_out - 1) / most_out);
    const i32 wanted =
        blocks < workers.count ? (out + workers.count - 1) / workers.count : most_out;
    const row_blocks out_blocks(out, wanted < most_out ? (wanted + 7) / 8 * 8 : most_out);
    const i32 pieces = out_blocks.count * in_blocks.count;
    parallel_for(workers, v_.n.groups * pieces, [&](i32 item) {
      const i32 o = item % pieces / in_blocks.count;
      const i32 c = item % in_blocks.count;
      run_block({item / pieces, out_blocks.first(o), out_blocks.rows(o), in_blocks.first(c),
                 in_blocks.rows(c)},
                sink);
    });
  }

 private:
  static constexpr i32 lanes = simd::lanes;
  static constexpr i32 samples = winograd_weight_block::samples;
  static constexpr i32 most_out = 64;
  static constexpr i32 most_in = 32;
  // Floats: dU, four lines of turned inputs, V and P of a run, and its gradients.
  static constexpr i64 sums_room = i64{16} * most_out * most_in;
  static constexpr i64 turned_room = i64{4} * 34 * samples * most_in;
  static constexpr i64 run_room = 6144;  // three quarters of an L1 of 32 KiB
  static_assert(sums_room + turned_room + 2 * run_room <= workspace::capacity);
  static_assert(64 * (most_out + most_in) <= run_room, "one tile fits");

  /// Weights of some output and input channels of a group.
  struct block {
    i32 group;
    i32 out, outs;
    i32 in, ins;

    i32 rows() const { return (outs + 3) / 4 * 4; }
    i32 columns() const { return (ins + lanes - 1) / lanes * lanes; }
  };

  void run_block(const block& b, gradient_sink& sink) const {
    float* const sums = workspace::floats();
    float* const turned = sums + sums_room;
    float* const values = turned + turned_room;
    const i64 rows = b.rows();
    const i64 columns = b.columns();
    std::memset(sums, 0, static_cast<std::size_t>(16 * rows * columns) * sizeof(float));
    const i32 wide = static_cast<i32>(turned_room / (4 * samples * columns)) / 2 - 1;
    const row_blocks segments(tile_columns_, wide);
    // Not of this block's rows, which threads choose, nor of the vector width: runs decide in
    // which order sums are added.
    const i64 most_rows = v_.n.group_out() < most_out ? (v_.n.group_out() + 3) / 4 * 4 : most_out;
    const i64 most_columns = (b.ins + 15) / 16 * 16;
    const i32 most_tiles = static_cast<i32>(run_room / (64 * (most_rows + most_columns)));
    float* const gradients = values + 64 * columns * most_tiles;
    float* const lines = gradients + 64 * rows * most_tiles;
    for (i32 sample = 0; sample < v_.n.batch; sample += samples) {
      for (i32 segment = 0; segment < segments.count; ++segment) {
        const i32 first = segments.first(segment);
        const row_blocks runs(segments.rows(segment), most_tiles);
        for (i32 row = 0; row < tile_rows_; ++row) {
          // The last two of four lines are the first two of the next row of tiles.
          for (i32 i = row == 0 ? 0 : 2; i < 4; ++i) {
            turn_line(b, 2 * row + i, first, segments.rows(segment), sample, turned);
          }
          for (i32 r = 0; r < runs.count; ++r) {
            const i32 tile = runs.first(r);
            const i32 tiles = runs.rows(r);
            read_gradients(b, row, first + tile, tiles, sample, lines);
            for (i32 i = 0; i < 4; ++i) {
              transform(b, row, tile, tiles, segments.rows(segment), i, turned, lines, values,
                        gradients);
              for (i32 j = 0; j < 4; ++j) {
                multiply(gradients + j * tiles * rows * samples, b,
                         values + j * tiles * samples * columns, tiles,
                         sums + (4 * i + j) * rows * columns);
              }
            }
          }
        }
      }
    }
    write_weights(b, sums, sink);
  }

  /// Line `line` of the inputs that rows of tiles meet, in one of four places:
  /// [column][sample][channel], zeros outside.
  void turn_line(const block& b, i32 line, i32 tile, i32 tiles, i32 sample, float* turned) const {
    const conv_sizes& n = v_.n;
    const i64 plane = i64{n.in_height} * n.in_width * n.batch;
    const i32 wide = 2 * tiles + 2;
    const i64 cell = samples * b.columns();
    const i32 h = line + first_row_;
    const bool inside = h >= 0 && h < n.in_height;
    const T* const from = v_.x + (i64{b.group} * n.group_in() + b.in) * plane +
                          i64{inside ? h : 0} * n.in_width * n.batch + sample;
    float* to = turned + line % 4 * wide * cell;
    for (i32 j = 0; j < wide; ++j, to += cell) {
      const i32 w = 2 * tile + j + first_column_;
      if (inside && w >= 0 && w < n.in_width) {
        turn(from + i64{w} * n.batch, plane, b.ins, to, b.columns());
      } else {
        std::memset(to, 0, static_cast<std::size_t>(cell) * sizeof(float));
      }
    }
  }

  /// to[sample][channel] of one cell.
  static void turn(const T* from, i64 channel_step, i32 channels, float* to, i64 columns) {
    i32 c = 0;
    for (; c + 8 <= channels; c += 8) {
      for (i32 s = 0; s < samples; s += 8) {
        simd::transpose_8x8(from + c * channel_step + s, channel_step, to + s * columns + c,
                            columns);
      }
    }
    for (; c < channels; ++c) {
      for (i32 s = 0; s < samples; ++s) {
        to[s * columns + c] = simd::as_float(from[c * channel_step + s]);
      }
    }
  }

  /// The two lines of gradients of a run: [output channel][line][column][sample], zeros outside.
  void read_gradients(const block& b, i32 row, i32 column, i32 tiles, i32 sample, float* to) const {
    const conv_sizes& n = v_.n;
    const i64 line = i64{n.out_width} * n.batch;
    const T* const plane = v_.dy + (i64{b.group} * n.group_out() + b.out) * n.out_height * line +
                           i64{2} * (row * line + column * i64{n.batch}) + sample;
    const i32 inside = n.out_width - 2 * column;
    for (i32 o = 0; o < b.outs; ++o) {
      for (i32 i = 0; i < 2; ++i) {
        const T* const from = plane + (i64{o} * n.out_height + i) * line;
        for (i32 q = 0; q < 2 * tiles; ++q) {
          for (i32 s = 0; s < samples; s += lanes, to += lanes) {
            const bool is = q < inside && 2 * row + i < n.out_height;
            simd::store(to, is ? simd::load(from + i64{q} * n.batch + s) : simd::zero());
            simd::prefetch(from + (i64{q} + 2 * tiles) * n.batch + s);  // the next run
          }
        }
      }
    }
  }

  /// Row r of V, [column of V][tile][sample][channel], and of P, [column of P][tile][output
  /// channel][sample].
  void transform(const block& b, i32 row, i32 tile, i32 tiles, i32 tiles_wide, i32 r,
                 const float* turned, const float* lines, float* values, float* gradients) const {
    const i64 columns = b.columns();
    const i64 cell = samples * columns;
    const float* line[4];
    for (i32 i = 0; i < 4; ++i) {
      line[i] = turned + ((2 * row + i) % 4 * (2 * tiles_wide + 2) + 2 * tile) * cell;
    }
    for (i64 at = 0; at < cell; at += lanes) {
      transform_input_row(line, cell, tiles, r, values + at, cell, tiles * cell);
      for (const float*& l : line) l += lanes;
    }
    const i64 tile_step = i64{b.rows()} * samples;
    for (i32 o = 0; o < b.outs; ++o, lines += 4 * tiles * samples) {
      for (i32 s = 0; s < samples; s += lanes) {
        transform_gradient_row(lines + s, lines + s + 2 * tiles * samples, samples, tiles, r,
                               gradients + o * samples + s, tile_step, tiles * tile_step);
      }
    }
  }

  static void multiply(const float* p, const block& b, const float* v, i32 tiles, float* sums) {
    const i64 rows = b.rows();
    const i64 columns = b.columns();
    constexpr i32 high = winograd_weight_block::rows;
    for (i64 r = 0; r < rows; r += high) {
      const bool full = rows - r >= high;
      const float* const from = p + r * samples;
      i64 c = 0;
      for (; c + 2 * lanes <= columns; c += 2 * lanes) {
        const auto run = full ? &multiply_weights<high, 2> : &multiply_weights<4, 2>;
        run(from, rows, v + c, columns, tiles, sums + r * columns + c);
      }
      if (c < columns) {
        const auto run = full ? &multiply_weights<high, 1> : &multiply_weights<4, 1>;
        run(from, rows, v + c, columns, tiles, sums + r * columns + c);
      }
    }
  }

  void write_weights(const block& b, const float* sums, gradient_sink& sink) const {
    alignas(64) float taps[9][most_in];
    float weights[9 * most_in];
    const i64 step = i64{b.rows()} * b.columns();
    for (i32 o = 0; o < b.outs; ++o) {
      for (i32 c = 0; c < b.columns(); c += lanes) {
        transform_weight_sums(sums + o * b.columns() + c, step, taps[0] + c, most_in);
      }
      for (i32 c = 0; c < b.ins; ++c) {
        for (i32 t = 0; t < 9; ++t) weights[9 * c + t] = taps[t][c];
      }
      const i64 row = i64{b.group} * v_.n.group_out() + b.out + o;
      sink.take(weights, 9 * (row * v_.n.group_in() + b.in), 9 * b.ins);
    }
  }

  const conv_weight_view<T>& v_;
  i32 first_row_, first_column_;
  i32 tile_rows_, tile_columns_;
};

template <class T>
void conv_weight_winograd(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  winograd_weight_gradient<T>(v).run(c.step->threads, sink);
}

}  // namespace tessera::host
