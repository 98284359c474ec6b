#pragma once

// Quantized inference (ops/quantization.hpp states what it means; simd_integer.hpp has the inner
// loops).
//
// With the zero points a of x and b of w, a sum of K terms is
//
//   sum (x - a) (w - b)  =  sum x w  -  b sum x  -  a sum w  +  K a b
//
// so the inner loops see plain bytes. Products with samples innermost and convolutions in either
// layout gather 16 rows (samples at one position, or positions of one sample) into a panel that all
// outputs read; a dense layer with the batch first reads its rows where they lie. Padding cells
// hold a. What follows the sums is done on 16 at a time before they leave the cache.
//
// Cost in multiply-adds a nanosecond (g++ 12 -O2, EPYC with AVX-512 VNNI, one thread's CPU time;
// f32 in brackets): dense 512 -> 512 of 32 samples 126 (58), of one sample 31 (23), 2048 -> 2048 of
// one 37 (10: weights are a quarter); conv 3x3 of 256x14x14 95 (32), of 64x28x28 50 (36). Few
// channels do not pay for a panel: 3x3 of 3x32x32 to 16 is 10 (30). quantize 0.3 ns an element,
// requantize 1.0, dequantize 0.4.

#include <tessera/backends/host/simd_integer.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::host {

namespace detail {

/// What all sums of a product have in common.
struct quantized_product {
  const i8* weight;
  i64 depth;  // terms of a sum
  const i32* bias;
  i32 x_zero = 0;
  i32 w_zero = 0;
  const i32* multiplier;
  const i32* shift;
  bool one_multiplier;
  bool one_shift;
  simd::rescale_bounds bounds;

  quantized_product(const call& c, i64 terms) : weight(c.input<i8>(1)), depth(terms) {
    const auto given = [&](i32 slot) {
      return c.sizes->has_input(slot) ? c.input<i32>(slot) : nullptr;
    };
    bias = given(2);
    if (const i32* zeros = given(3)) x_zero = zeros[0], w_zero = zeros[1];
    multiplier = given(4);
    shift = given(5);
    const auto count = quantized_counts::of(*c.sizes);
    one_multiplier = count.multipliers == 1;
    one_shift = count.shifts == 1;
    if (const i32* limits = given(6)) {
      bounds.zero = limits[0];
      bounds.low = limits[1] > least_i8 ? limits[1] : least_i8;
      bounds.high = limits[2] < most_i8 ? limits[2] : most_i8;
    }
  }

