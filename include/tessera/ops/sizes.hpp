#pragma once

// The sizes in a signature, by family: how `signature::n` is read and written.
//
// One struct per family with names for the numbers. `of` takes a signature apart, `write` puts one
// together; kernels, prices and checks use only these structs.

#include <tessera/ir/attributes.hpp>
#include <tessera/ir/signature.hpp>

namespace tessera {

/// dense, its gradients and its fused update. x (batch, in), weight (out, in), y (batch, out).
struct dense_sizes {
  i32 batch, in, out;
  i32 stack = 1;       // weight gradients: x (stack, batch, in), dy (stack, batch, out)
  i32 last_first = 0;  // the order of slices: 1 from the last to the first

  static constexpr dense_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3], s.n[4]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = batch, s.n[1] = in, s.n[2] = out, s.n[3] = stack, s.n[4] = last_first;
  }
  constexpr i64 macs() const { return i64{stack} * batch * in * out; }
  /// The slice that comes at place `i`.
  constexpr i64 slice(i64 i) const { return last_first != 0 ? stack - 1 - i : i; }
};

/// conv2d, its gradients and its fused update. x (batch, in_channels, in_height, in_width),
/// weight (out_channels, in_channels / groups, kernel_height, kernel_width).
struct conv_sizes {
  i32 batch, in_channels, in_height, in_width, out_channels, out_height, out_width;
  i32 kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  i32 dilation_height, dilation_width, groups;

  static constexpr conv_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2],  n[3],  n[4],  n[5],  n[6],  n[7],
            n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {batch,        in_channels,     in_height,      in_width,
                       out_channels, out_height,      out_width,      kernel_height,
                       kernel_width, stride_height,   stride_width,   pad_top,
                       pad_left,     dilation_height, dilation_width, groups};
    for (i32 i = 0; i < 16; ++i) s.n[i] = all[i];
  }
  constexpr i32 group_in() const { return in_channels / groups; }
  constexpr i32 group_out() const { return out_channels / groups; }
  constexpr i64 macs() const {
    return i64{batch} * out_channels * out_height * out_width * group_in() * kernel_height *
           kernel_width;
  }
};

/// max_pool2d, avg_pool2d and their gradients. x (batch, channels, in_height, in_width).
struct pool_sizes {
  i32 batch, channels, in_height, in_width, out_height, out_width;
  i32 kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  i32 pad_bottom, pad_right, dilation_height, dilation_width;
  i32 count_include_pad;  // average pooling

  static constexpr pool_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1],  n[2],  n[3],  n[4],  n[5],  n[6],  n[7], n[8],
            n[9], n[10], n[11], n[12], n[13], n[14], n[15], n[16]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {
        batch,         channels,     in_height,       in_width,       out_height,       out_width,
        kernel_height, kernel_width, stride_height,   stride_width,   pad_top,          pad_left,
        pad_bottom,    pad_right,    dilation_height, dilation_width, count_include_pad};
    for (i32 i = 0; i < 17; ++i) s.n[i] = all[i];
  }
};

/// Operations that give images another size, by what each position reads: adaptive pooling,
/// up-sampling and their gradients.
constexpr bool is_resize(kind what) {
  return what >= kind::adaptive_avg_pool2d && what <= kind::upsample_bilinear_gradient;
}
constexpr bool is_resize_gradient(kind what) {
  return what == kind::adaptive_avg_pool2d_gradient || what == kind::adaptive_max_pool2d_gradient ||
         what == kind::upsample_nearest_gradient || what == kind::upsample_bilinear_gradient;
}

/// x (batch, channels, in_height, in_width), y (batch, channels, out_height, out_width).
struct resize_sizes {
  i32 batch, channels, in_height, in_width, out_height, out_width;
  i32 align_corners;  // upsample_bilinear

  static constexpr resize_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6]};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {batch, channels, in_height, in_width, out_height, out_width, align_corners};
    for (i32 i = 0; i < 7; ++i) s.n[i] = all[i];
  }
};

/// max_unpool2d and its gradient have the sizes of the pool that they undo: `in` is the unpooled
/// image. Indices are flat places in it where `kernel_height` is 0, else places in windows. The
/// flat place of the value at (p, q), -1 where it is none.
constexpr i64 unpooled_place(const pool_sizes& n, i64 p, i64 q, i64 index) {
  if (n.kernel_height == 0) {
    return index >= 0 && index < i64{n.in_height} * n.in_width ? index : -1;
  }
  const i64 h = p * n.stride_height + index / n.kernel_width * n.dilation_height - n.pad_top;
  const i64 w = q * n.stride_width + index % n.kernel_width * n.dilation_width - n.pad_left;
  return h >= 0 && h < n.in_height && w >= 0 && w < n.in_width ? h * n.in_width + w : -1;
}

