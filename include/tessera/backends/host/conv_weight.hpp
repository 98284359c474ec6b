#pragma once

// The weight gradient of conv2d, alone or fused with its update.
//
//   1x1           conv_product.hpp where it pays
//   batch last    one sum of vectors over samples and positions per weight, across lanes at the
//                 end. A block of 2 output channels x 6 taps (or 4 x 3) reads 8 (7) vectors for 12
//                 multiply-adds. Taps of a block are neighbouring input channels, or with fewer
//                 than 3 of those kernel rows: both meet the same columns, so no border splits a
//                 block. The sums of a chunk of taps wait in L1 between rows of positions. With
//                 AVX512-BF16 a lane takes two samples of bfloat16 at a step. Or transposed, so
//                 that vectors are channels (conv_last_weight.hpp), or by Winograd's transforms
//                 (conv_winograd_weight.hpp): whichever takes the fewest cycles (`form_of`).
//   batch first   conv_weight_first.hpp

#include <tessera/backends/host/conv.hpp>
#include <tessera/backends/host/conv_last_weight.hpp>
#include <tessera/backends/host/conv_weight_first.hpp>
#include <tessera/backends/host/conv_winograd_weight.hpp>

namespace tessera::host {

/// A block of sums of products of output channels with taps.
template <class T>
struct correlation {
  const T* dy;
  i64 dy_channel, dy_step;  // between channels, between positions
  const T* x;
  i64 x_tap, x_step;
  i32 positions;
  i32 batch;
  float* sums;  // vectors: [channel][tap]
  i64 sums_channel, sums_tap;
};

template <class T, i32 Channels, i32 Taps>
[[gnu::noinline]] void correlate(const correlation<T>& k) {
  using namespace simd;
  vec sum[Channels][Taps];
  TESSERA_UNROLL
  for (i32 o = 0; o < Channels; ++o) {
    TESSERA_UNROLL
    for (i32 t = 0; t < Taps; ++t) sum[o][t] = load(k.sums + o * k.sums_channel + t * k.sums_tap);
  }
  for (i32 position = 0; position < k.positions; ++position) {
    const T* dy[Channels];
    TESSERA_UNROLL
    for (i32 o = 0; o < Channels; ++o) dy[o] = k.dy + o * k.dy_channel + position * k.dy_step;
    const T* x[Taps];
    TESSERA_UNROLL
    for (i32 t = 0; t < Taps; ++t) x[t] = k.x + t * k.x_tap + position * k.x_step;
    if constexpr (in_pairs<T>) {  // of samples, as they lie in memory
      for (i32 n = 0; n < k.batch; n += 2 * lanes) {
        const i32 here = k.batch - n;
        vec gradient[Channels];
        TESSERA_UNROLL
        for (i32 o = 0; o < Channels; ++o) gradient[o] = load_neighbours(dy[o] + n, here);
        TESSERA_UNROLL
        for (i32 t = 0; t < Taps; ++t) {
          const vec value = keep(load_neighbours(x[t] + n, here));
          TESSERA_UNROLL
          for (i32 o = 0; o < Channels; ++o) sum[o][t] = dot_pairs(sum[o][t], gradient[o], value);
        }
      }
      continue;
    }
    for (i32 n = 0; n < k.batch; n += lanes) {
      vec gradient[Channels];
      TESSERA_UNROLL
      for (i32 o = 0; o < Channels; ++o) gradient[o] = load(dy[o] + n);
      TESSERA_UNROLL
      for (i32 t = 0; t < Taps; ++t) {
        const vec value = keep(load(x[t] + n));
        TESSERA_UNROLL
        for (i32 o = 0; o < Channels; ++o) sum[o][t] = fma(gradient[o], value, sum[o][t]);
      }
    }
  }
  TESSERA_UNROLL
  for (i32 o = 0; o < Channels; ++o) {
    TESSERA_UNROLL
    for (i32 t = 0; t < Taps; ++t) store(k.sums + o * k.sums_channel + t * k.sums_tap, sum[o][t]);
  }
}

template <class T, i32 Channels>
void correlate_taps(const correlation<T>& k, i32 taps) {
  switch (taps) {
    case 1: return correlate<T, Channels, 1>(k);
    case 2: return correlate<T, Channels, 2>(k);
    case 3: return correlate<T, Channels, 3>(k);
    default: break;
  }
  if constexpr (Channels == 2) {
    switch (taps) {
      case 4: return correlate<T, Channels, 4>(k);
      case 5: return correlate<T, Channels, 5>(k);
      default: return correlate<T, Channels, 6>(k);
    }
  }
}

/// `channels` 1, 2 or 4; `taps` 1 to 3, with 2 channels to 6.
template <class T>
void run_correlation(const correlation<T>& k, i32 channels, i32 taps) {
  if (channels == 4) {
    correlate_taps<T, 4>(k, taps);
  } else if (channels == 2) {
    correlate_taps<T, 2>(k, taps);
  } else {
    correlate_taps<T, 1>(k, taps);
  }
}

/// A box of weights of one output channel, contiguous in memory.
struct tap_box {
  i32 channel0, channels;
  i32 r0, rows;
  i32 s0, columns;

