#pragma once

// Repeated blocks: one body in the graph, run several times with weights of its own each time.

#include <tessera/nn/chain.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

namespace detail {

template <layer... Block>
constexpr value build_repeat(builder& b, value x, i32 count, const char* name, i32 first) {
  if (!b.usable(x)) return {};
  graph& g = b.network();
  ops::loop_options o;
  o.trips = count;
  o.own_weights = true;
  o.stacked = b.differentiates();
  o.differentiable = b.trainable() || g.tensors[x.id].differentiable;
  ops::loop_writer loop(g, o, {"repeat"});
  const i32 carry = loop.carry(x.id);
  loop.begin();
  const i32 around = b.begin_repeat(name, loop.body(), first);
  const value in{loop.in(carry)};
  const value y = chain<Block...>::build(b, in);
  b.end_scope(around);
  if (!b.usable(y)) return {};
  if (b.sample(y) != b.sample(in)) {
    return b.fail({spell_all<64>("repeat<", count, ">"),
                   spell_all("a block that gives ", b.sample(in), " as it gets"),
                   spell_all<64>(b.sample(y)), "put what changes the shape before the repeat"});
  }
  loop.next(carry, y.id);
  loop.end();
  return {loop.final(carry)};
}

}  // namespace detail

/// The block `Count` times, one after another, each time with weights of its own. It is planned,
/// compiled and mapped once, whatever the count. Names: repeat1.0.conv1.weight, repeat1.1. ...
///
/// Shapes   the block's output is of its input's shape
/// Memory   training keeps the block's input and what its layers keep, `Count` times
/// Errors   "repeat<5>: expected a block that gives 16x8x8 as it gets, got 32x8x8; ..."
template <i32 Count, layer... Block>
struct repeat {
  static_assert(Count > 0 && sizeof...(Block) > 0, "repeat: expected at least 1 block");

  static constexpr value build(builder& b, value x) {
    return detail::build_repeat<Block...>(b, x, Count, "repeat", 0);
  }
};

/// The same, named by numbers from `First` on as PyTorch names the blocks of a Sequential:
/// scope<"layer3", scope<"0", wider>, repeat_from<1, 5, block>> has layer3.0. to layer3.5.
template <i32 First, i32 Count, layer... Block>
struct repeat_from {
  static_assert(Count > 0 && sizeof...(Block) > 0, "repeat_from: expected at least 1 block");

  static constexpr value build(builder& b, value x) {
    return detail::build_repeat<Block...>(b, x, Count, "", First);
  }
};

}  // namespace tessera
