#pragma once

// Recomputation: which values of the forward pass are dropped and computed again, so that a step
// keeps a budget of arena bytes, or takes as few as it can.
//
//   way 0     every value that the backward pass reads is kept
//   way 1     lives that end earlier at no cost (read_slots, passes/shorten.hpp)
//   way 2     what elementwise operations and normalizations give is computed again from what
//             convolutions and matrix products gave (passes/drop_values.hpp)
//   way 3     way 2, and loops in pieces, of which the first states are kept
//             (passes/split_loops.hpp)
//   way 4     the same, and the pieces in pieces of their own
//   way 5     the same, and trips keep only what goes on to the next
//   way 6 ..  blocks run again by a route of the chain planner, fewest bytes first; loops may keep
//             what goes from trip to trip only (passes/planned_step.hpp)
//
// A budget takes the least work that keeps it among the ways that are tried: the first three, then
// the route that the planner says and its neighbours, at last ways 3, 4 and 5. Least memory takes
// the least of ways 4, 5 and the first routes. What counts is the bound of the finished step,
// temporaries of the backward pass included. Whatever is chosen, the step computes the same bits.
// Sources: Chen, Xu, Zhang, Guestrin 2016, Training Deep Nets with Sublinear Memory Cost; chain
// planner: passes/chain_plan.hpp.

#include <tessera/passes/place.hpp>
#include <tessera/passes/planned_step.hpp>
#include <tessera/passes/shorten.hpp>
#include <tessera/passes/slots.hpp>
#include <tessera/passes/split_loops.hpp>

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

  /// Extra work as a share of a forward pass.
  constexpr double share() const {
    return forward_macs > 0 ? static_cast<double>(extra_macs) / static_cast<double>(forward_macs)
                            : 0;
  }
};

