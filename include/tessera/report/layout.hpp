#pragma once

// Layout: boxes and lines of a picture of a graph, without drawing anything.
//
//        forward        backward        update          Time runs down on the left and up on the
//      +---------+                                      right: a layer's backward operations stand
//      |  conv1  |---.               .--->+---------+   beside its forward operation, so that lines
//      +---------+   |   +---------+ |    | update  |   from left to right are what is kept for
//           |        '-->| conv1   |-'    +---------+   the backward pass.
//      +---------+       +---------+
//      |  relu1  |            ^
//      +---------+            |
//
// Rows: a forward operation stands one below the last it reads; a backward or update operation in
// the lowest row of its layer that is not below what it reads. Within a column lines go from row to
// row and reserve a place in the rows they pass (Sugiyama, Tagawa, Toda 1981). All others leave
// into the gap between two rows, change rows in a channel between columns, and arrive from a gap:
// no line crosses a box. Lines that would lie on each other get tracks of their own, all of one
// tensor share one. A loop's body is laid out by itself and then is a box of the body around;
// lines cross its frame at ports.
// O(operations^2) at worst; a ResNet-50 step takes some milliseconds.

#include <tessera/report/body_layout.hpp>
#include <tessera/report/flow.hpp>
#include <tessera/report/labels.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tessera {

/// An operation, or a tensor that the caller fills.
struct picture_box {
  i32 operation = -1;
  i32 tensor = -1;
  phase what = phase::forward;
  rectangle at;
  std::vector<std::string> lines;
};

/// The body of a loop.
struct picture_frame {
  i32 body = 0;
  phase what = phase::forward;
  rectangle at;
  std::string label;
};

enum class line_kind : u8 { flow, kept, carried };

/// From box `from` to box `to`, corner by corner.
struct picture_line {
  i32 from = -1;
  i32 to = -1;
  i32 tensor = -1;
  line_kind what = line_kind::flow;
  std::vector<point> points;
};

struct picture {
  double width = 0;
  double height = 0;
  std::vector<picture_box> boxes;
  std::vector<picture_frame> frames;
  std::vector<picture_line> lines;
};

namespace detail {

/// A connection in the picture: an operation's output, or a leaf, read by an operation.
struct link {
  i32 from = -1;  // operation, -1: the leaf
  i32 leaf = -1;  // input or target
  i32 to = -1;
  i32 tensor = -1;
  bool carried = false;
};

class picture_layout {
 public:
  explicit picture_layout(const graph& g) : g_(g), flow_(find_flow(g)), loops_(find_loops(g)) {
    find_links();
    bodies_.resize(at(g.bodies.size()));
    segments_.resize(links_.size());
    for (i32 body = g.bodies.size() - 1; body >= 0; --body) {
      if (loops_[body].begin >= 0) lay_out(body);
    }
  }

  picture make() {
    box_of_.assign(at(g_.operations.size()), -1);
    if (g_.operations.size() > 0) emit(0, 0, 0);
    p_.width = bodies_[0].width;
    p_.height = bodies_[0].height;
    for (std::size_t i = 0; i < links_.size(); ++i) emit_line(i);
    return p_;
  }

 private:
  i32 column_of(i32 operation) const { return static_cast<i32>(flow_.phase_of[at(operation)]); }
  i32 body_of(i32 operation) const { return operation < 0 ? 0 : flow_.body_of[at(operation)]; }

  void find_links() {
    for (const handover& e : flow_.edges) {
      bool known = false;  // another view of the same bytes
      for (std::size_t i = links_.size(); i-- > 0 && links_[i].to == e.to;) {
        known = known || (links_[i].from == e.from && links_[i].carried == e.carried &&
                          storage_of(g_, links_[i].tensor) == storage_of(g_, e.tensor));
      }
      if (!known) links_.push_back({e.from, -1, e.to, e.tensor, e.carried});
    }
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      std::vector<i32> seen;
      for (const i32 in : g_.operations[i].in) {
        if (in < 0) continue;
        const i32 id = storage_of(g_, in);
        const role what = g_.tensors[id].what;
        if (what != role::input && what != role::target) continue;
        if (std::find(seen.begin(), seen.end(), id) != seen.end()) continue;
        seen.push_back(id);
        links_.push_back({-1, id, i, id, false});
      }
    }
  }

  /// The item of `body` that `operation` is or is in.
  i32 item_of(i32 body, i32 operation) const {
    i32 inside = body_of(operation);
    if (inside == body) return item_of_operation_[at(operation)];
    while (g_.bodies[inside].parent != body) inside = g_.bodies[inside].parent;
    return item_of_operation_[at(loops_[inside].begin)];
  }

