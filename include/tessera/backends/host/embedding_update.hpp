#pragma once

// Gradients of tables row by row, and the updates that need no more (ops/embedding.hpp,
// ops/embedding_bag.hpp, ops/lookups.hpp state what they mean).
//
//   entries   7 3 7 9 3        lists, by row mod 8 (up to 4096), equal rows side by side, in the
//                              arena:
//   rows      of the table     3: 1 -> 4     7: 0 -> 2     9: 3
//
// Making the lists looks at every entry once and is done by one thread; then threads share the
// lists: no row has two, and a row's entries stay in order, so the sums have one order whoever adds
// them. A row's sums are f32, 64 columns at a time, on the stack.

#include <tessera/backends/host/embedding.hpp>
#include <tessera/backends/host/update_rule.hpp>
#include <tessera/ops/lookups.hpp>

namespace tessera::host {

/// sums += factor dy, `step` apart.
template <class T>
void add_scaled_to_sums(const T* dy, i64 step, float factor, float* sums, i32 count) {
  using namespace simd;
  if (step != 1) {
    for (i32 w = 0; w < count; ++w) sums[w] += factor * as_float(dy[w * step]);
    return;
  }
  const vec scale = set(factor);
  i32 w = 0;
  for (; w + lanes <= count; w += lanes) store(sums + w, fma(scale, load(dy + w), load(sums + w)));
  if (w < count) {
    const i32 rest = count - w;
    store_partial(sums + w, fma(scale, load_partial(dy + w, rest), load_partial(sums + w, rest)),
                  rest);
  }
}

/// sums += dy where the largest of a bag's column is of this row.
template <class T>
void add_won_to_sums(const T* dy, const i32* winners, i64 step, i32 row, float* sums, i32 count) {
  for (i32 w = 0; w < count; ++w) {
    if (winners[w * step] == row) sums[w] += simd::as_float(dy[w * step]);
  }
}

/// What the entries of a lookup add to their rows.
template <class T>
struct lookup_terms {
  ops::lookups l;
  const T* dy;
  const T* weights;
  const i32* winners;

  explicit lookup_terms(const call& c)
      : l(c), dy(c.input<T>(1)), weights(c.input<T>(6)), winners(c.input<i32>(5)) {}

  /// Adds entry `e` of bag `b`, of row `row`, to the sums of columns [column, column + wide).
  /// `members`: how many entries are in the bag.
  void add(i32 b, i32 e, i32 row, i32 members, i32 column, float* sums, i32 wide) const {
    const i64 at = l.element(b) + column * l.step();
    if (winners != nullptr) {
      return add_won_to_sums(dy + at, winners + at, l.step(), row, sums, wide);
    }
    if (weights == nullptr && l.mode == bag_mode::sum) {
      return add_to_sums(dy + at, l.step(), sums, wide);
    }
    const float factor = weights != nullptr ? simd::as_float(weights[l.place(b, e)])
                                            : 1.0f / static_cast<float>(members);
    add_scaled_to_sums(dy + at, l.step(), factor, sums, wide);
  }
};

/// The entries of a call by row. Memory: i32 from the arena, one for each entry; of bags two, and
/// one for each bag.
template <class T>
class row_lists {
 public:
  row_lists(const call& c, i32* memory)
      : terms_(c), next_(memory), bag_of_(memory + terms_.l.entries) {
    members_ = bag_of_ + terms_.l.entries;
    bags_ = is_bag(c.sizes->what);
    while (lists_ < most_lists && lists_ < terms_.l.entries) lists_ *= 2;
    for (i32 list = 0; list < lists_; ++list) heads_[list] = -1;
    if (bags_) {
      for (i32 e = 0; e < terms_.l.entries; ++e) bag_of_[e] = -1;
      terms_.l.for_bags(0, terms_.l.bags, [&](i32 b, const ops::bag_range& range) {
        members_[b] = terms_.l.count(b, range);
        for (i32 e = range.begin; e < range.end; ++e) bag_of_[e] = b;
      });
    }
    for (i32 e = terms_.l.entries - 1; e >= 0; --e) {
      const i32 row = row_of(e);
      if (row < 0) continue;
      i32& head = heads_[row & (lists_ - 1)];
      next_[e] = head;
      head = e;
    }
    for (i32 list = 0; list < lists_; ++list) put_equal_rows_together(heads_[list]);
  }

