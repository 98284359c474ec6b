#pragma once

// Reports as JSON.

#include <tessera/io/json.hpp>
#include <tessera/report/memory_map.hpp>
#include <tessera/report/plan.hpp>
#include <string>

namespace tessera {

/// {"arena_bytes": ..., "lower_bound_bytes": ..., "no_reuse_bytes": ..., "parameter_bytes": ...,
///  "working_bytes": ..., "state_bytes": ..., "scratchpad_bytes": ...,
///  "total_bytes": ...}
inline io::json to_json(const memory_summary& m) {
  return {{"arena_bytes", m.arena_bytes},           {"lower_bound_bytes", m.lower_bound_bytes},
          {"no_reuse_bytes", m.no_reuse_bytes},     {"parameter_bytes", m.parameter_bytes},
          {"working_bytes", m.working_bytes},       {"state_bytes", m.state_bytes},
          {"scratchpad_bytes", m.scratchpad_bytes}, {"total_bytes", m.total_bytes}};
}

/// The memory plan of a job: its totals, and under "tensors" one object per tensor.
template <class Job>
io::json plan_to_json() {
  io::json plan = to_json(memory_of<Job>());
  io::json tensors = io::json::array();
  for (const placed_tensor& r : list_plan<Job>()) {
    io::json row{{"name", std::string(spell(r.name).view())},
                 {"shape", std::string(spell_all<48>(r.dims).view())},
                 {"type", name_of(r.type)},
                 {"bytes", r.bytes},
                 {"region", name_of(r.at.where)},
                 {"offset", r.at.offset},
                 {"shares_bytes", !r.own_bytes}};
    if (in_arena(r.what)) {
      row["born"] = r.born;
      row["dies"] = r.dies;
    }
    tensors.push_back(row);
  }
  plan["tensors"] = tensors;
  return plan;
}

/// A plan that was mapped: its totals; under "tensors" one object per tensor, with the tensor that
/// it is in place of or a view of; under "alive" the bytes alive at each operation; under
/// "operations" their names.
inline io::json to_json(const memory_map& map) {
  io::json plan = to_json(map.memory);
  io::json tensors = io::json::array();
  for (const mapped_tensor& t : map.tensors) {
    io::json row{{"name", t.name},
                 {"shape", std::string(spell_all<48>(t.dims).view())},
                 {"type", name_of(t.type)},
                 {"bytes", t.bytes},
                 {"region", name_of(t.where)},
                 {"offset", t.offset},
                 {"why", spell_why(map, t)}};
    if (t.buffer >= 0) {
      row["born"] = t.born;
      row["dies"] = t.dies;
      row["buffer"] = t.buffer;
    }
    tensors.push_back(row);
  }
  plan["tensors"] = tensors;
  plan["operations"] = map.operations;
  plan["alive"] = map.alive;
  return plan;
}

}  // namespace tessera
