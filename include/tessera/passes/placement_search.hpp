#pragma once

// Placement by search: for sets of buffers that no simple order packs well. At run time only.
//
//   bytes                    Buffers are placed from the bottom up: each at the lowest address that
//     ^      +---+           what is placed already leaves free above it, none below the one before
//     |   +--+ b |           (the canonical form of a placement: every placement that works has one
//     | +-+c |---+           in which all are pushed down). What has been placed is therefore a
//     | |a+--+ d |+-+        skyline over the sections of time, and a set that is placed partly
//     +-+-+--+---++-+->      is known by it.
//             section
//
// A branch is left where
//   - a section cannot hold the rest: the lowest address at which anything of it may still begin,
//     and the sum of what it still needs, are more than the capacity;
//   - something would fit wholly below what is to be placed next: it should have come before.
// What no longer shares a section is solved apart, so that a failure in one part does not try the
// other again.
//
// The order in which buffers are tried decides. Searches of a few thousand nodes are started again
// and again with other orders: three fixed ones, then by length of life and by area with noise,
// with more weight for buffers that were in sections that failed. A search that ends by itself
// proves that nothing smaller will do.
//
// Cost: the work is counted, looks at a buffer, not seconds: the same input gives the same
// placement everywhere. 1e9 looks take about 1 s.
// Source: the canonical search, sections, dominance and restarts with several orders are those of
// Moffitt 2023, MiniMalloc; weights of what failed: Boussemart et al. 2004, dom/wdeg.

#include <tessera/core/random.hpp>
#include <tessera/passes/alive.hpp>
#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

namespace tessera::passes {

enum class search_outcome : u8 { placed, impossible, gave_up };

/// Searches placements of one set of buffers.
class placement_search {
 public:
  explicit placement_search(std::span<const buffer> buffers, u64 seed = 1)
      : count_(static_cast<i32>(buffers.size())), random_(seed) {
    for (const buffer& b : buffers) bytes_.push_back(b.bytes);
    find_sections(buffers);
    rank_.resize(buffers.size());
    blame_.assign(buffers.size(), 0);
    offsets_.assign(buffers.size(), 0);
  }

  /// Looks for a placement within `capacity` bytes until `work` is used up.
  search_outcome fit(i64 capacity, i64& work) {
    capacity_ = capacity;
    work_ = work;
    double nodes = first_nodes;
    search_outcome found = search_outcome::gave_up;
    for (i32 start = 0; found == search_outcome::gave_up && work_ > 0; ++start) {
      choose_order(start);
      nodes_ = static_cast<i64>(nodes);
      found = search();
      nodes *= more_nodes;
    }
    work = work_;
    return found;
  }

  /// Where the buffers are, after `placed`.
  const std::vector<i64>& offsets() const { return offsets_; }

 private:
  static constexpr double first_nodes = 5000;
  static constexpr double more_nodes = 1.03;  // from start to start

  static std::size_t at(i32 i) { return static_cast<std::size_t>(i); }

  struct candidate {
    i64 offset;
    i32 id;
  };
  /// A change to take back: the lowest address of a buffer or of a section as it was.
  struct change {
    i32 id;
    i64 lowest;
  };
  static constexpr i64 nowhere = i64{1} << 62;  // for what is placed, and sections without a rest