  /// 16 sums, of output o all of them, or with numbers for each.
  void rescale(i64 o, const i32* sums, i8* to) const {
    const i32* const by = shift + (one_shift ? 0 : o);
    if (multiplier != nullptr) {
      simd::rescale_16<true, true>(multiplier + (one_multiplier ? 0 : o), by, bounds, sums, to);
    } else {
      simd::rescale_16<false, true>(nullptr, by, bounds, sums, to);
    }
  }
  void rescale(const i32* multipliers, const i32* shifts, const i32* sums, i8* to) const {
    if (multiplier != nullptr) {
      simd::rescale_16<true, false>(multipliers, shifts, bounds, sums, to);
    } else {
      simd::rescale_16<false, false>(nullptr, shifts, bounds, sums, to);
    }
  }
  /// What a sum of `count` terms whose weights add up to `weights` lacks, but for that of x.
  i32 constant(i64 count, i32 weights) const {
    return static_cast<i32>(static_cast<u32>(count) * static_cast<u32>(x_zero * w_zero) -
                            static_cast<u32>(x_zero) * static_cast<u32>(weights));
  }
};

/// Adds in 32 bits that wrap.
inline void add_wrapping(i32& to, i32 x) {
  to = static_cast<i32>(static_cast<u32>(to) + static_cast<u32>(x));
}

inline constexpr i32 panel_depth = 4096;  // bytes of a row in the panel: 64 KiB for 16 rows
inline constexpr i32 tile_outs = 256;

/// Outputs [first, first + outs) of 16 rows. pack(k, count, panel) fills a panel with terms k to
/// k + count - 1, groups padded with anything; store(o, values) takes 16 sums or 16 bytes of
/// output o.
template <class Pack, class StoreSums, class StoreBytes>
void quantized_rows(const quantized_product& p, i64 first, i64 outs, const Pack& pack,
                    const StoreSums& store_sums, const StoreBytes& store_bytes) {
  using namespace simd;
  alignas(64) i8 panel[simd::panel_rows * (panel_depth + 4)];
  alignas(64) i32 sums[tile_outs][simd::panel_rows];
  i32 row_sums[simd::panel_rows];
  const bool once = p.depth <= panel_depth;
  if (once) pack(i64{0}, p.depth, panel);
  for (i64 tile = 0; tile < outs; tile += tile_outs) {
    const i32 here = static_cast<i32>(outs - tile < tile_outs ? outs - tile : tile_outs);
    for (i64 k = 0; k < p.depth; k += panel_depth) {
      const i64 count = p.depth - k < panel_depth ? p.depth - k : panel_depth;
      if (!once) pack(k, count, panel);
      if (p.w_zero != 0) {
        i8 ones[panel_depth];
        std::memset(ones, 1, static_cast<std::size_t>(count));
        const i32 offset[] = {offset_of_reading(static_cast<i32>(count))};
        i32 all[1][simd::panel_rows];
        sum_block<1>(panel, count, ones, 0, offset, false, all);
        for (i32 r = 0; r < simd::panel_rows; ++r) {
          row_sums[r] =
              static_cast<i32>(0u - static_cast<u32>(p.w_zero) * static_cast<u32>(all[0][r]));
        }
      }
      const i8* const weight = p.weight + (first + tile) * p.depth + k;
      i32 o = 0;
      const auto block = [&]<i32 Outs>() {
        i32 offset[Outs];
        for (i32 i = 0; i < Outs; ++i) {
          const i32 weights = sum_bytes(weight + (o + i) * p.depth, count);
          offset[i] = p.constant(count, weights);
          add_wrapping(offset[i], offset_of_reading(weights));
          if (k == 0 && p.bias != nullptr) add_wrapping(offset[i], p.bias[first + tile + o + i]);
        }
        sum_block<Outs>(panel, count, weight + o * p.depth, p.depth, offset, k > 0, sums + o);
        if (p.w_zero != 0) {
          for (i32 i = 0; i < Outs; ++i) {
            for (i32 r = 0; r < simd::panel_rows; ++r) add_wrapping(sums[o + i][r], row_sums[r]);
          }
        }
        o += Outs;
      };
      while (o + block_outs <= here) block.template operator()<block_outs>();
      while (o < here) block.template operator()<1>();
    }
    for (i32 o = 0; o < here; ++o) {
      const i64 output = first + tile + o;
      if (p.shift == nullptr) {
        store_sums(output, sums[o]);
        continue;
      }
      i8 bytes[simd::panel_rows];
      p.rescale(output, sums[o], bytes);
      store_bytes(output, bytes);
    }
  }
}

/// Packs `count` lines of 16 bytes, line(i, buffer) for i < count, four at a time.
template <class Line>
void pack_lines(i64 count, i8* panel, const Line& line) {
  alignas(16) i8 buffer[4][simd::panel_rows] = {};
  for (i64 i = 0; i < count; i += 4, panel += 64) {
    const i8* four[4];
    for (i32 j = 0; j < 4; ++j) four[j] = i + j < count ? line(i + j, buffer[j]) : buffer[j];
    simd::interleave(four, panel);
  }
}

}  // namespace detail

