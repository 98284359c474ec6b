#include <tessera/report/tile_heat.hpp>
#include <tessera/report/vertex_graph.hpp>

#include <tessera/machine/presets.hpp>

#include <support/catch.hpp>
#include <support/pictured_graphs.hpp>
#include <support/well_formed.hpp>

#include <numeric>
#include <string>

using namespace tessera;
using namespace tessera::testing;
using accelerator::tile_work;

TEST_CASE("the vertices of an operation come to its price", "[report][price]") {
  for (const machine& m : {accelerator::ipu_mk1, accelerator::small_array}) {
    for (const graph& g : {step_of<pictured_lenet>(8), recurrent_step(3), large_step()}) {
      const accelerator::step_signatures step = accelerator::sign_step(g);
      for (const accelerator::counted_signature& s : step.distinct) {
        const accelerator::operation_price p = accelerator::price(m, s.of);
        const accelerator::mapping map = accelerator::map(m, s.of);
        tile_work most;
        i64 count = 0;
        i64 received = 0;
        accelerator::for_each_vertex(m, s.of, map, s.user, [&](const tile_work& w) {
          CHECK(w.number == count++);
          most.cycles = std::max(most.cycles, w.cycles);
          most.held_bytes = std::max(most.held_bytes, w.held_bytes);
          received += w.received_bytes;
        });
        CHECK(count == p.vertices);
        CHECK(count <= m.tiles);
        CHECK(most.held_bytes == p.peak_tile_bytes);
        // The busiest of both supersteps need not be the same tile, nor a share a whole number.
        CHECK(most.cycles <= p.compute_cycles);
        CHECK(received >= p.exchange_bytes);
        if (map.partials() == 1) {
          CHECK(most.cycles == p.compute_cycles);
          CHECK(received == p.exchange_bytes);
        }
      }
    }
  }
}

TEST_CASE("edges are operands of vertices and shares of partial sums", "[report][price]") {
  const graph g = recurrent_step(3);
  const accelerator::step_signatures step = accelerator::sign_step(g);
  const machine m = accelerator::ipu_mk1;
  accelerator::vertex_counts sum;
  for (i32 i = 0; i < g.operations.size(); ++i) {
    if (step.number_of[i] < 0) continue;
    const signature& s = step.distinct[step.number_of[i]].of;
    const accelerator::mapping map = accelerator::map(m, s);
    const accelerator::vertex_counts c = accelerator::count_vertices(s, map);
    i64 operands = 0;
    for (const i32 id : g.operations[i].in) operands += id >= 0 ? 1 : 0;
    for (const i32 id : g.operations[i].out) operands += id >= 0 ? 1 : 0;
    CHECK(c.vertices == accelerator::price(m, s).vertices);
    CHECK(c.edges ==
          c.vertices * operands + (c.reducers > 0 ? c.reducers * (map.partials() + 1) : 0));
    sum += c;
  }
  CHECK(accelerator::count_vertices(m, step) == sum);
}

TEST_CASE("tiles are busy as long as their vertices are, trips counted", "[report][price]") {
  const price_list list = list_prices(recurrent_step(7), accelerator::ipu_mk1);
  const tile_heat heat = find_tile_heat(list);
  REQUIRE(heat.tiles.size() == 1216);
  i64 vertices = 0;
  for (const tile_load& t : heat.tiles) {
    vertices += t.vertices;
    CHECK(t.busy_cycles <= list.total.compute_cycles);
    CHECK(t.held_bytes <= list.need.bytes());
  }
  CHECK(vertices == list.total.vertices);
  CHECK(heat.busy_share() > 0);
  CHECK(heat.busy_share() < 1);
}

