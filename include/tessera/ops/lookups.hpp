#pragma once

// The entries of an embedding or a bag, as all backends see them in a call of a gradient or update.
//
//   entry     which of the indices, bag by bag; of an embedding every index is a bag of its own
//   row       of the table, -1 where the entry is not in its bag: padding, or no row
//   element   of dy: column w of bag b lies at element(b) + w step()

#include <tessera/ir/call.hpp>
#include <tessera/ops/sizes.hpp>

namespace tessera::ops {

/// Entries [begin, end) of a bag.
struct bag_range {
  i32 begin = 0;
  i32 end = 0;
};

struct lookups {
  i32 bags = 0;
  i32 positions = 1;  // of every bag, where there are no offsets
  i32 entries = 0;
  i32 rows = 0;
  i32 width = 0;
  i32 batch = 1;  // bags that lie side by side where samples are innermost
  bool positions_first = false;
  bool last = false;
  i32 padding = -1;
  bag_mode mode = bag_mode::sum;
  const i32* indices = nullptr;
  const i32* offsets = nullptr;

  explicit lookups(const call& c)
      : last(c.sizes->batch_last), padding(c.attr->padding_index), indices(c.input<i32>(0)) {
    if (is_bag(c.sizes->what)) {
      const auto n = bag_sizes::of(*c.sizes);
      bags = batch = n.bags;
      positions = n.positions;
      entries = n.entries(*c.sizes);
      rows = n.rows;
      width = n.width;
      positions_first = n.positions_first != 0;
      mode = c.attr->bag;
      if (c.sizes->has_input(4)) offsets = c.input<i32>(4);
    } else {
      const auto n = embedding_sizes::of(*c.sizes);
      bags = entries = n.indices();
      batch = n.batch;
      rows = n.rows;
      width = n.width;
    }
  }

  /// Where entry `e` of bag `b` lies among the indices, and its weight.
  i64 place(i32 b, i32 e) const { return positions_first ? i64{e - b * positions} * bags + b : e; }
  i32 row(i32 b, i32 e) const {
    const i32 index = indices[place(b, e)];
    return index >= 0 && index < rows && index != padding ? index : -1;
  }
  i64 element(i32 b) const {
    return last ? i64{b / batch} * batch * width + b % batch : i64{b} * width;
  }
  i64 step() const { return last ? batch : 1; }

  /// visit(bag, entries) for bags [first, last_bag), in order.
  template <class Visit>
  void for_bags(i32 first, i32 last_bag, const Visit& visit) const {
    if (offsets == nullptr) {
      for (i32 b = first; b < last_bag; ++b) {
        visit(b, bag_range{b * positions, (b + 1) * positions});
      }
      return;
    }
    const auto within = [&](i32 offset, i32 least) {
      return offset < least ? least : offset > entries ? entries : offset;
    };
    i32 begin = 0;
    for (i32 b = 0; b < last_bag && b < bags; ++b) {
      begin = within(offsets[b], begin);
      if (b < first) continue;
      visit(b, bag_range{begin, b + 1 < bags ? within(offsets[b + 1], begin) : entries});
    }
  }

  /// How many of a bag's entries are in it; at least 1.
  i32 count(i32 b, const bag_range& range) const {
    i32 n = 0;
    for (i32 e = range.begin; e < range.end; ++e) n += row(b, e) >= 0 ? 1 : 0;
    return n > 0 ? n : 1;
  }
};

}  // namespace tessera::ops
