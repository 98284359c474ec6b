#pragma once

// The summary of a network: what each layer computes, holds and costs, then the totals.
//
//   layer       kind        output  parameters      macs  step macs  weight bytes  kept bytes
//   conv1       conv2d     6x28x28         156  ...
//   layer1.1-5.conv1 x 5    ...                           a repeated block: once, all trips counted
//
// A layer is what one name asked for. Multiply-adds are those of a step (ops/work.hpp), first of
// the forward pass, then of all. Kept are the bytes the layer writes for the backward pass; what a
// layer hands on under another shape is counted once, where it was written.

#include <tessera/network/job.hpp>
#include <tessera/ops/work.hpp>
#include <tessera/passes/locate.hpp>
#include <tessera/report/columns.hpp>
#include <tessera/report/flow.hpp>
#include <tessera/report/labels.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace tessera {

struct layer_summary {
  std::string name;
  const char* what = "";  // its dearest operation
  i64 times = 1;          // runs in a step
  shape output;           // of one sample
  i64 parameters = 0;     // trainable values, of all trips
  i64 parameter_bytes = 0;
  i64 forward_macs = 0;
  i64 step_macs = 0;
  i64 kept_bytes = 0;
};

struct network_summary {
  std::vector<layer_summary> layers;
  layer_summary total;
  i32 batch = 0;
  memory_summary memory;
};

namespace detail {

class summarizer {
 public:
  explicit summarizer(const graph& g) : g_(g), flow_(find_flow(g)) {}

  network_summary make() {
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      if (flow_.phase_of[index(i)] == phase::forward) add_forward(i);
    }
    name_outputs();
    count_parameters();
    count_kept();
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const i64 macs = ops::macs_of(g_, g_.operations[i]) * runs_of(g_, flow_.body_of[index(i)]);
      s_.total.step_macs += macs;
      if (layer_summary* row = row_of(g_.operations[i].layer)) row->step_macs += macs;
    }
    for (const layer_summary& row : s_.layers) s_.total.forward_macs += row.forward_macs;
    s_.batch = g_.batch;
    drop_rows_without_work();
    return s_;
  }

 private:
  static std::size_t index(i32 i) { return static_cast<std::size_t>(i); }

  layer_summary* row_of(const tensor_name& layer) {
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const tensor_name& n = names_[i];
      if (n.ordinal == layer.ordinal && n.scope == layer.scope &&
          std::string_view(n.layer) == layer.layer) {
        return &s_.layers[i];
      }
    }
    return nullptr;
  }

  /// The row of the layer that operation `i` belongs to; -1 for none.
  i32 row_number(i32 i) {
    const layer_summary* row = row_of(g_.operations[i].layer);
    return row == nullptr ? -1 : static_cast<i32>(row - s_.layers.data());
  }

  void add_forward(i32 i) {
    const operation& op = g_.operations[i];
    if (row_of(op.layer) == nullptr) {
      if (op.what == kind::cast) return;  // a 16-bit copy, made before the layer that reads it
      names_.push_back(op.layer);
      dearest_.push_back(-1);
      last_.push_back(-1);
      s_.layers.emplace_back();
      s_.layers.back().name = spell_layer(g_, op);
    }
    const std::size_t row = index(row_number(i));
    const i64 macs = ops::macs_of(g_, op) * runs_of(g_, flow_.body_of[index(i)]);
    s_.layers[row].forward_macs += macs;
    if (op.what == kind::cast) return;
    const bool ends = is_loop_end(op.what);
    if (!ends && (dearest_[row] < 0 || macs > dearest_macs(row))) {
      dearest_[row] = i;
      s_.layers[row].what = ops::name_of(op.what);
      s_.layers[row].times = runs_of(g_, flow_.body_of[index(i)]);
    }
    if (!ends) last_[row] = i;
  }

  i64 dearest_macs(std::size_t row) const {
    const i32 i = dearest_[row];
    return ops::macs_of(g_, g_.operations[i]) * runs_of(g_, flow_.body_of[index(i)]);
  }

  /// What a layer puts out: the last it writes, or, where that happens in a loop of its own, what
  /// somebody reads of it afterwards.
  void name_outputs() {
    for (std::size_t row = 0; row < s_.layers.size(); ++row) {
      if (last_[row] < 0) continue;
      s_.layers[row].output = g_.tensors[g_.operations[last_[row]].out[0]].sample();
    }
    for (const handover& e : flow_.edges) {
      const i32 from = row_number(e.from);
      if (from < 0 || e.carried || flow_.phase_of[index(e.to)] != phase::forward) continue;
      if (row_number(e.to) == from) continue;
      const i32 inner = flow_.body_of[index(e.from)];
      const i32 outer = flow_.body_of[index(e.to)];
      if (inner != outer && encloses(g_, outer, inner)) {
        s_.layers[index(from)].output = g_.tensors[e.tensor].sample();
      }
    }
  }

  /// Parameters belong to the first layer that reads them.
  void count_parameters() {
    std::vector<bool> counted(index(g_.tensors.size()), false);
    for (i32 i = 0; i < g_.operations.size(); ++i) {
      const operation& op = g_.operations[i];
      if (flow_.phase_of[index(i)] != phase::forward || op.what == kind::cast) continue;
      for (const i32 in : op.in) {
        if (in < 0) continue;
        i32 id = storage_of(g_, in);
        if (g_.tensors[id].what == role::working) id = storage_of(g_, g_.tensors[id].parameter);
        const tensor& t = g_.tensors[id];
        if (t.what != role::parameter || counted[index(id)]) continue;
        counted[index(id)] = true;
        layer_summary& row = s_.layers[index(row_number(i))];
        for (layer_summary* sum : {&row, &s_.total}) {
          sum->parameters += t.dims.count();
          sum->parameter_bytes += t.bytes();
        }
      }
    }
  }

  /// Bytes that copies and zeros only begin, such as what goes round a loop, belong to the layer
  /// that goes on with them.
  void count_kept() {
    std::vector<bool> counted(index(g_.tensors.size()), false);
    for (const bool movers : {false, true}) {
      for (const handover& e : flow_.edges) {
        if (flow_.phase_of[index(e.from)] != phase::forward) continue;
        if (flow_.phase_of[index(e.to)] == phase::forward) continue;
        if (moves(g_.operations[e.from].what) != movers) continue;
        const i32 id = storage_of(g_, e.tensor);
        const i32 row = row_number(e.from);
        if (counted[index(id)] || row < 0 || !in_arena(g_.tensors[id].what)) continue;
        counted[index(id)] = true;
        s_.layers[index(row)].kept_bytes += g_.tensors[id].bytes();
        s_.total.kept_bytes += g_.tensors[id].bytes();
      }
    }
  }

  static bool moves(kind what) {
    return what == kind::copy || what == kind::zero || is_loop_end(what);
  }

  /// Rows of loops that only hand values into their body.
  void drop_rows_without_work() {
    for (std::size_t row = s_.layers.size(); row-- > 0;) {
      const bool idle = dearest_[row] < 0 || moves(g_.operations[dearest_[row]].what);
      if (idle && s_.layers[row].kept_bytes == 0) {
        s_.layers.erase(s_.layers.begin() + static_cast<std::ptrdiff_t>(row));
      }
    }
  }

  const graph& g_;
  flow flow_;
  network_summary s_;
  std::vector<tensor_name> names_;
  std::vector<i32> dearest_;
  std::vector<i32> last_;
};

}  // namespace detail

