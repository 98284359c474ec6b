#pragma once

// The step of a job that recomputes, found while compiling: each way that is tried is a constant of
// its own, so that each has a fresh allowance of constant-evaluation steps.
//
//   step without recomputation -> way 0 -> way 1 -> ... -> the step in the way that was chosen

#include <tessera/network/frozen.hpp>
#include <tessera/passes/recompute.hpp>

namespace tessera::detail {

/// `Make` is a function object that makes the step before recomputation and slots.
template <class Make, recompute_policy Policy>
struct recomputed {
  static constexpr graph_size size = size_of(Make{}());
  static constexpr auto whole = freeze<size>(Make{}());

  template <i32 Way>
  static constexpr recompute_summary tried = passes::try_way(borrow(whole),
                                                             passes::way_number(Way));

  template <i32 Next, i32 Best>
  static constexpr i32 choose() {
    if constexpr (Next == passes::recompute_ways) {
      return Best;
    } else if constexpr (passes::settles(Policy, tried<Best>)) {
      return Best;
    } else {
      constexpr bool better = passes::improves(tried<Best>, tried<Next>);
      return choose < Next + 1, better ? Next : Best > ();
    }
  }

  static constexpr i32 way = choose<1, 0>();
  static constexpr recompute_summary summary = [] {
    recompute_summary s = tried<way>;
    s.least_bytes = s.bound_bytes;
    return s;
  }();

  static constexpr graph make() {
    graph g = thaw(whole);
    passes::recompute_by(g, passes::way_number(way));
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
