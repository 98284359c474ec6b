#pragma once

// Recomputation: which values of the forward pass are dropped and computed again, so that a step
// keeps a budget of arena bytes, or takes as few as it can.
//
//   nothing   every value that the backward pass reads is kept
//   cheap     what elementwise operations and normalizations give is computed again from what
//             convolutions and matrix products gave (passes/drop_values.hpp)
//   trips     a loop keeps what goes from trip to trip; the loop back computes the rest of each
//             trip again
//
// The ways stand in the order of what they cost. A budget takes the first that keeps it, least
// memory the one with the lowest bound. What counts is the bound of the finished step, temporaries
// of the backward pass included. Whatever is chosen, the step computes the same bits.
// Source: Chen, Xu, Zhang, Guestrin 2016, Training Deep Nets with Sublinear Memory Cost.

#include <tessera/passes/drop_values.hpp>
#include <tessera/passes/place.hpp>
#include <tessera/passes/slots.hpp>

namespace tessera {

enum class recompute_goal : u8 { nothing, budget, least };

/// What a job asks for: network/options.hpp has the types.
struct recompute_policy {
  recompute_goal goal = recompute_goal::nothing;
  i64 bytes = 0;  // budget: of the arena

  constexpr bool used() const { return goal != recompute_goal::nothing; }
};

/// What recomputation costs a step, and what it has reached.
struct recompute_summary {
  i64 extra_macs = 0;    // multiply-adds that are done again in a step
  i64 forward_macs = 0;  // those of the forward pass
  i32 operations = 0;    // operations that are repeated; in a loop each counts once
  i64 bound_bytes = 0;   // the most bytes of the arena alive at once
  i64 least_bytes = 0;   // the same for the least memory, where the goal was not kept or is that

  /// Extra work as a share of a forward pass.
  constexpr double share() const {
    return forward_macs > 0 ? static_cast<double>(extra_macs) / static_cast<double>(forward_macs)
                            : 0;
  }
};

namespace passes {

/// A way to recompute.
struct recompute_way {
  bool cheap = false;
  bool trips = false;
};
inline constexpr i32 recompute_ways = 3;
constexpr recompute_way way_number(i32 index) { return {index >= 1, index >= 2}; }

/// Rewrites a finished step in that way, but for its slots.
constexpr repeated_work recompute_by(graph& g, const recompute_way& way) {
  repeated_work all;
  const auto add = [&](const repeated_work& w) {
    all.macs += w.macs;
    all.operations += w.operations;
  };
  if (way.cheap) add(drop_values(g, g.forward_operations, drop_rule::cheap));
  if (way.trips) add(drop_values(g, g.forward_operations, drop_rule::all, true));
  return all;
}

/// Multiply-adds of the forward pass of a step.
constexpr i64 forward_macs(const graph& g) {
  const grow<i32> bodies = bodies_of_operations(g);
  i64 macs = 0;
  for (i32 i = 0; i < g.forward_operations; ++i) {
    macs += ops::macs_of(g, g.operations[i]) * runs_of(g, bodies[i]);
  }
  return macs;
}

/// What a way makes of step `g`.
constexpr recompute_summary try_way(const graph& g, const recompute_way& way) {
  graph changed = g;
  const repeated_work work = recompute_by(changed, way);
  write_into_slots(changed);
  const liveness l = find_liveness(changed);
  recompute_summary s;
  s.extra_macs = work.macs;
  s.forward_macs = forward_macs(g);
  s.operations = work.operations;
  s.bound_bytes = lower_bound(l.buffers.data(), l.buffers.size());
  return s;
}

/// True where `found` is what `policy` wants, so that no further way is tried.
constexpr bool settles(const recompute_policy& policy, const recompute_summary& found) {
  if (policy.goal == recompute_goal::nothing) return true;
  return policy.goal == recompute_goal::budget && found.bound_bytes <= policy.bytes;
}

/// True where `next` is to be preferred to `best`, which did not settle it.
constexpr bool improves(const recompute_summary& best, const recompute_summary& next) {
  return next.bound_bytes < best.bound_bytes;
}

/// Changes a finished step, but for its slots, by policy. At run time; a job goes through the ways
/// one constant at a time (network/recomputed.hpp).
constexpr recompute_summary recompute(graph& g, const recompute_policy& policy) {
  if (!policy.used()) return {};
  i32 best = 0;
  recompute_summary found = try_way(g, way_number(0));
  for (i32 way = 1; way < recompute_ways && !settles(policy, found); ++way) {
    const recompute_summary next = try_way(g, way_number(way));
    if (!improves(found, next)) continue;
    found = next;
    best = way;
  }
  recompute_by(g, way_number(best));
  found.least_bytes = found.bound_bytes;
  return found;
}

}  // namespace passes
}  // namespace tessera
