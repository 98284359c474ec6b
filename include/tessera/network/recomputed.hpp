#pragma once

// The step of a job that recomputes, found while compiling: every graph on the way and every way
// that is tried is a constant of its own, so that each has a fresh allowance of
// constant-evaluation steps.
//
//   step -> lives shortened, cheap values dropped -> loops made lean -> blocks -> routes
//        -> tries, one after another -> the step in the way that was chosen

#include <tessera/network/frozen.hpp>
#include <tessera/passes/recompute.hpp>

namespace tessera::detail {

/// `Make` is a function object that makes the step before recomputation and slots, told whether
/// anything is to be recomputed.
template <class Make, recompute_policy Policy>
struct recomputed {
  static constexpr graph_size whole_size = size_of(Make{}(true));
  static constexpr auto whole = freeze<whole_size>(Make{}(true));

  static constexpr i64 whole_macs = passes::forward_macs(borrow(whole));

  /// The sizes of a graph, with what its making cost.
  struct made {
    graph_size size;
    passes::repeated_work work;
  };

  static constexpr graph make_cheap(passes::repeated_work& work) {
    graph g = thaw(whole);
    passes::read_slots(g);
    work = passes::drop_values(g, passes::drop_rule::cheap);
    return g;
  }
  static constexpr made cheap_made = [] {
    passes::repeated_work work;
    const graph g = make_cheap(work);
    return made{size_of(g), work};
  }();
  static constexpr auto cheap = [] {
    passes::repeated_work work;
    return freeze<cheap_made.size>(make_cheap(work));
  }();
  static constexpr i32 body_count = cheap_made.size.bodies;

  struct lean_result {
    graph_size size;
    frozen_array<passes::repeated_work, body_count> work;
  };
  static constexpr lean_result lean_made = [] {
    graph g = thaw(cheap);
    const grow<passes::repeated_work> work = passes::drop_in_loops(g);
    return lean_result{size_of(g), freeze<body_count>(work)};
  }();
  static constexpr auto lean = [] {
    graph g = thaw(cheap);
    passes::drop_in_loops(g);
    return freeze<lean_made.size>(g);
  }();

  static constexpr passes::step_blocks find_blocks() {
    return passes::find_blocks(
        borrow(cheap), borrow(lean),
        grow<passes::repeated_work>::borrow(lean_made.work.items, body_count));
  }
  struct frozen_blocks {
    i32 count = 0;
    frozen_array<passes::chain_block, passes::step_chain::most_blocks> chain;
    frozen_array<i32, passes::step_chain::most_blocks + 1> cuts;
    frozen_array<i32, body_count> body_block;
  };
  static constexpr frozen_blocks blocks = [] {
    const passes::step_blocks b = find_blocks();
    frozen_blocks f;
    f.count = b.chain.size();
    for (i32 i = 0; i < f.count; ++i) f.chain[i] = b.chain[i];
    for (i32 i = 0; i <= f.count; ++i) f.cuts[i] = b.cuts[i];
    f.body_block = freeze<body_count>(b.body_block);
    return f;
  }();
  static constexpr passes::step_blocks borrow_blocks() {
    return {grow<passes::chain_block>::borrow(blocks.chain.items, blocks.count),
            grow<i32>::borrow(blocks.cuts.items, blocks.count + 1),
            grow<i32>::borrow(blocks.body_block.items, body_count)};
  }

  struct frozen_routes {
    i32 count = 0;
    i32 steps_count = 0;
    frozen_array<passes::chain_route, passes::chain_planner::most_points> routes;
    frozen_array<i32, passes::chain_planner::most_steps> steps;
  };
  static constexpr frozen_routes routes = [] {
    const passes::chain_routes r = passes::find_routes(borrow_blocks().chain);
    frozen_routes f;
    f.count = r.routes.size();
    f.steps_count = r.steps.size();
    for (i32 i = 0; i < f.count; ++i) f.routes[i] = r.routes[i];
    for (i32 i = 0; i < f.steps_count; ++i) f.steps[i] = r.steps[i];
    return f;
  }();
  static constexpr passes::chain_routes borrow_routes() {
    return {grow<passes::chain_route>::borrow(routes.routes.items, routes.count),
            grow<i32>::borrow(routes.steps.items, routes.steps_count)};
  }

  /// The step with its loops split (ways 3 to 5) or gone over by a route, but for its slots.
  template <i32 Way>
  static constexpr graph make_route(passes::repeated_work& work) {
    graph g = thaw(cheap);
    work = cheap_made.work;
    if constexpr (passes::splits(Way)) {
      work += passes::split_loops(g, passes::split_rule_of(Way));
    } else {
      const i32 first = routes.routes[Way - passes::first_route].first;
      work += passes::follow_route(g, borrow_blocks(), routes.steps.items + first);
    }
    return g;
  }
  template <i32 Way>
  static constexpr made route_made = [] {
    passes::repeated_work work;
    const graph g = make_route<Way>(work);
    return made{size_of(g), work};
  }();
  template <i32 Way>
  static constexpr auto route_step = [] {
    passes::repeated_work work;
    return freeze<route_made<Way>.size>(make_route<Way>(work));
  }();

  /// The step in a way, but for its slots. Carries, which help with those, are known before
  /// anything is frozen only.
  template <i32 Way>
  static constexpr graph make_way() {
    if constexpr (Way == 0) {
      return Make{}(false);
    } else if constexpr (Way == 1) {
      graph g = thaw(whole);
      passes::read_slots(g);
      return g;
    } else if constexpr (Way == 2) {
      return thaw(cheap);
    } else {
      return thaw(route_step<Way>);
    }
  }
  template <i32 Way>
  static constexpr passes::repeated_work work_of() {
    if constexpr (Way < 2) {
      return {};
    } else if constexpr (Way == 2) {
      return cheap_made.work;
    } else {
      return route_made<Way>.work;
    }
  }
  template <i32 Way>
  static constexpr recompute_summary tried =
      [] { return passes::summarize(make_way<Way>(), work_of<Way>(), whole_macs); }();

  /// The search after `Tries` tries.
  template <i32 Tries>
  static constexpr passes::recompute_search search_after() {
    if constexpr (Tries == 0) {
      return passes::recompute_search(Policy, passes::recurs(borrow(whole)));
    } else {
      constexpr passes::recompute_search before = search_after<Tries - 1>();
      passes::recompute_search s = before;
      if constexpr (before.needs_routes()) {
        s.note(tried<before.way()>, borrow_routes());
      } else {
        s.note(tried<before.way()>, {});
      }
      return s;
    }
  }
  template <i32 Tries>
  static constexpr passes::recompute_search search() {
    constexpr passes::recompute_search s = search_after<Tries>();
    if constexpr (s.done()) {
      return s;
    } else {
      return search<Tries + 1>();
    }
  }
  static constexpr passes::recompute_search found = search<1>();
  static constexpr recompute_summary summary = found.best();

  static constexpr graph make() {
    graph g = make_way<found.best_way()>();
    passes::write_into_slots(g);
    return g;
  }
};

/// What is wrong with a budget; empty where the arena keeps it.
constexpr text<360> spell_budget(const recompute_policy& policy, i64 least) {
  if (policy.goal != recompute_goal::budget || least <= policy.bytes) return {};
  const diagnostic wrong{
      spell_all<64>("budget<", policy.bytes, ">"),
      spell_all("at least ", least, " bytes, what the arena takes with recomputation"),
      spell_all<64>(policy.bytes), "raise it, or take a smaller batch or type"};
  return spell(wrong);
}

}  // namespace tessera::detail
