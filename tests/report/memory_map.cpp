#include <tessera/report/memory_map.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/well_formed.hpp>

#include <tessera/network/job.hpp>
#include <tessera/report/json.hpp>
#include <tessera/report/memory_picture.hpp>
#include <tessera/report/memory_table.hpp>

#include <sstream>
#include <string>
#include <vector>

using namespace tessera;
using namespace tessera::testing;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

template <class Write>
std::string written(const Write& write) {
  std::ostringstream out;
  write(out);
  return out.str();
}

const mapped_tensor& called(const memory_map& map, const std::string& name) {
  for (const mapped_tensor& t : map.tensors) {
    if (t.name == name) return t;
  }
  FAIL("no tensor " << name);
  return map.tensors[0];
}

std::vector<graph> pictured_steps() {
  std::vector<graph> all;
  all.push_back(step_of<pictured_lenet>());
  all.push_back(step_of<pictured_repeat>());
  all.push_back(recurrent_step(7));
  all.push_back(large_step());
  return all;
}

}  // namespace

TEST_CASE("a map says of a job what its plan is", "[report]") {
  using job = training<pictured_lenet, softmax_cross_entropy, momentum_sgd, batch<4>>;
  const memory_map map = map_memory<job>();
  CHECK(map.memory.arena_bytes == job::memory.arena_bytes);
  CHECK(map.operations.size() == static_cast<std::size_t>(job::operation_count));
  for (const mapped_tensor& t : map.tensors) {
    const placed_tensor row = job::placement(t.id);
    CHECK(t.offset == row.at.offset);
    CHECK(t.bytes == row.bytes);
    CHECK(t.name == spell(row.name).view());
  }
  CHECK(spell_why(map, called(map, "tanh1.out")) == "in place of conv1.out");
  CHECK(spell_why(map, called(map, "loss.gradient")) == "in place of dense3.out");
  CHECK(spell_why(map, called(map, "conv1.out")) == "");
  CHECK(called(map, "max_pool1.index").type == element::uint8);
}

TEST_CASE("a map says what is recomputed", "[report]") {
  using small = network<image<2, 16, 16>, conv<8, 3, pad<1>>, batch_norm, relu, conv<8, 3, pad<1>>,
                        batch_norm, relu, flatten, dense<4>>;
  graph g = make_forward<small, softmax_cross_entropy>(2, purpose::training);
  complete_training_graph(g, fp32::policy, rule_of<momentum_sgd>(), {}, {recompute_goal::least, 0});
  const memory_map map = map_memory(g);
  i32 again = 0;
  for (const mapped_tensor& t : map.tensors) {
    const bool said = spell_why(map, t).rfind("recomputed", 0) == 0;
    CHECK(said == (t.repeated && t.why != placed_as::view));
    again += said ? 1 : 0;
  }
  CHECK(again > 0);
}

TEST_CASE("what is alive at once in a map lies apart, and fills the arena at its peak",
          "[report]") {
  for (const graph& g : pictured_steps()) {
    const memory_map map = map_memory(g);
    i64 most = 0;
    for (std::size_t step = 0; step < map.operations.size(); ++step) {
      const auto at = static_cast<i32>(step);
      i64 alive = 0;
      for (std::size_t b = 0; b < map.buffers.size(); ++b) {
        const mapped_buffer& m = map.buffers[b];
        if (at < m.born || at > m.dies) continue;
        alive += m.bytes;
        for (std::size_t k = 0; k < b; ++k) {
          const mapped_buffer& other = map.buffers[k];
          if (at < other.born || at > other.dies) continue;
          CHECK((m.offset + m.bytes <= other.offset || other.offset + other.bytes <= m.offset));
        }
      }
      CHECK(alive == map.alive[step]);
      most = std::max(most, alive);
    }
    CHECK(most == map.memory.lower_bound_bytes);
    CHECK(map.alive[static_cast<std::size_t>(map.peak())] == most);
    for (const mapped_buffer& m : map.buffers) {
      REQUIRE(!m.tensors.empty());
      CHECK(m.offset + m.bytes <= map.memory.arena_bytes);
      i32 last = -1;  // tensors of one buffer follow one another
      for (const i32 number : m.tensors) {
        const mapped_tensor& t = map.tensors[static_cast<std::size_t>(number)];
        CHECK(t.offset == m.offset);
        CHECK(m.born <= t.born);
        CHECK(t.dies <= m.dies);
        CHECK(t.born >= last);
        last = t.born;
      }
    }
  }
}

TEST_CASE("without working in place nobody takes over bytes", "[report]") {
  const graph g = step_of<pictured_lenet>();
  const memory_map map = map_memory(g, false);
  for (const mapped_tensor& t : map.tensors) CHECK(t.why != placed_as::in_place);
  CHECK(map.memory.arena_bytes > map_memory(g).memory.arena_bytes);
}

TEST_CASE("slices of stacks are views, and move from trip to trip", "[report]") {
  const memory_map map = map_memory(recurrent_step(7));
  i32 slices = 0;
  for (const mapped_tensor& t : map.tensors) {
    if (t.why != placed_as::view) continue;
    CHECK(spell_why(map, t).starts_with("view of "));
    slices += t.moves ? 1 : 0;
  }
  CHECK(slices > 0);
}