/// Outputs [first, first + Outs) of all samples, Samples at a time. Rows past an end are those of
/// the last one, computed again and not stored.
template <i32 Samples, i32 Outs>
void quantized_dense_dots(const call& c, const dense_sizes& n, const detail::quantized_product& p,
                          i64 first) {
  const i8* const x = c.input<i8>(0);
  const bool rescaled = p.shift != nullptr;
  const i8* weight[Outs];
  i32 offset[Outs];
  i32 multiplier[16];
  i32 shift[16];
  for (i32 o = 0; o < Outs; ++o) {
    const i64 row = first + o < n.out ? first + o : n.out - 1;
    weight[o] = p.weight + row * n.in;
    const i32 weights = simd::sum_bytes(weight[o], n.in);
    offset[o] = p.constant(n.in, weights);
    detail::add_wrapping(offset[o], simd::offset_of_reading(weights));
    if (p.bias != nullptr) detail::add_wrapping(offset[o], p.bias[row]);
    for (i32 s = 0; s < Samples && rescaled; ++s) {
      shift[Outs * s + o] = p.shift[p.one_shift ? 0 : row];
      multiplier[Outs * s + o] =
          p.multiplier == nullptr ? 0 : p.multiplier[p.one_multiplier ? 0 : row];
    }
  }
  const i64 width = n.out - first < Outs ? n.out - first : Outs;
  for (i64 sample = 0; sample < n.batch; sample += Samples) {
    const i8* rows[Samples];
    for (i32 s = 0; s < Samples; ++s) {
      rows[s] = x + (sample + s < n.batch ? sample + s : n.batch - 1) * n.in;
    }
    i32 dots[16];
    simd::dot_bytes<Samples, Outs>(rows, weight, n.in, offset, dots);
    for (i32 s = 0; s < Samples && p.w_zero != 0; ++s) {
      const i32 of_x = -p.w_zero * simd::sum_bytes(rows[s], n.in);
      for (i32 o = 0; o < Outs; ++o) detail::add_wrapping(dots[Outs * s + o], of_x);
    }
    i8 bytes[16];
    if (rescaled) p.rescale(multiplier, shift, dots, bytes);
    for (i32 s = 0; s < Samples && sample + s < n.batch; ++s) {
      const i64 at = (sample + s) * n.out + first;
      if (rescaled) {
        std::memcpy(c.output<i8>(0) + at, bytes + Outs * s, static_cast<std::size_t>(width));
      } else {
        std::memcpy(c.output<i32>(0) + at, dots + Outs * s, static_cast<std::size_t>(4 * width));
      }
    }
  }
}

inline void quantized_dense_batch_first(const call& c, const dense_sizes& n) {
  const detail::quantized_product p(c, n.in);
  const i32 outs = n.batch == 1 ? 16 : 4;
  parallel_for(c.step->threads, (n.out + outs - 1) / outs, [&](i32 block) {
    const i64 first = i64{block} * outs;
    outs == 16 ? quantized_dense_dots<1, 16>(c, n, p, first)
               : quantized_dense_dots<4, 4>(c, n, p, first);
  });
}

inline void quantized_dense_batch_last(const call& c, const dense_sizes& n) {
  const detail::quantized_product p(c, n.in);
  const i8* const x = c.input<i8>(0);
  const i32 tiles = (n.out + detail::tile_outs - 1) / detail::tile_outs;
  parallel_for(c.step->threads, n.batch / simd::panel_rows * tiles, [&](i32 item) {
    const i64 sample = i64{item / tiles} * simd::panel_rows;
    const i64 first = i64{item % tiles} * detail::tile_outs;
    const i64 outs = n.out - first < detail::tile_outs ? n.out - first : detail::tile_outs;
    const auto pack = [&](i64 k, i64 count, i8* panel) {
      detail::pack_lines(count, panel, [&](i64 i, i8*) { return x + (k + i) * n.batch + sample; });
    };
    detail::quantized_rows(
        p, first, outs, pack,
        [&](i64 o, const i32* sums) {
          std::memcpy(c.output<i32>(0) + o * n.batch + sample, sums, 64);
        },
        [&](i64 o, const i8* bytes) {
          std::memcpy(c.output<i8>(0) + o * n.batch + sample, bytes, 16);
        });
  });
}

