#pragma once

// conv2d and its data gradient for 3x3 kernels with stride 1, batch last, by Winograd's
// F(2x2, 3x3): 2x2 outputs of 4x4 inputs in 16 multiply-adds a pair of channels instead of 36.
//
//   weights ---> U (winograd_transforms.hpp)   once a call, or a chunk at a time, see below
//   inputs  ---> V of a strip of tiles, 16 or 32 channels of the sum at a time
//   for each of the 4 rows of U and V:
//     M[c] = sum over channels of U[row][c] V[row][c],  c < 4    16 x 4 sums in registers
//     Z[row] (+)= M A'                                           2 numbers instead of 4
//   outputs <--- A Z + bias
//
// A register block is 4 products x 3 output channels x 2 vectors (1 where there are 16 registers):
// 8 loads and 12 broadcasts for 24 multiply-adds. The lanes are samples: the transforms are
// additions of whole vectors.
//
// Sums      in floats whatever the storage type: over chunks of channels in order, over channels of
//           a chunk in order, the 9 products of a tile's output last. They depend neither on the
//           vector width nor on the number of threads, which share out strips of tiles and blocks
//           of output channels.
// Errors    against sums in double, beside those of the direct form, which adds 9 products of each
//           channel one by one: the largest error is 0.4 to 0.8 of it at 16 channels, 0.2 to 0.3 at
//           128, the root mean square 0.9 and 0.5 (tests/backends/host_winograd.cpp).
// Infinity  and NaN of an input reach all outputs that depend on it, and as NaN the other outputs
//           of the 2x2 tiles it is an input of; no other tile and no other sample. Numbers in
//           between are at most 81 times the largest product times the channels: of halves they
//           never overflow, of floats and bfloat16 only within 2^7 of where direct sums may.
// Memory    workspace.hpp: Z and V of a strip, U. Where all of U does not fit, a block of 64 output
//           channels is transformed for each strip, which then is twice as long.
// Cost      16 multiply-adds a pair of channels and tile, and transforms that take as long as 60
// for
//           each channel. On a Zen 4 of 114 GFLOP/s, so at most 256 counted as direct operations:
//           16 channels 167, 32 206, 64 222, 256 190, which is 65, 80, 87, 74 %.
//
// Source: Lavin, Gray 2015.

#include <tessera/backends/host/conv_view.hpp>
#include <tessera/backends/host/row_blocks.hpp>
#include <tessera/backends/host/winograd_transforms.hpp>
#include <tessera/backends/host/workspace.hpp>
#include <tessera/backends/parallel.hpp>

namespace tessera::host {

/// z[row][c] (+)= row r of M under A from the right, of Rows output channels and a block of
/// vectors: c < 2. u [16 channels][4][Rows][16], v [channel][4][vectors].
template <i32 Rows>
[[gnu::noinline]] void multiply_tiles(const float* u, const float* v, i32 depth, float* z,
                                      i64 z_row, bool add) {
  using namespace simd;
  constexpr i32 vectors = winograd_block::vectors;
  constexpr i32 line = winograd_block::line;
  vec sum[4][Rows][vectors];
  TESSERA_UNROLL
  for (i32 c = 0; c < 4; ++c) {
    TESSERA_UNROLL
    for (i32 r = 0; r < Rows; ++r) {
      TESSERA_UNROLL
      for (i32 x = 0; x < vectors; ++x) sum[c][r][x] = zero();
    }
  }
  for (i32 first = 0; first < depth; first += line, u += (4 * Rows - 1) * line) {
    i32 count = depth - first < line ? depth - first : line;
    for (; count > 0; --count, ++u, v += 4 * vectors * lanes) {
      TESSERA_UNROLL
      for (i32 c = 0; c < 4; ++c) {
        vec value[vectors];
        TESSERA_UNROLL
        for (i32 x = 0; x < vectors; ++x) value[x] = keep(load(v + (c * vectors + x) * lanes));
        TESSERA_UNROLL
        for (i32 r = 0; r < Rows; ++r) {
          const vec weight = set(u[(c * Rows + r) * line]);
          TESSERA_UNROLL
          for (i32 x = 0; x < vectors; ++x) {
            sum[c][r][x] = fma(weight, value[x], sum[c][r][x]);
          }
        }
      }
    }
  }
  TESSERA_UNROLL
  for (i32 r = 0; r < Rows; ++r, z += z_row) {
    TESSERA_UNROLL
    for (i32 x = 0; x < vectors; ++x) {
      const vec left = (sum[0][r][x] + sum[1][r][x]) + sum[2][r][x];
      const vec right = (sum[1][r][x] - sum[2][r][x]) + sum[3][r][x];
      float* const p = z + x * lanes;
      float* const q = p + vectors * lanes;
      store(p, add ? load(p) + left : left);
      store(q, add ? load(q) + right : right);
    }
  }
}

/// How far a convolution is cut: a function of its shape.
struct winograd_cut {
  static constexpr i32 most_rows = 64;  // output channels of a block
  static constexpr i64 most_weights = workspace::capacity / 2;

