#pragma once

// A memory plan as data: what lies where, from when to when, and why there.
//
//   memory_map map = map_memory(graph);     // of a graph that is only known at run time
//   memory_map map = map_memory<job>();     // of a job: the plan it has
//
// The table, the drawings and the JSON of this folder show nothing that is not in the map. Lives
// are in operations, both ends included: of a tensor that owns bytes, those of all its views too;
// a tensor of a loop's body that lies outside of it lives as long as the loop runs.

#include <tessera/passes/locate.hpp>
#include <tessera/report/labels.hpp>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace tessera {

/// Why a tensor lies where it does.
enum class placed_as : u8 {
  own,       // in bytes that it is the first to use
  in_place,  // over a tensor that nobody reads any more
  view       // it is all or a part of another tensor
};

struct mapped_tensor {
  i32 id = -1;
  std::string name;
  shape dims;
  element type = element::f32;
  role what = role::activation;
  i64 bytes = 0;
  region where = region::none;
  i64 offset = 0;      // in the first trip of all loops around
  bool moves = false;  // from trip to trip of a loop
  i32 born = 0;        // arena tensors: first and last operation that needs it
  i32 dies = 0;
  bool repeated = false;  // computed again for the backward pass
  placed_as why = placed_as::own;
  i32 of = -1;      // the tensor that it is in place of, or a view of
  i32 buffer = -1;  // arena tensors
};

/// Bytes of the arena or the scratchpad: those of the first tensor that lies there and of all that
/// follow it.
struct mapped_buffer {
  std::vector<i32> tensors;  // numbers in memory_map::tensors, by birth
  i64 offset = 0;
  i64 bytes = 0;
  i32 born = 0;
  i32 dies = 0;
  i32 pool = 0;  // 1: the scratchpad
};

struct memory_map {
  std::vector<mapped_tensor> tensors;  // those that have bytes, in the order of the graph
  std::vector<mapped_buffer> buffers;
  std::vector<std::string> operations;  // "conv1 conv2d"
  std::vector<phase> phases;            // by operation
  std::vector<i64> alive;               // bytes alive at each operation, scratchpad included
  memory_summary memory;

  /// Where a drawing has a buffer: the scratchpad stands above the arena.
  i64 lies_at(const mapped_buffer& b) const {
    return b.offset + (b.pool == 0 ? 0 : memory.arena_bytes);
  }
  i64 height() const { return memory.arena_bytes + memory.scratchpad_bytes; }

  /// The operation at which most bytes are alive; 0 where none are.
  i32 peak() const {
    const auto most = std::max_element(alive.begin(), alive.end());
    return most == alive.end() ? 0 : static_cast<i32>(most - alive.begin());
  }
};

inline const char* name_of(region where) {
  switch (where) {
    case region::none: return "-";
    case region::arena: return "arena";
    case region::parameters: return "parameters";
    case region::working: return "working";
    case region::state: return "state";
    case region::input: return "input";
    case region::target: return "target";
    case region::constant: return "constant";
    case region::scratchpad: return "scratchpad";
  }
  return "?";
}

namespace detail {

/// By tensor: the first operation that names it and the last, 0 and -1 for none.
struct named_lives {
  std::vector<i32> first, last, writer;

  explicit named_lives(const graph& g) {
    const auto count = static_cast<std::size_t>(g.tensors.size());
    first.assign(count, 0);
    last.assign(count, -1);
    writer.assign(count, -1);
    const grow<loop_span> loops = find_loops(g);
    const grow<i32> bodies = bodies_of_operations(g);
    for (i32 i = 0; i < g.operations.size(); ++i) {
      const operation& op = g.operations[i];
      const auto use = [&](i32 id, bool writes) {
        if (id < 0) return;
        const auto at = static_cast<std::size_t>(id);
        const bool deeper = bodies[i] != g.tensors[id].body;
        const loop_span span =
            deeper ? span_at(g, loops, i, bodies[i], g.tensors[id].body) : loop_span{i, i};
        if (last[at] < 0) first[at] = span.begin;
        last[at] = std::max(last[at], span.end);
        if (writes && writer[at] < 0) writer[at] = i;
      };
      for (const i32 in : op.in) use(in, false);
      for (const i32 out : op.out) use(out, true);
    }
  }
};

/// The input that `id`, written by `op`, took its bytes from; -1 where it took none.
inline i32 in_place_of(const graph& g, const operation& op, i32 id, const i32* buffer_of) {
  for (i32 slot = 0; slot < operation::max_outputs; ++slot) {
    if (op.out[slot] != id) continue;
    const i32 over = ops::in_place_over(op, slot);
    if (over < 0 || op.in[over] < 0) return -1;
    const i32 in = storage_of(g, op.in[over]);
    return buffer_of[in] == buffer_of[id] ? in : -1;
  }
  return -1;
}

}  // namespace detail