TEST_CASE("the table has a row for each tensor, with or without views", "[report]") {
  const memory_map map = map_memory(recurrent_step(7));
  std::size_t views = 0;
  for (const mapped_tensor& t : map.tensors) views += t.why == placed_as::view ? 1 : 0;
  REQUIRE(views > 0);
  const std::string all = written([&](std::ostream& out) { report_tensors(out, map); });
  const std::string own = written([&](std::ostream& out) { report_tensors(out, map, false); });
  CHECK(count(all, "\n") == 1 + map.tensors.size());
  CHECK(count(own, "\n") == 1 + map.tensors.size() - views);
  const memory_map plain = map_memory(step_of<pictured_lenet>());
  const std::string table = written([&](std::ostream& out) { report_tensors(out, plain, false); });
  CHECK(table.starts_with("tensor "));
  CHECK(count(table, "in place of conv1.out\n") == 1);
}

TEST_CASE("the arena in letters shows what lies where", "[report]") {
  //  two buffers: x from the start to the end at 0, y in the second half above it
  memory_map map;
  map.memory.arena_bytes = 1000;
  map.operations.assign(10, "op");
  map.phases.assign(10, phase::forward);
  map.alive.assign(10, 0);
  map.tensors.resize(2);
  map.tensors[0].name = "x";
  map.tensors[1].name = "y";
  map.buffers = {{{0}, 0, 500, 0, 9}, {{1}, 500, 500, 5, 9}};
  const std::string drawn = written([&](std::ostream& out) { draw_memory(out, map, 96, 4); });
  CHECK(
      drawn.starts_with("   1.0 kB |     bbbbb|\n"
                        "          |     bbbbb|\n"
                        "          |aaaaaaaaaa|\n"
                        "        0 |aaaaaaaaaa|\n"));
  CHECK(count(drawn, "  x\n") == 1);
  const std::string narrow = written([&](std::ostream& out) { draw_memory(out, map, 5, 2); });
  CHECK(narrow.starts_with("   1.0 kB |  bbb|\n        0 |aaaaa|\n"));
  const std::string nothing = written([&](std::ostream& out) { draw_memory(out, memory_map{}); });
  CHECK(nothing == "nothing lies in the arena\n");
}

TEST_CASE("the picture of a plan has a titled box for every tensor with bytes", "[report]") {
  for (const graph& g : pictured_steps()) {
    const memory_map map = map_memory(g);
    std::size_t boxes = 0;
    for (const mapped_buffer& b : map.buffers) boxes += b.tensors.size();
    const std::string svg = written([&](std::ostream& out) { write_memory_svg(out, map); });
    CHECK(svg.rfind("<svg xmlns=", 0) == 0);
    CHECK(svg.substr(svg.size() - 7) == "</svg>\n");
    CHECK(count(svg, " data-t=") == boxes);
    CHECK(count(svg, "<title>") == boxes);
    CHECK(well_formed(svg));
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("width=\"-") == std::string::npos);
    CHECK(svg.find("height=\"-") == std::string::npos);
  }
}

TEST_CASE("the page of a plan stays whole whatever tensors are called", "[report]") {
  graph g = recurrent_step(3, "</script><b>&\"'");
  const memory_map map = map_memory(g);
  const std::string page =
      written([&](std::ostream& out) { write_memory_html(out, map, "<plan>"); });
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(count(page, "&lt;plan&gt;") == 2);
  CHECK(count(page, "<plan>") == 0);
  CHECK(count(page, "<b>") == 0);
  CHECK(count(page, "</script>") == 1);
  CHECK(count(page, "<tr data-b=") == map.tensors.size());
  const std::string svg = written([&](std::ostream& out) { write_memory_svg(out, map); });
  CHECK(well_formed(svg));
}

TEST_CASE("an empty graph has an empty map and a picture of nothing", "[report]") {
  const memory_map map = map_memory(graph{});
  CHECK(map.tensors.empty());
  const std::string svg = written([&](std::ostream& out) { write_memory_svg(out, map); });
  CHECK(well_formed(svg));
}

TEST_CASE("a map as JSON names every tensor, its place and why it is there", "[report]") {
  const memory_map map = map_memory(step_of<pictured_lenet>());
  const io::json j = to_json(map);
  CHECK(j["arena_bytes"] == map.memory.arena_bytes);
  REQUIRE(j["tensors"].size() == map.tensors.size());
  for (std::size_t i = 0; i < map.tensors.size(); ++i) {
    CHECK(j["tensors"][i]["name"] == map.tensors[i].name);
    CHECK(j["tensors"][i]["offset"] == map.tensors[i].offset);
    CHECK(j["tensors"][i].contains("born") == (map.tensors[i].where == region::arena));
  }
  CHECK(j["alive"].size() == map.operations.size());
}

TEST_CASE("bytes are spelled with three digits at least where they are many", "[report]") {
  CHECK(spell_bytes(0) == "0 B");
  CHECK(spell_bytes(999) == "999 B");
  CHECK(spell_bytes(1000) == "1.0 kB");
  CHECK(spell_bytes(42432) == "42.4 kB");
  CHECK(spell_bytes(401408) == "401 kB");
  CHECK(spell_bytes(85511680) == "85.5 MB");
  CHECK(spell_bytes(1234567890) == "1235 MB");
  CHECK(detail::byte_ticks(1000, 10) ==
        std::vector<i64>{0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000});
  CHECK(detail::byte_ticks(42, 5) == std::vector<i64>{0, 10, 20, 30, 40});
  CHECK(detail::byte_ticks(0, 5) == std::vector<i64>{0});
}