  i32 strip;  // tiles x samples
  i32 chunk;  // channels of the sum at a time

  // U stays:   Z 128 KiB, V 128 KiB of the 1 MiB that L2 mostly has, and up to 256 KiB of U.
  // U comes:   Z 256 KiB, V 128 KiB and 64 KiB of U; a transform serves 128 columns.
  static constexpr winograd_cut with(bool all_weights_stay) {
    return all_weights_stay ? winograd_cut{64, 32} : winograd_cut{128, 16};
  }
  constexpr i64 z_and_v() const { return (i64{8} * most_rows + i64{16} * chunk) * strip; }

  static constexpr i64 all_weights(i32 rows, i32 depth, i32 groups) {
    const i64 lines = (depth + winograd_block::line - 1) / winograd_block::line;
    return 16 * lines * winograd_block::line * rows * groups;
  }
};
static_assert(winograd_cut::with(true).z_and_v() + winograd_cut::most_weights <=
              workspace::capacity);
static_assert(winograd_cut::with(false).z_and_v() + 16 * 64 * 16 <= workspace::capacity);

/// Along one axis: the first cell that the first position meets, and how many pairs of a position
/// and a tap there are.
struct winograd_axis {
  i32 first;
  i64 taps = 0;

  constexpr explicit winograd_axis(const conv_axis& axis)
      : first(axis.backward ? axis.pad - 2 : -axis.pad) {
    for (i32 s = 0; s < 3; ++s) {
      const i32 low = first + s < 0 ? -(first + s) : 0;
      const i32 room = axis.from - (first + s);
      const i32 high = room < axis.to ? room : axis.to;
      if (high > low) taps += high - low;
    }
  }

  static constexpr bool fits(const conv_axis& axis) {
    return axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
  }
};

/// True where Winograd's form is the faster one, by counts of multiply-adds of 16 samples.
///
/// The direct form takes one for each pair of channels, position and tap, and reaches two thirds of
/// the machine's rate or more. Winograd's takes 16 for each pair of channels and tile, as long as
/// 60 for each channel and tile, and 10 for each transform of the weights of a pair. The numbers
/// fit times measured on a Zen 4 for 3 to 256 channels, 2x2 to 32x32 outputs, 16 and 32 samples:
/// what they choose takes 7 % longer than the faster form on average. Large images break even at
/// about 3 channels; 3x3 outputs, whose tiles hang over, hardly ever pay. Nor do products in pairs:
/// 18 of them stand against 16 and the transforms (ResNet-20's step 43 ms direct, 48 ms with it).
template <class T>
constexpr bool winograd_pays(const conv_view<T>& v) {
  if constexpr (in_pairs<T>) return false;
  if (!winograd_axis::fits(v.height) || !winograd_axis::fits(v.width)) return false;
  if (v.batch % 16 != 0) return false;
  const i64 pairs = i64{v.rows} * v.depth;
  const i64 columns = i64{(v.height.to + 1) / 2} * ((v.width.to + 1) / 2) * (v.batch / 16);
  const i64 even = columns + columns % 2;
  const bool stay =
      winograd_cut::all_weights(v.rows, v.depth, v.groups) <= winograd_cut::most_weights;
  const i64 transforms = stay ? 1 : (columns + 7) / 8;
  const i64 direct =
      winograd_axis(v.height).taps * winograd_axis(v.width).taps * (v.batch / 16) * pairs;
  return 3 * direct > 2 * (even * (16 * pairs + 60 * (v.rows + v.depth)) + transforms * 10 * pairs);
}

template <class T>
class winograd_convolution {
 public:
  explicit winograd_convolution(const conv_view<T>& v)
      : v_(v),
        tile_columns_((v.width.to + 1) / 2),
        tiles_((v.height.to + 1) / 2 * tile_columns_),
        out_blocks_(v.rows, winograd_cut::most_rows),
        all_weights_(winograd_cut::all_weights(v.rows, v.depth, v.groups)),
        whole_(all_weights_ <= winograd_cut::most_weights),
        cut_(winograd_cut::with(whole_)),
        weights_{v.weight_row, v.weight_depth, v.height.backward},
        first_row_(winograd_axis(v.height).first),
        first_column_(winograd_axis(v.width).first) {
    const i32 all = v.batch / lanes;
    const i32 columns = cut_.strip / lanes;
    samples_ = at_most(all, columns);
    sample_groups_ = (all + samples_ - 1) / samples_;
    strip_tiles_ = columns / samples_;
    tile_strips_ = (tiles_ + strip_tiles_ - 1) / strip_tiles_;
  }