template <bool BatchLast>
void quantized_dense(const call& c) {
  const auto n = dense_sizes::of(*c.sizes);
  BatchLast ? quantized_dense_batch_last(c, n) : quantized_dense_batch_first(c, n);
}

/// Positions that lie side by side in a row of the output.
struct position_run {
  i32 row, column, count;
};

template <bool BatchLast>
void quantized_conv2d(const call& c) {
  const auto n = conv_sizes::of(*c.sizes);
  const i64 taps = i64{n.kernel_height} * n.kernel_width;
  const detail::quantized_product p(c, n.group_in() * taps);
  const i64 image = i64{n.in_height} * n.in_width;
  const i32 positions = n.out_height * n.out_width;
  constexpr i32 rows = simd::panel_rows;
  // 16 samples at one position, or 16 positions of one sample.
  const i32 blocks =
      BatchLast ? n.batch / rows * positions : (positions + rows - 1) / rows * n.batch;
  parallel_for(c.step->threads, blocks * n.groups, [&](i32 item) {
    const i32 group = item % n.groups;
    const i32 block = item / n.groups;
    const i32 per_sample = (positions + rows - 1) / rows;
    const i32 sample = BatchLast ? block / positions * rows : block / per_sample;
    const i32 position = BatchLast ? block % positions : block % per_sample * rows;
    const i32 count = BatchLast ? 1 : positions - position < rows ? positions - position : rows;
    position_run runs[rows];
    i32 run_count = 0;
    for (i32 at = position; at < position + count;) {
      const i32 column = at % n.out_width;
      const i32 left = position + count - at;
      const i32 length = n.out_width - column < left ? n.out_width - column : left;
      runs[run_count++] = {at / n.out_width, column, length};
      at += length;
    }
    const i8* const x = c.input<i8>(0) +
                        (BatchLast ? sample : i64{sample} * n.in_channels * image) +
                        i64{group} * n.group_in() * image * (BatchLast ? n.batch : 1);
    const i8 zero = static_cast<i8>(p.x_zero);
    const auto pack = [&](i64 k, i64 terms, i8* panel) {
      i64 channel = k / taps;
      i32 r = static_cast<i32>(k % taps / n.kernel_width);
      i32 s = static_cast<i32>(k % taps % n.kernel_width);
      detail::pack_lines(terms, panel, [&](i64, i8* buffer) -> const i8* {
        const i8* line = buffer;
        const i8* const plane = x + channel * image * (BatchLast ? n.batch : 1);
        i8* to = buffer;
        for (i32 i = 0; i < run_count; ++i) {
          const position_run run = runs[i];
          const i32 y = run.row * n.stride_height + r * n.dilation_height - n.pad_top;
          const i32 first = run.column * n.stride_width + s * n.dilation_width - n.pad_left;
          const bool row_exists = y >= 0 && y < n.in_height;
          if constexpr (BatchLast) {
            if (row_exists && first >= 0 && first < n.in_width) {
              line = plane + (i64{y} * n.in_width + first) * n.batch;
            } else {
              std::memset(buffer, zero, rows);
            }
          } else {
            const i8* const from = plane + i64{y} * n.in_width + first;
            const i32 last = first + (run.count - 1) * n.stride_width;
            if (!row_exists) {
              std::memset(to, zero, static_cast<std::size_t>(run.count));
            } else if (n.stride_width == 1 && first >= 0 && last < n.in_width) {
              std::memcpy(to, from, static_cast<std::size_t>(run.count));
            } else {
              for (i32 j = 0; j < run.count; ++j) {
                const i32 column = first + j * n.stride_width;
                to[j] = column >= 0 && column < n.in_width ? from[j * n.stride_width] : zero;
              }
            }
            to += run.count;
          }
        }
        if (++s == n.kernel_width) {
          s = 0;
          if (++r == n.kernel_height) r = 0, ++channel;
        }
        return line;
      });
    };
    const auto at = [&](i64 o) {
      return BatchLast ? (o * positions + position) * n.batch + sample
                       : (i64{sample} * n.out_channels + o) * positions + position;
    };
    const auto stored = static_cast<std::size_t>(BatchLast ? rows : count);
    detail::quantized_rows(
        p, i64{group} * n.group_out(), n.group_out(), pack,
        [&](i64 o, const i32* sums) { std::memcpy(c.output<i32>(0) + at(o), sums, 4 * stored); },
        [&](i64 o, const i8* bytes) { std::memcpy(c.output<i8>(0) + at(o), bytes, stored); });
  });
}