constexpr bool is_unpool(kind what) {
  return what == kind::max_unpool2d || what == kind::max_unpool2d_gradient;
}

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

/// lstm_cell, gru_cell, their gradients, select_by_length. A state is (batch, features), what has
/// all gates is (batch, gates x features).
struct cell_sizes {
  i32 batch, features;

  static constexpr cell_sizes of(const signature& s) { return {s.n[0], s.n[1]}; }
  constexpr void write(signature& s) const { s.n[0] = batch, s.n[1] = features; }
};

/// How the sums of embedding_gradient run over a stack of indices: in one, or slice by slice.
enum class slice_order : u8 { together, first_first, last_first };

/// embedding and its gradient. indices: `outer` times `batch`; table (rows, width).
struct embedding_sizes {
  i32 outer, batch, rows, width;
  i32 order = 0;  // slice_order

  static constexpr embedding_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3], s.n[4]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = outer, s.n[1] = batch, s.n[2] = rows, s.n[3] = width, s.n[4] = order;
  }
  constexpr i32 indices() const { return outer * batch; }
  /// Slices that have a sum of their own, indices of each, and the first of the one at place `i`.
  constexpr i32 slices() const { return slice_order(order) == slice_order::together ? 1 : outer; }
  constexpr i32 in_slice() const { return indices() / slices(); }
  constexpr i32 slice(i32 i) const {
    return (slice_order(order) == slice_order::last_first ? outer - 1 - i : i) * in_slice();
  }
  /// Where element 0 of index `i` (as the indices lie in memory) lies in y, and how far the next.
  constexpr i64 begin(bool batch_last, i64 i) const {
    return batch_last ? i / batch * batch * width + i % batch : i * width;
  }
  constexpr i64 step(bool batch_last) const { return batch_last ? batch : 1; }
};

constexpr bool is_bag(kind what) {
  return what >= kind::embedding_bag && what <= kind::embedding_bag_weight_gradient;
}
/// Fused updates of tables, and the tests of the gradients that those never have.
constexpr bool is_lookup_update(kind what) {
  return what == kind::embedding_update || what == kind::embedding_bag_update;
}
constexpr bool is_lookup_test(kind what) {
  return what == kind::embedding_overflow_test || what == kind::embedding_bag_overflow_test;
}

/// embedding_bag and what belongs to it. indices: `positions` for each bag, entry (bag, position)
/// at position * bags + bag where `positions_first`; with offsets (input 4) a list of `positions`.
/// table (rows, width), y (bags, width).
struct bag_sizes {
  i32 bags, positions, rows, width;
  i32 positions_first;

  static constexpr bag_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3], s.n[4]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = bags, s.n[1] = positions, s.n[2] = rows, s.n[3] = width, s.n[4] = positions_first;
  }
  constexpr i32 entries(const signature& s) const {
    return s.has_input(4) ? positions : bags * positions;
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

/// Losses that go row by row. logits (batch, classes, inner), target (batch, inner); what compares
/// vectors has their features in `classes`.
struct loss_sizes {
  i32 batch, classes, inner;

  static constexpr loss_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = batch, s.n[1] = classes, s.n[2] = inner; }
  constexpr i64 rows() const { return i64{batch} * inner; }
  /// Rows of samples that are no padding.
  constexpr i64 counted_rows(const loss_attributes& attr, i32 valid) const {
    return attr.samples > 0 ? rows() / attr.samples * valid : i64{valid} * inner;
  }
};

/// Losses that go element by element, in whatever layout: memory is periods of `period` elements,
/// in each of which every sample has `unit` elements, one sample after the other. The channel of
/// element e is e / channel_step mod channels.
struct element_loss_sizes {
  i32 count, period, unit, channels, channel_step, times;

  static constexpr element_loss_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3], s.n[4], s.n[5]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = count, s.n[1] = period, s.n[2] = unit;
    s.n[3] = channels, s.n[4] = channel_step, s.n[5] = times;
  }
  /// Elements of a period that are no padding, where `valid` samples are none.
  constexpr i64 counted_of_period(i32 valid) const { return i64{valid} * unit; }
  /// What a sum is divided by: the number of elements that count, or of samples at points in time.
  constexpr double divisor(reduction reduce, i32 valid) const {
    if (reduce == reduction::mean) {
      return static_cast<double>(count / period * counted_of_period(valid));
    }
    return reduce == reduction::batch_mean ? static_cast<double>(i64{times} * valid) : 1;
  }
};