  /// Delivers the gradient of every row that occurs.
  void deliver(threads allowed, gradient_sink& sink) const {
    const ops::lookups& l = terms_.l;
    const threads workers = allowed.when(i64{l.entries} * l.width >= 16384);
    parallel_for(workers, lists_, [&](i32 list) {
      for (i32 e = heads_[list]; e >= 0;) e = deliver_row(e, sink);
    });
  }

 private:
  static constexpr i32 most_lists = 4096;
  static constexpr i32 most_columns = 64;

  i32 bag_of(i32 e) const { return bags_ ? bag_of_[e] : e; }
  i32 row_of(i32 e) const { return bag_of(e) < 0 ? -1 : terms_.l.row(bag_of(e), e); }

  void put_equal_rows_together(i32 head) {
    for (i32 first = head; first >= 0;) {
      const i32 row = row_of(first);
      i32 tail = first;  // of the run of equal rows
      for (i32 before = first, e = next_[first]; e >= 0;) {
        const i32 after = next_[e];
        if (row_of(e) != row) {
          before = e;
        } else if (before == tail) {
          before = tail = e;
        } else {
          next_[before] = after;
          next_[e] = next_[tail];
          next_[tail] = e;
          tail = e;
        }
        e = after;
      }
      first = next_[tail];
    }
  }

  /// Delivers the row of entry `first`; returns the entry behind its run.
  i32 deliver_row(i32 first, gradient_sink& sink) const {
    const i32 width = terms_.l.width;
    const i32 row = row_of(first);
    i32 behind = -1;
    for (i32 column = 0; column < width; column += most_columns) {
      const i32 wide = width - column < most_columns ? width - column : most_columns;
      float sums[most_columns] = {};
      i32 last_bag = -1;
      i32 e = first;
      for (; e >= 0 && row_of(e) == row; e = next_[e]) {
        const i32 b = bag_of(e);
        const bool again = b == last_bag && terms_.winners != nullptr;  // once a bag
        last_bag = b;
        if (!again) terms_.add(b, e, row, bags_ ? members_[b] : 1, column, sums, wide);
      }
      behind = e;
      sink.take(sums, i64{row} * width + column, wide);
    }
    return behind;
  }

  lookup_terms<T> terms_;
  i32* next_;
  i32* bag_of_;
  i32* members_;
  bool bags_ = false;
  i32 lists_ = 1;  // a power of two
  i32 heads_[most_lists];
};

/// embedding_update and embedding_bag_update.
template <class T>
void lookup_update(const call& c) {
  const float* const scaler = c.input<float>(2);
  if (scaler != nullptr && c.attr->scaling.skip == skip_rule::step &&
      scaler[ops::scaler_overflow] != 0) {
    return;
  }
  const row_lists<T> rows(c, c.output<i32>(5));
  // Never kept whole on the stack: it would have to be zero where no row occurs.
  update_with(
      c, std::numeric_limits<i64>::max(), stored_as<T>,
      [&](gradient_sink& sink) { rows.deliver(c.step->threads, sink); }, [] { return false; });
}

/// embedding_overflow_test and embedding_bag_overflow_test.
template <class T>
void lookup_overflow_test(const call& c) {
  const row_lists<T> rows(c, c.output<i32>(1));
  gradient_sink test = gradient_sink::testing(stored_as<T>);
  rows.deliver(c.step->threads, test);
  if (test.overflow()) c.output<float>(0)[ops::scaler_overflow] = 1;
}

}  // namespace tessera::host
