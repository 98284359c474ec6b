#include <tessera/passes/place.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <support/placements.hpp>

#include <tessera/passes/buffer_table.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::passes;
using namespace tessera::testing;

TEST_CASE("Placed buffers never overlap and reach no lower than the best of all orders",
          "[passes]") {
  random_stream random(2024);
  int sets = 0;
  int best = 0;
  double worst = 1;
  for (; sets < 1500; ++sets) {
    std::vector<buffer> buffers =
        sets % 2 == 0 ? tight_buffers(random, 7) : random_buffers(random, 7, 10, 9, 10);
    const i64 least = best_of_all_orders(buffers).bytes();
    const i64 bound = lower_bound(buffers.data(), static_cast<i32>(buffers.size()));
    const i64 arena = place(buffers.data(), static_cast<i32>(buffers.size()));
    if (bound != most_alive(buffers) || arena != end_of(buffers) || any_overlap(buffers) ||
        least < bound || arena < least) {
      FAIL("set " << sets << ": bound " << bound << ", least " << least << ", arena " << arena);
    }
    best += arena == least ? 1 : 0;
    worst = std::max(worst, static_cast<double>(arena) / static_cast<double>(least));
  }
  INFO(best << " of " << sets << " at the least arena, worst ratio " << worst);
  CHECK(best >= sets * 998 / 1000);
  CHECK(worst <= 1.25);  // 5 units in place of 4
}

TEST_CASE("Large random sets of buffers are placed without overlap", "[passes]") {
  random_stream random(77);
  for (int set = 0; set < 60; ++set) {
    std::vector<buffer> buffers = random_buffers(random, 300, 120, 4000, 120);
    const i64 arena = place(buffers.data(), static_cast<i32>(buffers.size()));
    CHECK_FALSE(any_overlap(buffers));
    CHECK(arena == end_of(buffers));
    CHECK(arena >= most_alive(buffers));
  }
}

TEST_CASE("Each single try gives a placement without overlap", "[passes]") {
  random_stream random(5);
  i32 made = 0;
  for (int set = 0; set < 300; ++set) {
    std::vector<buffer> buffers = random_buffers(random, 60, 30, 50, 30);
    placement_tries tries;
    while (tries.done < placement_tries::most) {
      const i64 arena = try_placement(tries, buffers.data(), static_cast<i32>(buffers.size()));
      if (arena < 0) continue;  // nothing new to do
      ++made;
      CHECK_FALSE(any_overlap(buffers));
      CHECK(arena == end_of(buffers));
    }
  }
  CHECK(made > 1500);  // repairs among them
}

TEST_CASE("Any buffers can be placed early", "[passes]") {
  random_stream random(8);
  for (int set = 0; set < 500; ++set) {
    std::vector<buffer> buffers = random_buffers(random, 40, 30, 20, 30);
    const auto count = static_cast<i32>(buffers.size());
    const i64 bound = most_alive(buffers);
    // Those of the fullest moment, the first with as many bytes, are placed before anyhow.
    i32 fullest = 0;
    const grow<i64> alive = bytes_alive(buffers.data(), count);
    while (alive[fullest] != bound) ++fullest;
    early_buffers early;
    for (i32 i = 0; i < count && early.count < early_buffers::most; ++i) {
      const buffer& b = buffers[static_cast<std::size_t>(i)];
      if ((b.dies < fullest || fullest < b.born) && random.next_below(3) == 0) {
        early.ids[early.count++] = i;
      }
    }
    for (const stacking how : {stacking::by_birth, stacking::by_death}) {
      const outward_placement made = place_outward(buffers.data(), count, how, early);
      CHECK_FALSE(any_overlap(buffers));
      CHECK(made.arena_bytes == end_of(buffers));
      CHECK((made.without_room < 0) == (made.arena_bytes == bound));
    }
  }
}

TEST_CASE("A buffer leans on what lives on after it", "[passes]") {
  //  bytes
  //  512   +---+ +-----+        step 1 is the fullest moment, stacked by birth and death: a, c, b.
  //        | b | |  d  |        d outlives c and leans on the bound instead, e leans on c: when
  //  256   +---+-+e+---+--+     both c and e have died, f fits exactly.
  //        |  c    |    f |
  //  128   +-------+------+
  //        |  a           |
  //    0   +--------------+
  //  step   1  2  3  4  5
  constexpr auto offsets = [] {
    std::array<buffer, 6> b{};
    b[0] = {0, 128, 1, 5, -1};
    b[1] = {1, 256, 1, 2, -1};
    b[2] = {2, 128, 1, 3, -1};
    b[3] = {3, 64, 3, 4, -1};
    b[4] = {4, 64, 3, 3, -1};
    b[5] = {5, 320, 4, 5, -1};
    place_outward(b.data(), 6, stacking::by_birth);
    std::array<i64, 6> all{};
    for (std::size_t i = 0; i < 6; ++i) all[i] = b[i].offset;
    return all;
  }();
  STATIC_REQUIRE(offsets == std::array<i64, 6>{0, 256, 128, 448, 256, 128});
}

TEST_CASE("A gap that is exactly large enough is used", "[passes]") {
  //  step   0 1 2 3
  //  b 128  [=====]      at 0: dies last
  //  a 256  [===]        at 128
  //  c 128      [=]      in a's place
  constexpr auto placed = [] {
    buffer b[3];
    b[0] = {0, 256, 0, 1, -1};
    b[1] = {1, 128, 0, 3, -1};
    b[2] = {2, 128, 2, 3, -1};
    const i64 arena = passes::place(b, 3);
    return std::pair<i64, i64>(arena, b[2].offset);
  }();
  STATIC_REQUIRE(placed.first == 384);
  STATIC_REQUIRE(placed.second == 128);
}

TEST_CASE("No buffers need no bytes", "[passes]") {
  CHECK(place(nullptr, 0) == 0);
  CHECK(lower_bound(nullptr, 0) == 0);
}

TEST_CASE("Training steps of known networks are placed at their lower bound", "[passes]") {
  int instances = 0;
  int at_bound = 0;
  double worst = 1;
  std::string missed;
  for (const auto& entry : std::filesystem::directory_iterator(data_file("memory"))) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".csv" || name.starts_with("minimalloc")) continue;
    std::vector<buffer> buffers = read_buffer_table(entry.path()).buffers;
    REQUIRE(buffers.size() > 10);
    const i64 bound = most_alive(buffers);
    const i64 arena = place(buffers.data(), static_cast<i32>(buffers.size()));
    CHECK_FALSE(any_overlap(buffers));
    CHECK(arena == end_of(buffers));
    ++instances;
    at_bound += arena == bound ? 1 : 0;
    if (arena != bound) missed += name + " ";
    worst = std::max(worst, static_cast<double>(arena) / static_cast<double>(bound));
  }
  INFO(at_bound << " of " << instances << " at the bound, worst ratio " << worst << ", missed "
                << missed);
  CHECK(instances == 48);
  CHECK(at_bound == instances);
}

}  // namespace