/// `memory` is found by planning the graph anew, which takes a while for thousands of operations.
inline network_summary summarize(const graph& g) {
  network_summary s = detail::summarizer(g).make();
  s.memory = passes::plan_step(g).memory;
  return s;
}

inline void report(std::ostream& out, const network_summary& s) {
  std::vector<std::vector<std::string>> table{
      {"layer", "kind", "output", "parameters", "macs", "step macs", "weight bytes", "kept bytes"}};
  const auto add = [&](const layer_summary& row, const std::string& dims) {
    std::string name = row.name;
    if (row.times > 1) name += " x " + std::to_string(row.times);
    table.push_back({name, row.what, dims, detail::with_commas(row.parameters),
                     detail::with_commas(row.forward_macs), detail::with_commas(row.step_macs),
                     detail::with_commas(row.parameter_bytes),
                     detail::with_commas(row.kept_bytes)});
  };
  for (const layer_summary& row : s.layers) {
    add(row, std::string(spell_all<48>(row.output).view()));
  }
  layer_summary total = s.total;
  total.name = "total";
  add(total, "");
  std::vector<std::size_t> widths(table[0].size(), 0);
  for (const auto& row : table) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  for (std::size_t r = 0; r < table.size(); ++r) {
    for (std::size_t c = 0; c < widths.size(); ++c) {
      const std::string gap(widths[c] - table[r][c].size(), ' ');
      out << (c == 0 ? "" : "  ") << (c < 2 ? table[r][c] + gap : gap + table[r][c]);
    }
    out << "\n";
    if (r == 0 || r + 2 == table.size()) {
      std::size_t all = 2 * (widths.size() - 1);
      for (const std::size_t width : widths) all += width;
      out << std::string(all, '-') << "\n";
    }
  }
  const auto bytes = [&](const char* name, i64 count) {
    out << name << detail::with_commas(count) << " bytes\n";
  };
  out << "batch " << s.batch << "; multiply-adds of the forward pass by sample "
      << detail::with_commas(s.batch > 0 ? s.total.forward_macs / s.batch : s.total.forward_macs)
      << "\n";
  bytes("arena          ", s.memory.arena_bytes);
  bytes("  lower bound  ", s.memory.lower_bound_bytes);
  bytes("  no reuse     ", s.memory.no_reuse_bytes);
  if (s.memory.scratchpad_bytes > 0) bytes("scratchpad     ", s.memory.scratchpad_bytes);
  bytes("whole step     ", s.memory.total_bytes);
}

/// The summary of a job's step, with the plan it really has.
template <class Job>
void summarize(std::ostream& out) {
  network_summary s = detail::summarizer(graph_of<Job>()).make();
  s.memory = memory_of<Job>();
  report(out, s);
}

/// The summary of a graph made at run time.
inline void summarize(std::ostream& out, const graph& g) { report(out, summarize(g)); }

}  // namespace tessera