  void lay_out(i32 body) {
    body_layout& b = bodies_[at(body)];
    const i32 frame = body == 0 ? 0 : column_of(loops_[body].begin);
    item_of_operation_.resize(at(g_.operations.size()), -1);
    std::map<i32, i32> leaves;
    for (i32 i = loops_[body].begin; i <= loops_[body].end; ++i) {
      const operation& op = g_.operations[i];
      if (body_of(i) != body || op.what == kind::end_loop) continue;
      layout_item item;
      item.column = column_of(i);
      if (op.what == kind::loop) {
        item.body = op.body;
        item.width = bodies_[at(op.body)].width;
        item.height = bodies_[at(op.body)].height;
      } else {
        item.operation = i;
        size_box(item, box_lines(g_, op));
      }
      item_of_operation_[at(i)] = count_of(b.items.size());
      b.items.push_back(item);
    }
    const i32 ordinary = count_of(b.items.size());
    for (std::size_t k = 0; k < links_.size(); ++k) {
      const link& l = links_[k];
      const bool from_inside = encloses_operation(body, l.from);
      const bool to_inside = encloses_operation(body, l.to);
      if (!from_inside && !to_inside) continue;
      const i32 net = storage_of(g_, l.tensor);
      i32 from = -1;
      i32 to = -1;
      if (!from_inside) {
        from = port(b, net, true, frame);
      } else if (l.leaf >= 0) {
        from = leaf(b, leaves, l.leaf);
      } else {
        from = item_of(body, l.from);
      }
      to = to_inside ? item_of(body, l.to) : port(b, net, false, frame);
      if (from == to && b.items[at(from)].body >= 0) continue;  // within a loop of this body
      b.line_of_link[count_of(k)] = b.add_line(from, to, net, l.carried);
    }
    choose_rows(b, ordinary, frame);
    b.arrange(bodies_, body > 0, frame == 0);
    if (body > 0) {
      const double label = letter_width * static_cast<double>(frame_label(body).size());
      b.width = std::max(b.width, label + 2 * margin);
    }
  }

  bool encloses_operation(i32 body, i32 operation) const {
    const i32 inside = body_of(operation);
    return g_.bodies[inside].depth >= g_.bodies[body].depth && encloses(g_, body, inside);
  }

  static void size_box(layout_item& item, const std::vector<std::string>& lines) {
    std::size_t longest = 0;
    for (const std::string& line : lines) longest = std::max(longest, line.size());
    item.width = letter_width * static_cast<double>(longest) + 16;
    item.height = line_height * static_cast<double>(lines.size()) + 8;
  }

  i32 leaf(body_layout& b, std::map<i32, i32>& leaves, i32 tensor) {
    const auto known = leaves.find(tensor);
    if (known != leaves.end()) return known->second;
    layout_item item;
    item.leaf = tensor;
    size_box(item, leaf_lines(g_, tensor));
    b.items.push_back(item);
    return leaves[tensor] = count_of(b.items.size() - 1);
  }

  static i32 port(body_layout& b, i32 tensor, bool entry, i32 frame) {
    const auto known = b.ports.find({tensor, entry});
    if (known != b.ports.end()) return known->second;
    layout_item item;
    item.port = tensor;
    item.entry = entry;
    item.column = frame;
    item.width = 6;
    b.items.push_back(item);
    return b.ports[{tensor, entry}] = count_of(b.items.size() - 1);
  }

  /// Rows of one layer, for its backward operations to stand in.
  using layer_key = std::tuple<std::string, i32, i32>;
  layer_key key_of(i32 operation) const {
    const tensor_name& n = g_.operations[operation].layer;
    return {n.layer, n.ordinal, n.scope};
  }
  template <class Visit>
  void each_operation(const layout_item& item, Visit visit) const {
    if (item.operation >= 0) visit(item.operation);
    if (item.body < 0) return;
    for (i32 i = loops_[item.body].begin; i <= loops_[item.body].end; ++i) visit(i);
  }