namespace detail {

/// body(first, count, channel) for runs of elements of one channel; one run where there is one
/// number for all.
template <class Body>
void for_channel_runs(const call& c, bool by_channel, const Body& body) {
  const auto n = bias_sizes::of(*c.sizes);
  if (!by_channel) {
    return parallel_ranges(c.step->threads, i64{n.batch} * n.channels * n.inner,
                           [&](i64 first, i64 last) { body(first, last - first, 0); });
  }
  parallel_for(c.step->threads, n.batch * n.channels,
               [&](i32 row) { body(i64{row} * n.inner, i64{n.inner}, row % n.channels); });
}

inline constexpr i64 quantized_strip = 256;

/// A strip of reals as floats.
inline const float* as_floats(const float* x, i64, float*) { return x; }
template <class T>
const float* as_floats(const T* x, i64 n, float* buffer) {
  widen(x, buffer, n);
  return buffer;
}
inline void put_floats(const float* from, float* to, i64 n) {
  std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(float));
}
template <class T>
void put_floats(const float* from, T* to, i64 n) {
  narrow(from, to, n);
}

}  // namespace detail

template <class T>
void quantize(const call& c) {
  const auto count = quantized_counts::of(*c.sizes);
  const T* const x = c.input<T>(0);
  const float* const scale = c.input<float>(1);
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  const float* const factor = c.sizes->has_input(3) ? c.input<float>(3) : nullptr;
  const bool narrow_out = c.sizes->output_type(0) == element::int8;
  detail::for_channel_runs(c, count.multipliers > 1, [&](i64 first, i64 n, i32 channel) {
    alignas(64) float buffer[detail::quantized_strip] = {};
    for (i64 at = first; at < first + n; at += detail::quantized_strip) {
      const i64 left = first + n - at;
      const i64 here = left < detail::quantized_strip ? left : detail::quantized_strip;
      const float* const from = detail::as_floats(x + at, here, buffer);
      if (!narrow_out) {
        double by = static_cast<double>(scale[channel]);
        if (factor != nullptr) by *= static_cast<double>(*factor);
        for (i64 i = 0; i < here; ++i) {
          c.output<i32>(0)[at + i] = quantize_wide(static_cast<double>(from[i]), by, zero);
        }
        continue;
      }
      const float by = factor != nullptr ? scale[channel] * *factor : scale[channel];
      i8* const to = c.output<i8>(0) + at;
      constexpr i32 lanes = simd::lanes;
      i64 i = 0;
      for (; i + lanes <= here; i += lanes) {
        using floats = float __attribute__((vector_size(4 * lanes)));
        using ints = i32 __attribute__((vector_size(4 * lanes)));
        using bytes = i8 __attribute__((vector_size(lanes)));
        floats v;
        std::memcpy(&v, from + i, sizeof v);
        v /= by;
        const floats none{};
        const floats most = none + 512.0f;  // beyond every bound, whatever the zero point
        v = v == v ? v : none;
        v = v > most ? most : v;
        v = v < -most ? -most : v;
        const ints whole = __builtin_convertvector(v, ints);
        const floats rest = v - __builtin_convertvector(whole, floats);
        ints q = whole - (ints)(rest >= none + 0.5f) + (ints)(rest <= none - 0.5f) + zero;
        const ints low = ints{} + least_i8;
        const ints high = ints{} + most_i8;
        q = q < low ? low : q;
        q = q > high ? high : q;
        const bytes b = __builtin_convertvector(q, bytes);
        std::memcpy(to + i, &b, sizeof b);
      }
      for (; i < here; ++i) to[i] = static_cast<i8>(quantize_value(from[i], by, zero));
    }
  });
}