TEST_CASE("heat maps are well formed and show every tile twice", "[report][price]") {
  machine m = accelerator::ipu_mk1;
  m.tiles = 37;
  const price_list list = list_prices(step_of<pictured_lenet>(8), m);
  const tile_heat heat = find_tile_heat(list);
  const std::string svg =
      text_of([&](std::ostream& out) { write_tile_heat_svg(out, heat, list, "<tiles>"); });
  CHECK(well_formed(svg));
  std::size_t squares = 0;
  for (std::size_t at = 0; (at = svg.find("data-t", at)) != std::string::npos; ++at) ++squares;
  CHECK(squares == 74);
  const std::string page =
      text_of([&](std::ostream& out) { write_tile_heat_html(out, heat, list, "a & b"); });
  CHECK(page.find("<title>a &amp; b</title>") != std::string::npos);
  CHECK(page.find("</html>") != std::string::npos);
}

TEST_CASE("heat goes from light to dark, and is blue beyond", "[report]") {
  CHECK(detail::heat_colour(0) == "#fafaf5");
  CHECK(detail::heat_colour(0.5) == "#fd8d3c");
  CHECK(detail::heat_colour(1) == "#3c0014");
  CHECK(detail::heat_colour(1.01) == "#2040c0");
}

TEST_CASE("a vertex graph has every vertex in a band, and slices go forward", "[report][price]") {
  for (const graph& g : {step_of<pictured_lenet>(16), recurrent_step(3), large_step()}) {
    const vertex_graph found = find_vertex_graph(g, accelerator::ipu_mk1, 20);
    accelerator::vertex_counts sum;
    for (const vertex_spoke& s : found.spokes) {
      CHECK(std::accumulate(s.bands.begin(), s.bands.end(), i64{0}) == s.counts.vertices);
      sum += s.counts;
    }
    CHECK(sum == found.counts);
    std::vector<i64> read(found.spokes.size(), 0);
    REQUIRE(!found.bundles.empty());
    for (const slice_bundle& b : found.bundles) {
      CHECK(b.from_spoke <= b.to_spoke);  // equal: from one trip of a loop to the next
      CHECK(b.slices > 0);
      CHECK(found.spokes[static_cast<std::size_t>(b.to_spoke)]
                .bands[static_cast<std::size_t>(b.to_band)] > 0);
      read[static_cast<std::size_t>(b.to_spoke)] += b.slices;
    }
    for (std::size_t i = 0; i < read.size(); ++i) {
      const vertex_spoke& s = found.spokes[i];
      CHECK(read[i] % s.counts.vertices == 0);  // every vertex reads of every operand
    }
  }
}

TEST_CASE("vertices of a product read what holds their block", "[report][price]") {
  const graph g = step_of<pictured_lenet>(16);
  const accelerator::step_signatures step = accelerator::sign_step(g);
  for (const accelerator::counted_signature& s : step.distinct) {
    if (class_of(s.of.what) != vertex_class::product) continue;
    const accelerator::mapping map = accelerator::map(accelerator::ipu_mk1, s.of);
    for (const i32 slot : {0, 1}) {
      double low = 1;
      double high = 0;
      accelerator::for_each_vertex(
          accelerator::ipu_mk1, s.of, map, s.user, [&](const accelerator::tile_work& v) {
            const auto span = detail::read_span(s.of, map, v, map.vertices(), slot);
            CHECK(span.begin < span.end);
            low = std::min(low, span.begin);
            high = std::max(high, span.end);
          });
      CHECK(low == Approx(0).margin(1e-12));
      CHECK(high == Approx(1));
    }
  }
}

TEST_CASE("a vertex graph is drawn well formed, in as many lines as asked for", "[report][price]") {
  const vertex_graph found = find_vertex_graph(large_step(), accelerator::ipu_mk1);
  const auto lines = [&](i64 most) {
    const std::string svg =
        text_of([&](std::ostream& out) { write_vertex_graph_svg(out, found, "<graph>", most); });
    CHECK(well_formed(svg));
    CHECK(svg.size() < 64 * static_cast<std::size_t>(most) + 400'000);
    return std::count(svg.begin(), svg.end(), 'Q');
  };
  CHECK(lines(100) == 100);
  CHECK(lines(1'000'000) == static_cast<std::ptrdiff_t>(found.bundles.size()));
}