/// ctc and its gradient: logits (time, batch, classes), at most `labels` labels a sample.
struct ctc_sizes {
  i32 time, batch, classes, labels;

  static constexpr ctc_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2], s.n[3]}; }
  constexpr void write(signature& s) const {
    s.n[0] = time, s.n[1] = batch, s.n[2] = classes, s.n[3] = labels;
  }
  constexpr i32 states() const { return 2 * labels + 1; }
  /// A frame of alpha: 16 that are impossible, then the states, up to a multiple of 16.
  static constexpr i32 margin = 16;
  static constexpr i32 whole(i32 n) { return (n + 15) / 16 * 16; }
  constexpr i32 state_row() const { return margin + whole(states()); }
  /// Room of a sample on the way back: beta and 16 that are impossible, then a sum for each class.
  constexpr i32 room_row() const { return state_row() + whole(classes); }
  /// Where class 0 of a frame of a sample lies, and how far the next.
  constexpr i64 first(bool batch_last, i64 t, i64 n) const {
    return t * batch * classes + (batch_last ? n : n * classes);
  }
  constexpr i64 class_step(bool batch_last) const { return batch_last ? batch : 1; }
};

/// Normalizations. x (batch, rows, features, inner): a group is a row of channels, else there is
/// one row; of layer_norm and rms_norm a row is what one statistic is over, and inner = 1.
struct norm_sizes {
  i32 batch, rows, features, inner;

  static constexpr norm_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2], s.n[3]}; }
  constexpr void write(signature& s) const {
    s.n[0] = batch, s.n[1] = rows, s.n[2] = features, s.n[3] = inner;
  }
  /// Elements of a row.
  constexpr i64 row() const { return i64{features} * inner; }
  /// Elements of a sample.
  constexpr i64 sample() const { return rows * row(); }
};

/// local_response_norm and its gradient. x (batch, channels, inner), `window` channels wide.
struct response_sizes {
  i32 batch, channels, inner, window;

  static constexpr response_sizes of(const signature& s) {
    return {s.n[0], s.n[1], s.n[2], s.n[3]};
  }
  constexpr void write(signature& s) const {
    s.n[0] = batch, s.n[1] = channels, s.n[2] = inner, s.n[3] = window;
  }
};

/// Mixtures of experts: all their kinds.
constexpr bool is_experts(kind what) {
  return what >= kind::gate_noise && what <= kind::combine_experts_gradient;
}

/// Tokens on their side (values of any shape), gates, and rows on the experts' side; a layout each.
struct expert_sizes {
  i32 tokens, samples, rows, features, experts, k, capacity;
  bool tokens_last, gates_last, buffer_last;

  static constexpr expert_sizes of(const signature& s) {
    const i32* n = s.n;
    const i32 bits = n[7];
    return {n[0],           n[1], n[2], n[3], n[4], n[5], n[6], (bits & 1) != 0, (bits & 2) != 0,
            (bits & 4) != 0};
  }
  constexpr void write(signature& s) const {
    const i32 all[] = {tokens, samples, rows, features, experts, k, capacity};
    for (i32 i = 0; i < 7; ++i) s.n[i] = all[i];
    s.n[7] = (tokens_last ? 1 : 0) + (gates_last ? 2 : 0) + (buffer_last ? 4 : 0);
  }
  /// The sample that token i belongs to.
  constexpr i32 sample(i32 i) const { return i / rows % samples; }
  /// Where feature 0 of token i lies among x or y, and how far the next.
  constexpr i64 token(i64 i) const {
    return tokens_last ? i / samples * samples * features + i % samples : i * features;
  }
  constexpr i64 token_step() const { return tokens_last ? samples : 1; }
  /// Number e of token i among gates, choices or places, of which a token has `count`.
  constexpr i64 gate(i64 i, i64 e, i64 count) const {
    return gates_last ? e * tokens + i : i * count + e;
  }
  /// Where feature 0 of slot c of expert e lies, and how far the next.
  constexpr i64 slot(i64 e, i64 c) const {
    return e * capacity * features + (buffer_last ? c : c * features);
  }
  constexpr i64 slot_step() const { return buffer_last ? capacity : 1; }
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

/// matmul: y[s][h][r][c] = sum over i of a[s][h][r][i] b[s][h][i][c]. Strides in elements, of
/// (sample, head, row, column); 0 where an operand repeats, and where y is summed over.
struct matmul_sizes {
  i32 samples, heads, rows, inner, columns;
  i32 a[4], b[4], y[4];

