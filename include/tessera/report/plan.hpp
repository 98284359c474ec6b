#pragma once

// A memory plan as text: totals, a table of tensors, and a drawing.
//
//   arena 1392448 bytes
//   ##############......   conv1.out        a row for every buffer, time across: # where it lives
//   ..####..............   max_pool1.out

#include <tessera/network/job.hpp>
#include <tessera/report/memory_map.hpp>
#include <algorithm>
#include <iomanip>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace tessera {

/// The tensors of a job's plan, in the order of its graph. Those that have no bytes at all, such as
/// gradients consumed by a fused update, are left out.
template <class Job>
std::vector<placed_tensor> list_plan() {
  std::vector<placed_tensor> rows;
  for (i32 id = 0; id < Job::tensor_count; ++id) {
    const placed_tensor row = Job::placement(id);
    if (row.at.where != region::none) rows.push_back(row);
  }
  return rows;
}

inline void report(std::ostream& out, const memory_summary& m) {
  const auto row = [&](const char* name, i64 bytes) {
    out << std::left << std::setw(22) << name << std::right << std::setw(12) << bytes << "\n";
  };
  row("arena", m.arena_bytes);
  row("  lower bound", m.lower_bound_bytes);
  row("  without reuse", m.no_reuse_bytes);
  if (m.scratchpad_bytes > 0) row("scratchpad", m.scratchpad_bytes);
  row("parameters", m.parameter_bytes);
  row("  16-bit copies", m.working_bytes);
  row("optimizer state", m.state_bytes);
  row("input and target", m.input_bytes + m.target_bytes + m.constant_bytes);
  row("total", m.total_bytes);
}

/// One row per tensor: name, shape, type, bytes, first and last operation, place. "=" before the
/// place marks bytes shared with an earlier tensor (in place, or a view).
inline void report_tensors(std::ostream& out, std::span<const placed_tensor> rows) {
  for (const placed_tensor& r : rows) {
    const text<48> dims = spell_all<48>(r.dims);
    out << std::left << std::setw(32) << spell(r.name).view() << std::setw(16) << dims.view()
        << std::setw(5) << name_of(r.type) << std::right << std::setw(10) << r.bytes;
    if (in_arena(r.what)) {
      out << std::setw(5) << r.born << std::setw(4) << r.dies;
    } else {
      out << "         ";
    }
    out << (r.own_bytes ? "   " : "  =") << name_of(r.at.where) << "+" << r.at.offset << "\n";
  }
}

/// Buffers of the arena, lowest offset last, time across. One column per operation.
inline void draw_plan(std::ostream& out, std::span<const placed_tensor> rows) {
  i32 steps = 0;
  std::vector<const placed_tensor*> buffers;
  for (const placed_tensor& r : rows) {
    if (r.at.where != region::arena || !r.own_bytes) continue;
    buffers.push_back(&r);
    steps = r.dies + 1 > steps ? r.dies + 1 : steps;
  }
  std::sort(buffers.begin(), buffers.end(), [](const placed_tensor* a, const placed_tensor* b) {
    return a->at.offset != b->at.offset ? a->at.offset > b->at.offset : a->born < b->born;
  });
  for (const placed_tensor* b : buffers) {
    std::string line(static_cast<std::size_t>(steps), '.');
    for (i32 i = b->born; i <= b->dies && i < steps; ++i) line[static_cast<std::size_t>(i)] = '#';
    out << std::setw(9) << b->at.offset << " " << std::setw(8) << b->bytes << "  " << line << "  "
        << spell(b->name).view() << "\n";
  }
}

}  // namespace tessera
