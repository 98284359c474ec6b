#pragma once

// A memory plan as a picture: time across, bytes up.
//
//   write_memory_svg(file, map_memory<job>());    a drawing for browsers and papers
//   write_memory_html(file, map, "ResNet-50");    the same as a page: names where one points
//
//   bytes
//     ^  +--------------+                each rectangle is a tensor in its bytes while it is
//     needed; |  |  conv1.out   |  +-----+       a thin line goes through a buffer where one tensor
//     follows |  +-----+--------+--+ dx  |       another in place. The dotted line is the most
//     bytes alive |  | x   | relu1.out |     |       at once: no placement needs less. The grey
//     steps below
//     +--+-----+-----------+-----+->     show how many are alive.
//                          operations
//
// Blue: the forward pass has made it; orange: gradients; green: what the backward pass alone needs,
// such as indices and statistics; grey: results that stay. Both files are whole in themselves.

#include <tessera/report/memory_map.hpp>
#include <tessera/report/svg.hpp>
#include <ostream>

namespace tessera {

namespace detail {

/// Sizes in pixels.
struct memory_canvas {
  static constexpr double left = 76, top = 26, plan_width = 980, plan_height = 460;
  static constexpr double gap = 18, alive_height = 90, bottom = 34;
  static constexpr double width = left + plan_width + 16;
  static constexpr double height = top + plan_height + gap + alive_height + bottom;

  double steps, bytes;

  explicit memory_canvas(const memory_map& m)
      : steps(std::max<double>(1, static_cast<double>(m.operations.size()))),
        bytes(std::max<double>(1, static_cast<double>(m.height()))) {}

