#pragma once

// Placement at run time, as low as the work allowed reaches: the tries of place(), then searches
// for ever smaller arenas.
//
//   bound              ?           what the tries reached
//     |<-------- half ------>|     found: the next goes for half of what is left
//     |<-- 3/4 -->|                not found: the next asks for less
//
// First the bound itself is tried, or the capacity at which to stop. A search that ends without
// work having run out proves that there is nothing at or below its capacity.

#include <tessera/passes/place.hpp>
#include <tessera/passes/placement_search.hpp>

namespace tessera::passes {

struct search_options {
  i64 capacity = 0;          // a placement within these bytes is good enough; 0: the lower bound
  i64 work = 6'000'000'000;  // looks at a buffer, about 1e9 a second
  u64 seed = 1;
};

struct searched_placement {
  i64 arena_bytes = 0;
  i64 least_bytes = 0;  // no placement needs less, as far as is known; the lower bound at first
};

namespace detail {

/// Beyond this many buffers, or pairs that meet, nothing is searched.
inline constexpr i32 most_searched = 4000;

/// Searches from a placement at hand.
class descent {
 public:
  descent(std::vector<buffer>& buffers, const search_options& o, searched_placement start)
      : buffers_(buffers), search_(buffers, o.seed), result_(start), left_(o.work) {
    for (const buffer& b : buffers_) unit_ = std::gcd(unit_, b.bytes);
    good_enough_ = std::max(o.capacity, start.least_bytes);
    slice_ = std::max<i64>(o.work / 8, 1);
  }

  searched_placement run() {
    attempt(good_enough_);
    for (i64 slice = slice_ / 32; goes_on(); slice *= 2) {
      slice_ = std::max<i64>(slice, 1);
      for (i32 halvings = 1; halvings < 10 && goes_on();) {
        const i64 from = std::max(good_enough_, result_.least_bytes);
        const i64 step = std::max((result_.arena_bytes - from) >> halvings, unit_);
        if (!attempt(result_.arena_bytes - step)) ++halvings;
        if (step == unit_) break;
      }
    }
    return result_;
  }

 private:
  bool goes_on() const {
    return left_ > 0 && result_.arena_bytes > std::max(good_enough_, result_.least_bytes);
  }

  bool attempt(i64 capacity) {
    capacity -= capacity % unit_;
    i64 work = std::min(slice_, left_);
    left_ -= work;
    const search_outcome found = search_.fit(capacity, work);
    left_ += std::max<i64>(work, 0);
    if (found == search_outcome::impossible) result_.least_bytes = capacity + unit_;
    if (found != search_outcome::placed) return false;
    result_.arena_bytes = 0;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      buffers_[i].offset = search_.offsets()[i];
      result_.arena_bytes = std::max(result_.arena_bytes, buffers_[i].offset + buffers_[i].bytes);
    }
    return true;
  }

  std::vector<buffer>& buffers_;
  placement_search search_;
  searched_placement result_;
  i64 unit_ = 0;  // every offset is a multiple of it
  i64 good_enough_ = 0;
  i64 slice_ = 0;
  i64 left_ = 0;
};

}  // namespace detail

/// Sets the offsets of all buffers; all have 0 bytes or more.
inline searched_placement search_placement(std::span<buffer> all, const search_options& o = {}) {
  const auto count = static_cast<i32>(all.size());
  searched_placement result;
  result.least_bytes = lower_bound(all.data(), count);
  result.arena_bytes = place(all.data(), count);
  const i64 enough = std::max(o.capacity, result.least_bytes);
  std::vector<buffer> kept;  // those with bytes; the others are anywhere
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].bytes == 0) continue;
    kept.push_back(all[i]);
    numbers.push_back(i);
  }
  const auto keep = [&] {
    for (std::size_t k = 0; k < kept.size(); ++k) all[numbers[k]].offset = kept[k].offset;
  };
  const auto kept_count = static_cast<i32>(kept.size());
  for (i32 order = 0; order < placement_orders && result.arena_bytes > enough; ++order) {
    if (count <= buffers_in_order || count > 5 * detail::most_searched) break;
    const i64 arena = place_in_order(kept.data(), kept_count, static_cast<placement_order>(order));
    if (arena >= result.arena_bytes) continue;
    result.arena_bytes = arena;
    keep();
  }
  if (result.arena_bytes <= enough || kept_count > detail::most_searched) return result;
  for (std::size_t k = 0; k < kept.size(); ++k) kept[k].offset = all[numbers[k]].offset;
  const searched_placement found = detail::descent(kept, o, result).run();
  if (found.arena_bytes < result.arena_bytes) keep();
  return found;
}

}  // namespace tessera::passes