/// The map of a plan that was made before: `buffers` with offsets, `buffer_of` by tensor.
inline memory_map map_memory(const graph& g, const buffer* buffers, i32 buffer_count,
                             const i32* buffer_of, const location* locations,
                             const memory_summary& memory) {
  memory_map map;
  map.memory = memory;
  const detail::named_lives lives(g);
  const flow steps = find_flow(g);
  map.phases = steps.phase_of;
  for (const operation& op : g.operations) {
    map.operations.push_back(spell_layer(g, op) + " " + ops::name_of(op.what));
  }
  for (i32 b = 0; b < buffer_count; ++b) {
    map.buffers.push_back({{},
                           buffers[b].offset,
                           buffers[b].bytes,
                           buffers[b].born,
                           buffers[b].dies,
                           buffers[b].pool});
  }
  for (i32 id = 0; id < g.tensors.size(); ++id) {
    const tensor& t = g.tensors[id];
    const auto at = static_cast<std::size_t>(id);
    if (locations[id].where == region::none) continue;
    mapped_tensor m;
    m.id = id;
    m.name = std::string(full_name(g, t.name));
    m.dims = t.dims;
    m.type = t.type;
    m.what = t.what;
    m.bytes = t.bytes();
    m.repeated = t.repeated;
    m.where = locations[id].where;
    m.offset = locations[id].offset;
    m.moves = locations[id].moves();
    if (t.of >= 0) {
      m.why = placed_as::view;
      m.of = t.of;
    }
    if (in_arena(g.tensors[storage_of(g, id)].what)) {
      m.buffer = buffer_of[id];
      m.born = lives.first[at];
      m.dies = t.what == role::result ? g.operations.size() : lives.last[at];
      const bool follows = t.of < 0 && m.buffer >= 0 && buffers[m.buffer].tensor != id;
      if (follows && lives.writer[at] >= 0) {
        m.of = detail::in_place_of(g, g.operations[lives.writer[at]], id, buffer_of);
        if (m.of >= 0) m.why = placed_as::in_place;
      }
    }
    map.tensors.push_back(m);
  }
  // Who owns bytes is there as long as anything that views it.
  std::vector<i32> row(static_cast<std::size_t>(g.tensors.size()), -1);
  for (std::size_t i = 0; i < map.tensors.size(); ++i) {
    row[static_cast<std::size_t>(map.tensors[i].id)] = static_cast<i32>(i);
  }
  const passes::tensor_uses uses = passes::find_uses(g);
  for (std::size_t i = 0; i < map.tensors.size(); ++i) {
    mapped_tensor& m = map.tensors[i];
    if (m.buffer < 0 || m.why == placed_as::view) continue;
    m.born = uses.first[m.id];
    m.dies = uses.last[m.id];
    map.buffers[static_cast<std::size_t>(m.buffer)].tensors.push_back(static_cast<i32>(i));
  }
  for (mapped_buffer& b : map.buffers) {
    std::stable_sort(b.tensors.begin(), b.tensors.end(), [&](i32 x, i32 y) {
      return map.tensors[static_cast<std::size_t>(x)].born <
             map.tensors[static_cast<std::size_t>(y)].born;
    });
  }
  const grow<i64> alive = passes::bytes_alive(buffers, buffer_count);
  for (i32 i = 0; i < g.operations.size(); ++i) {
    map.alive.push_back(i < alive.size() ? alive[i] : 0);
  }
  return map;
}

/// Plans a graph and maps the plan.
inline memory_map map_memory(const graph& g, bool in_place = true) {
  passes::liveness live = passes::find_liveness(g, in_place);
  passes::place(live.buffers.data(), live.buffers.size());
  const passes::step_plan plan = passes::locate(g, live.buffers.data(), live.buffers.size(),
                                                live.buffer_of.data(), live.no_reuse_bytes);
  return map_memory(g, live.buffers.data(), live.buffers.size(), live.buffer_of.data(),
                    plan.locations.data(), plan.memory);
}

/// The map of a job's plan.
template <class Job>
memory_map map_memory() {
  using plan = typename Job::plan;
  const auto arena = plan::arena();
  return map_memory(graph_of<Job>(), arena.items, arena.count, arena.of_tensor, plan::locations(),
                    plan::memory());
}

/// "in place of conv1.out", "view of gates", "recomputed", "recomputed, in place of conv1.out", "".
inline std::string spell_why(const memory_map& map, const mapped_tensor& t) {
  const bool again = t.repeated && t.why != placed_as::view;
  if (t.why == placed_as::own || t.of < 0) return again ? "recomputed" : "";
  std::string other = "another";
  for (const mapped_tensor& o : map.tensors) {
    if (o.id == t.of) other = o.name;
  }
  const char* const how = t.why == placed_as::view ? "view of " : "in place of ";
  return (again ? "recomputed, " : "") + std::string(how) + other;
}

/// "12.8 MB", "401 kB", "64 B".
inline std::string spell_bytes(i64 bytes) {
  const auto in = [&](double unit, const char* name) {
    const double value = static_cast<double>(bytes) / unit;
    const double tenths = std::round(10 * value) / 10;
    std::string words = std::to_string(value < 100 ? tenths : std::round(value));
    words.resize(words.find('.') + (value < 100 ? 2 : 0));
    return words + " " + name;
  };
  if (bytes >= 1'000'000) return in(1e6, "MB");
  if (bytes >= 1'000) return in(1e3, "kB");
  return std::to_string(bytes) + " B";
}

}  // namespace tessera
