#pragma once

// Quantized inference on the model. ops/quantization.hpp has the meanings.
//
// The matrix unit takes bytes at the rate, the blocks and the energy of halves, with 32-bit integer
// sums in the place of f32 ones: what the machines described here would need beside their halves.
// Integer sums have no order, so results do not depend on how a product is cut, which decides about
// its price alone. What follows a sum counts as the end of the product it belongs to.

#include <tessera/backends/accelerator/elementwise.hpp>
#include <tessera/core/quantization.hpp>

namespace tessera::accelerator {

/// Number `channel` of some, or the only one.
template <class T>
T number_of(const T* numbers, i32 count, i64 channel) {
  return numbers[count > 1 ? channel : 0];
}

/// Calls body(element, channel) for all elements, vertex by vertex.
template <class Body>
void for_channel_elements(const machine& m, const call& c, const Body& body) {
  const auto n = bias_sizes::of(*c.sizes);
  for_elements(m, c, [&](i64 first, i64 count) {
    for (i64 i = first; i < first + count; ++i) body(i, i / n.inner % n.channels);
  });
}

template <class T>
void run_quantize(const machine& m, const call& c) {
  const T* x = c.input<T>(0);
  const float* scale = c.input<float>(1);
  const i32 scales = quantized_counts::of(*c.sizes).multipliers;
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  const bool scaled = c.sizes->has_input(3);
  const float factor = scaled ? *c.input<float>(3) : 1.0f;
  const bool narrow_out = c.sizes->output_type(0) == element::int8;
  for_channel_elements(m, c, [&](i64 i, i64 channel) {
    const float by = number_of(scale, scales, channel);
    if (narrow_out) {
      c.output<i8>(0)[i] =
          static_cast<i8>(quantize_value(fetch(x[i]), scaled ? by * factor : by, zero));
    } else {
      c.output<i32>(0)[i] =
          quantize_wide(static_cast<double>(fetch(x[i])),
                        static_cast<double>(by) * static_cast<double>(factor), zero);
    }
  });
}

template <class T>
void run_dequantize(const machine& m, const call& c) {
  const float* scale = c.input<float>(1);
  const i32 scales = quantized_counts::of(*c.sizes).multipliers;
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  const bool bytes = c.sizes->input_type(0) == element::int8;
  for_channel_elements(m, c, [&](i64 i, i64 channel) {
    const i32 q = bytes ? c.input<i8>(0)[i] : c.input<i32>(0)[i];
    const float x = dequantize_value(q, number_of(scale, scales, channel), zero);
    put(storing(m, c), &x, c.output<T>(0) + i, 1);
  });
}

/// From sums to quantized numbers: inputs `slot` (multiplier), `slot` + 1, `slot` + 2.
class sum_rescaler {
 public:
  sum_rescaler(const call& c, i32 slot)
      : counts_(quantized_counts::of(*c.sizes)),
        multiplier_(c.sizes->has_input(slot) ? c.input<i32>(slot) : nullptr),
        shift_(c.input<i32>(slot + 1)) {
    const bool bytes = c.sizes->output_type(0) == element::int8;
    if (bytes) low_ = least_i8, high_ = most_i8;
    if (!c.sizes->has_input(slot + 2)) return;
    const i32* limits = c.input<i32>(slot + 2);
    zero_ = limits[0];
    low_ = bounded(limits[1], low_, high_);
    high_ = bounded(limits[2], low_, high_);
  }

  i32 operator()(i32 sum, i64 channel) const {
    const i32 shift = number_of(shift_, counts_.shifts, channel);
    const i32 q = multiplier_ == nullptr
                      ? rescale_by_power(sum, shift)
                      : rescale(sum, {number_of(multiplier_, counts_.multipliers, channel), shift});
    return static_cast<i32>(bounded(i64{q} + zero_, low_, high_));
  }