namespace passes {

/// The first way that is a route.
inline constexpr i32 first_route = 6;

/// The ways in between that split loops.
constexpr bool splits(i32 way) { return way >= 3 && way < first_route; }
constexpr split_rule split_rule_of(i32 way) {
  return {way == 3 ? 1 : loop_body::max_depth - 1, way == 5};
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

/// The most bytes of a finished step alive at once.
constexpr i64 bound_of(const graph& g) {
  const liveness l = find_liveness(g);
  return lower_bound(l.buffers.data(), l.buffers.size());
}

/// What a way has given: `g` is the step but for its slots.
constexpr recompute_summary summarize(graph g, const repeated_work& work, i64 macs) {
  write_into_slots(g);
  const i64 bound = work.possible ? bound_of(g) : i64{1} << 62;
  return {work.macs, macs, work.operations, bound};
}

/// True where a step has loops that can be split.
constexpr bool recurs(const graph& g) {
  for (i32 body = 1; body < g.bodies.size(); ++body) {
    if (can_be_split(g, body)) return true;
  }
  return false;
}

/// Which way to try next, and the best so far.
class recompute_search {
 public:
  /// `recurs`: there are loops that can be split. Without them ways 3 to 5 have nothing to offer,
  /// and way 0 is no smaller than way 1.
  constexpr recompute_search(const recompute_policy& policy, bool recurs)
      : policy_(policy),
        recurs_(recurs),
        way_(policy.goal == recompute_goal::least && !recurs ? 1 : 0) {}

  constexpr bool done() const { return way_ < 0; }
  constexpr i32 way() const { return way_; }
  /// False where what comes next does not depend on the routes.
  constexpr bool needs_routes() const {
    return way_ >= 2 || (way_ == 1 && policy_.goal == recompute_goal::least);
  }
  constexpr i32 best_way() const { return best_way_; }
  constexpr const recompute_summary& best() const { return best_; }

  /// Takes note of what the way at hand has given.
  constexpr void note(const recompute_summary& found, const chain_routes& plan) {
    if (best_way_ < 0 || better(found)) {
      best_ = found;
      best_way_ = way_;
    }
    const bool least = policy_.goal == recompute_goal::least;
    way_ = least ? after_least(plan) : after_budget(fits(found), plan);
    if (way_ < 0 && !least && !fits(best_) && recurs_ && split_ < 5) {
      split_ = split_ == 0 ? 3 : split_ + 1;  // the last resort
      way_ = split_;
    }
  }

 private:
  static constexpr i32 least_tried = 2;
  static constexpr i32 most_tried = 4;

  /// What least memory tries next. Way 2 is the last of the routes.
  constexpr i32 after_least(const chain_routes& plan) const {
    if (way_ == 0) return 1;
    if (way_ == 1) return recurs_ ? 4 : first_route;
    const i32 routes = plan.routes.size();
    const i32 next = way_ + 1;
    return next < first_route + (routes < least_tried ? routes : least_tried) ? next : -1;
  }

  /// What a budget tries next: the first ways, the route that the plan says, and from there cheaper
  /// ones while they keep the budget, or smaller ones until one does.
  constexpr i32 after_budget(bool keeps, const chain_routes& plan) {
    if (split_ > 0) return -1;
    const i32 end = first_route + plan.routes.size();
    if (way_ < 2) return keeps ? -1 : way_ + 1;
    if (way_ == 2) {
      i32 next = first_route;
      while (next + 1 < end && plan.routes[next + 1 - first_route].bytes <= policy_.bytes) ++next;
      return keeps ? -1 : next;
    }
    ++tried_;
    if (tried_ == 1) upwards_ = keeps;
    if (keeps != upwards_ || tried_ == most_tried) {
      if (fits(best_) || way_ == first_route || asked_least_) return -1;
      asked_least_ = true;
      return first_route;
    }
    const i32 next = way_ + (upwards_ ? 1 : -1);
    return next < first_route || next >= end ? -1 : next;
  }

  constexpr bool fits(const recompute_summary& s) const {
    return policy_.goal == recompute_goal::budget && s.bound_bytes <= policy_.bytes;
  }
  constexpr bool better(const recompute_summary& s) const {
    if (fits(s) != fits(best_)) return fits(s);
    if (fits(s) || s.bound_bytes == best_.bound_bytes) return s.extra_macs < best_.extra_macs;
    return s.bound_bytes < best_.bound_bytes;
  }

  recompute_policy policy_;
  bool recurs_;
  i32 way_;  // -1: nothing is left to try
  i32 best_way_ = -1;
  recompute_summary best_;
  i32 tried_ = 0;
  bool upwards_ = false;
  bool asked_least_ = false;
  i32 split_ = 0;  // the last way to split loops that was tried at the end
};

/// Changes a finished step, but for its slots, by policy: at run time. A job goes through the same
/// ways one constant at a time (network/recomputed.hpp). `plain`: the same step as it is made where
/// nothing is to be recomputed, for way 0.
constexpr recompute_summary recompute(graph& g, const recompute_policy& policy,
                                      const graph& plain) {
  if (!policy.used()) return {};
  graph shorter = g;
  read_slots(shorter);
  graph cheap = shorter;
  const repeated_work cheap_work = drop_values(cheap, drop_rule::cheap);
  graph lean = cheap;
  const grow<repeated_work> lean_work = drop_in_loops(lean);
  const step_blocks blocks = find_blocks(cheap, lean, lean_work);
  const chain_routes plan = find_routes(blocks.chain);
  const i64 macs = forward_macs(g);
  graph best;
  for (recompute_search search(policy, recurs(g));;) {
    const i32 way = search.way();
    graph tried = way == 0 ? plain : way == 1 ? shorter : cheap;
    repeated_work work;
    if (way >= 2) work = cheap_work;
    if (splits(way)) work += split_loops(tried, split_rule_of(way));
    if (way >= first_route) {
      work += follow_route(tried, blocks, plan.steps.data() + plan.routes[way - first_route].first);
    }
    search.note(summarize(tried, work, macs), plan);
    if (search.best_way() == way) best = tried;
    if (!search.done()) continue;
    g = best;
    return search.best();
  }
}

constexpr recompute_summary recompute(graph& g, const recompute_policy& policy) {
  const graph plain = g;
  return recompute(g, policy, plain);
}

}  // namespace passes
}  // namespace tessera