  i32 count() const { return channels * rows * columns; }
};

/// Positions q of one axis for which a tap meets a cell: first..last, empty where first >= last.
struct position_range {
  i32 first, last;
};
inline position_range positions_of(const conv_axis& axis, i32 tap) {
  const i32 shift = axis.pad - tap * axis.dilation;  // q stride >= shift, q stride < from + shift
  const i32 first = shift <= 0 ? 0 : (shift + axis.stride - 1) / axis.stride;
  const i32 room = axis.from + shift - 1;
  i32 last = room < 0 ? 0 : room / axis.stride + 1;
  if (last > axis.to) last = axis.to;
  return {first, last};
}

/// Adds row p of positions to the sums of a box: [channel][weight of the box].
template <class T>
void correlate_row(const conv_weight_view<T>& v, i32 group, i32 o0, i32 channels,
                   const tap_box& box, i32 p, float* sums) {
  const conv_sizes& n = v.n;
  const i64 batch = n.batch;
  const i64 x_plane = i64{n.in_height} * n.in_width * batch;
  const i64 dy_plane = i64{n.out_height} * n.out_width * batch;
  correlation<T> k;
  k.dy_channel = dy_plane;
  k.dy_step = batch;
  k.x_step = n.stride_width * batch;
  k.sums_channel = i64{box.count()} * simd::lanes;
  const T* const dy =
      v.dy + (i64{group} * n.group_out() + o0) * dy_plane + i64{p} * n.out_width * batch;
  const T* const x = v.x + (i64{group} * n.group_in() + box.channel0) * x_plane;
  const i32 most_taps = channels == 2 ? 6 : 3;
  // One call: taps [t, t + taps) along the blocked direction, positions [first, last).
  const bool one_line = n.stride_width == 1;  // neighbouring positions are one long row of samples
  const auto correlate_range = [&](i32 channel, i32 r, i32 s, i32 taps, position_range q) {
    if (q.first >= q.last) return;
    const i32 h = p * n.stride_height + (box.r0 + r) * n.dilation_height - n.pad_top;
    const i32 w = q.first * n.stride_width + (box.s0 + s) * n.dilation_width - n.pad_left;
    k.dy = dy + q.first * batch;
    k.x = x + channel * x_plane + (i64{h} * n.in_width + w) * batch;
    k.positions = one_line ? 1 : q.last - q.first;
    k.batch = one_line ? (q.last - q.first) * n.batch : n.batch;
    k.sums = sums + ((i64{channel} * box.rows + r) * box.columns + s) * simd::lanes;
    run_correlation(k, channels, taps);
  };
  if (box.channels >= 3) {
    const row_blocks blocks(box.channels, most_taps);
    k.x_tap = x_plane;
    k.sums_tap = i64{box.rows} * box.columns * simd::lanes;
    for (i32 r = 0; r < box.rows; ++r) {
      if (v.height.cell(p, box.r0 + r) < 0) continue;
      for (i32 b = 0; b < blocks.count; ++b) {
        for (i32 s = 0; s < box.columns; ++s) {
          correlate_range(blocks.first(b), r, s, blocks.rows(b), positions_of(v.width, box.s0 + s));
        }
      }
    }
    return;
  }
  // Kernel rows of the box that meet the image at this row of positions: neighbours.
  i32 low = 0;
  i32 high = box.rows;
  while (low < high && v.height.cell(p, box.r0 + low) < 0) ++low;
  while (low < high && v.height.cell(p, box.r0 + high - 1) < 0) --high;
  if (low == high) return;
  const row_blocks blocks(high - low, most_taps);
  k.x_tap = i64{n.dilation_height} * n.in_width * batch;
  k.sums_tap = i64{box.columns} * simd::lanes;
  for (i32 channel = 0; channel < box.channels; ++channel) {
    for (i32 b = 0; b < blocks.count; ++b) {
      for (i32 s = 0; s < box.columns; ++s) {
        correlate_range(channel, low + blocks.first(b), s, blocks.rows(b),
                        positions_of(v.width, box.s0 + s));
      }
    }
  }
}

/// Weights of `channels` output channels from o0 on.
template <class T>
void conv_weight_block(const conv_weight_view<T>& v, i32 group, i32 o0, i32 channels,
                       gradient_sink& sink) {
  constexpr i32 sum_floats = 6144;  // 24 KiB
  constexpr i32 most = sum_floats / simd::lanes;
  alignas(64) float sums[sum_floats];
  float gradient[most];
  const conv_sizes& n = v.n;
  const i32 depth = n.group_in();
  const i32 weights = most / channels;
  const i32 columns = n.kernel_width < weights ? n.kernel_width : weights;
  const i32 whole_rows = weights / columns;
  const i32 rows = columns < n.kernel_width       ? 1
                   : n.kernel_height < whole_rows ? n.kernel_height
                                                  : whole_rows;
  const i32 whole_kernels = rows < n.kernel_height ? 1 : weights / (rows * columns);
  const row_blocks chunks(depth, whole_kernels < 1 ? 1 : whole_kernels);
  for (i32 chunk = 0; chunk < chunks.count; ++chunk) {
    for (i32 r0 = 0; r0 < n.kernel_height; r0 += rows) {
      for (i32 s0 = 0; s0 < n.kernel_width; s0 += columns) {
        const tap_box box{chunks.first(chunk),
                          chunks.rows(chunk),
                          r0,
                          n.kernel_height - r0 < rows ? n.kernel_height - r0 : rows,
                          s0,
                          n.kernel_width - s0 < columns ? n.kernel_width - s0 : columns};
        const i32 count = box.count();
        std::memset(sums, 0,
                    sizeof(float) * static_cast<std::size_t>(channels * count) * simd::lanes);
        for (i32 p = 0; p < n.out_height; ++p) {
          correlate_row(v, group, o0, channels, box, p, sums);
        }
        for (i32 i = 0; i < channels * count; ++i) {
          gradient[i] = simd::sum(simd::load(sums + i64{i} * simd::lanes));
        }
        const i64 at = (i64{group} * n.group_out() + o0) * depth * v.kernel() +
                       box.channel0 * v.kernel() + i64{r0} * n.kernel_width + s0;
        sink.take_rows(gradient, count, at, depth * v.kernel(), channels, count);
      }
    }
  }
}

template <class T>
void conv_weight_in_place(const call& c, const conv_weight_view<T>& v, gradient_sink& sink) {
  const i32 out = v.n.group_out();
  const i32 taps = v.n.group_in() >= 3 ? v.n.group_in() : v.n.kernel_height;
  // 4 x 3 or 2 x 6 sums, whichever leaves fewer of 12 registers unused.
  const i32 high = taps <= 3 ? 4 : 2;
  const i32 full = out / high;
  const i32 rest = out % high;  // in blocks of 2 and 1
  const i32 blocks = full + rest / 2 + rest % 2;
  parallel_for(c.step->threads, v.n.groups * blocks, [&](i32 item) {
    const i32 block = item % blocks;
    const bool is_full = block < full;
    const bool is_pair = !is_full && block < full + rest / 2;
    const i32 first = is_full ? block * high : is_pair ? full * high : out - rest % 2;
    conv_weight_block(v, item / blocks, first, is_full ? high : is_pair ? 2 : 1, sink);
  });
}

/// Cycles of a group in place: a multiply-add takes 1.2 (1.3 of pairs), in lower blocks 1.7 since
/// the second-level cache delivers half a vector a cycle, with a stride, whose positions are no
/// long row, and where that cache does not hold the rows that all blocks of channels read again.
template <class T>
constexpr float in_place_cost(const conv_weight_view<T>& v) {
  const i64 words = v.n.batch / terms_of_step<T>;
  const i64 vectors = (words + simd::lanes - 1) / simd::lanes;
  const i64 out_cells = i64{v.n.out_height} * v.n.out_width;
  const i64 sums = v.kernel() * v.n.group_in() * v.n.group_out();
  const i32 taps = v.n.group_in() >= 3 ? v.n.group_in() : v.n.kernel_height;
  const i64 lines = v.n.group_in() * v.n.kernel_height + v.n.group_out();
  const bool near = lines * v.n.in_width * v.n.batch * i64{sizeof(T)} <= 512 * 1024;
  const bool quick =
      near && v.n.stride_width == 1 && (in_pairs<T> || row_blocks(taps, 6).rows(0) > 4);
  const float each = !quick ? 1.7f : in_pairs<T> ? 1.3f : 1.2f;
  return each * static_cast<float>(sums * out_cells * vectors);
}

/// The form that takes the fewest cycles; where two hardly differ, the smaller one.
template <class T>
constexpr conv_form form_of(const conv_weight_view<T>& v, bool batch_last) {
  if (product_pays(v, batch_last)) return conv_form::product;
  if (!batch_last) return first_form_of(v);
  conv_form form = conv_form::in_place;
  float least = 0.9f * in_place_cost(v);
  const transposed_rows<T> rows(v);
  if (rows.plan.fits && rows.cost(v.n) < least) {
    form = conv_form::packed;
    least = rows.cost(v.n);
  }
  if (winograd_fits(v) && winograd_weight_cost(v.n) < least) form = conv_form::winograd;
  return form;
}

template <class T, bool BatchLast, conv_form Form>
void conv_weight(const call& c, const conv_sizes& n, gradient_sink& sink) {
  const conv_weight_view<T> v(c, n);
  if constexpr (Form == conv_form::any) {
    if (product_pays(v, BatchLast)) return conv_weight_by_product<T, BatchLast>(c, v, sink);
  }
  if constexpr (Form == conv_form::product) {
    conv_weight_by_product<T, BatchLast>(c, v, sink);
  } else if constexpr (!BatchLast) {
    conv_weight_batch_first<T, Form>(c, v, sink);
  } else if constexpr (Form == conv_form::winograd) {
    conv_weight_winograd(c, v, sink);
  } else if constexpr (Form == conv_form::packed) {
    conv_weight_transposed(c, v, sink);
  } else if constexpr (Form == conv_form::in_place) {
    conv_weight_in_place(c, v, sink);
  } else {
    const conv_form form = form_of(v, true);
    if constexpr (!in_pairs<T>) {
      if (form == conv_form::winograd) return conv_weight_winograd(c, v, sink);
    }
    if (form == conv_form::packed) return conv_weight_transposed(c, v, sink);
    conv_weight_in_place(c, v, sink);
  }
}

template <class T, bool BatchLast, conv_form Form = conv_form::any>
void conv2d_weight_gradient(const call& c) {
  gradient_sink sink = gradient_sink::storing(c.output<T>(0));
  conv_weight<T, BatchLast, Form>(c, conv_sizes::of(*c.sizes), sink);
}

template <class T, bool BatchLast, conv_form Form = conv_form::any>
void conv2d_weight_update(const call& c) {
  const conv_sizes n = conv_sizes::of(*c.sizes);
  const i64 count = i64{n.out_channels} * n.group_in() * n.kernel_height * n.kernel_width;
  update_with(
      c, count, stored_as<T>,
      [&](gradient_sink& sink) { conv_weight<T, BatchLast, Form>(c, n, sink); },
      [] { return false; });
}

}  // namespace tessera::host