 private:
  quantized_counts counts_;
  const i32* multiplier_;
  const i32* shift_;
  i32 zero_ = 0;
  i64 low_ = -2147483648LL;
  i64 high_ = 2147483647LL;
};

inline void run_requantize(const machine& m, const call& c) {
  const sum_rescaler to(c, 1);
  const bool bytes = c.sizes->output_type(0) == element::int8;
  for_channel_elements(m, c, [&](i64 i, i64 channel) {
    const i32 q = to(c.input<i32>(0)[i], channel);
    if (bytes) {
      c.output<i8>(0)[i] = static_cast<i8>(q);
    } else {
      c.output<i32>(0)[i] = q;
    }
  });
}

/// quantized_dense (an image of one cell) and quantized_conv2d.
inline void run_quantized_product(const machine& m, const call& c) {
  const bool dense = c.sizes->what == kind::quantized_dense;
  conv_sizes n = conv_sizes::of(*c.sizes);
  if (dense) {
    const auto d = dense_sizes::of(*c.sizes);
    n = {d.batch, d.in, 1, 1, d.out, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1};
  }
  execution run(m, c);
  run.run(run.blocks().vertices(), [&](i64 first, i64 last, recorder& r) {
    if (first < last) r.add_range(first, last);
    if (first == 0) r.counts.macs += all_macs(run.blocks().of);
  });
  const i32* zeros = c.sizes->has_input(3) ? c.input<i32>(3) : nullptr;
  const i32 x_zero = zeros != nullptr ? zeros[0] : 0;
  const i32 w_zero = zeros != nullptr ? zeros[1] : 0;
  const bool sums_out = !c.sizes->has_input(5);
  const bool last = c.sizes->batch_last;
  // Samples at one position together, `apart` elements from one to the next.
  const i64 image = i64{n.in_height} * n.in_width;
  const i64 positions = i64{n.out_height} * n.out_width;
  const i64 x_apart = last ? 1 : n.in_channels * image;
  const i64 y_apart = last ? 1 : n.out_channels * positions;
  const i64 x_cell = last ? n.batch : 1;
  const i64 y_cell = last ? n.batch : 1;
  constexpr i32 together = 64;
  for (i32 o = 0; o < n.out_channels; ++o) {
    const i64 first_in = i64{o / n.group_out()} * n.group_in();
    const i8* weights = c.input<i8>(1) + i64{o} * n.group_in() * n.kernel_height * n.kernel_width;
    for (i64 position = 0; position < positions; ++position) {
      for (i32 sample = 0; sample < n.batch; sample += together) {
        const i32 count = n.batch - sample < together ? n.batch - sample : together;
        u32 sums[together];
        for (i32 j = 0; j < count; ++j) {
          sums[j] = c.sizes->has_input(2) ? static_cast<u32>(c.input<i32>(2)[o]) : 0;
        }
        const i8* w = weights;
        for (i32 channel = 0; channel < n.group_in(); ++channel) {
          for (i32 r = 0; r < n.kernel_height; ++r) {
            for (i32 s = 0; s < n.kernel_width; ++s, ++w) {
              const i64 row =
                  position / n.out_width * n.stride_height + r * n.dilation_height - n.pad_top;
              const i64 column =
                  position % n.out_width * n.stride_width + s * n.dilation_width - n.pad_left;
              if (row < 0 || row >= n.in_height || column < 0 || column >= n.in_width) continue;
              const i8* x = c.input<i8>(0) + sample * x_apart +
                            ((first_in + channel) * image + row * n.in_width + column) * x_cell;
              const i32 by = *w - w_zero;
              for (i32 j = 0; j < count; ++j) {
                sums[j] += static_cast<u32>((x[j * x_apart] - x_zero) * by);
              }
            }
          }
        }
        const i64 to = sample * y_apart + (i64{o} * positions + position) * y_cell;
        for (i32 j = 0; j < count; ++j) {
          const i32 sum = static_cast<i32>(sums[j]);
          if (sums_out) {
            c.output<i32>(0)[to + j * y_apart] = sum;
          } else {
            c.output<i8>(0)[to + j * y_apart] = static_cast<i8>(sum_rescaler(c, 4)(sum, o));
          }
        }
      }
    }
  }
}

}  // namespace tessera::accelerator
