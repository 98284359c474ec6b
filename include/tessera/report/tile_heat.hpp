#pragma once

// Heat maps of the tiles of a machine: how long each is busy in a step, and how much it holds.
//
//   a square is a tile, in the order of their numbers;    light: idle, empty    dark: busy, full
//
// Busy are the cycles in which a tile computes; while it waits for the slowest, for the exchange
// and for synchronisation it is not. A tile holds its share of what is alive, which lies evenly
// over all, and what its vertex fetches and sums: drawn is the operation at which both are most.

#include <tessera/backends/accelerator/vertices.hpp>
#include <tessera/report/price_table.hpp>
#include <tessera/report/svg.hpp>
#include <algorithm>
#include <cmath>
#include <ostream>

namespace tessera {

/// What a step asks of one tile.
struct tile_load {
  i64 busy_cycles = 0;
  i64 received_bytes = 0;
  i64 vertices = 0;    // that it runs, trips of loops counted
  i64 held_bytes = 0;  // the most at once
  i32 fullest = -1;    // the operation at which; -1: it never has a vertex that makes it fuller
};

struct tile_heat {
  machine on;
  i64 step_cycles = 0;
  i64 share_bytes = 0;  // of every tile: the most that is alive at once
  std::vector<tile_load> tiles;

  /// Share of the step in which the tiles compute, on average.
  double busy_share() const {
    double sum = 0;
    for (const tile_load& t : tiles) sum += static_cast<double>(t.busy_cycles);
    const double room = static_cast<double>(step_cycles) * static_cast<double>(tiles.size());
    return room > 0 ? sum / room : 0;
  }
};

/// Goes over every vertex of the step: some 50 ns for each of an operation that runs once or often.
inline tile_heat find_tile_heat(const price_list& list) {
  tile_heat heat;
  heat.on = list.on;
  heat.step_cycles = list.total.cycles();
  const auto share_of = [&](const priced_operation& op) {
    return list.lies_off_chip() ? 0 : systolic::ceil_div(op.alive_bytes, list.on.tiles);
  };
  for (const priced_operation& op : list.operations) {
    heat.share_bytes = std::max(heat.share_bytes, share_of(op));
  }
  heat.tiles.resize(static_cast<std::size_t>(list.on.tiles));
  for (tile_load& t : heat.tiles) t.held_bytes = heat.share_bytes;
  for (std::size_t i = 0; i < list.operations.size(); ++i) {
    const priced_operation& op = list.operations[i];
    accelerator::for_each_vertex(
        list.on, op.of, accelerator::map(list.on, op.of), op.user,
        [&](const accelerator::tile_work& w) {
          tile_load& t = heat.tiles[static_cast<std::size_t>(w.number % list.on.tiles)];
          t.busy_cycles += w.cycles * op.runs;
          t.received_bytes += w.received_bytes * op.runs;
          t.vertices += op.runs;
          if (share_of(op) + w.held_bytes > t.held_bytes) {
            t.held_bytes = share_of(op) + w.held_bytes;
            t.fullest = static_cast<i32>(i);
          }
        });
  }
  return heat;
}

namespace detail {

/// White over yellow and red to black, for 0 to 1; blue beyond.
inline std::string heat_colour(double share) {
  if (share > 1) return "#2040c0";
  static constexpr struct {
    double at;
    int rgb[3];
  } stops[] = {{0, {250, 250, 245}},
               {0.25, {254, 217, 118}},
               {0.5, {253, 141, 60}},
               {0.75, {189, 0, 38}},
               {1, {60, 0, 20}}};
  std::size_t k = 1;
  while (k + 1 < std::size(stops) && share > stops[k].at) ++k;
  const double part = (std::max(0.0, share) - stops[k - 1].at) / (stops[k].at - stops[k - 1].at);
  char letters[8];
  int rgb[3];
  for (int c = 0; c < 3; ++c) {
    rgb[c] = static_cast<int>(stops[k - 1].rgb[c] + part * (stops[k].rgb[c] - stops[k - 1].rgb[c]) +
                              0.5);
  }
  std::snprintf(letters, sizeof letters, "#%02x%02x%02x", static_cast<unsigned>(rgb[0]) & 255,
                static_cast<unsigned>(rgb[1]) & 255, static_cast<unsigned>(rgb[2]) & 255);
  return letters;
}

}  // namespace detail

/// Two maps side by side: time and memory. A square says its figures when pointed at.
inline void write_tile_heat_svg(std::ostream& out, const tile_heat& heat, const price_list& list,
                                const std::string& title = "tiles") {
  const auto count = static_cast<double>(heat.tiles.size());
  const double columns = std::max(1.0, std::ceil(std::sqrt(count)));
  const double rows = std::max(1.0, std::ceil(count / columns));
  constexpr double left = 24, top = 64, map_width = 480, apart = 40;
  const double side = std::min(map_width / columns, 48.0);
  const double width = 2 * (left + map_width) + apart;
  const double bottom = top + side * rows;
  detail::svg_writer svg(out, width, bottom + 60);
  svg.box({0, 0, width, bottom + 60}, 0, "#ffffff", "none");
  svg.text({left, 20}, title, "start", "#111111", true);
  const auto steps = static_cast<double>(std::max<i64>(1, heat.step_cycles));
  const auto room = static_cast<double>(std::max<i64>(1, heat.on.tile_bytes));
  const char* const names[] = {"share of the step in which a tile computes",
                               "share of a tile's memory that is needed at once (blue: too much)"};
  for (int panel = 0; panel < 2; ++panel) {
    const double x0 = left + panel * (map_width + apart);
    svg.text({x0, top - 12}, names[panel], "start", "#333333");
    for (std::size_t i = 0; i < heat.tiles.size(); ++i) {
      const tile_load& t = heat.tiles[i];
      const double share = panel == 0 ? static_cast<double>(t.busy_cycles) / steps
                                      : static_cast<double>(t.held_bytes) / room;
      const double at = static_cast<double>(i);
      const double row = std::floor(at / columns);
      std::string words = "tile " + std::to_string(i) + ": ";
      if (panel == 0) {
        words += detail::with_commas(t.busy_cycles) + " cycles busy, " +
                 detail::spell_share(share) + ", " + detail::with_commas(t.vertices) +
                 " vertices, " + detail::with_commas(t.received_bytes) + " bytes received";
      } else {
        words += detail::with_commas(t.held_bytes) + " bytes, " + detail::spell_share(share);
        if (t.fullest >= 0) {
          const priced_operation& op = list.operations[static_cast<std::size_t>(t.fullest)];
          words += ", during " + op.layer + " " + ops::name_of(op.what);
        }
      }
      svg.titled_box({x0 + side * (at - row * columns), top + side * row, side, side},
                     detail::heat_colour(share), "#ffffff", words, static_cast<i32>(i));
    }
    for (int k = 0; k <= 10; ++k) {
      svg.box({x0 + 24 * k, bottom + 14, 24, 10}, 0, detail::heat_colour(k / 10.0), "none");
    }
    svg.text({x0, bottom + 38}, "0 %", "start", "#555555");
    svg.text({x0 + 24 * 11, bottom + 38}, "100 %", "end", "#555555");
  }
}

/// A page with both maps, a line that says what lies under the pointer, and the busiest and the
/// fullest tiles.
inline void write_tile_heat_html(std::ostream& out, const tile_heat& heat, const price_list& list,
                                 const std::string& title = "tiles") {
  const std::string name = detail::escape_xml(title);
  out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" << name
      << "</title>\n<style>\n"
         "body { font: 13px Helvetica, Arial, sans-serif; margin: 16px; color: #111 }\n"
         "#says { position: sticky; top: 0; background: #fff; padding: 6px 0; height: 18px;\n"
         "  white-space: nowrap; overflow: hidden; border-bottom: 1px solid #ccc }\n"
         "rect[data-t]:hover { stroke: #000; stroke-width: 1.5 }\n"
         "table { border-collapse: collapse; margin-top: 12px } td, th { padding: 1px 8px;\n"
         "  text-align: right; border-bottom: 1px solid #eee }\n"
         "</style></head><body>\n<h1>"
      << name << "</h1>\n<p>" << detail::escape_xml(heat.on.name) << ", "
      << detail::with_commas(heat.on.tiles) << " tiles; a step of "
      << detail::with_commas(heat.step_cycles) << " cycles, of which a tile computes in "
      << detail::spell_share(heat.busy_share()) << " on average; "
      << detail::with_commas(heat.share_bytes) << " bytes of what is alive on every tile</p>\n"
      << "<div id=\"says\">point at a tile</div>\n";
  write_tile_heat_svg(out, heat, list, title);
  std::vector<std::size_t> order(heat.tiles.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const std::size_t shown = std::min<std::size_t>(10, order.size());
  for (const bool by_time : {true, false}) {
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return by_time ? heat.tiles[a].busy_cycles > heat.tiles[b].busy_cycles
                     : heat.tiles[a].held_bytes > heat.tiles[b].held_bytes;
    });
    out << "<h2>" << (by_time ? "the busiest tiles" : "the fullest tiles") << "</h2>\n"
        << "<table><tr><th>tile</th><th>cycles busy</th><th>bytes received</th>"
           "<th>vertices</th><th>bytes at once</th></tr>\n";
    for (std::size_t k = 0; k < shown; ++k) {
      const tile_load& t = heat.tiles[order[k]];
      out << "<tr><td>" << order[k] << "</td><td>" << detail::with_commas(t.busy_cycles)
          << "</td><td>" << detail::with_commas(t.received_bytes) << "</td><td>"
          << detail::with_commas(t.vertices) << "</td><td>" << detail::with_commas(t.held_bytes)
          << "</td></tr>\n";
    }
    out << "</table>\n";
  }
  out << "<script>\nconst says = document.getElementById('says');\n"
         "for (const r of document.querySelectorAll('rect[data-t]')) {\n"
         "  const title = r.querySelector('title');\n"
         "  r.addEventListener('mouseenter', () => says.textContent = title.textContent);\n"
         "}\n</script>\n</body></html>\n";
}

}  // namespace tessera
