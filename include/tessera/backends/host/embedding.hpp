#pragma once

// Embedding and its gradient (ops/embedding.hpp states what they mean).
//
// Forward: rows are copied; with samples innermost the rows of 16 samples are read side by side, so
// that what is written is contiguous. Threads share the indices.
//
// Gradient: the table is cut into blocks of at most 4096 elements (rows of at most 64 columns).
// A block's sums are f32 on the stack; every index, in order, adds its slice of dy to its row; then
// the block is rounded and stored once. Threads share the blocks, no sum is shared. Looking at all
// indices for every block costs indices / 4096 comparisons an element of the table: 2048 indices
// into 50,000 rows of 128 take 0.85 ns an element of the table (g++ 12 -O2,
// AVX-512, EPYC, one thread); into 65 rows 0.15 to 0.45 ns an element of dy.

#include <tessera/backends/host/simd.hpp>
#include <tessera/backends/parallel.hpp>
#include <tessera/core/convert.hpp>
#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>
#include <cstring>

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

template <class T, class Table, bool Last>
void look_up(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const i32* const indices = c.input<i32>(0);
  const Table* const table = c.input<Table>(1);
  T* const y = c.output<T>(0);
  constexpr i32 side = 16;  // samples whose rows are read together
  const i32 groups = Last ? (n.batch + side - 1) / side : 1;
  const i32 pieces = Last ? n.outer * groups : (n.indices() + side - 1) / side;
  const threads workers = c.step->threads.when(i64{n.indices()} * n.width >= 4096);
  parallel_for(workers, pieces, [&](i32 piece) {
    if constexpr (Last) {
      const i32 sample = piece % groups * side;
      const i64 first = i64{piece / groups} * n.batch + sample;
      const i32 count = n.batch - sample < side ? n.batch - sample : side;
      const Table* row[side];
      for (i32 k = 0; k < count; ++k) {
        row[k] =
            names_row(n, indices[first + k]) ? table + i64{indices[first + k]} * n.width : nullptr;
      }
      T* to = y + n.begin(true, first);
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

template <class T, bool Last>
void embedding_gradient(const call& c) {
  const auto n = embedding_sizes::of(*c.sizes);
  const i32* const indices = c.input<i32>(0);
  const T* const dy = c.input<T>(1);
  T* const dtable = c.output<T>(0);
  const i32 padding = c.attr->padding_index;
  constexpr i32 capacity = 4096;
  constexpr i32 most_columns = 64;
  const i32 columns = n.width < most_columns ? n.width : most_columns;
  const i32 rows = capacity / columns < n.rows ? capacity / columns : n.rows;
  const i32 bands = (n.width + columns - 1) / columns;
  const i32 blocks = (n.rows + rows - 1) / rows;
  parallel_for(c.step->threads, blocks * bands, [&](i32 block) {
    const i32 first_row = block / bands * rows;
    const i32 here = n.rows - first_row < rows ? n.rows - first_row : rows;
    const i32 column = block % bands * columns;
    const i32 wide = n.width - column < columns ? n.width - column : columns;
    float sums[capacity];
    std::memset(sums, 0, static_cast<std::size_t>(here * columns) * sizeof(float));
    for (i32 i = 0; i < n.indices(); ++i) {
      const i32 row = indices[i];
      if (row < first_row || row >= first_row + here || row == padding) continue;
      add_to_sums(dy + n.begin(Last, i) + column * n.step(Last), n.step(Last),
                  sums + (row - first_row) * columns, wide);
    }
    for (i32 r = 0; r < here; ++r) {
      T* const to = dtable + i64{first_row + r} * n.width + column;
      const float* const from = sums + r * columns;
      i32 w = 0;
      for (; w + simd::lanes <= wide; w += simd::lanes) simd::store(to + w, simd::load(from + w));
      if (w < wide) simd::store_partial(to + w, simd::load_partial(from + w, wide - w), wide - w);
    }
  });
}

}  // namespace tessera::host