template <class T>
void dequantize(const call& c) {
  const auto count = quantized_counts::of(*c.sizes);
  const float* const scale = c.input<float>(1);
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  const bool bytes = c.sizes->input_type(0) == element::int8;
  detail::for_channel_runs(c, count.multipliers > 1, [&](i64 first, i64 n, i32 channel) {
    alignas(64) float buffer[detail::quantized_strip];
    for (i64 at = first; at < first + n; at += detail::quantized_strip) {
      const i64 left = first + n - at;
      const i64 here = left < detail::quantized_strip ? left : detail::quantized_strip;
      const auto fill = [&](const auto* q) {
        for (i64 i = 0; i < here; ++i) buffer[i] = dequantize_value(q[i], scale[channel], zero);
      };
      const auto fill_bytes = [&](const i8* q) {  // differences fit 32 bits
        constexpr i32 lanes = simd::lanes;
        using few = i8 __attribute__((vector_size(lanes)));
        using ints = i32 __attribute__((vector_size(4 * lanes)));
        using floats = float __attribute__((vector_size(4 * lanes)));
        i64 i = 0;
        for (; i + lanes <= here; i += lanes) {
          few some;
          std::memcpy(&some, q + i, sizeof some);
          const ints whole = __builtin_convertvector(some, ints) - zero;
          const floats y = __builtin_convertvector(whole, floats) * scale[channel];
          std::memcpy(buffer + i, &y, sizeof y);
        }
        for (; i < here; ++i) buffer[i] = dequantize_value(q[i], scale[channel], zero);
      };
      bytes ? fill_bytes(c.input<i8>(0) + at) : fill(c.input<i32>(0) + at);
      detail::put_floats(buffer, c.output<T>(0) + at, here);
    }
  });
}

inline void requantize(const call& c) {
  const auto count = quantized_counts::of(*c.sizes);
  const bool fixed = c.sizes->has_input(1);
  const i32* const multiplier = fixed ? c.input<i32>(1) : nullptr;
  const i32* const shift = c.input<i32>(2);
  const bool narrow_out = c.sizes->output_type(0) == element::int8;
  const bool by_channel = count.multipliers > 1 || count.shifts > 1;
  detail::for_channel_runs(c, by_channel, [&](i64 first, i64 n, i32 channel) {
    simd::rescale_bounds by;
    by.low = narrow_out ? least_i8 : -2147483647 - 1;
    by.high = narrow_out ? most_i8 : 2147483647;
    if (c.sizes->has_input(3)) {
      const i32* const limits = c.input<i32>(3);
      by.zero = limits[0];
      by.low = limits[1] > by.low ? limits[1] : by.low;
      by.high = limits[2] < by.high ? limits[2] : by.high;
    }
    const i32* const by_shift = shift + (count.shifts > 1 ? channel : 0);
    const i32* const by_multiplier =
        fixed ? multiplier + (count.multipliers > 1 ? channel : 0) : nullptr;
    const auto run = [&](const i32* sums, auto* to) {
      fixed ? simd::rescale_16<true, true>(by_multiplier, by_shift, by, sums, to)
            : simd::rescale_16<false, true>(by_multiplier, by_shift, by, sums, to);
    };
    const auto all = [&](auto* to) {
      i64 i = first;
      for (; i + 16 <= first + n; i += 16) run(c.input<i32>(0) + i, to + i);
      if (i == first + n) return;
      const auto rest = static_cast<std::size_t>(first + n - i);
      i32 sums[16] = {};
      std::remove_pointer_t<decltype(to)> last[16];
      std::memcpy(sums, c.input<i32>(0) + i, 4 * rest);
      run(sums, last);
      std::memcpy(to + i, last, rest * sizeof last[0]);
    };
    narrow_out ? all(c.output<i8>(0)) : all(c.output<i32>(0));
  });
}

}  // namespace tessera::host
