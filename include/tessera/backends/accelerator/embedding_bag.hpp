#pragma once

// Embedding bags and the updates of tables on the model (ops/embedding_bag.hpp and
// ops/embedding.hpp have the meanings).
//
// A tile has a block of the table, rows by columns, and receives its columns of all of dy with the
// indices; it adds the entries of each of its rows in order, and under an update changes those rows
// that occur. Counters and prices take the most rows that can: one for each entry. Here a list of
// the entries sorted by row stands for what every tile finds by itself.

#include <tessera/backends/accelerator/recurrent.hpp>  // for_vertices
#include <tessera/backends/accelerator/update.hpp>
#include <tessera/ops/lookups.hpp>
#include <algorithm>

namespace tessera::accelerator {

/// The entries of a call that are in their bags, by row, those of a row in order.
template <class T>
class sorted_lookups {
 public:
  struct entry {
    i32 row;
    i32 bag;
    i32 number;
    i32 members;
  };

  explicit sorted_lookups(const call& c)
      : l(c),
        dy_(c.input<T>(1)),
        weights_(c.input<T>(6)),
        winners_(c.input<i32>(5)),
        all_(reinterpret_cast<entry*>(scratch_of(c, scratch_bytes(*c.sizes)))) {
    l.for_bags(0, l.bags, [&](i32 b, const ops::bag_range& range) {
      const i32 members = l.mode == bag_mode::mean ? l.count(b, range) : 1;
      for (i32 e = range.begin; e < range.end; ++e) {
        if (l.row(b, e) >= 0) all_[count_++] = {l.row(b, e), b, e, members};
      }
    });
    std::sort(all_, all_ + count_, [](const entry& a, const entry& b) {
      return a.row != b.row ? a.row < b.row : a.number < b.number;
    });
  }

  const ops::lookups l;

  /// visit(row, first entry, last entry) for rows [begin, end) that occur.
  template <class Visit>
  void for_rows(i32 begin, i32 end, const Visit& visit) const {
    const entry* e = std::lower_bound(all_, all_ + count_, begin,
                                      [](const entry& a, i32 row) { return a.row < row; });
    while (e != all_ + count_ && e->row < end) {
      const entry* last = e;
      while (last != all_ + count_ && last->row == e->row) ++last;
      visit(e->row, e, last);
      e = last;
    }
  }

  /// Columns [column, column + n) of the gradient of the row of entries [first, last).
  void sum(const entry* first, const entry* last, i32 column, i32 n, float* sums) const {
    for (i32 k = 0; k < n; ++k) sums[k] = 0;
    for (const entry* e = first; e != last; ++e) {
      const i64 at = l.element(e->bag) + column * l.step();
      if (winners_ != nullptr && e != first && e[-1].bag == e->bag) continue;  // once a bag
      for (i32 k = 0; k < n; ++k) {
        const i64 here = at + k * l.step();
        if (winners_ != nullptr && winners_[here] != e->row) continue;
        float term = fetch(dy_[here]);
        if (weights_ != nullptr) {
          sums[k] = std::fma(term, fetch(weights_[l.place(e->bag, e->number)]), sums[k]);
          continue;
        }
        if (e->members > 1) term /= static_cast<float>(e->members);
        sums[k] += term;
      }
    }
  }

 private:
  const T* dy_;
  const T* weights_;
  const i32* winners_;
  entry* all_;
  i64 count_ = 0;
};

template <class T, class Table>
void sum_bags(const machine& m, const call& c) {
  const ops::lookups l(c);
  const Table* table = c.input<Table>(1);
  const T* weights = c.input<T>(6);
  T* y = c.output<T>(0);
  i32* rows = c.output<i32>(1);
  for_vertices(m, c, [&](const vertex& v) {
    const i32 end = v.begin[axis_b] + v.size[axis_b];
    l.for_bags(v.begin[axis_b], end, [&](i32 b, const ops::bag_range& range) {
      for (i32 w = v.begin[axis_o]; w < v.begin[axis_o] + v.size[axis_o]; ++w) {
        float sum = 0;
        i32 largest = -1;
        for (i32 e = range.begin; e < range.end; ++e) {
          const i32 row = l.row(b, e);
          if (row < 0) continue;
          const float value = fetch(stored_element<T>({m, c}, table, i64{row} * l.width + w));
          if (l.mode == bag_mode::max) {
            if (largest >= 0 && !(value > sum)) continue;
            sum = value;
            largest = row;
          } else {
            sum = weights != nullptr ? std::fma(fetch(weights[l.place(b, e)]), value, sum)
                                     : sum + value;
          }
        }
        if (l.mode == bag_mode::mean) sum /= static_cast<float>(l.count(b, range));
        const i64 at = l.element(b) + w * l.step();
        put(storing(m, c), &sum, y + at, 1);
        if (rows != nullptr) rows[at] = largest;
      }
    });
  });
}

template <class T>
void run_embedding_bag(const machine& m, const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(1) == element::f32) return sum_bags<T, float>(m, c);
  }
  sum_bags<T, T>(m, c);
}