  void run(threads workers) const {
    float* const shared = workspace::floats();
    const i32 pieces = v_.groups * out_blocks_.count;
    if (whole_) {
      const i32 slices = workers.count;
      parallel_for(workers, pieces * slices, [&](i32 item) {
        const i32 piece = item / slices;
        for (i32 d = 0; d < v_.depth; d += cut_.chunk) {
          read_weights(piece, d, shared + weights_at(piece, d), item % slices, slices);
        }
      });
    }
    const i64 own = whole_ ? all_weights_ : 0;
    const i32 strips = sample_groups_ * tile_strips_;
    parallel_for(workers, pieces * strips, [&](i32 item) {
      run_strip(item / strips, strip_of(item % strips), shared, workspace::floats() + own);
    });
  }

 private:
  static constexpr i32 line = winograd_block::line;
  static constexpr i32 vectors = winograd_block::vectors;
  static constexpr i32 lanes = simd::lanes;
  static constexpr i64 block_width = vectors * lanes;
  static constexpr i64 z_block = 8 * block_width;  // [row of M][column of Y][vector]

  /// The columns of a strip are (tile, vector of samples), vectors innermost.
  struct strip {
    i32 tile, tiles;
    i32 sample, samples;  // in vectors

    i32 columns() const { return tiles * samples; }
    i32 blocks() const { return (columns() + vectors - 1) / vectors; }
  };

  static i32 at_most(i32 count, i32 most) { return count < most ? count : most; }

  strip strip_of(i32 index) const {
    const i32 tile = index % tile_strips_ * strip_tiles_;
    const i32 sample = index / tile_strips_ * samples_;
    return {tile, at_most(tiles_ - tile, strip_tiles_), sample,
            at_most(v_.batch / lanes - sample, samples_)};
  }
  i32 depth_from(i32 d) const { return at_most(v_.depth - d, cut_.chunk); }
  i32 lines(i32 depth) const { return (depth + line - 1) / line; }
  /// A piece is a block of output channels of one group.
  i32 group_of(i32 piece) const { return piece / out_blocks_.count; }
  i32 row_of(i32 piece) const { return out_blocks_.first(piece % out_blocks_.count); }
  i32 rows_of(i32 piece) const { return out_blocks_.rows(piece % out_blocks_.count); }
  i64 weights_at(i32 piece, i32 d) const {
    const i64 of_row = all_weights_ / (i64{v_.groups} * v_.rows);
    return of_row * (i64{group_of(piece)} * v_.rows + row_of(piece)) + i64{16} * d * rows_of(piece);
  }

  /// U of a piece and a chunk of channels of the sum, every `step`th register block from `first`:
  /// [row of U][register block][16 channels][column of U][row of the block][channel].
  void read_weights(i32 piece, i32 d, float* to, i32 first, i32 step) const {
    const i32 depth = depth_from(d);
    const i64 row_step = i64{4} * line * lines(depth) * rows_of(piece);
    const T* const from = v_.weight + group_of(piece) * v_.weight_group +
                          row_of(piece) * v_.weight_row + d * v_.weight_depth;
    const row_blocks blocks(rows_of(piece), winograd_block::rows);
    for (i32 b = first; b < blocks.count; b += step) {
      const i32 rows = blocks.rows(b);
      float* block = to + i64{4} * line * lines(depth) * blocks.first(b);
      for (i32 k = 0; k < depth; k += line, block += 4 * line * rows) {
        for (i32 r = 0; r < rows; ++r) {
          const T* const w = from + (blocks.first(b) + r) * v_.weight_row + k * v_.weight_depth;
          transform_weights(weights_, w, at_most(depth - k, line), block + r * line, row_step,
                            i64{rows} * line);
        }
      }
    }
  }

