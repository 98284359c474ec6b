#pragma once

// Embedding bags and their gradients (ops/embedding_bag.hpp states what they mean).
//
// Forward: a bag's sums are f32, 64 columns at a time, and stored once; threads share the bags. The
// table's gradient is made like embedding's, in blocks of at most 4096 elements: every block looks
// at all entries. Where an update consumes it, it is never made (embedding_update.hpp).

#include <tessera/backends/host/embedding_update.hpp>
#include <limits>

namespace tessera::host {

using simd::store_number;

template <class T>
void store_row(const float* sums, T* to, i64 step, i32 count) {
  if (step != 1) {
    for (i32 w = 0; w < count; ++w) store_number(to + w * step, sums[w]);
  } else if constexpr (sizeof(T) == 4) {
    std::memcpy(to, sums, static_cast<std::size_t>(count) * sizeof(float));
  } else {
    narrow(sums, to, count);
  }
}

/// Up to 64 columns of a table's row: where they lie, or rounded and in `piece`, where the
/// table is an f32 master of what the operation stores as T.
template <class T>
const T* row_piece(const T* from, i32, T*) {
  return from;
}
inline const half* row_piece(const float* from, i32 count, half* piece) {
  narrow(from, piece, count);
  return piece;
}
inline const bfloat16* row_piece(const float* from, i32 count, bfloat16* piece) {
  narrow(from, piece, count);
  return piece;
}

template <class T, class Table>
void sum_bags(const call& c) {
  const ops::lookups l(c);
  const Table* const table = c.input<Table>(1);
  const T* const weights = c.input<T>(6);
  T* const y = c.output<T>(0);
  i32* const rows = c.output<i32>(1);
  constexpr i32 piece = 16;  // bags
  constexpr i32 most = 64;   // columns
  const threads workers = c.step->threads.when(i64{l.entries} * l.width >= 4096);
  parallel_for(workers, (l.bags + piece - 1) / piece, [&](i32 item) {
    const i32 end = (item + 1) * piece < l.bags ? (item + 1) * piece : l.bags;
    l.for_bags(item * piece, end, [&](i32 b, const ops::bag_range& range) {
      const float mean =
          1.0f / static_cast<float>(l.mode == bag_mode::mean ? l.count(b, range) : 1);
      for (i32 column = 0; column < l.width; column += most) {
        const i32 wide = l.width - column < most ? l.width - column : most;
        float sums[most] = {};
        i32 largest[most];
        for (i32 w = 0; w < wide; ++w) largest[w] = -1;
        for (i32 e = range.begin; e < range.end; ++e) {
          const i32 row = l.row(b, e);
          if (row < 0) continue;
          T piece_of_row[most];
          const T* const from = row_piece(table + i64{row} * l.width + column, wide, piece_of_row);
          if (l.mode == bag_mode::max) {
            for (i32 w = 0; w < wide; ++w) {
              const float value = simd::as_float(from[w]);
              if (largest[w] >= 0 && !(value > sums[w])) continue;
              sums[w] = value;
              largest[w] = row;
            }
          } else if (weights != nullptr) {
            add_scaled_to_sums(from, 1, simd::as_float(weights[l.place(b, e)]), sums, wide);
          } else {
            add_to_sums(from, 1, sums, wide);
          }
        }
        for (i32 w = 0; l.mode == bag_mode::mean && w < wide; ++w) sums[w] *= mean;
        const i64 at = l.element(b) + column * l.step();
        store_row(sums, y + at, l.step(), wide);
        for (i32 w = 0; rows != nullptr && w < wide; ++w) rows[at + w * l.step()] = largest[w];
      }
    });
  });
}

template <class T, bool Last>
void embedding_bag(const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(1) == element::f32) return sum_bags<T, float>(c);
  }
  sum_bags<T, T>(c);
}