  void choose_rows(body_layout& b, i32 ordinary, i32 frame) {
    std::vector<std::vector<i32>> reads(b.items.size());
    for (const layout_line& l : b.lines) {
      if (!l.carried && l.from < ordinary && l.to < ordinary) reads[at(l.to)].push_back(l.from);
    }
    std::map<layer_key, std::vector<i32>> rows_of_layer;
    i32 lowest = -1;  // largest row so far
    for (i32 i = 0; i < ordinary; ++i) {
      layout_item& item = b.items[at(i)];
      if (item.column != 0) continue;
      for (const i32 r : reads[at(i)]) item.row = std::max(item.row, b.items[at(r)].row + 1);
      lowest = std::max(lowest, item.row);
      each_operation(item, [&](i32 op) { rows_of_layer[key_of(op)].push_back(item.row); });
    }
    const bool mirrored = lowest >= 0;  // there are forward operations to stand beside
    i32 highest = 0;
    for (i32 column = 1; column < columns; ++column) {
      for (i32 i = 0; i < ordinary; ++i) {
        layout_item& item = b.items[at(i)];
        if (item.column != column) continue;
        i32 limit = mirrored ? lowest : 0;
        bool reads_any = false;
        for (const i32 r : reads[at(i)]) {
          if (b.items[at(r)].column == 0) continue;
          // Without a forward operation in the body, each row is one step up.
          const i32 step = mirrored || column == 2 ? 0 : 1;
          limit = std::min(limit, b.items[at(r)].row - step);
          reads_any = true;
        }
        i32 best = -1;
        each_operation(item, [&](i32 op) {
          const auto rows = rows_of_layer.find(key_of(op));
          if (rows == rows_of_layer.end()) return;
          for (const i32 row : rows->second) {
            if (row <= limit) best = std::max(best, row);
          }
        });
        item.row = limit;
        if (mirrored && best >= 0) item.row = best;
        if (mirrored && best < 0 && !reads_any) item.row = column == 2 ? 0 : lowest;
        highest = std::min(highest, item.row);
      }
    }
    lowest = std::max(lowest, 0);
    for (std::size_t i = at(ordinary); i < b.items.size(); ++i) {
      layout_item& item = b.items[i];
      if (item.leaf >= 0) {  // above the first that reads it
        item.row = lowest;
        for (const layout_line& l : b.lines) {
          if (at(l.from) != i) continue;
          item.row = std::min(item.row, b.items[at(l.to)].row - (b.items[at(l.to)].column == 0));
        }
      } else {  // ports at the side of the frame
        item.row = item.entry == (frame == 0) ? highest - 1 : lowest + 1;
      }
    }
  }

  std::string frame_label(i32 body) const {
    const std::string layer = spell_layer(g_, g_.operations[loops_[body].begin]);
    return (layer.empty() ? "" : layer + " ") + spell_trips(g_.bodies[body]);
  }

  void emit(i32 body, double x, double y) {
    const body_layout& b = bodies_[at(body)];
    for (const layout_item& i : b.items) {
      if (!i.laid_out()) continue;
      const rectangle where{x + i.x, y + i.y, i.width, i.height};
      const auto what = static_cast<phase>(i.column);
      if (i.body >= 0) {
        p_.frames.push_back({i.body, what, where, frame_label(i.body)});
        emit(i.body, where.x, where.y);
      } else if (i.operation >= 0) {
        box_of_[at(i.operation)] = count_of(p_.boxes.size());
        p_.boxes.push_back(
            {i.operation, -1, what, where, box_lines(g_, g_.operations[i.operation])});
      } else {
        box_of_leaf_[i.leaf] = count_of(p_.boxes.size());
        p_.boxes.push_back({-1, i.leaf, what, where, leaf_lines(g_, i.leaf)});
      }
    }
    for (const auto& [link, line] : b.line_of_link) {
      // Out of the loops that the writer is in, then into those of the reader.
      const bool leaving = !encloses_operation(body, links_[at(link)].to);
      const i32 depth = g_.bodies[body].depth;
      std::vector<point> points = b.lines[at(line)].points;
      for (point& p : points) p = {p.x + x, p.y + y};
      segments_[at(link)][leaving ? -depth : depth] = points;
    }
  }

  void emit_line(std::size_t which) {
    const link& l = links_[which];
    picture_line line;
    line.from = l.from >= 0 ? box_of_[at(l.from)] : box_of_leaf_[l.leaf];
    line.to = box_of_[at(l.to)];
    line.tensor = l.tensor;
    if (l.carried) {
      line.what = line_kind::carried;
    } else if (l.from >= 0 && column_of(l.from) == 0 && column_of(l.to) != 0) {
      line.what = line_kind::kept;
    }
    for (const auto& [order, points] : segments_[which]) {
      for (const point& p : points) {
        const bool same =
            !line.points.empty() && line.points.back().x == p.x && line.points.back().y == p.y;
        if (!same) line.points.push_back(p);
      }
    }
    p_.lines.push_back(line);
  }

  const graph& g_;
  flow flow_;
  grow<loop_span> loops_;
  std::vector<link> links_;
  std::vector<std::map<i32, std::vector<point>>> segments_;  // by link, in order of the way
  std::vector<body_layout> bodies_;
  std::vector<i32> item_of_operation_;
  std::vector<i32> box_of_;
  std::map<i32, i32> box_of_leaf_;
  picture p_;
};

}  // namespace detail

/// Boxes, frames and lines of a graph. Every operation but the ends of loops has one box.
inline picture lay_out(const graph& g) { return detail::picture_layout(g).make(); }

}  // namespace tessera
