#pragma once

// A graph in Graphviz's language: write_dot(file, graph_of<job>()), then dot -Tsvg.
//
//   boxes        operations: forward blue, backward orange, updates green
//   edges        tensors with shape and element type; dashed: handed from trip to trip
//   frames       bodies of loops, drawn once, with the number of trips
//   ellipses     inputs and targets; small and grey: parameters, statistics and states
//
// Views are no operations: an edge goes from who wrote the bytes to who reads them.
// Source of the format: graphviz.org/doc/info/lang.html

#include <tessera/report/escape.hpp>
#include <tessera/report/flow.hpp>
#include <tessera/report/labels.hpp>
#include <ostream>
#include <string>

namespace tessera {

struct dot_options {
  bool parameters = true;  // and statistics
  bool states = true;      // of the optimizer and of loss scaling
  bool shapes = true;      // on the edges
};

namespace detail {

class dot_writer {
 public:
  dot_writer(std::ostream& out, const graph& g, const dot_options& options)
      : out_(out), g_(g), options_(options), flow_(find_flow(g)) {}

  void write() {
    out_ << "digraph step {\n"
            "  node [shape=box style=\"rounded,filled\" fontname=\"Helvetica\" fontsize=11]\n"
            "  edge [fontname=\"Helvetica\" fontsize=9 color=\"#555555\"]\n";
    body(0, "  ");
    nodes_of_tensors();
    for (const handover& e : flow_.edges) {
      out_ << "  o" << e.from << " -> o" << e.to << label(e.tensor)
           << (e.carried ? " style=dashed constraint=false]\n" : "]\n");
    }
    edges_of_tensors();
    out_ << "}\n";
  }

 private:
  void body(i32 which, const std::string& indent) {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      if (flow_.body_of[static_cast<std::size_t>(i)] != which || op.what == kind::end_loop)
        continue;
      if (op.what == kind::loop) {
        const loop_body& b = g_.bodies[op.body];
        out_ << indent << "subgraph cluster_" << op.body << " {\n"
             << indent << "  label=\"" << escape_dot(spell_layer(g_, op)) << " " << spell_trips(b)
             << "\" style=\"rounded,dashed\" color=\"#777777\" fontname=\"Helvetica\"\n";
        body(op.body, indent + "  ");
        out_ << indent << "}\n";
        continue;
      }
      const phase_colours c = colours_of(flow_.phase_of[static_cast<std::size_t>(i)]);
      out_ << indent << "o" << i << " [label=\"" << escape_dot(spell_layer(g_, op)) << "\\n"
           << ops::name_of(op.what) << "\" fillcolor=\"" << c.fill << "\" color=\"" << c.line
           << "\"]\n";
    }
  }

  bool shown(i32 id) const {
    const role what = g_.tensors[id].what;
    if (!detail::lasting(what)) return false;
    if (what == role::state) return options_.states;
    return options_.parameters || what == role::input || what == role::target;
  }

  /// Once for each tensor outside the arena that an operation reads or writes.
  void nodes_of_tensors() {
    std::vector<bool> used(static_cast<std::size_t>(g_.tensors.size()), false);
    for (const operation& op : g_.operations) {
      for (const auto& ids : {op.in, op.out}) {
        for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
          if (ids[slot] >= 0) used[static_cast<std::size_t>(storage_of(g_, ids[slot]))] = true;
        }
      }
    }
    for (i32 id = 0; id < g_.tensors.size(); ++id) {
      if (!used[static_cast<std::size_t>(id)] || !shown(id)) continue;
      const tensor& t = g_.tensors[id];
      out_ << "  t" << id << " [shape=ellipse label=\"" << escape_dot(full_name(g_, t.name))
           << "\\n"
           << spell_type(t) << "\"";
      if (t.what == role::input || t.what == role::target) {
        out_ << " style=solid";
      } else {
        out_ << " style=filled fillcolor=\"#eeeeee\" color=\"#999999\" fontsize=8 margin=0.02";
      }
      out_ << "]\n";
    }
  }

  void edges_of_tensors() {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      for (i32 slot = 0; slot < operation::max_inputs; ++slot) {
        const i32 id = op.in[slot] < 0 ? -1 : storage_of(g_, op.in[slot]);
        if (id < 0 || !shown(id)) continue;
        bool before = false;  // the same bytes through another operand
        for (i32 k = 0; k < slot; ++k) before |= op.in[k] >= 0 && storage_of(g_, op.in[k]) == id;
        if (!before) out_ << "  t" << id << " -> o" << i << " [color=\"#aaaaaa\"]\n";
      }
      for (const i32 out : op.out) {
        if (out < 0 || !shown(storage_of(g_, out))) continue;
        // States hang below the updates that alone know them; the rest stands above its readers.
        const bool below = g_.tensors[out].what == role::state;
        out_ << "  o" << i << " -> t" << storage_of(g_, out) << " [color=\"#aaaaaa\" style=dotted"
             << (below ? "]\n" : " constraint=false]\n");
      }
    }
  }

  std::string label(i32 tensor) const {
    if (!options_.shapes) return " [";
    return " [label=\"" + spell_type(g_.tensors[tensor]) + "\"";
  }

  std::ostream& out_;
  const graph& g_;
  dot_options options_;
  flow flow_;
};

}  // namespace detail

inline void write_dot(std::ostream& out, const graph& g, const dot_options& options = {}) {
  detail::dot_writer(out, g, options).write();
}

}  // namespace tessera