  double x(double step) const { return left + plan_width * std::min(step, steps) / steps; }
  double y(double offset) const { return top + plan_height * (1 - offset / bytes); }
  double alive_y(double count) const {
    return top + plan_height + gap + alive_height * (1 - count / bytes);
  }
  rectangle at(i64 offset, i64 count, i32 born, i32 dies) const {
    const double from = x(born);
    const double up = y(static_cast<double>(offset + count));
    return {from, up, x(dies + 1) - from, y(static_cast<double>(offset)) - up};
  }
};

struct memory_colour {
  const char* fill;
  const char* line;
};
constexpr memory_colour colour_of(role what) {
  switch (what) {
    case role::gradient: return {"#f6c9a0", "#b0601c"};
    case role::saved: return {"#bfe0b8", "#3c7a35"};
    case role::result: return {"#d6d6d6", "#6b6b6b"};
    default: return {"#b9d3ee", "#2f6299"};
  }
}

inline std::string tensor_words(const memory_map& map, const mapped_tensor& t) {
  std::string words = t.name + "  " + std::string(spell_all<48>(t.dims).view()) + " " +
                      name_of(t.type) + ", " + spell_bytes(t.bytes) + " at " +
                      std::to_string(t.offset) + ", operations " + std::to_string(t.born) + " to " +
                      std::to_string(t.dies);
  const std::string why = spell_why(map, t);
  return why.empty() ? words : words + ", " + why;
}

/// Round numbers of bytes, at most `most` of them up to `end`.
inline std::vector<i64> byte_ticks(i64 end, i64 most) {
  i64 step = 1;  // 1, 2, 5, 10, 20, 50, ...
  for (i32 i = 0; end / step > most; ++i) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
  std::vector<i64> ticks;
  for (i64 at = 0; at <= end; at += step) ticks.push_back(at);
  return ticks;
}

}  // namespace detail

inline void write_memory_svg(std::ostream& out, const memory_map& map) {
  using canvas = detail::memory_canvas;
  const canvas c(map);
  const auto as_double = [](i64 n) { return static_cast<double>(n); };
  detail::svg_writer svg(out, canvas::width, canvas::height);
  svg.box({0, 0, canvas::width, canvas::height}, 0, "#ffffff", "none");
  svg.text({canvas::left, 16},
           "arena " + spell_bytes(map.memory.arena_bytes) +
               (map.memory.scratchpad_bytes > 0
                    ? ", above it the scratchpad " + spell_bytes(map.memory.scratchpad_bytes)
                    : "") +
               ", at least " + spell_bytes(map.memory.lower_bound_bytes) + ", without reuse " +
               spell_bytes(map.memory.no_reuse_bytes),
           "start", "#111111", true);
  // Phases, as bands behind everything.
  for (std::size_t i = 0; i < map.phases.size();) {
    std::size_t end = i;
    while (end < map.phases.size() && map.phases[end] == map.phases[i]) ++end;
    const double from = c.x(static_cast<double>(i));
    svg.box({from, canvas::top, c.x(static_cast<double>(end)) - from,
             canvas::plan_height + canvas::gap + canvas::alive_height},
            0, map.phases[i] == phase::forward ? "#f7fafd" : "#fdf9f5", "none");
    i = end;
  }
  for (const i64 tick : detail::byte_ticks(map.height(), 10)) {
    const double y = c.y(as_double(tick));
    svg.rule({canvas::left, y}, {canvas::left + canvas::plan_width, y}, "#dddddd", false);
    svg.text({canvas::left - 6, y + 4}, spell_bytes(tick), "end", "#555555");
  }
  if (map.memory.scratchpad_bytes > 0) {
    const double y = c.y(as_double(map.memory.arena_bytes));
    svg.rule({canvas::left, y}, {canvas::left + canvas::plan_width, y}, "#111111", false);
  }
  for (const mapped_buffer& b : map.buffers) {
    for (std::size_t k = 0; k < b.tensors.size(); ++k) {
      const mapped_tensor& t = map.tensors[static_cast<std::size_t>(b.tensors[k])];
      // In place, the next one begins at the operation that ends this one.
      i32 dies = t.dies;
      if (k + 1 < b.tensors.size()) {
        const i32 next = map.tensors[static_cast<std::size_t>(b.tensors[k + 1])].born;
        dies = std::min(dies, std::max(t.born, next - 1));
      }
      const detail::memory_colour colour = detail::colour_of(t.what);
      const rectangle r = c.at(map.lies_at(b), b.bytes, t.born, dies);
      svg.titled_box(r, colour.fill, colour.line, detail::tensor_words(map, t), b.tensors[k]);
      const double room = 6.2 * static_cast<double>(t.name.size()) + 8;
      if (r.height >= 12 && r.width >= room) {
        svg.text({r.x + r.width / 2, r.y + r.height / 2 + 4}, t.name, "middle", "#111111");
      }
    }
  }
  const double bound = c.y(as_double(map.memory.lower_bound_bytes));
  svg.rule({canvas::left, bound}, {canvas::left + canvas::plan_width, bound}, "#a02020", true);
  std::vector<point> outline;
  for (std::size_t i = 0; i < map.alive.size(); ++i) {
    const double y = c.alive_y(as_double(map.alive[i]));
    outline.push_back({c.x(static_cast<double>(i)), y});
    outline.push_back({c.x(static_cast<double>(i) + 1), y});
  }
  const double floor = c.alive_y(0);
  outline.push_back({canvas::left + canvas::plan_width, floor});
  outline.push_back({canvas::left, floor});
  svg.area(outline, "#c9c9c9");
  svg.text({canvas::left - 6, floor}, "alive", "end", "#555555");
  svg.text({canvas::left, floor + 16}, "operation 0", "start", "#555555");
  svg.text({canvas::left + canvas::plan_width, floor + 16},
           std::to_string(map.operations.empty() ? 0 : map.operations.size() - 1), "end",
           "#555555");
  if (!map.operations.empty()) {
    const i32 peak = map.peak();
    svg.text(
        {c.x(peak), floor + 28},
        "most at " + std::to_string(peak) + ": " + map.operations[static_cast<std::size_t>(peak)],
        peak * 2 < static_cast<i32>(map.operations.size()) ? "start" : "end", "#a02020");
  }
}

/// A page with the picture, a line that says what lies under the pointer, and the table of tensors;
/// a click on a tensor marks all that share its bytes.
inline void write_memory_html(std::ostream& out, const memory_map& map,
                              const std::string& title = "memory plan") {
  const std::string name = detail::escape_xml(title);
  out << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" << name
      << "</title>\n<style>\n"
         "body { font: 13px Helvetica, Arial, sans-serif; margin: 16px; color: #111 }\n"
         "#says { position: sticky; top: 0; background: #fff; padding: 6px 0; height: 18px;\n"
         "  white-space: nowrap; overflow: hidden; border-bottom: 1px solid #ccc }\n"
         "rect[data-t]:hover { stroke-width: 2 } .same { stroke: #a02020; stroke-width: 2 }\n"
         "table { border-collapse: collapse; margin-top: 12px } td, th { padding: 1px 8px;\n"
         "  text-align: left; border-bottom: 1px solid #eee } .n { text-align: right }\n"
         "tr.same td { background: #fbe9e9 }\n"
         "</style></head><body>\n<h1>"
      << name << "</h1>\n<div id=\"says\">point at a tensor</div>\n";
  write_memory_svg(out, map);
  out << "<table><tr><th>tensor</th><th>shape</th><th>type</th><th class=\"n\">bytes</th>"
         "<th class=\"n\">born</th><th class=\"n\">dies</th><th>region</th>"
         "<th class=\"n\">offset</th><th>why</th></tr>\n";
  for (std::size_t i = 0; i < map.tensors.size(); ++i) {
    const mapped_tensor& t = map.tensors[i];
    const bool arena = t.buffer >= 0;
    out << "<tr data-b=\"" << t.buffer << "\"><td>" << detail::escape_xml(t.name) << "</td><td>"
        << spell_all<48>(t.dims).view() << "</td><td>" << name_of(t.type) << "</td><td class=\"n\">"
        << t.bytes << "</td><td class=\"n\">" << (arena ? std::to_string(t.born) : "")
        << "</td><td class=\"n\">" << (arena ? std::to_string(t.dies) : "") << "</td><td>"
        << name_of(t.where) << "</td><td class=\"n\">" << t.offset << "</td><td>"
        << detail::escape_xml(spell_why(map, t)) << "</td></tr>\n";
  }
  out << "</table>\n<script>\n"
         "const says = document.getElementById('says'), buffers = [";
  for (std::size_t i = 0; i < map.tensors.size(); ++i) {
    out << (i > 0 ? "," : "") << map.tensors[i].buffer;
  }
  out << "];\n"
         "for (const r of document.querySelectorAll('rect[data-t]')) {\n"
         "  const title = r.querySelector('title');\n"
         "  r.addEventListener('mouseenter', () => says.textContent = title.textContent);\n"
         "  r.addEventListener('click', () => {\n"
         "    const mine = buffers[r.dataset.t];\n"
         "    for (const o of document.querySelectorAll('rect[data-t]'))\n"
         "      o.classList.toggle('same', buffers[o.dataset.t] === mine);\n"
         "    for (const o of document.querySelectorAll('tr[data-b]'))\n"
         "      o.classList.toggle('same', +o.dataset.b === mine);\n"
         "  });\n"
         "}\n</script>\n</body></html>\n";
}

}  // namespace tessera
