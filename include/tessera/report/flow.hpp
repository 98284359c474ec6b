#pragma once

// Flow: which operation hands what to which, and to which part of a step it belongs.
//
//   forward    what stands before the first operation that writes a gradient
//   backward   what follows, but for
//   update     what changes a parameter, or state after the forward pass
//   loop       a loop is what is in it: backward where anything is, forward where all of it is
//
// A reader is tied to those who wrote the bytes it reads, through views and across the borders of
// loops: to the last one that wrote all of them, and to everybody who wrote a part since. What is
// read before the same loop writes it comes round from an earlier trip ("carried"). Parameters,
// states and batches tie nobody: they are there before the step.
// O(operations x writers of a tensor's bytes).

#include <tessera/ir/loops.hpp>
#include <tessera/network/frozen.hpp>
#include <algorithm>
#include <vector>

namespace tessera {

enum class phase : u8 { forward, backward, update };

/// The graph of a job's step, for the functions of this folder.
template <class Job>
graph graph_of() {
  return thaw(Job::plan::step_graph);
}

/// An output of one operation that another one reads.
struct handover {
  i32 from = -1;
  i32 to = -1;
  i32 tensor = -1;  // as the reader names it
  bool carried = false;
};

struct flow {
  std::vector<phase> phase_of;  // by operation
  std::vector<i32> body_of;     // by operation; the ends of a loop stand in the body around
  std::vector<handover> edges;  // by reader
};

namespace detail {

constexpr bool is_loop_end(kind what) { return what == kind::loop || what == kind::end_loop; }

/// True for what one step leaves to the next or the caller fills: ties no operations.
constexpr bool lasting(role what) { return !in_arena(what) && what != role::working; }

/// Elements of its storage that a view names: in the first trip, and over all trips.
struct extent {
  i64 first_begin = 0, first_end = 0;
  i64 begin = 0, end = 0;
  i64 step[loop_body::max_depth + 1] = {};