  /// The moments with most alive: those after which something dies, and something was born since
  /// the last of them. All others' sets are part of one of these.
  void find_sections(std::span<const buffer> buffers) {
    std::vector<i32> births;
    for (const buffer& b : buffers) births.push_back(b.born);
    std::vector<i32> deaths;
    for (const buffer& b : buffers) deaths.push_back(b.dies);
    std::sort(births.begin(), births.end());
    std::sort(deaths.begin(), deaths.end());
    std::vector<i32> moments;
    std::size_t born = 0;
    for (const i32 death : deaths) {
      const std::size_t before = born;
      while (born < births.size() && births[born] <= death) ++born;
      if (born > before) moments.push_back(death);
    }
    const auto section_at = [&](i32 moment) {
      return static_cast<i32>(std::lower_bound(moments.begin(), moments.end(), moment) -
                              moments.begin());
    };
    members_.resize(moments.size());
    need_.assign(moments.size(), 0);
    part_.assign(moments.size() + 1, 0);
    for (i32 i = 0; i < count_; ++i) {
      const buffer& b = buffers[at(i)];
      first_.push_back(section_at(b.born));
      last_.push_back(section_at(b.dies + 1) - 1);
      length_.push_back(b.dies - b.born + 1);
      for (i32 s = first_[at(i)]; s <= last_[at(i)]; ++s) {
        members_[at(s)].push_back(i);
        need_[at(s)] += b.bytes;
      }
    }
    neighbours_.resize(at(count_));
    std::vector<i32> seen(at(count_), -1);
    for (i32 i = 0; i < count_; ++i) {
      seen[at(i)] = i;
      for (i32 s = first_[at(i)]; s <= last_[at(i)]; ++s) {
        for (const i32 other : members_[at(s)]) {
          if (seen[at(other)] == i) continue;
          seen[at(other)] = i;
          neighbours_[at(i)].push_back(other);
        }
      }
    }
  }

