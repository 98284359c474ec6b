#pragma once

// The sizes of matrix products and of attention.

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

}  // namespace tessera