template <class T>
void run_embedding_bag_gradient(const machine& m, const call& c) {
  const sorted_lookups<T> sorted(c);
  const i32 width = sorted.l.width;
  T* dtable = c.output<T>(0);
  for_vertices(m, c, [&](const vertex& v) {
    const i32 first = v.begin[axis_c];
    const i32 columns = v.size[axis_o];
    for (i32 row = first; row < first + v.size[axis_c]; ++row) {
      T* const to = dtable + i64{row} * width + v.begin[axis_o];
      for (i32 k = 0; k < columns; ++k) to[k] = T{};
    }
    sorted.for_rows(
        first, first + v.size[axis_c], [&](i32 row, const auto* begin, const auto* end) {
          for (i32 k = 0; k < columns; k += strip) {
            const i32 n = columns - k < strip ? columns - k : strip;
            float sums[strip];
            sorted.sum(begin, end, v.begin[axis_o] + k, n, sums);
            put(storing(m, c), sums, dtable + i64{row} * width + v.begin[axis_o] + k, n);
          }
        });
  });
}

template <class T, class Table>
void multiply_rows(const machine& m, const call& c) {
  const ops::lookups l(c);
  const T* dy = c.input<T>(1);
  const Table* table = c.input<Table>(2);
  T* dweights = c.output<T>(0);
  for_vertices(m, c, [&](const vertex& v) {
    const i32 end = v.begin[axis_b] + v.size[axis_b];
    l.for_bags(v.begin[axis_b], end, [&](i32 b, const ops::bag_range& range) {
      for (i32 e = 0; b == 0 && e < range.begin; ++e) dweights[e] = T{};
      for (i32 e = range.begin; e < range.end; ++e) {
        const i32 row = l.row(b, e);
        float sum = 0;
        for (i32 w = 0; row >= 0 && w < l.width; ++w) {
          sum = std::fma(fetch(dy[l.element(b) + w * l.step()]),
                         fetch(stored_element<T>({m, c}, table, i64{row} * l.width + w)), sum);
        }
        put(storing(m, c), &sum, dweights + l.place(b, e), 1);
      }
    });
  });
}

template <class T>
void run_embedding_bag_weight_gradient(const machine& m, const call& c) {
  if constexpr (sizeof(T) == 2) {
    if (c.sizes->input_type(2) == element::f32) return multiply_rows<T, float>(m, c);
  }
  multiply_rows<T, T>(m, c);
}

/// visit(first element, elements, gradient as stored) for the rows of a vertex that occur.
template <class T, class Visit>
void for_touched(const storing& how, const sorted_lookups<T>& sorted, const vertex& v,
                 const Visit& visit) {
  const i32 first = v.begin[axis_c];
  sorted.for_rows(first, first + v.size[axis_c], [&](i32 row, const auto* begin, const auto* end) {
    for (i32 k = 0; k < v.size[axis_o]; k += strip) {
      const i32 n = v.size[axis_o] - k < strip ? v.size[axis_o] - k : strip;
      float sums[strip];
      T stored[strip];
      sorted.sum(begin, end, v.begin[axis_o] + k, n, sums);
      const i64 element = i64{row} * sorted.l.width + v.begin[axis_o] + k;
      put_own(how, sums, stored, n, element);
      visit(element, i64{n}, stored);
    }
  });
}

/// True where the gradient of all rows is finite.
template <class T>
bool touched_are_finite(const storing& how, const sorted_lookups<T>& sorted) {
  vertex all;
  all.size[axis_o] = sorted.l.width;
  all.size[axis_c] = sorted.l.rows;
  bool finite = true;
  for_touched(how, sorted, all,
              [&](i64, i64 n, const T* g) { finite = finite && all_finite(g, n); });
  return finite;
}

/// embedding_update and embedding_bag_update.
template <class T>
void run_lookup_update(const machine& m, const call& c) {
  const sorted_lookups<T> sorted(c);
  float* scaler = reinterpret_cast<float*>(c.in[2]);
  bool apply = true;
  if (scaler != nullptr && c.attr->scaling.skip == skip_rule::step) {
    apply = scaler[ops::scaler_overflow] == 0;
  } else if (scaler != nullptr && c.attr->scaling.skip == skip_rule::tensor) {
    apply = touched_are_finite<T>({m, c}, sorted);
    if (!apply) scaler[ops::scaler_overflow] = 1;
  }
  i32& applied = *c.output<i32>(4);
  const optimizer_step step(c, applied);
  for_vertices(m, c, [&](const vertex& v) {
    if (!apply) return;
    for_touched({m, c}, sorted, v,
                [&](i64 at, i64 n, const T* g) { apply_update(c, step, g, at, n); });
  });
  if (apply) ++applied;
}

/// embedding_overflow_test and embedding_bag_overflow_test.
template <class T>
void run_lookup_test(const machine& m, const call& c) {
  const sorted_lookups<T> sorted(c);
  for_vertices(m, c, [](const vertex&) {});
  if (!touched_are_finite<T>({m, c}, sorted)) c.output<float>(0)[ops::scaler_overflow] = 1;
}

}  // namespace tessera::accelerator