  /// Ranks buffers for one search.
  void choose_order(i32 start) {
    std::vector<std::array<double, 3>> key(at(count_));
    const double most_blamed = 1 + *std::max_element(blame_.begin(), blame_.end());
    for (i32 i = 0; i < count_; ++i) {
      i64 crowd = 0;
      for (i32 s = first_[at(i)]; s <= last_[at(i)]; ++s) crowd = std::max(crowd, need_[at(s)]);
      const double total = static_cast<double>(crowd);
      const double length = length_[at(i)];
      const double area = length * static_cast<double>(bytes_[at(i)]);
      if (start == 0) {
        key[at(i)] = {total, length, area};
      } else if (start == 1) {
        key[at(i)] = {length, area, total};
      } else if (start == 2) {
        key[at(i)] = {total, area, length};
      } else {
        const double noise = 0.75 + static_cast<double>(random_.next_u32()) * 0x1p-33;
        const double blame = 1 + 2 * blame_[at(i)] / most_blamed;
        key[at(i)] = {(start % 4 == 3 ? area : length) * noise * blame, 0, 0};
      }
    }
    order_.resize(at(count_));
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](i32 a, i32 b) { return key[at(a)] > key[at(b)]; });
    for (i32 i = 0; i < count_; ++i) rank_[at(order_[at(i)])] = i;
  }

  search_outcome search() {
    rest_ = need_;
    lowest_.assign(at(count_), 0);
    begins_.assign(need_.size(), 0);
    changes_.clear();
    begin_changes_.clear();
    list_.assign(order_.begin(), order_.end());
    candidates_.clear();
    return solve_parts(0, list_.size(), 0, -1);
  }

  /// Places the buffers list_[begin..end), each part that shares no section with the others apart.
  search_outcome solve_parts(std::size_t begin, std::size_t end, i64 floor, i32 last_rank) {
    if (begin == end) return search_outcome::placed;
    // Sections that something of the list spans belong together.
    i32 low = static_cast<i32>(need_.size());
    i32 high = -1;
    for (std::size_t k = begin; k < end; ++k) {
      low = std::min(low, first_[at(list_[k])]);
      high = std::max(high, last_[at(list_[k])]);
    }
    std::fill(part_.begin() + low, part_.begin() + high + 1, 0);
    for (std::size_t k = begin; k < end; ++k) {
      ++part_[at(first_[at(list_[k])])];
      --part_[at(last_[at(list_[k])])];
    }
    i32 parts = 0;
    i32 spanning = 0;
    for (i32 s = low; s <= high; ++s) {
      spanning += part_[at(s)];
      part_[at(s)] = parts;
      if (spanning == 0) ++parts;
    }
    const i32 part_of_first = part_[at(first_[at(list_[begin])])];
    bool together = true;
    for (std::size_t k = begin; k < end && together; ++k) {
      together = part_[at(first_[at(list_[k])])] == part_of_first;
    }
    if (together) return solve(begin, end, floor, last_rank);

    // The smallest first: it fails soonest.
    struct span_of_part {
      std::size_t begin = 0;
      std::size_t end = 0;
      i32 part = 0;
    };
    std::vector<span_of_part> spans(at(parts));
    for (std::size_t k = begin; k < end; ++k) ++spans[at(part_[at(first_[at(list_[k])])])].end;
    for (i32 p = 0; p < parts; ++p) spans[at(p)].part = p;
    std::stable_sort(spans.begin(), spans.end(),
                     [](const auto& a, const auto& b) { return a.end < b.end; });
    const std::size_t copy = list_.size();
    std::vector<std::size_t> next(at(parts));
    std::size_t top = copy;
    for (span_of_part& s : spans) {
      const std::size_t size = s.end;
      s.begin = next[at(s.part)] = top;
      s.end = top += size;
    }
    list_.resize(top);
    for (std::size_t k = begin; k < end; ++k) {
      list_[next[at(part_[at(first_[at(list_[k])])])]++] = list_[k];
    }
    search_outcome found = search_outcome::placed;
    std::size_t solved = copy;  // what lies in the list up to here is placed
    for (const span_of_part& s : spans) {
      if (s.begin == s.end) continue;
      found = solve(s.begin, s.end, floor, last_rank);
      if (found != search_outcome::placed) break;
      solved = s.end;
    }
    if (found != search_outcome::placed) {
      for (std::size_t k = copy; k < solved; ++k) take_up(list_[k]);
    }
    list_.resize(copy);
    return found;
  }

  /// True where the buffers of a part may still fit above `floor`.
  bool may_fit(std::size_t begin, std::size_t end, i64 floor, i64& lowest_top) {
    i32 low = static_cast<i32>(need_.size());
    i32 high = -1;
    for (std::size_t k = begin; k < end; ++k) {
      const i32 i = list_[k];
      const i64 top = lowest_[at(i)] + bytes_[at(i)];
      lowest_top = std::min(lowest_top, top);
      if (top > capacity_) {
        ++blame_[at(i)];
        return false;
      }
      low = std::min(low, first_[at(i)]);
      high = std::max(high, last_[at(i)]);
    }
    work_ -= static_cast<i64>(end - begin) + high - low;
    if (lowest_top <= floor) return false;  // it fits wholly below: elsewhere it is placed there
    for (i32 s = low; s <= high; ++s) {
      if (std::max(begins_[at(s)], floor) + rest_[at(s)] <= capacity_ || rest_[at(s)] == 0)
        continue;
      for (const i32 i : members_[at(s)]) blame_[at(i)] += lowest_[at(i)] != nowhere ? 1 : 0;
      return false;
    }
    return true;
  }

  search_outcome solve(std::size_t begin, std::size_t end, i64 floor, i32 last_rank) {
    if (nodes_-- <= 0 || work_ <= 0) return search_outcome::gave_up;
    i64 lowest_top = capacity_ + 1;
    if (!may_fit(begin, end, floor, lowest_top)) return search_outcome::impossible;
    // What may come next, the lowest first. Of two at one address the one of lower rank comes
    // first.
    const std::size_t first = candidates_.size();
    for (std::size_t k = begin; k < end; ++k) {
      const i32 i = list_[k];
      const i64 offset = lowest_[at(i)];
      if (offset < floor || offset >= lowest_top) continue;
      if (offset == floor && rank_[at(i)] < last_rank) continue;
      candidates_.push_back({offset, i});
    }
    std::sort(candidates_.begin() + static_cast<std::ptrdiff_t>(first), candidates_.end(),
              [&](const candidate& a, const candidate& b) {
                return a.offset != b.offset ? a.offset < b.offset
                                            : rank_[at(a.id)] < rank_[at(b.id)];
              });
    const std::size_t behind = candidates_.size();
    search_outcome found = search_outcome::impossible;
    for (std::size_t c = first; c < behind; ++c) {
      const candidate next = candidates_[c];
      const std::size_t mark = changes_.size();
      const std::size_t begin_mark = begin_changes_.size();
      put_down(next);
      const std::size_t rest = list_.size();
      for (std::size_t k = begin; k < end; ++k) {
        if (list_[k] != next.id) list_.push_back(list_[k]);
      }
      found = solve_parts(rest, list_.size(), next.offset, rank_[at(next.id)]);
      list_.resize(rest);
      if (found == search_outcome::placed) break;
      take_back(changes_, mark, lowest_);
      take_back(begin_changes_, begin_mark, begins_);
      take_up(next.id);
      if (found == search_outcome::gave_up) break;
    }
    candidates_.resize(first);
    return found;
  }

  void put_down(const candidate& c) {
    offsets_[at(c.id)] = c.offset;
    i32 low = first_[at(c.id)];
    i32 high = last_[at(c.id)];
    for (i32 s = low; s <= high; ++s) rest_[at(s)] -= bytes_[at(c.id)];
    changes_.push_back({c.id, lowest_[at(c.id)]});
    lowest_[at(c.id)] = nowhere;
    const i64 top = c.offset + bytes_[at(c.id)];
    for (const i32 other : neighbours_[at(c.id)]) {
      if (lowest_[at(other)] >= top) continue;
      changes_.push_back({other, lowest_[at(other)]});
      lowest_[at(other)] = top;
      low = std::min(low, first_[at(other)]);
      high = std::max(high, last_[at(other)]);
    }
    work_ -= static_cast<i64>(neighbours_[at(c.id)].size());
    for (i32 s = low; s <= high; ++s) {
      i64 begins = nowhere;
      for (const i32 i : members_[at(s)]) begins = std::min(begins, lowest_[at(i)]);
      work_ -= static_cast<i64>(members_[at(s)].size());
      if (begins == begins_[at(s)]) continue;
      begin_changes_.push_back({s, begins_[at(s)]});
      begins_[at(s)] = begins;
    }
  }

  static void take_back(std::vector<change>& changes, std::size_t mark, std::vector<i64>& of) {
    for (; changes.size() > mark; changes.pop_back()) {
      of[at(changes.back().id)] = changes.back().lowest;
    }
  }

  void take_up(i32 id) {
    for (i32 s = first_[at(id)]; s <= last_[at(id)]; ++s) rest_[at(s)] += bytes_[at(id)];
  }

  i32 count_;
  random_stream random_;
  std::vector<i64> bytes_;
  std::vector<i32> length_;  // of life, in moments
  std::vector<i32> first_;   // section
  std::vector<i32> last_;
  std::vector<std::vector<i32>> members_;     // of sections
  std::vector<i64> need_;                     // bytes alive in a section
  std::vector<std::vector<i32>> neighbours_;  // of buffers: those that share a section

  i64 capacity_ = 0;
  i64 work_ = 0;
  i64 nodes_ = 0;
  std::vector<i32> order_;
  std::vector<i32> rank_;
  std::vector<double> blame_;  // how often a buffer was in a section that could not hold the rest

  std::vector<i64> offsets_;
  std::vector<i64> rest_;    // bytes of a section that are not placed
  std::vector<i64> lowest_;  // address at which a buffer can begin
  std::vector<i64> begins_;  // and the first buffer of a section
  std::vector<i32> part_;    // of a section, scratch
  std::vector<i32> list_;    // stack of lists of buffers
  std::vector<candidate> candidates_;
  std::vector<change> changes_;        // of lowest_
  std::vector<change> begin_changes_;  // of begins_
};

}  // namespace tessera::passes
