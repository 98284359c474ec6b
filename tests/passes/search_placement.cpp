#include <tessera/passes/search_placement.hpp>

#include <support/catch.hpp>
#include <support/paths.hpp>
#include <support/placements.hpp>

#include <tessera/passes/buffer_table.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace tessera;
using namespace tessera::passes;
using namespace tessera::testing;

TEST_CASE("A search finds the least arena there is and proves it", "[passes]") {
  random_stream random(31);
  for (int set = 0; set < 600; ++set) {
    std::vector<buffer> buffers =
        set % 2 == 0 ? tight_buffers(random, 7) : random_buffers(random, 7, 10, 9, 10);
    const i64 least = best_of_all_orders(buffers).bytes();
    const searched_placement placed = search_placement(buffers);
    if (placed.arena_bytes != least || placed.least_bytes != least ||
        placed.arena_bytes != end_of(buffers) || any_overlap(buffers)) {
      FAIL("set " << set << ": least " << least << ", arena " << placed.arena_bytes
                  << ", no less than " << placed.least_bytes);
    }
  }
}

TEST_CASE("A search alone agrees with all orders on what fits", "[passes]") {
  random_stream random(32);
  for (int set = 0; set < 300; ++set) {
    std::vector<buffer> buffers = tight_buffers(random, 7);
    const i64 least = best_of_all_orders(buffers).bytes();
    placement_search search(buffers);
    i64 work = 10'000'000;
    REQUIRE(search.fit(least, work) == search_outcome::placed);
    for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i].offset = search.offsets()[i];
    CHECK_FALSE(any_overlap(buffers));
    CHECK(end_of(buffers) == least);
    REQUIRE(search.fit(least - 1, work) == search_outcome::impossible);
    CHECK(work > 0);
  }
}

TEST_CASE("Where the bound is out of reach the search says so", "[passes]") {
  // bytes, born, dies: at most 5 bytes are alive at once, and 6 are needed.
  const i64 sets[7][3] = {{1, 4, 7}, {3, 7, 8}, {2, 8, 8}, {3, 1, 4},
                          {2, 0, 2}, {1, 3, 6}, {1, 5, 7}};
  std::vector<buffer> buffers;
  for (const auto& [bytes, born, dies] : sets) {
    buffers.push_back({0, bytes, static_cast<i32>(born), static_cast<i32>(dies), 0});
  }
  REQUIRE(most_alive(buffers) == 5);
  REQUIRE(best_of_all_orders(buffers).bytes() == 6);
  const searched_placement placed = search_placement(buffers);
  CHECK(placed.arena_bytes == 6);
  CHECK(placed.least_bytes == 6);
}

TEST_CASE("A search improves what the tries leave", "[passes]") {
  random_stream random(33);
  int better = 0;
  for (int set = 0; set < 60; ++set) {
    std::vector<buffer> buffers = random_buffers(random, 120, 20, 40, 10);
    std::vector<buffer> tried = buffers;
    const i64 arena = place(tried.data(), static_cast<i32>(tried.size()));
    const searched_placement placed = search_placement(buffers, {.work = 5'000'000});
    CHECK_FALSE(any_overlap(buffers));
    CHECK(placed.arena_bytes == end_of(buffers));
    CHECK(placed.arena_bytes <= arena);
    CHECK(placed.least_bytes <= placed.arena_bytes);
    better += placed.arena_bytes < arena ? 1 : 0;
  }
  CHECK(better >= 3);
}

TEST_CASE("The same search gives the same placement", "[passes]") {
  random_stream random(34);
  std::vector<buffer> first = random_buffers(random, 90, 40, 300, 10);
  std::vector<buffer> second = first;
  search_placement(first, {.work = 5'000'000, .seed = 9});
  search_placement(second, {.work = 5'000'000, .seed = 9});
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(first[i].offset == second[i].offset);
}

TEST_CASE("A search stops at the capacity asked for", "[passes]") {
  random_stream random(35);
  std::vector<buffer> buffers = random_buffers(random, 300, 60, 300, 60);
  const i64 bound = most_alive(buffers);
  const searched_placement placed = search_placement(buffers, {.capacity = 2 * bound});
  CHECK(placed.arena_bytes <= 2 * bound);
  CHECK_FALSE(any_overlap(buffers));
}

TEST_CASE("Buffers without bytes, and none at all, are placed", "[passes]") {
  std::vector<buffer> none;
  CHECK(search_placement(none).arena_bytes == 0);
  std::vector<buffer> buffers(3);
  for (buffer& b : buffers) b.dies = 4;
  buffers[1].bytes = 64;
  CHECK(search_placement(buffers).arena_bytes == 64);
}

TEST_CASE("Training steps need no search", "[passes]") {
  int instances = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_file("memory"))) {
    if (entry.path().extension() != ".csv") continue;
    std::vector<buffer> buffers = read_buffer_table(entry.path()).buffers;
    const searched_placement placed = search_placement(buffers, {.work = 0});
    CHECK(placed.arena_bytes == most_alive(buffers));
    ++instances;
  }
  CHECK(instances == 48);
}

TEST_CASE("The hard instances of MiniMalloc fit 1 MiB", "[passes]") {
  const char* const reference = std::getenv("TESSERA_REFERENCE");
  const std::filesystem::path folder = std::filesystem::path(reference ? reference : "") / "memory";
  if (reference == nullptr || !std::filesystem::is_directory(folder)) {
    WARN("left out: no folder memory in $TESSERA_REFERENCE, where minimalloc.A.csv would be");
    return;
  }
  for (const char* const name : {"A", "C", "D", "F", "H", "J"}) {
    const std::filesystem::path path = folder / ("minimalloc." + std::string(name) + ".csv");
    if (!std::filesystem::exists(path)) {
      WARN("left out: no file " << path.string());
      continue;
    }
    std::vector<buffer> buffers = read_buffer_table(path).buffers;
    const searched_placement placed = search_placement(buffers, {.capacity = 1 << 20, .seed = 2});
    INFO(name << ": " << placed.arena_bytes);
    CHECK(placed.arena_bytes <= 1 << 20);
    CHECK(placed.arena_bytes == end_of(buffers));
    CHECK_FALSE(any_overlap(buffers));
  }
}

}  // namespace