  constexpr bool touches(const extent& other) const {
    return begin < other.end && other.begin < end;
  }
};

inline extent extent_of(const graph& g, i32 id) {
  extent e;
  e.first_end = e.end = g.tensors[id].dims.count();
  for (; g.tensors[id].of >= 0; id = g.tensors[id].of) {
    const tensor& t = g.tensors[id];
    const i64 swept = t.step * (g.bodies[t.body].trips - 1);
    e.first_begin += t.base;
    e.first_end += t.base;
    e.begin += t.base + std::min<i64>(swept, 0);
    e.end += t.base + std::max<i64>(swept, 0);
    e.step[g.bodies[t.body].depth] += t.step;
  }
  return e;
}

/// True where everything that `read` sees in a trip has been written through `written`.
inline bool covers(const graph& g, i32 written, i32 read) {
  if (written == read) return true;
  const extent w = extent_of(g, written);
  const extent r = extent_of(g, read);
  if (g.tensors[written].body != g.tensors[read].body) return w.begin <= r.begin && r.end <= w.end;
  return std::equal(std::begin(w.step), std::end(w.step), std::begin(r.step)) &&
         w.first_begin <= r.first_begin && r.first_end <= w.first_end;
}

inline std::vector<phase> find_phases(const graph& g) {
  const i32 operations = g.operations.size();
  const auto writes = [&](const operation& op, role what) {
    return std::any_of(std::begin(op.out), std::end(op.out),
                       [&](i32 id) { return id >= 0 && g.tensors[id].what == what; });
  };
  std::vector<phase> phases(static_cast<std::size_t>(operations), phase::forward);
  bool back = false;
  for (i32 i = 0; i < operations; ++i) {
    const operation& op = g.operations[i];
    back = back || writes(op, role::gradient) || writes(op, role::parameter);
    phase& p = phases[static_cast<std::size_t>(i)];
    if (back) p = phase::backward;
    if (writes(op, role::parameter) || (back && writes(op, role::state))) p = phase::update;
  }
  const grow<loop_span> loops = find_loops(g);
  for (i32 body = 1; body < g.bodies.size(); ++body) {
    if (loops[body].begin < 0) continue;
    bool seen[3] = {};
    for (i32 i = loops[body].begin + 1; i < loops[body].end; ++i) {
      if (is_loop_end(g.operations[i].what)) continue;
      seen[static_cast<i32>(phases[static_cast<std::size_t>(i)])] = true;
    }
    phase p = phase::forward;
    if (seen[1]) {
      p = phase::backward;
    } else if (seen[2]) {
      p = phase::update;
    }
    phases[static_cast<std::size_t>(loops[body].begin)] = p;
    phases[static_cast<std::size_t>(loops[body].end)] = p;
  }
  return phases;
}

}  // namespace detail

inline flow find_flow(const graph& g) {
  flow f;
  f.phase_of = detail::find_phases(g);
  const grow<i32> bodies = bodies_of_operations(g);
  f.body_of.assign(bodies.begin(), bodies.end());
  const grow<loop_span> loops = find_loops(g);

  struct write {
    i32 operation;
    i32 tensor;
  };
  std::vector<std::vector<write>> writers(static_cast<std::size_t>(g.tensors.size()));
  for (i32 i = 0; i < g.operations.size(); ++i) {
    for (const i32 out : g.operations[i].out) {
      if (out < 0 || detail::lasting(g.tensors[out].what)) continue;
      writers[static_cast<std::size_t>(storage_of(g, out))].push_back({i, out});
    }
  }

  for (i32 i = 0; i < g.operations.size(); ++i) {
    const std::size_t mine = f.edges.size();
    const auto tie = [&](i32 from, i32 tensor, bool carried) {
      for (std::size_t e = mine; e < f.edges.size(); ++e) {
        if (f.edges[e].from == from && f.edges[e].tensor == tensor) return;
      }
      f.edges.push_back({from, i, tensor, carried});
    };
    for (const i32 in : g.operations[i].in) {
      if (in < 0) continue;
      const i32 storage = storage_of(g, in);
      const detail::extent read = detail::extent_of(g, in);
      const auto& all = writers[static_cast<std::size_t>(storage)];
      // The outermost loop around the reader within which the bytes stay from trip to trip.
      i32 round = f.body_of[static_cast<std::size_t>(i)];
      while (round > 0 && g.bodies[round].depth > g.bodies[g.tensors[storage].body].depth + 1) {
        round = g.bodies[round].parent;
      }
      const bool stays = g.bodies[round].depth > g.bodies[g.tensors[storage].body].depth;
      std::vector<i32> tied;  // tensors through which those tied so far wrote, last first
      const auto hidden = [&](i32 tensor) {
        return std::any_of(tied.begin(), tied.end(), [&](i32 later) {
          return g.tensors[later].body == g.tensors[tensor].body &&
                 detail::covers(g, later, tensor);
        });
      };
      bool written_in_this_trip = false;
      for (std::size_t k = all.size(); k-- > 0;) {
        const write w = all[k];
        if (w.operation >= i || !detail::extent_of(g, w.tensor).touches(read)) continue;
        if (hidden(w.tensor)) continue;
        tie(w.operation, in, false);
        tied.push_back(w.tensor);
        if (!detail::covers(g, w.tensor, in)) continue;
        written_in_this_trip = stays && w.operation > loops[round].begin;
        break;
      }
      if (!stays || written_in_this_trip) continue;
      tied.clear();
      for (std::size_t k = all.size(); k-- > 0;) {
        const write w = all[k];
        if (w.operation < i || w.operation > loops[round].end) continue;
        if (!detail::extent_of(g, w.tensor).touches(read) || hidden(w.tensor)) continue;
        tie(w.operation, in, true);
        tied.push_back(w.tensor);
      }
    }
  }
  return f;
}

}  // namespace tessera
