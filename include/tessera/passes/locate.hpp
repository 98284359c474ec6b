#pragma once

// Locations: where every tensor is, and the bytes of a whole step.
//
// Arena tensors are where placement put their buffer. The others stand one after another in the
// region of their role, in the order in which the graph declares them: the training and the
// inference graph of one network declare the same parameters in the same order and so share them.

#include <tessera/passes/liveness.hpp>
#include <tessera/passes/place.hpp>

namespace tessera::passes {

constexpr region region_of(role what) {
  switch (what) {
    case role::input: return region::input;
    case role::target: return region::target;
    case role::constant: return region::constant;
    case role::parameter:
    case role::statistic: return region::parameters;
    case role::working: return region::working;
    case role::state: return region::state;
    default: return region::arena;
  }
}

constexpr region region_of(const buffer& b) {
  return b.pool == 0 ? region::arena : region::scratchpad;
}

/// A step laid out in memory.
struct step_plan {
  grow<location> locations;  // by tensor; region none for arena tensors nobody writes
  memory_summary memory;
};

/// Where view `id` lies, from where its storage does.
constexpr location locate_view(const graph& g, const grow<location>& locations, i32 id) {
  location at = locations[storage_of(g, id)];
  if (at.where == region::none) return at;
  const i64 bytes = bytes_of(g.tensors[id].type);
  for (; g.tensors[id].of >= 0; id = g.tensors[id].of) {
    const tensor& t = g.tensors[id];
    at.offset += t.base * bytes;
    if (t.step != 0) at.step[g.bodies[t.body].depth - 1] += t.step * bytes;
  }
  return at;
}

/// `buffers` with their offsets and pools, `buffer_of` by tensor.
constexpr step_plan locate(const graph& g, const buffer* buffers, i32 buffer_count,
                           const i32* buffer_of, i64 no_reuse_bytes) {
  step_plan plan;
  plan.locations.resize(g.tensors.size());
  i64 size[region_count] = {};
  for (i32 i = 0; i < buffer_count; ++i) {
    const i64 end = buffers[i].offset + buffers[i].bytes;
    i64& pool = size[static_cast<i32>(region_of(buffers[i]))];
    if (end > pool) pool = end;
  }
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    location& at = plan.locations[id];
    if (t.of >= 0) continue;
    if (in_arena(t.what)) {
      if (buffer_of[id] < 0) continue;
      const buffer& b = buffers[buffer_of[id]];
      at = {region_of(b), b.offset, {}};
    } else {
      at.where = region_of(t.what);
      i64& end = size[static_cast<i32>(at.where)];
      at.offset = end;
      end += aligned(t.bytes());
    }
  }
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    if (g.tensors[id].of >= 0) plan.locations[id] = locate_view(g, plan.locations, id);
  }
  memory_summary& m = plan.memory;
  m.arena_bytes = size[static_cast<i32>(region::arena)];
  m.lower_bound_bytes = lower_bound(buffers, buffer_count);
  m.scratchpad_bytes = size[static_cast<i32>(region::scratchpad)];
  m.no_reuse_bytes = no_reuse_bytes;
  m.parameter_bytes = size[static_cast<i32>(region::parameters)];
  m.working_bytes = size[static_cast<i32>(region::working)];
  m.state_bytes = size[static_cast<i32>(region::state)];
  m.input_bytes = size[static_cast<i32>(region::input)];
  m.target_bytes = size[static_cast<i32>(region::target)];
  m.constant_bytes = size[static_cast<i32>(region::constant)];
  m.total_bytes = m.arena_bytes + m.parameter_bytes + m.working_bytes + m.state_bytes +
                  m.input_bytes + m.target_bytes + m.constant_bytes + m.scratchpad_bytes;
  return plan;
}

/// Liveness, placement and locations in one go, for graphs that are only known at run time.
constexpr step_plan plan_step(const graph& g, bool in_place = true) {
  liveness live = find_liveness(g, in_place);
  place(live.buffers.data(), live.buffers.size());
  return locate(g, live.buffers.data(), live.buffers.size(), live.buffer_of.data(),
                live.no_reuse_bytes);
}

}  // namespace tessera::passes
