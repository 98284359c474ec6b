#pragma once

// Quantized inference as plain loops (ops/quantization.hpp states what it means): every number by
// the functions of core/quantization.hpp, sums in 32 bits that wrap.

#include <tessera/backends/reference/operand.hpp>
#include <tessera/core/quantization.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::reference {

/// Numbers of which there are none, one, or one a channel.
template <class T>
struct by_channel_numbers {
  const T* first;
  i32 count;

  T operator()(i64 channel) const { return first[count > 1 ? channel : 0]; }
};

/// Calls body(element, channel) for every element.
template <class Body>
void for_channels(const call& c, const Body& body) {
  const auto n = bias_sizes::of(*c.sizes);
  for (i64 i = 0; i < i64{n.batch} * n.channels * n.inner; ++i) {
    body(i, i / n.inner % n.channels);
  }
}

template <class Real>
void quantize(const call& c) {
  const auto x = in<double>(c, 0);
  const by_channel_numbers<float> scale{c.input<float>(1),
                                        quantized_counts::of(*c.sizes).multipliers};
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  const bool scaled = c.sizes->has_input(3);
  const float factor = scaled ? *c.input<float>(3) : 1.0f;
  for_channels(c, [&](i64 i, i64 channel) {
    if (c.sizes->output_type(0) == element::int8) {
      const float by = scaled ? scale(channel) * factor : scale(channel);
      c.output<i8>(0)[i] = static_cast<i8>(quantize_value(static_cast<float>(x[i]), by, zero));
    } else {
      const double by = static_cast<double>(scale(channel)) * static_cast<double>(factor);
      c.output<i32>(0)[i] = quantize_wide(x[i], by, zero);
    }
  });
}

inline i32 whole(const call& c, i32 slot, i64 i) {
  return c.sizes->input_type(slot) == element::int8 ? c.input<i8>(slot)[i] : c.input<i32>(slot)[i];
}

template <class Real>
void dequantize(const call& c) {
  const auto y = out<float>(c, 0);
  const by_channel_numbers<float> scale{c.input<float>(1),
                                        quantized_counts::of(*c.sizes).multipliers};
  const i32 zero = c.sizes->has_input(2) ? *c.input<i32>(2) : 0;
  for_channels(c, [&](i64 i, i64 channel) {
    y.set(i, dequantize_value(whole(c, 0, i), scale(channel), zero));
  });
}

/// What follows a sum: inputs `slot` (multiplier), `slot` + 1 (shift), `slot` + 2 (limits).
class rescaling {
 public:
  rescaling(const call& c, i32 slot)
      : fixed_(c.sizes->has_input(slot)),
        multiplier_{fixed_ ? c.input<i32>(slot) : nullptr,
                    quantized_counts::of(*c.sizes).multipliers},
        shift_{c.input<i32>(slot + 1), quantized_counts::of(*c.sizes).shifts},
        limits_(c.sizes->has_input(slot + 2) ? c.input<i32>(slot + 2) : nullptr),
        narrow_(c.sizes->output_type(0) == element::int8) {}

  i32 operator()(i32 sum, i64 channel) const {
    const i32 scaled = fixed_ ? rescale(sum, {multiplier_(channel), shift_(channel)})
                              : rescale_by_power(sum, shift_(channel));
    const i64 low = narrow_ ? least_i8 : -2147483648LL;
    const i64 high = narrow_ ? most_i8 : 2147483647LL;
    if (limits_ == nullptr) return static_cast<i32>(bounded(scaled, low, high));
    const i64 limited = bounded(i64{scaled} + limits_[0], limits_[1], limits_[2]);
    return static_cast<i32>(bounded(limited, low, high));
  }

  void store(const call& c, i64 i, i32 q) const {
    if (narrow_) {
      c.output<i8>(0)[i] = static_cast<i8>(q);
    } else {
      c.output<i32>(0)[i] = q;
    }
  }

 private:
  bool fixed_;
  by_channel_numbers<i32> multiplier_;
  by_channel_numbers<i32> shift_;
  const i32* limits_;
  bool narrow_;
};

template <class Real>
void requantize(const call& c) {
  const rescaling to(c, 1);
  for_channels(c, [&](i64 i, i64 channel) { to.store(c, i, to(c.input<i32>(0)[i], channel)); });
}

/// A sum of products of what quantized numbers stand for.
struct quantized_sum {
  i32 x_zero = 0;
  i32 w_zero = 0;
  u32 sum = 0;  // wraps

  explicit quantized_sum(const call& c, i64 channel) {
    if (c.sizes->has_input(3)) x_zero = c.input<i32>(3)[0], w_zero = c.input<i32>(3)[1];
    if (c.sizes->has_input(2)) sum = static_cast<u32>(c.input<i32>(2)[channel]);
  }
  void add(i8 x, i8 w) { sum += static_cast<u32>((x - x_zero) * (w - w_zero)); }

  /// Stores the sum, or what it is rescaled to.
  void store(const call& c, i64 i, i64 channel) const {
    const i32 all = static_cast<i32>(sum);
    if (!c.sizes->has_input(5)) {
      c.output<i32>(0)[i] = all;
      return;
    }
    const rescaling to(c, 4);
    to.store(c, i, to(all, channel));
  }
};

template <class Real>
void quantized_dense(const call& c) {
  const auto n = dense_sizes::of(*c.sizes);
  const batch_layout x{c.sizes->batch_last, n.batch, n.in};
  const batch_layout y{c.sizes->batch_last, n.batch, n.out};
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 o = 0; o < n.out; ++o) {
      quantized_sum sum(c, o);
      for (i64 i = 0; i < n.in; ++i) {
        sum.add(c.input<i8>(0)[x.at(sample, i)], c.input<i8>(1)[o * n.in + i]);
      }
      sum.store(c, y.at(sample, o), o);
    }
  }
}

template <class Real>
void quantized_conv2d(const call& c) {
  const auto n = conv_sizes::of(*c.sizes);
  const image_layout x(*c.sizes, n.batch, n.in_channels, n.in_height, n.in_width);
  const image_layout y(*c.sizes, n.batch, n.out_channels, n.out_height, n.out_width);
  for (i64 sample = 0; sample < n.batch; ++sample) {
    for (i64 o = 0; o < n.out_channels; ++o) {
      const i64 first = o / n.group_out() * n.group_in();
      for (i64 p = 0; p < n.out_height; ++p) {
        for (i64 q = 0; q < n.out_width; ++q) {
          quantized_sum sum(c, o);
          const i8* w = c.input<i8>(1) + o * n.group_in() * n.kernel_height * n.kernel_width;
          for (i64 channel = 0; channel < n.group_in(); ++channel) {
            for (i64 r = 0; r < n.kernel_height; ++r) {
              for (i64 s = 0; s < n.kernel_width; ++s, ++w) {
                const i64 row = p * n.stride_height + r * n.dilation_height - n.pad_top;
                const i64 column = q * n.stride_width + s * n.dilation_width - n.pad_left;
                if (row < 0 || row >= n.in_height || column < 0 || column >= n.in_width) continue;
                sum.add(c.input<i8>(0)[x.at(sample, first + channel, row, column)], *w);
              }
            }
          }
          sum.store(c, y.at(sample, o, p, q), o);
        }
      }
    }
  }
}

}  // namespace tessera::reference
