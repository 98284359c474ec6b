#pragma once

// Repeated blocks: one body in the graph, run several times with weights of its own each time.

#include <tessera/nn/chain.hpp>
#include <tessera/ops/loop.hpp>

namespace tessera {

namespace detail {

/// `all`: what goes from block to block, and behind it what every block gets as it is.
template <layer... Block>
constexpr value build_repeat(builder& b, const bundle& all, i32 count, const char* name,
                             i32 first) {
  if (!b.usable(all)) return {};
  const value x = all.items[0];
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
  bundle flow = in;
  for (i32 i = 1; i < all.size; ++i) {
    flow.items[flow.size++] = {ops::captured(g, all.items[i].id, g.body)};
  }
  const value y = chain<Block...>::build(b, flow);
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
/// Of a bundle the first value goes from block to block, the others come to every block as they
/// are: lengths, masks, the memory of a decoder.
///
/// Shapes   the block's output is of its input's shape
/// Memory   training keeps the block's input and what its layers keep, `Count` times
/// Errors   "repeat<5>: expected a block that gives 16x8x8 as it gets, got 32x8x8; ..."
template <i32 Count, layer... Block>
struct repeat {
  static_assert(Count > 0 && sizeof...(Block) > 0, "repeat: expected at least 1 block");

  static constexpr value build(builder& b, const bundle& x) {
    return detail::build_repeat<Block...>(b, x, Count, "repeat", 0);
  }
};

/// The same, named by numbers from `First` on as PyTorch names the blocks of a Sequential:
/// scope<"layer3", scope<"0", wider>, repeat_from<1, 5, block>> has layer3.0. to layer3.5.
template <i32 First, i32 Count, layer... Block>
struct repeat_from {
  static_assert(Count > 0 && sizeof...(Block) > 0, "repeat_from: expected at least 1 block");

  static constexpr value build(builder& b, const bundle& x) {
    return detail::build_repeat<Block...>(b, x, Count, "", First);
  }
};

}  // namespace tessera