template <class T, bool Last>
void embedding_bag_gradient(const call& c) {
  const lookup_terms<T> terms(c);
  const ops::lookups& l = terms.l;
  T* const dtable = c.output<T>(0);
  constexpr i32 capacity = 4096;
  constexpr i32 most_columns = 64;
  const i32 columns = l.width < most_columns ? l.width : most_columns;
  const i32 rows = capacity / columns < l.rows ? capacity / columns : l.rows;
  const i32 bands = (l.width + columns - 1) / columns;
  const i32 blocks = (l.rows + rows - 1) / rows;
  parallel_for(c.step->threads, blocks * bands, [&](i32 block) {
    const i32 first_row = block / bands * rows;
    const i32 here = l.rows - first_row < rows ? l.rows - first_row : rows;
    const i32 column = block % bands * columns;
    const i32 wide = l.width - column < columns ? l.width - column : columns;
    float sums[capacity];
    std::memset(sums, 0, static_cast<std::size_t>(here * columns) * sizeof(float));
    l.for_bags(0, l.bags, [&](i32 b, const ops::bag_range& range) {
      const i32 members = l.mode == bag_mode::mean ? l.count(b, range) : 1;
      for (i32 e = range.begin; e < range.end; ++e) {
        const i32 row = l.row(b, e);
        if (row < first_row || row >= first_row + here) continue;
        bool again = false;  // of a maximum, once a bag
        for (i32 k = range.begin; terms.winners != nullptr && k < e; ++k) {
          again = again || l.row(b, k) == row;
        }
        if (!again) terms.add(b, e, row, members, column, sums + (row - first_row) * columns, wide);
      }
    });
    for (i32 r = 0; r < here; ++r) {
      store_row(sums + r * columns, dtable + i64{first_row + r} * l.width + column, 1, wide);
    }
  });
}

/// dw of each entry: its bag's dy times its row, 64 columns at a time.
template <class T, class Table>
void multiply_rows(const call& c) {
  const ops::lookups l(c);
  const T* const dy = c.input<T>(1);
  const Table* const table = c.input<Table>(2);
  T* const dweights = c.output<T>(0);
  if (l.offsets != nullptr) {  // what is before the first bag
    l.for_bags(0, 1, [&](i32, const ops::bag_range& range) {
      for (i32 e = 0; e < range.begin; ++e) dweights[e] = T{};
    });
  }
  constexpr i32 piece = 16;
  constexpr i32 most = 64;
  const threads workers = c.step->threads.when(i64{l.entries} * l.width >= 4096);
  parallel_for(workers, (l.bags + piece - 1) / piece, [&](i32 item) {
    const i32 end = (item + 1) * piece < l.bags ? (item + 1) * piece : l.bags;
    l.for_bags(item * piece, end, [&](i32 b, const ops::bag_range& range) {
      for (i32 e = range.begin; e < range.end; ++e) {
        const i32 row = l.row(b, e);
        float sum = 0;
        for (i32 column = 0; row >= 0 && column < l.width; column += most) {
          const i32 wide = l.width - column < most ? l.width - column : most;
          const T* const from = dy + l.element(b) + column * l.step();
          T piece_of_row[most];
          const T* const values =
              row_piece(table + i64{row} * l.width + column, wide, piece_of_row);
          i32 w = 0;
          if (l.step() == 1) {
            simd::vec sums = simd::zero();
            for (; w + simd::lanes <= wide; w += simd::lanes) {
              sums = simd::fma(simd::load(from + w), simd::load(values + w), sums);
            }
            sum += simd::sum(sums);
          }
          for (; w < wide; ++w) {
            sum += simd::as_float(from[w * l.step()]) * simd::as_float(values[w]);
          }
        }
        store_number(dweights + l.place(b, e), sum);
      }
    });
  });
}

template <class T, bool Last>
void embedding_bag_weight_gradient(const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(2) == element::f32) return multiply_rows<T, float>(c);
  }
  multiply_rows<T, T>(c);
}

}  // namespace tessera::host
