#pragma once

// Panels: where the operands of a product are put beside each other, and the loops that multiply
// them there.
//
//   fields   [k][row]   rows side by side in lanes: positions (weight gradient: output channels)
//   weights  [col][k]   broadcast one by one: output channels (input channels; channels x kernel)
//   sums     [col][row] f32, by the machine's order of accumulation
//
// That order is a chain of fused multiply-adds, one for every fold of an array, or trees of some
// products; k comes in groups of four either way. Which element becomes which row, column and k is
// for product.hpp to say.

#include <cstring>

#include <tessera/backends/accelerator/vector.hpp>

namespace tessera::accelerator {

/// Where a product's operands lie: (sample, channel, row, column) to an element, in either layout.
struct image_view {
  i64 sample = 0;  // strides in elements
  i64 channel = 0;
  i64 row = 0;
  i64 column = 0;

  static constexpr image_view of(bool batch_last, i64 batch, i64 channels, i64 height, i64 width) {
    if (batch_last) return {1, height * width * batch, width * batch, batch};
    return {channels * height * width, height * width, width, 1};
  }
};

/// Consecutive samples at one position.
struct run {
  i32 h, w, n, length;
};

/// The panels of one thread.
struct panels {
  static constexpr i32 max_rows = 32;
  static constexpr i32 max_cols = 256;
  static constexpr i32 max_k = 256;
  static constexpr i32 max_weights = 16384;

  alignas(64) float fields[max_k * max_rows];
  alignas(64) float weights[max_weights];
  alignas(64) float sums[max_cols * max_rows];
  alignas(64) float totals[max_cols * max_rows];
  alignas(64) float slices[max_cols * max_rows];
  alignas(64) float folded[max_cols * max_rows];  // sums of folds that are complete
  i64 fold = -1;                                  // which one `sums` has a part of; -1: none yet
  run runs[max_k];
  i64 offsets[max_k];     // of each run's cell at the current kernel cell; -1: a zero
  i32 groups[max_k / 4];  // fields 4 i .. 4 i + 3 meet weights groups[i] .. groups[i] + 3

