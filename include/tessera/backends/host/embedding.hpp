#pragma once

// Embedding and its gradient (ops/embedding.hpp states what they mean).
//
// Forward: rows are copied; with samples innermost the rows of 8 samples are turned round in
// registers. Threads share the indices.
//
// Gradient: the table is cut into blocks of at most 4096 elements (rows of at most 64 columns).
// A block's sums are f32 on the stack; every index, in order, adds its slice of dy to its row; then
// the block is rounded and stored once. Where slices have sums of their own, those lie beside the
// block, and rows that a slice names are added when it ends. With samples innermost dy is turned
// round by eights. Threads share the blocks, no sum is shared. Looking at all
// indices for every block costs indices / 4096 comparisons an element of the table: 2048 indices
// into 50,000 rows of 128 take 0.85 ns an element of the table (g++ 12 -O2,
// AVX-512, EPYC, one thread); into 65 rows 0.15 to 0.45 ns an element of dy.

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>
#include <cstring>
#include <type_traits>

namespace tessera::host {

/// True where `index` names a row of the table.
inline bool names_row(const embedding_sizes& n, i32 index) { return index >= 0 && index < n.rows; }

/// An element of a table as it is stored in y.
template <class T>
T as_stored(T x, T) {
  return x;
}
inline half as_stored(float x, half) { return to_half(x); }
inline bfloat16 as_stored(float x, bfloat16) { return to_bfloat16(x); }

/// A row of a table into y, rounded where the table is an f32 master.
inline void copy_row(const float* from, half* to, i32 count) { narrow(from, to, count); }
inline void copy_row(const float* from, bfloat16* to, i32 count) { narrow(from, to, count); }
template <class T>
void copy_row(const T* from, T* to, i32 count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

/// Rows of the table that `count` indices name; null for those that name none.
template <class Table>
bool find_rows(const embedding_sizes& n, const Table* table, const i32* indices, i32 count,
               const Table** row) {
  bool all = true;
  for (i32 k = 0; k < count; ++k) {
    row[k] = names_row(n, indices[k]) ? table + i64{indices[k]} * n.width : nullptr;
    all = all && row[k] != nullptr;
  }
  return all;
}

/// The rows of eight samples side by side.
template <class T, class Table>
void look_up_eight(const Table* const (&row)[8], i32 width, T* to, i64 step) {
  i32 w = 0;
  for (; w + 8 <= width; w += 8) {
    if constexpr (std::is_same_v<T, float>) {
      simd::transpose_rows_8x8(row, w, to + w * step, step);
    } else {
      float wide[64];
      simd::transpose_rows_8x8(row, w, wide, 8);
      for (i32 i = 0; i < 8; ++i) narrow(wide + 8 * i, to + (w + i) * step, 8);
    }
  }
  for (; w < width; ++w) {
    for (i32 k = 0; k < 8; ++k) to[w * step + k] = as_stored(row[k][w], T{});
  }
}

template <class T, class Table, bool Last>
void look_up(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const i32* const indices = c.input<i32>(0);
  const Table* const table = c.input<Table>(1);
  T* const y = c.output<T>(0);
  constexpr i32 side = Last ? 8 : 16;  // samples whose rows are read together
  const i32 groups = Last ? (n.batch + side - 1) / side : 1;
  const i32 pieces = Last ? n.outer * groups : (n.indices() + side - 1) / side;
  const threads workers = c.step->threads.when(i64{n.indices()} * n.width >= 4096);
  parallel_for(workers, pieces, [&](i32 piece) {
    if constexpr (Last) {
      const i32 sample = piece % groups * side;
      const i64 first = i64{piece / groups} * n.batch + sample;
      const i32 count = n.batch - sample < side ? n.batch - sample : side;
      const Table* row[side];
      T* to = y + n.begin(true, first);
      if (find_rows(n, table, indices + first, count, row) && count == side) {
        return look_up_eight(row, n.width, to, n.batch);
      }
      for (i32 w = 0; w < n.width; ++w, to += n.batch) {
        for (i32 k = 0; k < count; ++k) {
          to[k] = row[k] == nullptr ? T{} : as_stored(row[k][w], T{});
        }
      }
    } else {
      const i32 first = piece * side;
      const i32 last = first + side < n.indices() ? first + side : n.indices();
      const auto bytes = static_cast<std::size_t>(n.width) * sizeof(T);
      for (i32 i = first; i < last; ++i) {
        T* const to = y + i64{i} * n.width;
        if (names_row(n, indices[i])) {
          copy_row(table + i64{indices[i]} * n.width, to, n.width);
        } else {
          std::memset(static_cast<void*>(to), 0, bytes);
        }
      }
    }
  });
}

template <class T, bool Last>
void embedding(const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(1) == element::f32) return look_up<T, float, Last>(c);
  }
  look_up<T, T, Last>(c);
}

/// Adds `count` elements of dy, `step` apart, to f32 sums.
template <class T>
void add_to_sums(const T* dy, i64 step, float* sums, i32 count) {
  using namespace simd;
  if (step != 1) {
    for (i32 w = 0; w < count; ++w) sums[w] += as_float(dy[w * step]);
    return;
  }
  i32 w = 0;
  for (; w + lanes <= count; w += lanes) store(sums + w, load(sums + w) + load(dy + w));
  if (w < count) {
    const i32 rest = count - w;
    store_partial(sums + w, load_partial(sums + w, rest) + load_partial(dy + w, rest), rest);
  }
}

/// A part of a table's gradient, summed up by one thread: some rows, some columns.
template <class T>
class gradient_block {
 public:
  static constexpr i32 capacity = 4096;
  static constexpr i32 most_columns = 64;

