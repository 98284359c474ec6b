#pragma once

// A picture of a graph as SVG, which browsers show: write_svg(file, graph_of<job>()).
//
// Forward pass on the left from top to bottom, backward pass beside it from bottom to top, updates
// on the right (report/layout.hpp). Lines in teal: what is kept for the backward pass. Bodies of
// loops are framed, with the number of trips; dashed lines go round. A line says its tensor when
// pointed at. Parameters are not drawn: their updates name them.

#include <tessera/report/layout.hpp>
#include <tessera/report/svg.hpp>
#include <ostream>

namespace tessera {

/// Draws a layout of `g`.
inline void draw(std::ostream& out, const graph& g, const picture& p) {
  detail::svg_writer svg(out, p.width, p.height);
  const auto colour_of = [](line_kind what) {
    return what == line_kind::kept ? "#2a9d8f" : what == line_kind::carried ? "#7a4fa3" : "#555555";
  };
  svg.arrow_head("flow", colour_of(line_kind::flow));
  svg.arrow_head("kept", colour_of(line_kind::kept));
  svg.arrow_head("carried", colour_of(line_kind::carried));
  svg.box({0, 0, p.width, p.height}, 0, "#ffffff", "none");
  for (const picture_frame& f : p.frames) {
    svg.box(f.at, 8, "#f7f7f7", colours_of(f.what).line, true);
    svg.text({f.at.x + 10, f.at.y + 14}, f.label, "start", colours_of(f.what).line, true);
  }
  for (const picture_line& l : p.lines) {
    const char* const head = l.what == line_kind::kept      ? "kept"
                             : l.what == line_kind::carried ? "carried"
                                                            : "flow";
    const tensor& t = g.tensors[l.tensor];
    svg.line(l.points, colour_of(l.what), head, l.what == line_kind::carried,
             std::string(full_name(g, t.name)) + " " + spell_type(t));
  }
  for (const picture_box& b : p.boxes) {
    const phase_colours c = colours_of(b.what);
    const bool leaf = b.operation < 0;
    svg.box(b.at, leaf ? b.at.height / 2 : 4, leaf ? "#ffffff" : c.fill, c.line);
    double y = b.at.y + 14;
    for (std::size_t i = 0; i < b.lines.size(); ++i, y += detail::line_height) {
      svg.text({b.at.x + b.at.width / 2, y}, b.lines[i], "middle",
               i + 1 == b.lines.size() ? "#666666" : "#111111", i == 0);
    }
  }
}

inline void write_svg(std::ostream& out, const graph& g) { draw(out, g, lay_out(g)); }

}  // namespace tessera
