#pragma once

// Sets of buffers to place, and what is true of placements, found out the slow way.

#include <tessera/core/random.hpp>
#include <tessera/ir/memory.hpp>

#include <algorithm>
#include <vector>

namespace tessera::testing {

/// The least arena there is. Every best placement can be had by placing its buffers, lowest first,
/// as low as they go; so all orders are tried, and those that cannot win are left early.
class best_of_all_orders {
 public:
  explicit best_of_all_orders(const std::vector<buffer>& buffers)
      : buffers_(buffers), placed_(buffers.size(), false) {
    for (const buffer& b : buffers_) best_ += b.bytes;
    try_all(0, 0);
  }
  i64 bytes() const { return best_; }

 private:
  void try_all(std::size_t done, i64 arena) {
    if (arena >= best_) return;
    if (done == buffers_.size()) {
      best_ = arena;
      return;
    }
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      if (placed_[i]) continue;
      buffers_[i].offset = lowest(i);
      placed_[i] = true;
      try_all(done + 1, std::max(arena, buffers_[i].offset + buffers_[i].bytes));
      placed_[i] = false;
    }
  }

  i64 lowest(std::size_t i) const {
    i64 offset = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t k = 0; k < buffers_.size(); ++k) {
        const buffer& b = buffers_[k];
        const bool both_alive = !(b.dies < buffers_[i].born || buffers_[i].dies < b.born);
        if (!placed_[k] || !both_alive) continue;
        if (offset < b.offset + b.bytes && b.offset < offset + buffers_[i].bytes) {
          offset = b.offset + b.bytes;
          moved = true;
        }
      }
    }
    return offset;
  }

  std::vector<buffer> buffers_;
  std::vector<bool> placed_;
  i64 best_ = 0;
};

/// Most bytes alive at any step, counted step by step.
inline i64 most_alive(const std::vector<buffer>& buffers) {
  i32 end = 0;
  for (const buffer& b : buffers) end = std::max(end, b.dies);
  i64 most = 0;
  for (i32 t = 0; t <= end; ++t) {
    i64 alive = 0;
    for (const buffer& b : buffers) alive += b.born <= t && t <= b.dies ? b.bytes : 0;
    most = std::max(most, alive);
  }
  return most;
}

inline bool any_overlap(const std::vector<buffer>& buffers) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const buffer& a = buffers[i];
      const buffer& b = buffers[k];
      const bool time = std::max(a.born, b.born) <= std::min(a.dies, b.dies);
      const bool space =
          std::max(a.offset, b.offset) < std::min(a.offset + a.bytes, b.offset + b.bytes);
      if (time && space) return true;
    }
  }
  return false;
}

inline i64 end_of(const std::vector<buffer>& buffers) {
  i64 end = 0;
  for (const buffer& b : buffers) end = std::max(end, b.offset + b.bytes);
  return end;
}

/// Up to `most` buffers that are born in the first `steps` moments and live up to `longest`.
inline std::vector<buffer> random_buffers(random_stream& random, u32 most, u32 steps, u32 sizes,
                                          u32 longest) {
  std::vector<buffer> buffers(1 + random.next_below(most));
  for (buffer& b : buffers) {
    b.bytes = 64 * (1 + random.next_below(sizes));
    b.born = static_cast<i32>(random.next_below(steps));
    b.dies = b.born + static_cast<i32>(random.next_below(longest));
  }
  return buffers;
}

/// Up to `most` buffers that together fill most moments to the same height: those for which the
/// lower bound is hard to reach, and now and then out of reach.
inline std::vector<buffer> tight_buffers(random_stream& random, u32 most) {
  const u32 steps = 4 + random.next_below(6);
  std::vector<i64> left(steps, 3 + random.next_below(5));
  std::vector<buffer> buffers;
  for (int attempt = 0; attempt < 60 && buffers.size() < most; ++attempt) {
    buffer b;
    b.born = static_cast<i32>(random.next_below(steps));
    b.dies = std::min(static_cast<i32>(steps) - 1, b.born + static_cast<i32>(random.next_below(5)));
    b.bytes = 1 + random.next_below(3);
    const auto from = left.begin() + b.born;
    const auto to = left.begin() + b.dies + 1;
    if (*std::min_element(from, to) < b.bytes) continue;
    for (auto at = from; at != to; ++at) *at -= b.bytes;
    buffers.push_back(b);
  }
  return buffers;
}

}  // namespace tessera::testing