  gradient_block(const call& c, const embedding_sizes& n, i32 row, i32 rows, i32 column,
                 i32 columns)
      : indices_(c.input<i32>(0)),
        dy_(c.input<T>(1)),
        padding_(c.attr->padding_index),
        n_(n),
        row_(row),
        rows_(rows),
        column_(column),
        columns_(columns) {}

  template <bool Last>
  void store(T* dtable) {
    const bool one = n_.slices() == 1;
    float* const sums = one ? all_ : slice_;
    std::memset(all_, 0, bytes_of_rows());
    if (!one) std::memset(slice_, 0, bytes_of_rows());
    for (i32 slice = 0; slice < n_.slices(); ++slice) {
      const i32 first = n_.slice(slice);
      const i32 end = first + n_.in_slice();
      if constexpr (Last) {
        for (i32 i = first; i < end; i += n_.batch) add_samples(sums, i);
      } else {
        for (i32 i = first; i < end; ++i) {
          if (is_here(i))
            add_to_sums(dy_ + i64{i} * n_.width + column_, 1, sums_of(sums, i), columns_);
        }
      }
      if (!one) add_slice(first, end);
    }
    for (i32 r = 0; r < rows_; ++r) {
      round_to(all_ + r * columns_, dtable + i64{row_ + r} * n_.width + column_);
    }
  }

 private:
  std::size_t bytes_of_rows() const {
    return static_cast<std::size_t>(rows_) * static_cast<std::size_t>(columns_) * sizeof(float);
  }
  bool is_here(i32 i) const {
    return indices_[i] >= row_ && indices_[i] < row_ + rows_ && indices_[i] != padding_;
  }
  float* sums_of(float* sums, i32 i) const { return sums + (indices_[i] - row_) * columns_; }

  /// Samples of one slice of dy, innermost, from index `i` on: eight at a time are turned round.
  void add_samples(float* sums, i32 i) {
    alignas(64) float turned[8 * most_columns];
    const T* const from = dy_ + i64{i} * n_.width + i64{column_} * n_.batch;
    for (i32 k = 0; k < n_.batch; k += 8) {
      const i32 count = n_.batch - k < 8 ? n_.batch - k : 8;
      bool any = false;
      for (i32 s = 0; s < count; ++s) any = any || is_here(i + k + s);
      if (!any) continue;
      i32 w = 0;
      for (; count == 8 && w + 8 <= columns_; w += 8) {
        simd::transpose_8x8(from + i64{w} * n_.batch + k, n_.batch, turned + w, most_columns);
      }
      for (; w < columns_; ++w) {
        for (i32 s = 0; s < count; ++s) {
          turned[s * most_columns + w] = simd::as_float(from[i64{w} * n_.batch + k + s]);
        }
      }
      for (i32 s = 0; s < count; ++s) {
        if (is_here(i + k + s)) {
          add_to_sums(turned + s * most_columns, 1, sums_of(sums, i + k + s), columns_);
        }
      }
    }
  }

  /// Rows of the slice as they are stored, to those of all; cleared for the next.
  void add_slice(i32 first, i32 end) {
    using namespace simd;
    for (i32 i = first; i < end; ++i) {
      if (!is_here(i)) continue;
      float* const part = sums_of(slice_, i);
      float* const sums = sums_of(all_, i);
      // A row that the slice names once more adds zeros then.
      i32 w = 0;
      for (; w + lanes <= columns_; w += lanes) {
        const vec sum = load(sums + w) + as_it_is_stored(load(part + w), T{});
        simd::store(sums + w, as_it_is_stored(sum, T{}));
        simd::store(part + w, zero());
      }
      if (w == columns_) continue;
      const i32 rest = columns_ - w;
      const vec sum =
          load_partial(sums + w, rest) + as_it_is_stored(load_partial(part + w, rest), T{});
      store_partial(sums + w, as_it_is_stored(sum, T{}), rest);
      store_partial(part + w, zero(), rest);
    }
  }
  static simd::vec as_it_is_stored(simd::vec x, float) { return x; }
  template <class Stored>
  static simd::vec as_it_is_stored(simd::vec x, Stored) {
    Stored stored[simd::lanes];
    simd::store(stored, x);
    return simd::load(stored);
  }

  void round_to(const float* from, T* to) const {
    i32 w = 0;
    for (; w + simd::lanes <= columns_; w += simd::lanes) {
      simd::store(to + w, simd::load(from + w));
    }
    if (w < columns_) {
      simd::store_partial(to + w, simd::load_partial(from + w, columns_ - w), columns_ - w);
    }
  }

  const i32* indices_;
  const T* dy_;
  i32 padding_;
  embedding_sizes n_;
  i32 row_, rows_, column_, columns_;
  alignas(64) float all_[capacity];
  alignas(64) float slice_[capacity];  // where each slice has a sum of its own
};

template <class T, bool Last>
void embedding_gradient(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  using block = gradient_block<T>;
  // All rows in one block where their slices can be at least a vector long.
  i32 columns = n.width < block::most_columns ? n.width : block::most_columns;
  while (columns % 2 == 0 && columns / 2 >= 16 && block::capacity / columns < n.rows &&
         block::capacity / 16 >= n.rows) {
    columns /= 2;
  }
  const i32 rows = block::capacity / columns < n.rows ? block::capacity / columns : n.rows;
  const i32 bands = (n.width + columns - 1) / columns;
  const i32 blocks = (n.rows + rows - 1) / rows;
  parallel_for(c.step->threads, blocks * bands, [&](i32 part) {
    const i32 row = part / bands * rows;
    const i32 column = part % bands * columns;
    block(c, n, row, n.rows - row < rows ? n.rows - row : rows, column,
          n.width - column < columns ? n.width - column : columns)
        .template store<Last>(c.output<T>(0));
  });
}

}  // namespace tessera::host
