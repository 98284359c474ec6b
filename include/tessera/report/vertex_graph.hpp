#pragma once

// The graph of vertices and slices that a step becomes on a machine, as counts and as a picture.
//
//            forward            operations stand round a circle in their order, the first on the
//          .  :  .  .           left; of each a spoke of dots: its vertices, tile 0 inside. Lines
//        .  \  | /  .  .        are slices that vertices read of what others have written: short
//      o  ---  |  ---  :  :     ones between neighbours, long ones where the backward pass reads
//        .  /  | \  .  .        what the forward pass has kept.
//          .  :  .  .
//            backward
//
// A step has from thousands to millions of vertices, so tiles are drawn in bands, one dot for each
// band of an operation, as large as there are vertices, and lines from band to band in the order of
// how many slices they carry, up to a number. Where a slice lies follows from the model's rule that
// a tensor lies evenly over all tiles in the order of its elements. Parameters and what the caller
// fills are read too, and counted, but nobody in the step has written them: they have no lines.

#include <tessera/backends/accelerator/vertices.hpp>
#include <tessera/report/columns.hpp>
#include <tessera/report/flow.hpp>
#include <tessera/report/labels.hpp>
#include <tessera/report/svg.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

namespace tessera {

/// What an operation's vertices do, for their colour.
enum class vertex_class : u8 { product, elementwise, window, normalization, move, loss, update };
inline constexpr i32 vertex_classes = 7;

constexpr vertex_class class_of(kind what) {
  using accelerator::family;
  const family f = accelerator::family_of(what);
  if (f == family::forward || f == family::data_gradient || f == family::weight_gradient) {
    return vertex_class::product;
  }
  if (ops::is_update(what)) return vertex_class::update;
  switch (f) {
    case family::pool:
    case family::unpool: return vertex_class::window;
    case family::norm:
    case family::response:
    case family::softmax: return vertex_class::normalization;
    case family::exchange:
    case family::lookup:
    case family::scatter:
    case family::tokens: return vertex_class::move;
    case family::loss: return vertex_class::loss;
    default: return vertex_class::elementwise;
  }
}

/// The vertices of one operation, by band of tiles.
struct vertex_spoke {
  i32 operation = -1;  // of the graph
  std::string name;
  phase part = phase::forward;
  vertex_class what = vertex_class::elementwise;
  accelerator::vertex_counts counts;
  std::vector<i64> bands;
};

/// Slices that vertices of one band read of what another band has written.
struct slice_bundle {
  i32 from_spoke = -1;
  i32 from_band = 0;
  i32 to_spoke = -1;
  i32 to_band = 0;
  i64 slices = 0;
};

struct vertex_graph {
  accelerator::vertex_counts counts;
  std::vector<vertex_spoke> spokes;
  std::vector<slice_bundle> bundles;
};

namespace detail {

/// A stretch of a tensor's elements, as shares of all of them.
struct element_span {
  double begin = 0;
  double end = 1;
};

/// What vertex `v` of `count` reads of input `slot`: of products the stretch that holds its block,
/// of others the part that belongs to its number.
inline element_span read_span(const signature& s, const accelerator::mapping& map,
                              const accelerator::tile_work& v, i64 count, i32 slot) {
  using namespace accelerator;
  const problem& p = map.of;
  const bool weights = slot == 1 && p.what != family::weight_gradient;
  const bool product = p.what == family::forward || p.what == family::data_gradient ||
                       p.what == family::weight_gradient;
  if (!product || slot > 1 || s.what == kind::matmul) {
    const auto n = static_cast<double>(std::max<i64>(1, count));
    return {static_cast<double>(v.number) / n, static_cast<double>(v.number + 1) / n};
  }
  // Axes of the operand, outermost first; channels of all groups are one axis.
  const bool outputs = p.what == family::data_gradient || (slot == 1 && !weights);
  const i32 channel = outputs ? axis_o : axis_c;
  struct part {
    double extent, begin, size;
  };
  const auto axis = [&](i32 a) {
    return part{static_cast<double>(p.extent[a]), static_cast<double>(v.where.begin[a]),
                static_cast<double>(v.where.size[a])};
  };
  const auto grouped = [&](i32 a) {
    const part g = axis(axis_g);
    const part c = axis(a);
    if (g.extent == 1) return c;
    return part{g.extent * c.extent, g.begin * c.extent + c.begin,
                (g.size - 1) * c.extent + c.size};
  };
  std::array<part, 4> parts;
  if (weights) {
    parts = {grouped(axis_o), axis(axis_c), part{1, 0, 1}, part{1, 0, 1}};
  } else if (s.batch_last) {
    parts = {grouped(channel), axis(axis_h), axis(axis_w), axis(axis_b)};
  } else {
    parts = {axis(axis_b), grouped(channel), axis(axis_h), axis(axis_w)};
  }
  double low = 0;
  double high = 0;
  double all = 1;
  for (const part& a : parts) {
    low = low * a.extent + a.begin;
    high = high * a.extent + a.begin + a.size - 1;
    all *= a.extent;
  }
  return {low / all, (high + 1) / all};
}

}  // namespace detail

/// The graph of a step on `m`, its tiles in so many bands.
inline vertex_graph find_vertex_graph(const graph& g, const machine& m, i32 bands = 48) {
  using namespace accelerator;
  vertex_graph all;
  const step_signatures step = sign_step(g);
  const flow steps = find_flow(g);
  all.counts = count_vertices(m, step);
  bands = std::max(1, std::min(bands, m.tiles));
  std::vector<mapping> maps;
  for (const counted_signature& s : step.distinct) maps.push_back(map(m, s.of));
  std::vector<i32> spoke_of(static_cast<std::size_t>(g.operations.size()), -1);
  const auto band_of = [&](i64 tile) { return static_cast<i32>(tile % m.tiles * bands / m.tiles); };
  std::vector<std::vector<handover>> reads(static_cast<std::size_t>(g.operations.size()));
  for (const handover& e : steps.edges) reads[static_cast<std::size_t>(e.to)].push_back(e);

  std::vector<i64> between(static_cast<std::size_t>(bands) * static_cast<std::size_t>(bands));
  for (i32 i = 0; i < g.operations.size(); ++i) {
    const i32 number = step.number_of[i];
    if (number < 0) continue;
    const operation& op = g.operations[i];
    const signature& s = step.distinct[number].of;
    const mapping& cut = maps[static_cast<std::size_t>(number)];
    vertex_spoke spoke;
    spoke.operation = i;
    spoke.name = spell_layer(g, op) + " " + ops::name_of(op.what);
    spoke.part = steps.phase_of[static_cast<std::size_t>(i)];
    spoke.what = class_of(op.what);
    spoke.counts = count_vertices(s, cut);
    spoke.bands.assign(static_cast<std::size_t>(bands), 0);
    spoke_of[static_cast<std::size_t>(i)] = static_cast<i32>(all.spokes.size());
    for_each_vertex(m, s, cut, op.attr.user, [&](const tile_work& v) {
      ++spoke.bands[static_cast<std::size_t>(band_of(v.number))];
    });
    for (const handover& e : reads[static_cast<std::size_t>(i)]) {
      const i32 from = spoke_of[static_cast<std::size_t>(e.from)];
      if (from < 0) continue;  // ends of loops, and what comes round from a later operation
      std::fill(between.begin(), between.end(), 0);
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        if (op.in[slot] != e.tensor) continue;
        for_each_vertex(m, s, cut, op.attr.user, [&](const tile_work& v) {
          const tessera::detail::element_span span =
              tessera::detail::read_span(s, cut, v, spoke.counts.vertices, slot);
          // One of the bands that hold the slice, another for each vertex.
          const double spread = static_cast<double>(v.number * 7 % 16) / 16;
          const double at = span.begin + (span.end - span.begin) * spread;
          const i32 source = std::min(bands - 1, static_cast<i32>(at * bands));
          ++between[static_cast<std::size_t>(source * bands + band_of(v.number))];
        });
      }
      for (i32 k = 0; k < bands * bands; ++k) {
        const i64 slices = between[static_cast<std::size_t>(k)];
        if (slices == 0) continue;
        all.bundles.push_back(
            {from, k / bands, static_cast<i32>(all.spokes.size()), k % bands, slices});
      }
    }
    all.spokes.push_back(std::move(spoke));
  }
  return all;
}

