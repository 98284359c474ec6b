#pragma once

// The sizes of recurrent cells, of lookups in tables, and of mixtures of experts.

#include <tessera/ir/signature.hpp>

namespace tessera {

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

}  // namespace tessera
