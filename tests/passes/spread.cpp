#include <tessera/passes/spread.hpp>

#include <support/catch.hpp>
#include <support/placements.hpp>

#include <algorithm>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::passes;
using namespace tessera::testing;

std::vector<i64> random_traffic(random_stream& random, const std::vector<buffer>& buffers) {
  std::vector<i64> traffic;
  for (const buffer& b : buffers) traffic.push_back((1 + random.next_below(6)) * b.bytes);
  return traffic;
}

std::vector<buffer> in_pool(const std::vector<buffer>& buffers, i32 pool) {
  std::vector<buffer> some;
  for (const buffer& b : buffers) {
    if (b.pool == pool) some.push_back(b);
  }
  return some;
}

/// The most traffic that a pool can keep: all sets of buffers are tried.
i64 best_traffic(const std::vector<buffer>& buffers, const std::vector<i64>& traffic, i64 room) {
  i64 best = 0;
  for (u32 set = 1; set < 1u << buffers.size(); ++set) {
    std::vector<buffer> some;
    i64 kept = 0;
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      if ((set >> i & 1) == 0) continue;
      some.push_back(buffers[i]);
      kept += traffic[i];
    }
    if (kept > best && most_alive(some) <= room && best_of_all_orders(some).bytes() <= room) {
      best = kept;
    }
  }
  return best;
}

TEST_CASE("A fast memory keeps almost as much traffic as the best choice of buffers", "[passes]") {
  random_stream random(5);
  double share = 0;
  i32 steps = 0;
  for (i32 i = 0; i < 100; ++i) {
    std::vector<buffer> buffers = random_buffers(random, 7, 8, 6, 6);
    const std::vector<i64> traffic = random_traffic(random, buffers);
    const i64 room = most_alive(buffers) * (20 + random.next_below(70)) / 6400 * 64;
    const memory_pool pools[] = {{0, 10}, {room, 1}};
    const auto count = static_cast<i32>(buffers.size());
    const pool_traffic to = spread(buffers.data(), count, traffic.data(), pools, 2);
    CHECK(end_of(in_pool(buffers, 1)) <= room);
    const i64 best = best_traffic(buffers, traffic, room);
    CHECK(to.bytes[1] <= best);
    CHECK(to.cost == 10 * to.bytes[0] + to.bytes[1]);
    if (best == 0) continue;
    share += static_cast<double>(to.bytes[1]) / static_cast<double>(best);
    ++steps;
  }
  CHECK(steps > 60);
  CHECK(share > 0.98 * steps);
}

TEST_CASE("Buffers of a step are shared out over three memories", "[passes]") {
  random_stream random(9);
  i64 slow_traffic = 0;
  i64 all_traffic = 0;
  for (i32 i = 0; i < 100; ++i) {
    std::vector<buffer> buffers = random_buffers(random, 120, 60, 50, 20);
    const std::vector<i64> traffic = random_traffic(random, buffers);
    const i64 most = most_alive(buffers);
    const memory_pool pools[] = {{0, 100}, {most / 128 * 64, 10}, {most / 640 * 64, 1}};
    const auto count = static_cast<i32>(buffers.size());
    const pool_traffic to = spread(buffers.data(), count, traffic.data(), pools, 3);
    i64 cost = 0;
    i64 all = 0;
    for (std::size_t b = 0; b < buffers.size(); ++b) {
      cost += traffic[b] * pools[buffers[b].pool].cost;
      all += traffic[b];
    }
    CHECK(to.cost == cost);
    CHECK(to.bytes[0] + to.bytes[1] + to.bytes[2] == all);
    for (const i32 pool : {0, 1, 2}) {
      CHECK_FALSE(any_overlap(in_pool(buffers, pool)));
      if (pool > 0) CHECK(end_of(in_pool(buffers, pool)) <= pools[pool].bytes);
    }
    slow_traffic += to.bytes[0];
    all_traffic += all;
  }
  // The fast memories hold 60 % of what is alive at most, and more of the traffic.
  CHECK(slow_traffic * 4 < all_traffic);
}

TEST_CASE("A memory with room for all takes all, and one without any takes nothing", "[passes]") {
  random_stream random(2);
  std::vector<buffer> buffers = random_buffers(random, 30, 20, 10, 8);
  std::vector<buffer> alone = buffers;
  const auto count = static_cast<i32>(buffers.size());
  const std::vector<i64> traffic = random_traffic(random, buffers);
  const i64 arena = place(alone.data(), count);
  const memory_pool wide[] = {{0, 2}, {arena, 1}};
  CHECK(spread(buffers.data(), count, traffic.data(), wide, 2).bytes[0] == 0);
  const memory_pool none[] = {{0, 2}, {0, 1}};
  CHECK(spread(buffers.data(), count, traffic.data(), none, 2).bytes[1] == 0);
  CHECK(end_of(buffers) == arena);
}

}  // namespace
