#pragma once

// The sizes of operations that go element by element, move bytes, or take one number a channel.

#include <tessera/ir/signature.hpp>

namespace tessera {

/// Everything that goes element by element: activations, their gradients, dropout, sums and
/// products of two, copy, zero, cast, update, overflow_test.
struct elementwise_sizes {
  i32 count;

  static constexpr elementwise_sizes of(const signature& s) { return {s.n[0]}; }
  constexpr void write(signature& s) const { s.n[0] = count; }
};

/// weigh_samples. x: `count` elements of `batch` samples; where samples are outermost, `inner` of
/// one sample lie side by side.
struct weighing_sizes {
  i32 count, batch, inner;

  static constexpr weighing_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = count, s.n[1] = batch, s.n[2] = inner; }
  /// Elements side by side that belong to one sample, and the sample of element `i`.
  constexpr i64 run(bool batch_last) const { return batch_last ? 1 : inner; }
  constexpr i64 sample(bool batch_last, i64 i) const { return i / run(batch_last) % batch; }
};

/// Operations that move bytes of any element type, the same for all their operands.
constexpr bool is_move(kind what) {
  return what == kind::copy || what == kind::zero || what == kind::concat || what == kind::split ||
         what == kind::permute;
}

/// True where all operands of `s` have one element type.
constexpr bool has_one_type(const signature& s) {
  for (i32 slot = 0; slot < 16; ++slot) {
    for (i32 other = 0; other < slot; ++other) {
      if (!s.has_input(slot) || !s.has_input(other)) continue;
      if (s.input_type(slot) != s.input_type(other)) return false;
    }
  }
  return true;
}

/// concat and split. The whole is `outer` rows, each of them the rows of all parts side by side; a
/// part is `outer` rows of `width` elements. Parts that are not there count for concat (zeros) and
/// are skipped by split.
struct move_sizes {
  static constexpr i32 max_parts = 8;

  i32 outer;
  i32 width[max_parts];

  static constexpr move_sizes of(const signature& s) {
    move_sizes sizes{s.n[0], {}};
    for (i32 i = 0; i < max_parts; ++i) sizes.width[i] = s.n[1 + i];
    return sizes;
  }
  constexpr void write(signature& s) const {
    s.n[0] = outer;
    for (i32 i = 0; i < max_parts; ++i) s.n[1 + i] = width[i];
  }
  /// Elements of a row of the whole.
  constexpr i32 row() const {
    i32 sum = 0;
    for (const i32 w : width) sum += w;
    return sum;
  }
};

/// Operations on elements that take one number a channel.
constexpr bool is_by_channel(kind what) {
  return what >= kind::bias_add && what <= kind::prelu_gradient;
}

/// bias_gradient and bias_update: dy (batch, channels, inner), db (channels). bias_add,
/// channel_scale, prelu and their gradients see every layout as (batch, channels, inner), batch
/// first; a slope for all is one channel.
struct bias_sizes {
  i32 batch, channels, inner;

  static constexpr bias_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = batch, s.n[1] = channels, s.n[2] = inner; }
  constexpr i32 count() const { return batch * channels * inner; }
};

/// Updates that need norms: one for each of `slices` of `slice` elements.
struct norm_update_sizes {
  i32 slices, slice;

  static constexpr norm_update_sizes of(const signature& s) { return {s.n[1], s.n[0] / s.n[1]}; }
  /// The count of all comes first, as in `elementwise_sizes`.
  constexpr void write(signature& s) const { s.n[0] = slices * slice, s.n[1] = slices; }
};

/// Quantized inference: all its kinds, and those that multiply and sum.
constexpr bool is_quantization(kind what) {
  return what >= kind::quantize && what <= kind::quantized_conv2d;
}
constexpr bool is_quantized_product(kind what) {
  return what == kind::quantized_dense || what == kind::quantized_conv2d;
}

/// Numbers that rescale: 0, 1 or one a channel. Behind the sizes of dense, conv2d or bias.
struct quantized_counts {
  i32 multipliers, shifts;  // of quantize and dequantize: scales, both

  static constexpr quantized_counts of(const signature& s) { return {s.n[16], s.n[17]}; }
  constexpr void write(signature& s) const { s.n[16] = multipliers, s.n[17] = shifts; }
};

/// Operations of users' own: elements of the inputs and of the output.
struct user_sizes {
  i32 inputs[4] = {};
  i32 output = 0;
  i32 batch = 0;
  i32 sixteenths = 16;     // of an operation, for each output element: the price
  bool in_double = false;  // there is a kernel for f64
  bool any_width = false;  // kernels know values of 16 bits, too

  static constexpr user_sizes of(const signature& s) {
    return {{s.n[0], s.n[1], s.n[2], s.n[3]},
            s.n[4],
            s.n[5],
            s.n[6],
            (s.n[7] & 1) != 0,
            (s.n[7] & 2) != 0};
  }
  constexpr void write(signature& s) const {
    for (i32 i = 0; i < 4; ++i) s.n[i] = inputs[i];
    s.n[4] = output, s.n[5] = batch, s.n[6] = sixteenths;
    s.n[7] = (in_double ? 1 : 0) + (any_width ? 2 : 0);
  }
  /// True where the user has kernels for what the operands are stored as.
  static constexpr bool known(const signature& s) {
    return in_single(s) || (all_stored(s, element::f64) && of(s).in_double);
  }
  /// The same of the kernel that computes in f32.
  static constexpr bool in_single(const signature& s) {
    if (!of(s).any_width) return all_stored(s, element::f32);
    for (i32 slot = 0; slot < 16; ++slot) {
      if (!s.has_input(slot)) continue;
      if (!is_real(s.input_type(slot)) || s.input_type(slot) == element::f64) return false;
    }
    return true;
  }
  /// True where all operands are stored as `type`.
  static constexpr bool all_stored(const signature& s, element type) {
    for (i32 slot = 0; slot < 16; ++slot) {
      if (s.has_input(slot) && s.input_type(slot) != type) return false;
    }
    return true;
  }
};

}  // namespace tessera