  void run_strip(i32 piece, const strip& s, const float* shared, float* own) const {
    const i32 rows = rows_of(piece);
    const i32 blocks = s.blocks();
    float* const z = own;
    float* const values = z + rows * blocks * z_block;
    float* const own_weights = values + i64{16} * cut_.chunk * cut_.strip;
    const row_blocks register_blocks(rows, winograd_block::rows);
    for (i32 d = 0; d < v_.depth; d += cut_.chunk) {
      const i32 depth = depth_from(d);
      const float* u = shared + weights_at(piece, d);
      if (!whole_) {
        read_weights(piece, d, own_weights, 0, 1);
        u = own_weights;
      }
      read_inputs(group_of(piece) * v_.depth + d, depth, s, values);
      const float* v = values;
      for (i32 r = 0; r < 4; ++r) {
        for (i32 x = 0; x < blocks; ++x, v += 4 * depth * block_width) {
          const float* w = u + i64{4} * line * lines(depth) * rows * r;
          float* const to = z + x * z_block + r * 2 * block_width;
          for (i32 b = 0; b < register_blocks.count; ++b) {
            const i32 height = register_blocks.rows(b);
            multiply(height, w, v, depth, to + register_blocks.first(b) * blocks * z_block,
                     blocks * z_block, d > 0);
            w += i64{4} * line * lines(depth) * height;
          }
        }
      }
    }
    write_outputs(z, group_of(piece) * v_.rows + row_of(piece), rows, s);
  }

  static void multiply(i32 rows, const float* u, const float* v, i32 depth, float* z, i64 z_row,
                       bool add) {
    switch (rows) {
      case 1: return multiply_tiles<1>(u, v, depth, z, z_row, add);
      case 2: return multiply_tiles<2>(u, v, depth, z, z_row, add);
      default: return multiply_tiles<3>(u, v, depth, z, z_row, add);
    }
  }

  /// V of `depth` channels: [row of V][block][channel][column of V][vector of the block].
  void read_inputs(i32 channel, i32 depth, const strip& s, float* to) const {
    const i64 block_step = 4 * depth * block_width;
    const i64 row_step = s.blocks() * block_step;
    for (i32 tile = 0; tile < s.tiles;) {
      const i32 row = (s.tile + tile) / tile_columns_;
      const i32 column = (s.tile + tile) % tile_columns_;
      const tile_run run{2 * row + first_row_, 2 * column + first_column_,
                         at_most(s.tiles - tile, tile_columns_ - column)};
      for (i32 k = 0; k < depth; ++k) {
        const T* const plane = v_.from + i64{channel + k} * v_.from_plane() * v_.batch;
        for (i32 x = 0; x < s.samples; ++x) {
          const auto place = [&](i32 t) {
            const i32 at = (tile + t) * s.samples + x;
            return to + at / vectors * block_step + (i64{k} * 4 * vectors + at % vectors) * lanes;
          };
          transform_inputs(v_, plane + i64{s.sample + x} * lanes, run, place, row_step,
                           block_width);
        }
      }
      tile += run.tiles;
    }
    if (s.columns() % vectors == 0) return;
    for (i32 r = 1; r <= 4; ++r) {  // the last block is not full
      float* const block = to + r * row_step - block_step + lanes;
      for (i32 i = 0; i < 4 * depth; ++i) simd::store(block + i * block_width, simd::zero());
    }
  }

  void write_outputs(const float* z, i32 channel, i32 rows, const strip& s) const {
    tile_place places[128 / lanes];
    for (i32 i = 0; i < s.columns(); ++i) {
      const i32 tile = s.tile + i / s.samples;
      const i32 row = 2 * (tile / tile_columns_);
      const i32 column = 2 * (tile % tile_columns_);
      places[i].at =
          (i64{row} * v_.width.to + column) * v_.batch + i64{s.sample + i % s.samples} * lanes;
      places[i].right = column + 1 < v_.width.to;
      places[i].below = row + 1 < v_.height.to;
    }
    for (i32 r = 0; r < rows; ++r, ++channel, z += s.blocks() * z_block) {
      T* const y = v_.to + channel * v_.to_plane() * v_.batch;
      const simd::vec start =
          simd::set(v_.bias == nullptr ? 0.0f : simd::as_float(v_.bias[channel]));
      for (i32 i = 0; i < s.columns(); ++i) {
        transform_outputs(z + i / vectors * z_block + i % vectors * lanes, block_width, start, y,
                          places[i], v_.batch, i64{v_.width.to} * v_.batch);
      }
    }
  }

  const conv_view<T>& v_;
  i32 tile_columns_, tiles_;
  row_blocks out_blocks_;
  i64 all_weights_;
  bool whole_;
  winograd_cut cut_;
  winograd_weights weights_;
  i32 first_row_, first_column_;  // input cell of the first output's first tap
  i32 samples_, sample_groups_;   // vectors of samples in a strip
  i32 strip_tiles_, tile_strips_;
};

template <class T>
void conv_winograd(const call& c, const conv_view<T>& v) {
  winograd_convolution<T>(v).run(c.step->threads);
}

}  // namespace tessera::host