  static constexpr matmul_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0],
            n[1],
            n[2],
            n[3],
            n[4],
            {n[5], n[6], n[7], n[8]},
            {n[9], n[10], n[11], n[12]},
            {n[13], n[14], n[15], n[16]}};
  }
  constexpr void write(signature& s) const {
    s.n[0] = samples, s.n[1] = heads, s.n[2] = rows, s.n[3] = inner, s.n[4] = columns;
    for (i32 i = 0; i < 4; ++i) s.n[5 + i] = a[i], s.n[9 + i] = b[i], s.n[13 + i] = y[i];
  }
  /// Samples and heads whose products are added up in one y.
  constexpr i32 summed_samples() const { return y[0] == 0 ? samples : 1; }
  constexpr i32 summed_heads() const { return y[1] == 0 ? heads : 1; }
  /// Separate matrices of y, and terms of each of their sums.
  constexpr i32 groups() const { return samples / summed_samples() * (heads / summed_heads()); }
  constexpr i32 depth() const { return inner * summed_samples() * summed_heads(); }
  constexpr i64 macs() const { return i64{groups()} * rows * depth() * columns; }
};

/// softmax, log_softmax and their gradients: (outer, along, inner) as it lies in memory.
struct softmax_sizes {
  i32 outer, along, inner;

  static constexpr softmax_sizes of(const signature& s) { return {s.n[0], s.n[1], s.n[2]}; }
  constexpr void write(signature& s) const { s.n[0] = outer, s.n[1] = along, s.n[2] = inner; }
  constexpr i64 rows() const { return i64{outer} * inner; }
};

/// masked_softmax: scores (samples, heads, rows, columns), and how far the elements of two masks
/// are apart along each of these; 0 where a mask repeats.
struct masked_softmax_sizes {
  i32 samples, heads, rows, columns, causal;
  i32 mask[2][4];

  static constexpr masked_softmax_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2], n[3], n[4], {{n[5], n[6], n[7], n[8]}, {n[9], n[10], n[11], n[12]}}};
  }
  constexpr void write(signature& s) const {
    s.n[0] = samples, s.n[1] = heads, s.n[2] = rows, s.n[3] = columns, s.n[4] = causal;
    for (i32 i = 0; i < 4; ++i) s.n[5 + i] = mask[0][i], s.n[9 + i] = mask[1][i];
  }
  constexpr i64 all_rows() const { return i64{samples} * heads * rows; }
};

/// additive_scores and its gradient: strides of (sample, query or key, feature) of q and k, and of
/// (sample, query, key) of the scores.
struct additive_sizes {
  i32 samples, queries, keys, features;
  i32 q[3], k[3], e[3];

  static constexpr additive_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0], n[1], n[2], n[3], {n[4], n[5], n[6]}, {n[7], n[8], n[9]}, {n[10], n[11], n[12]}};
  }
  constexpr void write(signature& s) const {
    s.n[0] = samples, s.n[1] = queries, s.n[2] = keys, s.n[3] = features;
    for (i32 i = 0; i < 3; ++i) s.n[4 + i] = q[i], s.n[7 + i] = k[i], s.n[10 + i] = e[i];
  }
  constexpr i64 pairs() const { return i64{samples} * queries * keys; }
};

/// attention and its gradient: heads side by side in sequences of `heads` x features; strides of
/// (sample, time, feature) of q, k, v and y.
struct attention_sizes {
  i32 samples, heads, queries, keys, features, value_features;
  i32 q[3], k[3], v[3], y[3];

  static constexpr attention_sizes of(const signature& s) {
    const i32* n = s.n;
    return {n[0],
            n[1],
            n[2],
            n[3],
            n[4],
            n[5],
            {n[6], n[7], n[8]},
            {n[9], n[10], n[11]},
            {n[12], n[13], n[14]},
            {n[15], n[16], n[17]}};
  }
  constexpr void write(signature& s) const {
    s.n[0] = samples, s.n[1] = heads, s.n[2] = queries, s.n[3] = keys;
    s.n[4] = features, s.n[5] = value_features;
    for (i32 i = 0; i < 3; ++i) s.n[6 + i] = q[i], s.n[9 + i] = k[i];
    for (i32 i = 0; i < 3; ++i) s.n[12 + i] = v[i], s.n[15 + i] = y[i];
  }
  constexpr i64 pairs() const { return i64{samples} * heads * queries * keys; }
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