  /// Groups that follow one another from k = 0 on.
  void number_groups() {
    for (i32 i = 0; i < max_k / 4; ++i) groups[i] = 4 * i;
  }
};

/// Weights of a product: column c's begin at `first + c * stride`.
struct weight_columns {
  const float* first;
  i64 stride;
};

/// Adds the products of `count` groups of four to the sums of R lanes of rows and C columns.
template <accumulation Order, i32 R, i32 C>
inline void multiply_block(const float* fields, i64 row_stride, const weight_columns& weights,
                           const i32* groups, i32 count, float* sums) {
  lanes acc[C][R];
#pragma GCC unroll 8
  for (i32 c = 0; c < C; ++c) {
#pragma GCC unroll 8
    for (i32 r = 0; r < R; ++r) acc[c][r] = load(sums + c * panels::max_rows + r * lane_count);
  }
  for (i32 i = 0; i < count; ++i) {
    const float* f = fields + 4 * i * row_stride;
    const float* w = weights.first + groups[i];
#pragma GCC unroll 8
    for (i32 c = 0; c < C; ++c) {
      const lanes w0 = set(w[c * weights.stride]);
      const lanes w1 = set(w[c * weights.stride + 1]);
      const lanes w2 = set(w[c * weights.stride + 2]);
      const lanes w3 = set(w[c * weights.stride + 3]);
#pragma GCC unroll 8
      for (i32 r = 0; r < R; ++r) {
        const lanes f0 = load(f + r * lane_count);
        const lanes f1 = load(f + row_stride + r * lane_count);
        const lanes f2 = load(f + 2 * row_stride + r * lane_count);
        const lanes f3 = load(f + 3 * row_stride + r * lane_count);
        if constexpr (Order == accumulation::chain) {
          lanes sum = fma(f0, w0, acc[c][r]);
          sum = fma(f1, w1, sum);
          sum = fma(f2, w2, sum);
          acc[c][r] = fma(f3, w3, sum);
        } else {
          // (p0 + p1) + (p2 + p3): the first product of a pair is exact for halves; in f32 it is
          // rounded and the second is not.
          const lanes low = fma(f1, w1, f0 * w0);
          const lanes high = fma(f3, w3, f2 * w2);
          acc[c][r] += low + high;
        }
      }
    }
  }
#pragma GCC unroll 8
  for (i32 c = 0; c < C; ++c) {
#pragma GCC unroll 8
    for (i32 r = 0; r < R; ++r) store(sums + c * panels::max_rows + r * lane_count, acc[c][r]);
  }
}

/// All columns for R lanes of rows, C at a time.
template <accumulation Order, i32 R, i32 C>
inline void multiply_rows(panels& p, i32 row, i32 rows, i32 cols, const weight_columns& weights,
                          i32 first, i32 count) {
  const float* const fields = p.fields + i64{4} * first * rows + row;
  const i32* const groups = p.groups + first;
  const auto columns_from = [&](i32 c) {
    return weight_columns{weights.first + c * weights.stride, weights.stride};
  };
  i32 c = 0;
  for (; c + C <= cols; c += C) {
    multiply_block<Order, R, C>(fields, rows, columns_from(c), groups, count,
                                p.sums + c * panels::max_rows + row);
  }
  for (; c < cols; ++c) {
    multiply_block<Order, R, 1>(fields, rows, columns_from(c), groups, count,
                                p.sums + c * panels::max_rows + row);
  }
}

/// sums[col][row] += the products of `count` groups of four from number `first` on; rows are whole
/// lanes.
template <accumulation Order>
inline void multiply(panels& p, i32 rows, i32 cols, const weight_columns& weights, i32 first,
                     i32 count) {
  // 8 sums in registers: the adds of one sum wait for each other, 8 keep the units busy.
  i32 r = 0;
  for (; r + 4 * lane_count <= rows; r += 4 * lane_count) {
    multiply_rows<Order, 4, 2>(p, r, rows, cols, weights, first, count);
  }
  for (; r + 2 * lane_count <= rows; r += 2 * lane_count) {
    multiply_rows<Order, 2, 4>(p, r, rows, cols, weights, first, count);
  }
  if (r < rows) multiply_rows<Order, 1, 4>(p, r, rows, cols, weights, first, count);
}

/// One sum of each row and column grows by the products of field number `k`, whose weights are
/// `weight` from each column's begin.
inline void multiply_one(panels& p, i32 rows, i32 cols, const weight_columns& weights, i32 k,
                         i32 weight) {
  for (i32 c = 0; c < cols; ++c) {
    float* const sum = p.sums + c * panels::max_rows;
    const lanes w = set(weights.first[c * weights.stride + weight]);
    for (i32 r = 0; r < rows; r += lane_count) {
      store(sum + r, fma(load(p.fields + i64{k} * rows + r), w, load(sum + r)));
    }
  }
}

/// What a fold has summed is added to what those before it have.
inline void end_fold(panels& p, i32 rows, i32 cols) {
  for (i32 c = 0; c < cols; ++c) {
    float* const sum = p.sums + c * panels::max_rows;
    float* const all = p.folded + c * panels::max_rows;
    for (i32 r = 0; r < rows; r += lane_count) {
      store(all + r, load(all + r) + load(sum + r));
      store(sum + r, lanes{});
    }
  }
}

/// accumulation::folds: group number 0 of the panel holds product `first_k` of its sum.
inline void multiply_folds(panels& p, i32 rows, i32 cols, const weight_columns& weights, i32 count,
                           i64 first_k, i32 length) {
  const auto enter = [&](i64 fold) {
    if (p.fold >= 0 && p.fold != fold) end_fold(p, rows, cols);
    p.fold = fold;
  };
  for (i32 i = 0; i < count;) {
    const auto fold_of = [&](i32 group, i32 j) { return (first_k + p.groups[group] + j) / length; };
    const i64 fold = fold_of(i, 0);
    enter(fold);
    i32 end = i;
    while (end < count && fold_of(end, 3) == fold) ++end;
    if (end > i) {
      multiply<accumulation::chain>(p, rows, cols, weights, i, end - i);
      i = end;
      continue;
    }
    for (i32 j = 0; j < 4; ++j) {  // a fold ends within this group
      enter(fold_of(i, j));
      multiply_one(p, rows, cols, weights, 4 * i + j, p.groups[i] + j);
    }
    ++i;
  }
}

/// accumulation::tree of `length` products, a power of two up to panels::max_k. A tree's groups are
/// in one panel.
inline void multiply_trees(panels& p, i32 rows, i32 cols, const weight_columns& weights, i32 count,
                           i64 first_k, i32 length) {
  const i32 leaves = length / 4;  // groups of a tree; 0: half a group each
  for (i32 i = 0; i < count;) {
    const i64 tree = length < 4 ? 0 : (first_k + p.groups[i]) / length;
    i32 end = i + 1;
    while (leaves > 1 && end < count && (first_k + p.groups[end]) / length == tree) ++end;
    for (i32 c = 0; c < cols; ++c) {
      float* const sum = p.sums + c * panels::max_rows;
      for (i32 r = 0; r < rows; r += lane_count) {
        lanes node[panels::max_k / 4];
        for (i32 k = 0; k < leaves; ++k) node[k] = lanes{};
        for (i32 g = i; g < end; ++g) {
          const float* const f = p.fields + i64{4} * g * rows + r;
          const float* const w = weights.first + c * weights.stride + p.groups[g];
          const lanes low = fma(load(f + rows), set(w[1]), load(f) * set(w[0]));
          const lanes high = fma(load(f + 3 * rows), set(w[3]), load(f + 2 * rows) * set(w[2]));
          if (leaves == 0) {
            store(sum + r, (load(sum + r) + low) + high);
          } else {
            node[(first_k + p.groups[g]) % length / 4] = low + high;
          }
        }
        if (leaves == 0) continue;
        for (i32 width = leaves / 2; width > 0; width /= 2) {
          for (i32 k = 0; k < width; ++k) node[k] = node[2 * k] + node[2 * k + 1];
        }
        store(sum + r, load(sum + r) + node[0]);
      }
    }
    i = end;
  }
}

/// The machine's order: sums grow by `count` groups of the panel, group number 0 of which holds
/// product `first_k` of the sum.
inline void multiply_in_order(const matrix_unit& unit, panels& p, i32 rows, i32 cols,
                              const weight_columns& weights, i32 count, i64 first_k) {
  switch (unit.order) {
    case accumulation::chain:
      return multiply<accumulation::chain>(p, rows, cols, weights, 0, count);
    case accumulation::block4:
      return multiply<accumulation::block4>(p, rows, cols, weights, 0, count);
    case accumulation::folds:
      return multiply_folds(p, rows, cols, weights, count, first_k, fold_length(unit));
    case accumulation::tree:
      switch (const i32 length = tree_length(unit)) {
        case 1: return multiply<accumulation::chain>(p, rows, cols, weights, 0, count);
        case 4: return multiply<accumulation::block4>(p, rows, cols, weights, 0, count);
        default: return multiply_trees(p, rows, cols, weights, count, first_k, length);
      }
  }
}

/// Adds (or, for the first, sets) a partial sum to the totals of a piece.
inline void add_partial(panels& p, bool first, i32 rows, i32 cols) {
  for (i32 col = 0; col < cols; ++col) {
    float* total = p.totals + col * panels::max_rows;
    const float* sum = p.sums + col * panels::max_rows;
    for (i32 r = 0; r < rows; r += lane_count) {
      store(total + r, first ? load(sum + r) : load(total + r) + load(sum + r));
    }
  }
}

inline void clear_sums(const matrix_unit& unit, panels& p, i32 cols) {
  const auto bytes = static_cast<std::size_t>(cols) * panels::max_rows * sizeof(float);
  std::memset(p.sums, 0, bytes);
  if (unit.order != accumulation::folds) return;
  std::memset(p.folded, 0, bytes);
  p.fold = -1;
}

/// After the last product: sums of several folds are complete.
inline void complete_sums(const matrix_unit& unit, panels& p, i32 rows, i32 cols) {
  if (unit.order != accumulation::folds) return;
  for (i32 c = 0; c < cols; ++c) {
    float* const sum = p.sums + c * panels::max_rows;
    const float* const all = p.folded + c * panels::max_rows;
    for (i32 r = 0; r < rows; r += lane_count) store(sum + r, load(all + r) + load(sum + r));
  }
}

}  // namespace tessera::accelerator