namespace detail {

struct vertex_style {
  const char* name;
  const char* colour;
};
constexpr vertex_style style_of(vertex_class what) {
  switch (what) {
    case vertex_class::product: return {"matrix products, convolutions", "#f2a33a"};
    case vertex_class::elementwise: return {"elementwise", "#5fb4e5"};
    case vertex_class::window: return {"pooling, resizing", "#6fcf7c"};
    case vertex_class::normalization: return {"normalization, softmax", "#c58af0"};
    case vertex_class::move: return {"moving, lookups", "#9aa7b5"};
    case vertex_class::loss: return {"losses", "#f0607a"};
    case vertex_class::update: return {"updates", "#e8e27a"};
  }
  return {"", "#ffffff"};
}

}  // namespace detail

/// At most so many lines, those with most slices. 16,000 make a file of about 1 MB.
inline void write_vertex_graph_svg(std::ostream& out, const vertex_graph& graph,
                                   const std::string& title, i64 most_lines = 16'000) {
  constexpr double width = 1180, height = 1240, centre_x = 590, centre_y = 640;
  constexpr double inside = 150, outside = 540;
  constexpr double pi = 3.14159265358979323846;
  const auto spokes = static_cast<double>(std::max<std::size_t>(1, graph.spokes.size()));
  const auto at = [&](i32 spoke, i32 band) {
    const auto bands =
        static_cast<double>(graph.spokes[static_cast<std::size_t>(spoke)].bands.size());
    const double angle = pi + 2 * pi * (0.02 + 0.96 * (spoke + 0.5) / spokes);
    const double radius = inside + (outside - inside) * (band + 0.5) / bands;
    return point{centre_x + radius * std::cos(angle), centre_y + radius * std::sin(angle)};
  };
  detail::svg_writer svg(out, width, height);
  svg.box({0, 0, width, height}, 0, "#0d1117", "none");
  svg.text({24, 30}, title, "start", "#f0f0f0", true);
  svg.text({24, 50},
           detail::with_commas(graph.counts.all()) + " vertices (" +
               detail::with_commas(graph.counts.reducers) + " of them add up partial sums), " +
               detail::with_commas(graph.counts.edges) + " edges, " +
               std::to_string(graph.spokes.size()) + " operations",
           "start", "#c0c0c0");

  std::vector<const slice_bundle*> lines;
  for (const slice_bundle& b : graph.bundles) lines.push_back(&b);
  if (static_cast<i64>(lines.size()) > most_lines) {
    const auto cut = lines.begin() + static_cast<std::ptrdiff_t>(most_lines);
    const auto before = [](const slice_bundle* a, const slice_bundle* b) {
      return a->slices != b->slices ? a->slices > b->slices : a < b;
    };
    std::nth_element(lines.begin(), cut, lines.end(), before);
    lines.erase(cut, lines.end());
    std::sort(lines.begin(), lines.end());  // by place in the graph
  }
  // Lines bend towards the middle, so that neighbours' stay apart from those across.
  std::vector<std::vector<detail::curve>> curves(vertex_classes);
  for (const slice_bundle* b : lines) {
    const point from = at(b->from_spoke, b->from_band);
    const point to = at(b->to_spoke, b->to_band);
    const point middle{(from.x + to.x) / 2, (from.y + to.y) / 2};
    const double pull = 0.75;
    const vertex_class what = graph.spokes[static_cast<std::size_t>(b->to_spoke)].what;
    curves[static_cast<std::size_t>(what)].push_back(
        {from,
         {centre_x + (middle.x - centre_x) * pull, centre_y + (middle.y - centre_y) * pull},
         to});
  }
  for (i32 k = 0; k < vertex_classes; ++k) {
    svg.curves(curves[static_cast<std::size_t>(k)],
               detail::style_of(static_cast<vertex_class>(k)).colour, 0.5, 0.3);
  }
  // Dots in a few sizes, each size and class one path.
  constexpr int sizes = 6;
  i64 most = 1;
  for (const vertex_spoke& s : graph.spokes) {
    for (const i64 n : s.bands) most = std::max(most, n);
  }
  for (i32 k = 0; k < vertex_classes; ++k) {
    std::array<std::vector<point>, sizes> dots;
    for (std::size_t i = 0; i < graph.spokes.size(); ++i) {
      const vertex_spoke& s = graph.spokes[i];
      if (static_cast<i32>(s.what) != k) continue;
      for (std::size_t band = 0; band < s.bands.size(); ++band) {
        if (s.bands[band] == 0) continue;
        const double share =
            std::sqrt(static_cast<double>(s.bands[band]) / static_cast<double>(most));
        const int size = std::min(sizes - 1, static_cast<int>(share * sizes));
        dots[static_cast<std::size_t>(size)].push_back(
            at(static_cast<i32>(i), static_cast<i32>(band)));
      }
    }
    const double room = 2 * pi * inside / spokes;
    const double largest = std::clamp(1.6 * room, 1.2, 7.0);
    for (int size = 0; size < sizes; ++size) {
      svg.dots(dots[static_cast<std::size_t>(size)],
               detail::style_of(static_cast<vertex_class>(k)).colour,
               std::max(0.7, largest * (size + 1) / sizes));
    }
  }
  for (std::size_t i = 0; i < graph.spokes.size(); ++i) {
    const vertex_spoke& s = graph.spokes[i];
    const auto last = static_cast<i32>(s.bands.size()) - 1;
    svg.titled_line(at(static_cast<i32>(i), 0), at(static_cast<i32>(i), last),
                    std::max(1.0, 2 * pi * outside / spokes),
                    s.name + ": " + detail::with_commas(s.counts.all()) + " vertices, " +
                        detail::with_commas(s.counts.edges) + " edges");
  }
  double y = height - 24 - 18 * (vertex_classes - 1);
  for (i32 k = 0; k < vertex_classes; ++k, y += 18) {
    const detail::vertex_style style = detail::style_of(static_cast<vertex_class>(k));
    svg.dots({{32, y - 4}}, style.colour, 8);
    svg.text({44, y}, style.name, "start", "#c0c0c0");
  }
  svg.text({centre_x, centre_y - outside - 16}, "forward pass, from left to right", "middle",
           "#808080");
  svg.text({centre_x, height - 24}, "the step goes round clockwise from the left", "middle",
           "#808080");
}

}  // namespace tessera
